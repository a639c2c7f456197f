// Several surfaces a pixel, nearest first: what hair, lashes and glass need.
//
// Plain C++ without TensorFlow types; coverage and depth are those of the top-left
// rule of render_depth.h.  Assumes checked input (CheckMesh).

#ifndef TF_FACES_OPS_RENDER_LAYERS_H_
#define TF_FACES_OPS_RENDER_LAYERS_H_

#include <cstdint>
#include <memory>
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
    for (int64_t y = box.y_first; y <= box.y_last; ++y) {
      for (int64_t x = box.x_first; x <= box.x_last; ++x) {
        float depth;
        const int64_t pixel = y * width + x;
        if (!coverage.Covers(x, y, height, width, &depth) || !(depth > limit[pixel])) {
          continue;
        }
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

// Interpolates the attributes of one fragment as ResolvePixel does.
inline void InterpolateFragment(const Mesh<float>& mesh, int64_t index, int64_t x,
                                int64_t y, float* result) {
  const float* corner[3];
  for (int i = 0; i < 3; ++i) {
    corner[i] = mesh.attributes +
                mesh.channels * static_cast<int64_t>(mesh.triangles[3 * index + i]);
  }
  double w1, w2;
  Plane(LoadTriangle(mesh, index)).Weights(x, y, &w1, &w2);
  for (int64_t c = 0; c < mesh.channels; ++c) {
    const double value = corner[0][c];
    result[c] = static_cast<float>(value + (w1 * (double(corner[1][c]) - value) +
                                            w2 * (double(corner[2][c]) - value)));
  }
}

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_LAYERS_H_
