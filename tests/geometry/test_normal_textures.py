"""Normals of a map in the frame of a surface, and the files that hold them."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from tf_faces.core import pictures
from tf_faces.core.errors import InputError
from tf_faces.geometry import mesh_files, normal_textures
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import glb

# A square of two triangles, its chart upright; turned so that no axis is special.
CHART = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])
TURN = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()


def square(chart=CHART, **more):
    corners = np.concatenate([CHART, np.zeros((4, 1))], axis=1) @ TURN.T
    return Mesh(corners, TRIANGLES, texture_coordinates=chart, **more)


def decoded(texture):
    return texture / 127.5 - 1


@pytest.mark.parametrize(
    ("chart", "expected"),
    [
        (CHART, [0.6, 0, 0.8]),
        # Turned by a quarter: what points along x of the square points along -v.
        (CHART[[1, 2, 3, 0]], [0, 0.6, 0.8]),
        # Mirrored: along -u.
        ((1 - CHART) * [1, 0] + CHART * [0, 1], [-0.6, 0, 0.8]),
    ],
)
def test_normals_turn_into_the_frame_of_the_chart(chart, expected):
    normal_map = np.broadcast_to(TURN @ [1.2, 0, 1.6], (8, 8, 3))
    texture = normal_textures.from_map(square(chart.astype(np.float32)), normal_map)
    np.testing.assert_allclose(
        decoded(texture), np.broadcast_to(expected, (8, 8, 3)), atol=0.005
    )


def test_pixels_that_are_not_known_say_the_vertices_normals():
    known = np.ones((8, 8), bool)
    known[2:4] = False
    into = np.broadcast_to(TURN @ [0, 0, -1.0], (8, 8, 3))
    texture = decoded(normal_textures.from_map(square(), into, known))
    np.testing.assert_allclose(texture[2:4], np.broadcast_to([0, 0, 1], (2, 8, 3)),
                               atol=0.005)  # fmt: skip
    # None points into the surface.
    assert (texture[..., 2] > 0).all()


def test_relative_to_normals_of_the_vertices():
    own = np.broadcast_to(TURN @ [0.6, 0, 0.8], (4, 3))
    mesh = square(vertex_normals=own.astype(np.float32))
    normal_map = np.broadcast_to(own[0], (8, 8, 3))
    texture = normal_textures.from_map(mesh, normal_map)
    np.testing.assert_allclose(
        decoded(texture), np.broadcast_to([0, 0, 1], (8, 8, 3)), atol=0.005
    )


def test_refused():
    with pytest.raises(InputError, match=r"\[R, R, 3\]"):
        normal_textures.from_map(square(), np.zeros((4, 5, 3)))
    bare = Mesh(square().vertices, TRIANGLES)
    with pytest.raises(InputError, match="one texture coordinate a vertex"):
        normal_textures.from_map(bare, np.zeros((4, 4, 3)))
    with pytest.raises(InputError, match="vertex_normals must have shape"):
        square(vertex_normals=np.zeros((3, 3)))
    with pytest.raises(InputError, match="normal_texture must be uint8"):
        square(normal_texture=np.zeros((4, 4, 3)))


@pytest.fixture
def mesh():
    own = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    texture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    return square(
        vertex_normals=own, texture=texture, normal_texture=texture[::-1].copy()
    )


def test_obj(tmp_path, mesh):
    mesh_files.write_mesh(tmp_path / "a.obj", mesh)
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert [line for line in lines if line.startswith("vn")] == [
        "vn 1 0 0", "vn 0 1 0", "vn 0 0 1", "vn 1 0 0",
    ]  # fmt: skip
    assert lines[-1] == "f 1/1/1 3/3/3 4/4/4"
    material = (tmp_path / "a.mtl").read_text().splitlines()
    assert material[-2:] == ["map_Kd a.png", "norm a_nor.png"]
    stored = pictures.read(tmp_path / "a_nor.png")
    np.testing.assert_array_equal(stored, mesh.normal_texture)
    # Files are read as before.
    assert len(mesh_files.read_mesh(tmp_path / "a.obj").triangles) == 2
    bare = Mesh(mesh.vertices, TRIANGLES, vertex_normals=mesh.vertex_normals)
    mesh_files.write_mesh(tmp_path / "b.obj", bare)
    assert (tmp_path / "b.obj").read_text().endswith("f 1//1 3//3 4//4\n")


def test_glb(mesh):
    pytest.importorskip("trimesh")
    tree, binary = glb.unpack(glb.glb_bytes(mesh), "it")
    primitive = tree["meshes"][0]["primitives"][0]
    accessor = tree["accessors"][primitive["attributes"]["NORMAL"]]
    view = tree["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    found = np.frombuffer(binary, "<f4", 12, start).reshape(4, 3)
    np.testing.assert_array_equal(found, mesh.vertex_normals)
    material = tree["materials"][primitive["material"]]
    index = tree["textures"][material["normalTexture"]["index"]]["source"]
    view = tree["bufferViews"][tree["images"][index]["bufferView"]]
    start = view.get("byteOffset", 0)
    content = binary[start : start + view["byteLength"]]
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(picture, mesh.normal_texture)
    assert json.dumps(tree).count("normalTexture") == 1


def test_ply_and_seams(tmp_path, mesh):
    mesh_files.write_mesh(tmp_path / "a.ply", mesh)
    header = (tmp_path / "a.ply").read_bytes().split(b"end_header")[0]
    assert b"property float ny" in header
    assert len(mesh_files.read_mesh(tmp_path / "a.ply").vertices) == 4
    seamed = mesh.replace(
        texture_coordinates=CHART[[0, 1, 2, 3, 0]],
        texture_triangles=np.array([[0, 1, 2], [4, 2, 3]]),
    )
    split, sources = seamed.split_at_seams()
    np.testing.assert_array_equal(split.vertex_normals, mesh.vertex_normals[sources])
