"""The laws by which face3d draws random faces, in the model's coefficient kind.

A model's own law is its `sample_shape`, `sample_expression` and `sample_texture`.
Given NumPy's legacy generator (`numpy.random.RandomState`) the functions repeat the
original's numbers.

Source: face3d commit 2fc26906, morphable_model/morphable_model.py.
"""

import numpy as np

from tf_faces.morphable.model import MorphableModel

Random = np.random.Generator | np.random.RandomState

FACE3D_SHAPE_RANGE = 1e4
FACE3D_EXPRESSION_RANGE = 1.5
FACE3D_EXPRESSION_COUNT = 6


def face3d_shape(model: MorphableModel, rng: Random) -> np.ndarray:
    """face3d's random identity: U(0, 1) * 1e4 for every mode, float64 [ks].

    Tiny beside the deviations of BFM (8.8e5): all such faces look like the mean.
    """
    return rng.uniform(size=model.shape_count) * FACE3D_SHAPE_RANGE


def face3d_expression(model: MorphableModel, rng: Random) -> np.ndarray:
    """face3d's random expression: U(-1.5, 1.5) for six modes, else 0; float64 [ke].

    All modes are drawn, so that the generator moves on as in the original.
    """
    drawn = -FACE3D_EXPRESSION_RANGE + 2 * FACE3D_EXPRESSION_RANGE * rng.uniform(
        size=model.expression_count
    )
    drawn[FACE3D_EXPRESSION_COUNT:] = 0.0
    return drawn


def face3d_texture(model: MorphableModel, rng: Random) -> np.ndarray:
    """face3d's random texture: one U(0, 1) for all modes, float64 [kt].

    The original takes the number of modes from the mean texture's second axis, which
    is 1, and broadcasts the one number.
    """
    return np.full(model.texture_count, rng.uniform())
