// The CPU kernel that compares rows in sorted order.

#ifndef TF_FACES_OPS_SORTED_ROWS_KERNELS_H_
#define TF_FACES_OPS_SORTED_ROWS_KERNELS_H_

#include "sorted_rows.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tf_faces {
namespace sorted_rows {

// Numbers are counted in 32 bits; five times as many must be addressable.
constexpr int64_t kLongest = int64_t{1} << 30;
// About what sorting one number takes, in cycles.
constexpr int64_t kCost = 40;

class SortedRowsDistanceOp : public tensorflow::OpKernel {
 public:
  explicit SortedRowsDistanceOp(tensorflow::OpKernelConstruction* context)
      : tensorflow::OpKernel(context) {}

  void Compute(tensorflow::OpKernelContext* context) override {
    const tensorflow::Tensor& first = context->input(0);
    const tensorflow::Tensor& second = context->input(1);
    OP_REQUIRES(context,
                first.dims() == 2 && first.shape() == second.shape() &&
                    first.dim_size(1) <= kLongest,
                absl::InvalidArgumentError(
                    "expected two matrices [R, N] of equal shape, N at most 2^30. "
                    "Received: " +
                    first.shape().DebugString() + ", " + second.shape().DebugString()));
    const int64_t rows = first.dim_size(0), count = first.dim_size(1);
    tensorflow::Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, {rows}, &output));
    const float* left = first.flat<float>().data();
    const float* right = second.flat<float>().data();
    double* distances = output->flat<double>().data();
    const auto& workers = *context->device()->tensorflow_cpu_worker_threads();
    tensorflow::Shard(workers.num_threads, workers.workers, rows, 2 * count * kCost,
                      [&](int64_t begin, int64_t end) {
                        Space space(count);
                        for (int64_t row = begin; row < end; ++row) {
                          distances[row] = Distance(left + row * count,
                                                    right + row * count, count,
                                                    &space);
                        }
                      });
  }
};

REGISTER_KERNEL_BUILDER(
    Name("TfFaces>SortedRowsDistance").Device(tensorflow::DEVICE_CPU),
    SortedRowsDistanceOp);

}  // namespace sorted_rows
}  // namespace tf_faces

#endif  // TF_FACES_OPS_SORTED_ROWS_KERNELS_H_
