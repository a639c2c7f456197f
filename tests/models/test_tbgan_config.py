"""Configurations of the networks: round trip, refusals, published sizes."""

import pytest

from tf_faces.core.errors import InputError
from tf_faces.models import tbgan

# 4x4 to 1024x1024 of the Progressive GAN.
WIDTHS = [512, 512, 512, 512, 256, 128, 64, 32, 16]


def test_round_trip_and_defaults():
    config = tbgan.GeneratorConfig(num_channels=9, resolution=512, lod_sep=7)
    assert config.latent_size == 1536
    assert tbgan.GeneratorConfig.from_json(config.to_json()) == config
    single = tbgan.GeneratorConfig(num_channels=3, resolution=1024, single_trunk=True)
    assert single.latent_size == 512
    # Layers at log2 resolution r are features(r - 1) wide in the originals' count.
    assert [single.features(res) for res in range(2, 11)] == WIDTHS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 48}, "power of two"),
        ({"resolution": 2}, "power of two"),
        ({"dtype": "float64"}, "dtype"),
        ({"num_channels": 0}, "num_channels"),
        ({"fmap_bse": 3}, "fmap_bse"),
        ({"num_channels": 4, "resolution": 64, "lod_sep": 4}, "divisible by 3"),
        ({"resolution": 1024, "fmap_base": 16}, "no feature map"),
    ],
)
def test_refusals(options, message):
    for kind in (tbgan.GeneratorConfig, tbgan.DiscriminatorConfig):
        with pytest.raises(InputError, match=message):
            kind.from_dict(options)


@pytest.mark.parametrize(
    ("options", "generator", "discriminator"),
    [
        # Number of parameters of the published configurations, at tiny cost: only the
        # small one is built here, the large ones are part of the slow recordings.
        (
            {
                "num_channels": 3,
                "resolution": 32,
                "label_size": 10,
                "single_trunk": True,
            },
            20_801_548,
            20_731_915,
        ),
    ],
)
def test_published_parameter_counts(options, generator, discriminator):
    assert (
        tbgan.Generator(tbgan.GeneratorConfig(**options)).parameter_count() == generator
    )
    found = tbgan.Discriminator(tbgan.DiscriminatorConfig(**options)).parameter_count()
    assert found == discriminator
