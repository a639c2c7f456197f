// The unit of benchmarks/render_depth.py: the loop that everybody writes first.  One
// thread, one triangle and one pixel after another, depth and owner only.

#include <algorithm>
#include <cmath>
#include <cstdint>

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
    const int64_t left = std::max(0.0f, std::ceil(std::min({a[0], b[0], c[0]})));
    const int64_t top = std::max(0.0f, std::ceil(std::min({a[1], b[1], c[1]})));
    const int64_t right = std::min<int64_t>(
        width - 1, std::floor(std::max({a[0], b[0], c[0]})));
    const int64_t bottom = std::min<int64_t>(
        height - 1, std::floor(std::max({a[1], b[1], c[1]})));
    for (int64_t y = top; y <= bottom; ++y) {
      for (int64_t x = left; x <= right; ++x) {
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
