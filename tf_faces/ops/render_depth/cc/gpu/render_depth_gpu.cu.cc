// GPU kernels: the functions of render_depth.h, one thread a triangle or a pixel.
//
// The nearest triangle is found in two passes of integer maxima and minima, which do
// not depend on the order of threads: first the greatest depth of every pixel, then the
// lowest index among the triangles that have it.  The gradient adds with atomics, so
// that its sums depend on their order in the last bits.
//
// Nothing of TensorFlow is included: its headers take the CUDA compiler a minute.

#include "../kernels/render_depth.h"
#include "../kernels/render_depth_gradient.h"
#include "render_depth_gpu.h"

namespace tf_faces {
namespace render_depth {
namespace {

constexpr int kThreads = 128;

// Bits of a float in an order in which larger unsigned integers are larger floats.
template <typename T>
struct Ordered;

template <>
struct Ordered<float> {
  using Bits = unsigned int;
  static __device__ Bits Of(float value) {
    const Bits bits = __float_as_uint(value);
    return (bits & 0x80000000u) ? ~bits : bits | 0x80000000u;
  }
};

template <>
struct Ordered<double> {
  using Bits = unsigned long long;
  static __device__ Bits Of(double value) {
    const Bits bits = static_cast<Bits>(__double_as_longlong(value));
    return (bits >> 63) ? ~bits : bits | (Bits{1} << 63);
  }
};

struct AtomicAdd {
  __device__ void operator()(float* target, float value) const {
    atomicAdd(target, value);
  }

  __device__ void operator()(double* target, double value) const {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 600
    atomicAdd(target, value);
#else
    // Compared as bits, so that NaN ends the loop too.
    auto* bits = reinterpret_cast<unsigned long long*>(target);
    unsigned long long before = *bits, assumed;
    do {
      assumed = before;
      const double sum = __longlong_as_double(assumed) + value;
      before = atomicCAS(bits, assumed, __double_as_longlong(sum));
    } while (before != assumed);
#endif
  }
};

template <typename T>
__device__ Mesh<T> ItemOf(Mesh<T> mesh, bool shared_triangles, int64_t item) {
  mesh.vertices += item * mesh.vertex_count * 3;
  mesh.attributes += item * mesh.vertex_count * mesh.channels;
  if (!shared_triangles) mesh.triangles += item * mesh.triangle_count * 3;
  return mesh;
}

template <typename T>
__global__ void CheckKernel(Mesh<T> mesh, int64_t coordinates, int64_t indices,
                            int* faults) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i < indices &&
      (mesh.triangles[i] < 0 || mesh.triangles[i] >= mesh.vertex_count)) {
    atomicOr(faults, 1);
  }
  if (i < coordinates && !isfinite(mesh.vertices[i])) atomicOr(faults, 2);
}

template <typename T>
__global__ void ClearKernel(typename Ordered<T>::Bits* keys, int32_t* triangle_id,
                            int64_t pixels, T background) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= pixels) return;
  keys[i] = Ordered<T>::Of(background);
  triangle_id[i] = INT32_MAX;
}

template <typename T, typename Coverage, bool kSecondPass>
__device__ void DrawTriangle(const Mesh<T>& mesh, const Rule& rule, int64_t height,
                             int64_t width, int64_t index,
                             typename Ordered<T>::Bits* keys, int32_t* triangle_id) {
  const Triangle<T> triangle = LoadTriangle(mesh, index);
  Box box;
  Coverage coverage;
  if (!FindBox(triangle, rule, height, width, 0, height, &box) ||
      Culled(triangle, rule.cull) || !coverage.Prepare(triangle, rule)) {
    return;
  }
  const T background = static_cast<T>(rule.background);
  for (int64_t y = box.y_first; y <= box.y_last; ++y) {
    for (int64_t x = box.x_first; x <= box.x_last; ++x) {
      T z;
      if (!coverage.Covers(x, y, height, width, &z) || !(z > background)) continue;
      // Zero of either sign is one depth.
      const auto key = Ordered<T>::Of(z == T(0) ? T(0) : z);
      const int64_t pixel = y * width + x;
      if (!kSecondPass) {
        atomicMax(keys + pixel, key);
      } else if (keys[pixel] == key) {
        atomicMin(triangle_id + pixel, static_cast<int32_t>(index));
      }
    }
  }
}

template <typename T, bool kSecondPass>
__global__ void DrawKernel(Mesh<T> meshes, bool shared_triangles, Rule rule,
                           int64_t batch, int64_t height, int64_t width,
                           typename Ordered<T>::Bits* keys, int32_t* triangle_id) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= batch * meshes.triangle_count) return;
  const int64_t item = i / meshes.triangle_count, index = i % meshes.triangle_count;
  const Mesh<T> mesh = ItemOf(meshes, shared_triangles, item);
  keys += item * height * width;
  triangle_id += item * height * width;
  if (rule.edges == Edges::kTopLeft) {
    DrawTriangle<T, TopLeftCoverage<T>, kSecondPass>(mesh, rule, height, width, index,
                                                     keys, triangle_id);
  } else if (rule.single_precision) {
    DrawTriangle<T, DotProductCoverage<T, float>, kSecondPass>(
        mesh, rule, height, width, index, keys, triangle_id);
  } else {
    DrawTriangle<T, DotProductCoverage<T, double>, kSecondPass>(
        mesh, rule, height, width, index, keys, triangle_id);
  }
}

template <typename T>
__global__ void ResolveKernel(Mesh<T> meshes, bool shared_triangles, Rule rule,
                              int64_t batch, Image<T> images) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  const int64_t pixels = images.height * images.width;
  if (i >= batch * pixels) return;
  const int64_t item = i / pixels, pixel = i % pixels;
  Image<T> image = images;
  image.depth += item * pixels;
  image.triangle_id += item * pixels;
  image.barycentrics += item * pixels * 3;
  image.normals += item * pixels * 3;
  image.attributes += item * pixels * meshes.channels;
  if (image.triangle_id[pixel] == INT32_MAX) image.triangle_id[pixel] = -1;
  ResolvePixel(ItemOf(meshes, shared_triangles, item), rule, image,
               pixel % images.width, pixel / images.width);
}

template <typename T>
__global__ void GradientKernel(Mesh<T> meshes, bool shared_triangles, Rule rule,
                               int64_t batch, int64_t height, int64_t width,
                               ImageGradient<T> incoming, const int32_t* triangle_id,
                               MeshGradient<T> result) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  const int64_t pixels = height * width;
  if (i >= batch * pixels) return;
  const int64_t item = i / pixels, pixel = i % pixels, index = triangle_id[i];
  // Ids come from another op: refuse what it cannot have made.
  if (index < 0 || index >= meshes.triangle_count) return;
  incoming.depth += item * pixels;
  incoming.barycentrics += item * pixels * 3;
  incoming.normals += item * pixels * 3;
  incoming.attributes += item * pixels * meshes.channels;
  result.vertices += item * meshes.vertex_count * 3;
  result.attributes += item * meshes.vertex_count * meshes.channels;
  PixelGradient(ItemOf(meshes, shared_triangles, item), rule, incoming, pixel % width,
                pixel / width, pixel, index, result, AtomicAdd());
}

unsigned Blocks(int64_t count) {
  return static_cast<unsigned>((count + kThreads - 1) / kThreads);
}

}  // namespace

template <typename T>
cudaError_t CheckOnGpu(const Mesh<T>& meshes, int64_t coordinates, int64_t indices,
                       int* faults, int* found, cudaStream_t stream) {
  *found = 0;
  cudaMemsetAsync(faults, 0, sizeof(int), stream);
  const int64_t count = coordinates > indices ? coordinates : indices;
  if (count > 0) {
    CheckKernel<T><<<Blocks(count), kThreads, 0, stream>>>(meshes, coordinates, indices,
                                                           faults);
  }
  cudaMemcpyAsync(found, faults, sizeof(int), cudaMemcpyDeviceToHost, stream);
  return cudaStreamSynchronize(stream);
}

template <typename T>
cudaError_t DrawOnGpu(const Mesh<T>& meshes, bool shared_triangles, const Rule& rule,
                      int64_t batch, const Image<T>& images, void* keys,
                      cudaStream_t stream) {
  const int64_t pixels = batch * images.height * images.width;
  auto* key = static_cast<typename Ordered<T>::Bits*>(keys);
  ClearKernel<T><<<Blocks(pixels), kThreads, 0, stream>>>(
      key, images.triangle_id, pixels, static_cast<T>(rule.background));
  const int64_t count = batch * meshes.triangle_count;
  if (count > 0) {
    DrawKernel<T, false><<<Blocks(count), kThreads, 0, stream>>>(
        meshes, shared_triangles, rule, batch, images.height, images.width, key,
        images.triangle_id);
    DrawKernel<T, true><<<Blocks(count), kThreads, 0, stream>>>(
        meshes, shared_triangles, rule, batch, images.height, images.width, key,
        images.triangle_id);
  }
  ResolveKernel<T><<<Blocks(pixels), kThreads, 0, stream>>>(meshes, shared_triangles,
                                                            rule, batch, images);
  return cudaGetLastError();
}

template <typename T>
cudaError_t GradientOnGpu(const Mesh<T>& meshes, bool shared_triangles,
                          const Rule& rule, int64_t batch, int64_t height,
                          int64_t width, const ImageGradient<T>& incoming,
                          const int32_t* triangle_id, const MeshGradient<T>& result,
                          cudaStream_t stream) {
  const int64_t vertices = batch * meshes.vertex_count;
  cudaMemsetAsync(result.vertices, 0, vertices * 3 * sizeof(T), stream);
  cudaMemsetAsync(result.attributes, 0, vertices * meshes.channels * sizeof(T), stream);
  const int64_t pixels = batch * height * width;
  if (pixels > 0) {
    GradientKernel<T><<<Blocks(pixels), kThreads, 0, stream>>>(
        meshes, shared_triangles, rule, batch, height, width, incoming, triangle_id,
        result);
  }
  return cudaGetLastError();
}

#define TF_FACES_INSTANTIATE(T)                                                      \
  template cudaError_t CheckOnGpu<T>(const Mesh<T>&, int64_t, int64_t, int*, int*,   \
                                     cudaStream_t);                                  \
  template cudaError_t DrawOnGpu<T>(const Mesh<T>&, bool, const Rule&, int64_t,      \
                                    const Image<T>&, void*, cudaStream_t);           \
  template cudaError_t GradientOnGpu<T>(                                             \
      const Mesh<T>&, bool, const Rule&, int64_t, int64_t, int64_t,                  \
      const ImageGradient<T>&, const int32_t*, const MeshGradient<T>&, cudaStream_t)
TF_FACES_INSTANTIATE(float);
TF_FACES_INSTANTIATE(double);
#undef TF_FACES_INSTANTIATE

}  // namespace render_depth
}  // namespace tf_faces
