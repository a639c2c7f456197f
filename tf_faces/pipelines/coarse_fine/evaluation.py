"""Errors of a trained run on pictures whose parameters are known."""

import pathlib

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.data.coarse_fine import packed, photographs, synthetic
from tf_faces.geometry import landmarks as landmark_lengths
from tf_faces.pipelines.coarse_fine.reconstructor import Reconstructor
from tf_faces.training.coarse_fine import measures
from tf_faces.training.coarse_fine.sources import Validation

# Of the faces that are drawn where no set is given.
SEED = 20_000
# What tells a set of records from a folder of pictures and labels.
RECORDS = "manifest.json"


def measure(
    reconstructor: Reconstructor,
    data_dir: files.PathLike | None = None,
    part: str = "test",
    count: int = 64,
) -> dict[str, float]:
    """Measures a run.

    Args:
      reconstructor: the run.
      data_dir: set with labels, or one set of records of the picture factory; None
        draws faces that no training has seen.
      part: of the set: "train", "val" or "test".
      count: pictures at most.

    Returns:
      Those of `training.coarse_fine.measures.measure` and, of drawn faces, of
      `detail_errors`; `parameters` (mean absolute
      error in usual deviations) and, where the model has landmarks, `landmarks` (mean
      distance in the plane, in percent of the square root of the box's area) with
      `landmarks_mean_face`, that of the initial face in the box.

    Raises:
      InputError, FormatError: if the set is absent, damaged or of another size.
    """
    network = reconstructor.network
    config = network.config
    if data_dir is None:
        options = synthetic.SyntheticOptions(
            config.image_size,
            config.shape_count,
            config.expression_count,
            grey_mean=reconstructor.grey_mean,
        )
        drawn = synthetic.SyntheticFaces(reconstructor.model, options, SEED, "test")
        faces = drawn.draw(range(count))
        data = Validation(
            faces.images, faces.parameters, faces.detailed_depth, faces.mask
        )
    elif (pathlib.Path(data_dir) / RECORDS).is_file():
        recorded = photographs.read_records(
            data_dir, config.shape_count, config.expression_count
        )
        images, labels = recorded.crops(
            range(min(count, len(recorded))),
            network.renderer.mean_face_box(),
            config.image_size,
        )
        data = Validation(images - np.float32(reconstructor.grey_mean), labels)
    else:
        source = packed.open_part(
            data_dir,
            part,
            config.image_size,
            config.parameter_count,
            reconstructor.grey_mean,
        )
        data = Validation(*source.batch(range(min(count, len(source)))))
    measured = measures.measure(network, data)
    if data.detailed_depth is not None:
        measured |= measures.detail_errors(network, data)
    found = []
    for start in range(0, len(data.images), measures.PIECE):
        images = tf.constant(data.images[start : start + measures.PIECE])
        found.append(np.asarray(network.coarse_passes(images)[-1].parameters))
    parameters = np.concatenate(found)
    usual = network.renderer.deviations()
    known = usual > 0
    difference = np.abs(parameters - data.parameters)[:, known] / usual[known]
    measured["parameters"] = float(difference.mean())
    if reconstructor.model.landmarks68 is not None:
        measured |= _landmark_errors(reconstructor, parameters, data.parameters)
    return measured


def _landmark_errors(reconstructor, parameters, labels) -> dict[str, float]:
    renderer = reconstructor.network.renderer

    def points(values):
        return renderer.landmarks(values)[..., :2]

    true = points(labels)
    start = points(renderer.initial_parameters()[np.newaxis])[0]
    baseline = np.stack([in_box(start, one) for one in true])
    found = {}
    for name, guess in (
        ("landmarks", points(parameters)),
        ("landmarks_mean_face", baseline),
    ):
        lengths = np.asarray(landmark_lengths.box_length(true))
        errors = np.linalg.norm(guess - true, axis=-1).mean(axis=-1) / lengths
        found[name] = float(100 * errors.mean())
    return found


def in_box(points: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Points [K, 2] stretched to the box of others [K, 2]."""
    low, high = points.min(axis=0), points.max(axis=0)
    onto_low, onto_high = true.min(axis=0), true.max(axis=0)
    return (points - low) / (high - low) * (onto_high - onto_low) + onto_low
