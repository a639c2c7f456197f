"""Laws by which random faces are drawn, beside the model's own (`sample_shape`).

All functions return float32 [count, modes] in the model's coefficient kind.
`face3d_*` and `coarse_fine_parameters` repeat the laws of the original programs; given
NumPy's legacy generator (`numpy.random.RandomState`) they also repeat their numbers.
"""

from typing import Any

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.morphable.model import MorphableModel

KINDS = ("shape", "expression", "texture")

# face3d, morphable_model.py: get_shape_para, get_exp_para.
FACE3D_SHAPE_RANGE = 1e4
FACE3D_EXPRESSION_RANGE = 1.5
FACE3D_EXPRESSION_COUNT = 6


def _deviations(model: MorphableModel, kind: str) -> np.ndarray:
    if kind not in KINDS:
        raise InputError(f"kind must be one of {KINDS}. Received: {kind!r}")
    deviations = getattr(model, f"{kind}_deviations")
    return deviations if model.coefficient_kind == "raw" else np.ones_like(deviations)


def normal(
    model: MorphableModel, kind: str, rng: np.random.Generator, count: int, scale=1.0
) -> np.ndarray:
    """Normal coefficients: zero mean, the model's deviations times `scale`."""
    deviations = _deviations(model, kind)
    drawn = rng.standard_normal((count, len(deviations)))
    return (scale * drawn * deviations).astype(np.float32)


def uniform(
    model: MorphableModel, kind: str, rng: np.random.Generator, count: int, width=10.0
) -> np.ndarray:
    """Uniform coefficients over +- `width` / 2 deviations."""
    deviations = _deviations(model, kind)
    drawn = rng.random((count, len(deviations))) - 0.5
    return (width * drawn * deviations).astype(np.float32)


def eigenvalue_scaled(
    model: MorphableModel, kind: str, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Normal coefficients whose deviations are divided by the largest one.

    Of order one whatever the unit, as 3DDFA's expressions are.
    """
    deviations = _deviations(model, kind)
    largest = float(deviations.max(initial=0.0))
    if not largest > 0:
        raise InputError(f"the {kind} deviations of {model.name!r} are all zero.")
    drawn = rng.standard_normal((count, len(deviations)))
    return (drawn * deviations / largest).astype(np.float32)


def face3d_shape(model: MorphableModel, rng: Any) -> np.ndarray:
    """face3d's random identity: U(0, 1) * 1e4 for every mode, float64 [ks].

    Tiny beside the deviations of BFM (8.8e5): all such faces look like the mean.
    """
    return _random(rng, model.shape_count) * FACE3D_SHAPE_RANGE


def face3d_expression(model: MorphableModel, rng: Any) -> np.ndarray:
    """face3d's random expression: U(-1.5, 1.5) for six modes, else 0; float64 [ke].

    All modes are drawn, so that the generator moves on as in the original.
    """
    drawn = -FACE3D_EXPRESSION_RANGE + 2 * FACE3D_EXPRESSION_RANGE * _random(
        rng, model.expression_count
    )
    drawn[FACE3D_EXPRESSION_COUNT:] = 0.0
    return drawn


def face3d_texture(model: MorphableModel, rng: Any) -> np.ndarray:
    """face3d's random texture: one U(0, 1) for all modes, float64 [kt].

    The original takes the number of modes from the mean texture's second axis, which
    is 1, and broadcasts the one number.
    """
    return np.full(model.texture_count, _random(rng, 1)[0])


def _random(rng: Any, count: int) -> np.ndarray:
    """U(0, 1) from a Generator or a legacy RandomState, float64 [count]."""
    return np.asarray(
        rng.random_sample(count) if hasattr(rng, "random_sample") else rng.random(count)
    )


def coarse_fine_parameters(
    shape_count: int,
    expression_count: int,
    image_size: int,
    rng: Any,
    constant_share: float = 0.7,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random labels of the CoarseNet/FineNet training set.

    Args:
      shape_count, expression_count: numbers of coefficients.
      image_size: S in pixels.
      rng: Generator or RandomState.
      constant_share: beta; weight of the frontal pose (0, 0, 0, S/2, S/2, 0, 1e-3)
        against the random one.

    Returns:
      pose float64 [7] (pitch, yaw, roll in radians; translation in pixels; scale),
      shape [shape_count] = 1e4 U(0, 1), expression [expression_count] = U(-1.5, 1.5).

    Source: Cogito2012/3DFaceRecon, get_random_params.
    """
    if not 0.0 <= constant_share <= 1.0:
        raise InputError(f"constant_share must lie in 0..1. Received: {constant_share}")
    # The original rounds these four and the constant pose to single precision.
    phi = np.float32(np.deg2rad(-75.0 + 120.0 * _random(rng, 1)[0]))
    gamma = np.float32(np.deg2rad(-90.0 + 180.0 * _random(rng, 1)[0]))
    theta = np.float32(np.deg2rad(-30.0 + 60.0 * _random(rng, 1)[0]))
    focal = np.float32(1e-3 * _random(rng, 1)[0])
    shift = 60.0 * _random(rng, 2)
    drawn = np.array([phi, gamma, theta, shift[0], shift[1], 0.0, focal])
    half = image_size / 2
    constant = np.array([0, 0, 0, half, half, 0, 1e-3], np.float32).astype(np.float64)
    pose = constant_share * constant + (1 - constant_share) * drawn
    shape = 1e4 * _random(rng, shape_count)
    expression = -1.5 + 3.0 * _random(rng, expression_count)
    return pose, shape, expression
