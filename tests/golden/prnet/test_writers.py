"""Files written by PRNet's utils/write.py and face3d's writers, byte for byte."""

import dataclasses

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.golden import drawing
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh_files import arrays, obj

# Recorded file (by stem) -> style, and which of the inputs it was written from.
CASES = {
    "colors": ("prnet", {"colors": "colors"}),
    "colors_u8": ("prnet", {"colors": "colors_u8"}),
    "colors_f32": ("prnet", {"colors": "colors", "vertices": "vertices_f32"}),
    "texture": ("prnet", {"texture": "texture"}),
    "colors_texture": ("prnet", {"colors": "colors", "texture": "texture"}),
    "face3d_numpy": ("face3d_numpy", {"colors": "colors", "texture": "texture"}),
    "face3d_cpp": ("face3d_cpp", {"colors": "colors", "texture": "texture"}),
}


def inputs_of(recording):
    with np.load(drawing.beside(recording.parent, "inputs.npz")) as stored:
        return dict(stored)


def write_case(recording, folder, stem):
    """Writes the case again; returns {name: path} of its files."""
    style, names = CASES[stem]
    inputs = inputs_of(recording)
    options = {}
    if "colors" in names:
        options["colors"] = inputs[names["colors"]]
    if "texture" in names:
        options["texture"] = inputs["texture"]
        options["texture_coordinates"] = inputs["uv_coords"]
    written = obj.write_obj_arrays(
        folder / f"{stem}.obj",
        inputs[names.get("vertices", "vertices")],
        inputs["triangles"],
        # The recordings hold absolute paths, their folder replaced by @DIR@.
        style=dataclasses.replace(obj.STYLES[style], absolute_paths=True),
        **options,
    )
    return {path.name: path for path in written}


@pytest.mark.golden("prnet", "written/*.obj")
def test_obj(recording, tmp_path):
    written = write_case(recording, tmp_path, recording.stem)[recording.name]
    expected = recording.read_bytes()
    assert written.read_bytes().replace(str(tmp_path).encode(), b"@DIR@") == expected


@pytest.mark.golden("prnet", "written/*.mtl")
def test_mtl(recording, tmp_path):
    written = write_case(recording, tmp_path, recording.stem)[recording.name]
    expected = recording.read_bytes()
    assert written.read_bytes().replace(str(tmp_path).encode(), b"@DIR@") == expected


@pytest.mark.golden("prnet", "written/*.png")
def test_texture(recording, tmp_path):
    stem = recording.stem.removesuffix("_texture")
    written = write_case(recording, tmp_path, stem)[recording.name]
    with Image.open(written) as ours, Image.open(recording) as theirs:
        assert ours.mode == theirs.mode
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.golden("prnet", "written/*.asc")
def test_asc(recording, tmp_path):
    vertices = inputs_of(recording)["vertices"]
    written = arrays.write_points(tmp_path / recording.stem, vertices)
    assert written.name == recording.name
    assert written.read_bytes() == recording.read_bytes()


@pytest.mark.golden("prnet", "written/*.txt")
def test_txt(recording, tmp_path):
    numbers = np.loadtxt(recording)
    if recording.stem == "kpt":
        np.testing.assert_array_equal(numbers, inputs_of(recording)["vertices"][:7])
    else:
        # Arbitrary numbers: three angles, or a camera of 3 x 4.
        assert numbers.shape == {"pose": (3,), "camera_matrix": (3, 4)}[recording.stem]
    written = arrays.write_points(tmp_path / recording.name, numbers)
    assert written.read_bytes() == recording.read_bytes()


@pytest.mark.golden("prnet", "written/*.mat")
def test_mat(recording, tmp_path):
    path = tmp_path / recording.name
    inputs = inputs_of(recording)
    recorded = scipy.io.loadmat(recording)
    if recording.stem == "mesh":
        arrays.write_mesh_mat(
            path, inputs["vertices"], inputs["triangles"], inputs["colors"]
        )
        for name in ("vertices", "colors", "triangles"):
            np.testing.assert_array_equal(recorded[name], inputs[name])
    else:
        names = [name for name in recorded if not name.startswith("__")]
        arrays.write_mat(path, {name: recorded[name] for name in names})
    # The first 116 bytes are a text with the date.
    assert path.read_bytes()[116:] == recording.read_bytes()[116:]


@pytest.mark.golden("prnet", "written/*.obj", exclude=("*face3d_cpp.obj",))
def test_obj_is_read_back(recording):
    inputs = inputs_of(recording)
    mesh = mesh_files.read_obj(recording)
    np.testing.assert_allclose(mesh.vertices, inputs["vertices"], rtol=1e-6)
    np.testing.assert_array_equal(mesh.triangles, inputs["triangles"][:, ::-1])
