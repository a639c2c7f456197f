// The units of benchmarks/render_depth.py.  One thread, one triangle and one pixel after
// another: the loop that everybody writes first, for depth and owner only, and the form
// of face3d's kernels, whose inside test and weights come from dot products in float32,
// for depth, owner, weights and three colours.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

struct Span {
  int64_t first, last;
};

// The pixels between the corners of a triangle along one axis.
inline Span inside(float a, float b, float c, int64_t length) {
  return {int64_t(std::max(0.0f, std::ceil(std::min({a, b, c})))),
          std::min<int64_t>(length - 1, std::floor(std::max({a, b, c})))};
}

}  // namespace

extern "C" void draw(const float* vertices, const int32_t* triangles, int64_t count,
                     int64_t height, int64_t width, float* depth, int32_t* owner) {
  std::fill(depth, depth + height * width, -INFINITY);
  std::fill(owner, owner + height * width, -1);
  for (int64_t t = 0; t < count; ++t) {
    const float* a = vertices + 3 * triangles[3 * t];
    const float* b = vertices + 3 * triangles[3 * t + 1];
    const float* c = vertices + 3 * triangles[3 * t + 2];
    const double area =
        (double(b[0]) - a[0]) * (double(c[1]) - a[1]) -
        (double(c[0]) - a[0]) * (double(b[1]) - a[1]);
    const Span rows = inside(a[1], b[1], c[1], height);
    const Span columns = inside(a[0], b[0], c[0], width);
    for (int64_t y = rows.first; y <= rows.last; ++y) {
      for (int64_t x = columns.first; x <= columns.last; ++x) {
        const double u = ((double(b[0]) - x) * (double(c[1]) - y) -
                          (double(c[0]) - x) * (double(b[1]) - y)) / area;
        const double v = ((double(c[0]) - x) * (double(a[1]) - y) -
                          (double(a[0]) - x) * (double(c[1]) - y)) / area;
        const double w = 1 - u - v;
        const float z = u * a[2] + v * b[2] + w * c[2];
        if (u >= 0 && v >= 0 && w >= 0 && z > depth[y * width + x]) {
          depth[y * width + x] = z;
          owner[y * width + x] = t;
        }
      }
    }
  }
}

namespace {

// Weights of the corners of `a`, `b` and `c` at (x, y), by five dot products.
inline void weigh(const float* a, const float* b, const float* c, float x, float y,
                  float* weights) {
  const float v0[2] = {c[0] - a[0], c[1] - a[1]};
  const float v1[2] = {b[0] - a[0], b[1] - a[1]};
  const float v2[2] = {x - a[0], y - a[1]};
  const float d00 = v0[0] * v0[0] + v0[1] * v0[1];
  const float d01 = v0[0] * v1[0] + v0[1] * v1[1];
  const float d02 = v0[0] * v2[0] + v0[1] * v2[1];
  const float d11 = v1[0] * v1[0] + v1[1] * v1[1];
  const float d12 = v1[0] * v2[0] + v1[1] * v2[1];
  const float bottom = d00 * d11 - d01 * d01;
  const float inverse = bottom == 0 ? 0 : 1 / bottom;
  weights[2] = (d11 * d02 - d01 * d12) * inverse;
  weights[1] = (d00 * d12 - d01 * d02) * inverse;
  weights[0] = 1 - weights[2] - weights[1];
}

}  // namespace

extern "C" void draw_all(const float* vertices, const int32_t* triangles,
                         const float* colors, int64_t count, int64_t height,
                         int64_t width, float* depth, int32_t* owner, float* weights,
                         float* image) {
  std::fill(depth, depth + height * width, -INFINITY);
  std::fill(owner, owner + height * width, -1);
  std::fill(weights, weights + 3 * height * width, 0.0f);
  std::fill(image, image + 3 * height * width, 0.0f);
  for (int64_t t = 0; t < count; ++t) {
    const int32_t* corners = triangles + 3 * t;
    const float* a = vertices + 3 * corners[0];
    const float* b = vertices + 3 * corners[1];
    const float* c = vertices + 3 * corners[2];
    const Span rows = inside(a[1], b[1], c[1], height);
    const Span columns = inside(a[0], b[0], c[0], width);
    for (int64_t y = rows.first; y <= rows.last; ++y) {
      for (int64_t x = columns.first; x <= columns.last; ++x) {
        float w[3];
        weigh(a, b, c, x, y, w);
        // The side opposite to the first corner is not the triangle's.
        if (!(w[1] >= 0 && w[2] >= 0 && w[0] > 0)) continue;
        const float z = w[0] * a[2] + w[1] * b[2] + w[2] * c[2];
        const int64_t pixel = y * width + x;
        if (z <= depth[pixel]) continue;
        depth[pixel] = z;
        owner[pixel] = t;
        for (int k = 0; k < 3; ++k) {
          weights[3 * pixel + k] = w[k];
          image[3 * pixel + k] = w[0] * colors[3 * corners[0] + k] +
                                 w[1] * colors[3 * corners[1] + k] +
                                 w[2] * colors[3 * corners[2] + k];
        }
      }
    }
  }
}
