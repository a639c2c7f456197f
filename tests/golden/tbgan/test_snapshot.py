"""Networks of the originals' pickles give what they gave in the original code."""

import json

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.convert import tbgan as weights
from tf_faces.data import images

CLOSE, QUANTILE = 3e-4, 6e-5


def close(actual, expected):
    difference = np.abs(np.asarray(actual, np.float64) - expected)
    assert actual.shape == expected.shape
    assert difference.max() <= CLOSE
    assert np.quantile(difference, 0.999) <= QUANTILE


@pytest.fixture
def expected(recording):
    with np.load(drawing.beside(recording.parent, "outputs.npz")) as stored:
        return dict(stored)


@pytest.mark.golden("tbgan", "snapshot/network-*.pkl")
def test_snapshot(recording, expected):
    compared = {"config", "latents", "labels"}
    config = json.loads(str(expected["config"]))
    stored = weights.read_snapshot(recording)
    assert list(stored) == ["G", "D", "Gs"]
    networks = {scope: network.build() for scope, network in stored.items()}
    for scope in ("G", "D"):
        shapes = [
            [name, list(value.shape)] for name, value in stored[scope].variables.items()
        ]
        assert shapes == config[f"variables_{scope}"]
    level_of_detail = stored["Gs"].level_of_detail
    assert level_of_detail == config["lod"]
    made = {
        scope: np.asarray(
            networks[scope](expected["latents"], expected["labels"], level_of_detail)
        )
        for scope in ("G", "Gs")
    }
    for scope, maps in made.items():
        close(np.moveaxis(maps, -1, 1), expected[f"{scope}_images"])
        compared.add(f"{scope}_images")
    scores, logits = networks["D"](
        np.moveaxis(expected["Gs_images"], 1, -1), level_of_detail
    )
    for key, value in (("D_scores_on_Gs", scores), ("D_labels_on_Gs", logits)):
        np.testing.assert_allclose(value, expected[key], rtol=0, atol=5e-6)
        compared.add(key)
    levels = images.to_uint8(made["Gs"], (-1, 1)).astype(int)
    difference = np.abs(np.moveaxis(levels, -1, 1) - expected["Gs_uint8"])
    # Values near one half are rounded to either side of it.
    assert difference.max() <= 1 and (difference != 0).mean() < 1e-2
    small = expected["Gs_shrink4"]
    factor = made["Gs"].shape[1] // small.shape[-1]
    close(np.moveaxis(images.shrunk(made["Gs"], factor), -1, 1), small)
    assert compared | {"Gs_uint8", "Gs_shrink4"} == set(expected)
