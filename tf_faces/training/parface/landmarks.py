"""One iteration of ParFace's landmark stages, in the plane and in space.

Reference: jilliam/ParFace, train_aae_landmarks.py, train_aae_landmarks_3d.py.
"""

import dataclasses
import functools
from collections.abc import Mapping

import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.losses import landmarks as losses
from tf_faces.losses import reconstruction
from tf_faces.models.parface import heatmaps
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training.parface.adam import Adam


@dataclasses.dataclass(frozen=True)
class LandmarkTerms:
    """What is trained on landmarks; names and defaults of the original's options.

    Attributes:
      spatial: train the depth head instead of the heat maps.
      use_adaptive_wing_loss: instead of squared differences of heat maps.
      corrected_wing_loss: the adaptive wing loss as published; the original's
        divides by another constant.
      train_encoder: step the encoder as well.
      finetune_decoder: step the decoder's convolutions as well, not the original's; it
        serves the landmarks and no longer draws faces.
      finetune_2d: in space, step the landmark head as well.
      use_groundtruth, use_predicted: which heat maps the depth head is given.
    """

    spatial: bool = False
    use_adaptive_wing_loss: bool = False
    corrected_wing_loss: bool = False
    train_encoder: bool = False
    finetune_decoder: bool = False
    finetune_2d: bool = False
    use_groundtruth: bool = True
    use_predicted: bool = False

    def __post_init__(self) -> None:
        if self.spatial and not (self.use_groundtruth or self.use_predicted):
            raise InputError(
                "use_groundtruth and use_predicted: found neither, expected the heat "
                "maps that the depth head is given."
            )


@dataclasses.dataclass
class LandmarkResult:
    """What one iteration found.

    Attributes:
      stats: scalars under the original's names.
      gradients: {"LMH" or "LMH_3D" or "Q": {tensor name: gradient}}.
      reconstructions, heatmaps: of the batch, maps raw.
      depths: [N, K] in pixels of the crop; None in the plane.
    """

    stats: dict[str, tf.Tensor]
    gradients: dict[str, dict[str, tf.Tensor]]
    reconstructions: tf.Tensor
    heatmaps: tf.Tensor
    depths: tf.Tensor | None


class LandmarkStep:
    """The iteration over one set of networks.

    Args:
      networks: what is trained; all but the depth head normalise by their remembered
        statistics.
      terms: what is trained.
      optimizers: {"LMH", "LMH_3D", "Q", "P": Adam}, those that are stepped.
    """

    def __init__(
        self,
        networks: ParFaceNetworks,
        terms: LandmarkTerms,
        optimizers: Mapping[str, Adam],
    ):
        self.networks = networks
        self.terms = terms
        self.optimizers = optimizers
        # Its many operations on large maps are one in XLA: two fifths of the time.
        self._adaptive_wing_of_pixels = tf.function(
            functools.partial(
                losses.adaptive_wing_of_pixels, faithful=not terms.corrected_wing_loss
            ),
            jit_compile=True,
        )

    def stepped(self) -> tuple[str, ...]:
        """Prefixes of the networks that this stage steps."""
        terms = self.terms
        found = ["LMH_3D"] if terms.spatial else ["LMH"]
        if terms.spatial and terms.finetune_2d:
            found.append("LMH")
        if terms.train_encoder:
            found.append("Q")
        if terms.finetune_decoder:
            found.append("P")
        return tuple(found)

    def _heatmap_loss(self, target, maps):
        if not self.terms.use_adaptive_wing_loss:
            return losses.heatmap_mse(target, maps)
        return losses.adaptive_wing(target, maps, self._adaptive_wing_of_pixels)

    def __call__(
        self,
        images,
        target_maps,
        target_depths=None,
        training: bool = True,
        measure_all: bool = True,
    ) -> LandmarkResult:
        """Runs one iteration.

        Args:
          images: [N, S, S, 3].
          target_maps: [N, 128, 128, K].
          target_depths: [N, K] in pixels of the crop; needed in space.
          training: False evaluates: nothing is stepped.
          measure_all: also the loss of heat maps where nothing is stepped by it, a
            quarter of an iteration in space.
        """
        terms, nets = self.terms, self.networks
        stats: dict[str, tf.Tensor] = {}
        depths = None
        with tf.GradientTape(persistent=True) as tape:
            latents, pictures, maps = nets.reconstruct_with_heatmaps(images)
            stats["z_recon_mean"] = tf.reduce_mean(latents)
            stats["loss_recon"] = tf.reduce_mean(reconstruction.l1(images, pictures))
            if measure_all or not terms.spatial or terms.finetune_2d:
                loss = tf.reduce_mean(self._heatmap_loss(target_maps, maps))
                stats["loss_lms"] = loss
            if terms.spatial:
                given = target_maps if terms.use_groundtruth else maps
                predicted = nets.depth_head(given, latents, training=training)
                wanted = heatmaps.depth_from_pixels(target_depths)
                stats["loss_lms_3d"] = tf.reduce_mean(losses.depth(wanted, predicted))
                depths = heatmaps.depth_to_pixels(predicted)
                loss = stats["loss_lms_3d"]
                if terms.finetune_2d:
                    loss += stats["loss_lms"]
        gradients = {}
        if training:
            parts = nets.parts()
            for prefix in self.stepped():
                named = parts[prefix].named_trainables(f"{prefix}.")
                values = [variable.value for variable in named.values()]
                found = tape.gradient(loss, values)
                gradients[prefix] = dict(zip(named, found, strict=True))
            for prefix, found in gradients.items():
                self.optimizers[prefix].apply(found)
        del tape
        return LandmarkResult(stats, gradients, pictures, maps, depths)
