"""Landmarks of real photographs whose points are known."""

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.data import annotated_photographs
from tf_faces.geometry import cropping
from tf_faces.metrics import normalized_mean_error as errors
from tf_faces.pipelines.coarse_fine.evaluation import in_box
from tf_faces.pipelines.coarse_fine.reconstructor import Reconstructor

# Beyond the jaw, which annotators move to the outline of a turned face.
_INNER = slice(17, 68)
_TURNED = 30.0


def measure(reconstructor: Reconstructor, folder: files.PathLike) -> dict[str, float]:
    """Mean distances of 68 landmarks in the plane, beside those of the mean face.

    The box of the true points is given to the network, and the mean face is stretched
    to it.

    Args:
      reconstructor: of a model with landmarks.
      folder: see `tf_faces.data.annotated_photographs`.

    Returns:
      In percent of the square root of the true box's area: `photographs`,
      `photographs_mean_face`, both of the points 17-67 (`..._17_67`), and, where yaws
      are known, both of faces turned by more than 30 degrees and of the others.

    Raises:
      InputError, FormatError: if the folder lacks something.
    """
    faces = annotated_photographs.read(folder)
    true = np.stack([one.landmarks for one in faces])
    renderer = reconstructor.network.renderer
    start = renderer.landmarks(renderer.initial_parameters()[np.newaxis])[0]
    found, stretched = [], []
    for one in faces:
        box = cropping.box_of_points(one.landmarks)
        face = reconstructor.reconstruct(pictures.read(one.path), box)
        found.append(reconstructor.landmarks(face)[:, :2])
        stretched.append(in_box(start[:, :2], one.landmarks))
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
        if all(one.yaw is not None for one in faces):
            turned = np.abs([one.yaw for one in faces]) > _TURNED
            for suffix, chosen in (("to_30", ~turned), ("above_30", turned)):
                if chosen.any():
                    measured[f"{name}_yaw_{suffix}"] = float(each[chosen].mean())
    return measured
