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

// Gradient of the unit or plain normal g with respect to the corners, added to
// position[corner][axis].
template <typename T>
TF_FACES_DEVICE void NormalGradient(const Triangle<T>& t, bool unit_normals,
                                    double g[3], double position[3][3]) {
  if (g[0] == 0 && g[1] == 0 && g[2] == 0) return;
  if (unit_normals) {
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

// Sums the gradients of consecutive pixels of one triangle before they go to memory.
template <typename T>
class InterpolatedRun {
 public:
  // Channels beyond these are added to memory pixel by pixel.
  static constexpr int kSummed = 4;

  TF_FACES_DEVICE InterpolatedRun(const Mesh<T>& mesh, int64_t index)
      : corners_(mesh.triangles + 3 * index),
        triangle_(LoadTriangle(mesh, index)),
        plane_(triangle_) {
    for (int k = 0; k < 3; ++k) {
      for (int i = 0; i < 3; ++i) position_[k][i] = 0;
      for (int c = 0; c < kSummed; ++c) sums_[k][c] = 0;
      normal_[k] = 0;
    }
  }

  template <typename Add>
  TF_FACES_DEVICE void AddPixel(const Mesh<T>& mesh, const ImageGradient<T>& incoming,
                                int64_t x, int64_t y, int64_t pixel,
                                const MeshGradient<T>& result, Add add) {
    const int64_t channels = mesh.channels;
    double w[3];
    plane_.Weights(x, y, &w[1], &w[2]);
    w[0] = (1.0 - w[1]) - w[2];
    const double depth = incoming.depth[pixel];
    double s[3];
    for (int k = 0; k < 3; ++k) {
      s[k] = depth * triangle_.z[k] + incoming.barycentrics[3 * pixel + k];
      normal_[k] += incoming.normals[3 * pixel + k];
    }
    for (int64_t c = 0; c < channels; ++c) {
      const double gradient = incoming.attributes[channels * pixel + c];
      for (int k = 0; k < 3; ++k) {
        const int64_t entry = channels * static_cast<int64_t>(corners_[k]) + c;
        s[k] += gradient * mesh.attributes[entry];
        if (c < kSummed) {
          sums_[k][c] += w[k] * gradient;
        } else {
          add(result.attributes + entry, static_cast<T>(w[k] * gradient));
        }
      }
    }
    const double f1 = s[1] - s[0], f2 = s[2] - s[0];
    const double fx = (f1 * plane_.e2y - f2 * plane_.e1y) * plane_.inverse;
    const double fy = (f2 * plane_.e1x - f1 * plane_.e2x) * plane_.inverse;
    for (int k = 0; k < 3; ++k) {
      position_[k][0] -= w[k] * fx;
      position_[k][1] -= w[k] * fy;
      position_[k][2] += w[k] * depth;
    }
  }

  template <typename Add>
  TF_FACES_DEVICE void Finish(bool unit_normals, int64_t channels,
                              const MeshGradient<T>& result, Add add) {
    NormalGradient(triangle_, unit_normals, normal_, position_);
    for (int k = 0; k < 3; ++k) {
      const int64_t vertex = corners_[k];
      for (int i = 0; i < 3; ++i) {
        add(result.vertices + 3 * vertex + i, static_cast<T>(position_[k][i]));
      }
      for (int c = 0; c < kSummed && c < channels; ++c) {
        add(result.attributes + channels * vertex + c, static_cast<T>(sums_[k][c]));
      }
    }
  }

 private:
  const int32_t* corners_;
  Triangle<T> triangle_;
  Plane plane_;
  double position_[3][3];
  double normal_[3];
  double sums_[3][kSummed];
};

// Adds the gradients of `count` pixels of one triangle, from (x, y) to the right.
template <typename T, typename Add>
TF_FACES_DEVICE void RunGradient(const Mesh<T>& mesh, const Rule& rule,
                                 const ImageGradient<T>& incoming, int64_t width,
                                 int64_t x, int64_t y, int64_t count, int64_t index,
                                 const MeshGradient<T>& result, Add add) {
  const int64_t pixel = y * width + x;
  if (rule.flat) {
    for (int64_t i = 0; i < count; ++i) {
      FlatPixelGradient(mesh, incoming, pixel + i, mesh.triangles + 3 * index, result,
                        add);
    }
    return;
  }
  InterpolatedRun<T> run(mesh, index);
  for (int64_t i = 0; i < count; ++i) {
    run.AddPixel(mesh, incoming, x + i, y, pixel + i, result, add);
  }
  run.Finish(rule.unit_normals, mesh.channels, result, add);
}

// Adds the gradients of one image to `result`, which the caller has set to zero.
// Pixels are taken in order, so that the sums do not depend on threads.
template <typename T>
void Gradient(const Mesh<T>& mesh, const Rule& rule, const ImageGradient<T>& incoming,
              const int32_t* triangle_id, int64_t height, int64_t width,
              const MeshGradient<T>& result) {
  for (int64_t y = 0; y < height; ++y) {
    const int32_t* ids = triangle_id + y * width;
    int64_t x = 0;
    while (x < width) {
      const int64_t begin = x, index = ids[x];
      while (x < width && ids[x] == index) ++x;
      if (index >= 0) {
        RunGradient(mesh, rule, incoming, width, begin, y, x - begin, index, result,
                    PlainAdd());
      }
    }
  }
}

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_DEPTH_GRADIENT_H_
