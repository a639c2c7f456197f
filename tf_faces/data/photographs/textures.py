"""Pictures on surfaces: linear colours, sampled at many points at once."""

import dataclasses
import functools
import pathlib

import numpy as np

from tf_faces.core import pictures
from tf_faces.data.photographs import surroundings


@dataclasses.dataclass(frozen=True, eq=False)
class Texture:
    """A picture in linear light.

    Attributes:
      texels: float32 [H * W, 4], RGB and alpha in 0..1, not premultiplied.
      height, width: of the picture.
    """

    texels: np.ndarray
    height: int
    width: int

    def sample(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Bilinear RGBA [P, 4] at u [P] and v [P], v up; clamped at the borders."""
        x = u * np.float32(self.width) - np.float32(0.5)
        y = (1 - v) * np.float32(self.height) - np.float32(0.5)
        x = np.clip(x, 0, self.width - np.float32(1.001))
        y = np.clip(y, 0, self.height - np.float32(1.001))
        column, row = x.astype(np.int32), y.astype(np.int32)
        right, below = (x - column)[:, None], (y - row)[:, None]
        start = row * self.width + column
        first = self.texels.take(start, axis=0)
        first += (self.texels.take(start + 1, axis=0) - first) * right
        start += self.width
        second = self.texels.take(start, axis=0)
        second += (self.texels.take(start + 1, axis=0) - second) * right
        second -= first
        second *= below
        first += second
        return first

    def nearest(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """RGBA [P, 4] of the texels that hold u [P] and v [P], v up.

        For pictures that are averaged afterwards: much faster than `sample`.
        """
        column = u * np.float32(self.width)
        row = (1 - v) * np.float32(self.height)
        column = np.clip(column, 0, self.width - 1).astype(np.int32)
        row = np.clip(row, 0, self.height - 1).astype(np.int32)
        row *= np.int32(self.width)
        row += column
        return self.texels.take(row, axis=0)

    @functools.cached_property
    def mean_level(self) -> float:
        """Mean luminance."""
        return float(self.texels[:, :3].mean(axis=0) @ (0.2126, 0.7152, 0.0722))


def of_levels(levels: np.ndarray, largest: int | None = None) -> Texture:
    """A texture of a picture as it is shown.

    Args:
      levels: uint8 [H, W, 3 or 4].
      largest: side that the texture must not exceed; it is averaged by whole factors.
    """
    color = surroundings.from_srgb(np.arange(256) / 255).astype(np.float32)
    texels = np.ones((*levels.shape[:2], 4), np.float32)
    texels[..., :3] = color[levels[..., :3]]
    if levels.shape[2] == 4:
        texels[..., 3] = levels[..., 3] / np.float32(255)
    step = 1 if largest is None else max(levels.shape[:2]) // largest
    while step > 1 and any(side % step for side in levels.shape[:2]):
        step -= 1
    if step > 1:
        height, width = levels.shape[0] // step, levels.shape[1] // step
        texels = texels.reshape(height, step, width, step, 4).mean((1, 3))
    # Between two texels at least, that a picture of one colour can be sampled.
    texels = np.repeat(texels, 2, axis=0) if len(texels) < 2 else texels
    texels = np.repeat(texels, 2, axis=1) if texels.shape[1] < 2 else texels
    height, width = texels.shape[:2]
    return Texture(np.ascontiguousarray(texels.reshape(-1, 4)), height, width)


@functools.lru_cache(maxsize=256)
def read(path: pathlib.Path, largest: int | None = None) -> Texture:
    """Reads a picture file as a texture, alpha included; the last ones are kept.

    Raises:
      InputError: if there is no such file, or it is too large.
      FormatError: if it is damaged.
    """
    return of_levels(pictures.read(path, channels=4), largest)


@functools.lru_cache(maxsize=64)
def read_variation(path: pathlib.Path, largest: int | None = None) -> Texture:
    """A picture of hair without its colour: how bright it is about its mean, and alpha.

    Colours are left out because dark hair made fair would show their faults.

    Raises:
      InputError, FormatError: as `read` does.
    """
    texture = read(path, largest)
    level = texture.texels[:, :3] @ np.float32([0.2126, 0.7152, 0.0722])
    alpha = texture.texels[:, 3]
    level = level / max(float(level @ alpha / max(alpha.sum(), 1e-6)), 1e-4)
    # The darker a picture, the more its levels differ in proportion.
    varied = np.clip(level, 0, 4) ** np.float32(0.6)
    texels = np.repeat(varied[:, None], 4, axis=1)
    texels[:, 3] = alpha
    return Texture(texels, texture.height, texture.width)
