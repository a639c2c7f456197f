"""TBGAN's networks in small: stacked minibatches, levels of detail, refusals."""

import numpy as np
import pytest

from tf_faces.models import tbgan

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
