#include "render_depth_vector.h"

#include <cstring>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#define TF_FACES_X86 1
#include <immintrin.h>
#endif

namespace tf_faces {
namespace render_depth {

// Three times an index must fit into the lanes.
constexpr int64_t kMostVectorRows = std::numeric_limits<int32_t>::max() / 3;

// The same loops for each instruction set.  Contraction into fused operations must be
// off (build.py sees to it): AVX-512 implies such instructions.
namespace generic {
#define TF_FACES_LANES 4
#include "render_depth_vector.inc"
#undef TF_FACES_LANES
}  // namespace generic

#if TF_FACES_X86

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
namespace avx2 {
#define TF_FACES_LANES 4
#define TF_FACES_AVX2 1
#include "render_depth_vector.inc"
#undef TF_FACES_LANES
#undef TF_FACES_AVX2
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(                                            \
    __attribute__((target("avx2,avx512f,avx512vl,avx512dq,avx512bw"))), \
    apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512")
#endif
namespace avx512 {
#define TF_FACES_LANES 8
#define TF_FACES_AVX2 1
#define TF_FACES_AVX512 1
#include "render_depth_vector.inc"
#undef TF_FACES_LANES
#undef TF_FACES_AVX2
#undef TF_FACES_AVX512
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // TF_FACES_X86

bool FindInstructions(const char* name, Instructions* result) {
  bool avx2 = false, avx512 = false;
#if TF_FACES_X86
  avx2 = __builtin_cpu_supports("avx2");
  avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw");
#endif
  if (std::strcmp(name, "scalar") == 0) {
    *result = Instructions::kScalar;
  } else if (std::strcmp(name, "generic") == 0) {
    *result = Instructions::kGeneric;
  } else if (std::strcmp(name, "avx2") == 0) {
    *result = Instructions::kAvx2;
    return avx2;
  } else if (std::strcmp(name, "avx512") == 0) {
    *result = Instructions::kAvx512;
    return avx512;
  } else {
    *result = avx512 ? Instructions::kAvx512
              : avx2 ? Instructions::kAvx2
                     : Instructions::kGeneric;
  }
  return true;
}

void AdviseHugePages(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr size_t kLarge = size_t{4} << 20;
  if (bytes < kLarge) return;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
  // Only advice: a failure leaves small pages, which work as well.
  (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)bytes;
#endif
}

namespace {

template <typename T>
MeshError Dispatch(Instructions instructions, const Mesh<T>& mesh) {
#if TF_FACES_X86
  if (instructions == Instructions::kAvx512) return avx512::Check(mesh);
  if (instructions == Instructions::kAvx2) return avx2::Check(mesh);
#endif
  (void)instructions;
  return generic::Check(mesh);
}

}  // namespace

MeshError CheckWith(Instructions instructions, const Mesh<float>& mesh) {
  return Dispatch(instructions, mesh);
}

MeshError CheckWith(Instructions instructions, const Mesh<double>& mesh) {
  return Dispatch(instructions, mesh);
}

void DrawRows(const Mesh<double>& mesh, const Rule& rule, Instructions,
              const Image<double>& image, int64_t row_begin, int64_t row_end) {
  ClearRows(rule, image, row_begin, row_end);
  RasterizeRows(mesh, rule, image, row_begin, row_end);
  ResolveRows(mesh, rule, image, row_begin, row_end);
}

void DrawRows(const Mesh<float>& mesh, const Rule& rule, Instructions instructions,
              const Image<float>& image, int64_t row_begin, int64_t row_end) {
  ClearRows(rule, image, row_begin, row_end);
  // The vector loops know the default rule, and images at least a vector wide.
  if (instructions != Instructions::kScalar && rule.edges == Edges::kTopLeft &&
      !rule.drop && !rule.flat && rule.unit_normals &&
      rule.background < -std::numeric_limits<double>::max() && image.width >= 8 &&
      mesh.triangle_count > 0 && mesh.triangle_count < kMostVectorRows &&
      mesh.vertex_count < kMostVectorRows) {
#if TF_FACES_X86
    if (instructions == Instructions::kAvx512) {
      avx512::Draw(mesh, rule, image, row_begin, row_end);
      return;
    }
    if (instructions == Instructions::kAvx2) {
      avx2::Draw(mesh, rule, image, row_begin, row_end);
      return;
    }
#endif
    generic::Draw(mesh, rule, image, row_begin, row_end);
    return;
  }
  RasterizeRows(mesh, rule, image, row_begin, row_end);
  ResolveRows(mesh, rule, image, row_begin, row_end);
}

void GradientWith(Instructions, const Mesh<double>& mesh, const Rule& rule,
                  const ImageGradient<double>& incoming, const int32_t* triangle_id,
                  int64_t height, int64_t width, const MeshGradient<double>& result) {
  Gradient(mesh, rule, incoming, triangle_id, height, width, result);
}

void GradientWith(Instructions instructions, const Mesh<float>& mesh, const Rule& rule,
                  const ImageGradient<float>& incoming, const int32_t* triangle_id,
                  int64_t height, int64_t width, const MeshGradient<float>& result) {
  constexpr int64_t kRowBytes = 4 * generic::kScratchRow;
  if (instructions != Instructions::kScalar && !rule.flat && rule.unit_normals &&
      (mesh.channels == 0 || mesh.channels == 3) && width >= 8 && height > 0 &&
      mesh.triangle_count > 0 && mesh.triangle_count < kMostVectorRows &&
      mesh.vertex_count < kMostVectorRows &&
      kRowBytes * mesh.vertex_count <= 32 * mesh.triangle_count) {
    const std::unique_ptr<float[]> scratch(
        new (std::nothrow) float[generic::kScratchRow * mesh.vertex_count]);
    if (scratch != nullptr) {
#if TF_FACES_X86
      if (instructions == Instructions::kAvx512) {
        avx512::Backward(mesh, incoming, triangle_id, height, width, scratch.get(),
                         result);
        return;
      }
      if (instructions == Instructions::kAvx2) {
        avx2::Backward(mesh, incoming, triangle_id, height, width, scratch.get(),
                       result);
        return;
      }
#endif
      generic::Backward(mesh, incoming, triangle_id, height, width, scratch.get(),
                        result);
      return;
    }
  }
  Gradient(mesh, rule, incoming, triangle_id, height, width, result);
}

}  // namespace render_depth
}  // namespace tf_faces
