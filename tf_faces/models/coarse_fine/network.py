"""CoarseNet in a loop, the renderer, FineNet: a picture to a detailed face."""

import dataclasses

import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.models.coarse_fine.coarse_net import CoarseNet
from tf_faces.models.coarse_fine.config import CoarseFineConfig
from tf_faces.models.coarse_fine.fine_net import FineNet
from tf_faces.models.coarse_fine.rendering import (
    FaceRenderer,
    Rendering,
    network_input,
)


@dataclasses.dataclass(frozen=True)
class Pass:
    """One pass of CoarseNet.

    Attributes:
      inputs: [N, S, S, 7].
      parameters: [N, P], what it made of them.
    """

    inputs: tf.Tensor
    parameters: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What both networks make of pictures.

    Attributes:
      passes: of CoarseNet, in order.
      rendering: of the last pass's parameters.
      fine_depth: [N, S, S, 1] pixels; None if FineNet was left out.
    """

    passes: tuple[Pass, ...]
    rendering: Rendering
    fine_depth: tf.Tensor | None

    @property
    def parameters(self):
        """[N, P] of the last pass."""
        return self.passes[-1].parameters


class CoarseFine(tf.Module):
    """Both networks for one face model.

    Args:
      config: of the networks.
      renderer: of the face model, with the same configuration.
      seed: of the initial weights; None leaves them zero, to be loaded.
    """

    def __init__(
        self, config: CoarseFineConfig, renderer: FaceRenderer, seed: int | None = None
    ):
        super().__init__(name="coarse_fine")
        if renderer.config != config:
            raise InputError(
                "the renderer was made for another configuration of the networks."
            )
        self.config = config
        self.renderer = renderer
        self.coarse = [
            CoarseNet(config, number, None if seed is None else seed + number)
            for number in range(config.networks)
        ]
        self.fine = FineNet(config, None if seed is None else seed + 1000)

    def coarse_variables(self) -> dict:
        """Weights of all CoarseNets under the original's names."""
        found = {}
        for network in self.coarse:
            found.update(network.variables_by_name())
        return found

    def variables_by_name(self) -> dict:
        """All weights under the original's names, in its order."""
        return {**self.coarse_variables(), **self.fine.variables_by_name()}

    def coarse_passes(
        self, image, training: bool = False, hold: bool = False
    ) -> tuple[Pass, ...]:
        """Runs CoarseNet, each time on what the renderer shows of the last result.

        Args:
          image: [N, S, S, 1] grey minus its mean.
          training: whether moving averages are updated.
          hold: whether a pass takes the guess before it as given, without gradient.
        """
        self._check(image)
        start = tf.constant(self.renderer.initial_parameters())
        parameters = tf.broadcast_to(
            start, [tf.shape(image)[0], self.config.parameter_count]
        )
        passes = []
        for number in range(self.config.iterations):
            if hold:
                parameters = tf.stop_gradient(parameters)
            inputs = network_input(image, self.renderer.render(parameters))
            network = self.coarse[number % self.config.networks]
            parameters = self.renderer.parameters(
                network(inputs, training=training), parameters
            )
            passes.append(Pass(inputs, parameters))
        return tuple(passes)

    def reconstruct(
        self, image, training: bool = False, with_fine: bool = True, attributes=None
    ) -> Reconstruction:
        """Runs both networks.

        Args:
          image: [N, S, S, 1] grey minus its mean.
          training: whether moving averages are updated.
          with_fine: whether FineNet runs.
          attributes: [V, C] that the last rendering shows too, or None.
        """
        passes = self.coarse_passes(image, training)
        rendering = self.renderer.render(passes[-1].parameters, attributes)
        fine = None
        if with_fine:
            fine = self.fine(image, rendering.depth, training=training)
        return Reconstruction(passes, rendering, fine)

    def _check(self, image) -> None:
        size = self.config.image_size
        if tuple(image.shape[1:]) != (size, size, 1):
            raise InputError(
                f"image must have shape [N, {size}, {size}, 1]. Received: "
                f"{tuple(image.shape)}"
            )
