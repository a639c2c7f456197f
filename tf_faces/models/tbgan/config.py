"""Options of TBGAN's and the Progressive GAN's networks.

Names and defaults are the originals' (`G_paper` and `D_paper` of networks.py).
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

# Branches in the order of the channels: texture, shape, normals.
BRANCHES = ("tex", "shp", "nor")
# Of the activations; the originals had the first two.
DTYPES = ("float32", "float16", "bfloat16")


class LevelOfDetail(NamedTuple):
    """Level of detail with a static whole part.

    Level 0 is the full resolution; each whole level halves it.

    Attributes:
      floor: whole part; decides which blocks exist in the graph.
      fraction: weight in [0, 1) of the next lower resolution, a scalar tensor, or None
        where no fading takes place.
    """

    floor: int
    fraction: Any = None


def split_level_of_detail(level_of_detail) -> LevelOfDetail:
    """Returns a level of detail as whole part and fraction.

    Args:
      level_of_detail: `LevelOfDetail`, or a number >= 0 (taken as float32).
    """
    if isinstance(level_of_detail, LevelOfDetail):
        return level_of_detail
    value = np.float32(level_of_detail)
    floor = int(np.floor(value))
    if value == floor:
        return LevelOfDetail(floor)
    return LevelOfDetail(floor, float(value - np.float32(floor)))


@dataclasses.dataclass(frozen=True)
class NetworkConfig(NetworkConfiguration):
    """What both networks have in common.

    Attributes:
      num_channels: image channels; a multiple of three where branches exist.
      resolution: side of the full images, a power of two >= 4.
      label_size: label components; 0 for none.
      fmap_base, fmap_decay, fmap_max: width of the layers at log2 resolution r is
        `3 * min(int(fmap_base / 2^((r - 1) * fmap_decay)), fmap_max)`.
      use_wscale: equalised learning rate.
      fused_scale: fuse resampling into the convolution beside it.
      dtype: type of the activations, float32, float16 or bfloat16.
      lod_sep: log2 resolution that separates trunk and branches.  G has branches
        above it, D from it on, and its FromRGB from one below it on.
      single_trunk: no branches and a third of the width: a Progressive GAN.
    """

    num_channels: int = 1
    resolution: int = 32
    label_size: int = 0
    fmap_base: int = 8192
    fmap_decay: float = 1.0
    fmap_max: int = 512
    use_wscale: bool = True
    fused_scale: bool = True
    dtype: str = "float32"
    lod_sep: int = 9
    single_trunk: bool = False

    def __post_init__(self):
        size = self.resolution
        if not isinstance(size, int) or size < 4 or size & (size - 1):
            raise InputError(
                f"resolution must be a power of two >= 4. Received: resolution={size}"
            )
        if self.dtype not in DTYPES:
            raise InputError(
                f"dtype must be one of {', '.join(DTYPES)}. Received: "
                f"dtype={self.dtype!r}"
            )
        if self.num_channels < 1 or self.label_size < 0:
            raise InputError(
                "num_channels must be >= 1 and label_size >= 0. Received: "
                f"num_channels={self.num_channels}, label_size={self.label_size}"
            )
        if self.features(self.resolution_log2) < 1:
            raise InputError(
                f"fmap_base={self.fmap_base} leaves no feature map at "
                f"{self.resolution}x{self.resolution}; expected a larger one."
            )

    @property
    def resolution_log2(self) -> int:
        """log2 of the resolution."""
        return self.resolution.bit_length() - 1

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the branches; empty for a single trunk."""
        return () if self.single_trunk else BRANCHES

    def features(self, res: int) -> int:
        """Channels of the layers at log2 resolution `res` (0 channels of latents)."""
        width = min(
            int(self.fmap_base / 2.0 ** ((res - 1) * self.fmap_decay)), self.fmap_max
        )
        return int(width) * (1 if self.single_trunk else 3)

    def branch_features(self, res: int) -> int:
        """Channels of one branch at log2 resolution `res`."""
        return self.features(res) // 3


@dataclasses.dataclass(frozen=True)
class GeneratorConfig(NetworkConfig):
    """Options of the generator; see `NetworkConfig` for the rest.

    Attributes:
      latent_size: components of the latents; None for the width of the first layer.
      normalize_latents: pixel norm of the joined latents and labels.
      use_pixelnorm, pixelnorm_epsilon: pixel norm after every activation.
      use_leakyrelu: leaky ReLU rather than ReLU.
      label_strength: factor on the labels that are joined to the latents; the pixel
        norm over hundreds of latents leaves seven probabilities little weight.
    """

    latent_size: int | None = None
    normalize_latents: bool = True
    use_pixelnorm: bool = True
    pixelnorm_epsilon: float = 1e-8
    use_leakyrelu: bool = True
    label_strength: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.latent_size is None:
            object.__setattr__(self, "latent_size", self.features(1))
        if not self.single_trunk and self.resolution_log2 > self.lod_sep:
            if self.num_channels % 3 or self.lod_sep < 2:
                raise InputError(
                    "a generator with branches needs num_channels divisible by 3 and "
                    f"lod_sep >= 2. Received: num_channels={self.num_channels}, "
                    f"lod_sep={self.lod_sep}"
                )

    @property
    def latents(self) -> int:
        """Components of the latents, the default resolved."""
        return self.features(1) if self.latent_size is None else self.latent_size

    def branched(self, res: int) -> bool:
        """Whether the layers at log2 resolution `res` are split in branches."""
        return not self.single_trunk and res > self.lod_sep


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig(NetworkConfig):
    """Options of the discriminator; see `NetworkConfig` for the rest.

    Attributes:
      mbstd_group_size: samples a group of the minibatch statistic; 0 or 1 for none.
    """

    mbstd_group_size: int = 4

    def __post_init__(self):
        super().__post_init__()
        if not self.single_trunk and self.resolution_log2 >= self.lod_sep - 1:
            if self.num_channels % 3 or self.lod_sep < 3:
                raise InputError(
                    "a discriminator with branches needs num_channels divisible by 3 "
                    f"and lod_sep >= 3. Received: num_channels={self.num_channels}, "
                    f"lod_sep={self.lod_sep}"
                )

    def branched(self, res: int) -> bool:
        """Whether the block at log2 resolution `res` is split in branches."""
        return not self.single_trunk and res >= self.lod_sep

    def from_rgb_branched(self, res: int) -> bool:
        """Whether the image input at log2 resolution `res` is split."""
        return not self.single_trunk and res >= self.lod_sep - 1
