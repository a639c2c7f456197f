"""TBGAN's networks in small: stacked minibatches, levels of detail, refusals."""

import dataclasses
import math

import numpy as np
import pytest

from tf_faces.models import tbgan
from tf_faces.models.parface.config import ParFaceConfig

SMALL = {"num_channels": 9, "resolution": 16, "fmap_base": 32, "fmap_max": 4,
         "lod_sep": 3, "label_size": 2}  # fmt: skip


@pytest.fixture(scope="module")
def judge():
    return tbgan.Discriminator(tbgan.DiscriminatorConfig(**SMALL, mbstd_group_size=4))


@pytest.fixture(scope="module")
def generator():
    return tbgan.Generator(tbgan.GeneratorConfig(**SMALL))


@pytest.fixture(scope="module")
def images():
    drawn = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 9))
    return drawn.astype(np.float32)


def test_statistics_of_stacked_minibatches_are_apart(judge, images):
    halves = images[:4], 3 * images[4:]
    stacked = np.concatenate(halves)
    together = judge(stacked, sets=2)
    alone = [judge(half) for half in halves]
    for found, *parts in zip(together, *alone, strict=True):
        np.testing.assert_allclose(found, np.concatenate(parts), atol=1e-5)
    mixed = judge(stacked, sets=1)[0]
    assert np.abs(np.asarray(mixed) - together[0]).max() > 1e-4


def test_images_are_lowered_to_the_level_unless_they_are_there(judge, images):
    lowered = images.reshape(8, 8, 2, 8, 2, 9).mean(axis=(2, 4))
    expected = judge(lowered, level_of_detail=1, native=True)
    found = judge(images, level_of_detail=1)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    # Between two levels the input is mixed after one block.
    half = np.asarray(judge(images, level_of_detail=0.5)[0])
    for level in (0, 1):
        whole = np.asarray(judge(images, level_of_detail=level)[0])
        near = np.asarray(judge(images, level_of_detail=abs(level - 1e-4))[0])
        np.testing.assert_allclose(near, whole, atol=1e-2)
        assert np.abs(half - whole).max() > 1e-3
    with pytest.raises(ValueError, match="level_of_detail must be at most 2"):
        judge(images, level_of_detail=3)


def test_generated_images_fade_from_level_to_level(generator):
    rng = np.random.default_rng(1)
    latents = rng.standard_normal((3, generator.config.latents)).astype(np.float32)
    labels = np.eye(3, 2, dtype=np.float32)
    fine, coarse = (np.asarray(generator(latents, labels, level)) for level in (0, 1))
    assert fine.shape == (3, 16, 16, 9)
    # A coarser level is shown at the full size.
    blocks = coarse.reshape(3, 8, 2, 8, 2, 9)
    first = blocks[:, :, :1, :, :1]
    np.testing.assert_array_equal(blocks, np.broadcast_to(first, blocks.shape))
    between = np.asarray(generator(latents, labels, 0.25))
    np.testing.assert_allclose(between, 0.75 * fine + 0.25 * coarse, atol=1e-4)
    assert np.abs(fine - generator(latents, 2 * labels, 0)).max() > 1e-4


@pytest.mark.parametrize(
    ("level", "outputs"), [(0, (0,)), (0.5, (0, 1)), (1, (1,)), (2, (2,))]
)
def test_used_layers_are_those_that_are_evaluated(
    judge, generator, images, level, outputs
):
    seen = {}
    judge(images, level_of_detail=level, activations=seen)
    used = judge.used_layers(level)
    assert used == set(judge._layer_of) & set(seen)
    assert {name.rsplit("/", 1)[0] for name in judge.used_names(level)} == used
    seen = {}
    latents = np.ones((2, generator.config.latents), np.float32)
    generator(latents, np.zeros((2, 2), np.float32), level, activations=seen)
    used = generator.used_layers(level)
    images_from = {name for name in used if name.startswith("ToRGB")}
    assert {int(name[9]) for name in images_from} == set(outputs)
    assert used - images_from == set(generator._layer_of) & set(seen)
    assert {name.rsplit("/", 1)[0] for name in generator.used_names(level)} == used


RNG = np.random.default_rng(0)
TINY = {"num_channels": 9, "resolution": 16, "fmap_base": 32, "fmap_max": 4,
        "lod_sep": 3, "label_size": 2}  # fmt: skip


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_names_and_rows_of_tbgan(fused, single):
    options = {**TINY, "fused_scale": fused, "single_trunk": single}
    maker = tbgan.Generator(tbgan.GeneratorConfig(**options))
    judge = tbgan.Discriminator(tbgan.DiscriminatorConfig(**options))
    up, down = ("Conv0_up", "Conv1_down") if fused else ("Conv0", "Conv1")
    deep = [("",)] if single else [("/tex", "/shp", "/nor")]
    names = ["4x4/Dense", "4x4/Conv", "ToRGB_lod2", f"8x8/{up}", "8x8/Conv1",
             "ToRGB_lod1"]  # fmt: skip
    names += [f"16x16{b}/{layer}" for b in deep[0] for layer in (up, "Conv1")]
    names += [f"ToRGB_lod0{b}" for b in deep[0]]
    expected = ["lod", *(f"{n}/{v}" for n in names for v in ("weight", "bias"))]
    assert list(maker.variables_by_name()) == expected
    assert list(maker.trainables_by_name()) == expected[1:]
    assert not maker.level_of_detail.trainable and maker.level_of_detail == 0
    names = [f"FromRGB_lod0{b}" for b in deep[0]]
    names += [f"16x16{b}/{layer}" for b in deep[0] for layer in ("Conv0", down)]
    names += [f"FromRGB_lod1{b}" for b in deep[0]]
    names += [f"8x8{b}/{layer}" for b in deep[0] for layer in ("Conv0", down)]
    low = deep[0]  # The inputs are split one level below the blocks.
    names += [f"FromRGB_lod2{b}" for b in low] + [
        "4x4/Conv",
        "4x4/Dense0",
        "4x4/Dense1",
    ]
    assert list(dict.fromkeys(n.rpartition("/")[0] for n in judge.trainables_by_name())
                ) == names  # fmt: skip
    for net in (maker, judge):
        rows, total = net.layer_rows()
        parts = [int(row[1]) for row in rows if row[1] != "-"]
        assert sum(parts) == total == net.parameter_count()
        assert total == sum(
            math.prod(variable.shape) for variable in net.trainables_by_name().values()
        )
        again = type(net).from_config(net.get_config())
        assert again.config == net.config and again.name == net.name
    rows = {row[0]: row[2] for row in maker.layer_rows()[0]}
    third = 1 if single else 3
    wide = maker.config.features(4) // third
    if single:
        assert rows["16x16/Conv1"] == f"(?, {wide}, 16, 16)"
    else:
        assert rows["16x16"] == f"(?, {wide}, 16, 16)"
    assert rows["ToRGB_lod0"] == f"(?, {9 // third}, 16, 16)"
    assert (
        rows["ToRGB_lod2"] == "(?, 9, 4, 4)" and rows["images_out"][4:] == "9, 16, 16)"
    )
    assert rows["4x4/PixelNorm"] == f"(?, {maker.config.latents + 2})"
    assert {"Upscale2D", "Upscale2D_1", "Grow_lod0", "Grow_lod1"} < rows.keys()
    rows = {row[0]: row[2] for row in judge.layer_rows()[0]}
    assert rows["4x4/Dense1"] == "(?, 3)" and rows["labels_out"] == "(?, 2)"
    assert rows["4x4/MinibatchStddev"] == "(?, 1, 4, 4)"
    assert rows["Downscale2D"] == "(?, 9, 8, 8)"
    assert rows["Downscale2D_1"] == "(?, 9, 4, 4)"
    high = judge.config.features(3) // third
    assert rows["Grow_lod0"] == f"(?, {judge.config.features(3)}, 8, 8)"
    assert rows["FromRGB_lod1"] == f"(?, {high}, 8, 8)"


@pytest.mark.parametrize(
    "changes",
    [{"use_pixelnorm": False}, {"normalize_latents": False}, {"use_leakyrelu": False},
     {"fused_scale": False}, {"use_wscale": False}],
)  # fmt: skip
def test_options_of_the_generator_change_its_images(changes):
    plain, changed = (
        tbgan.Generator(tbgan.GeneratorConfig(**TINY, **more)) for more in ({}, changes)
    )
    stored = plain.variables_by_name()
    for name, variable in changed.variables_by_name().items():
        source = stored.get(name, stored.get(name.replace("Conv0/", "Conv0_up/")))
        value = source.numpy()
        if value.shape != variable.shape:
            value = value.transpose(0, 1, 3, 2)
        variable.assign(value)
    latents = 3 * RNG.normal(size=(2, plain.config.latents)).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)
    seen, other = {}, {}
    first = np.asarray(plain(latents, labels, activations=seen))
    second = np.asarray(changed(latents, labels, activations=other))
    # Every pixel's norm is one, so that the first norm hardly shows in the end.
    assert np.abs(first - second).max() > 1e-3 or "normalize_latents" in changes
    pixels = np.square(np.asarray(seen["16x16/tex/Conv1"])).mean(-1)
    np.testing.assert_allclose(pixels, 1, atol=1e-2)
    if "normalize_latents" in changes:
        assert "4x4" in seen and "4x4" not in other
        assert "4x4/PixelNorm" not in {row[0] for row in changed.layer_rows()[0]}
    if "use_leakyrelu" in changes:
        assert np.asarray(other["8x8/Conv1"]).min() >= 0
        assert np.asarray(seen["8x8/Conv1"]).min() < 0


def test_images_at_their_own_size_and_levels_there_are():
    maker = tbgan.Generator(tbgan.GeneratorConfig(**TINY))
    latents = RNG.normal(size=(2, maker.config.latents)).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)
    for level, side in ((0, 16), (1, 8), (2, 4)):
        small_ = np.asarray(maker(latents, labels, level, native=True))
        assert small_.shape == (2, side, side, 9)
        large = np.asarray(maker(latents, labels, level))
        repeated = small_.repeat(16 // side, 1).repeat(16 // side, 2)
        np.testing.assert_array_equal(large, repeated)
    with pytest.raises(ValueError, match="level_of_detail must be at most 2"):
        maker(latents, labels, 3)
    with pytest.raises(TypeError, match="must be a GeneratorConfig"):
        tbgan.Generator(TINY)
    with pytest.raises(TypeError, match="must be a DiscriminatorConfig"):
        tbgan.Discriminator(TINY)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ParFaceConfig().width = 3
