"""Lists, labels, grey pictures and their mean, as the original's scripts make them."""

import json
import pathlib

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.data.coarse_fine import lists, pictures

GREY = 1e-12


@pytest.mark.golden("coarse_fine", "data_lists*.json")
def test_lists_and_labels(recording):
    recorded = json.loads(recording.read_text())
    used = {"filelist"}
    found = lists.split(lists.parse(recorded["filelist"]))
    for part, entries in found.items():
        used.add(part)
        assert "\n".join(entries) == recorded[part]
    for key in (key for key in recorded if key.endswith(("_images", "_labels"))):
        used.add(key)
        entries = lists.parse(recorded[key.rpartition("_")[0]])
        names = lists.picture_names if key.endswith("_images") else lists.label_names
        assert names(entries, faithful=True) == recorded[key]
        # Without the original's mistake no name loses letters.
        for entry, name in zip(entries, names(entries), strict=True):
            assert pathlib.PurePath(entry).stem == pathlib.PurePath(name).stem
            assert pathlib.PurePath(entry).parent.name in name
    path = drawing.companion(recording, "data_loader", ".npz")
    with np.load(path) as archive:
        labels = archive["label"]
    assert len(recorded["label_text"]) == len(labels)
    for text, expected in zip(recorded["label_text"], labels, strict=True):
        values = pictures.parse_label(text, "the recording", expected.size)
        np.testing.assert_array_equal(values, expected.reshape(-1))
        assert "".join(f"{pictures.LABEL_FORMAT % v}\n" for v in values) == text
    used |= {"label_text", "loader_dtype"}
    assert recorded["loader_dtype"] == [
        str(pictures.network_picture(np.zeros((1, 1, 3), np.uint8)).dtype),
        str(labels.dtype),
    ]
    assert used == set(recorded)


@pytest.mark.golden("coarse_fine", "data_loader*.npz")
def test_grey_pictures(arrays, recording):
    colours = arrays["images_bgr"][..., ::-1]
    used = {"images_bgr", "label"}
    for name in (name for name in arrays if name.startswith("gray_minus_")):
        used.add(name)
        end = name.removeprefix("gray_minus_")
        mean = pictures.GREY_MEAN if end == "mean" else float(end)
        found = pictures.network_picture(colours, mean)
        np.testing.assert_allclose(found, arrays[name], rtol=0, atol=GREY)
    picture, mean = pictures.mean_of(
        (pathlib.Path(str(number)), one) for number, one in enumerate(colours)
    )
    np.testing.assert_array_equal(picture, arrays["mean_image"])
    assert mean == arrays["mean_value"]
    assert arrays["label"].shape[1:3] == (1, 1)
    lists_file = drawing.companion(recording, "data_lists", ".json")
    texts = json.loads(lists_file.read_text())["label_text"]
    for text, label in zip(texts, arrays["label"], strict=True):
        values = pictures.parse_label(text, "the recording", label.size)
        np.testing.assert_array_equal(values, label.reshape(-1))
    assert used | {"mean_image", "mean_value"} == set(arrays)
