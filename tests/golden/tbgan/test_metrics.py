"""Sliced Wasserstein distance, MS-SSIM, Frechet distance, score, whole evaluations."""

import json
import re

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.tbgan import networks as tbgan_networks
from tf_faces.data import tbgan as data
from tf_faces.metrics import feature_statistics, multiscale_similarity
from tf_faces.metrics import sliced_wasserstein as sliced
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import evaluation

# The recording's window is applied in another precision: noise of its README.
SIMILARITY = 2e-5


def channels_last(images):
    return np.moveaxis(images, 1, -1)


def pictures(name, count, size):
    """uint8 [count, 3, size, size] as the README draws them."""
    low = drawing.generator(f"{name}/lo").integers(
        0, 256, (count, 3, size // 8, size // 8)
    )
    noise = drawing.generator(f"{name}/hi").integers(-24, 25, (count, 3, size, size))
    return np.clip(np.kron(low, np.ones((8, 8), int)) + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def recorded(golden_directory):
    folder = golden_directory / "tbgan"
    path = drawing.beside(folder, "metrics.json")
    recorded = json.loads(path.read_text())
    short = drawing.recording_set(folder)["short"]
    swd = recorded["swd"]
    size, count = swd["resolution"], swd["num_images"]
    reals, fakes = (
        pictures(f"{short}_m/{name}", count, size) for name in ("reals", "fakes")
    )
    noise = drawing.generator(f"{short}_m/jit").integers(-30, 31, reals.shape)
    jittered = np.clip(reals.astype(int) + noise, 0, 255).astype(np.uint8)
    return {**recorded, "short": short, "reals": reals, "fakes": fakes, "jit": jittered}


def fed(metric, images, minibatch):
    for start in range(0, len(images), minibatch):
        metric.feed(channels_last(images[start : start + minibatch]))
    return metric


@pytest.mark.golden("tbgan", "metrics.json")
def test_sliced_wasserstein(recording, recorded):
    swd = recorded["swd"]
    random = np.random.RandomState(swd["seed"])
    metric = sliced.SlicedWasserstein(swd["resolution"], random)
    assert metric.names() == swd["names"]
    fed(metric, recorded["reals"], swd["minibatch"])
    assert metric.end_reference() == swd["reals"]
    found = fed(metric, recorded["fakes"], swd["minibatch"]).end()
    np.testing.assert_allclose(found, swd["fakes"], rtol=1e-6)


@pytest.mark.golden("tbgan", "swd_parts.npz")
def test_parts_of_sliced_wasserstein(recording, recorded):
    arrays = dict(np.load(recording))
    assert set(arrays) == {
        *("pyr0", "pyr1", "pyr2", "recon_max_err", "desc_lvl0", "desc_final", "down2")
    }
    reals = recorded["reals"]
    levels = sliced.laplacian_pyramid(channels_last(reals[:2]), 3)
    for index, level in enumerate(levels):
        expected = channels_last(arrays[f"pyr{index}"])
        np.testing.assert_allclose(
            level[: len(expected)], expected, rtol=1e-6, atol=1e-4
        )
    # Enlarged and added up, the levels are the picture again.
    again = levels[-1]
    for level in levels[-2::-1]:
        again = level + sliced.enlarged(again)
    error = np.abs(again.numpy() - channels_last(reals[:2])).max()
    assert error <= max(float(arrays["recon_max_err"]), 1e-4)
    random = np.random.RandomState(recorded["swd"]["seed"] + 1)
    count = len(arrays["desc_lvl0"]) // 2
    found = sliced.patches(levels[0], count, random)
    np.testing.assert_allclose(found, arrays["desc_lvl0"], rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(
        sliced.normalized([found]), arrays["desc_final"], rtol=1e-5, atol=1e-6
    )
    side = arrays["down2"].shape[-1]
    halvings = int(np.log2(reals.shape[-1] // side))
    np.testing.assert_array_equal(
        sliced.downscaled(channels_last(reals[:1]), halvings),
        channels_last(arrays["down2"]),
    )


@pytest.mark.golden("tbgan", "metrics.json")
def test_multiscale_similarity(recording, recorded):
    expected, minibatch = recorded["msssim"], recorded["swd"]["minibatch"]
    reals, jittered = recorded["reals"], recorded["jit"]
    metric = multiscale_similarity.PairSimilarity()
    assert metric.names() == expected["names"]
    pairs = fed(metric, reals, minibatch).end()[0]
    assert pairs == pytest.approx(expected["random_pairs"], abs=SIMILARITY)
    interleaved = np.stack([reals, jittered], axis=1).reshape(-1, *reals.shape[1:])
    pairs = fed(metric, interleaved, minibatch).end()[0]
    assert pairs == pytest.approx(expected["jittered_pairs"], abs=SIMILARITY)
    (single,) = multiscale_similarity.multiscale_similarity(
        channels_last(reals[:1]), channels_last(jittered[:1])
    )
    assert single == pytest.approx(expected["single"], abs=SIMILARITY)


@pytest.mark.golden("tbgan", "metrics.json")
@pytest.mark.parametrize("key, side", [("ssim_one_scale", None), ("ssim_8x8", 8)])
def test_similarity(recording, recorded, key, side):
    first, second = (
        channels_last(recorded[name][:3, :, :side, :side]) for name in ("reals", "jit")
    )
    found = multiscale_similarity.similarity(first, second)
    for values, name in zip(found, ("ssim", "cs"), strict=True):
        np.testing.assert_allclose(values, recorded[key][name], atol=SIMILARITY)


@pytest.mark.golden("tbgan", "metrics.json")
def test_frechet_distance(recording, recorded):
    short = recorded["short"]

    def normal(name, shape):
        return drawing.normal(f"{short}_fid/{name}", shape).astype(np.float64)

    first = normal("a", (200, 12)) @ normal("m", (12, 12))
    second = normal("b", (150, 12)) * 1.3 + 0.4
    found = feature_statistics.frechet_distance(
        *map(feature_statistics.Gaussian.of, (first, second))
    )
    assert found == pytest.approx(recorded["fid"], rel=1e-6)


@pytest.mark.golden("tbgan", "metrics.json")
def test_inception_score(recording, recorded):
    logits = drawing.normal(f"{recorded['short']}_is/logits", (103, 20), 2)
    raised = np.exp(logits.astype(np.float64))
    rows = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    mean, deviation = feature_statistics.inception_score(rows)
    expected = recorded["inception_score"]
    assert mean == pytest.approx(expected["mean"], rel=1e-5)
    assert deviation == pytest.approx(expected["std"], rel=1e-4)


# --- evaluate_metrics ---------------------------------------------------------------

TIME = re.compile(r"\d+s|\d+m \d\ds")
# A pixel or two of generated pictures are rounded the other way.
ROUNDING = 5e-4


def require_same(found, expected):
    """Two lines of the table: equal but for times; of fakes the numbers nearly so."""
    if not TIME.match(expected[10:22]):
        assert found == expected
        return
    assert TIME.match(found[10:22])
    assert found[:10] == expected[:10] and len(found) == len(expected)
    if expected.startswith("Reals"):
        assert found[22:] == expected[22:]
    values, wanted = (
        np.array(line[22:].split(), np.float64) for line in (found, expected)
    )
    np.testing.assert_allclose(values, wanted, rtol=0, atol=ROUNDING)


@pytest.mark.golden("tbgan", "eval/metric-*.txt")
def test_evaluation(recording):
    folder = recording.parent
    config = json.loads(drawing.beside(folder, "config.json").read_text())
    expected = recording.read_text().splitlines()
    dataset = data.TfrecordDataset(
        next(path for path in folder.iterdir() if path.is_dir()),
        max_label_size="full",
        shuffle_mb=0,
    )
    tag = config["fixture_name_rule"].split("<")[0]

    def opened(kimg, lod):
        def make():
            (generator,) = tbgan_networks.make_networks(
                {"common": config["common"]}, f"{tag}{kimg}", ("Gs",)
            )
            return tbgan.TbganPipeline.from_generator(
                generator, lod, label_softmax=False
            )

        return make

    names = [
        name.split(".")[1] for name in expected if name.startswith("Initializing met")
    ]
    modules = {"sliced_wasserstein": "swd", "ms_ssim": "msssim"}
    metrics = [modules[name] for name in names]
    rows = list(
        evaluation.evaluate(
            evaluation.Reals(dataset, config["mirror_augment"]),
            [
                (1000 * kimg, opened(kimg, lod))
                for kimg, lod in sorted(config["snapshots"], reverse=True)
            ],
            metrics=metrics,
            images=config["num_images"],
            passes=config["real_passes"],
            minibatch=config["minibatch_size"],
            seed=config["seed_before_call"],
        )
    )
    table = evaluation.table_lines(list(rows[0].values), rows)
    found = [*dataset.describe(), *evaluation.module_lines(metrics), "", *table, ""]
    start = next(i for i, line in enumerate(expected) if line.startswith("Dataset sh"))
    wanted = expected[start : expected.index("Exiting...")]
    assert len(found) == len(wanted)
    for line, other in zip(found, wanted, strict=True):
        require_same(line, other)
