"""How far reconstructions of pictures are from what is true of them."""

import numpy as np
import tensorflow as tf

from tf_faces.losses import shading
from tf_faces.models.coarse_fine.network import CoarseFine
from tf_faces.training.coarse_fine.sources import Validation

# Pictures that pass the network at once.
PIECE = 16


def vertex_errors(network: CoarseFine, parameters, labels) -> np.ndarray:
    """Mean distance [N] in pixels of all vertices, depth included.

    Args:
      parameters, labels: [N, P].
    """
    found = network.renderer.vertices(tf.convert_to_tensor(parameters, tf.float32))
    true = network.renderer.vertices(tf.convert_to_tensor(labels, tf.float32))
    return np.linalg.norm(np.asarray(found - true), axis=-1).mean(axis=-1)


def mean_face_errors(network: CoarseFine, labels) -> np.ndarray:
    """The vertex errors [N] of the mean face in the true pose: the least to beat."""
    baseline = np.array(labels, np.float32)
    baseline[:, 7:] = 0
    return vertex_errors(network, baseline, labels)


def depth_errors(depth, true_depth, mask) -> np.ndarray:
    """Mean absolute error [N] of depth in pixels after the best shift along z.

    Args:
      depth, true_depth: [N, S, S, 1].
      mask: [N, S, S, 1] of the pixels that count.
    """
    found = []
    for one, true, chosen in zip(depth, true_depth, mask, strict=True):
        difference = np.asarray(one)[chosen] - np.asarray(true)[chosen]
        if not difference.size:
            found.append(np.nan)
            continue
        found.append(np.abs(difference - np.median(difference)).mean())
    return np.array(found)


def detail_errors(network: CoarseFine, data: Validation) -> dict[str, float]:
    """What FineNet adds to true coarse faces, of which details alone are missing.

    Args:
      network: both networks.
      data: with the detailed depth.

    Returns:
      `depth_true_coarse`, `depth_fine_on_true`: mean absolute error of depth in pixels
      without FineNet and with it.
    """
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(data.images), PIECE):
        rows = slice(start, start + PIECE)
        rendering = network.renderer.render(tf.constant(data.parameters[rows]))
        fine = network.fine(tf.constant(data.images[rows]), rendering.depth)
        mask = data.mask[rows] & np.asarray(rendering.covered)
        mask = np.asarray(shading.inner(mask)) > 0
        for name, depth in (
            ("depth_true_coarse", rendering.depth),
            ("depth_fine_on_true", fine),
        ):
            errors = depth_errors(depth, data.detailed_depth[rows], mask)
            found.setdefault(name, []).append(errors)
    return {
        name: float(np.nanmean(np.concatenate(values)))
        for name, values in found.items()
    }


def measure(
    network: CoarseFine, data: Validation, with_fine: bool = True
) -> dict[str, float]:
    """Measures one set of pictures.

    Returns:
      `vertex_pass_<i>`: mean vertex error in pixels after pass i (1, 2, ...);
      `vertex_mean_face`: of the mean face in the true pose; `angle`: mean error of the
      three angles in degrees; `depth_coarse`, `depth_fine`: mean absolute error of
      depth where the detailed depth is known, in pixels.
    """
    columns: dict[str, list[np.ndarray]] = {}

    def add(name, values):
        columns.setdefault(name, []).append(np.asarray(values, np.float64))

    for start in range(0, len(data.images), PIECE):
        rows = slice(start, start + PIECE)
        labels = data.parameters[rows]
        found = network.reconstruct(tf.constant(data.images[rows]), with_fine=with_fine)
        for number, one in enumerate(found.passes, 1):
            errors = vertex_errors(network, one.parameters, labels)
            add(f"vertex_pass_{number}", errors)
        add("vertex_mean_face", mean_face_errors(network, labels))
        turned = np.abs(np.asarray(found.parameters)[:, :3] - labels[:, :3])
        add("angle", np.degrees(turned).mean(axis=1))
        if with_fine and data.detailed_depth is not None:
            mask = data.mask[rows] & np.asarray(found.rendering.covered)
            mask = np.asarray(shading.inner(mask)) > 0
            true = data.detailed_depth[rows]
            add("depth_coarse", depth_errors(found.rendering.depth, true, mask))
            add("depth_fine", depth_errors(found.fine_depth, true, mask))
    return {
        name: float(np.nanmean(np.concatenate(values)))
        for name, values in columns.items()
    }
