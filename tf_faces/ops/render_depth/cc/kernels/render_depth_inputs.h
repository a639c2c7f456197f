// Shapes and limits of the rasteriser's inputs, shared by the CPU and GPU kernels.

#ifndef TF_FACES_OPS_RENDER_DEPTH_INPUTS_H_
#define TF_FACES_OPS_RENDER_DEPTH_INPUTS_H_

#include <limits>
#include <string>

#include "render_depth.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tf_faces {
namespace render_depth {

// Pixel coordinates must be exact in float32.
constexpr int64_t kMaximumSide = int64_t{1} << 24;
// No output may have more elements than this.
constexpr int64_t kMaximumElements = std::numeric_limits<int32_t>::max();

struct Sizes {
  int64_t batch, vertices, triangles, channels;
  bool shared_triangles;
};

inline absl::Status ReadSizes(const tensorflow::Tensor& vertices,
                              const tensorflow::Tensor& triangles,
                              const tensorflow::Tensor& attributes, Sizes* sizes) {
  if (vertices.dims() != 3 || vertices.dim_size(2) != 3) {
    return absl::InvalidArgumentError("vertices must have shape [N, V, 3]. Received: " +
                                      vertices.shape().DebugString());
  }
  if ((triangles.dims() != 2 && triangles.dims() != 3) ||
      triangles.dim_size(triangles.dims() - 1) != 3) {
    return absl::InvalidArgumentError(
        "triangles must have shape [T, 3] or [N, T, 3]. Received: " +
        triangles.shape().DebugString());
  }
  sizes->batch = vertices.dim_size(0);
  sizes->vertices = vertices.dim_size(1);
  sizes->shared_triangles = triangles.dims() == 2;
  sizes->triangles = triangles.dim_size(triangles.dims() - 2);
  if (!sizes->shared_triangles && triangles.dim_size(0) != sizes->batch) {
    return absl::InvalidArgumentError(
        "triangles and vertices must have the same batch size. Received: " +
        triangles.shape().DebugString() + " and " + vertices.shape().DebugString());
  }
  if (attributes.dims() != 3 || attributes.dim_size(0) != sizes->batch ||
      attributes.dim_size(1) != sizes->vertices) {
    return absl::InvalidArgumentError(
        "attributes must have shape [N, V, C] with N and V of the vertices " +
        vertices.shape().DebugString() +
        ". Received: " + attributes.shape().DebugString());
  }
  sizes->channels = attributes.dim_size(2);
  if (sizes->vertices > kMaximumElements || sizes->triangles > kMaximumElements) {
    return absl::InvalidArgumentError(
        "a mesh must have fewer than 2^31 vertices and triangles. Received: " +
        vertices.shape().DebugString() + " and " + triangles.shape().DebugString());
  }
  return absl::OkStatus();
}

inline absl::Status CheckImageSize(const Sizes& sizes, int64_t height, int64_t width) {
  if (height < 0 || width < 0 || height > kMaximumSide || width > kMaximumSide) {
    return absl::InvalidArgumentError(
        "height and width must be between 0 and " + std::to_string(kMaximumSide) +
        ". Received: " + std::to_string(height) + " and " + std::to_string(width));
  }
  // Each factor is below 2^31, so each product of two is exact.
  const int64_t channels = sizes.channels > 3 ? sizes.channels : 3;
  const int64_t pixels = height * width;
  if (pixels > 0 && sizes.batch > 0 &&
      (pixels > kMaximumElements || sizes.batch > kMaximumElements / pixels ||
       channels > kMaximumElements / (pixels * sizes.batch))) {
    return absl::InvalidArgumentError(
        "the images must have fewer than 2^31 values. Received: " +
        std::to_string(sizes.batch) + " images of height " + std::to_string(height) +
        ", width " + std::to_string(width) + " and " + std::to_string(channels) +
        " channels");
  }
  return absl::OkStatus();
}

// Image size that the fourth input holds, in host memory.
inline absl::Status ReadImageSize(const tensorflow::Tensor& image_size,
                                  const Sizes& sizes, int64_t* height, int64_t* width) {
  if (image_size.dims() != 1 || image_size.NumElements() != 2) {
    return absl::InvalidArgumentError(
        "image_size must hold height and width. Received: shape " +
        image_size.shape().DebugString());
  }
  *height = image_size.flat<int32_t>()(0);
  *width = image_size.flat<int32_t>()(1);
  return CheckImageSize(sizes, *height, *width);
}

// Allocates depth, triangle ids, barycentrics, normals and attributes.
inline absl::Status AllocateImages(tensorflow::OpKernelContext* context,
                                   const Sizes& sizes, int64_t height, int64_t width,
                                   tensorflow::Tensor* outputs[5]) {
  const tensorflow::TensorShape image({sizes.batch, height, width});
  tensorflow::TensorShape triples = image, mixed = image;
  triples.AddDim(3);
  mixed.AddDim(sizes.channels);
  const tensorflow::TensorShape* shapes[5] = {&image, &image, &triples, &triples,
                                              &mixed};
  for (int i = 0; i < 5; ++i) {
    TF_RETURN_IF_ERROR(context->allocate_output(i, *shapes[i], &outputs[i]));
  }
  return absl::OkStatus();
}

// Checks that triangle ids (the fourth input) and the gradients of depth, barycentrics,
// normals and attributes (the next four) fit each other.
inline absl::Status CheckImageGradients(tensorflow::OpKernelContext* context,
                                        const Sizes& sizes) {
  const tensorflow::TensorShape& image = context->input(3).shape();
  if (image.dims() != 3 || image.dim_size(0) != sizes.batch) {
    return absl::InvalidArgumentError(
        "triangle_id must have shape [N, H, W]. Received: " + image.DebugString());
  }
  tensorflow::TensorShape triples = image, mixed = image;
  triples.AddDim(3);
  mixed.AddDim(sizes.channels);
  const tensorflow::TensorShape* expected[4] = {&image, &triples, &triples, &mixed};
  for (int i = 0; i < 4; ++i) {
    const tensorflow::TensorShape& found = context->input(4 + i).shape();
    if (found != *expected[i]) {
      return absl::InvalidArgumentError(
          "gradient " + std::to_string(i) + " must have shape " +
          expected[i]->DebugString() + ". Received: " + found.DebugString());
    }
  }
  return absl::OkStatus();
}

inline absl::Status MeshStatus(MeshError error, const Sizes& sizes, int64_t item) {
  switch (error) {
    case MeshError::kIndex:
      return absl::InvalidArgumentError(
          "triangles must index the " + std::to_string(sizes.vertices) +
          " vertices. Received: an index below 0 or above, in item " +
          std::to_string(item));
    case MeshError::kNotFinite:
      return absl::InvalidArgumentError(
          "vertices must be finite. Received: NaN or infinity in item " +
          std::to_string(item));
    default:
      return absl::OkStatus();
  }
}

template <typename T>
Mesh<T> MeshOfItem(const Sizes& sizes, const tensorflow::Tensor& vertices,
                   const tensorflow::Tensor& triangles,
                   const tensorflow::Tensor& attributes, int64_t item) {
  Mesh<T> mesh;
  mesh.vertices = vertices.flat<T>().data() + item * sizes.vertices * 3;
  mesh.vertex_count = sizes.vertices;
  mesh.triangles = triangles.flat<int32_t>().data() +
                   (sizes.shared_triangles ? 0 : item * sizes.triangles * 3);
  mesh.triangle_count = sizes.triangles;
  mesh.attributes =
      attributes.flat<T>().data() + item * sizes.vertices * sizes.channels;
  mesh.channels = sizes.channels;
  return mesh;
}

// Reads the attributes that ops/render_depth_ops.cc declares.
inline absl::Status ReadRule(tensorflow::OpKernelConstruction* context, Rule* rule) {
  std::string edges, cull;
  float background;
  TF_RETURN_IF_ERROR(context->GetAttr("edges", &edges));
  TF_RETURN_IF_ERROR(context->GetAttr("flat", &rule->flat));
  TF_RETURN_IF_ERROR(context->GetAttr("drop", &rule->drop));
  TF_RETURN_IF_ERROR(context->GetAttr("border", &rule->border));
  TF_RETURN_IF_ERROR(context->GetAttr("single_precision", &rule->single_precision));
  TF_RETURN_IF_ERROR(context->GetAttr("background", &background));
  TF_RETURN_IF_ERROR(context->GetAttr("unit_normals", &rule->unit_normals));
  TF_RETURN_IF_ERROR(context->GetAttr("cull", &cull));
  rule->background = background;
  rule->edges = edges == "strict"      ? Edges::kStrict
                : edges == "inclusive" ? Edges::kInclusive
                : edges == "box"       ? Edges::kBox
                                       : Edges::kTopLeft;
  rule->cull = cull == "back"    ? Cull::kBack
               : cull == "front" ? Cull::kFront
                                 : Cull::kNone;
  return absl::OkStatus();
}

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_DEPTH_INPUTS_H_
