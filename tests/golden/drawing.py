"""Values drawn by name, as the recordings' READMEs prescribe."""

import json
import pathlib
import zlib

import numpy as np


def generator(name: str) -> np.random.Generator:
    """The generator that belongs to `name`."""
    return np.random.default_rng(zlib.crc32(name.encode("utf-8")))


def normal(name: str, shape, scale: float = 1.0) -> np.ndarray:
    """float32 standard normal values times `scale` (computed in float64)."""
    return (generator(name).standard_normal(shape) * scale).astype(np.float32)


def uniform(name: str, shape) -> np.ndarray:
    """float32 uniform values in [0, 1)."""
    return generator(name).random(shape).astype(np.float32)


def recording_set(folder: pathlib.Path) -> dict:
    """The strings of `set.json` by which one set of recordings differs."""
    return json.loads((folder / "set.json").read_text())
