"""Samples of the original's data sets, read from their own folders and files."""

import io
import json
import shutil
import tarfile

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.parface import recordings
from tf_faces.core.errors import InputError
from tf_faces.data.parface import heatmaps, sets
from tf_faces.data.parface.samples import Preparation, network_images, prepare

LANDMARKS = 1e-4
GREY_LEVEL = 1.01 / 255

# How the recorded scenarios were opened: set, folder, options, how they were prepared.
_SCENARIOS = {
    "celeba": ("celeba", "data", {}, {}),
    "ffhq": ("ffhq", "data", {}, {}),
    "meei": ("meei", "data", {}, {}),
    "affectnet": ("affectnet", "data", {}, {}),
    "neuroface": ("neuroface", "neuro", {}, {}),
    "neuroface_lm": ("neuroface", "neuro", {}, {}),
    "ls3d_bb": ("ls3d", "data", {}, {}),
    "ls3d_lm": ("ls3d", "data", {}, {}),
    "palsy_lm": ("palsy", "data", {}, {}),
    "palsy_bb": ("palsy", "data", {}, {}),
    "palsy_unlabeled": (
        "palsy",
        "data",
        {"train": True, "train_split": "unlabeled"},
        {},
    ),
    "palsy_norm": ("palsy", "data", {}, {"normalized": True}),
    "palsy_128": ("palsy", "data", {}, {"size": 128}),
    "aflw_full_lm": ("aflw20003d", "data", {}, {}),
    "aflw_full_bb": ("aflw20003d", "data", {}, {}),
    "aflw_0_to_30": ("aflw20003d", "data", {"test_split": "0_to_30"}, {}),
    "aflw_30_to_60": ("aflw20003d", "data", {"test_split": "30_to_60"}, {}),
    "aflw_60_to_90": ("aflw20003d", "data", {"test_split": "60_to_90"}, {}),
    "wlp300_train1": ("wlp300", "data", {"train": True}, {}),
    # The original validates on what it trains on.
    "wlp300_train0": ("wlp300", "data", {"faithful": True}, {}),
    "menpo2d_train_lm": ("menpo2d", "data", {"train": True}, {}),
    "menpo2d_unsup_bb": ("menpo2d", "data", {"train": True, "unsupervised": True}, {}),
    "menpo2d_full": ("menpo2d", "data", {}, {}),
    "wflw_full": ("wflw", "wflw", {}, {}),
    "wflw_pose": ("wflw", "wflw", {"test_split": "pose"}, {}),
}


@pytest.fixture
def folder(recording, tmp_path):
    """The recorded files, made anew."""
    source = recording.parent
    described = json.loads(
        drawing.companion(recording, "dataset_files", ".json").read_text()
    )
    for place in described["images_go_to"]:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        for name in described["images"]:
            shutil.copy(source / name, tmp_path / place / name)
    for name, entry in described["files"].items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry["type"] == "text":
            path.write_text(entry["content"])
        elif entry["type"] == "npy":
            np.save(path, np.array(entry["content"]))
        else:
            with tarfile.open(path, "w") as archive:
                for member, content in entry["members"].items():
                    if content["type"] == "text":
                        data = content["content"].encode()
                    else:
                        data = (source / content["file"]).read_bytes()
                    info = tarfile.TarInfo(member)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
    return tmp_path


def _sources(scenario):
    if scenario.endswith("_lm"):
        return ["lm_ground_truth"]
    named = ("_bb", "celeba", "ffhq", "meei", "affectnet", "neuroface")
    if scenario.endswith(named):
        return ["bb_ground_truth"]
    return ["bb_ground_truth", "lm_ground_truth"]


def _check(arrays, key, face, size, normalized, source):
    preparation = Preparation(size, source, normalized=normalized)
    sample = prepare(face, preparation, len(arrays[f"{key}/landmarks"]))
    image = network_images(sample.image, normalized).transpose(2, 0, 1)
    np.testing.assert_allclose(
        image[:, ::8, ::8], arrays[f"{key}/image_s8"], atol=GREY_LEVEL
    )
    recordings.assert_checksum(image, arrays[f"{key}/image_chk"], 2e-3, key)
    if f"{key}/image_u8" in arrays:
        difference = sample.image.astype(int) - arrays[f"{key}/image_u8"]
        assert np.abs(difference).max() <= 1
    if face.landmarks is not None:
        np.testing.assert_allclose(
            sample.landmarks, arrays[f"{key}/landmarks"], atol=LANDMARKS
        )
    else:
        assert not arrays[f"{key}/landmarks"].any()
    if face.landmarks_3d is not None:
        np.testing.assert_allclose(
            sample.landmarks_3d, arrays[f"{key}/landmarks_3d"], atol=LANDMARKS
        )
    if f"{key}/hm_peak" in arrays:
        maps = heatmaps.create(sample.landmarks, size).transpose(2, 0, 1)
        row, column = np.divmod(maps.reshape(len(maps), -1).argmax(1), heatmaps.SIDE)
        peaks = np.stack([column, row], 1)
        np.testing.assert_array_equal(peaks, arrays[f"{key}/hm_peak"])
        np.testing.assert_allclose(
            maps.sum((1, 2), dtype=np.float64), arrays[f"{key}/hm_sum"], rtol=1e-5
        )


@pytest.mark.golden("parface", "dataset/dataset_samples*.npz")
def test_samples(recording, arrays, folder):
    scenarios = {key.split("/")[0] for key in arrays}
    assert scenarios <= set(_SCENARIOS)
    compared = set()
    for scenario in sorted(scenarios):
        name, place, options, preparing = _SCENARIOS[scenario]
        request = sets.Request(
            root=folder / place, annotations=folder / "csv", **options
        )
        if f"{scenario}/error" in arrays:
            assert arrays[f"{scenario}/len"] == 0
            with pytest.raises(InputError, match="no faces in the part"):
                sets.open_set(name, request)
            continue
        found = sets.open_set(name, request)
        if f"{scenario}/len" in arrays:
            assert len(found) == arrays[f"{scenario}/len"], scenario
        indices = {
            int(key.split("/")[1])
            for key in arrays
            if key.startswith(f"{scenario}/") and key.split("/")[1].isdigit()
        }
        assert indices, scenario
        for index in sorted(indices):
            key = f"{scenario}/{index}"
            names = [face.name for face in found.faces]
            wanted = str(arrays[f"{key}/fname"])
            if name == "affectnet" or scenario == "wlp300_train1":
                # Shuffled there; found by its name.
                assert wanted in names
            else:
                assert names[index] == wanted, scenario
            face = found.faces[names.index(wanted)]
            if f"{key}/bb" in arrays:
                np.testing.assert_array_equal(face.box, arrays[f"{key}/bb"], key)
            if f"{key}/image_s8" not in arrays:
                continue
            size = preparing.get("size", 256)
            failures = []
            for source in _sources(scenario):
                try:
                    _check(
                        arrays, key, face, size, preparing.get("normalized", False),
                        source,
                    )  # fmt: skip
                    break
                except AssertionError as error:
                    failures.append(error)
            else:
                raise AssertionError(f"{key}: {failures}")
            compared.add(scenario)
    assert compared
