"""Charts that position maps are laid out by: where a map's pixels lie on a model."""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import uv
from tf_faces.morphable import unwrapping
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops.render_depth import render_depth_reference

# Regions that charts show, of models that tell their regions.
_SKIN = ("head_skin", "face")


@dataclasses.dataclass(frozen=True, eq=False)
class Chart:
    """A model's surface laid out in a square of pixels.

    Pixel (row i, column j) of a map of R pixels stands for u = j / (R - 1) and
    v = 1 - i / (R - 1), as in face3d, PRNet and menpo.

    Attributes:
      vertices: int32 [R * R, 3], the model vertices around each pixel.
      weights: float32 [R * R, 3], what they count; 0 where no surface is.
      resolution: R.
      landmarks: float32 [68, 2], where the model's landmarks lie: x, y in map pixels;
        NaN for those that the chart lacks.
    """

    vertices: np.ndarray
    weights: np.ndarray
    resolution: int
    landmarks: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """bool [R, R]: where a surface is."""
        return (self.weights != 0).any(axis=1).reshape(self.resolution, -1)

    def map(self, values: np.ndarray) -> np.ndarray:
        """Vertex values [n, C] as a map: float32 [R, R, C], 0 where nothing is."""
        result = values[self.vertices[:, 0]] * self.weights[:, :1]
        for corner in (1, 2):
            column = slice(corner, corner + 1)
            result += values[self.vertices[:, corner]] * self.weights[:, column]
        side = self.resolution
        return result.reshape(side, side, -1).astype(np.float32)


def lay_out(
    model: MorphableModel,
    resolution: int = 256,
    coordinates: np.ndarray | None = None,
    *,
    landmarks_on_pixels: bool | None = None,
) -> Chart:
    """The chart of a model.

    Between its pixels a map runs straight where a face is bent, so a map read at a
    landmark's coordinates misses it by a part of a pixel (less in finer maps).  A chart
    that has its landmarks on pixels holds them exactly: those 68 vertices are moved by
    up to half a pixel, in the chart alone.

    Args:
      model: any.
      resolution: of the maps.
      coordinates: [n, 2] (u, v), v up, one for each vertex; those outside of 0..1 and
        NaN are left out.  None takes the model's own chart, or one made for it; of
        charts of several tiles (ICT) the first.
      landmarks_on_pixels: move landmarks to pixel centres (where two share a pixel,
        one); None does so for the model's own chart, not for given coordinates.

    Raises:
      InputError: if the coordinates do not fit the model, or the chart is empty.
    """
    if resolution < 2:
        raise InputError(f"resolution must be at least 2. Received: {resolution}")
    corners = None
    if landmarks_on_pixels is None:
        landmarks_on_pixels = coordinates is None
    triangles = model.triangles
    if coordinates is None:
        model = unwrapping.with_chart(model)
        coordinates, corners = model.texture_coordinates, model.texture_triangles
        skin = [name for name in model.region_names if name in _SKIN]
        if skin and corners is not None:
            # Other parts may lie over the skin in their own pictures.
            number = model.region_names.index(skin[0])
            on_skin = (model.vertex_regions == number)[triangles].all(axis=1)
            triangles, corners = triangles[on_skin], corners[on_skin]
    elif np.shape(coordinates) != (model.vertex_count, 2):
        raise InputError(
            f"coordinates must have shape {(model.vertex_count, 2)}. Received: "
            f"{np.shape(coordinates)}"
        )
    if corners is None:
        triangles = corners = model.full_triangles
    coordinates = np.asarray(coordinates, np.float64)
    with np.errstate(invalid="ignore"):
        inside = (np.abs(coordinates - 0.5) <= 0.5 + 1e-6).all(axis=1)
    kept = inside[corners].all(axis=1)
    triangles, corners = triangles[kept], corners[kept]
    if not len(triangles):
        raise InputError(f"{model.name!r}: its chart lies outside of 0..1.")
    flat = uv.process_chart_face3d(np.nan_to_num(coordinates), resolution, resolution)
    numbers = np.full(68, -1)
    if model.landmarks68 is not None:
        place = np.full(model.vertex_count, -1)
        place[triangles.reshape(-1)] = corners.reshape(-1)
        numbers = place[model.landmarks68]
    moved = np.zeros(0, int)
    if landmarks_on_pixels:
        moved = _to_pixels(flat, numbers, resolution)
    drawn = render_depth_reference.rasterize_numpy(
        flat, corners, resolution, resolution
    )
    triangle = drawn.triangle_id.reshape(-1)
    found = triangle >= 0
    vertices = np.where(found[:, None], triangles[triangle], 0)
    weights = drawn.barycentrics.reshape(-1, 3).astype(np.float32)
    landmarks = np.full((68, 2), np.nan, np.float32)
    landmarks[numbers >= 0] = flat[numbers[numbers >= 0], :2]
    if len(moved):
        # Whatever triangle was drawn there: the landmark itself.
        column, row = landmarks[moved].astype(int).T
        pixels = row * resolution + column
        vertices[pixels] = model.landmarks68[moved, None]
        weights[pixels] = (1, 0, 0)
    return Chart(vertices.astype(np.int32), weights, resolution, landmarks)


def _to_pixels(flat: np.ndarray, numbers: np.ndarray, resolution: int) -> np.ndarray:
    """Moves landmarks in `flat` to the nearest pixel centres; returns which ones.

    Args:
      flat: [k, 3], chart vertices in pixels; changed.
      numbers: [68], the landmarks' chart vertices, -1 for none.
      resolution: of the map.
    """
    known = np.flatnonzero(numbers >= 0)
    places = flat[numbers[known], :2]
    pixels = np.clip(np.rint(places), 0, resolution - 1)
    # Of several in one pixel the nearest.
    order = np.argsort(np.linalg.norm(places - pixels, axis=1), kind="stable")
    _, first = np.unique(pixels[order], axis=0, return_index=True)
    kept = np.sort(order[first])
    flat[numbers[known[kept]], :2] = pixels[kept]
    return known[kept]
