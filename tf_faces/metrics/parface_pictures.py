"""How like a reconstruction is to its picture, as ParFace logs and draws it.

Pictures are uint8 [H, W, 3] where displayed, floating elsewhere.

Reference: jilliam/ParFace, landmarks/lmvis.py; scikit-image's structural_similarity.
"""

import numpy as np

_WINDOW = 7
_MEANS = np.array([0.518, 0.418, 0.361], np.float32)


def displayed(images: np.ndarray, normalized: bool) -> np.ndarray:
    """Network pictures as bytes: means added back, limited to 0..1, truncated.

    Args:
      images: [..., 3].
      normalized: the means of VGGFace2 were taken off.
    """
    images = np.asarray(images, np.float32)
    if normalized:
        images = images + _MEANS
    if images.size and images.max() > 2:
        images = images / 255
    return (np.clip(images, 0, 1) * 255).astype(np.uint8)


def _box_means(values: np.ndarray, window: int) -> np.ndarray:
    """Means over windows that lie inside: [H - window + 1, W - window + 1, ...]."""
    total = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    w = window
    inner = total[w:, w:] - total[:-w, w:] - total[w:, :-w] + total[:-w, :-w]
    return inner / (w * w)


def similarity_map(
    first: np.ndarray, second: np.ndarray, data_range: float = 255.0
) -> np.ndarray:
    """SSIM at every pixel with a full window: [H - 6, W - 6, C] float64."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    count = _WINDOW**2
    sample = count / (count - 1)
    mean_x, mean_y = _box_means(x, _WINDOW), _box_means(y, _WINDOW)
    variance_x = sample * (_box_means(x * x, _WINDOW) - mean_x * mean_x)
    variance_y = sample * (_box_means(y * y, _WINDOW) - mean_y * mean_y)
    covariance = sample * (_box_means(x * y, _WINDOW) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )


def similarity(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM of two pictures of bytes: uniform 7x7 windows, mean over channels."""
    return float(similarity_map(first, second).mean())


def recognised(
    pictures: np.ndarray, reconstructions: np.ndarray, side: int = 64
) -> np.ndarray:
    """Whether reconstructions are nearer to their own picture than to any other.

    Args:
      pictures, reconstructions: uint8 [N, S, S, 3].
      side: of the pictures that are compared, means of blocks; a divisor of S.

    Returns:
      bool [N].
    """
    block = pictures.shape[1] // side

    def rows(images):
        blocks = images.reshape(len(images), side, block, side, block, 3)
        return blocks.mean(axis=(2, 4), dtype=np.float64).reshape(len(images), -1)

    known, made = rows(pictures), rows(reconstructions)
    squares = (known**2).sum(axis=1) - 2 * made @ known.T
    return squares.argmin(axis=1) == np.arange(len(made))


# --- at landmarks -------------------------------------------------------------------


def _boxes(landmarks: np.ndarray, size: int):
    """Slices of the boxes about landmarks, limited to the picture."""
    half = (size // 16 - 1) // 2
    for x, y in np.asarray(landmarks)[:, :2].astype(int):
        # A landmark outside of the picture takes the nearest pixels within.
        x, y = np.clip([x, y], 1 - half, size - 1 + half)
        yield (
            slice(max(y - half, 0), min(y + half, size)),
            slice(max(x - half, 0), min(x + half, size)),
        )


def landmark_similarity(
    first: np.ndarray, second: np.ndarray, landmarks: np.ndarray
) -> np.ndarray:
    """Mean SSIM in a box about each landmark: float64 [K].

    Args:
      first, second: uint8 [S, S, 3].
      landmarks: [K, 2] in their pixels.
    """
    reach = _WINDOW // 2
    frame = ((reach, reach), (reach, reach), (0, 0))
    padded = [np.pad(picture, frame, mode="symmetric") for picture in (first, second)]
    found = similarity_map(*padded).mean(axis=-1)
    return np.array([found[box].mean() for box in _boxes(landmarks, len(first))])


def landmark_correlation(
    first: np.ndarray, second: np.ndarray, landmarks: np.ndarray
) -> np.ndarray:
    """Normalised cross-correlation in a box about each landmark: float64 [K].

    Zero where one of the boxes is of one colour.
    """
    found = []
    for box in _boxes(landmarks, len(first)):
        x, y = (picture[box].astype(np.float64) for picture in (first, second))
        x, y = x - x.mean(), y - y.mean()
        length = np.sqrt((x * x).sum() * (y * y).sum())
        found.append((x * y).sum() / length if length else 0.0)
    return np.array(found)


def landmark_reconstruction_error(
    first: np.ndarray,
    second: np.ndarray,
    landmarks: np.ndarray,
    faithful: bool = False,
) -> float:
    """Mean absolute difference, in grey levels, on discs about the landmarks.

    Args:
      first, second: uint8 [S, S, 3].
      landmarks: [K, 2] in their pixels.
      faithful: divide by three once more, a slip of the original.
    """
    size = len(first)
    radius = int(0.05 * size)
    row, column = np.mgrid[:size, :size]
    mask = np.zeros((size, size), bool)
    for x, y in np.asarray(landmarks)[:, :2].astype(int):
        mask |= (column - x) ** 2 + (row - y) ** 2 <= radius * radius
    difference = np.abs(first.astype(np.float64) - second).mean(axis=-1)
    mean = float(difference[mask].mean()) if mask.any() else 0.0
    return mean / 3 if faithful else mean
