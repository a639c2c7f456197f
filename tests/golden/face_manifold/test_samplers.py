"""Samplers, noise and data sets against the original's random streams."""

import json

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.face_manifold import recordings
from tf_faces.core import matlab_files
from tf_faces.data.face_manifold import dataset, samplers

DRAW_TOLERANCE = 1e-6  # Of the largest; replays with NumPy 2 are exact.
REPLAY_TOLERANCE = 1e-9
STATISTICS_TOLERANCE = 0.02


def _deviations(recording):
    """Deviations of the recorded model: float32 as loaded, texture as stored."""
    path = drawing.companion(recording, "bfm_small", ".mat")
    model = matlab_files.load(path, ["model"])["model"][0, 0]
    return (
        model["shapeEV"].astype(np.float32).ravel(),
        model["expEV"].astype(np.float32).ravel(),
        model["texEV"].ravel(),
    )


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
def test_samplers_and_noise(recording):
    arrays = np.load(recording)
    shape, expression, texture = _deviations(recording)
    seed = int(arrays["seed"])

    def draws(offset=0):
        return samplers.OriginalDraws(seed + offset)

    found = {
        "shape_random": draws().normal("shape", shape),
        "exp_random": draws().normal("expression", expression),
        "tex_random_cov1": draws().normal("texture", texture, 1),
        "tex_random_cov4": draws().normal("texture", texture, 4),
        "tp": draws(3).normal("texture", texture, 4),
        "shape_uniform_range10": draws().uniform("shape", shape, 10),
        "exp_uniform_range10": draws().uniform("expression", expression, 10),
        "shape_uniform_mean3_range2": draws().uniform("shape", shape, 2, 3),
    }
    for name, value in found.items():
        recordings.assert_close(value[:, None], arrays[name], DRAW_TOLERANCE, name)
    for name, key, vector, sigma in (
        ("noise_shape_1e5", "noise_shape_idx", "sp", 1e5),
        ("noise_exp_1", "noise_exp_idx", "ep", 1),
    ):
        stream, vector = draws(), arrays[vector].ravel()
        indices = stream.indices(len(vector), len(arrays[key]))
        np.testing.assert_array_equal(indices, arrays[key])
        noisy = stream.add_noise(vector, indices, sigma)
        recordings.assert_close(noisy[:, None], arrays[name], DRAW_TOLERANCE, name)
    stream = draws()
    indices = stream.indices(len(shape), len(arrays["noise_shape_idx"]))
    noisy = stream.add_noise_by_position(arrays["sp"].ravel(), indices, shape)
    recordings.assert_close(
        noisy[:, None], arrays["noise_shape_ev"], DRAW_TOLERANCE, "noise_shape_ev"
    )


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
def test_corruption_protocol(recording):
    arrays = np.load(recording)
    stream = samplers.OriginalDraws(int(arrays["seed"]))
    rounds = len(arrays["protocol_shape"])
    assert rounds == len(arrays["protocol_exp"])
    for number in range(rounds):
        for name, vector, sigma in (("shape", "sp", 1e5), ("exp", "ep", 1)):
            noisy, count = stream.corrupt(arrays[vector].ravel(), sigma)
            assert count == arrays[f"protocol_{name}_counts"][number]
            recordings.assert_close(
                noisy, arrays[f"protocol_{name}"][number], DRAW_TOLERANCE, name
            )


@pytest.mark.golden("face_manifold", "noise_statistics*.json")
def test_noise_statistics(recording):
    report = json.loads(recording.read_text())
    lengths = {"shape": 199, "exp": 29}
    for net, length in lengths.items():
        stored = report[net]
        rng = np.random.default_rng(0)
        clean = np.zeros((stored["N"], length))
        noisy = samplers.corrupt(rng, clean, stored["sigma"])
        counts = np.count_nonzero(noisy, axis=1)

        def near(value, key, stored=stored):
            assert value == pytest.approx(stored[key], rel=STATISTICS_TOLERANCE), key

        # Any number of coordinates from one on is equally likely to be hit.
        share = (length + 1) / (2 * length)
        assert stored["expected_hit"] == pytest.approx(share, rel=1e-9)
        assert stored["expected_mse"] == pytest.approx(
            share * stored["sigma"] ** 2, rel=1e-9
        )
        assert stored["hit_fraction_mean"] == pytest.approx(
            stored["mean_count"] / length, rel=1e-9
        )
        total = stored["mean_count"] * stored["N"]
        assert total == pytest.approx(round(total), abs=1e-4)
        near(counts.mean(), "mean_count")
        near(counts.mean() / length, "hit_fraction_mean")
        near(counts.mean() / length, "expected_hit")
        near(np.mean(noisy**2), "mse")
        near(np.mean(noisy**2), "expected_mse")
        assert (counts.min(), counts.max()) == (
            stored["min_count"],
            stored["max_count"],
        )
    # The variance of U(-5, 5) standard deviations.
    assert report["expected_trace_ratio"] == pytest.approx(10**2 / 12, rel=1e-9)
    rng = np.random.default_rng(1)
    deviations = _deviations(recording)
    for net, group, values in zip(
        ("shape", "exp"), ("shape", "expression"), deviations[:2], strict=True
    ):
        spread = samplers.sampling_deviations(group, values)
        wide = samplers.uniform(rng, spread, 20000, 10)
        plain = samplers.normal(rng, spread, 20000)
        ratio = wide.var(axis=0).sum() / plain.var(axis=0).sum()
        assert ratio == pytest.approx(
            report["expected_trace_ratio"], rel=STATISTICS_TOLERANCE
        )
        # The recorded ratio comes from few faces.
        assert report[f"{net}_trace_ratio_uniform10_over_normal"] == pytest.approx(
            ratio, rel=0.05
        )


@pytest.mark.golden("face_manifold", "dataset_generation*.npz")
def test_dataset_generation_replayed(recording, tmp_path):
    arrays = np.load(recording)
    report = _report(recording)
    faces = recordings.synthetic_faces(
        recordings.tag(recording), range(int(arrays["n_files"]))
    )
    for net, values in zip(("shape", "exp"), faces, strict=True):
        stored = report[net]
        group = recordings.GROUPS[net]
        recipe = dataset.original_recipe(
            group, seed=stored["seed"], original_draws=True
        )
        folder = dataset.write_dataset(tmp_path, values, recipe, form="npy")
        for name, (shape, dtype, mean, deviation) in stored["arrays"].items():
            found = np.load(folder / f"{name}.npy")
            assert (list(found.shape), str(found.dtype)) == (shape, dtype)
            scale = np.abs(found).max()
            for key, value in (
                ("first3", found[:3]),
                ("last2", found[-2:]),
                ("rowsum_first200", found[:200].sum(axis=1)),
            ):
                expected = arrays[f"{net}/{name}/{key}"]
                assert np.abs(value - expected).max() <= REPLAY_TOLERANCE * scale, name
            assert found.mean() == pytest.approx(mean, abs=REPLAY_TOLERANCE * scale)
            assert found.std() == pytest.approx(deviation, rel=REPLAY_TOLERANCE)
        hit = _hits(folder)
        np.testing.assert_array_equal(
            hit[: len(arrays[f"{net}/counts_first500"])],
            arrays[f"{net}/counts_first500"],
        )
        assert (hit.min(), hit.max()) == (stored["count_min"], stored["count_max"])
        assert hit.mean() == pytest.approx(stored["count_mean"], rel=REPLAY_TOLERANCE)
        error, spread = _noise(folder)
        assert error == pytest.approx(stored["mse"], rel=1e-6)
        assert spread == pytest.approx(stored["noise_std_of_hit"], rel=1e-6)


def _report(recording):
    path = drawing.companion(recording, "dataset_generation", ".json")
    return json.loads(path.read_text())


def _pairs(folder):
    return [
        np.concatenate([np.load(folder / part / f"{role}.npy") for part in
                        ("train", "test")])
        for role in ("noisy", "labels")
    ]  # fmt: skip


def _hits(folder):
    noisy, labels = _pairs(folder)
    return np.count_nonzero(noisy != labels, axis=1)


def _noise(folder):
    noisy, labels = _pairs(folder)
    difference = noisy - labels
    return np.mean(difference**2), difference[difference != 0].std()


@pytest.mark.golden("face_manifold", "dataset_generation*.npz")
def test_dataset_generation_statistics(recording, tmp_path):
    """Our own draws, in shards: the same law."""
    arrays = np.load(recording)
    report = _report(recording)
    faces = recordings.synthetic_faces(
        recordings.tag(recording), range(int(arrays["n_files"]))
    )
    for net, values in zip(("shape", "exp"), faces, strict=True):
        group, stored = recordings.GROUPS[net], report[net]
        dataset.write_dataset(tmp_path, values, dataset.original_recipe(group))
        parts = [dataset.read_pairs(tmp_path, group, part) for part in
                 ("train", "test")]  # fmt: skip
        for part, pairs in zip(("train", "test"), parts, strict=True):
            assert list(pairs.noisy.shape) == stored["arrays"][f"{part}/noisy"][0]
        noisy = np.concatenate([pairs.noisy for pairs in parts])
        labels = np.concatenate([pairs.labels for pairs in parts])
        counts = np.count_nonzero(noisy != labels, axis=1)
        for value, key in (
            (counts.mean(), "count_mean"),
            (np.mean((noisy - labels).astype(np.float64) ** 2), "mse"),
            ((noisy - labels)[noisy != labels].std(), "noise_std_of_hit"),
        ):
            assert value == pytest.approx(stored[key], rel=STATISTICS_TOLERANCE), key
