"""Options of ParFace's networks."""

import dataclasses

from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

INPUT_SIZES = (128, 256, 512)
ACTIVATIONS = ("leaky_relu", "relu")
DECODINGS = ("peak", "parabola", "centroid")

# Side of the heat maps, whatever the size of the pictures.
HEATMAP_SIZE = 128


@dataclasses.dataclass(frozen=True)
class ParFaceConfig(NetworkConfiguration):
    """What all networks of one ParFace model agree on.

    Attributes:
      input_size: side of the square pictures, 128, 256 or 512 pixels.
      num_landmarks: heat maps and depths; 68, 98 and 19 in the original's sets.
      latent_size: length of the code z.
      width: channels of the first layers; 64 in the original, less is narrower.
      landmark_width: channels that the landmark head reads its maps off; 0, the
        original's, means `width`.  More lets narrow networks keep a wide head.
      latent_width: units of the latent discriminator's hidden layers.
      activation: leaky_relu (slope 0.1, ParFace) or relu (3FabRec).
      normalized: pictures have the means of VGGFace2 taken off.
      decoding: how heat maps become landmarks, see `heatmaps.decode`; peak is the
        original's.
    """

    input_size: int = 256
    num_landmarks: int = 68
    latent_size: int = 99
    width: int = 64
    landmark_width: int = 0
    latent_width: int = 1000
    activation: str = "leaky_relu"
    normalized: bool = True
    decoding: str = "peak"

    def __post_init__(self) -> None:
        if self.input_size not in INPUT_SIZES:
            known = ", ".join(map(str, INPUT_SIZES))
            raise InputError(
                f"input_size: found {self.input_size!r}, expected one of {known}."
            )
        for name, known in (("activation", ACTIVATIONS), ("decoding", DECODINGS)):
            value = getattr(self, name)
            if value not in known:
                raise InputError(
                    f"{name}: found {value!r}, expected one of {', '.join(known)}."
                )
        for name in ("num_landmarks", "latent_size", "latent_width"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: found {value!r}, expected at least 1.")
        if not isinstance(self.landmark_width, int) or self.landmark_width < 0:
            raise InputError(
                f"landmark_width: found {self.landmark_width!r}, expected at least 0."
            )
        if not isinstance(self.width, int) or self.width < 2 or self.width % 2:
            raise InputError(
                f"width: found {self.width!r}, expected an even number of channels."
            )
