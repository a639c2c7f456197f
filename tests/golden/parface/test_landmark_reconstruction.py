"""How like reconstructions are at the landmarks."""

import numpy as np
import pytest

from tests.golden.parface import recordings
from tf_faces.metrics import parface_pictures

TOLERANCE = 1e-4


@pytest.mark.golden("parface", "landmark_recon*.npz")
def test_scores(recording, arrays):
    pictures = [
        parface_pictures.displayed(recordings.normalized(arrays[f"{name}_u8"]), True)
        for name in "xy"
    ]
    errors = []
    for index, landmarks in enumerate(arrays["lms"]):
        pair = [one[index] for one in pictures]
        np.testing.assert_allclose(
            parface_pictures.landmark_similarity(*pair, landmarks),
            arrays["ssim_score"][index],
            atol=TOLERANCE,
        )
        np.testing.assert_allclose(
            parface_pictures.landmark_correlation(*pair, landmarks),
            arrays["ncc"][index],
            atol=TOLERANCE,
        )
        stored = [arrays[f"{name}_u8"][index] for name in "xy"]
        error = parface_pictures.landmark_reconstruction_error
        errors.append(error(*stored, landmarks, faithful=True))
        assert error(*stored, landmarks) == pytest.approx(3 * errors[-1])
    np.testing.assert_allclose(errors, arrays["recon_err"], rtol=TOLERANCE)
    # The recorded mean is over the pixels of both, not over the two means.
    low, high = sorted(errors)
    assert low <= arrays["recon_err_mean"] <= high
