"""What CoarseNet and FineNet are trained for: the terms, and their sum.

| stage  | trained   | terms                                                     |
|--------|-----------|-----------------------------------------------------------|
| coarse | CoarseNet | pose, geometry, vertices                                  |
| fine   | FineNet   | shading, fidelity, smoothness; no labels                  |
| joint  | both      | all; of pictures with labels and of those without        |
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.losses import shading
from tf_faces.models.coarse_fine.network import CoarseFine, Reconstruction

STAGES = ("coarse", "fine", "joint")
TERMS = ("pose", "geometry", "shading", "fidelity", "smoothness")
# Ours; without a weight it is not computed.
VERTICES = "vertices"
_SUPERVISED = ("pose", "geometry", VERTICES)
_OF_STAGE = {
    "coarse": _SUPERVISED,
    "fine": TERMS[2:],
    "joint": (*_SUPERVISED, *TERMS[2:]),
}
# Texture modes that the albedo is fitted with; ten in the original and the paper.
ALBEDO_MODES = 10
_SMALL = 1e-6


def terms_of(stage: str, weights: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the terms of a stage, in order."""
    return tuple(
        name
        for name in _OF_STAGE[stage]
        if name != VERTICES or weights.get(name, 0) > 0
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """Which form the terms have.

    Attributes:
      weights: {term: weight}; "vertices" may be left out.
      shading: "per_pixel", the original's, or "per_picture", the paper's.
      every_pass: pose and geometry count for all passes (their mean), not the last.
      whitened: pose differences are divided by usual deviations.
      geometry_unit: micrometres of the unit of the geometry term.
      masked: fidelity and smoothness are means over the face's pixels, not a mean over
        all and a sum.
      depth_unit: pixels of the unit of fidelity and smoothness when masked.
      hold_coarse: fidelity has no gradient to the coarse depth.
      hold_feedback: no gradient from a pass to those before it.
    """

    weights: Mapping[str, float]
    shading: str = "per_pixel"
    every_pass: bool = False
    whitened: bool = False
    geometry_unit: float = 1.0
    masked: bool = False
    depth_unit: float = 1.0
    hold_coarse: bool = False
    hold_feedback: bool = False

    def __post_init__(self) -> None:
        if self.shading not in ("per_pixel", "per_picture"):
            raise InputError(
                "--config.loss.shading: found "
                f"{self.shading!r}, expected per_pixel or per_picture."
            )
        if {*self.weights, VERTICES} != {*TERMS, VERTICES}:
            raise InputError(
                f"--config.loss.weights: found {', '.join(self.weights)}, expected "
                f"{', '.join(TERMS)} and perhaps {VERTICES}."
            )


class Objective:
    """The terms of one network.

    Args:
      network: both networks.
      options: see `Options`.
      grey_mean: what was subtracted from the pictures.
    """

    def __init__(self, network: CoarseFine, options: Options, grey_mean: float):
        self.network = network
        self.options = options
        self.grey_mean = grey_mean
        self._deviations = network.renderer.deviations() if options.whitened else None
        self._attributes = self._textures()

    def _textures(self) -> np.ndarray:
        """What the last rendering shows besides: textures of the vertices."""
        model = self.network.renderer.model
        mean = model.colors()
        if self.options.shading == "per_pixel":
            if not model.texture_count:
                return np.concatenate([mean, mean], axis=1)
            # The original keeps usual deviations where it means coefficients.
            basis = model.texture_basis[:, :, :ALBEDO_MODES]
            moved = basis @ model.texture_deviations[:ALBEDO_MODES]
            return np.concatenate([mean, mean + moved], axis=1)
        modes = self.network.renderer.texture_modes(ALBEDO_MODES)
        brightness = self.network.renderer.texture_brightness()
        return np.concatenate([brightness, modes], axis=1)

    def reconstruct(self, image, stage: str, training: bool = True) -> Reconstruction:
        """Runs what a stage needs.

        Args:
          image: [N, S, S, 1] grey minus its mean.
          stage: one of `STAGES`.
          training: whether moving averages are updated, of the networks that are
            trained.
        """
        network = self.network
        passes = network.coarse_passes(
            image, training and stage != "fine", self.options.hold_feedback
        )
        parameters = passes[-1].parameters
        if stage == "fine":
            parameters = tf.stop_gradient(parameters)
        with_fine = stage != "coarse"
        rendering = network.renderer.render(
            parameters, self._attributes if with_fine else None
        )
        fine = None
        if with_fine:
            fine = network.fine(image, rendering.depth, training=training)
        return Reconstruction(passes, rendering, fine)

    def terms(self, found: Reconstruction, image, labels, stage: str) -> dict:
        """The terms of a stage, unweighted: {name: scalar}.

        Args:
          found: what `reconstruct` gave.
          image: [N, S, S, 1] grey minus its mean.
          labels: [N, P] true parameters; None where the stage has none.
          stage: one of `STAGES`.
        """
        terms = {}
        if stage != "fine" and labels is not None:
            terms.update(self._supervised(found, labels))
        if stage != "coarse":
            terms.update(self._unsupervised(found, image))
        chosen = terms_of(stage, self.options.weights)
        return {name: terms[name] for name in chosen if name in terms}

    def total(self, terms: Mapping[str, tf.Tensor]):
        """The weighted sum."""
        return tf.add_n(
            [self.options.weights[name] * value for name, value in terms.items()]
        )

    def _supervised(self, found, labels):
        chosen = found.passes if self.options.every_pass else found.passes[-1:]
        renderer = self.network.renderer
        basis, size = renderer.basis, float(self.network.config.image_size)
        pose, geometry, vertices = [], [], []
        with_vertices = VERTICES in terms_of("coarse", self.options.weights)
        true = renderer.vertices(labels) if with_vertices else None
        for one in chosen:
            pose.append(shading.pose_loss(one.parameters, labels, self._deviations))
            geometry.append(
                shading.geometry_loss(
                    one.parameters, labels, basis, self.options.geometry_unit
                )
            )
            if with_vertices:
                placed = renderer.vertices(one.parameters)
                vertices.append(shading.vertex_loss(placed, true, size))
        found = {"pose": tf.reduce_mean(pose), "geometry": tf.reduce_mean(geometry)}
        if with_vertices:
            found[VERTICES] = tf.reduce_mean(vertices)
        return found

    def _unsupervised(self, found, image):
        options = self.options
        rendering, fine = found.rendering, found.fine_depth
        coarse = rendering.depth
        if options.hold_coarse:
            coarse = tf.stop_gradient(coarse)
        if options.masked:
            # The outline is where central differences reach into the background.
            mask = shading.inner(rendering.covered)
            unit = options.depth_unit
            smoothness = shading.smoothness_loss(fine / unit, mask, mean=True)
            fidelity = shading.fidelity_loss(fine / unit, coarse / unit, mask)
            smoothness = tf.reduce_mean(smoothness)
        else:
            fidelity = shading.fidelity_loss(fine, coarse)
            smoothness = tf.reduce_sum(shading.smoothness_loss(fine))
        if options.shading == "per_pixel":
            shaded = self._per_pixel(rendering, image)
        else:
            shaded = self._per_picture(rendering, fine, image)
        return {
            "shading": tf.reduce_mean(shaded),
            "fidelity": tf.reduce_mean(fidelity),
            "smoothness": smoothness,
        }

    def _per_pixel(self, rendering, image):
        albedo, new_albedo = (
            tf.reduce_mean(tf.maximum(part, _SMALL), axis=-1, keepdims=True)
            for part in tf.split(rendering.attributes, 2, axis=-1)
        )
        intensity = shading.per_pixel_intensity(
            image, rendering.normals, albedo, new_albedo
        )
        return shading.fidelity_loss(intensity, image)

    def _per_picture(self, rendering, fine, image):
        grey = image + self.grey_mean
        mask = rendering.covered
        mean_albedo = rendering.attributes[..., :1]
        normals = tf.stop_gradient(self.network.renderer.coarse_normals(rendering))
        inside = shading.inner(mask)
        light = shading.estimate_light(grey, normals, mean_albedo, inside)
        albedo = mean_albedo
        if rendering.attributes.shape[-1] > 1:
            components = rendering.attributes[..., 1:]
            albedo = shading.fit_albedo(
                grey, normals, light, mean_albedo, components, inside
            )
        return shading.shading_loss(grey, fine, light, tf.stop_gradient(albedo), inside)


def trained_variables(network: CoarseFine, stage: str) -> dict:
    """The variables that a stage changes, by name."""
    found = {
        "coarse": network.coarse_variables,
        "fine": network.fine.variables_by_name,
        "joint": network.variables_by_name,
    }[stage]()
    return {name: variable for name, variable in found.items() if variable.trainable}


def gradients(objective: Objective, image, labels, stage: str):
    """Terms, total and gradients by variable name of one batch."""
    variables = trained_variables(objective.network, stage)
    with tf.GradientTape() as tape:
        found = objective.reconstruct(image, stage)
        terms = objective.terms(found, image, labels, stage)
        total = objective.total(terms)
    values = [variable.value for variable in variables.values()]
    derived = tape.gradient(
        total, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return found, terms, total, dict(zip(variables, derived, strict=True))
