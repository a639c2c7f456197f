// The CPU kernel that normalises rows of channels.

#ifndef TF_FACES_OPS_NORMALIZED_ROWS_KERNELS_H_
#define TF_FACES_OPS_NORMALIZED_ROWS_KERNELS_H_

#include "normalized_rows.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tf_faces {
namespace normalized_rows {

class NormalizedRowsOp : public tensorflow::OpKernel {
 public:
  explicit NormalizedRowsOp(tensorflow::OpKernelConstruction* context)
      : tensorflow::OpKernel(context) {}

  void Compute(tensorflow::OpKernelContext* context) override {
    tensorflow::OpInputList parts;
    OP_REQUIRES_OK(context, context->input_list("parts", &parts));
    std::vector<const float*> rows;
    int64_t channels = 0, places = 0;
    for (int i = 0; i < parts.size(); ++i) {
      const tensorflow::Tensor& part = parts[i];
      OP_REQUIRES(context,
                  part.dims() == 3 && part.dim_size(1) == parts[0].dim_size(1) &&
                      part.dim_size(2) == parts[0].dim_size(2),
                  absl::InvalidArgumentError(
                      "expected parts [n, C, P] that differ in n alone. Received: " +
                      parts[0].shape().DebugString() + ", " +
                      part.shape().DebugString()));
      channels = part.dim_size(1);
      places = part.dim_size(2);
      const float* numbers = part.flat<float>().data();
      for (int64_t row = 0; row < part.dim_size(0); ++row) {
        rows.push_back(numbers + row * channels * places);
      }
    }
    const int64_t count = rows.size();
    tensorflow::Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, {count, channels * places},
                                                     &output));
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    const auto share = [&](const auto& function) {
      // About a cycle a number.
      tensorflow::Shard(workers.num_threads, workers.workers, count, channels * places,
                        function);
    };
    Normalize(rows, channels, places, share, output->flat<float>().data());
  }
};

REGISTER_KERNEL_BUILDER(Name("TfFaces>NormalizedRows").Device(tensorflow::DEVICE_CPU),
                        NormalizedRowsOp);

}  // namespace normalized_rows
}  // namespace tf_faces

#endif  // TF_FACES_OPS_NORMALIZED_ROWS_KERNELS_H_
