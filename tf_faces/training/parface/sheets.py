"""Pictures that show how far a training is."""

import numpy as np

from tf_faces.metrics import parface_pictures
from tf_faces.viz import pictures

COLUMNS = 5
SHOWN = 10


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
