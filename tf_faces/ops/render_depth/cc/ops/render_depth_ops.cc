// Registration of the rasteriser's ops and their shape functions.

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf_faces {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

namespace {

// Checks vertices [N, V, 3], triangles [T, 3] or [N, T, 3] and attributes [N, V, C];
// leaves N in *batch.
absl::Status CheckMeshShapes(InferenceContext* c, DimensionHandle* batch) {
  ShapeHandle vertices, triangles, attributes;
  DimensionHandle unused;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 3, &vertices));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(vertices, 2), 3, &unused));
  *batch = c->Dim(vertices, 0);
  TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(1), 2, &triangles));
  TF_RETURN_IF_ERROR(c->WithRankAtMost(triangles, 3, &triangles));
  if (c->RankKnown(triangles)) {
    TF_RETURN_IF_ERROR(c->WithValue(c->Dim(triangles, -1), 3, &unused));
    if (c->Rank(triangles) == 3) {
      TF_RETURN_IF_ERROR(c->Merge(*batch, c->Dim(triangles, 0), batch));
    }
  }
  TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 3, &attributes));
  TF_RETURN_IF_ERROR(c->Merge(*batch, c->Dim(attributes, 0), batch));
  TF_RETURN_IF_ERROR(
      c->Merge(c->Dim(vertices, 1), c->Dim(attributes, 1), &unused));
  return absl::OkStatus();
}

absl::Status ForwardShape(InferenceContext* c) {
  DimensionHandle batch, unused;
  TF_RETURN_IF_ERROR(CheckMeshShapes(c, &batch));
  ShapeHandle size, size_vector;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 1, &size_vector));
  TF_RETURN_IF_ERROR(c->WithValue(c->Dim(size_vector, 0), 2, &unused));
  TF_RETURN_IF_ERROR(c->MakeShapeFromShapeTensor(3, &size));
  TF_RETURN_IF_ERROR(c->WithRank(size, 2, &size));
  ShapeHandle image;
  TF_RETURN_IF_ERROR(c->Concatenate(c->Vector(batch), size, &image));
  const DimensionHandle channels = c->Dim(c->input(2), 2);
  ShapeHandle triples, attributes;
  TF_RETURN_IF_ERROR(c->Concatenate(image, c->Vector(3), &triples));
  TF_RETURN_IF_ERROR(c->Concatenate(image, c->Vector(channels), &attributes));
  c->set_output(0, image);
  c->set_output(1, image);
  c->set_output(2, triples);
  c->set_output(3, triples);
  c->set_output(4, attributes);
  return absl::OkStatus();
}

absl::Status GradientShape(InferenceContext* c) {
  DimensionHandle batch;
  TF_RETURN_IF_ERROR(CheckMeshShapes(c, &batch));
  c->set_output(0, c->input(0));
  c->set_output(1, c->input(2));
  return absl::OkStatus();
}

}  // namespace

// The attributes are the fields of the Python class CoverageRule.
REGISTER_OP("TfFaces>RenderDepth")
    .Input("vertices: T")
    .Input("triangles: int32")
    .Input("attributes: T")
    .Input("image_size: int32")
    .Output("depth: T")
    .Output("triangle_id: int32")
    .Output("barycentrics: T")
    .Output("normals: T")
    .Output("interpolated: T")
    .Attr("T: {float, double} = DT_FLOAT")
    .Attr("edges: {'top_left', 'strict', 'inclusive', 'box'} = 'top_left'")
    .Attr("flat: bool = false")
    .Attr("drop: bool = false")
    .Attr("border: int >= 0 = 0")
    .Attr("single_precision: bool = false")
    .Attr("background: float = -inf")
    .Attr("unit_normals: bool = true")
    .Attr("cull: {'none', 'back', 'front'} = 'none'")
    .Attr("instructions: {'auto', 'scalar', 'generic', 'avx2', 'avx512'} = 'auto'")
    .SetShapeFn(ForwardShape)
    .Doc(R"doc(
Draws triangle meshes into images.

vertices: [N, V, 3], x right and y down in pixels, larger z nearer.
triangles: [T, 3] for all meshes or [N, T, 3].
attributes: [N, V, C].
image_size: height and width.
depth: [N, H, W].
triangle_id: [N, H, W], -1 where no triangle is.
barycentrics: [N, H, W, 3].
normals: [N, H, W, 3].
interpolated: [N, H, W, C], the attributes at every pixel.
instructions: which vector instructions to use; for tests.
)doc");

REGISTER_OP("TfFaces>RenderDepthGrad")
    .Input("vertices: T")
    .Input("triangles: int32")
    .Input("attributes: T")
    .Input("triangle_id: int32")
    .Input("depth_gradient: T")
    .Input("barycentrics_gradient: T")
    .Input("normals_gradient: T")
    .Input("interpolated_gradient: T")
    .Output("vertices_gradient: T")
    .Output("attributes_gradient: T")
    .Attr("T: {float, double} = DT_FLOAT")
    .Attr("flat: bool = false")
    .Attr("unit_normals: bool = true")
    .Attr("instructions: {'auto', 'scalar', 'generic', 'avx2', 'avx512'} = 'auto'")
    .SetShapeFn(GradientShape)
    .Doc("Gradient of RenderDepth with respect to vertices and attributes.");

}  // namespace tf_faces
