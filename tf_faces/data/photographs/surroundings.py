"""Where a photograph is taken: panoramas as light and as background.

Axes: x to the right of the picture, y up, z towards the camera; the camera looks along
-z.  Radiance is linear RGB (Rec. 709 primaries).  A panorama of H x W pixels shows, at
u = (j + 1/2) / W and v = (i + 1/2) / H, what comes from the direction

    d = (sin a cos e, sin e, -cos a cos e),  a = 2 pi (u - 1/2),  e = pi (1/2 - v).

Panoramas come from the folder `environments` of the face data (its README has the
arrays); without it a few are made by code.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from tf_faces.core import files, pictures, seeding
from tf_faces.core.errors import FormatError
from tf_faces.morphable import io
from tf_faces.morphable.formats import arrays

_ARRAYS = (
    *("names", "hdr", "exposure", "sh_radiance", "light_direction"),
    "light_irradiance",
)
# Factors from radiance to irradiance, by coefficient.
IRRADIANCE_FACTORS = np.pi * np.array([1, *[2 / 3] * 3, *[1 / 4] * 5])
# Signs between these coefficients and `lighting.spherical_harmonics`, which has the
# phase (-1)^order.
HARMONIC_SIGNS = np.array([1, -1, 1, -1, 1, -1, 1, -1, 1], np.float32)
# Radius in degrees of the disc that counts as the dominant light.
_LIGHT_RADIUS = 15.0
_PROCEDURAL_COUNT = 12
_PROCEDURAL_SIZE = (64, 128)
# Height of the panoramas that backgrounds are cut from.
_BACKGROUND_HEIGHT = 256
# Radii, in degrees, of the discs by which backgrounds are out of focus.
FOCUS_DEGREES = (0.0, 1.0, 2.5, 5.0)


def harmonics(directions: np.ndarray) -> np.ndarray:
    """The nine real harmonics, without phase, at unit vectors [..., 3]: [..., 9].

    Order: 1, y, z, x, xy, yz, 3z^2 - 1, xz, x^2 - y^2.
    """
    # One row an axis and a harmonic while they are computed: columns are slow.
    x, y, z = np.ascontiguousarray(np.moveaxis(directions, -1, 0))
    result = np.empty((9, *directions.shape[:-1]), directions.dtype)
    result[0] = 0.28209479
    result[1] = 0.48860251 * y
    result[2] = 0.48860251 * z
    result[3] = 0.48860251 * x
    result[4] = 1.09254843 * x * y
    result[5] = 1.09254843 * y * z
    result[6] = 0.31539157 * (3 * z * z - 1)
    result[7] = 1.09254843 * x * z
    result[8] = 0.54627422 * (x * x - y * y)
    return np.moveaxis(result, 0, -1)


def directions_of(height: int, width: int) -> np.ndarray:
    """Unit vectors of a panorama's pixels: float64 [H, W, 3]."""
    around = 2 * np.pi * ((np.arange(width) + 0.5) / width - 0.5)
    up = np.pi * (0.5 - (np.arange(height) + 0.5) / height)
    up, around = np.meshgrid(up, around, indexing="ij")
    return np.stack(
        [np.sin(around) * np.cos(up), np.sin(up), -np.cos(around) * np.cos(up)], -1
    )


def solid_angles(height: int, width: int) -> np.ndarray:
    """Solid angle of each pixel of a panorama: float64 [H, W]."""
    edges = np.sin(np.pi * (0.5 - np.arange(height + 1) / height))
    return np.repeat((edges[:-1] - edges[1:])[:, None] * 2 * np.pi / width, width, 1)


def display_curve(values: np.ndarray) -> np.ndarray:
    """Exposed linear light to 0..1, still linear: a fit of the ACES curve."""
    return np.clip(
        values * (2.51 * values + 0.03) / (values * (2.43 * values + 0.59) + 0.14), 0, 1
    )


def inverse_display_curve(shown: np.ndarray) -> np.ndarray:
    """The inverse of `display_curve` for values below 1."""
    shown = np.minimum(shown, 0.985)
    square, line, constant = 2.43 * shown - 2.51, 0.59 * shown - 0.03, 0.14 * shown
    root = np.sqrt(np.maximum(line * line - 4 * square * constant, 0))
    return np.maximum((-line - root) / (2 * square), 0)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear 0..1 to sRGB 0..1."""
    return np.where(
        linear <= 0.0031308,
        12.92 * linear,
        1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055,
    )


def from_srgb(shown: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear 0..1."""
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


@dataclasses.dataclass(frozen=True)
class Light:
    """The light at the face: a dominant source and what is left without it.

    Attributes:
      radiance: float32 [9, 3], harmonics of all incoming light, source included.
      direction: float32 [3], towards the dominant source.
      irradiance: float32 [3], of a surface that faces the source.
    """

    radiance: np.ndarray
    direction: np.ndarray
    irradiance: np.ndarray

    @functools.cached_property
    def rest(self) -> np.ndarray:
        """Irradiance harmonics [9, 3] of what is not the dominant source."""
        source = harmonics(self.direction)[:, None] * self.irradiance
        rest = self.radiance - source
        return (rest * IRRADIANCE_FACTORS[:, None]).astype(np.float32)

    def ambient(self, normals: np.ndarray) -> np.ndarray:
        """Irradiance [..., 3] by everything but the source, at normals [..., 3]."""
        return np.maximum(harmonics(normals) @ self.rest, 0)

    def irradiance_at(self, normals: np.ndarray) -> np.ndarray:
        """Irradiance [..., 3] of unshadowed surfaces with unit normals [..., 3]."""
        cosine = np.maximum(normals @ self.direction, 0)
        return self.ambient(normals) + cosine[..., None] * self.irradiance

    def coefficients_with_phase(self) -> np.ndarray:
        """The whole light's irradiance harmonics, for `lighting.spherical_harmonics`.

        float32 [9, 3]; a diffuse surface sends albedo / pi times their sum.
        """
        scaled = self.radiance * IRRADIANCE_FACTORS[:, None]
        return (scaled * HARMONIC_SIGNS[:, None]).astype(np.float32)

    def turned(self, rotation: np.ndarray) -> "Light":
        """The light of surroundings turned by a matrix [3, 3]."""
        return Light(
            rotate_harmonics(self.radiance, rotation),
            (rotation @ self.direction).astype(np.float32),
            self.irradiance,
        )

    def scaled(self, factor: float) -> "Light":
        """Brighter or darker by a factor."""
        factor = np.float32(factor)
        return Light(self.radiance * factor, self.direction, self.irradiance * factor)


@functools.cache
def _fitting_directions() -> tuple[np.ndarray, np.ndarray]:
    """Directions [16, 3], and what turns values there into nine coefficients."""
    steps = np.arange(16) + 0.5
    z = 1 - 2 * steps / 16
    around = steps * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - z * z)
    chosen = np.stack([ring * np.cos(around), ring * np.sin(around), z], -1)
    return chosen, np.linalg.pinv(harmonics(chosen))


def rotate_harmonics(coefficients: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Coefficients [9, C] of the function that is turned by `rotation` [3, 3]."""
    chosen, inverse = _fitting_directions()
    values = harmonics(chosen @ rotation) @ coefficients
    return (inverse @ values).astype(np.float32)


@dataclasses.dataclass(frozen=True, eq=False)
class Environment:
    """One place.

    Attributes:
      name: of the place.
      radiance: float32 [64, 128, 3], linear, not exposed.
      exposure: that shows the place well.
      light: at the place, not turned, not exposed.
      picture: file of a finer panorama as it is shown at `exposure`, or None.
    """

    name: str
    radiance: np.ndarray
    exposure: float
    light: Light
    picture: pathlib.Path | None = None

    @functools.lru_cache(maxsize=256)  # noqa: B019 - places live as long as processes.
    def background(self, focus: int) -> np.ndarray:
        """The panorama out of focus by `FOCUS_DEGREES[focus]`.

        float32 [256, 512, 3], exposed.
        """
        if focus == 0:
            return self._sharp()
        sharp = self.background(0)
        return _out_of_focus(sharp, FOCUS_DEGREES[focus] / 180 * len(sharp))

    def _sharp(self) -> np.ndarray:
        height = _BACKGROUND_HEIGHT
        coarse = _resized(self.radiance * np.float32(self.exposure), height)
        if self.picture is None:
            return coarse
        shown = _resized(pictures.read(self.picture).astype(np.float32) / 255, height)
        linear = inverse_display_curve(from_srgb(shown))
        # The shown picture cannot hold the highlights; the coarse one does.
        clipped = np.clip((shown.max(axis=-1, keepdims=True) - 0.9) / 0.1, 0, 1)
        finer = np.maximum(linear, np.minimum(coarse, 30))
        return (linear + clipped * (finer - linear)).astype(np.float32)


def _resized(picture: np.ndarray, height: int) -> np.ndarray:
    """A panorama [h, w, 3] of another height, twice as wide."""
    import scipy.ndimage

    if len(picture) % height == 0:
        step = len(picture) // height
        return picture.reshape(height, step, 2 * height, step, 3).mean((1, 3))
    factor = height / len(picture)
    return scipy.ndimage.zoom(
        picture, (factor, factor, 1), order=1, mode="grid-wrap", grid_mode=True
    ).astype(np.float32)


def _out_of_focus(picture: np.ndarray, radius: float) -> np.ndarray:
    """Spreads every point to a disc, as an open lens does; wraps around."""
    height, width = picture.shape[:2]
    y = np.minimum(np.arange(height), height - np.arange(height))[:, None]
    x = np.minimum(np.arange(width), width - np.arange(width))
    disc = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1)
    disc /= disc.sum()
    kernel = np.fft.rfft2(disc)
    spectrum = np.fft.rfft2(picture, axes=(0, 1)) * kernel[..., None]
    blurred = np.fft.irfft2(spectrum, (height, width), axes=(0, 1))
    return np.maximum(blurred, 0).astype(np.float32)


def analyse(name: str, radiance: np.ndarray, picture=None) -> Environment:
    """An environment from its panorama alone.

    Args:
      name: of the place.
      radiance: [H, 2H, 3], linear.
      picture: see `Environment`.
    """
    height, width = radiance.shape[:2]
    directions = directions_of(height, width).reshape(-1, 3)
    weights = solid_angles(height, width).reshape(-1)
    flat = radiance.reshape(-1, 3).astype(np.float64)
    luminance = flat @ (0.2126, 0.7152, 0.0722)
    energy = luminance * weights
    coefficients = (harmonics(directions) * weights[:, None]).T @ flat
    limit = np.cos(np.radians(_LIGHT_RADIUS))
    brightest = np.argsort(-luminance)[:64]
    near = directions[brightest] @ directions.T > limit
    disc = near[np.argmax(near @ energy)]
    direction = (directions[disc] * energy[disc, None]).sum(axis=0)
    mean = luminance @ weights / (4 * np.pi)
    log_mean = np.log(np.maximum(luminance, 0.1 * mean)) @ weights / (4 * np.pi)
    light = Light(
        coefficients.astype(np.float32),
        (direction / np.linalg.norm(direction)).astype(np.float32),
        (flat[disc] * weights[disc, None]).sum(axis=0).astype(np.float32),
    )
    return Environment(
        name,
        radiance.astype(np.float32),
        float(0.18 / np.exp(log_mean)),
        light,
        picture,
    )


def _procedural(number: int) -> Environment:
    """A place made by code: sky or ceiling, ground, coloured patches, a lamp or sun."""
    rng = seeding.numpy_generator(number, "procedural environment")
    directions = directions_of(*_PROCEDURAL_SIZE)
    height = directions[..., 1:2]
    sky = rng.uniform(0.3, 1.2) * (1 + rng.uniform(-0.25, 0.25, 3))
    ground = rng.uniform(0.05, 0.4) * (1 + rng.uniform(-0.3, 0.3, 3))
    blend = 1 / (1 + np.exp(-height * rng.uniform(2, 12)))
    radiance = ground + (sky - ground) * blend
    for _ in range(24):
        centre = rng.standard_normal(3) * (1, 0.4, 1)
        centre /= np.linalg.norm(centre)
        sharpness = np.exp(rng.uniform(np.log(4), np.log(200)))
        patch = np.exp(sharpness * (directions @ centre - 1))[..., None]
        color = np.exp(rng.normal(-1, 0.8)) * (1 + rng.uniform(-0.5, 0.5, 3))
        radiance = radiance + (color - radiance) * np.clip(patch * 1.5, 0, 1)
    lamp = np.array([rng.uniform(-1, 1), rng.uniform(0.1, 1.2), rng.uniform(-0.6, 1)])
    lamp /= np.linalg.norm(lamp)
    spot = np.exp(rng.uniform(60, 500) * (directions @ lamp - 1))[..., None]
    warm = np.array([1.0, rng.uniform(0.8, 1), rng.uniform(0.6, 1.05)])
    radiance = radiance + np.exp(rng.uniform(1, 4.5)) * warm * spot
    return analyse(f"made by code {number}", radiance)


def find_folder() -> pathlib.Path | None:
    """The folder of panoramas in the face data, None without one."""
    for folder in io.data_folders():
        if (folder / "environments" / "environments.npz").is_file():
            return folder / "environments"
    return None


@functools.cache
def load(folder: pathlib.Path | None) -> tuple[Environment, ...]:
    """All places of a folder, or those made by code.

    Args:
      folder: with environments.npz and ldr/NAME.jpg; None for those made by code.

    Raises:
      FormatError: if the file lacks something.
    """
    if folder is None:
        return tuple(_procedural(number) for number in range(_PROCEDURAL_COUNT))
    path = folder / "environments.npz"
    found = files.load_npz(path, _ARRAYS)
    arrays.require_all_numbers(path, found, ["names"])
    count = len(found["names"])
    for name, shape in (
        ("hdr", (*_PROCEDURAL_SIZE, 3)),
        ("exposure", ()),
        ("sh_radiance", (9, 3)),
        ("light_direction", (3,)),
        ("light_irradiance", (3,)),
    ):
        if found[name].shape != (count, *shape):
            raise FormatError(
                f"{path}: {name!r} has shape {found[name].shape}, expected "
                f"{(count, *shape)}."
            )
    places = []
    for row in range(count):
        light = Light(
            found["sh_radiance"][row].astype(np.float32),
            found["light_direction"][row].astype(np.float32),
            found["light_irradiance"][row].astype(np.float32),
        )
        picture = folder / "ldr" / f"{found['names'][row]}.jpg"
        places.append(
            Environment(
                str(found["names"][row]),
                found["hdr"][row].astype(np.float32),
                float(found["exposure"][row]),
                light,
                picture if picture.is_file() else None,
            )
        )
    return tuple(places)


def look(panorama: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Bilinear values of a panorama [H, W, 3] in directions [..., 3] of any length."""
    height, width = panorama.shape[:2]
    x, y, z = (directions[..., axis] for axis in range(3))
    column = (np.arctan2(x, -z) * np.float32(0.5 / np.pi) + 0.5) * width - 0.5
    row = (0.5 - np.arctan2(y, np.hypot(x, z)) * np.float32(1 / np.pi)) * height - 0.5
    left, top = np.floor(column), np.floor(row)
    right, below = (column - left)[..., None], (row - top)[..., None]
    left, top = left.astype(np.int32), top.astype(np.int32)
    first = np.clip(top, 0, height - 1) * width
    second = np.clip(top + 1, 0, height - 1) * width
    following = (left + 1) % width
    left = left % width
    flat = panorama.reshape(-1, 3)
    upper = flat.take(first + left, axis=0)
    upper += (flat.take(first + following, axis=0) - upper) * right
    lower = flat.take(second + left, axis=0)
    lower += (flat.take(second + following, axis=0) - lower) * right
    lower -= upper
    lower *= below
    lower += upper
    return lower
