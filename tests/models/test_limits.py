"""Options of all networks at the ends of what is allowed."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.models import prnet, tbgan
from tf_faces.models.coarse_fine.config import TRUNKS, CoarseFineConfig
from tf_faces.models.face_manifold import config as face_manifold
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.prnet import network

FOUR, THREE = (1, 1, 1, 1), (1, 1, 1)
# Kind, options that are allowed, and one change each that is not.
LIMITS = [
    (ParFaceConfig, {"num_landmarks": 1, "latent_size": 1, "latent_width": 1,
                     "width": 2, "input_size": 128, "activation": "relu",
                     "decoding": "centroid", "landmark_width": 0},
     [{"num_landmarks": 0}, {"latent_size": 0}, {"latent_width": 0}, {"width": 0},
      {"width": 3}, {"width": 2.0}, {"latent_size": 1.0}, {"input_size": 64},
      {"activation": "elu"}, {"decoding": "mean"}, {"landmark_width": -1},
      {"landmark_width": 1.0}]),
    (ParFaceConfig, {"input_size": 512, "activation": "leaky_relu"},
     [{"input_size": 1024}]),
    (CoarseFineConfig, {"image_size": 16, "iterations": 1, "stem_width": 1,
                        "dense_layers": 1, "shape_count": 1, "expression_count": 0,
                        "widths": FOUR, "fine_widths": THREE, "depth_scale": 1e-6},
     [{"image_size": 12}, {"image_size": 18}, {"iterations": 0}, {"stem_width": 0},
      {"dense_layers": 0}, {"shape_count": 0}, {"expression_count": -1},
      {"widths": (0, 1, 1, 1)}, {"widths": THREE}, {"fine_widths": FOUR},
      {"fine_widths": (1, 0, 1)}, {"depth_scale": 0.0}, {"depth_scale": -1.0},
      {"renderer": "x"}, {"ranges": "x"}, {"statistics": "x"}, {"update": "x"},
      {"update": "residual"}]),
    (CoarseFineConfig, {"ranges": "deviations", "update": "residual",
                        "statistics": "moving", "renderer": "smooth",
                        "trunk": "resnet101"}, [{"trunk": "resnet18"}]),
    (DenoiserConfig, {"length": 16, "unit": 1e-9},
     [{"length": 15}, {"length": True}, {"length": 16.0}, {"unit": 0.0},
      {"unit": -1.0}, {"unit": float("inf")}, {"unit": True}, {"unit": "1"}]),
    (DenoiserConfig, {"length": 22, "architecture": "AutoEncoder3", "unit": 3},
     [{"length": 21}]),
    (prnet.PositionMapConfig, {"resolution": 32, "map_resolution": 8, "width": 2,
                               "divisor": 1e-6, "position_scale": 1,
                               "momentum": 0},
     [{"momentum": 1.0}, {"momentum": -0.1}, {"momentum": True}, {"momentum": "0"},
      {"resolution": 31}, {"map_resolution": 4}, {"map_resolution": 7},
      {"map_resolution": -8}, {"width": 1}, {"divisor": 0}, {"divisor": True},
      {"position_scale": 0.0}, {"position_scale": float("inf")},
      {"resolution": 32.0}]),
    (prnet.PositionMapConfig, {"resolution": 32, "map_resolution": 64}, []),
    (tbgan.GeneratorConfig, {"resolution": 4, "num_channels": 1, "label_size": 0,
                             "dtype": "float16"},
     [{"resolution": 3}, {"resolution": 6}, {"resolution": 4.0}, {"num_channels": 0},
      {"label_size": -1}, {"dtype": "float64"}]),
    # Branches: the generator's begin above lod_sep, the discriminator's inputs one
    # below it.
    (tbgan.GeneratorConfig, {"resolution": 8, "lod_sep": 2, "num_channels": 3},
     [{"lod_sep": 1}, {"num_channels": 4}]),
    (tbgan.GeneratorConfig, {"resolution": 8, "lod_sep": 3, "num_channels": 4},
     [{"lod_sep": 2}]),
    (tbgan.DiscriminatorConfig, {"resolution": 8, "lod_sep": 3, "num_channels": 3},
     [{"lod_sep": 2}, {"num_channels": 4}]),
    (tbgan.DiscriminatorConfig, {"resolution": 8, "lod_sep": 5, "num_channels": 4},
     [{"lod_sep": 4}]),
    (tbgan.GeneratorConfig, {"resolution": 8, "lod_sep": 1, "num_channels": 4,
                             "single_trunk": True}, []),
    (tbgan.GeneratorConfig, {"resolution": 32, "fmap_base": 16, "num_channels": 3},
     [{"fmap_base": 15}]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "allowed", "refused"),
    LIMITS,
    ids=[f"{kind.__name__}-{number}" for number, (kind, *_) in enumerate(LIMITS)],
)
def test_limits(kind, allowed, refused):
    made = kind(**allowed)
    for name, value in allowed.items():
        assert getattr(made, name) == value
    for change in refused:
        with pytest.raises(InputError, match=next(iter(change))):
            kind(**{**allowed, **change})


def test_where_the_branches_begin():
    generator = tbgan.GeneratorConfig(resolution=64, lod_sep=4, num_channels=9)
    assert [generator.branched(res) for res in range(2, 7)] == [0, 0, 0, 1, 1]
    judge = tbgan.DiscriminatorConfig(resolution=64, lod_sep=4, num_channels=9)
    assert [judge.branched(res) for res in range(2, 7)] == [0, 0, 1, 1, 1]
    assert [judge.from_rgb_branched(res) for res in range(2, 7)] == [0, 1, 1, 1, 1]
    assert generator.branches == ("tex", "shp", "nor")
    assert generator.branch_features(3) == 512 and generator.features(3) == 1536
    single = tbgan.GeneratorConfig(resolution=64, lod_sep=4, single_trunk=True)
    assert not any(single.branched(res) for res in range(2, 7))
    assert single.branches == ()


def test_latents_are_as_wide_as_the_first_layer_unless_told():
    usual = tbgan.GeneratorConfig(resolution=8, num_channels=3, fmap_max=5)
    assert usual.latents == usual.latent_size == 15
    told = tbgan.GeneratorConfig(resolution=8, num_channels=3, latent_size=7)
    assert told.latents == 7


@pytest.mark.parametrize(
    ("value", "floor", "fraction"), [(2, 2, None), (2.25, 2, 0.25), (0.0, 0, None)]
)
def test_levels_of_detail_are_parted(value, floor, fraction):
    found = tbgan.config.split_level_of_detail(value)
    assert (found.floor, found.fraction) == (floor, fraction)
    assert tbgan.config.split_level_of_detail(found) is found
    rounded = tbgan.config.split_level_of_detail(2.1)
    assert np.float32(rounded.floor) + np.float32(rounded.fraction) == np.float32(2.1)


def test_only_the_originals_groups():
    with pytest.raises(InputError, match="group must be one of shape, expression"):
        DenoiserConfig.original("texture")


def test_counts_that_follow():
    shared = CoarseFineConfig(iterations=3, share_weights=True)
    apart = CoarseFineConfig(iterations=3, share_weights=False)
    assert (shared.networks, apart.networks) == (1, 3)
    assert CoarseFineConfig().parameter_count == 235
    exponents = [
        prnet.PositionMapConfig(resolution=64, map_resolution=side).map_exponent
        for side in (16, 32, 64, 128)
    ]
    assert exponents == [-2, -1, 0, 1]


SHARED = {
    "num_channels": 1, "resolution": 32, "label_size": 0, "fmap_base": 8192,
    "fmap_decay": 1.0, "fmap_max": 512, "use_wscale": True, "fused_scale": True,
    "dtype": "float32", "lod_sep": 9, "single_trunk": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            tbgan.GeneratorConfig(),
            {**SHARED, "latent_size": 1536, "normalize_latents": True,
             "use_pixelnorm": True, "pixelnorm_epsilon": 1e-8, "use_leakyrelu": True,
             "label_strength": 1.0},
        ),
        (tbgan.DiscriminatorConfig(), {**SHARED, "mbstd_group_size": 4}),
        (
            ParFaceConfig(),
            {"input_size": 256, "num_landmarks": 68, "latent_size": 99, "width": 64,
             "latent_width": 1000, "activation": "leaky_relu", "normalized": True,
             "decoding": "peak", "landmark_width": 0},
        ),
        (
            prnet.PositionMapConfig(),
            {"resolution": 256, "map_resolution": 256, "width": 16, "separable": False,
             "color_order": "rgb", "divisor": 255.0, "position_scale": 281.6,
             "unbiased_variance": True, "momentum": 0.999},
        ),
        (
            face_manifold.DenoiserConfig(),
            {"group": "shape", "length": 199, "unit": 1.0,
             "architecture": "AutoEncoder4"},
        ),
        (
            CoarseFineConfig(),
            {"image_size": 200, "shape_count": 199, "expression_count": 29,
             "iterations": 4, "share_weights": False, "trunk": "bottleneck",
             "stem_width": 64, "widths": (64, 128, 256, 512), "dense_layers": 1,
             "statistics": "batch", "scale": False, "ranges": "original",
             "update": "absolute", "renderer": "original",
             "fine_widths": (64, 128, 256), "fine_inputs_in_column": False,
             "fine_residual": False, "depth_scale": 1.0, "decay": 0.99,
             "head_width": 0, "pooling": "mean"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_defaults(made, expected):
    found = made.to_dict()
    assert found.pop("position_scale", 0) == pytest.approx(
        expected.pop("position_scale", 0)
    )
    assert found == expected
    assert type(made).from_json(made.to_json()) == made


def test_tables_of_architectures():
    assert face_manifold.ARCHITECTURES == {
        "AutoEncoder4": ((8, 16, 32, 64), 1, 16), "AutoEncoder3": ((32, 64, 128), 0, 22)
    }  # fmt: skip
    assert face_manifold.ORIGINAL_LENGTHS == {"shape": 199, "expression": 29}
    assert face_manifold.ORIGINAL_UNITS == {"shape": 1e5, "expression": 1.0}
    assert TRUNKS == {
        "bottleneck": (2, 2, 2, 2), "plain": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3),
        "resnet101": (3, 4, 23, 3),
    }  # fmt: skip
    assert network.BLOCKS == (
        *((2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1)),
        *((32, 2), (32, 1)),
    )
