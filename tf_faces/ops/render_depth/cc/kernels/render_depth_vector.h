// Chooses at run time among builds of the inner loops for several instruction sets.

#ifndef TF_FACES_OPS_RENDER_DEPTH_VECTOR_H_
#define TF_FACES_OPS_RENDER_DEPTH_VECTOR_H_

#include <cstddef>

#include "render_depth.h"
#include "render_depth_gradient.h"

namespace tf_faces {
namespace render_depth {

enum class Instructions { kScalar, kGeneric, kAvx2, kAvx512 };

// Sets *result for "auto", "scalar", "generic", "avx2" or "avx512"; false if this
// processor cannot run it.
bool FindInstructions(const char* name, Instructions* result);

// Asks for large pages behind a large output: filling fresh memory in pages of four
// kilobytes costs more than drawing.  Does nothing where the system has no such call.
void AdviseHugePages(void* memory, size_t bytes);

// CheckMesh in the given instructions.
MeshError CheckWith(Instructions instructions, const Mesh<float>& mesh);
MeshError CheckWith(Instructions instructions, const Mesh<double>& mesh);

// Draws the rows [row_begin, row_end) of one image; all outputs are written.  Every
// instruction set gives the same bits.
void DrawRows(const Mesh<float>& mesh, const Rule& rule, Instructions instructions,
              const Image<float>& image, int64_t row_begin, int64_t row_end);
void DrawRows(const Mesh<double>& mesh, const Rule& rule, Instructions instructions,
              const Image<double>& image, int64_t row_begin, int64_t row_end);

// Gradient of one image, which overwrites `result`; may allocate up to 32 bytes a
// triangle.  Every instruction set gives the same bits.
void GradientWith(Instructions instructions, const Mesh<float>& mesh, const Rule& rule,
                  const ImageGradient<float>& incoming, const int32_t* triangle_id,
                  int64_t height, int64_t width, const MeshGradient<float>& result);
void GradientWith(Instructions instructions, const Mesh<double>& mesh, const Rule& rule,
                  const ImageGradient<double>& incoming, const int32_t* triangle_id,
                  int64_t height, int64_t width, const MeshGradient<double>& result);

}  // namespace render_depth
}  // namespace tf_faces

#endif  // TF_FACES_OPS_RENDER_DEPTH_VECTOR_H_
