"""Named rules of the rasteriser: which triangle owns which pixel, at what depth.

Every rule is a set of choices for one algorithm, so that the compiled kernel and the
NumPy twin need no copy of it per system.  Corners of a triangle are p0, p1, p2; a
pixel (row i, column j) has its centre at x = j, y = i; larger z is nearer.

Sources: RenderDepth of Cogito2012/3DFaceRecon (`original`), its MATLAB helper
ModalAndRef.cpp (`mex_zbuffer`), utils/render.py of YadiraF/PRNet (`prnet`,
`prnet_box`), mesh_numpy and the C++ core of YadiraF/face3d (`face3d`, `face3d_cpp`;
face-manifold uses `face3d`).
"""

import dataclasses
import math

from tf_faces.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class CoverageRule:
    """One way to rasterise.

    Attributes:
      edges: which boundary points belong to a triangle:
        "top_left": the left and top edges, so that triangles that share an edge
          cover every pixel on it exactly once; triangles without area cover nothing;
        "strict": u >= 0, v >= 0, u + v < 1, with u towards p2 and v towards p1, so
          that the edge p1 p2 is open; without area u = v = 0 holds everywhere, so
          that the whole bounding box is covered;
        "inclusive": the same with u + v <= 1;
        "box": no test, every pixel of the bounding box.
      depth: "interpolated" by barycentric weights, or "flat", the mean of the three
        corners (of attributes too).
      outside: what becomes of triangles partly off the image: "clip" or "drop".
      border: width in pixels of a frame inside the image's border within which the
        inside test is skipped (and the weights extrapolate).
      single_precision: do the inside test in float32 instead of float64.
      background: depth where no triangle is; a triangle must lie above it.  Minus
        infinity admits every depth and shows 0 where nothing is.
      unit_normals: normals of length one, otherwise the plain cross product.
    """

    edges: str = "top_left"
    depth: str = "interpolated"
    outside: str = "clip"
    border: int = 0
    single_precision: bool = False
    background: float = -math.inf
    unit_normals: bool = True


_PRNET_BACKGROUND = -999999.0
_ORIGINAL_BACKGROUND = -99999999999999.0

RULES = {
    "top_left": CoverageRule(),
    "original": CoverageRule(
        "strict", "flat", "drop", background=_ORIGINAL_BACKGROUND, unit_normals=False
    ),
    # The CUDA half of the original tests u + v <= 1.
    "original_inclusive": CoverageRule(
        "inclusive", "flat", "drop", background=_ORIGINAL_BACKGROUND, unit_normals=False
    ),
    "mex_zbuffer": CoverageRule(
        "inclusive", "flat", "drop", background=_ORIGINAL_BACKGROUND, unit_normals=False
    ),
    "prnet": CoverageRule(
        "strict", "flat", background=_PRNET_BACKGROUND, unit_normals=False
    ),
    "prnet_box": CoverageRule(
        "box", "flat", background=_PRNET_BACKGROUND, unit_normals=False
    ),
    "face3d": CoverageRule("strict", background=_PRNET_BACKGROUND, unit_normals=False),
    "face3d_cpp": CoverageRule(
        "strict",
        border=2,
        single_precision=True,
        background=_PRNET_BACKGROUND,
        unit_normals=False,
    ),
}

MODES = {"interpolated": "top_left", "flat": "original"}


def find(mode: str, rule: str | None) -> CoverageRule:
    """Returns the rule called `rule`, or the one that `mode` stands for.

    Raises:
      InputError: if either name is unknown.
    """
    if mode not in MODES:
        raise InputError(f"mode must be one of {sorted(MODES)}. Received: {mode!r}")
    name = MODES[mode] if rule is None else rule
    if name not in RULES:
        raise InputError(f"rule must be one of {sorted(RULES)}. Received: {name!r}")
    return RULES[name]
