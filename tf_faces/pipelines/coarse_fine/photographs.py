"""Landmarks of real photographs whose points are known."""

import pathlib

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import FormatError
from tf_faces.geometry import cropping
from tf_faces.metrics import normalized_mean_error as errors
from tf_faces.pipelines.coarse_fine.evaluation import in_box
from tf_faces.pipelines.coarse_fine.reconstructor import Reconstructor

ANNOTATIONS = "annotations.npz"
# Beyond the jaw, which annotators move to the outline of a turned face.
_INNER = slice(17, 68)
_TURNED = 30.0


def measure(reconstructor: Reconstructor, folder: files.PathLike) -> dict[str, float]:
    """Mean distances of 68 landmarks in the plane, beside those of the mean face.

    The box of the true points is given to the network, and the mean face is stretched
    to it.

    Args:
      reconstructor: of a model with landmarks.
      folder: 000.jpg, 001.jpg, ... and annotations.npz with points68 [N, 68, 2], pixel
        centres at integers, and perhaps yaw [N] in degrees.

    Returns:
      In percent of the square root of the true box's area: `photographs`,
      `photographs_mean_face`, both of the points 17-67 (`..._17_67`), and, where yaws
      are known, both of faces turned by more than 30 degrees and of the others.

    Raises:
      InputError, FormatError: if the folder lacks something.
    """
    folder = files.require_directory(folder, "folder of photographs")
    path = pathlib.Path(folder) / ANNOTATIONS
    known = files.load_npz(files.require_file(path, "annotations"))
    if "points68" not in known or known["points68"].shape[1:] != (68, 2):
        raise FormatError(f"{path}: lacks points68 of the shape [N, 68, 2].")
    true = np.asarray(known["points68"], np.float64)
    renderer = reconstructor.network.renderer
    start = renderer.landmarks(renderer.initial_parameters()[np.newaxis])[0]
    found, stretched = [], []
    for number, points in enumerate(true):
        photograph = pictures.read(folder / f"{number:03d}.jpg")
        face = reconstructor.reconstruct(photograph, cropping.box_of_points(points))
        found.append(reconstructor.landmarks(face)[:, :2])
        stretched.append(in_box(start[:, :2], points))
    length = errors.lengths(true)
    measured = {}
    for name, guess in (
        ("photographs", np.stack(found)),
        ("photographs_mean_face", np.stack(stretched)),
    ):
        each = 100 * errors.sparse_2d(guess, true)
        measured[name] = float(each.mean())
        inner = errors.normalized_mean_error(guess[:, _INNER], true[:, _INNER], length)
        measured[f"{name}_17_67"] = float(100 * inner.mean())
        if "yaw" in known:
            turned = np.abs(known["yaw"]) > _TURNED
            for suffix, chosen in (("to_30", ~turned), ("above_30", turned)):
                if chosen.any():
                    measured[f"{name}_yaw_{suffix}"] = float(each[chosen].mean())
    return measured
