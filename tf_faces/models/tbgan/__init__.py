"""Networks of TBGAN and of the Progressive GAN it grew from."""

from tf_faces.models.tbgan.config import (
    BRANCHES,
    DiscriminatorConfig,
    GeneratorConfig,
    LevelOfDetail,
    split_level_of_detail,
)
from tf_faces.models.tbgan.discriminator import Discriminator
from tf_faces.models.tbgan.generator import Generator

__all__ = [
    "BRANCHES",
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "LevelOfDetail",
    "split_level_of_detail",
]
