// GPU kernels: the functions of render_depth.h, one thread a triangle or a pixel.
//
// The nearest triangle is found in two passes of integer maxima and minima, which do
// not depend on the order of threads: first the greatest depth of every pixel, then the
// lowest index among the triangles that have it.  The gradient adds with atomics; its
// sums depend on their order in the last bits, so that it refuses to run where
// TensorFlow is asked for deterministic ops.

#if GOOGLE_CUDA

#define EIGEN_USE_GPU

#include <cuda_runtime.h>

#include "render_depth.h"
#include "render_depth_gradient.h"
#include "render_depth_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/determinism.h"
#include "tensorflow/core/util/gpu_kernel_helper.h"

namespace tf_faces {
namespace render_depth {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using GPUDevice = Eigen::GpuDevice;

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
  template <typename T>
  __device__ void operator()(T* target, T value) const {
    tensorflow::GpuAtomicAdd(target, value);
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

// Checks indices and coordinates; waits for the answer, since a bad index must not be
// used.
template <typename T>
absl::Status CheckOnDevice(OpKernelContext* context, const Sizes& sizes,
                           const Mesh<T>& meshes, int64_t indices,
                           cudaStream_t stream) {
  Tensor faults;
  TF_RETURN_IF_ERROR(
      context->allocate_temp(tensorflow::DT_INT32, TensorShape({1}), &faults));
  int* target = faults.flat<int32_t>().data();
  const int64_t coordinates = sizes.batch * sizes.vertices * 3;
  const int64_t count = coordinates > indices ? coordinates : indices;
  int found = 0;
  cudaMemsetAsync(target, 0, sizeof(int), stream);
  if (count > 0) {
    CheckKernel<T><<<Blocks(count), kThreads, 0, stream>>>(meshes, coordinates, indices,
                                                           target);
  }
  cudaMemcpyAsync(&found, target, sizeof(int), cudaMemcpyDeviceToHost, stream);
  const cudaError_t error = cudaStreamSynchronize(stream);
  if (error != cudaSuccess) {
    return absl::InternalError(cudaGetErrorString(error));
  }
  return MeshStatus((found & 1)   ? MeshError::kIndex
                    : (found & 2) ? MeshError::kNotFinite
                                  : MeshError::kNone,
                    sizes, 0);
}

}  // namespace

template <typename T>
class RenderDepthGpuOp : public OpKernel {
 public:
  explicit RenderDepthGpuOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadRule(context, &rule_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& vertices = context->input(0);
    const Tensor& triangles = context->input(1);
    const Tensor& attributes = context->input(2);
    Sizes sizes;
    OP_REQUIRES_OK(context, ReadSizes(vertices, triangles, attributes, &sizes));
    int64_t height, width;
    OP_REQUIRES_OK(context,
                   ReadImageSize(context->input(3), sizes, &height, &width));
    Tensor* outputs[5];
    OP_REQUIRES_OK(context, AllocateImages(context, sizes, height, width, outputs));
    const cudaStream_t stream = context->eigen_device<GPUDevice>().stream();
    const Mesh<T> meshes = MeshOfItem<T>(sizes, vertices, triangles, attributes, 0);
    OP_REQUIRES_OK(context, CheckOnDevice(context, sizes, meshes,
                                          triangles.NumElements(), stream));
    const int64_t pixels = sizes.batch * height * width;
    if (pixels == 0) return;
    Tensor keys;
    OP_REQUIRES_OK(context,
                   context->allocate_temp(sizeof(T) == 4 ? tensorflow::DT_UINT32
                                                         : tensorflow::DT_UINT64,
                                          outputs[0]->shape(), &keys));
    using Bits = typename Ordered<T>::Bits;
    Bits* key = reinterpret_cast<Bits*>(const_cast<char*>(keys.tensor_data().data()));
    Image<T> target;
    target.height = height;
    target.width = width;
    target.depth = outputs[0]->flat<T>().data();
    target.triangle_id = outputs[1]->flat<int32_t>().data();
    target.barycentrics = outputs[2]->flat<T>().data();
    target.normals = outputs[3]->flat<T>().data();
    target.attributes = outputs[4]->flat<T>().data();
    ClearKernel<T><<<Blocks(pixels), kThreads, 0, stream>>>(
        key, target.triangle_id, pixels, static_cast<T>(rule_.background));
    const int64_t count = sizes.batch * sizes.triangles;
    if (count > 0) {
      DrawKernel<T, false><<<Blocks(count), kThreads, 0, stream>>>(
          meshes, sizes.shared_triangles, rule_, sizes.batch, height, width, key,
          target.triangle_id);
      DrawKernel<T, true><<<Blocks(count), kThreads, 0, stream>>>(
          meshes, sizes.shared_triangles, rule_, sizes.batch, height, width, key,
          target.triangle_id);
    }
    ResolveKernel<T><<<Blocks(pixels), kThreads, 0, stream>>>(
        meshes, sizes.shared_triangles, rule_, sizes.batch, target);
    const cudaError_t error = cudaGetLastError();
    OP_REQUIRES(context, error == cudaSuccess,
                absl::InternalError(cudaGetErrorString(error)));
  }

 private:
  Rule rule_;
};

template <typename T>
class RenderDepthGradGpuOp : public OpKernel {
 public:
  explicit RenderDepthGradGpuOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("flat", &rule_.flat));
    OP_REQUIRES_OK(context, context->GetAttr("unit_normals", &rule_.unit_normals));
  }

  void Compute(OpKernelContext* context) override {
    OP_REQUIRES(context, !tensorflow::OpDeterminismRequired(),
                absl::UnimplementedError(
                    "the gradient of RenderDepth is not deterministic on GPUs; place "
                    "it on the CPU"));
    const Tensor& vertices = context->input(0);
    const Tensor& triangles = context->input(1);
    const Tensor& attributes = context->input(2);
    const Tensor& triangle_id = context->input(3);
    Sizes sizes;
    OP_REQUIRES_OK(context, ReadSizes(vertices, triangles, attributes, &sizes));
    OP_REQUIRES_OK(context, CheckImageGradients(context, sizes));
    Tensor* to_vertices;
    Tensor* to_attributes;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0, vertices.shape(), &to_vertices));
    OP_REQUIRES_OK(context,
                   context->allocate_output(1, attributes.shape(), &to_attributes));
    const cudaStream_t stream = context->eigen_device<GPUDevice>().stream();
    const Mesh<T> meshes = MeshOfItem<T>(sizes, vertices, triangles, attributes, 0);
    OP_REQUIRES_OK(context, CheckOnDevice(context, sizes, meshes,
                                          triangles.NumElements(), stream));
    const MeshGradient<T> result = {to_vertices->flat<T>().data(),
                                    to_attributes->flat<T>().data()};
    cudaMemsetAsync(result.vertices, 0, to_vertices->TotalBytes(), stream);
    cudaMemsetAsync(result.attributes, 0, to_attributes->TotalBytes(), stream);
    const int64_t height = triangle_id.dim_size(1), width = triangle_id.dim_size(2);
    const int64_t pixels = sizes.batch * height * width;
    if (pixels == 0) return;
    const ImageGradient<T> incoming = {
        context->input(4).flat<T>().data(), context->input(5).flat<T>().data(),
        context->input(6).flat<T>().data(), context->input(7).flat<T>().data()};
    GradientKernel<T><<<Blocks(pixels), kThreads, 0, stream>>>(
        meshes, sizes.shared_triangles, rule_, sizes.batch, height, width, incoming,
        triangle_id.flat<int32_t>().data(), result);
    const cudaError_t error = cudaGetLastError();
    OP_REQUIRES(context, error == cudaSuccess,
                absl::InternalError(cudaGetErrorString(error)));
  }

 private:
  Rule rule_;
};

#define TF_FACES_REGISTER(T)                                \
  REGISTER_KERNEL_BUILDER(Name("TfFaces>RenderDepth")       \
                              .Device(tensorflow::DEVICE_GPU) \
                              .HostMemory("image_size")     \
                              .TypeConstraint<T>("T"),      \
                          RenderDepthGpuOp<T>);             \
  REGISTER_KERNEL_BUILDER(Name("TfFaces>RenderDepthGrad")   \
                              .Device(tensorflow::DEVICE_GPU) \
                              .TypeConstraint<T>("T"),      \
                          RenderDepthGradGpuOp<T>)
TF_FACES_REGISTER(float);
TF_FACES_REGISTER(double);
#undef TF_FACES_REGISTER

}  // namespace render_depth
}  // namespace tf_faces

#endif  // GOOGLE_CUDA
