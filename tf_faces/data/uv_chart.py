"""The chart that turns a face's vertices into square maps and back.

Pixel (row i, column j) of a map of resolution R stands for u = j / (R - 1) and
v = 1 - i / (R - 1), menpo's rule for texture coordinates.  Every pixel knows the
triangle it lies in and its barycentric weights there, so a map is one sparse product
with the vertices; pixels outside of the chart repeat the nearest one inside.
"""

import dataclasses

import numpy as np
import scipy.ndimage
import scipy.sparse

from tf_faces.core.errors import InputError
from tf_faces.data import uv_frontal
from tf_faces.geometry import topology, uv
from tf_faces.morphable import painting, unwrapping
from tf_faces.morphable.formats import makehuman
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops.render_depth.render_depth_reference import rasterize_numpy

# "whole": all skin that the model's own chart shows in 0..1.  "face": the window of
# that chart that holds the front of the face, so that this gets most of a map.
CHARTS = ("whole", "face")

# Which parts of a model carry the face's skin, and its two eyes (subject's right,
# left); models of other parts use everything.
_SKIN_PARTS = {"head_skin", "face"}
_EYE_PARTS = (("r-eye", "eyeball_right"), ("l-eye", "eyeball_left"))
# Eye layers are drawn finer and averaged, because a pupil is smaller than a pixel.
_OVERSAMPLING = 4
# What a triangle of a chart belongs to; the front of the face from _FRONT on.
_SKIN, _FRONT, _MOUTH, _EYE = range(4)
# Landmarks of the chin among the 68.
_CHIN = slice(6, 11)
# Pixels between the lips, pixels and share of the width between the lids, at least.
_MOUTH_PIXELS = 2.5
_EYE_PIXELS = 2.0
_EYE_SHARE = 0.38


@dataclasses.dataclass(frozen=True, eq=False)
class Chart:
    """A model laid out in a square of R x R pixels.

    Attributes:
      resolution: R.
      model: the part of the model that the chart shows, in its own unit, ccw.
      model_vertices: int [n], the number that each vertex of `model` has in the whole.
      coordinates: float32 [V, 2], (u, v) of the chart's vertices, in 0..1.
      vertex_of_coordinate: int32 [V], the vertex of `model` behind each.
      triangles: int32 [T, 3] into the chart's vertices, ccw.
      hidden: bool [V], vertices that lie under another part of the chart (the rim of
        an eyeball under the lids) or beyond its square, on whose edge they come to lie;
        maps do not hold their own place.
      pixels: sparse [R * R, n], a map is `pixels @ values` of the model's vertices.
      covered: bool [R, R], pixels inside of the chart.
      eye_layers: float32 [3, R, R], coverage by sclera, iris and pupil.
      mouth_layer: float32 [R, R], coverage by what closes the opening of the lips.
      frontal: bool [R, R], pixels of the front of the face (of its outline, see
        `uv_frontal`, eyes and mouth included); all False without landmarks.
      picture_coordinates: float32 [R, R, 2], (u, v) of every pixel in the model's own
        chart (cut to its square), before slits were opened: where a picture made for
        that chart has the pixel's colour.
      mouth_line: float64 [k, 2], (u, v) of the line between the lips from corner to
        corner; None without landmarks.
    """

    resolution: int
    model: MorphableModel
    model_vertices: np.ndarray
    coordinates: np.ndarray
    vertex_of_coordinate: np.ndarray
    triangles: np.ndarray
    hidden: np.ndarray
    pixels: scipy.sparse.csr_matrix
    covered: np.ndarray
    eye_layers: np.ndarray
    mouth_layer: np.ndarray
    frontal: np.ndarray
    picture_coordinates: np.ndarray
    mouth_line: np.ndarray | None

    @property
    def pixel_coordinates(self) -> np.ndarray:
        """float64 [V, 2]: (row, column) of the chart's vertices."""
        return uv.tbgan_pixels(self.coordinates.astype(np.float64), self.resolution)

    def to_map(self, values: np.ndarray) -> np.ndarray:
        """Vertex values [n, C] as a map [R, R, C]."""
        return (self.pixels @ values).reshape(self.resolution, self.resolution, -1)


def _region_mask(model: MorphableModel, names) -> np.ndarray:
    """bool [n]: vertices of regions with one of these names."""
    if model.vertex_regions is None:
        return np.zeros(model.vertex_count, bool)
    numbers = [i for i, name in enumerate(model.region_names) if name in names]
    return np.isin(model.vertex_regions, numbers)


def _skin_chart(model: MorphableModel):
    """Skin triangles, their uv corners and all coordinates, in the square 0..1."""
    model = unwrapping.with_chart(model)
    coordinates = model.texture_coordinates
    assert coordinates is not None
    triangles, corners = model.triangles, model.texture_triangles
    if corners is None:
        triangles = corners = model.full_triangles
    if "head_skin" in model.region_names:
        # The square in the middle of a skin picture.
        width, height = makehuman.SKIN_WIDTH, makehuman.SKIN_HEIGHT
        x = coordinates[:, 0] * width - (width - height) / 2
        coordinates = np.stack([x / height, coordinates[:, 1]], axis=1)
    if _SKIN_PARTS & set(model.region_names):
        on_skin = _region_mask(model, _SKIN_PARTS)[triangles].all(axis=1)
        triangles, corners = triangles[on_skin], corners[on_skin]
    kept = _touch_square(coordinates, corners)
    if not kept.any():
        raise InputError(f"{model.name!r}: its texture chart lies outside of 0..1.")
    triangles, corners = triangles[kept], corners[kept]
    if model.vertex_regions is not None:
        # The square leaves strips of the neck behind the ears.
        whole = ~topology.are_tails(triangles)
        triangles, corners = triangles[whole], corners[whole]
    return triangles, corners, coordinates


def _touch_square(coordinates, corners):
    """Which triangles reach into 0..1, so that a map is filled to its borders."""
    corner = coordinates[corners]
    low, high = corner.min(axis=1), corner.max(axis=1)
    return ((high > 1e-5) & (low < 1 - 1e-5)).all(axis=1)


def _part_slits(model, triangles, corners, coordinates, pixel):
    """Opens mouth and eyes of a chart far enough for maps with pixels of this size."""
    mouth = np.unique(model.triangles_mouth)
    if len(mouth) and model.texture_triangles is None:
        middle = np.median(coordinates[mouth, 1])
        above = coordinates[mouth, 1] > middle
        upper, lower = coordinates[mouth[above]], coordinates[mouth[~above]]
        if len(upper) and len(lower):
            line = np.array(
                [[mouth_u, middle] for mouth_u in _span(coordinates[mouth])]
            )
            open_by = upper[:, 1].mean() - lower[:, 1].mean()
            missing = _MOUTH_PIXELS * pixel - open_by
            coordinates = unwrapping.widen_slit(coordinates, line, missing)
    if model.landmarks68 is None or model.vertex_regions is None:
        return coordinates
    places = np.full(model.vertex_count, -1)
    places[triangles.reshape(-1)] = corners.reshape(-1)
    places = places[model.landmarks68]
    for loop, pixels, share in (
        (range(60, 68), _MOUTH_PIXELS, 0.0),
        (range(36, 42), _EYE_PIXELS, _EYE_SHARE),
        (range(42, 48), _EYE_PIXELS, _EYE_SHARE),
    ):
        numbers = places[list(loop)]
        if (numbers < 0).any():
            continue
        # The upper edge runs from corner to corner, the lower one back.
        ring = coordinates[numbers].astype(np.float64)
        half = len(ring) // 2
        upper, lower = ring[1:half], ring[:half:-1]
        line = _middle_line(ring)
        if (np.diff(line[:, 0]) <= 0).any():
            continue
        wanted = max(pixels * pixel, share * (line[-1, 0] - line[0, 0]))
        missing = wanted - (upper - lower)[:, 1].mean()
        coordinates = unwrapping.widen_slit(coordinates, line, missing)
    return coordinates


def _middle_line(ring):
    """The line in the middle of a ring that runs from corner to corner and back."""
    half = len(ring) // 2
    middle = (ring[1:half] + ring[:half:-1]) / 2
    return np.concatenate([ring[:1], middle, ring[half : half + 1]])


def _span(coordinates):
    return coordinates[:, 0].min(), coordinates[:, 0].max()


def _eye_chart(model: MorphableModel, names, landmarks, landmark_coordinates):
    """One eyeball's front, laid out behind the lids by an affine map of (x, y)."""
    neutral = model.neutral.astype(np.float64)
    members = _region_mask(model, names)
    triangles = model.triangles[members[model.triangles].all(axis=1)]
    if not len(triangles):
        return None
    corner = neutral[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    triangles = triangles[normal[:, 2] > 0.15]
    design = np.column_stack([neutral[landmarks, :2], np.ones(len(landmarks))])
    affine = np.linalg.lstsq(design, landmark_coordinates, rcond=None)[0]
    vertices = np.unique(triangles)
    laid = np.column_stack([neutral[vertices, :2], np.ones(len(vertices))]) @ affine
    return triangles, vertices, laid


def _rasterize(coordinates, triangles, layers, resolution):
    """Triangle number and weights of every pixel; higher layers hide lower ones."""
    side = resolution - 1
    # A hair wider than the chart, so that pixels on its very border lie inside.
    wide = 0.5 + (coordinates - 0.5) * (1 + 1e-5)
    place = np.column_stack([wide[:, 0] * side, (1 - wide[:, 1]) * side, layers])
    drawn = rasterize_numpy(place, triangles, resolution, resolution)
    return drawn.triangle_id, drawn.barycentrics


def build_chart(model: MorphableModel, resolution: int, kind: str = "whole") -> Chart:
    """Lays a model out for maps of one resolution.

    The skin part of models with parts, eyeballs in the openings of the lids; models
    without a chart are unwrapped cylindrically.  A closed mouth is opened by 2.5
    pixels, so that the lips keep apart in the map; what the skin leaves open between
    them is closed by a strip.

    Args:
      model: any.
      resolution: side of the maps.
      kind: one of `CHARTS`.

    Raises:
      InputError: if the resolution is no power of two from 32 to 512, the kind unknown,
        or the front of the face asked for of a model without landmarks.
    """
    if kind not in CHARTS:
        raise InputError(f"chart must be one of {CHARTS}. Received: {kind!r}")
    if resolution not in (32, 64, 128, 256, 512):
        raise InputError(
            f"resolution must be 32, 64, 128, 256 or 512. Received: {resolution}"
        )
    model = unwrapping.with_chart(model.with_winding("ccw"))
    triangles, corners, coordinates = _skin_chart(model)
    straight = coordinates
    is_frontal = np.zeros(len(triangles), bool)
    if kind == "face" or model.landmarks68 is not None:
        is_frontal = uv_frontal.frontal_vertices(model)[triangles].all(axis=1)
    if kind == "face":
        assert model.landmarks68 is not None
        chin = np.isin(triangles, model.landmarks68[_CHIN])
        low, high = uv_frontal.window(
            coordinates, corners, is_frontal, coordinates[corners[chin]]
        )
        coordinates = (coordinates - low) / (high - low)
        kept = _touch_square(coordinates, corners)
        triangles, corners, is_frontal = (
            triangles[kept],
            corners[kept],
            is_frontal[kept],
        )
    coordinates = _part_slits(
        model, triangles, corners, coordinates, 1 / (resolution - 1)
    )
    # One chart vertex for each (vertex, coordinate) pair in use.
    pairs = np.stack([triangles.reshape(-1), corners.reshape(-1)], axis=1)
    pairs, inverse = np.unique(pairs, axis=0, return_inverse=True)
    chart_triangles = [inverse.reshape(-1, 3)]
    chart_vertices = [pairs[:, 0]]
    chart_coordinates = [coordinates[pairs[:, 1]].astype(np.float64)]
    chart_straight = [straight[pairs[:, 1]].astype(np.float64)]
    layer = [np.ones(len(pairs))]
    mouth_line = None
    parts = [np.where(is_frontal, _FRONT, _SKIN)]
    if model.landmarks68 is not None:
        first = {vertex: i for i, vertex in reversed(list(enumerate(pairs[:, 0])))}
        if all(vertex in first for vertex in model.landmarks68[60:68]):
            lips = [first[vertex] for vertex in model.landmarks68[60:68]]
            mouth_line = _middle_line(chart_coordinates[0][lips])
        ring = uv_frontal.mouth_ring(model, triangles)
        if ring is not None:
            ring = np.array([first[vertex] for vertex in ring])
            mouth = topology.fill_ring(ring, chart_coordinates[0])
            chart_triangles.append(mouth)
            parts.append(np.full(len(mouth), _MOUTH))
        for names, span in zip(_EYE_PARTS, (range(36, 42), range(42, 48)), strict=True):
            landmarks = model.landmarks68[list(span)]
            if not all(vertex in first for vertex in landmarks):
                continue
            known = chart_coordinates[0][[first[vertex] for vertex in landmarks]]
            eye = _eye_chart(model, names, landmarks, known)
            if eye is None:
                continue
            eye_triangles, vertices, laid = eye
            start = sum(len(part) for part in chart_vertices)
            chart_triangles.append(np.searchsorted(vertices, eye_triangles) + start)
            chart_vertices.append(vertices)
            chart_coordinates.append(laid)
            chart_straight.append(laid)
            layer.append(np.zeros(len(vertices)))
            parts.append(np.full(len(eye_triangles), _EYE))
    triangles = np.concatenate(chart_triangles).astype(np.int32)
    source = np.concatenate(chart_vertices)
    coordinates = np.concatenate(chart_coordinates)
    straight = np.concatenate(chart_straight)
    part_of_triangle = np.concatenate(parts)
    layers = np.concatenate(layer)

    hidden = _hidden(coordinates, triangles, layers, part_of_triangle == _EYE)
    triangle_id, weights = _rasterize(coordinates, triangles, layers, resolution)
    covered = triangle_id >= 0
    nearest = scipy.ndimage.distance_transform_edt(
        ~covered, return_distances=False, return_indices=True
    )
    part_of_pixel = part_of_triangle[triangle_id]
    triangle_id = triangle_id[tuple(nearest)].reshape(-1)
    weights = weights[tuple(nearest)].reshape(-1, 3)

    used_source, source = np.unique(source, return_inverse=True)
    columns = source[triangles[triangle_id]].reshape(-1)
    rows = np.repeat(np.arange(resolution**2), 3)
    pixels = scipy.sparse.csr_matrix(
        (weights.reshape(-1).astype(np.float32), (rows, columns)),
        shape=(resolution**2, len(used_source)),
    )
    part = model.replace(
        texture_coordinates=None, texture_triangles=None, landmarks68=None
    ).subset(used_source)
    chart = Chart(
        resolution=resolution,
        model=part,
        model_vertices=used_source,
        coordinates=np.clip(coordinates, 0, 1).astype(np.float32),
        vertex_of_coordinate=source.astype(np.int32),
        triangles=triangles,
        hidden=hidden | (np.abs(coordinates - 0.5).max(axis=1) > 0.5 + 1e-5),
        pixels=pixels,
        covered=covered,
        eye_layers=np.zeros((3, resolution, resolution), np.float32),
        mouth_layer=np.zeros((resolution, resolution), np.float32),
        frontal=covered & (part_of_pixel >= _FRONT),
        picture_coordinates=_pixel_values(
            straight, triangles, triangle_id, weights
        ).reshape(resolution, resolution, 2),
        mouth_line=mouth_line,
    )
    if (part_of_triangle >= _MOUTH).any():
        fine_layers = _fine_layers(
            coordinates,
            triangles,
            layers,
            _eye_degrees(model)[used_source][source],
            part_of_triangle,
            resolution,
        )
        chart = dataclasses.replace(
            chart, eye_layers=fine_layers[:3], mouth_layer=fine_layers[3]
        )
    return chart


def _pixel_values(values, triangles, triangle_id, weights):
    """Values of the chart's vertices [V, C] at every pixel: float32 [R * R, C]."""
    corners = values[triangles[triangle_id]]
    return (corners * weights[..., None]).sum(axis=1).astype(np.float32)


def _hidden(coordinates, triangles, layers, is_eye):
    """Which vertices of the eyeballs no opening of the lids shows: bool [V]."""
    if not is_eye.any():
        return np.zeros(len(coordinates), bool)
    resolution = 512
    triangle_id, _ = _rasterize(coordinates, triangles, layers, resolution)
    row = np.clip(np.rint((1 - coordinates[:, 1]) * (resolution - 1)), 0, 511)
    column = np.clip(np.rint(coordinates[:, 0] * (resolution - 1)), 0, 511)
    top = triangle_id[row.astype(int), column.astype(int)]
    return (layers == 0) & ~((top >= 0) & is_eye[np.maximum(top, 0)])


def _eye_degrees(model: MorphableModel) -> np.ndarray:
    """Angle of every vertex from the axis of its eyeball; 90 where there is none."""
    degrees = np.full(model.vertex_count, 90.0)
    for names in _EYE_PARTS:
        members = _region_mask(model, names)
        if members.any():
            degrees[members] = painting.eye_angles(model.neutral[members])
    return degrees


def _fine_layers(coordinates, triangles, layers, degrees, parts, resolution):
    """Coverage of every pixel by sclera, iris, pupil and the inside of the mouth.

    Returns:
      float32 [4, R, R].
    """
    fine = resolution * _OVERSAMPLING
    # Pixel centres of the fine grid lie at (k + 1/2) / 4 - 1/2 of the coarse one.
    side, shift = resolution - 1, 0.5 * (_OVERSAMPLING - 1)
    place = np.column_stack(
        [
            coordinates[:, 0] * side * _OVERSAMPLING + shift,
            (1 - coordinates[:, 1]) * side * _OVERSAMPLING + shift,
            layers,
        ]
    ).astype(np.float64)
    drawn = rasterize_numpy(place, triangles, fine, fine, degrees[:, None])
    part = np.where(drawn.triangle_id >= 0, parts[np.maximum(drawn.triangle_id, 0)], -1)
    assert drawn.attributes is not None
    eyes = painting.eye_parts(drawn.attributes[..., 0]) * (part == _EYE)[..., None]
    found = np.concatenate([eyes, (part == _MOUTH)[..., None]], axis=-1)
    coarse = found.reshape(
        resolution, _OVERSAMPLING, resolution, _OVERSAMPLING, 4
    ).mean(axis=(1, 3))
    return np.moveaxis(coarse, -1, 0).astype(np.float32)
