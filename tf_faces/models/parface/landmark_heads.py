"""The landmark heads: layers between those of the decoder, and depths from heat maps.

Reference: jilliam/ParFace, class Fabrec; Browatzki and Wallraven, CVPR 2020.
"""

from tf_faces.models.parface.decoder import Decoder
from tf_faces.models.parface.encoder import Encoder
from tf_faces.models.parface.layers import Convolution, Part, TransposedConvolution


class LandmarkHead(Part):
    """Four 3x3 convolutions between the decoder's layers, and one to heat maps.

    Args:
      num_landmarks: heat maps.
      width: of the decoder.
      last_width: channels of the fourth convolution; 0 means `width`.
      seed: of the initial values.
    """

    def __init__(
        self,
        num_landmarks: int,
        width: int = 64,
        last_width: int = 0,
        seed: int = 0,
        path: str = "LMH",
    ):
        super().__init__(path, seed)
        last_width = last_width or width
        self.lin = TransposedConvolution(
            last_width, num_landmarks, path=f"{path}.lin", seed=seed
        )
        channels = ((4 * width,) * 2, (2 * width,) * 2, (width,) * 2)
        self.transfers = [
            Convolution(count, made, 3, 1, 1, path=f"{path}.t{number}", seed=seed)
            for number, (count, made) in enumerate(
                (*channels, (width, last_width)), start=1
            )
        ]
        self.built = True

    def parts(self):
        yield "lin", self.lin
        for number, transfer in enumerate(self.transfers, 1):
            yield f"t{number}", transfer

    def stages_of(self, decoder: Decoder, first, training=False) -> dict:
        """Outputs of the layers by their names, "lin" the heat maps.

        Args:
          decoder: whose layers 2 to 4 are used again.
          first: its output of layer 1, [N, 8, 8, 4 width].
          training: the decoder normalises by the statistics of the batch.
        """
        seen = {}
        features = first
        for number, transfer in enumerate(self.transfers, 1):
            if number > 1:
                features = decoder.layer(number, features, training)
            features = seen[f"t{number}"] = transfer(features)
        seen["lin"] = self.lin(features)
        return seen

    def maps(self, decoder: Decoder, first, training=False):
        """Heat maps [N, 128, 128, num_landmarks], about 1 at a landmark, not limited;
        arguments as of `stages_of`."""
        return self.stages_of(decoder, first, training)["lin"]


class DepthHead(Encoder):
    """Heat maps and code to one depth a landmark, in 256 pixels of the crop.

    Args:
      num_landmarks: heat maps and depths.
      latent_size: length of the code.
      width: channels of the first stages.
      activation: see `layers.activate`.
      seed: of the initial values.
    """

    def __init__(
        self,
        num_landmarks: int,
        latent_size: int = 99,
        width: int = 64,
        activation: str = "leaky_relu",
        seed: int = 0,
    ):
        super().__init__(
            256,
            num_landmarks,
            width,
            activation,
            inward=num_landmarks + latent_size,
            seed=seed,
            path="LMH_3D",
        )

    def call(self, heatmaps, latents, training=False):
        """Depths [N, num_landmarks] from heat maps [N, 128, 128, num_landmarks]."""
        first = self.conv1.of_maps_and_codes(heatmaps, latents)
        return self.stages_after(first, training)["fc"]
