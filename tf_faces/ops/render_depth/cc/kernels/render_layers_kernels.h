// The CPU kernel that lists several surfaces a pixel.

#ifndef TF_FACES_OPS_RENDER_LAYERS_KERNELS_H_
#define TF_FACES_OPS_RENDER_LAYERS_KERNELS_H_

#include <string>
#include <vector>

#include "render_depth_inputs.h"
#include "render_layers.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tf_faces {
namespace render_depth {

// Counts are bytes.
constexpr int kMostLayers = 64;

class RenderLayersOp : public tensorflow::OpKernel {
 public:
  explicit RenderLayersOp(tensorflow::OpKernelConstruction* context)
      : tensorflow::OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("layers", &layers_));
    OP_REQUIRES(context, layers_ <= kMostLayers,
                absl::InvalidArgumentError("layers must be at most 64. Received: " +
                                           std::to_string(layers_)));
  }

  void Compute(tensorflow::OpKernelContext* context) override {
    const tensorflow::Tensor& vertices = context->input(0);
    const tensorflow::Tensor& triangles = context->input(1);
    const tensorflow::Tensor& attributes = context->input(2);
    const tensorflow::Tensor& limit = context->input(3);
    OP_REQUIRES(context,
                vertices.dims() == 2 && vertices.dim_size(1) == 3 &&
                    triangles.dims() == 2 && triangles.dim_size(1) == 3 &&
                    attributes.dims() == 2 &&
                    attributes.dim_size(0) == vertices.dim_size(0) &&
                    limit.dims() == 2,
                absl::InvalidArgumentError(
                    "expected vertices [V, 3], triangles [T, 3], attributes [V, C] and "
                    "limit [H, W]. Received: " +
                    vertices.shape().DebugString() + ", " +
                    triangles.shape().DebugString() + ", " +
                    attributes.shape().DebugString() + ", " +
                    limit.shape().DebugString()));
    Sizes sizes = {1, vertices.dim_size(0), triangles.dim_size(0),
                   attributes.dim_size(1), true};
    const int64_t height = limit.dim_size(0), width = limit.dim_size(1);
    OP_REQUIRES_OK(context, CheckImageSize(sizes, height, width));
    const Mesh<float> mesh = {vertices.flat<float>().data(), sizes.vertices,
                              triangles.flat<int32_t>().data(), sizes.triangles,
                              attributes.flat<float>().data(), sizes.channels};
    OP_REQUIRES_OK(context, MeshStatus(CheckMesh(mesh), sizes, 0));
    const FragmentLists lists = CollectFragments(mesh, limit.flat<float>().data(),
                                                 height, width, layers_);
    std::vector<int64_t> next(layers_ + 1, 0);
    for (const uint8_t count : lists.counts) {
      for (int layer = 0; layer < count; ++layer) ++next[layer + 1];
    }
    tensorflow::Tensor* outputs[5];
    OP_REQUIRES_OK(context, context->allocate_output(0, {layers_ + 1}, &outputs[0]));
    auto starts = outputs[0]->flat<int32_t>();
    for (int layer = 0; layer < layers_; ++layer) next[layer + 1] += next[layer];
    const int64_t total = next[layers_];
    OP_REQUIRES(context,
                total <= kMaximumElements / (sizes.channels > 1 ? sizes.channels : 1),
                absl::InvalidArgumentError("the layers hold more than 2^31 values"));
    for (int layer = 0; layer <= layers_; ++layer) {
      starts(layer) = static_cast<int32_t>(next[layer]);
    }
    for (int output = 1; output < 4; ++output) {
      OP_REQUIRES_OK(context,
                     context->allocate_output(output, {total}, &outputs[output]));
    }
    OP_REQUIRES_OK(context, context->allocate_output(4, {total, sizes.channels},
                                                     &outputs[4]));
    int32_t* pixels = outputs[1]->flat<int32_t>().data();
    float* depths = outputs[2]->flat<float>().data();
    int32_t* ids = outputs[3]->flat<int32_t>().data();
    float* values = outputs[4]->flat<float>().data();
    std::vector<FragmentAttributes> seen(layers_, FragmentAttributes(mesh));
    for (int64_t pixel = 0; pixel < height * width; ++pixel) {
      const Fragment* list = lists.entries.get() + pixel * layers_;
      for (int layer = 0; layer < lists.counts[pixel]; ++layer) {
        const int64_t place = next[layer]++;
        pixels[place] = static_cast<int32_t>(pixel);
        depths[place] = list[layer].depth;
        ids[place] = list[layer].triangle;
        seen[layer].Interpolate(list[layer].triangle, pixel % width, pixel / width,
                                values + place * sizes.channels);
      }
    }
  }

 private:
  int layers_;
};

REGISTER_KERNEL_BUILDER(
    Name("TfFaces>RenderLayers").Device(tensorflow::DEVICE_CPU), RenderLayersOp);

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_LAYERS_KERNELS_H_
