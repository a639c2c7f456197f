"""The parameter vector of CoarseNet: [pose 7][shape][expression].

Pose: pitch, yaw, roll (radians), x, y, z (pixels), scale (pixels a micrometre).
"""

import numpy as np
import scipy.special

from tf_faces.core.errors import InputError
from tf_faces.geometry.array_namespace import Array, as_floating, namespace

POSE_COUNT = 7


def split_parameters(
    parameters: Array, shape_count: int, expression_count: int
) -> tuple[Array, Array, Array]:
    """Splits [..., 7 + ks + ke] into pose, shape and expression.

    Raises:
      InputError: if the last axis has another length.
    """
    wanted = POSE_COUNT + shape_count + expression_count
    if int(parameters.shape[-1]) != wanted:
        raise InputError(
            f"parameters must have {wanted} entries in the last axis. Received: "
            f"{tuple(parameters.shape)}"
        )
    end = POSE_COUNT + shape_count
    return (
        parameters[..., :POSE_COUNT],
        parameters[..., POSE_COUNT:end],
        parameters[..., end:],
    )


def constrain_coarse_fine(
    logits: Array, shape_count: int, expression_count: int, image_size: int
) -> Array:
    """CoarseNet's output ranges, through a sigmoid s: same shape as `logits`.

    Angles 3 s - 1.5; x, y image_size * s; z 0; scale 1e-3 s; shape 1e4 s (positive
    only); expression 3 s - 1.5.

    Source: Cogito2012/3DFaceRecon, nets/network.py.
    """
    xp = namespace(logits)
    (logits,) = as_floating(xp, logits)
    sigmoid = scipy.special.expit(logits) if xp is np else xp.sigmoid(logits)
    pose, shape, expression = split_parameters(sigmoid, shape_count, expression_count)
    return xp.concatenate(
        [
            3.0 * pose[..., :3] - 1.5,
            image_size * pose[..., 3:5],
            0.0 * pose[..., 5:6],
            1e-3 * pose[..., 6:7],
            1e4 * shape,
            3.0 * expression - 1.5,
        ],
        axis=-1,
    )
