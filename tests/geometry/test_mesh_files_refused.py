"""Files of meshes: plain arrays, and what writers and readers refuse."""

import struct
import sys

import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError, MissingDependencyError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import (
    arrays,
    glb,
    glb_reading,
    materials,
    obj,
    obj_reading,
    ply,
    ply_reading,
)

RNG = np.random.default_rng(0)


def test_points_as_text(tmp_path):
    path = arrays.write_points(tmp_path / "a", np.array([[1, -2.5], [3, 4]]))
    assert path == tmp_path / "a.asc"
    assert path.read_text() == (
        "1.000000000000000000e+00 -2.500000000000000000e+00\n"
        "3.000000000000000000e+00 4.000000000000000000e+00\n"
    )
    other = arrays.write_points(tmp_path / "b.txt", np.array([7, 8]))
    assert other == tmp_path / "b.txt"
    assert np.loadtxt(other).tolist() == [7, 8] and other.read_text().count("\n") == 2


def test_names_of_matlab_variables(tmp_path):
    import scipy.io

    for name in ("a b", "_a", "", "2a", "a" * 32):
        with pytest.raises(
            InputError, match=f"variables: found the name {name!r}, exp"
        ):
            arrays.write_mat(tmp_path / "a.mat", {"x": np.ones(1), name: np.ones(1)})
    with pytest.raises(InputError, match="variables must not be empty"):
        arrays.write_mat(tmp_path / "a.mat", {})
    assert not list(tmp_path.iterdir())
    arrays.write_mat(tmp_path / "a.mat", {"a" * 31: np.arange(3)})
    assert scipy.io.loadmat(tmp_path / "a.mat")["a" * 31].tolist() == [[0, 1, 2]]
    vertices, triangles = RNG.random((4, 3)), np.array([[0, 1, 2]])
    for colors in (None, RNG.random((4, 3))):
        path = arrays.write_mesh_mat(tmp_path / "b.mat", vertices, triangles, colors)
        stored = scipy.io.loadmat(path)
        names = [name for name in stored if not name.startswith("__")]
        both = ["vertices", "colors", "triangles"]
        assert names == (["vertices", "triangles"] if colors is None else both)
        np.testing.assert_array_equal(stored["triangles"], triangles)


SQUARE, CORNERS = np.eye(4, 3), [[0, 1, 2], [1, 2, 3]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vertices": np.zeros((4, 2))}, r"vertices must have 3 columns.*\(4, 2\)"),
        ({"triangles": [0, 1, 2]}, r"triangles must have 3 columns.*\(3,\)"),
        ({"texture_coordinates": np.zeros(4)}, r"texture_coordinates must .*\[U, 2\]"),
        ({"texture_coordinates": np.zeros((4, 1))}, r"texture_coordinates must have"),
        (
            {"texture_coordinates": np.zeros((4, 2)), "texture_triangles": [[0, 1, 2]]},
            r"texture_triangles must have shape \(2, 3\). Received: \(1, 3\)",
        ),
        (
            {"texture_coordinates": np.zeros((3, 2))},
            "must index 3 texture coordinates. Received indices from 0 to 3",
        ),
        (
            {"texture_coordinates": np.zeros((4, 2)),
             "texture_triangles": [[0, 1, -1], [1, 2, 3]]},
            "must index 4 texture coordinates. Received indices from -1 to 3",
        ),
    ],
)  # fmt: skip
def test_arrays_that_make_no_mesh(tmp_path, changes, message):
    given = {"vertices": SQUARE, "triangles": CORNERS, **changes}
    with pytest.raises(InputError, match=message):
        obj.write_obj_arrays(tmp_path / "a.obj", **given)
    assert not list(tmp_path.iterdir())


def glb_chunk(kind, content):
    return struct.pack("<II", len(content), kind) + content


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (glb_chunk(0x4E4F534A, b"{}  ")[:-2], "the JSON chunk is damaged"),
        (glb_chunk(0x004E4942, b"{}  "), "the JSON chunk is damaged"),
        (glb_chunk(0x4E4F534A, b"{x} "), "the JSON chunk is damaged"),
        (glb_chunk(0x4E4F534A, b"[1] "), "the JSON chunk holds no object"),
        (
            glb_chunk(0x4E4F534A, b'{"a":1,"a":2}   '),
            "its JSON chunk: it gives .a. several",
        ),
        (glb_chunk(0x4E4F534A, b"[" + b"9" * 5000 + b"]"), "the JSON chunk is damaged"),
        (
            glb_chunk(0x4E4F534A, b"{}  ") + glb_chunk(0x004E4942, bytes(8))[:-1],
            "the binary chunk is damaged",
        ),
    ],
)
def test_containers_that_are_damaged(body, message):
    content = struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body
    with pytest.raises(FormatError, match=f"a.glb: {message}"):
        glb.unpack(content, "a.glb")


def test_chunks_of_a_container():
    tree, kept = b'{"a": null, "b": 1}', glb_chunk(0x004E4942, b"binary..")
    other = glb_chunk(7, bytes(5))
    for body, binary in (
        (kept, b"binary.."), (other + kept, b"binary.."), (other, b""), (b"", b""),
        (bytes(7), b""),
    ):  # fmt: skip
        whole = glb_chunk(0x4E4F534A, tree) + body
        content = struct.pack("<III", 0x46546C67, 2, 12 + len(whole)) + whole
        assert glb.unpack(content + b"more", "x") == ({"b": 1}, binary)
    for content, message in (
        (b'  {"asset": {}}' + bytes(20), r"found no GLB header \(glTF as text"),
        (bytes(40), "found no GLB header."),
        (struct.pack("<III", 0x46546C67, 1, 20) + bytes(8), "version 1 of 20 bytes"),
        (struct.pack("<III", 0x46546C67, 2, 21) + bytes(8), "of 21 bytes, found 20"),
    ):
        with pytest.raises(FormatError, match=message):
            glb.unpack(content, "x")


def test_meshes_without_what_a_format_needs(tmp_path, monkeypatch):
    mesh = Mesh(SQUARE, CORNERS)
    with pytest.raises(InputError, match="GLB needs a mesh of at least 1 triangle"):
        glb.glb_bytes(Mesh(SQUARE, np.zeros((0, 3), int)))
    with pytest.raises(InputError, match=r"vertices must have shape \[V, 3\]"):
        Mesh(np.zeros(3), CORNERS)
    with pytest.raises(InputError, match=r"triangles must have shape \[T, 3\]"):
        Mesh(SQUARE, np.zeros((0, 4), int))
    texture = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(InputError, match="a texture needs texture_coordinates"):
        ply.write_ply(tmp_path / "a.ply", mesh.replace(texture=texture))
    monkeypatch.setitem(sys.modules, "trimesh", None)
    for call, purpose in ((lambda: glb.glb_bytes(mesh), "Writing GLB"),
                          (mesh.to_trimesh, "Mesh.to_trimesh")):  # fmt: skip
        with pytest.raises(MissingDependencyError, match=f"^{purpose} needs .*trimesh"):
            call()
    (tmp_path / "a.obj").write_text("f 1 2 3\n")
    with pytest.raises(FormatError, match="found no vertices, expected an OBJ mesh"):
        obj_reading.read_vertices(tmp_path / "a.obj")


def test_files_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(obj, "MAXIMUM_BYTES", 9)
    monkeypatch.setattr(materials, "MAXIMUM_BYTES", 9)
    for name, read in (("a.obj", obj_reading.read_vertices), ("a.ply",
                       ply_reading.read_ply), ("a.glb", glb_reading.read_glb),
                       ("a.mtl", materials.read_library)):  # fmt: skip
        (tmp_path / name).write_bytes(bytes(10))
        with pytest.raises(FormatError, match=f"{name}: 10 bytes, expected at most 9"):
            read(tmp_path / name)
    (tmp_path / "b.obj").write_bytes(b"v 1 2 3\n\n")
    assert obj_reading.read_vertices(tmp_path / "b.obj").tolist() == [[1, 2, 3]]
    (tmp_path / "b.mtl").write_bytes(b"newmtl a\n")
    assert materials.read_library(tmp_path / "b.mtl") == {b"a": None}
