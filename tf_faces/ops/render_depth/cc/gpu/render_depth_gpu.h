// What the op's GPU kernels ask of the device: checks, drawing and gradients of a batch
// on a stream.  Pointers are to device memory unless said otherwise; meshes and images
// are those of the first item, the others follow in memory.

#ifndef TF_FACES_OPS_RENDER_DEPTH_GPU_H_
#define TF_FACES_OPS_RENDER_DEPTH_GPU_H_

#include <cuda_runtime.h>

#include "../kernels/render_depth.h"

namespace tf_faces {
namespace render_depth {

// Looks for indices outside the vertices (bit 1) and coordinates that are not finite
// (bit 2) among so many coordinates and indices; `faults` holds one integer, `found` is
// in host memory.  Waits for the answer, since a bad index must not be used.
template <typename T>
cudaError_t CheckOnGpu(const Mesh<T>& meshes, int64_t coordinates, int64_t indices,
                       int* faults, int* found, cudaStream_t stream);

// Draws at least one pixel; `keys` has room for a T a pixel.
template <typename T>
cudaError_t DrawOnGpu(const Mesh<T>& meshes, bool shared_triangles, const Rule& rule,
                      int64_t batch, const Image<T>& images, void* keys,
                      cudaStream_t stream);

// Overwrites `result`.
template <typename T>
cudaError_t GradientOnGpu(const Mesh<T>& meshes, bool shared_triangles,
                          const Rule& rule, int64_t batch, int64_t height,
                          int64_t width, const ImageGradient<T>& incoming,
                          const int32_t* triangle_id, const MeshGradient<T>& result,
                          cudaStream_t stream);

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_DEPTH_GPU_H_
