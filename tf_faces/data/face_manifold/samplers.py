"""Random face coefficients and the corruption that the denoisers learn to undo.

Two ways to draw, with the same distributions.  The functions of this module take a
`numpy.random.Generator` and draw all faces at once.  `OriginalDraws` replays the
original programs' streams number for number (NumPy's legacy generator for values,
Python's for the choice of coordinates); recordings are compared with it.

Deviations ("EV" in BFM files) are standard deviations in raw coefficient units.
"""

import random

import numpy as np

from tf_faces.core.errors import InputError

# Deviation of the noise, raw units: when a training set is made, and when the test
# program corrupts faces.
TRAINING_SIGMAS = {"shape": 500_000.0, "expression": 2.0}
TEST_SIGMAS = {"shape": 100_000.0, "expression": 1.0}
# Copies of each face in a training set.
TRAINING_COPIES = {"shape": 100, "expression": 50}
# Width of the uniform box, in deviations.
DEFAULT_RANGE = 10.0
# Variance of texture coefficients (in units of texture deviations, see below).
SYNTHETIC_TEXTURE_VARIANCE = 4.0


def sampling_deviations(group: str, deviations) -> np.ndarray:
    """Returns the float32 deviations that the samplers use for `group`.

    Shapes are drawn with the model's own deviations; expressions and textures with
    theirs divided by the largest, as in the original (BFM's expressions are of order
    one).
    """
    deviations = np.asarray(deviations, np.float32).reshape(-1)
    if deviations.size == 0 or not np.isfinite(deviations).all():
        raise InputError(f"the model's {group} deviations are missing or not finite.")
    if group == "shape":
        return deviations
    largest = deviations.max()
    if not largest > 0:
        raise InputError(f"the model's {group} deviations are all zero.")
    return deviations / largest


def normal(
    rng: np.random.Generator, deviations, count: int, mean=0.0, variance: float = 1.0
) -> np.ndarray:
    """Draws float64 [count, L]: normal, `mean` + sqrt(`variance`) * deviations * z."""
    deviations = np.asarray(deviations, np.float64)
    drawn = rng.standard_normal((count, len(deviations)))
    return mean + drawn * (deviations * np.sqrt(variance))


def uniform(
    rng: np.random.Generator,
    deviations,
    count: int,
    width: float = DEFAULT_RANGE,
    mean=0.0,
) -> np.ndarray:
    """Draws float64 [count, L], uniform over `mean` +- `width` / 2 deviations.

    Its variance is width**2 / 12 times that of `normal`.
    """
    deviations = np.asarray(deviations, np.float64)
    drawn = rng.random((count, len(deviations)))
    return mean + (drawn - 0.5) * (width * deviations)


def corrupt(
    rng: np.random.Generator,
    vectors: np.ndarray,
    sigma: float | str,
    deviations=None,
) -> np.ndarray:
    """Adds noise to a random number of random coordinates of every vector.

    The number is uniform over 1..L, the coordinates are distinct, and each gets
    N(0, sigma**2).

    Args:
      rng: the generator.
      vectors: [N, L].
      sigma: raw units, the same for all coordinates; or "ev" for each coordinate's own
        deviation (the original indexes these by place in the list of chosen
        coordinates; here each coordinate gets its own).
      deviations: [L], needed for sigma "ev".

    Returns:
      float64 [N, L]; `vectors` is left as it is.

    Raises:
      InputError: for a negative sigma or "ev" without deviations.
    """
    vectors = np.asarray(vectors, np.float64)
    count, length = vectors.shape
    scale = _noise_scale(sigma, deviations, length)
    chosen = rng.integers(1, length + 1, size=count)
    # The ranks of random keys are a random permutation; the lowest `chosen` are hit.
    ranks = (
        rng.random((count, length), dtype=np.float32).argsort(axis=1).argsort(axis=1)
    )
    noise = rng.standard_normal((count, length)) * scale
    return vectors + np.where(ranks < chosen[:, None], noise, 0.0)


def _noise_scale(sigma, deviations, length: int) -> np.ndarray:
    if isinstance(sigma, str):
        if sigma != "ev":
            raise InputError(f"sigma must be a number or 'ev'. Received: {sigma!r}")
        if deviations is None:
            raise InputError("sigma 'ev' needs the deviations of a face model.")
        return np.asarray(deviations, np.float64).reshape(length)
    if not (np.isfinite(sigma) and sigma >= 0):
        raise InputError(f"sigma must be finite and not negative. Received: {sigma}")
    return np.full(length, float(sigma))


class OriginalDraws:
    """The random streams of the original programs, from one seed.

    Every method consumes the streams exactly as the original's function of the same
    purpose, one face a call.

    Args:
      seed: goes into both generators, as `numpy.random.seed(seed)` and
        `random.seed(seed)` would at the start of a program.
    """

    def __init__(self, seed: int):
        self.values = np.random.RandomState(seed)
        self.choices = random.Random(seed)
        self._factors: dict[bytes, np.ndarray] = {}

    def normal(self, group: str, deviations, variance: float = 1.0) -> np.ndarray:
        """`get_shape_para`, `get_exp_para`, `get_tex_para` of type "random": [L]."""
        factor = self._factor(group, deviations, variance)
        return self.values.standard_normal(len(factor)) @ factor

    def _factor(self, group: str, deviations, variance: float) -> np.ndarray:
        """What `multivariate_normal` multiplies its draws with."""
        # Texture deviations stay as the file has them, the others were cast on loading.
        precision = np.float64 if group == "texture" else np.float32
        deviations = np.asarray(deviations, precision).reshape(-1)
        squares = deviations**2
        if group == "shape":
            covariance = np.diag(squares.astype(np.int64)).astype(np.float64)
        else:
            covariance = np.diag(squares / squares.max()).astype(np.float64)
        key = covariance.tobytes() + np.float64(variance).tobytes()
        if key not in self._factors:
            # The legacy sampler decomposes the covariance anew for every face.
            _, singular, rows = np.linalg.svd(variance * covariance)
            self._factors[key] = np.sqrt(singular)[:, None] * rows
        return self._factors[key]

    def uniform(
        self, group: str, deviations, width: float = DEFAULT_RANGE, mean: float = 0.0
    ) -> np.ndarray:
        """`get_shape_para_uniform`, `get_exp_para_uniform`: [L].

        In float32 throughout: a deviation is a float32 scalar there, and NumPy 2 keeps
        Python numbers beside it in float32.
        """
        deviations = sampling_deviations(group, deviations)
        drawn = self.values.random_sample(len(deviations)).astype(np.float32)
        spread = np.float32(width) * deviations
        low = np.float32(mean) - spread / np.float32(2)
        return (low + spread * drawn).astype(np.float64)

    def indices(self, length: int, count: int) -> list[int]:
        """`random.sample(list(range(length)), count)`."""
        return self.choices.sample(list(range(length)), count)

    def add_noise(self, vector, indices, sigma: float) -> np.ndarray:
        """`add_noise_shape`, `add_noise_exp`: value j goes to coordinate indices[j]."""
        noisy = np.array(vector, np.float64)
        noisy[indices] += self.values.normal(0, sigma, len(indices))
        return noisy

    def add_noise_by_position(self, vector, indices, deviations) -> np.ndarray:
        """`add_noise_shape(sigma="ev")` with the original's mistake: coordinate
        indices[j] gets noise of deviation number j."""
        noisy = np.array(vector, np.float64)
        deviations = np.asarray(deviations).reshape(-1)
        for position, index in enumerate(indices):
            noisy[index] += self.values.normal(0, deviations[position])
        return noisy

    def corrupt(self, vector, sigma: float) -> tuple[np.ndarray, int]:
        """One corruption: returns the noisy vector and how many coordinates it hit."""
        length = len(vector)
        count = 1 + self.values.randint(length)
        return self.add_noise(vector, self.indices(length, count), sigma), count
