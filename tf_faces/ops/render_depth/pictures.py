"""8-bit pictures of raw `mode="flat"` renders, as the original's renderer demo writes.

Reference: 3DFaceRecon, rendering_layer/sample_test.py.
"""

import numpy as np

_SMALL = 1e-6


def unit_normals_to_viewer(normals: np.ndarray) -> np.ndarray:
    """Normals [..., 3] turned to z >= 0 and scaled to length one (about); 0 stays 0."""
    turned = np.where(normals[..., 2:] < 0, -normals, normals)
    squared = (turned * turned).sum(-1, keepdims=True)
    squared = np.where(squared <= _SMALL, np.ones_like(squared), squared)
    return turned / (np.sqrt(squared) + normals.dtype.type(_SMALL))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def coordinate_picture(codes: np.ndarray) -> np.ndarray:
    """Normalised coordinate codes [H, W, 3] -> uint8."""
    return _to_bytes(np.clip(codes, _SMALL, 1) * 255)


def depth_picture(depth: np.ndarray) -> np.ndarray:
    """Depth [H, W] -> uint8, stretched over the pixels with depth above 0."""
    shown = depth[depth > 0]
    if not shown.size:
        return np.zeros(depth.shape, np.uint8)
    low, high = shown.min(), shown.max()
    return _to_bytes(np.maximum((depth - low) / (high - low + _SMALL), 0) * 255)


def masked_picture(image: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """A picture [H, W, C] times the depth clipped to 0..1 -> uint8."""
    return _to_bytes(np.clip(depth, 0, 1)[..., None] * image)


def normal_picture(normals: np.ndarray) -> np.ndarray:
    """Unit normals [H, W, 3] -> uint8, 0 where there is none."""
    seen = (normals != 0).any(-1, keepdims=True)
    return _to_bytes(np.where(seen, (normals + 1) / 2 * 255, 0))


def albedo_picture(albedo: np.ndarray) -> np.ndarray:
    """Texture values [H, W, 3] of about 0..255 -> uint8."""
    return _to_bytes(np.maximum(albedo, 0))
