"""Record sets as accidents, desktops and other programs leave them."""

import json
import re

import numpy as np
import pytest

from tests.data import coupled_source
from tf_faces.apps.tbgan import dataset_tool
from tf_faces.core.errors import FormatError
from tf_faces.data.record_sets import reader


@pytest.fixture
def faces(tmp_path):
    source = coupled_source.write(tmp_path / "source")
    assert dataset_tool.main(coupled_source.arguments(source, tmp_path / "faces")) == 0
    return tmp_path / "faces"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_type": "uint8"}, "the records hold float32"),
        ({"shape": [9, 16]}, "manifest.json says float32 [9, 16]"),
        ({"shape": [3, 16, 16]}, "manifest.json says float32 [3, 16, 16]"),
        ({"shards": []}, "not listed in manifest.json"),
        ({"count": 10**30}, "found 5 records"),
        ({"count": "5"}, "a damaged manifest"),
        ({"labels": "text"}, "an entry is of another kind than expected"),
        ({"shards": [None]}, "an entry is of another kind than expected"),
    ],
)
def test_manifest_that_contradicts_the_records(faces, change, words):
    path = faces / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FormatError, match=re.escape(words)):
        reader.RecordSet(faces)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_labels_that_are_not_finite(faces, value):
    (faces / "manifest.json").unlink()
    labels = np.zeros((5, 7))
    labels[3, 2] = value
    with open(faces / "faces-rxx.labels", "wb") as stream:
        np.save(stream, labels)
    with pytest.raises(FormatError, match="faces-rxx.labels: row 3 holds a NaN, or"):
        reader.RecordSet(faces)
    assert reader.RecordSet(faces, max_label_size=0).count == 5


def test_copies_of_a_desktop_beside_records(faces):
    for path in list(faces.iterdir()):
        (faces / f"._{path.name}").write_bytes(b"of a desktop")
    (faces / "faces-rxx.labels").rename(faces / "FACES.LABELS")
    (faces / "faces-r03.tfrecords").rename(faces / "faces-r03.TFRECORDS")
    (faces / "manifest.json").unlink()
    record_set = reader.RecordSet(faces)
    assert (record_set.count, record_set.label_size) == (5, 7)
