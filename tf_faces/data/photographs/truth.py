"""What is true of a photograph, field by field.

Lengths are pixels of the picture or, in the model's frame, micrometres: coefficients
are those of `morphable.raw_form.load(settings.model)`, and with that model

    v = model.vertices(shape, expression)          micrometres
    (x, y) = (P v)_xy / (P v)_w, P = camera        pixels, exact
    v' = cameras.project_pose(v, pose, S)          pixels; exact for weak perspective

Maps of pixels show the solid surface of the model (`model.opaque_part`), hidden or not;
`mask` says where the face's skin is really to be seen.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data.photographs import shading, views, worn
from tf_faces.data.photographs.charts import Chart
from tf_faces.data.photographs.factory import Photograph
from tf_faces.data.photographs.heads import LABEL, NECK_REGION, Head
from tf_faces.ops import render_depth

# Least lengths in CoarseNet's labels: pose, identity, expression.
COARSE_SHAPE, COARSE_EXPRESSION = 199, 29
# Centimetres by which a landmark may lie behind the surface and still count as visible.
VISIBLE_WITHIN = 0.35
# Share of a pixel that must be covered to hide what lies behind.
_HIDDEN = 0.5


class Truth:
    """The truth of one photograph, computed as it is asked for.

    Args:
      photograph: whose.
      chart: of position maps, or None.
    """

    def __init__(self, photograph: Photograph, chart: Chart | None = None):
        self.photograph = photograph
        self.chart = chart

    # --- numbers ----------------------------------------------------------------------

    def index(self):
        """int64: i."""
        return np.int64(self.photograph.index)

    def picture(self):
        """uint8 [S, S, 3]."""
        return self.photograph.picture

    def shape(self):
        """float32 [ks], raw identity coefficients."""
        return np.asarray(self.photograph.face.shape, np.float32)

    def expression(self):
        """float32 [ke], expression coefficients."""
        return np.asarray(self.photograph.face.expression, np.float32)

    def pose(self):
        """float32 [7]: pitch, yaw, roll (radians, 3DDFA), t_x, t_y, t_z, f."""
        return self.photograph.view.pose_in_micrometres

    def camera(self):
        """float32 [3, 4]: P, from micrometres of the model's frame to pixels."""
        matrix = self.photograph.view.matrix.copy()
        matrix[:, :3] /= views.MICROMETRES
        return matrix.astype(np.float32)

    def distance(self):
        """float32: centimetres to the camera; infinite for weak perspective."""
        return np.float32(self.photograph.view.distance)

    def light(self):
        """float32 [9, 3]: irradiance harmonics for `lighting.spherical_harmonics`."""
        return self.photograph.light.coefficients_with_phase()

    def light_direction(self):
        """float32 [3]: towards the dominant light, x right, y up, z to the camera."""
        return self.photograph.light.direction

    def light_irradiance(self):
        """float32 [3]: of a surface that faces the dominant light."""
        return self.photograph.light.irradiance

    def coarse_parameters(self):
        """float32 [235]: pose, 199 identity and 29 expression coefficients.

        Zeros where the model has fewer modes; as many as it has where it has more
        (ICT's 53 expressions make 259), for networks of its counts.
        """
        shape, expression = self.shape(), self.expression()
        start = 7 + max(COARSE_SHAPE, len(shape))
        result = np.zeros(start + max(COARSE_EXPRESSION, len(expression)), np.float32)
        result[:7] = self.pose()
        result[7 : 7 + len(shape)] = shape
        result[start : start + len(expression)] = expression
        return result

    # --- points -----------------------------------------------------------------------

    @functools.cached_property
    def _all_vertices(self):
        model = self.photograph.head.model
        placed = model.vertices(self.shape(), self.expression()) * np.float32(
            1 / views.MICROMETRES
        )
        return self.photograph.view.project(placed)

    def vertices(self):
        """float32 [n, 3]: all the model's vertices in the image frame."""
        return self._all_vertices

    def landmarks(self):
        """float32 [68, 3]: x, y, z in the image frame."""
        points = self.photograph.posed.vertices[self.photograph.head.landmarks68]
        return self.photograph.view.project(points)

    def landmarks_model(self):
        """float32 [68, 3]: in the model's frame, micrometres."""
        points = self.photograph.posed.vertices[self.photograph.head.landmarks68]
        return (points * np.float32(views.MICROMETRES)).astype(np.float32)

    def landmarks_visible(self):
        """uint8 [68]: 1 for those inside of the picture that nothing hides."""
        points = self.landmarks()
        size = self.photograph.settings.size
        column, row = np.rint(points[:, :2]).astype(int).T
        inside = (0 <= column) & (column < size) & (0 <= row) & (row < size)
        column, row = column.clip(0, size - 1), row.clip(0, size - 1)
        drawn = self._surface
        column, row = _on_surface(points, column, row, drawn.triangle_id >= 0)
        front = np.where(drawn.triangle_id < 0, -np.inf, drawn.depth)[row, column]
        reach = VISIBLE_WITHIN * self.photograph.view.pose[6]
        seen = points[:, 2] >= front - reach
        shown = self.photograph.hidden[row, column] < _HIDDEN
        return (inside & seen & shown).astype(np.uint8)

    # --- maps -------------------------------------------------------------------------

    @functools.cached_property
    def _surface(self):
        """The model's solid surface with normals and colours as attributes."""
        photograph = self.photograph
        head, view = photograph.head, photograph.view
        surface = _solid_model(head)
        placed = self._all_vertices[surface.numbers]
        normals = photograph.posed.normals @ view.rotation.T.astype(np.float32)
        on_model = np.zeros((head.model.vertex_count, 3), np.float32)
        on_model[head.numbers] = normals[: len(head.numbers)]
        size = photograph.settings.size
        drawn = render_depth.rasterize(
            placed,
            surface.triangles,
            size,
            size,
            attributes=on_model[surface.numbers],
        )
        return render_depth.Rasterization(
            *(None if part is None else part.numpy() for part in drawn)
        )

    def depth(self):
        """float32 [S, S]: z of the surface in the image frame, 0 where none is."""
        return self._surface.depth

    def surface(self):
        """uint8 [S, S]: 1 where the model's surface is, hidden or not."""
        return (self._surface.triangle_id >= 0).astype(np.uint8)

    def normals(self):
        """float32 [S, S, 3]: unit, outwards, x right, y up, z to the camera; else 0."""
        normal = self._surface.attributes
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        return normal / np.maximum(length, np.float32(1e-12))

    @functools.cached_property
    def _solid(self):
        """Labels and albedo of everything solid that is drawn, eyes and cloth too."""
        photograph = self.photograph
        head = photograph.head
        return shading.solid_maps(
            head,
            photograph.face,
            photograph.posed,
            photograph.view,
            use_skins=photograph.settings.skins,
        )

    def albedo(self):
        """float32 [S, S, 3]: linear colour of what is solid, 0 where nothing is."""
        return self._solid[1]

    def labels(self):
        """uint8 [S, S]: numbers of `heads.LABELS`."""
        labels = self._solid[0].copy()
        shares = self.photograph.worn
        for kind, name in zip(
            worn.WORN, ("hair", "glasses", "brow", "lashes"), strict=True
        ):
            covered = shares[..., worn.WORN.index(kind)] > _HIDDEN
            labels[covered] = LABEL[name]
        labels[self.photograph.occluded > _HIDDEN] = LABEL["occluder"]
        return labels

    def mask(self):
        """uint8 [S, S]: 1 where the face is seen, without a neck, nothing before it."""
        of_face = _solid_model(self.photograph.head).of_face
        triangle = self._surface.triangle_id
        seen = (triangle >= 0) & of_face[triangle]
        return (seen & (self.photograph.hidden < _HIDDEN)).astype(np.uint8)

    def position_map(self):
        """float32 [R, R, 3]: x, y, z of the image frame at each pixel of the chart."""
        if self.chart is None:
            raise InputError("position_map needs a chart, and none was given.")
        return self.chart.map(self._all_vertices)


def _on_surface(points, column, row, surface):
    """The pixels of points [n, 2 or 3], or of the surface beside those off it.

    A point of the outline may round to a pixel that the surface does not cover; what
    hides it is what hides the surface next to it.
    """
    near = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    columns = (column[:, None] + near[:, 0]).clip(0, surface.shape[1] - 1)
    rows = (row[:, None] + near[:, 1]).clip(0, surface.shape[0] - 1)
    distance = np.hypot(columns - points[:, :1], rows - points[:, 1:2])
    covered = surface[rows, columns]
    best = np.where(covered, distance, np.inf).argmin(axis=1)
    own = surface[row, column] | ~covered.any(axis=1)
    chosen = np.arange(len(points)), best
    return np.where(own, column, columns[chosen]), np.where(own, row, rows[chosen])


FIELDS: tuple[str, ...] = tuple(
    name
    for name, value in vars(Truth).items()
    if not name.startswith("_") and callable(value)
)


class _Surface:
    """The solid part of a model: vertex numbers, triangles, which are of the face."""

    def __init__(self, head: Head):
        model = head.model
        solid = model.opaque_part
        self.numbers = np.arange(model.vertex_count)
        if solid is not model:
            hidden = np.array(
                [name not in solid.region_names for name in model.region_names]
            )
            self.numbers = np.flatnonzero(~hidden[model.vertex_regions])
        self.triangles = solid.full_triangles
        self.of_face = np.ones(len(self.triangles), bool)
        if NECK_REGION in solid.region_names:
            neck = solid.vertex_regions == solid.region_names.index(NECK_REGION)
            self.of_face = ~neck[self.triangles].any(axis=1)


@functools.lru_cache(maxsize=8)
def _solid_model(head: Head) -> _Surface:
    return _Surface(head)


def check(head: Head, names: Sequence[str], chart: Chart | None) -> None:
    """Checks that fields exist and can be computed.

    Raises:
      InputError: naming the field.
    """
    for name in names:
        if name not in FIELDS:
            raise InputError(
                f"field must be one of {', '.join(FIELDS)}. Received: {name!r}"
            )
    if "position_map" in names and chart is None:
        raise InputError("position_map needs a chart, and none was given.")


def fields(
    photograph: Photograph, names: Sequence[str], chart: Chart | None = None
) -> dict[str, np.ndarray]:
    """Computes some fields of a photograph.

    Args:
      photograph: from `factory.draw`.
      names: of `FIELDS`.
      chart: for position_map.

    Raises:
      InputError: for an unknown field, or one that cannot be had.
    """
    check(photograph.head, names, chart)
    truth = Truth(photograph, chart)
    found: dict[str, np.ndarray] = {}
    for name in names:
        compute: Callable[[], np.ndarray] = getattr(truth, name)
        found[name] = np.asarray(compute())
    return found
