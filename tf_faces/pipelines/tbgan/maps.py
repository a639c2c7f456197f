"""The arithmetic between TBGAN's maps, latents and charts, in plain NumPy.

Maps are channels last: texture, shape, normals in channels 0..2, 3..5, 6..8.  Follows
generate_interpolation_images of TBGAN's util_scripts.py.
"""

import dataclasses

import numpy as np

from tf_faces.geometry import uv
from tf_faces.morphable.uv_dictionary import UvDictionary

# Standard deviation of the smoothing of shape maps, in pixels of a 512 map.
SMOOTHING_AT_512 = 3.0
# And never less than this many pixels: a network's noise is as wide as a pixel.
LEAST_SMOOTHING = 1.0
# What TBGAN's test script multiplies the probabilities of its labels with.
TEST_SCRIPT_LABEL_WEIGHTS = (10.0, 10.0, 10.0, 10.0, 5.0, 3.0, 10.0)


def texture_image(maps: np.ndarray) -> np.ndarray:
    """Channels 0..2 as uint8, truncated as the original's mesh export does.

    Args:
      maps: [..., R, R, C] of about [-1, 1].
    """
    colors = np.clip(maps[..., :3] / np.float32(2) + np.float32(0.5), 0, 1)
    return (colors * np.float32(255)).astype(np.uint8)


def normals_image(maps: np.ndarray) -> np.ndarray:
    """Channels 6..8 of one sample as uint8, stretched to their extremes, truncated.

    Args:
      maps: [R, R, 9].
    """
    normals = maps[..., 6:9]
    low, high = normals.min(), normals.max()
    stretched = (normals - low) / (high - low if high > low else np.float32(1))
    return (stretched * np.float32(255)).astype(np.uint8)


def smooth_shape(shape_map: np.ndarray, smoothing: float) -> np.ndarray:
    """Gaussian filter over rows and columns (reflected borders, cut at 4 sigma).

    Args:
      shape_map: [R, R, 3].
      smoothing: sigma in pixels; 0 leaves the map as it is.
    """
    import scipy.ndimage

    if smoothing <= 0:
        return shape_map
    return scipy.ndimage.gaussian_filter(shape_map, (smoothing, smoothing, 0))


def interpolation_inputs(
    frames: int,
    grid: int,
    size: int,
    smoothing_frames: float,
    seed: int = 1000,
) -> np.ndarray:
    """Random walks for animations, closed in time, of unit size over everything.

    Args:
      frames: F.
      grid: G, number of samples shown at once.
      size: components: latents, followed by label logits.
      smoothing_frames: sigma of the Gaussian along time.
      seed: of NumPy's legacy generator, as in the original.

    Returns:
      float32 [F, G, size].
    """
    import scipy.ndimage

    values = np.random.RandomState(seed).randn(frames, grid, size).astype(np.float32)
    values = scipy.ndimage.gaussian_filter(
        values, (smoothing_frames, 0, 0), mode="wrap"
    )
    return values / np.sqrt(np.mean(np.square(values)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax [N, L]; rows sum to 1."""
    shifted = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    return shifted / np.sum(shifted, axis=1, keepdims=True)


def grid_dictionary(resolution: int) -> UvDictionary:
    """The chart in which every pixel is a vertex, for maps whose chart is unknown."""
    row, column = np.meshgrid(
        np.arange(resolution), np.arange(resolution), indexing="ij"
    )
    pixels = np.stack([row.ravel(), column.ravel()], axis=1).astype(np.float64)
    numbers = np.arange(resolution**2).reshape(resolution, resolution)
    corners = [
        part.ravel()
        for part in (
            numbers[:-1, :-1],
            numbers[1:, :-1],
            numbers[:-1, 1:],
            numbers[1:, 1:],
        )
    ]
    upper_left, lower_left, upper_right, lower_right = corners
    # Counter-clockwise in (u, v), v up.
    triangles = np.concatenate(
        [
            np.stack([upper_left, lower_left, upper_right], axis=1),
            np.stack([upper_right, lower_left, lower_right], axis=1),
        ]
    )
    last = resolution - 1
    return UvDictionary(
        tcoords=np.stack([pixels[:, 1] / last, 1 - pixels[:, 0] / last], axis=1),
        tcoords_pixel_scaled=pixels,
        trilist=triangles.astype(np.int32),
        tmask=np.ones((resolution, resolution), bool),
        hidden=np.zeros(resolution**2, bool),
        resolution=resolution,
    )


def is_grid(dictionary: UvDictionary) -> bool:
    """Whether every pixel is a vertex, as in `grid_dictionary`: no chart, no rim."""
    side, places = dictionary.resolution, dictionary.tcoords_pixel_scaled
    if len(places) != side**2:
        return False
    return np.array_equal(places.T, np.divmod(np.arange(side**2), side))


def fitted_dictionary(dictionary: UvDictionary, resolution: int) -> UvDictionary:
    """The same chart for maps of another resolution."""
    if dictionary.resolution == resolution:
        return dictionary
    rows = np.arange(resolution) * dictionary.resolution // resolution
    neutral_map = dictionary.neutral_map
    if neutral_map is not None:
        place = np.linspace(0, dictionary.resolution - 1, resolution)
        column, row = np.meshgrid(place, place)
        places = np.stack([column.ravel(), row.ravel()], axis=1)
        neutral_map = uv.sample_map(neutral_map, places)
        neutral_map = neutral_map.reshape(resolution, resolution, 3).astype(np.float32)
    mouth_line = dictionary.mouth_line
    if mouth_line is not None:
        mouth_line = mouth_line * ((resolution - 1) / (dictionary.resolution - 1))
    return dataclasses.replace(
        dictionary,
        tcoords_pixel_scaled=uv.tbgan_pixels(dictionary.tcoords, resolution),
        tmask=dictionary.tmask[rows][:, rows],
        resolution=resolution,
        neutral_map=neutral_map,
        mouth_line=mouth_line,
    )
