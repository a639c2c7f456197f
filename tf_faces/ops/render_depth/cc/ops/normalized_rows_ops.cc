// Registration of the op that normalises rows of channels.

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf_faces {

namespace {

absl::Status NormalizedRowsShape(tensorflow::shape_inference::InferenceContext* c) {
  tensorflow::shape_inference::DimensionHandle rows = c->MakeDim(0), size;
  for (int i = 0; i < c->num_inputs(); ++i) {
    tensorflow::shape_inference::ShapeHandle part;
    TF_RETURN_IF_ERROR(c->WithRank(c->input(i), 3, &part));
    TF_RETURN_IF_ERROR(c->Add(rows, c->Dim(part, 0), &rows));
    TF_RETURN_IF_ERROR(c->Multiply(c->Dim(part, 1), c->Dim(part, 2), &size));
  }
  c->set_output(0, c->Matrix(rows, size));
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("TfFaces>NormalizedRows")
    .Input("parts: N * float")
    .Attr("N: int >= 1")
    .Output("rows: float")
    .SetShapeFn(NormalizedRowsShape)
    .Doc(R"doc(
Joins parts, takes off the mean of each channel and divides by its deviation, adding up
in the order of NumPy.  A channel without any variation becomes zero.

parts: [n, C, P] each.
rows: [sum of n, C * P].
)doc");

}  // namespace tf_faces
