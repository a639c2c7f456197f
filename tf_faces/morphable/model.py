"""The linear face model that every loader returns and every system takes.

Forward model, with all arrays in the model's own unit and axes:

    vertices = mean + mean_expression + shape_basis . a + expression_basis . b

where a, b are the coefficients themselves for models of kind "raw" (BFM: orthonormal
columns, deviations of some 1e5) and coefficients times deviations for models of kind
"unit" (ICT, FLAME, BFM2017: coefficients are standard normal).  Axes of every model
after loading: x to the subject's left, y up, z out of the face.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.core.units import UNITS
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable import model_checks

_DEFAULT_COLOR = (200.0, 160.0, 140.0)  # Skin of models without texture.
# Regions whose names begin so are transparent on a face, or mere shadows: drawn like
# skin they hide the eyes.
_TRANSPARENT_REGIONS = ("eyelashes", "lacrimal_fluid", "eye_blend", "eye_occlusion")


@dataclasses.dataclass(frozen=True, eq=False)
class MorphableModel:
    """An immutable linear face model of n vertices.

    Attributes:
      mean: float32 [n, 3], in `unit`; without `mean_expression`.
      triangles: int32 [m, 3], 0-based, turning as `winding` says.
      shape_basis: float32 [n, 3, ks], identity modes.
      shape_deviations: float32 [ks], standard deviation of each coefficient (raw), or
        factor of each coefficient (unit).
      mean_expression: float32 [n, 3]; None becomes zeros.
      expression_basis: float32 [n, 3, ke].
      expression_deviations: float32 [ke], as for the shape.
      expression_names: ke names, or None where the modes have none.
      expression_range: usual lowest and highest coefficient of an expression mode,
        (0, 1) for blend shapes; None for modes that are normally distributed.
      texture_mean: float32 [n, 3] RGB in 0..255, or None.
      texture_basis: float32 [n, 3, kt], in the unit of the colours.
      texture_deviations: float32 [kt].
      triangles_mouth: int32 [q, 3], fill the mouth hole of `triangles`.
      landmarks68: int32 [68] vertex numbers in iBUG order, or None.
      texture_coordinates: float32 [u, 2], u right and v up in 0..1, or None.
      texture_triangles: int32 [m, 3] into `texture_coordinates`; None means u == n
        and one coordinate a vertex.
      unit: "um", "mm", "cm", "dm" or "m".
      winding: "cw" or "ccw", the order of a triangle's corners seen from outside.
      coefficient_kind: "raw" or "unit", see the head of this file.
      region_names: what parts the model has, e.g. ("skin", "eyes"), or empty; see
        `opaque_part`.
      vertex_regions: int32 [n] index into `region_names`, or None.
      texture_pictures: paths of pictures made for the texture chart, or empty.
      identity_law: `law(rng, count) -> [count, ks]` draws identities of models whose
        coefficients are not normal; None for the normal law.
      name, source, licence: shown by `describe`.

    Raises:
      InputError: on shapes that disagree or indices out of range.
    """

    mean: np.ndarray
    triangles: np.ndarray
    shape_basis: np.ndarray | None = None
    shape_deviations: np.ndarray | None = None
    mean_expression: np.ndarray | None = None
    expression_basis: np.ndarray | None = None
    expression_deviations: np.ndarray | None = None
    expression_names: tuple[str, ...] | None = None
    expression_range: tuple[float, float] | None = None
    texture_mean: np.ndarray | None = None
    texture_basis: np.ndarray | None = None
    texture_deviations: np.ndarray | None = None
    triangles_mouth: np.ndarray | None = None
    landmarks68: np.ndarray | None = None
    texture_coordinates: np.ndarray | None = None
    texture_triangles: np.ndarray | None = None
    unit: str = "um"
    winding: str = "ccw"
    coefficient_kind: str = "raw"
    region_names: tuple[str, ...] = ()
    vertex_regions: np.ndarray | None = None
    texture_pictures: tuple[str, ...] = ()
    identity_law: Callable[[np.random.Generator, int], np.ndarray] | None = None
    name: str = "face model"
    source: str = "unknown"
    licence: str = "unknown"

    def __post_init__(self):
        for field, value in model_checks.checked_fields(self).items():
            object.__setattr__(self, field, value)

    # --- sizes ---------------------------------------------------------------------

    @property
    def vertex_count(self) -> int:
        return len(self.mean)

    @property
    def shape_count(self) -> int:
        """Number of identity modes."""
        return self.shape_basis.shape[2]

    @property
    def expression_count(self) -> int:
        """Number of expression modes."""
        return self.expression_basis.shape[2]

    @property
    def texture_count(self) -> int:
        """Number of texture modes."""
        return self.texture_basis.shape[2]

    @property
    def full_triangles(self) -> np.ndarray:
        """int32 [m + q, 3]: `triangles`, then `triangles_mouth`."""
        return np.concatenate([self.triangles, self.triangles_mouth])

    @functools.cached_property
    def neutral(self) -> np.ndarray:
        """float32 [n, 3]: mean plus mean expression, the face of zero coefficients."""
        return self.mean + self.mean_expression

    # --- the forward model ---------------------------------------------------------

    def _displacement(self, kind: str, coefficients, indices=None):
        """Returns the batched displacement [..., n, 3] of one part, or None."""
        if coefficients is None:
            return None
        basis = getattr(self, f"{kind}_basis")
        coefficients = np.asarray(coefficients, np.float32)
        if coefficients.ndim not in (1, 2) or coefficients.shape[-1] > basis.shape[2]:
            raise InputError(
                f"{kind} coefficients must have shape [k] or [N, k] with k at most "
                f"{basis.shape[2]}. Received: {coefficients.shape}"
            )
        count = coefficients.shape[-1]
        if indices is not None:
            basis = basis[indices]
        if self.coefficient_kind == "unit":
            coefficients = coefficients * getattr(self, f"{kind}_deviations")[:count]
        if count == 0:
            return np.zeros((*coefficients.shape[:-1], *basis.shape[:2]), np.float32)
        if count == basis.shape[2]:
            flat = basis.reshape(-1, count)
        else:
            flat = basis[:, :, :count].reshape(-1, count)
        moved = flat @ coefficients.T  # [3n] or [3n, N]
        return moved.T.reshape(*coefficients.shape[:-1], -1, 3)

    def vertices(
        self, shape_coefficients=None, expression_coefficients=None, *, indices=None
    ) -> np.ndarray:
        """Returns the posed mesh's vertices in the model's unit.

        Args:
          shape_coefficients: [ks] or [N, ks]; fewer modes than the model has are
            allowed; None for the mean identity.
          expression_coefficients: [ke] or [N, ke] likewise.
          indices: vertex numbers wanted, all when None.

        Returns:
          float32 [n, 3], or [N, n, 3] if either argument has a batch axis.
        """
        start = self.neutral if indices is None else self.neutral[indices]
        result = start
        for kind, coefficients in (
            ("shape", shape_coefficients),
            ("expression", expression_coefficients),
        ):
            moved = self._displacement(kind, coefficients, indices)
            if moved is not None:
                result = result + moved
        return result.copy() if result is start else result

    def colors(self, texture_coefficients=None) -> np.ndarray:
        """Returns vertex colours, RGB in 0..255, not clipped: [n, 3] or [N, n, 3].

        A model without texture has one plain skin colour.
        """
        if self.texture_mean is None:
            return np.broadcast_to(
                np.float32(_DEFAULT_COLOR), (self.vertex_count, 3)
            ).copy()
        moved = self._displacement("texture", texture_coefficients)
        return self.texture_mean.copy() if moved is None else self.texture_mean + moved

    # --- sampling ------------------------------------------------------------------

    def _sample(self, kind, rng, count, scale):
        deviations = getattr(self, f"{kind}_deviations")
        drawn = rng.standard_normal((count, len(deviations))).astype(np.float32)
        drawn *= scale
        return drawn * deviations if self.coefficient_kind == "raw" else drawn

    def sample_shape(self, rng: np.random.Generator, count: int, scale=1.0):
        """Draws identities: float32 [count, ks], by the model's law.

        Normal with the deviations unless the model has an `identity_law`; `scale`
        multiplies the coefficients.
        """
        if self.identity_law is not None:
            return np.float32(scale) * self.identity_law(rng, count)[
                :, : self.shape_count
            ].astype(np.float32)
        return self._sample("shape", rng, count, scale)

    def sample_texture(self, rng: np.random.Generator, count: int, scale=1.0):
        """Draws textures: float32 [count, kt], normal with the deviations."""
        return self._sample("texture", rng, count, scale)

    def sample_expression(self, rng: np.random.Generator, count: int, scale=1.0):
        """Draws expressions: float32 [count, ke].

        Normal with the deviations; for models with an `expression_range`, sparse:
        each mode is active with probability 0.15, then uniform over its range.
        """
        if self.expression_range is None:
            return self._sample("expression", rng, count, scale)
        low, high = self.expression_range
        shape = (count, self.expression_count)
        active = rng.random(shape) < 0.15
        return (active * rng.uniform(low, high, shape) * scale).astype(np.float32)

    # --- changed copies ------------------------------------------------------------

    def replace(self, **changes) -> "MorphableModel":
        """Returns a copy with the given fields changed."""
        return dataclasses.replace(self, **changes)

    def to_unit(self, unit: str) -> "MorphableModel":
        """Returns the model in another unit of length.

        The same coefficients give the same face: mean and bases are scaled,
        deviations and coefficients stay.

        Raises:
          InputError: for an unknown unit.
        """
        if unit not in UNITS:
            raise InputError(f"unit must be one of {list(UNITS)}. Received: {unit}")
        factor = np.float32(UNITS[self.unit] / UNITS[unit])
        if factor == 1:
            return self
        return self.replace(
            mean=self.mean * factor,
            mean_expression=self.mean_expression * factor,
            shape_basis=self.shape_basis * factor,
            expression_basis=self.expression_basis * factor,
            unit=unit,
        )

    def moved(self, translation) -> "MorphableModel":
        """Returns the model shifted by `translation` [3], in its own unit."""
        return self.replace(mean=self.mean + np.asarray(translation, np.float32))

    def flip_winding(self) -> "MorphableModel":
        """Returns the model with the corners of every triangle in reverse order."""
        flipped = self.texture_triangles
        return self.replace(
            triangles=self.triangles[:, ::-1],
            triangles_mouth=self.triangles_mouth[:, ::-1],
            texture_triangles=None if flipped is None else flipped[:, ::-1],
            winding="ccw" if self.winding == "cw" else "cw",
        )

    def with_winding(self, winding: str) -> "MorphableModel":
        """Returns the model with triangles turning as `winding` ("cw" or "ccw")."""
        if winding not in ("cw", "ccw"):
            raise InputError(f"winding must be 'cw' or 'ccw'. Received: {winding}")
        return self if winding == self.winding else self.flip_winding()

    def to_raw(self) -> "MorphableModel":
        """Returns an equal model of kind "raw": deviations go into the bases.

        The bases get multiplied by the deviations, which become ones, so the same
        coefficients still give the same face.
        """
        if self.coefficient_kind == "raw":
            return self
        return self.replace(
            shape_basis=self.shape_basis * self.shape_deviations,
            shape_deviations=np.ones(self.shape_count, np.float32),
            expression_basis=self.expression_basis * self.expression_deviations,
            expression_deviations=np.ones(self.expression_count, np.float32),
            texture_basis=self.texture_basis * self.texture_deviations,
            texture_deviations=np.ones(self.texture_count, np.float32),
            coefficient_kind="raw",
        )

    def truncate(self, shape=None, expression=None, texture=None) -> "MorphableModel":
        """Returns the model with at most the given numbers of leading modes."""
        changes = {}
        for kind, count in (
            ("shape", shape),
            ("expression", expression),
            ("texture", texture),
        ):
            if count is not None:
                basis = getattr(self, f"{kind}_basis")
                changes[f"{kind}_basis"] = basis[:, :, :count]
                changes[f"{kind}_deviations"] = getattr(self, f"{kind}_deviations")[
                    :count
                ]
        if expression is not None and self.expression_names is not None:
            changes["expression_names"] = self.expression_names[:expression]
        return self.replace(**changes)

    def subset(self, vertex_ids) -> "MorphableModel":
        """Returns the model of some vertices, in the order given.

        Triangles with a dropped corner go; the landmarks become None if one of them
        was dropped.

        Raises:
          InputError: if a number is out of range or repeated.
        """
        vertex_ids = np.asarray(vertex_ids)
        n = self.vertex_count
        if vertex_ids.ndim != 1 or (
            vertex_ids.size and not (0 <= vertex_ids.min() and vertex_ids.max() < n)
        ):
            raise InputError(f"vertex_ids must be a list of numbers below {n}")
        if len(np.unique(vertex_ids)) != len(vertex_ids):
            raise InputError("vertex_ids must not repeat a vertex")
        number = np.full(n, -1, np.int32)
        number[vertex_ids] = np.arange(len(vertex_ids), dtype=np.int32)
        triangles = number[self.triangles]
        kept = (triangles >= 0).all(axis=1)
        mouth = number[self.triangles_mouth]
        landmarks = None
        if self.landmarks68 is not None:
            landmarks = number[self.landmarks68]
            landmarks = landmarks if (landmarks >= 0).all() else None
        coordinates, corners = self.texture_coordinates, self.texture_triangles
        if coordinates is not None:
            if corners is None:
                coordinates = coordinates[vertex_ids]
            else:
                used, inverse = np.unique(corners[kept], return_inverse=True)
                coordinates, corners = coordinates[used], inverse.reshape(-1, 3)

        def rows(array):
            return None if array is None else array[vertex_ids]

        return self.replace(
            mean=rows(self.mean),
            mean_expression=rows(self.mean_expression),
            shape_basis=rows(self.shape_basis),
            expression_basis=rows(self.expression_basis),
            texture_mean=rows(self.texture_mean),
            texture_basis=rows(self.texture_basis),
            triangles=triangles[kept],
            triangles_mouth=mouth[(mouth >= 0).all(axis=1)],
            landmarks68=landmarks,
            texture_coordinates=coordinates,
            texture_triangles=corners,
            vertex_regions=rows(self.vertex_regions),
        )

    def without_regions(self, names) -> "MorphableModel":
        """Returns the model without the named regions; names it lacks are ignored."""
        if self.vertex_regions is None:
            return self
        dropped = [i for i, name in enumerate(self.region_names) if name in names]
        kept = ~np.isin(self.vertex_regions, dropped)
        return self if kept.all() else self.subset(np.flatnonzero(kept))

    @functools.cached_property
    def opaque_part(self) -> "MorphableModel":
        """The model without parts that are transparent (eyelashes, tear film)."""
        return self.without_regions(
            [
                name
                for name in self.region_names
                if name.startswith(_TRANSPARENT_REGIONS)
            ]
        )

    # --- views ---------------------------------------------------------------------

    def mesh(
        self,
        shape_coefficients=None,
        expression_coefficients=None,
        texture_coefficients=None,
        *,
        with_mouth: bool = True,
        all_parts: bool = False,
    ) -> Mesh:
        """Returns one face as a mesh: counter-clockwise, colours in 0..1.

        Args:
          shape_coefficients, expression_coefficients, texture_coefficients: [k] each.
          with_mouth: append `triangles_mouth`.
          all_parts: with the parts that are transparent on a face (eyelashes, tear
            film); by default the mesh is that of `opaque_part`, whose vertices are
            fewer.
        """
        if not all_parts and self.opaque_part is not self:
            return self.opaque_part.mesh(
                shape_coefficients,
                expression_coefficients,
                texture_coefficients,
                with_mouth=with_mouth,
            )
        outward = self.with_winding("ccw")
        triangles = outward.full_triangles if with_mouth else outward.triangles
        corners = outward.texture_triangles
        if corners is not None and len(triangles) != len(corners):
            # The mouth filling has no place in the chart; it takes texel 0's corner.
            filling = np.zeros((len(triangles) - len(corners), 3), np.int32)
            corners = np.concatenate([corners, filling])
        return Mesh(
            vertices=self.vertices(shape_coefficients, expression_coefficients),
            triangles=triangles,
            vertex_colors=np.clip(self.colors(texture_coefficients) / 255.0, 0, 1),
            texture_coordinates=self.texture_coordinates,
            texture_triangles=corners,
            name=self.name,
            unit=self.unit,
        )

    def __repr__(self) -> str:
        kinds = ("shape", "expression", "texture")
        modes = ", ".join(
            f"{getattr(self, f'{kind}_basis').shape[2]} {kind}" for kind in kinds
        )
        return (
            f"MorphableModel({self.name!r}, {len(self.mean)} vertices, "
            f"{len(self.triangles)} triangles, modes: {modes}; {self.unit}, "
            f"{self.winding}, {self.coefficient_kind})"
        )

    def bounding_box(self) -> np.ndarray:
        """float32 [2, 3]: lowest and highest corner of the neutral face."""
        return np.stack([self.neutral.min(axis=0), self.neutral.max(axis=0)])

    def describe(self) -> str:
        """Returns a table in plain text: sizes, conventions, source and licence."""
        low, high = self.bounding_box()
        named = "" if self.expression_names is None else ", named"
        texture = (
            f"{self.texture_count} modes" if self.texture_mean is not None else "none"
        )
        rows = [
            ("name", self.name),
            ("vertices", self.vertex_count),
            ("triangles", f"{len(self.triangles)} + mouth {len(self.triangles_mouth)}"),
            ("identity modes", self.shape_count),
            ("expression modes", f"{self.expression_count}{named}"),
            ("texture", texture),
            ("texture chart", "yes" if self.texture_coordinates is not None else "no"),
            ("68 landmarks", "yes" if self.landmarks68 is not None else "no"),
            ("unit", self.unit),
            ("winding from outside", self.winding),
            ("coefficients", self.coefficient_kind),
            (
                "bounding box",
                " ".join(
                    f"{axis} [{a:.6g}, {b:.6g}]"
                    for axis, a, b in zip("xyz", low, high, strict=True)
                ),
            ),
            ("source", self.source),
            ("licence", self.licence),
        ]
        return "\n".join(f"{label + ':':<23}{value}" for label, value in rows)
