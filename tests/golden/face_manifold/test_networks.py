"""The denoisers and their pooling against the original PyTorch networks."""

import json

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.face_manifold import recordings
from tf_faces.convert import face_manifold as convert
from tf_faces.convert import torch
from tf_faces.models.face_manifold import denoisers, pooling
from tf_faces.models.face_manifold.config import DenoiserConfig

# Float32 noise seen is 6e-7 of the largest output.
TOLERANCE = 1e-5
TIES_TOLERANCE = 0.25  # Routes differ: 0.1 between the original's two precisions.
GAP_NOISE = 3e-7  # Of float32 values, relative to the largest; seen: 8e-8.


def _network(prefix, length, architecture="AutoEncoder4"):
    denoiser = denoisers.Denoiser(
        DenoiserConfig("shape", length, architecture=architecture)
    )
    tensors = recordings.seeded_tensors(prefix, architecture)
    convert.assign(denoiser, tensors, prefix)
    return denoiser


def _inputs_with_ties(length):
    """Zero, one, minus one, a ramp, and a unit impulse at either end."""
    rows = np.zeros((6, length), np.float32)
    rows[1], rows[2], rows[3] = 1, -1, np.arange(length) / length
    rows[4, 0] = rows[5, -1] = 1
    return rows


def _smallest_gap(stages):
    """Smallest difference within a pooled pair, relative to its row's largest value."""
    gaps = []
    for name, values in stages.items():
        if name.startswith("conv"):
            values = np.asarray(values, np.float64)
            rows, length, channels = values.shape
            pairs = values[:, : length // 2 * 2].reshape(rows, -1, 2, channels)
            gap = np.abs(pairs[:, :, 0] - pairs[:, :, 1]).min(axis=(1, 2))
            gaps.append((gap / np.abs(values).max(axis=(1, 2))).min())
    return min(gaps)


def _stage(name, stages):
    """Our channels-last stage as the recording has it, channels first."""
    return np.asarray(stages[name]).transpose(0, 2, 1)


@pytest.mark.golden("face_manifold", "net_seeded*.npz")
def test_autoencoder4(recording):
    tag = recordings.tag(recording)
    arrays = np.load(recording)
    cases = sorted({name.partition("/")[0] for name in arrays.files})
    assert cases
    for case in cases:
        x, expected = arrays[f"{case}/x"], arrays[f"{case}/y"]
        net = "shape" if case.startswith("shape") else "exp"
        denoiser = _network(f"{tag}/{net}", x.shape[1])
        output = np.asarray(denoiser(x))
        if case.endswith("_ties"):
            np.testing.assert_allclose(x, _inputs_with_ties(x.shape[1]), atol=1e-7)
            # They lie on pooling ties, where rounding decides the route.
            recordings.assert_close(output, expected, TIES_TOLERANCE, case)
            continue
        recordings.assert_close(output, expected, TOLERANCE, case)
        recordings.assert_close(
            denoiser(x, training=True), expected, TOLERANCE, f"{case} in training"
        )
        stored = [
            name.partition("/")[2]
            for name in arrays.files
            if name.startswith(f"{case}/") and name.partition("/")[2] not in "xy"
        ]
        if stored:
            rows = len(arrays[f"{case}/{stored[0]}"])
            stages = denoiser.stages(x[:rows])
            assert set(stored) == set(stages)
            for name in stored:
                wanted = arrays[f"{case}/{name}"]
                if name.startswith("idx"):
                    np.testing.assert_array_equal(_stage(name, stages), wanted, name)
                else:
                    recordings.assert_close(
                        _stage(name, stages), wanted, TOLERANCE, f"{case}/{name}"
                    )


@pytest.mark.golden("face_manifold", "ae3_seeded*.npz")
def test_autoencoder3(recording):
    tag = recordings.tag(recording)
    arrays = np.load(recording)
    cases = sorted({name.partition("/")[0] for name in arrays.files})
    assert cases
    for case in cases:
        x = arrays[f"{case}/x"]
        denoiser = _network(f"{tag}/ae3", x.shape[1], "AutoEncoder3")
        recordings.assert_close(denoiser(x), arrays[f"{case}/y"], TOLERANCE, case)


@pytest.mark.golden("face_manifold", "pool_unpool*.npz")
def test_pooling_with_ties(recording):
    arrays = np.load(recording)
    cases = sorted({name.partition("/")[0] for name in arrays.files})
    assert cases
    for case in cases:
        x = arrays[f"{case}/x"].transpose(0, 2, 1)
        values, indices = pooling.MaxPoolWithIndices()(x)
        unpooled = pooling.MaxUnpool(x.shape[1])(values, indices)
        for name, found in (("pool", values), ("idx", indices), ("unpool", unpooled)):
            np.testing.assert_array_equal(
                np.asarray(found).transpose(0, 2, 1), arrays[f"{case}/{name}"], case
            )


@pytest.mark.golden("face_manifold", "seeded_*_legacy*.pkl", "seeded_*_zip*.pkl")
def test_pytorch_checkpoint(recording, tmp_path):
    net, form = recordings.net(recording), recording.stem.split("_")[2]
    group = recordings.GROUPS[net]
    expected = recordings.seeded_tensors(f"{recordings.tag(recording)}/{net}")
    tensors = torch.read_state_dict(recording)
    assert list(tensors) == list(expected)
    for name, value in expected.items():
        assert tensors[name].dtype == np.float32
        np.testing.assert_array_equal(tensors[name], value, name)
    denoiser = convert.load(recording, group, check_unit=False)
    for suffix in (".npz", ".pkl", ".pth"):
        path = tmp_path / f"copy{suffix}"
        convert.save(path, denoiser)
        again = convert.load(path, group, check_unit=False)
        for name, value in convert.state_dict(again).items():
            np.testing.assert_array_equal(value, expected[name], name)
    if form == "legacy":
        # What we write has the raw storages of the original file, byte for byte.
        ours = (tmp_path / "copy.pkl").read_bytes()
        size = sum(8 + value.nbytes for value in expected.values())
        assert len(ours) > size and sorted(_storages(ours[-size:])) == sorted(
            _storages(recording.read_bytes()[-size:])
        )


def _storages(content):
    """Splits count-prefixed float32 storages."""
    found = []
    while content:
        count = int.from_bytes(content[:8], "little")
        found.append(content[: 8 + 4 * count])
        content = content[8 + 4 * count :]
    return found


@pytest.mark.golden("face_manifold", "seeded_weight_check*.json")
def test_seeded_weights(recording):
    tensors = recordings.seeded_tensors(f"{recordings.tag(recording)}/shape")
    stored = json.loads(recording.read_text())
    assert set(stored) == set(tensors)
    for name, (first, last, total) in stored.items():
        flat = tensors[name].reshape(-1)
        assert (float(flat[0]), float(flat[-1])) == (first, last), name
        assert flat.sum(dtype=np.float64) == pytest.approx(total, abs=1e-5), name


@pytest.mark.golden("face_manifold", "net_noise_report*.json")
def test_noise_report(recording):
    """Our outputs have the recorded size, and the recorded noise is below TOLERANCE."""
    tag = recordings.tag(recording)
    arrays = np.load(drawing.companion(recording, "net_seeded", ".npz"))
    report = json.loads(recording.read_text())
    assert report
    for case, stored in report.items():
        x = arrays[f"{case}/x"]
        assert x.shape == (stored["n"], stored["len"]), case
        net = "shape" if case.startswith("shape") else "exp"
        largest = np.abs(arrays[f"{case}/y"]).max()
        assert largest == pytest.approx(stored["max_abs_out"], rel=1e-6), case
        noise = stored["f32_vs_f64_maxabs"] / stored["max_abs_out"]
        assert stored["rel"] == pytest.approx(noise, rel=1e-6), case
        denoiser = _network(f"{tag}/{net}", x.shape[1])
        gap = _smallest_gap(denoiser.stages(x))
        assert gap == pytest.approx(stored["min_pool_gap_rel"], abs=GAP_NOISE), case
        if not case.endswith("_ties"):
            assert np.abs(denoiser(x)).max() == pytest.approx(
                stored["max_abs_out"], rel=TOLERANCE
            )
            assert stored["rel"] < TOLERANCE
            assert stored["argmax_flips_f32_f64"] == 0
