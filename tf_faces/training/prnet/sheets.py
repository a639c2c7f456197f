"""What predictions look like: crop, landmarks, depth over the crop, the map itself."""

import numpy as np

from tf_faces.core import pictures
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.ops.render_depth import render_depth_ops
from tf_faces.training.prnet.sources import Validation
from tf_faces.viz import pictures as shown_pictures

# Sides of the shown cells at least, so that points can be told apart.
_SIDE = 192
_TRUE, _FOUND = (0, 220, 0), (255, 40, 40)
COLUMNS = 5


def _dots(picture: np.ndarray, points: np.ndarray, color) -> np.ndarray:
    shown = picture.copy()
    side = len(shown)
    for x, y in np.rint(points[:, :2]).astype(int):
        rows = slice(max(y - 1, 0), max(y + 2, 0))
        columns = slice(max(x - 1, 0), max(x + 2, 0))
        if x < side and y < side:
            shown[rows, columns] = color
    return shown


def _depth_over(
    picture: np.ndarray, vertices: np.ndarray, layout: MapLayout
) -> np.ndarray:
    side = len(picture)
    drawn = render_depth_ops.rasterize(
        vertices.astype(np.float32), layout.triangles, side, side
    )
    covered = np.asarray(drawn.triangle_id) >= 0
    depth = shown_pictures.depth_picture(np.asarray(drawn.depth), covered)
    mixed = 0.35 * picture + 0.65 * depth
    return np.where(covered[..., None], mixed, picture).astype(np.uint8)


def predictions(maps: np.ndarray, data: Validation, layout: MapLayout) -> np.ndarray:
    """A row a face: crop, true and predicted landmarks, both depths, predicted map.

    Args:
      maps: [N, M, M, 3], predicted, crop pixels.
      data: the truth of at least as many faces.
      layout: of the maps.

    Returns:
      uint8 [H, W, 3].
    """
    resolution = data.crops.shape[1]
    factor = max(1, -(-_SIDE // resolution))
    cells = []
    for row, found in enumerate(maps):
        crop = pictures.to_bytes(data.crops[row])
        crop = crop.repeat(factor, 0).repeat(factor, 1)

        def placed(points):
            return np.asarray(points) * factor + (factor - 1) / 2

        marks = placed(layout.at_landmarks(found))
        both = _dots(crop, placed(data.landmarks[row]), _TRUE)
        cells += [crop, _dots(both, marks, _FOUND)]
        for positions in (data.maps[row], found):
            vertices = placed(layout.at_vertices(positions))
            cells.append(_depth_over(crop, vertices, layout))
        shown = np.clip(found / resolution, 0, 1) * layout.mask[..., None]
        size = max(1, len(crop) // len(shown))
        cells.append(pictures.to_bytes(shown).repeat(size, 0).repeat(size, 1))
    return shown_pictures.contact_sheet(cells, COLUMNS)
