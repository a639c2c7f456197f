// Registration of the op that compares rows in sorted order.

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf_faces {

namespace {

absl::Status SortedRowsShape(tensorflow::shape_inference::InferenceContext* c) {
  tensorflow::shape_inference::ShapeHandle first, both;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 2, &first));
  TF_RETURN_IF_ERROR(c->Merge(first, c->input(1), &both));
  c->set_output(0, c->Vector(c->Dim(both, 0)));
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("TfFaces>SortedRowsDistance")
    .Input("first: float")
    .Input("second: float")
    .Output("distance: double")
    .SetShapeFn(SortedRowsShape)
    .Doc(R"doc(
Sorts each row of both, and sums the absolute differences of what is at equal places.

first, second: [R, N].
distance: [R]; NaN where a row holds NaN.
)doc");

}  // namespace tf_faces
