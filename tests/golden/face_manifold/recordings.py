"""What the face_manifold recordings draw by name, as their README prescribes."""

import pathlib

import numpy as np

from tests.golden import drawing

# Channels of the layers, in the original's order.
_CHANNELS = {
    "AutoEncoder4": (1, 8, 16, 32, 64, 32, 16, 8, 1),
    "AutoEncoder3": (1, 32, 64, 128, 64, 32, 1),
}
GROUPS = {"shape": "shape", "exp": "expression"}


def net(recording: pathlib.Path) -> str:
    """ "shape" or "exp", from a file name such as train_steps_shape.npz."""
    (found,) = set(recording.stem.split("_")) & set(GROUPS)
    return found


def tag(recording: pathlib.Path) -> str:
    """The word that begins every drawing key of the recording's set."""
    return drawing.recording_set(recording.parent)["tag"]


def seeded_tensors(prefix: str, architecture: str = "AutoEncoder4") -> dict:
    """The seeded weights of the net `prefix`, in the original's names and layout."""
    channels = _CHANNELS[architecture]
    half = len(channels) // 2
    tensors = {}
    for number in range(2 * half):
        inward, outward = channels[number : number + 2]
        if number < half:
            name, shape = f"conv_{number + 1}", (outward, inward, 3)
        else:
            name, shape = f"deconv_{number + 1 - half}", (inward, outward, 3)
        tensors[f"{name}.weight"] = drawing.normal(
            f"{prefix}/{name}.weight", shape, np.sqrt(1 / (3 * inward))
        )
        tensors[f"{name}.bias"] = drawing.normal(f"{prefix}/{name}.bias", outward, 0.1)
    return tensors


def spectrum(count: int, first: float, power: float) -> np.ndarray:
    """The synthetic eigenvalue spectrum `ev`."""
    return first / np.arange(1, count + 1) ** power


def shape_scale() -> np.ndarray:
    return spectrum(199, 884000, 0.85) * 0.6


def expression_scale() -> np.ndarray:
    return spectrum(29, 1.5, 0.6)


def synthetic_face(prefix: str, file_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Shape [199] and expression [29] of the synthetic face file `file_name`."""
    generator = drawing.generator(f"{prefix}/{file_name}")
    shape = generator.standard_normal((199, 1))[:, 0] * shape_scale()
    expression = generator.standard_normal((29, 1))[:, 0] * expression_scale()
    return shape, expression


def synthetic_faces(prefix: str, numbers) -> tuple[np.ndarray, np.ndarray]:
    """Shapes [N, 199] and expressions [N, 29] of the files fNNNNN.mat."""
    found = [synthetic_face(prefix, f"f{number:05d}.mat") for number in numbers]
    return np.stack([shape for shape, _ in found]), np.stack([e for _, e in found])


def assert_close(actual, expected, tolerance: float, what: str) -> None:
    """Compares with `tolerance` times the largest absolute expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, (what, actual.shape, expected.shape)
    largest = np.abs(expected).max(initial=0.0)
    difference = np.abs(actual.astype(np.float64) - expected).max(initial=0.0)
    assert difference <= tolerance * largest, (what, difference, largest)
