"""Layouts of position maps: PRNet's files, other sizes, morphable models."""

import hashlib
import io

import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.prnet import layout
from tf_faces.morphable import io as morphable


@pytest.fixture
def folder(data_directory):
    found = data_directory / "prnet" / "uv-data"
    if not found.is_dir():
        pytest.skip(f"no {found}")
    return found


@pytest.fixture(scope="module")
def model_layout():
    return layout.model_layout(morphable.load("builtin:tiny"), 64)


def write(folder, **changes):
    """A layout folder of a few pixels; `changes` replace texts and arrays."""
    indices = [512 * 10 + column for column in range(70)]
    marks = np.array(indices[:68])
    rows = [" ".join(map(str, numbers)) for numbers in (marks % 256, marks // 256)]
    texts = {
        "face_ind.txt": "\n".join(f"{index:.18e}" for index in indices),
        "uv_kpt_ind.txt": "\n".join(rows),
    }
    for name, text in {**texts, **changes}.items():
        if text is not None and name != "canonical":
            (folder / name).write_text(text)
    canonical = changes.get("canonical", np.zeros((70, 3)))
    if canonical is not None:
        np.save(folder / "canonical_vertices.npy", canonical)


def test_prnet_layout(folder):
    found = layout.load_layout(folder)
    assert (found.vertex_count, len(found.triangles)) == (43867, 86906)
    stream = io.BytesIO()
    np.savetxt(stream, found.triangles)
    content = stream.getvalue()
    blob = b"blob %d\0" % len(content) + content
    # The original's triangles.txt, by its name in git.
    assert hashlib.sha1(blob).hexdigest() == "cd4e3aaa7bccf35c1330e7be9670906e43eb162c"
    positions = np.random.default_rng(0).random((256, 256, 3))
    columns, rows = found.landmarks.T
    np.testing.assert_array_equal(
        found.at_landmarks(positions), positions[rows, columns]
    )
    vertices = found.at_vertices(positions)
    np.testing.assert_array_equal(vertices, positions.reshape(-1, 3)[found.indices])
    np.testing.assert_array_equal(found.at_vertices(found.to_map(vertices)), vertices)


@pytest.mark.parametrize("resolution", [64, 128, 512])
def test_prnet_layout_of_another_size(folder, resolution):
    plain = layout.load_layout(folder)
    found = plain.resized(resolution)
    assert found.mask.shape == (resolution, resolution)
    assert found.mask.mean() == pytest.approx(plain.mask.mean(), rel=0.05)
    # The same face: its landmarks lie where they lay, but for the coarser pixels.
    distance = np.linalg.norm(
        found.canonical[found.landmark_vertices]
        - plain.canonical[plain.landmark_vertices],
        axis=1,
    )
    assert distance.max() < 2 * 256 / resolution + 1.5
    assert plain.resized(256) is plain


def test_layout_of_a_morphable_model(model_layout):
    found = model_layout
    assert found.mask.shape == (64, 64) and 0.3 < found.mask.mean() < 1
    marks = found.canonical[found.landmark_vertices]
    # y points down: the chin is below the brows; the nose's tip is in front.
    assert marks[8, 1] > marks[19, 1] and marks[30, 2] > marks[8, 2]
    corners = found.canonical[found.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).mean() > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"face_ind.txt": "1 2 x"}, "not a list of face pixels"),
        ({"face_ind.txt": ""}, "holds no numbers"),
        ({"face_ind.txt": "1.5"}, "not whole"),
        ({"face_ind.txt": "nan"}, "not whole"),
        ({"face_ind.txt": "3\n2"}, "ascending"),
        ({"face_ind.txt": "1\n1e9"}, "outside of 0..65535"),
        ({"uv_kpt_ind.txt": "1 2\n3 4"}, "expected 68 columns"),
        ({"canonical": np.zeros((70, 2))}, "expected (70, 3)"),
        ({"canonical": np.full((70, 3), np.inf)}, "not finite"),
        ({"canonical": np.zeros((70, 3), int)}, "of floats"),
    ],
)
def test_damaged_folders(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(FormatError) as error:
        layout.load_layout(tmp_path)
    assert message in str(error.value) and str(tmp_path) in str(error.value)


def test_folders_that_lack_something(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        layout.load_layout(tmp_path / "none")
    write(tmp_path, canonical=None)
    with pytest.raises(InputError, match="canonical_vertices.npy: no such"):
        layout.load_layout(tmp_path)
    marks = "\n".join(" ".join(["0"] * 68) for _ in range(2))
    write(tmp_path, **{"uv_kpt_ind.txt": marks})
    with pytest.raises(InputError, match="where the map has no face"):
        layout.load_layout(tmp_path)


def test_models_without_what_a_layout_needs():
    model = morphable.load("builtin:tiny")
    with pytest.raises(InputError, match="no 68 landmarks"):
        layout.model_layout(model.replace(landmarks68=None))
    with pytest.raises(InputError, match="no texture coordinates"):
        layout.model_layout(model.replace(texture_coordinates=None))


def test_maps_of_another_size_are_refused(model_layout):
    with pytest.raises(InputError, match=r"must have shape \[64, 64"):
        model_layout.at_vertices(np.zeros((32, 32, 3)))


def test_endless_texts_are_not_read(tmp_path):
    write(tmp_path)
    with open(tmp_path / "face_ind.txt", "r+b") as stream:
        stream.truncate((16 << 20) + 1)  # Sparse.
    with pytest.raises(FormatError, match="16777217 bytes, expected a list of pixels"):
        layout.load_layout(tmp_path)
