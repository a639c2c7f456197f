"""Which variables the original restores from ImageNet checkpoints."""

import json

import pytest

from tf_faces.convert import coarse_fine

pytestmark = pytest.mark.golden("coarse_fine", "checkpoint_map*.json")


@pytest.fixture
def recorded(recording):
    return json.loads(recording.read_text())


@pytest.fixture
def names(recording):
    end = recording.name.removeprefix("checkpoint_map")
    listed = json.loads((recording.parent / f"variables{end}").read_text())
    return [entry["name"] for entry in listed["model"]]


def test_candidates(recorded, names):
    found = coarse_fine.candidates(names, recorded["resnet_v1_101"], "resnet_v1_101")
    assert found == recorded["resnet_candidates"]


@pytest.mark.parametrize(
    ("model", "key"), [("resnet_v1_101", "restored_resnet"), ("vgg_16", "restored_vgg")]
)
def test_restored(recorded, names, model, key):
    found = coarse_fine.restored(names, recorded[model], model, faithful=True)
    assert {source: name for name, source in found.items()} == recorded[key]
    everywhere = coarse_fine.restored(names, recorded[model], model)
    assert set(found) <= set(everywhere)
    assert set(everywhere.values()) == set(recorded[key])


def test_shapes_and_every_key(recorded, names, recording):
    end = recording.name.removeprefix("checkpoint_map")
    listed = json.loads((recording.parent / f"variables{end}").read_text())["model"]
    shapes = {entry["name"]: entry["shape"] for entry in listed}
    assert set(recorded) == {
        *("resnet_v1_101", "vgg_16", "restored_resnet", "restored_vgg"),
        "resnet_candidates",
    }
    for model in ("resnet_v1_101", "vgg_16"):
        everywhere = coarse_fine.restored(names, recorded[model], model)
        for name, source in everywhere.items():
            assert shapes[name] == recorded[model][source]
