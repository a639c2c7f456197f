// Gradient of the rasteriser: from the outputs' gradients to vertices and attributes.
//
// Coverage is held fixed.  A pixel's value is f = sum_j w_j s_j with barycentric
// weights w and corner values s; moving corner k by d changes it by -w_k (grad f . d),
// where grad f is the screen-space slope of the plane through the corner values.
// Flat rules pass a third of the depth's gradient to each corner's z, as the original
// RenderDepthGrad does (its uninitialised buffer and its use of background pixels are
// not repeated), and a third of the attributes' gradient to each corner.

#ifndef TF_FACES_OPS_RENDER_DEPTH_GRADIENT_H_
#define TF_FACES_OPS_RENDER_DEPTH_GRADIENT_H_

#include "render_depth.h"

namespace tf_faces {
namespace render_depth {

// Adds to memory that only this thread writes.
struct PlainAdd {
  template <typename T>
  TF_FACES_DEVICE void operator()(T* target, T value) const {
    *target += value;
  }
};

template <typename T, typename Add>
TF_FACES_DEVICE void FlatPixelGradient(const Mesh<T>& mesh,
                                       const ImageGradient<T>& incoming,
                                       int64_t pixel, const int32_t* corners,
                                       const MeshGradient<T>& result, Add add) {
  const int64_t channels = mesh.channels;
  const T third = incoming.depth[pixel] / T(3);
  for (int k = 0; k < 3; ++k) {
    const int64_t vertex = corners[k];
    add(result.vertices + 3 * vertex + 2, third);
    for (int64_t c = 0; c < channels; ++c) {
      add(result.attributes + channels * vertex + c,
          incoming.attributes[channels * pixel + c] / T(3));
    }
  }
}

// Gradient of a normal with respect to the corners: position[k][axis] is added to.
template <typename T>
TF_FACES_DEVICE void NormalGradient(const Triangle<T>& t, const Rule& rule,
                                    const T* incoming, double position[3][3]) {
  double g[3] = {double(incoming[0]), double(incoming[1]), double(incoming[2])};
  if (g[0] == 0 && g[1] == 0 && g[2] == 0) return;
  if (rule.unit_normals) {
    double n[3];
    CrossProduct<double>(t, n);
    const double length = std::sqrt((n[0] * n[0] + n[1] * n[1]) + n[2] * n[2]);
    if (!(length > 0)) return;
    const double scale = 1.0 / length;
    const double along = (n[0] * g[0] + n[1] * g[1] + n[2] * g[2]) * scale * scale;
    for (int i = 0; i < 3; ++i) g[i] = (g[i] - along * n[i]) * scale;
  }
  const double a[3] = {double(t.x[1]) - t.x[0], double(t.y[1]) - t.y[0],
                       double(t.z[1]) - t.z[0]};
  const double b[3] = {double(t.x[2]) - t.x[0], double(t.y[2]) - t.y[0],
                       double(t.z[2]) - t.z[0]};
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    const double first = b[j] * g[k] - b[k] * g[j];   // b x g
    const double second = g[j] * a[k] - g[k] * a[j];  // g x a
    position[1][i] += first;
    position[2][i] += second;
    position[0][i] -= first + second;
  }
}

template <typename T, typename Add>
TF_FACES_DEVICE void PixelGradient(const Mesh<T>& mesh, const Rule& rule,
                                   const ImageGradient<T>& incoming, int64_t x,
                                   int64_t y, int64_t pixel, int64_t index,
                                   const MeshGradient<T>& result, Add add) {
  const int32_t* corners = mesh.triangles + 3 * index;
  if (rule.flat) {
    FlatPixelGradient(mesh, incoming, pixel, corners, result, add);
    return;
  }
  const int64_t channels = mesh.channels;
  const Triangle<T> t = LoadTriangle(mesh, index);
  const Plane plane(t);
  double w[3];
  plane.Weights(x, y, &w[1], &w[2]);
  w[0] = (1.0 - w[1]) - w[2];
  const double depth = incoming.depth[pixel];
  double s[3];
  for (int k = 0; k < 3; ++k) {
    s[k] = depth * t.z[k] + incoming.barycentrics[3 * pixel + k];
  }
  for (int64_t c = 0; c < channels; ++c) {
    const T gradient = incoming.attributes[channels * pixel + c];
    for (int k = 0; k < 3; ++k) {
      const int64_t entry = channels * static_cast<int64_t>(corners[k]) + c;
      s[k] += static_cast<double>(gradient) * mesh.attributes[entry];
      add(result.attributes + entry, static_cast<T>(w[k] * gradient));
    }
  }
  const double f1 = s[1] - s[0], f2 = s[2] - s[0];
  const double fx = (f1 * plane.e2y - f2 * plane.e1y) * plane.inverse;
  const double fy = (f2 * plane.e1x - f1 * plane.e2x) * plane.inverse;
  double position[3][3];
  for (int k = 0; k < 3; ++k) {
    position[k][0] = -w[k] * fx;
    position[k][1] = -w[k] * fy;
    position[k][2] = w[k] * depth;
  }
  NormalGradient(t, rule, incoming.normals + 3 * pixel, position);
  for (int k = 0; k < 3; ++k) {
    T* vertex = result.vertices + 3 * static_cast<int64_t>(corners[k]);
    for (int i = 0; i < 3; ++i) add(vertex + i, static_cast<T>(position[k][i]));
  }
}

// Writes the gradients of one image to `result`.  Pixels are taken in order, so that the sums do not depend on threads.
template <typename T>
void Gradient(const Mesh<T>& mesh, const Rule& rule, const ImageGradient<T>& incoming,
              const int32_t* triangle_id, int64_t height, int64_t width,
              const MeshGradient<T>& result) {
  for (int64_t i = 0; i < 3 * mesh.vertex_count; ++i) result.vertices[i] = T(0);
  for (int64_t i = 0; i < mesh.channels * mesh.vertex_count; ++i) {
    result.attributes[i] = T(0);
  }
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t pixel = y * width + x, index = triangle_id[pixel];
      if (index < 0) continue;
      PixelGradient(mesh, rule, incoming, x, y, pixel, index, result, PlainAdd());
    }
  }
}

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_DEPTH_GRADIENT_H_
