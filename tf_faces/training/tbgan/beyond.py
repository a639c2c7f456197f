"""What a configuration asks for beyond the originals; by default nothing of it.

Accumulated gradients, adaptive augmentation, terms of shape and normals, the ramp of
the average.  Without them the steps get the originals' arguments and no others.
"""

import ml_collections
import tensorflow as tf

from tf_faces.training import random_numbers
from tf_faces.training.tbgan import (
    accumulation,
    augmentation,
    average,
    schedule,
    surface_terms,
)
from tf_faces.training.tbgan import step as tbgan_step


class Beyond:
    """The options of one run; make it under the strategy's scope.

    Args:
      config: resolved configuration.
      dataset: `TfrecordDataset` or `SyntheticDataset`.
      phases: the run's schedule.

    Raises:
      InputError: if the data do not have what an option needs.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        dataset,
        phases: schedule.ProgressiveSchedule,
    ):
        self._config, self._schedule = config, phases
        self._augment = None
        if config.augment.target:
            self._augment = augmentation.Augmentation(**config.augment.to_dict())
        self._surface = None
        if config.G_loss.consistency_weight or config.G_loss.model_weight:
            self._surface = surface_terms.SurfaceTerms(config, dataset)

    def variables(self) -> dict[str, dict]:
        """State beside networks and optimizers, by group."""
        if self._augment is None:
            return {}
        return {"Augment": self._augment.variables_by_name()}

    def extras(self, floor: int, fading: bool, minibatch: int, replicas: int):
        """Returns what makes more arguments of the steps of one phase.

        Args:
          floor, fading: level of detail.
          minibatch: samples over all replicas.
          replicas: their number.

        Returns:
          (seed, function that takes a replica's rows, 0 for the D step or 1 for the G
          step) -> (), or (`step.Extras`,).
        """
        group_size = self._config.D.mbstd_group_size
        parts = accumulation.parts_of(
            minibatch // replicas, self._schedule.most_at_once(floor), group_size
        )
        surface = None
        if self._surface is not None and not fading:
            surface = self._surface.at(floor)

        def arguments(seed, mine, which):
            if parts == 1 and self._augment is None and surface is None:
                return ()
            draws = None
            if self._augment is not None:
                # Streams of their own: the others do not depend on this option.
                drawn = tf.random.fold_in(seed, 2 + which, alg="philox")
                shape = [minibatch, 2, augmentation.DRAWS]
                compiled = bool(self._config.xla)
                draws = mine(random_numbers.uniform(shape, drawn, compiled))
            return (
                tbgan_step.Extras(
                    parts, group_size, self._augment, draws, minibatch, surface
                ),
            )

        return arguments

    def smoothing(self, images: int, minibatch: int) -> tuple[tf.Tensor, ...]:
        """Returns the average's share as an argument of a step; () where it is fixed.

        Args:
          images: shown before the step.
          minibatch: of the step.
        """
        train = self._config.train
        if not train.G_smoothing_ramp:
            return ()
        share = average.ramped(
            train.G_smoothing, train.G_smoothing_ramp, images, minibatch
        )
        return (tf.constant(share, tf.float32),)
