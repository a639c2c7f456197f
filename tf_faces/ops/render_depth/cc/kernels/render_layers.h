// Several surfaces a pixel, nearest first: what hair, lashes and glass need.
//
// Plain C++ without TensorFlow types; coverage and depth are those of the top-left
// rule of render_depth.h.  Assumes checked input (CheckMesh).

#ifndef TF_FACES_OPS_RENDER_LAYERS_H_
#define TF_FACES_OPS_RENDER_LAYERS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "render_depth.h"

namespace tf_faces {
namespace render_depth {

struct Fragment {
  float depth;
  int32_t triangle;
};

// The nearest `layers` fragments of every pixel, [pixels, layers], and how many there
// are.  Entries beyond the count are not initialised.
struct FragmentLists {
  std::unique_ptr<Fragment[]> entries;
  std::vector<uint8_t> counts;
  int layers;
};

// Lists what lies in front of `limit` [height, width].  Among equal depths the lower
// triangle index comes first.
inline FragmentLists CollectFragments(const Mesh<float>& mesh, const float* limit,
                                      int64_t height, int64_t width, int layers) {
  const int64_t pixels = height * width;
  FragmentLists lists;
  lists.layers = layers;
  lists.counts.assign(pixels, 0);
  lists.entries.reset(new Fragment[pixels * layers]);
  const Rule rule;
  for (int64_t index = 0; index < mesh.triangle_count; ++index) {
    const Triangle<float> triangle = LoadTriangle(mesh, index);
    Box box;
    TopLeftCoverage<float> coverage;
    if (!FindBox(triangle, rule, height, width, 0, height, &box) ||
        !coverage.Prepare(triangle, rule)) {
      continue;
    }
    const double* a = coverage.a;
    const double* threshold = coverage.threshold;
    double inverse[3];
    for (int i = 0; i < 3; ++i) inverse[i] = a[i] != 0 ? -1.0 / a[i] : 0.0;
    for (int64_t y = box.y_first; y <= box.y_last; ++y) {
      double row[3];
      // Where the edges cross the row, with a pixel to spare, narrows the search.
      double first = static_cast<double>(box.x_first);
      double last = static_cast<double>(box.x_last);
      for (int i = 0; i < 3; ++i) {
        row[i] = coverage.b[i] * static_cast<double>(y) + coverage.c[i];
        const double crossing = row[i] * inverse[i];
        if (a[i] > 0 && crossing - 1.0 > first) first = crossing - 1.0;
        if (a[i] < 0 && crossing + 1.0 < last) last = crossing + 1.0;
      }
      if (!(first <= last)) continue;
      bool entered = false;
      for (int64_t x = static_cast<int64_t>(first); x <= static_cast<int64_t>(last);
           ++x) {
        // As TopLeftCoverage::Covers.  What a row covers has no gaps.
        const double e0 = a[0] * static_cast<double>(x) + row[0];
        const double e1 = a[1] * static_cast<double>(x) + row[1];
        const double e2 = a[2] * static_cast<double>(x) + row[2];
        if (!(e0 > threshold[0] && e1 > threshold[1] && e2 > threshold[2])) {
          if (entered) break;
          continue;
        }
        entered = true;
        const float depth = static_cast<float>(
            coverage.z + (e1 * coverage.slope1 + e2 * coverage.slope2));
        const int64_t pixel = y * width + x;
        if (!(depth > limit[pixel])) continue;
        Fragment* list = lists.entries.get() + pixel * layers;
        int place = lists.counts[pixel];
        if (place == layers) {
          if (!(depth > list[layers - 1].depth)) continue;
          --place;
        } else {
          ++lists.counts[pixel];
        }
        for (; place > 0 && depth > list[place - 1].depth; --place) {
          list[place] = list[place - 1];
        }
        list[place] = {depth, static_cast<int32_t>(index)};
      }
    }
  }
  return lists;
}

// Interpolates the attributes of fragments as ResolvePixel does.  Keeps what belongs to
// the last triangle: neighbouring pixels mostly see the same.
class FragmentAttributes {
 public:
  explicit FragmentAttributes(const Mesh<float>& mesh) : mesh_(mesh) {}

  void Interpolate(int64_t index, int64_t x, int64_t y, float* result) {
    if (index != index_) {
      index_ = index;
      plane_.emplace(LoadTriangle(mesh_, index));
      for (int i = 0; i < 3; ++i) {
        corner_[i] = mesh_.attributes +
                     mesh_.channels *
                         static_cast<int64_t>(mesh_.triangles[3 * index + i]);
      }
    }
    double w1, w2;
    plane_->Weights(x, y, &w1, &w2);
    for (int64_t c = 0; c < mesh_.channels; ++c) {
      const double value = corner_[0][c];
      result[c] = static_cast<float>(value + (w1 * (double(corner_[1][c]) - value) +
                                              w2 * (double(corner_[2][c]) - value)));
    }
  }

 private:
  const Mesh<float>& mesh_;
  int64_t index_ = -1;
  std::optional<Plane> plane_;
  const float* corner_[3];
};

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_LAYERS_H_
