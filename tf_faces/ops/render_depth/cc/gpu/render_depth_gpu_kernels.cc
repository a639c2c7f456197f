// The op's kernels for GPUs.  The gradient's sums depend on the order of threads, so that
// it refuses to run where TensorFlow is asked for deterministic ops.

#define EIGEN_USE_GPU

#include "render_depth_gpu.h"

#include "../kernels/render_depth_inputs.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/determinism.h"

namespace tf_faces {
namespace render_depth {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

namespace {

absl::Status StatusOf(cudaError_t error) {
  return error == cudaSuccess ? absl::OkStatus()
                              : absl::InternalError(cudaGetErrorString(error));
}

template <typename T>
absl::Status CheckMeshes(OpKernelContext* context, const Sizes& sizes,
                         const Mesh<T>& meshes, int64_t indices, cudaStream_t stream) {
  Tensor faults;
  TF_RETURN_IF_ERROR(
      context->allocate_temp(tensorflow::DT_INT32, TensorShape({1}), &faults));
  int found = 0;
  TF_RETURN_IF_ERROR(
      StatusOf(CheckOnGpu(meshes, sizes.batch * sizes.vertices * 3, indices,
                          faults.flat<int32_t>().data(), &found, stream)));
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
    const cudaStream_t stream = context->eigen_device<Eigen::GpuDevice>().stream();
    const Mesh<T> meshes = MeshOfItem<T>(sizes, vertices, triangles, attributes, 0);
    OP_REQUIRES_OK(context, CheckMeshes(context, sizes, meshes,
                                          triangles.NumElements(), stream));
    const int64_t pixels = sizes.batch * height * width;
    if (pixels == 0) return;
    Tensor keys;
    OP_REQUIRES_OK(context,
                   context->allocate_temp(sizeof(T) == 4 ? tensorflow::DT_UINT32
                                                         : tensorflow::DT_UINT64,
                                          outputs[0]->shape(), &keys));
    Image<T> target;
    target.height = height;
    target.width = width;
    target.depth = outputs[0]->flat<T>().data();
    target.triangle_id = outputs[1]->flat<int32_t>().data();
    target.barycentrics = outputs[2]->flat<T>().data();
    target.normals = outputs[3]->flat<T>().data();
    target.attributes = outputs[4]->flat<T>().data();
    void* key = const_cast<char*>(keys.tensor_data().data());
    OP_REQUIRES_OK(context,
                   StatusOf(DrawOnGpu(meshes, sizes.shared_triangles, rule_,
                                      sizes.batch, target, key, stream)));
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
    const cudaStream_t stream = context->eigen_device<Eigen::GpuDevice>().stream();
    const Mesh<T> meshes = MeshOfItem<T>(sizes, vertices, triangles, attributes, 0);
    OP_REQUIRES_OK(context, CheckMeshes(context, sizes, meshes,
                                          triangles.NumElements(), stream));
    const MeshGradient<T> result = {to_vertices->flat<T>().data(),
                                    to_attributes->flat<T>().data()};
    const int64_t height = triangle_id.dim_size(1), width = triangle_id.dim_size(2);
    const ImageGradient<T> incoming = {
        context->input(4).flat<T>().data(), context->input(5).flat<T>().data(),
        context->input(6).flat<T>().data(), context->input(7).flat<T>().data()};
    OP_REQUIRES_OK(context, StatusOf(GradientOnGpu(
                                meshes, sizes.shared_triangles, rule_, sizes.batch,
                                height, width, incoming,
                                triangle_id.flat<int32_t>().data(), result, stream)));
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
