"""Values drawn by name, as the recordings' READMEs prescribe."""

import json
import pathlib
import zlib

import numpy as np
import pytest


def generator(name: str) -> np.random.Generator:
    """The generator that belongs to `name`."""
    return np.random.default_rng(zlib.crc32(name.encode("utf-8")))


def normal(name: str, shape, scale: float = 1.0) -> np.ndarray:
    """float32 standard normal values times `scale` (computed in float64)."""
    return (generator(name).standard_normal(shape) * scale).astype(np.float32)


def uniform(name: str, shape) -> np.ndarray:
    """float32 uniform values in [0, 1)."""
    return generator(name).random(shape).astype(np.float32)


def companion(recording: pathlib.Path, stem: str, suffix: str) -> pathlib.Path:
    """The file `stem*suffix` that belongs to `recording`; skips where there is none.

    Of several files that one is taken whose name goes on after `stem` as the
    recording's ends (runs_b.npz has log_b.json), else the one with the shortest name.
    """
    found = recording.parent.glob(f"{stem}*{suffix}")
    ends = {
        path.name[len(stem) : -len(suffix)]: path for path in found if path != recording
    }
    if not ends:
        pytest.skip(f"no {stem}*{suffix} beside {recording.name}")
    fitting = [end for end in ends if recording.stem.endswith(end)]
    return ends[max(fitting, key=len) if fitting else min(ends, key=len)]


def beside(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file or folder of a fixed name in `folder`; skips where there is none."""
    if not (folder / name).exists():
        pytest.skip(f"no {name} in {folder}")
    return folder / name


def recording_set(folder: pathlib.Path) -> dict:
    """The strings of `set.json` by which one set of recordings differs."""
    return json.loads((folder / "set.json").read_text())
