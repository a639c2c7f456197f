// Registration of the op that lists several surfaces a pixel.

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf_faces {

namespace {

absl::Status LayersShape(tensorflow::shape_inference::InferenceContext* c) {
  int layers;
  TF_RETURN_IF_ERROR(c->GetAttr("layers", &layers));
  const auto fragments = c->UnknownDim();
  c->set_output(0, c->Vector(layers + 1));
  for (int output = 1; output < 4; ++output) {
    c->set_output(output, c->Vector(fragments));
  }
  tensorflow::shape_inference::ShapeHandle attributes;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 2, &attributes));
  c->set_output(4, c->Matrix(fragments, c->Dim(attributes, 1)));
  return absl::OkStatus();
}

}  // namespace

REGISTER_OP("TfFaces>RenderLayers")
    .Input("vertices: float")
    .Input("triangles: int32")
    .Input("attributes: float")
    .Input("limit: float")
    .Output("starts: int32")
    .Output("pixel: int32")
    .Output("depth: float")
    .Output("triangle_id: int32")
    .Output("interpolated: float")
    .Attr("layers: int >= 1 = 4")
    .SetShapeFn(LayersShape)
    .Doc(R"doc(
Lists the surfaces that lie behind each other at every pixel.

vertices: [V, 3], x right and y down in pixels, larger z nearer.
triangles: [T, 3].
attributes: [V, C].
limit: [H, W], what is not nearer is left out.
starts: [layers + 1], where the fragments of a layer begin; the last is their number.
pixel: [F], row * W + column; ascending within a layer, nearest layer first.
depth: [F].
triangle_id: [F].
interpolated: [F, C].
)doc");

}  // namespace tf_faces
