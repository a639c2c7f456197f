"""All networks of one ParFace model together."""

import keras

from tf_faces.models.parface import heatmaps
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.decoder import Decoder
from tf_faces.models.parface.discriminators import (
    ImageDiscriminator,
    LatentDiscriminator,
)
from tf_faces.models.parface.encoder import Encoder
from tf_faces.models.parface.landmark_heads import DepthHead, LandmarkHead
from tf_faces.models.parface.layers import Part

# Attribute and prefix in the state dictionary, in the original's order.
PREFIXES = (
    ("encoder", "Q"),
    ("decoder", "P"),
    ("latent_discriminator", "D_z"),
    ("image_discriminator", "D"),
    ("landmark_head", "LMH"),
    ("depth_head", "LMH_3D"),
)


class ParFaceNetworks:
    """Encoder, decoder, discriminators and landmark heads of one configuration.

    Args:
      config: `ParFaceConfig`.
      seed: of the initial values; each tensor has its own stream.
      linear_critic: the image discriminator without its sigmoid.

    Example:

    >>> networks = ParFaceNetworks(ParFaceConfig(input_size=128, width=8))
    >>> found = networks.detect(images)              # [N, 128, 128, 3]
    >>> found["landmarks"].shape
    (N, 68, 2)

    Reference: Barrios Dell'Olio and others, FG 2024; Browatzki and Wallraven, 2020.
    """

    def __init__(
        self, config: ParFaceConfig, seed: int = 0, linear_critic: bool = False
    ):
        self.config = config
        shared = {"width": config.width, "activation": config.activation, "seed": seed}
        self.encoder = Encoder(config.input_size, config.latent_size, **shared)
        self.decoder = Decoder(config.input_size, config.latent_size, **shared)
        self.latent_discriminator = LatentDiscriminator(
            config.latent_size, config.latent_width, seed=seed
        )
        self.image_discriminator = ImageDiscriminator(
            config.width // 2, linear=linear_critic, seed=seed
        )
        self.landmark_head = LandmarkHead(
            config.num_landmarks, config.width, config.landmark_width, seed=seed
        )
        self.depth_head = DepthHead(config.num_landmarks, config.latent_size, **shared)

    def parts(self) -> dict[str, Part]:
        """The networks by their prefixes in the state dictionary."""
        return {prefix: getattr(self, name) for name, prefix in PREFIXES}

    def named_tensors(self) -> dict[str, keras.Variable]:
        """All variables by the names of the state dictionary, in its order."""
        found = {}
        for prefix, part in self.parts().items():
            found.update(part.named_tensors(f"{prefix}."))
        return found

    def reconstruct_with_heatmaps(self, images):
        """Codes, reconstructions and raw heat maps of pictures, all in eval mode."""
        latents = self.encoder(images)
        drawn = self.decoder.stages_of(latents)
        maps = self.landmark_head.maps(self.decoder, drawn["layer1"])
        return latents, drawn["image"], maps

    def detect(self, images, smooth: bool = True, decoding: str | None = None):
        """Finds the landmarks of faces.

        Args:
          images: [N, S, S, 3] as the network takes them (see `ParFaceConfig`).
          smooth: decode box-smoothed heat maps, as `detect_landmarks` of the original.
          decoding: see `heatmaps.decode`; None means the configuration's.

        Returns:
          {"latents" [N, Z], "reconstructions" [N, S, S, 3], "heatmaps" [N, 128, 128,
          K] as decoded, "landmarks" [N, K, 2] in pixels of the crop, "scores" [N, K]
          in 0..1}.
        """
        latents, reconstructions, maps = self.reconstruct_with_heatmaps(images)
        if smooth:
            maps = heatmaps.smooth(maps)
        size = self.config.input_size
        return {
            "latents": latents,
            "reconstructions": reconstructions,
            "heatmaps": maps,
            "landmarks": heatmaps.decode(maps, size, decoding or self.config.decoding),
            "scores": heatmaps.scores(maps),
        }

    def detect_3d(
        self, images, smooth: bool = False, decoding: str | None = None, maps=None
    ):
        """Finds the landmarks of faces with their depths.

        Args:
          images: [N, S, S, 3].
          smooth: decode smoothed maps; the original's `detect_landmarks_3d` does not.
          decoding: see `heatmaps.decode`; None means the configuration's.
          maps: [N, 128, 128, K] that the depth head is given, such as those of known
            landmarks; None means the raw ones that are found.

        Returns:
          As `detect`, with "landmarks_3d" [N, K, 3]: x, y and the depth in pixels of
          the crop.
        """
        latents, reconstructions, raw = self.reconstruct_with_heatmaps(images)
        given = raw if maps is None else maps
        depths = heatmaps.depth_to_pixels(self.depth_head(given, latents))
        maps = heatmaps.smooth(raw) if smooth else raw
        plane = heatmaps.decode(
            maps, self.config.input_size, decoding or self.config.decoding
        )
        together = keras.ops.concatenate([plane, depths[..., None]], axis=-1)
        return {
            "latents": latents,
            "reconstructions": reconstructions,
            "heatmaps": maps,
            "landmarks": plane,
            "landmarks_3d": together,
            "scores": heatmaps.scores(maps),
        }
