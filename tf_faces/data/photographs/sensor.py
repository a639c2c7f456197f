"""What cameras do to light: blur, noise, exposure, curve, compression, small sizes."""

import dataclasses
import functools
import io

import numpy as np
import scipy.ndimage
from PIL import Image

from tf_faces.data.photographs import surroundings
from tf_faces.data.photographs.settings import Settings

# Steps of the table from exposed linear light to levels, by its square root.
_TABLE_STEPS = 4096
_TABLE_END = 8.0


@dataclasses.dataclass(frozen=True, eq=False)
class Sensor:
    """One camera's faults.

    Attributes:
      blur: pixels, deviation of the focus blur.
      motion: pixels [2] that the picture moved during the exposure.
      gains: [3] of the white balance.
      noise: photon noise at full light, and read noise, as shares of full light.
      contrast: exponent about middle grey, after the curve.
      saturation: 1 for colours as they are, 0 for grey.
      scale: of the size at which the picture was small.
      quality: of JPEG, None for none.
      seed: of the noise.
    """

    blur: float
    motion: np.ndarray
    gains: np.ndarray
    noise: tuple[float, float]
    contrast: float
    saturation: float
    scale: float
    quality: int | None
    seed: int


def draw(settings: Settings, rng: np.random.Generator) -> Sensor:
    """Draws a camera; without `camera_effects` a faultless one."""
    blur = abs(rng.normal(0, 0.45)) * settings.size / 128
    motion = rng.normal(0, 1, 2) * (rng.random() < 0.15) * settings.size / 128 * 1.2
    warm, green = rng.normal(0, 0.08), rng.normal(0, 0.025)
    gains = np.exp(np.array([warm, green, -warm]))
    noise = np.exp(rng.uniform(np.log(0.002), np.log(0.025), 2))
    contrast = np.exp(rng.normal(0, 0.12))
    saturation = np.exp(rng.normal(0, 0.15))
    grey, small = rng.random(), rng.random()
    scale = rng.uniform(0.3, 0.8)
    quality = int(rng.integers(settings.quality_low, settings.quality_high + 1))
    seed = int(rng.integers(1 << 31))
    if not settings.camera_effects:
        return Sensor(0, np.zeros(2), np.ones(3), (0, 0), 1, 1, 1, None, seed)
    return Sensor(
        float(blur),
        motion,
        gains,
        (float(noise[0]), float(noise[1]) * 0.4),
        float(contrast),
        0.0 if grey < settings.grey else float(saturation),
        float(scale) if small < settings.low_resolution else 1.0,
        quality,
        seed,
    )


@functools.cache
def _shown() -> np.ndarray:
    """What is shown, 0..1, of exposed linear light at squares of evenly spaced numbers.

    float32 [_TABLE_STEPS].
    """
    steps = np.linspace(0, np.sqrt(_TABLE_END), _TABLE_STEPS)
    shown = surroundings.to_srgb(surroundings.display_curve(steps**2))
    return np.clip(shown, 0, 1).astype(np.float32)


def develop(linear: np.ndarray, sensor: Sensor) -> np.ndarray:
    """Exposed linear light [S, S, 3] to a picture, uint8 [S, S, 3]."""
    rng = np.random.default_rng(sensor.seed)
    size = linear.shape[0]
    light = linear.astype(np.float32, copy=True)
    if sensor.blur > 0.25:
        for axis in range(2):
            light = scipy.ndimage.gaussian_filter1d(
                light, sensor.blur, axis, mode="nearest", truncate=2.5
            )
    if np.abs(sensor.motion).max() > 0.4:
        light = _moved(light, sensor.motion)
    photons, reading = sensor.noise
    if photons or reading:
        spread = np.sqrt(np.maximum(light, 0) * photons**2 + reading**2)
        # Neighbours share some of the noise: sensors have a pixel for one colour.
        grain = rng.standard_normal(light.shape, np.float32)
        light += spread * grain
    light *= sensor.gains.astype(np.float32)
    steps = np.sqrt(np.clip(light, 0, _TABLE_END))
    steps *= np.float32((_TABLE_STEPS - 1) / np.sqrt(_TABLE_END))
    table = np.float32(255) * _shown() ** np.float32(sensor.contrast)
    levels = table.take(steps.astype(np.int32))
    if sensor.saturation != 1:
        grey = levels @ np.float32([0.299, 0.587, 0.114])
        levels = grey[..., None] + sensor.saturation * (levels - grey[..., None])
    picture = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    if sensor.scale < 1:
        small = max(int(round(size * sensor.scale)), 8)
        image = Image.fromarray(picture).resize((small, small), Image.Resampling.BOX)
        image = compressed(image, sensor.quality)
        return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    return np.asarray(compressed(Image.fromarray(picture), sensor.quality))


def compressed(image: Image.Image, quality: int | None) -> Image.Image:
    """A picture as it comes out of a JPEG file."""
    if quality is None:
        return image
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    stream.seek(0)
    return Image.open(stream).convert("RGB")


def _moved(light: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The mean of pictures along a line, whole pixels apart."""
    steps = int(np.ceil(np.abs(motion).max())) + 1
    total = np.zeros_like(light)
    for share in np.linspace(-0.5, 0.5, steps):
        down, right = (share * motion[::-1]).round().astype(int)
        total += _shifted(light, int(down), int(right))
    return total / np.float32(steps)


def _shifted(light: np.ndarray, down: int, right: int) -> np.ndarray:
    height, width = light.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return light[rows][:, columns]
