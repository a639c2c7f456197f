// Calls the rasteriser's kernels with random and hostile meshes, under sanitizers.
//
//   render_depth_fuzz CALLS SEED
//
// Every array lies in its own heap block of the exact size, so that a read or write
// past an end is seen.  After CheckMesh has refused a mesh nothing more is done with it,
// as in the op.  Besides, the outputs are checked: everything written, indices in
// range, all instruction sets alike, finite values, gradients alike.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "render_depth.h"
#include "render_depth_gradient.h"
#include "render_depth_vector.h"

using namespace tf_faces::render_depth;

namespace {

std::mt19937_64 generator;

int64_t Whole(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(generator);
}

bool Chance(double share) {
  return std::uniform_real_distribution<double>(0, 1)(generator) < share;
}

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "FUZZ FAILURE: %s\n", what);
  std::abort();
}

// A heap block without a byte to spare; filled with a pattern that is a NaN.
template <typename T>
std::unique_ptr<T[]> Block(int64_t count) {
  std::unique_ptr<T[]> block(new T[count]);
  if (count > 0) std::memset(static_cast<void*>(block.get()), 0xff, count * sizeof(T));
  return block;
}

template <typename T>
T Coordinate(int kind, double spread) {
  const double uniform =
      std::uniform_real_distribution<double>(-0.3 * spread, 1.3 * spread)(generator);
  constexpr T kLargest = std::numeric_limits<T>::max();
  switch (kind) {
    case 0:
      return static_cast<T>(uniform);
    case 1:
      return static_cast<T>(std::round(uniform));
    case 2:
      return static_cast<T>(std::round(2 * uniform) / 2);
    case 3:
      return static_cast<T>(uniform * 1e-3 + 5);
    case 4: {
      const T odd[] = {T(0),       -T(0),      kLargest,     -kLargest,
                       T(1e30),    T(-1e30),   T(2147483648.0), T(-2147483649.0),
                       T(4294967296.0), T(1e-40), -T(1e-40), T(16777217.0),
                       std::numeric_limits<T>::min(),
                       std::numeric_limits<T>::denorm_min()};
      return Chance(0.5) ? odd[Whole(0, 13)] : static_cast<T>(uniform);
    }
    default: {
      const T bad[] = {std::numeric_limits<T>::quiet_NaN(),
                       std::numeric_limits<T>::infinity(),
                       -std::numeric_limits<T>::infinity()};
      return Chance(0.02) ? bad[Whole(0, 2)] : static_cast<T>(uniform);
    }
  }
}

struct Outcome {
  int64_t drawn = 0, refused = 0, covered = 0;
};

template <typename T>
struct Buffers {
  std::unique_ptr<T[]> depth, barycentrics, normals, attributes;
  std::unique_ptr<int32_t[]> triangle_id;

  Buffers(int64_t pixels, int64_t channels)
      : depth(Block<T>(pixels)),
        barycentrics(Block<T>(3 * pixels)),
        normals(Block<T>(3 * pixels)),
        attributes(Block<T>(channels * pixels)),
        triangle_id(Block<int32_t>(pixels)) {}
};

template <typename T>
bool Alike(const T* a, const T* b, int64_t count) {
  return count == 0 || std::memcmp(a, b, count * sizeof(T)) == 0;
}

template <typename T>
void OneCall(Outcome* outcome) {
  const int64_t sides[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65};
  int64_t height = sides[Whole(0, 15)], width = sides[Whole(0, 15)];
  if (Chance(0.01)) {  // Long and thin, beyond one block of columns.
    height = Whole(1, 2);
    width = Whole(1000, 3000);
  }
  const int64_t vertex_count = Chance(0.05) ? 0 : Whole(1, 40);
  int64_t triangle_count = Chance(0.05) ? 0 : Whole(1, 60);
  if (Chance(0.02)) triangle_count = Whole(1000, 2200);  // More than one block.
  const int64_t channels = Chance(0.6) ? 3 : Whole(0, 6);
  const auto vertices = Block<T>(3 * vertex_count);
  const auto triangles = Block<int32_t>(3 * triangle_count);
  const auto attributes = Block<T>(channels * vertex_count);
  const int kind = static_cast<int>(Whole(0, 5));
  const double spread = Chance(0.2) ? 4.0 : static_cast<double>(width > height ? width
                                                                               : height);
  for (int64_t i = 0; i < 3 * vertex_count; ++i) {
    vertices[i] = Coordinate<T>(kind, spread);
  }
  for (int64_t i = 0; i < channels * vertex_count; ++i) {
    attributes[i] = static_cast<T>(std::normal_distribution<double>()(generator));
  }
  const bool hostile = Chance(0.15);
  for (int64_t i = 0; i < 3 * triangle_count; ++i) {
    triangles[i] =
        static_cast<int32_t>(vertex_count > 0 ? Whole(0, vertex_count - 1) : 0);
    if (hostile && Chance(0.05)) {
      const int64_t odd[] = {-1, vertex_count, INT32_MAX, INT32_MIN,
                             vertex_count + 1, INT32_MAX / 3};
      triangles[i] = static_cast<int32_t>(odd[Whole(0, 5)]);
    }
  }
  Mesh<T> mesh;
  mesh.vertices = vertices.get();
  mesh.vertex_count = vertex_count;
  mesh.triangles = triangles.get();
  mesh.triangle_count = triangle_count;
  mesh.attributes = attributes.get();
  mesh.channels = channels;

  Rule rule;
  if (Chance(0.5)) {
    rule.edges = static_cast<Edges>(Whole(1, 3));
    rule.flat = Chance(0.5);
    rule.drop = Chance(0.3);
    rule.border = static_cast<int>(Chance(0.3) ? Whole(0, 40) : 0);
    rule.single_precision = Chance(0.3);
    rule.unit_normals = Chance(0.3);
    rule.background = Chance(0.5) ? -999999.0 : -1e14;
  }
  rule.cull = static_cast<Cull>(Whole(0, 2));

  // The reference for validity, written differently.
  bool good = true, in_range = true;
  for (int64_t i = 0; i < 3 * triangle_count; ++i) {
    in_range &= triangles[i] >= 0 && triangles[i] < vertex_count;
  }
  good = in_range;
  for (int64_t i = 0; i < 3 * vertex_count; ++i) good &= std::isfinite(vertices[i]);
  const Instructions sets[] = {Instructions::kScalar, Instructions::kGeneric,
                               Instructions::kAvx2, Instructions::kAvx512};
  const char* names[] = {"scalar", "generic", "avx2", "avx512"};
  const int64_t pixels = height * width;
  std::unique_ptr<Buffers<T>> first;
  std::unique_ptr<T[]> first_gradient[2];
  for (int set = 0; set < 4; ++set) {
    Instructions unused;
    if (!FindInstructions(names[set], &unused)) continue;
    const MeshError error = CheckWith(sets[set], mesh);
    if ((error == MeshError::kNone) != good) Fail("CheckWith disagrees");
    if (!good && !in_range && error != MeshError::kIndex) Fail("wrong reason");
    if (!good) continue;
    auto buffers = std::make_unique<Buffers<T>>(pixels, channels);
    Image<T> image;
    image.height = height;
    image.width = width;
    image.depth = buffers->depth.get();
    image.triangle_id = buffers->triangle_id.get();
    image.barycentrics = buffers->barycentrics.get();
    image.normals = buffers->normals.get();
    image.attributes = buffers->attributes.get();
    // Bands as the op makes them; their number must not matter.
    const int64_t bands = height > 0 ? Whole(1, height < 4 ? height : 4) : 1;
    for (int64_t band = 0; band < bands; ++band) {
      DrawRows(mesh, rule, sets[set], image, band * height / bands,
               (band + 1) * height / bands);
    }
    for (int64_t i = 0; i < pixels; ++i) {
      const int32_t id = image.triangle_id[i];
      if (id < -1 || id >= triangle_count) Fail("triangle_id out of range");
      outcome->covered += id >= 0;
      // Finite where the coordinates are moderate: huge ones may overflow.
      if (kind != 4 && !std::isfinite(image.depth[i])) Fail("depth not finite");
    }
    for (int64_t i = 0; i < 3 * pixels && kind != 4; ++i) {
      if (!std::isfinite(image.barycentrics[i])) Fail("barycentrics not finite");
      if (!std::isfinite(image.normals[i])) Fail("normals not finite");
    }
    const auto incoming_depth = Block<T>(pixels), incoming_triples = Block<T>(3 * pixels),
               incoming_values = Block<T>(channels * pixels);
    for (int64_t i = 0; i < pixels; ++i) incoming_depth[i] = T(i % 7) - T(3);
    for (int64_t i = 0; i < 3 * pixels; ++i) incoming_triples[i] = T(i % 5) - T(2);
    for (int64_t i = 0; i < channels * pixels; ++i) incoming_values[i] = T(i % 3) - T(1);
    const ImageGradient<T> incoming = {incoming_depth.get(), incoming_triples.get(),
                                       incoming_triples.get(), incoming_values.get()};
    auto to_vertices = Block<T>(3 * vertex_count);
    auto to_attributes = Block<T>(channels * vertex_count);
    GradientWith(sets[set], mesh, rule, incoming, image.triangle_id, height, width,
                 {to_vertices.get(), to_attributes.get()});
    if (first == nullptr) {
      first = std::move(buffers);
      first_gradient[0] = std::move(to_vertices);
      first_gradient[1] = std::move(to_attributes);
      continue;
    }
    if (!Alike(first->triangle_id.get(), image.triangle_id, pixels)) Fail("ids differ");
    if (kind == 4) continue;  // Not-a-numbers of different bits.
    if (!Alike(first->depth.get(), image.depth, pixels) ||
        !Alike(first->barycentrics.get(), image.barycentrics, 3 * pixels) ||
        !Alike(first->normals.get(), image.normals, 3 * pixels) ||
        !Alike(first->attributes.get(), image.attributes, channels * pixels)) {
      Fail("instruction sets draw differently");
    }
    for (int64_t i = 0; i < 3 * vertex_count; ++i) {
      if (first_gradient[0][i] != to_vertices[i]) Fail("vertex gradients differ");
    }
    for (int64_t i = 0; i < channels * vertex_count; ++i) {
      if (first_gradient[1][i] != to_attributes[i]) Fail("attribute gradients differ");
    }
  }
  good ? ++outcome->drawn : ++outcome->refused;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t calls = argc > 1 ? std::atoll(argv[1]) : 1000;
  generator.seed(argc > 2 ? std::atoll(argv[2]) : 0);
  Outcome outcome;
  for (int64_t call = 0; call < calls; ++call) {
    if (Chance(0.7)) {
      OneCall<float>(&outcome);
    } else {
      OneCall<double>(&outcome);
    }
  }
  std::printf("%lld drawn, %lld refused, %lld pixels covered\n",
              static_cast<long long>(outcome.drawn),
              static_cast<long long>(outcome.refused),
              static_cast<long long>(outcome.covered));
  return 0;
}
