// The rasteriser: which triangle each pixel shows, and what it looks like there.
//
// Plain C++ without TensorFlow types, so that it can be fuzzed and reused; the
// functions marked TF_FACES_DEVICE run on GPUs too.  Conventions: x right, y down,
// the centre of pixel (row i, column j) at x = j, y = i, larger z nearer; among equal
// depths the lowest triangle index wins.  The functions of this file assume checked
// input (CheckMesh); they keep no state, and each call touches only its own rows.
//
// Must be compiled without contraction of a * b + c into fused operations: the
// exact negation of an edge function under exchange of its ends depends on it.

#ifndef TF_FACES_OPS_RENDER_DEPTH_H_
#define TF_FACES_OPS_RENDER_DEPTH_H_

#include <cmath>
#include <cstdint>
#include <limits>

#if defined(__CUDACC__)
#define TF_FACES_DEVICE __host__ __device__ __forceinline__
#else
#define TF_FACES_DEVICE inline
#endif

#if defined(__GNUC__)
#define TF_FACES_ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define TF_FACES_ALWAYS_INLINE inline
#endif

namespace tf_faces {
namespace render_depth {

enum class Edges { kTopLeft, kStrict, kInclusive, kBox };
enum class Cull { kNone, kBack, kFront };

// One way to rasterise; rules.py documents the fields and names the combinations.
struct Rule {
  Edges edges = Edges::kTopLeft;
  bool flat = false;
  bool drop = false;
  int border = 0;
  bool single_precision = false;
  double background = -std::numeric_limits<double>::infinity();
  bool unit_normals = true;
  Cull cull = Cull::kNone;
};

template <typename T>
struct Mesh {
  const T* vertices;         // [vertex_count, 3]
  int64_t vertex_count;
  const int32_t* triangles;  // [triangle_count, 3]
  int64_t triangle_count;
  const T* attributes;       // [vertex_count, channels]
  int64_t channels;
};

template <typename T>
struct Image {
  int64_t height;
  int64_t width;
  T* depth;              // [height, width]; the depth test's buffer in between
  int32_t* triangle_id;  // [height, width]
  T* barycentrics;       // [height, width, 3]
  T* normals;            // [height, width, 3]
  T* attributes;         // [height, width, channels]
};

// Gradients of a loss with respect to the outputs; same layout as Image.
template <typename T>
struct ImageGradient {
  const T* depth;
  const T* barycentrics;
  const T* normals;
  const T* attributes;
};

template <typename T>
struct MeshGradient {
  T* vertices;
  T* attributes;
};

enum class MeshError { kNone, kIndex, kNotFinite };

// Reports an index outside the vertices or a coordinate that is not finite.  Inlined
// so that it is compiled for the instruction set of its caller.
template <typename T>
TF_FACES_ALWAYS_INLINE MeshError CheckMesh(const Mesh<T>& mesh) {
  // Reductions without early exit, which compilers turn into vector code.
  uint32_t greatest = 0;  // A negative index is a huge one.
  for (int64_t i = 0; i < 3 * mesh.triangle_count; ++i) {
    const uint32_t index = static_cast<uint32_t>(mesh.triangles[i]);
    greatest = index > greatest ? index : greatest;
  }
  if (mesh.triangle_count > 0 &&
      static_cast<int64_t>(greatest) >= mesh.vertex_count) {
    return MeshError::kIndex;
  }
  int not_finite = 0;
  for (int64_t i = 0; i < 3 * mesh.vertex_count; ++i) {
    not_finite |= !(std::fabs(mesh.vertices[i]) <= std::numeric_limits<T>::max());
  }
  return not_finite ? MeshError::kNotFinite : MeshError::kNone;
}

template <typename T>
struct Triangle {
  T x[3], y[3], z[3];
};

template <typename T>
TF_FACES_DEVICE Triangle<T> LoadTriangle(const Mesh<T>& mesh, int64_t index) {
  Triangle<T> triangle;
  for (int corner = 0; corner < 3; ++corner) {
    const T* vertex =
        mesh.vertices + 3 * static_cast<int64_t>(mesh.triangles[3 * index + corner]);
    triangle.x[corner] = vertex[0];
    triangle.y[corner] = vertex[1];
    triangle.z[corner] = vertex[2];
  }
  return triangle;
}

// Pixels from (x_first, y_first) to (x_last, y_last), both included.
struct Box {
  int64_t x_first, x_last, y_first, y_last;
};

// Finds the pixels of the rows [row_begin, row_end) that a triangle's bounding box
// holds; false if there are none or the rule drops the triangle.
template <typename T>
TF_FACES_DEVICE bool FindBox(const Triangle<T>& t, const Rule& rule, int64_t height,
                             int64_t width, int64_t row_begin, int64_t row_end,
                             Box* box) {
  const T x_low = std::ceil(std::fmin(std::fmin(t.x[0], t.x[1]), t.x[2]));
  const T x_high = std::floor(std::fmax(std::fmax(t.x[0], t.x[1]), t.x[2]));
  const T y_low = std::ceil(std::fmin(std::fmin(t.y[0], t.y[1]), t.y[2]));
  const T y_high = std::floor(std::fmax(std::fmax(t.y[0], t.y[1]), t.y[2]));
  const T right = static_cast<T>(width - 1), bottom = static_cast<T>(height - 1);
  if (!(x_low <= x_high && y_low <= y_high)) return false;
  if (!(x_low <= right && x_high >= 0 && y_low <= bottom && y_high >= 0)) return false;
  if (rule.drop && (x_low < 0 || x_high > right || y_low < 0 || y_high > bottom)) {
    return false;
  }
  box->x_first = x_low > 0 ? static_cast<int64_t>(x_low) : 0;
  box->x_last = x_high < right ? static_cast<int64_t>(x_high) : width - 1;
  box->y_first = y_low > 0 ? static_cast<int64_t>(y_low) : 0;
  box->y_last = y_high < bottom ? static_cast<int64_t>(y_high) : height - 1;
  if (box->y_first < row_begin) box->y_first = row_begin;
  if (box->y_last > row_end - 1) box->y_last = row_end - 1;
  return box->y_first <= box->y_last;
}

// (p1 - p0) x (p2 - p0), differences in the precision D.
template <typename D, typename T>
TF_FACES_DEVICE void CrossProduct(const Triangle<T>& t, double normal[3]) {
  const double ax = D(t.x[1]) - D(t.x[0]), bx = D(t.x[2]) - D(t.x[0]);
  const double ay = D(t.y[1]) - D(t.y[0]), by = D(t.y[2]) - D(t.y[0]);
  const double az = D(t.z[1]) - D(t.z[0]), bz = D(t.z[2]) - D(t.z[0]);
  normal[0] = ay * bz - az * by;
  normal[1] = az * bx - ax * bz;
  normal[2] = ax * by - ay * bx;
}

template <typename T>
TF_FACES_DEVICE bool Culled(const Triangle<T>& t, Cull cull) {
  if (cull == Cull::kNone) return false;
  double normal[3];
  CrossProduct<T>(t, normal);
  return cull == Cull::kBack ? normal[2] < 0 : normal[2] > 0;
}

template <typename T>
TF_FACES_DEVICE T Mean(T a, T b, T c) {
  return ((a + b) + c) / T(3);
}

// The top-left rule.  Edge functions e_i = a_i x + (b_i y + c_i), positive inside, in
// float64: the two triangles at an edge compute exactly opposite values, so that a
// pixel centre falls into one of them; on the edge itself the top-left one takes it.
template <typename T>
struct TopLeftCoverage {
  double a[3], b[3], c[3], threshold[3];
  double z, slope1, slope2;

  TF_FACES_DEVICE bool Prepare(const Triangle<T>& t, const Rule&) {
    const double x[3] = {double(t.x[0]), double(t.x[1]), double(t.x[2])};
    const double y[3] = {double(t.y[0]), double(t.y[1]), double(t.y[2])};
    const double area =
        (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]);
    if (!(area != 0)) return false;
    const double sign = area > 0 ? 1.0 : -1.0;
    for (int i = 0; i < 3; ++i) {
      const int from = (i + 1) % 3, to = (i + 2) % 3;
      a[i] = (y[from] - y[to]) * sign;
      b[i] = (x[to] - x[from]) * sign;
      c[i] = (x[from] * y[to] - x[to] * y[from]) * sign;
      // e > -smallest normal number means e >= 0, also where denormals are flushed.
      const bool owned = a[i] > 0 || (a[i] == 0 && b[i] > 0);
      threshold[i] = owned ? -std::numeric_limits<double>::min() : 0.0;
    }
    const double inverse = 1.0 / std::fabs(area);
    z = t.z[0];
    slope1 = (double(t.z[1]) - z) * inverse;
    slope2 = (double(t.z[2]) - z) * inverse;
    return true;
  }

  TF_FACES_DEVICE bool Covers(int64_t px, int64_t py, int64_t, int64_t,
                              T* depth) const {
    const double x = static_cast<double>(px), y = static_cast<double>(py);
    const double e0 = a[0] * x + (b[0] * y + c[0]);
    const double e1 = a[1] * x + (b[1] * y + c[1]);
    const double e2 = a[2] * x + (b[2] * y + c[2]);
    *depth = static_cast<T>(z + (e1 * slope1 + e2 * slope2));
    return e0 > threshold[0] && e1 > threshold[1] && e2 > threshold[2];
  }
};

// The weights of the original programs: u towards corner 2, v towards corner 1,
// and u = v = 0 for triangles without area.
template <typename T, typename Real>
struct DotProductCoverage {
  Real x, y, v0x, v0y, v1x, v1y, d00, d01, d11, inverse;
  Real z[3];
  T flat_z;
  bool flat;
  Edges edges;
  int border;

  TF_FACES_DEVICE bool Prepare(const Triangle<T>& t, const Rule& rule) {
    x = Real(t.x[0]);
    y = Real(t.y[0]);
    v0x = Real(t.x[2]) - x;
    v0y = Real(t.y[2]) - y;
    v1x = Real(t.x[1]) - x;
    v1y = Real(t.y[1]) - y;
    d00 = v0x * v0x + v0y * v0y;
    d01 = v0x * v1x + v0y * v1y;
    d11 = v1x * v1x + v1y * v1y;
    const Real determinant = d00 * d11 - d01 * d01;
    inverse = determinant != 0 ? Real(1) / determinant : Real(0);
    for (int i = 0; i < 3; ++i) z[i] = Real(t.z[i]);
    flat_z = Mean(t.z[0], t.z[1], t.z[2]);
    flat = rule.flat;
    edges = rule.edges;
    border = rule.border;
    return true;
  }

  TF_FACES_DEVICE void Weights(int64_t px, int64_t py, Real* u, Real* v) const {
    const Real v2x = Real(px) - x, v2y = Real(py) - y;
    const Real d02 = v0x * v2x + v0y * v2y;
    const Real d12 = v1x * v2x + v1y * v2y;
    *u = (d11 * d02 - d01 * d12) * inverse;
    *v = (d00 * d12 - d01 * d02) * inverse;
  }

  TF_FACES_DEVICE bool Covers(int64_t px, int64_t py, int64_t height, int64_t width,
                              T* depth) const {
    Real u, v;
    Weights(px, py, &u, &v);
    *depth = flat ? flat_z
                  : static_cast<T>(((Real(1) - u - v) * z[0] + v * z[1]) + u * z[2]);
    if (edges == Edges::kBox) return true;
    if (border > 0 && (px < border || px >= width - border || py < border ||
                       py >= height - border)) {
      return true;
    }
    const Real sum = u + v;
    return u >= 0 && v >= 0 && (edges == Edges::kStrict ? sum < 1 : sum <= 1);
  }
};

template <typename T>
void ClearRows(const Rule& rule, const Image<T>& image, int64_t row_begin,
               int64_t row_end) {
  const T background = static_cast<T>(rule.background);
  for (int64_t i = row_begin * image.width; i < row_end * image.width; ++i) {
    image.depth[i] = background;
    image.triangle_id[i] = -1;
  }
}

// Depth test over all triangles for the rows [row_begin, row_end); writes depth and
// triangle_id, which ClearRows must have set.
template <typename Coverage, typename T>
void RasterizeRowsWith(const Mesh<T>& mesh, const Rule& rule, const Image<T>& image,
                       int64_t row_begin, int64_t row_end) {
  for (int64_t index = 0; index < mesh.triangle_count; ++index) {
    const Triangle<T> triangle = LoadTriangle(mesh, index);
    Box box;
    if (!FindBox(triangle, rule, image.height, image.width, row_begin, row_end,
                 &box) ||
        Culled(triangle, rule.cull)) {
      continue;
    }
    Coverage coverage;
    if (!coverage.Prepare(triangle, rule)) continue;
    for (int64_t y = box.y_first; y <= box.y_last; ++y) {
      T* depth = image.depth + y * image.width;
      int32_t* triangle_id = image.triangle_id + y * image.width;
      for (int64_t x = box.x_first; x <= box.x_last; ++x) {
        T z;
        if (coverage.Covers(x, y, image.height, image.width, &z) && z > depth[x]) {
          depth[x] = z;
          triangle_id[x] = static_cast<int32_t>(index);
        }
      }
    }
  }
}

template <typename T>
void RasterizeRows(const Mesh<T>& mesh, const Rule& rule, const Image<T>& image,
                   int64_t row_begin, int64_t row_end) {
  if (rule.edges == Edges::kTopLeft) {
    RasterizeRowsWith<TopLeftCoverage<T>>(mesh, rule, image, row_begin, row_end);
  } else if (rule.single_precision) {
    RasterizeRowsWith<DotProductCoverage<T, float>>(mesh, rule, image, row_begin,
                                                    row_end);
  } else {
    RasterizeRowsWith<DotProductCoverage<T, double>>(mesh, rule, image, row_begin,
                                                     row_end);
  }
}

// Barycentric interpolation of the top-left rule: weights relative to corner 0.
struct Plane {
  double x, y, e1x, e1y, e2x, e2y, inverse;

  template <typename T>
  TF_FACES_DEVICE explicit Plane(const Triangle<T>& t)
      : x(t.x[0]),
        y(t.y[0]),
        e1x(double(t.x[1]) - x),
        e1y(double(t.y[1]) - y),
        e2x(double(t.x[2]) - x),
        e2y(double(t.y[2]) - y) {
    const double area = e1x * e2y - e2x * e1y;
    inverse = area != 0 ? 1.0 / area : 0.0;
  }

  TF_FACES_DEVICE void Weights(int64_t px, int64_t py, double* w1, double* w2) const {
    const double ux = static_cast<double>(px) - x, uy = static_cast<double>(py) - y;
    *w1 = (ux * e2y - uy * e2x) * inverse;
    *w2 = (e1x * uy - e1y * ux) * inverse;
  }
};

// Writes a pixel that no triangle covers.
template <typename T>
TF_FACES_DEVICE void ResolveBackground(const Rule& rule, const Image<T>& image,
                                       int64_t channels, int64_t pixel) {
  const bool shown = rule.background >= -std::numeric_limits<double>::max();
  image.depth[pixel] = shown ? static_cast<T>(rule.background) : T(0);
  for (int i = 0; i < 3; ++i) {
    image.barycentrics[3 * pixel + i] = T(0);
    image.normals[3 * pixel + i] = T(0);
  }
  for (int64_t channel = 0; channel < channels; ++channel) {
    image.attributes[channels * pixel + channel] = T(0);
  }
}

template <typename T>
TF_FACES_DEVICE void ResolveNormal(const Triangle<T>& triangle, const Rule& rule,
                                   T* result) {
  double normal[3];
  if (rule.unit_normals) {
    CrossProduct<double>(triangle, normal);
    const double length =
        std::sqrt((normal[0] * normal[0] + normal[1] * normal[1]) +
                  normal[2] * normal[2]);
    const double scale = length > 0 ? 1.0 / length : 0.0;
    for (int i = 0; i < 3; ++i) normal[i] *= scale;
  } else {
    CrossProduct<T>(triangle, normal);
  }
  for (int i = 0; i < 3; ++i) result[i] = static_cast<T>(normal[i]);
}

template <typename T, typename Real>
TF_FACES_DEVICE void ResolveDotProduct(const Mesh<T>& mesh, const Rule& rule,
                                       const Image<T>& image, int64_t x, int64_t y,
                                       const Triangle<T>& triangle,
                                       const T* const corner[3]) {
  const int64_t pixel = y * image.width + x, channels = mesh.channels;
  DotProductCoverage<T, Real> coverage;
  coverage.Prepare(triangle, rule);
  coverage.Covers(x, y, image.height, image.width, &image.depth[pixel]);
  Real u, v;
  coverage.Weights(x, y, &u, &v);
  const Real w0 = Real(1) - u - v;
  image.barycentrics[3 * pixel] = static_cast<T>(w0);
  image.barycentrics[3 * pixel + 1] = static_cast<T>(v);
  image.barycentrics[3 * pixel + 2] = static_cast<T>(u);
  for (int64_t c = 0; c < channels; ++c) {
    image.attributes[channels * pixel + c] =
        rule.flat ? Mean(corner[0][c], corner[1][c], corner[2][c])
                  : static_cast<T>((w0 * Real(corner[0][c]) + v * Real(corner[1][c])) +
                                   u * Real(corner[2][c]));
  }
}

// Turns the winner of a pixel into the outputs there.
template <typename T>
TF_FACES_DEVICE void ResolvePixel(const Mesh<T>& mesh, const Rule& rule,
                                  const Image<T>& image, int64_t x, int64_t y) {
  const int64_t pixel = y * image.width + x, channels = mesh.channels;
  const int64_t index = image.triangle_id[pixel];
  if (index < 0) {
    ResolveBackground(rule, image, channels, pixel);
    return;
  }
  const Triangle<T> triangle = LoadTriangle(mesh, index);
  ResolveNormal(triangle, rule, image.normals + 3 * pixel);
  const T* corner[3];
  for (int i = 0; i < 3; ++i) {
    corner[i] = mesh.attributes +
                channels * static_cast<int64_t>(mesh.triangles[3 * index + i]);
  }
  if (rule.edges != Edges::kTopLeft) {
    if (rule.single_precision) {
      ResolveDotProduct<T, float>(mesh, rule, image, x, y, triangle, corner);
    } else {
      ResolveDotProduct<T, double>(mesh, rule, image, x, y, triangle, corner);
    }
    return;
  }
  double w1, w2;
  Plane(triangle).Weights(x, y, &w1, &w2);
  image.barycentrics[3 * pixel] = static_cast<T>((1.0 - w1) - w2);
  image.barycentrics[3 * pixel + 1] = static_cast<T>(w1);
  image.barycentrics[3 * pixel + 2] = static_cast<T>(w2);
  // From corner 0, so that equal values at the corners come out unchanged.
  const double z = triangle.z[0];
  image.depth[pixel] =
      static_cast<T>(z + (w1 * (double(triangle.z[1]) - z) +
                          w2 * (double(triangle.z[2]) - z)));
  for (int64_t c = 0; c < channels; ++c) {
    const double value = corner[0][c];
    image.attributes[channels * pixel + c] =
        static_cast<T>(value + (w1 * (double(corner[1][c]) - value) +
                                w2 * (double(corner[2][c]) - value)));
  }
}

template <typename T>
void ResolveRows(const Mesh<T>& mesh, const Rule& rule, const Image<T>& image,
                 int64_t row_begin, int64_t row_end) {
  for (int64_t y = row_begin; y < row_end; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      ResolvePixel(mesh, rule, image, x, y);
    }
  }
}

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_DEPTH_H_
