"""ParFace's errors of landmarks and the lines that its evaluation prints."""

import json

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.data.parface import landmark_sets
from tf_faces.metrics import face_verification
from tf_faces.metrics import parface as metrics

RELATIVE = 1e-5


def _close(found, recorded, what=""):
    np.testing.assert_allclose(found, recorded, rtol=RELATIVE, atol=1e-6, err_msg=what)


@pytest.mark.golden("parface", "metrics*.npz")
def test_face_verification(recording, arrays):
    """Thresholds of the recording: 0, 0.5, ... squared; hundredths of a half turn."""
    same = arrays["roc/same"]
    for number, kind, step in ((0, "squared", 0.5), (1, "angle", 0.01)):
        recorded = {
            name: arrays[f"roc/{number}/{name}"] for name in ("tpr", "fpr", "acc")
        }
        thresholds = np.arange(len(recorded["tpr"])) * step
        apart = face_verification.distances(arrays["roc/e1"], arrays["roc/e2"], kind)
        folds = len(recorded["acc"])
        found = face_verification.verify(apart, same, thresholds, folds)
        _close(found.true_positives, recorded["tpr"], kind)
        _close(found.false_positives, recorded["fpr"], kind)
        _close(found.accuracies, recorded["acc"], kind)


@pytest.mark.golden("parface", "metrics*.npz")
def test_errors(recording, arrays):
    truth, predicted = arrays["gt3d"], arrays["pred3d"]
    norms = {key.split("/")[1] for key in arrays if key.startswith("nme2d/")}
    assert norms
    for norm in norms:
        errors = metrics.landmark_errors(truth, predicted, norm)
        _close(errors, arrays[f"nme2d/{norm}"], norm)
        plane = metrics.landmark_errors(truth[..., :2], predicted[..., :2], norm)
        assert np.allclose(plane, errors) == arrays[f"nme2d_same/{norm}"]
        _close(errors.var(axis=1), arrays[f"var2d/{norm}"], norm)
        inner = errors[:, landmark_sets.inner(68)]
        _close(inner.mean(axis=1), arrays[f"nme_per_img/{norm}"], norm)
        rates = [metrics.failure_rate(errors, limit) for limit in (5, 8, 10)]
        _close(rates, arrays[f"fr/{norm}"], norm)
        in_space = metrics.ground_truth_errors(truth, predicted, norm)
        _close(in_space, arrays[f"gte/{norm}"], norm)
        _close(in_space.var(axis=1), arrays[f"vargte/{norm}"], norm)
        aligned = metrics.align_depths(truth, predicted)[..., 2]
        np.testing.assert_allclose(
            aligned, arrays[f"gte_pred_z_after/{norm}"], rtol=1e-4, atol=1e-4
        )
        _close(metrics.cumulative_errors(errors)[1], arrays[f"ced/{norm}"], norm)
        _close(metrics.area_under_curve(errors), arrays[f"auc/{norm}"], norm)


@pytest.mark.golden("parface", "metrics*.npz")
def test_other_counts(recording, arrays):
    counts = {key.split("/")[1] for key in arrays if key.startswith("other/")}
    assert counts
    for count in counts:
        truth, predicted = (arrays[f"other/{count}/{name}"] for name in ("gt", "pred"))
        errors = metrics.landmark_errors(truth, predicted)
        _close(errors, arrays[f"other/{count}/nme"], count)
        _close(errors.var(axis=1), arrays[f"other/{count}/var"], count)
    found = landmark_sets.to_68(arrays["lm98"])
    np.testing.assert_array_equal(found, arrays["lm98_to_68"])


@pytest.mark.golden("parface", "metrics_log*.json")
def test_printed_lines(recording):
    with np.load(drawing.companion(recording, "metrics", ".npz")) as arrays:
        truth, predicted = arrays["gt3d"], arrays["pred3d"]
    recorded = json.loads(recording.read_text())
    assert recorded
    for name, lines in recorded.items():
        dimensions, norm = name.split("/")
        found = metrics.evaluate(truth, predicted, norm, spatial=dimensions == "3d")
        assert found.lines() == lines, name
