"""Pictures that show how far a training is."""

import numpy as np

from tf_faces.metrics import parface_pictures
from tf_faces.viz import pictures

COLUMNS = 5
SHOWN = 10
_TRUTH = (0, 200, 0)
_PREDICTED = (40, 90, 255)


def reconstructions(images: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Rows of five: pictures on top, their reconstructions below.

    Args:
      images, found: uint8 [N, S, S, 3].
    """
    columns = min(COLUMNS, len(images))
    missing = -len(images) % columns
    blank = np.full((missing, *images.shape[1:]), 255, np.uint8)
    tiles, captions = [], []
    for start in range(0, len(images), columns):
        row = slice(start, start + columns)
        filler = blank if start + columns > len(images) else blank[:0]
        tiles += [*images[row], *filler, *found[row], *filler]
        captions += [""] * columns
        captions += [
            f"{np.abs(one.astype(float) - other).mean():.1f} / "
            f"{parface_pictures.similarity(one, other):.2f}"
            for one, other in zip(images[row], found[row], strict=True)
        ]
        captions += [""] * len(filler)
    return pictures.contact_sheet(tiles, columns, captions=captions, gap=2)


def with_landmarks(
    image: np.ndarray, truth: np.ndarray | None, found: np.ndarray | None
) -> np.ndarray:
    """A picture with landmarks: the truth green, what was found blue, lines between.

    Args:
      image: uint8 [S, S, 3].
      truth, found: [K, 2] in its pixels; None is not drawn.
    """
    from PIL import Image, ImageDraw

    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    radius = max(image.shape[0] / 160, 0.6)
    if truth is not None and found is not None:
        for one, other in zip(truth, found, strict=True):
            pen.line([tuple(map(float, one)), tuple(map(float, other))], (255, 160, 0))
    for points, color in ((truth, _TRUTH), (found, _PREDICTED)):
        if points is None:
            continue
        for x, y in np.asarray(points, float)[:, :2]:
            box = [x - radius, y - radius, x + radius, y + radius]
            pen.ellipse(box, fill=color)
    return np.asarray(drawn)


def heatmaps(image: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """A picture with the largest of its heat maps laid over it in warm colours.

    Args:
      image: uint8 [S, S, 3].
      maps: [128, 128, K].
    """
    from PIL import Image

    strength = np.clip(maps.max(axis=-1), 0, 1)
    size = image.shape[1::-1]
    levels = Image.fromarray((strength * 255).astype(np.uint8)).resize(size)
    weight = (np.asarray(levels, np.float32) / 255)[..., None]
    warm = np.concatenate([np.ones_like(weight), weight, 0 * weight], axis=-1) * 255
    mixed = image * (1 - 0.7 * weight) + warm * (0.7 * weight)
    return mixed.astype(np.uint8)
