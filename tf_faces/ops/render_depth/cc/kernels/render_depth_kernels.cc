// CPU kernels: batch items and bands of rows run in parallel on TensorFlow's pool.
// No band reads what another writes, so results do not depend on their number.

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "normalized_rows_kernels.h"
#include "render_depth.h"
#include "render_depth_gradient.h"
#include "render_depth_inputs.h"
#include "render_depth_vector.h"
#include "render_layers_kernels.h"
#include "sorted_rows_kernels.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tf_faces {
namespace render_depth {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;

// Splitting one image further gains less than repeating the triangles' setup costs.
constexpr int64_t kLeastRowsPerBand = 32;

template <typename T>
class RenderDepthOp : public OpKernel {
 public:
  explicit RenderDepthOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, ReadRule(context, &rule_));
    std::string instructions;
    OP_REQUIRES_OK(context, context->GetAttr("instructions", &instructions));
    OP_REQUIRES(context, FindInstructions(instructions.c_str(), &instructions_),
                absl::InvalidArgumentError("this processor or build has no " +
                                           instructions + " instructions"));
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
    for (Tensor* output : outputs) {
      AdviseHugePages(const_cast<char*>(output->tensor_data().data()),
                      output->TotalBytes());
    }

    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    const int64_t batch = sizes.batch;
    std::vector<MeshError> errors(batch, MeshError::kNone);
    const int64_t check_cost = 2 * (sizes.vertices + sizes.triangles) + 1;
    tensorflow::Shard(
        workers.num_threads, workers.workers, batch, check_cost,
        [&](int64_t begin, int64_t end) {
          for (int64_t item = begin; item < end; ++item) {
            errors[item] = CheckWith(
                instructions_,
                MeshOfItem<T>(sizes, vertices, triangles, attributes, item));
          }
        });
    for (int64_t item = 0; item < batch; ++item) {
      OP_REQUIRES_OK(context, MeshStatus(errors[item], sizes, item));
    }
    if (batch == 0 || height == 0 || width == 0) return;

    const int64_t wanted = (workers.num_threads + batch - 1) / batch;
    const int64_t bands = std::max<int64_t>(
        1, std::min<int64_t>(wanted, height / kLeastRowsPerBand));
    const int64_t pixels = height * width;
    auto draw = [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t item = unit / bands, band = unit % bands;
        const Mesh<T> mesh =
            MeshOfItem<T>(sizes, vertices, triangles, attributes, item);
        Image<T> target;
        target.height = height;
        target.width = width;
        target.depth = outputs[0]->flat<T>().data() + item * pixels;
        target.triangle_id = outputs[1]->flat<int32_t>().data() + item * pixels;
        target.barycentrics = outputs[2]->flat<T>().data() + item * pixels * 3;
        target.normals = outputs[3]->flat<T>().data() + item * pixels * 3;
        target.attributes =
            outputs[4]->flat<T>().data() + item * pixels * sizes.channels;
        DrawRows(mesh, rule_, instructions_, target, band * height / bands,
                 (band + 1) * height / bands);
      }
    };
    const int64_t cost = 20 * sizes.triangles + 50 * pixels / bands + 1;
    tensorflow::Shard(workers.num_threads, workers.workers, batch * bands, cost, draw);
  }

 private:
  Rule rule_;
  Instructions instructions_;
};

template <typename T>
class RenderDepthGradOp : public OpKernel {
 public:
  explicit RenderDepthGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("flat", &rule_.flat));
    OP_REQUIRES_OK(context, context->GetAttr("unit_normals", &rule_.unit_normals));
    std::string instructions;
    OP_REQUIRES_OK(context, context->GetAttr("instructions", &instructions));
    OP_REQUIRES(context, FindInstructions(instructions.c_str(), &instructions_),
                absl::InvalidArgumentError("this processor or build has no " +
                                           instructions + " instructions"));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& vertices = context->input(0);
    const Tensor& triangles = context->input(1);
    const Tensor& attributes = context->input(2);
    const Tensor& triangle_id = context->input(3);
    Sizes sizes;
    OP_REQUIRES_OK(context, ReadSizes(vertices, triangles, attributes, &sizes));
    OP_REQUIRES_OK(context, CheckImageGradients(context, sizes));
    Tensor* vertices_gradient;
    Tensor* attributes_gradient;
    OP_REQUIRES_OK(
        context, context->allocate_output(0, vertices.shape(), &vertices_gradient));
    OP_REQUIRES_OK(context, context->allocate_output(1, attributes.shape(),
                                                     &attributes_gradient));
    const int64_t height = triangle_id.dim_size(1), width = triangle_id.dim_size(2);
    const int64_t pixels = height * width, batch = sizes.batch;
    std::vector<MeshError> errors(batch, MeshError::kNone);
    auto propagate = [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const Mesh<T> mesh =
            MeshOfItem<T>(sizes, vertices, triangles, attributes, item);
        const MeshGradient<T> result = {
            vertices_gradient->flat<T>().data() + item * sizes.vertices * 3,
            attributes_gradient->flat<T>().data() +
                item * sizes.vertices * sizes.channels};
        const int32_t* ids = triangle_id.flat<int32_t>().data() + item * pixels;
        errors[item] = CheckWith(instructions_, mesh);
        for (int64_t pixel = 0; pixel < pixels; ++pixel) {
          if (ids[pixel] >= sizes.triangles) errors[item] = MeshError::kIndex;
        }
        if (errors[item] != MeshError::kNone) continue;
        const ImageGradient<T> incoming = {
            context->input(4).flat<T>().data() + item * pixels,
            context->input(5).flat<T>().data() + item * pixels * 3,
            context->input(6).flat<T>().data() + item * pixels * 3,
            context->input(7).flat<T>().data() + item * pixels * sizes.channels};
        GradientWith(instructions_, mesh, rule_, incoming, ids, height, width, result);
      }
    };
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    tensorflow::Shard(workers.num_threads, workers.workers, batch,
                      100 * pixels + 10 * sizes.vertices + 1, propagate);
    for (int64_t item = 0; item < batch; ++item) {
      OP_REQUIRES_OK(context, MeshStatus(errors[item], sizes, item));
    }
  }

 private:
  Rule rule_;
  Instructions instructions_;
};

#define TF_FACES_REGISTER(T)                                         \
  REGISTER_KERNEL_BUILDER(Name("TfFaces>RenderDepth")                \
                              .Device(tensorflow::DEVICE_CPU)        \
                              .TypeConstraint<T>("T"),               \
                          RenderDepthOp<T>);                         \
  REGISTER_KERNEL_BUILDER(Name("TfFaces>RenderDepthGrad")            \
                              .Device(tensorflow::DEVICE_CPU)        \
                              .TypeConstraint<T>("T"),               \
                          RenderDepthGradOp<T>)
TF_FACES_REGISTER(float);
TF_FACES_REGISTER(double);
#undef TF_FACES_REGISTER

}  // namespace render_depth
}  // namespace tf_faces
