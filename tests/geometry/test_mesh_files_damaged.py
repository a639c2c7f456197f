"""Damaged files of every kind end in one sentence or in a mesh that holds together."""

import copy
import json
import pathlib
import struct
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image

from tests.geometry import glb_building
from tests.geometry.glb_building import PLACES, VERTICES, GlbFile
from tf_faces.core.errors import FormatError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh_files import glb

OBJ = """\
# unit: mm
mtllib a.mtl "b c.mtl"
#MRGB ff808080ff808080ff808080ff808080
v 0 0 0 1 0 0
v 1 0 0
v 1 1 0 255 0 1
v 0 1 0 0
vt 0 0
vt 1 0 0
vt 1
vn 0 0 1
usemtl A
f 1/1/1 2/2/1 3/3/1
f -4/1/ -3/2/ \\
-2/3/ # cheek
usemtl B
f 1//1 2// 3/
f 1 2 3 4
"""
MATERIALS = "newmtl A\nmap_Kd -s 1 1 -o 0.5 skin.png\nnewmtl B\nmap_Kd skin.png\n"
PLY = """\
ply
format ascii 1.0
comment unit: cm
comment TextureFile skin.png
element vertex 4
property float x
property float y
property double z
property ushort red
property ushort green
property ushort blue
element face 2
property list uchar int vertex_indices
property list uchar float texcoord
property int texnumber
element edge 1
property int vertex1
element tristrips 0
property list int int vertex_indices
end_header
0 0 0 1 2 3
1 0 0 255 255 255
1 1 0 65535 0 1
0 1 0 0 0 0
3 0 1 2 6 0 0 1 0 1 1 0
4 0 1 2 3 8 0 0 1 0 1 1 0 1 0
7
"""


def rich_glb() -> GlbFile:
    """Skin, morph targets, sparse accessor, several parts, transform, data URI."""
    made = GlbFile()
    material = made.add_picture()
    shown = made.tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    shown["extensions"] = {"KHR_texture_transform": {"rotation": 1, "offset": [1, 0]}}
    target = made.accessor(VERTICES)
    made.tree["accessors"][target]["sparse"] = {
        "count": 1,
        "indices": {"bufferView": made.view(b"\2"), "componentType": 5121},
        "values": {"bufferView": made.view(b"\0" * 12)},
    }
    part = made.primitive(
        material=material,
        targets=[{"POSITION": target}],
        TEXCOORD_0=PLACES,
        COLOR_0=np.zeros((4, 4), np.uint8),
        JOINTS_0=np.zeros((4, 4), np.uint8),
        WEIGHTS_0=np.ones((4, 4), np.float32),
    )
    strip = made.primitive(np.array([0, 1, 2, 3], np.uint8), mode=5, TEXCOORD_0=PLACES)
    skinned = made.add_mesh(part, extras={"targetNames": ["smile"]})
    joint = made.add_node(scale=[-1, 1, 1], rotation=[0, 0, 1, 1])
    made.add_node(mesh=skinned, skin=0)
    made.add_node(mesh=made.add_mesh(strip), matrix=np.eye(4).ravel().tolist())
    inverse = made.accessor(np.eye(4, dtype=np.float32).reshape(1, 16))
    made.tree["skins"] = [{"joints": [joint], "inverseBindMatrices": inverse}]
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    Image.new("RGB", (2, 2)).save(folder / "skin.png")
    (folder / "a.mtl").write_text(MATERIALS)
    rich_glb().save(folder / "good.glb")
    (folder / "good.obj").write_text(OBJ)
    (folder / "good.ply").write_text(PLY)
    return folder


def read_or_refuse(path: pathlib.Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        try:
            mesh = mesh_files.read_mesh(path)
        except FormatError as error:
            assert str(path.parent) in str(error) and "\n" not in str(error)
            return
    for name in ("vertices", "vertex_colors", "texture_coordinates"):
        values = getattr(mesh, name)
        assert values is None or np.isfinite(values).all()
    assert len(mesh.vertices) or not len(mesh.triangles)
    if mesh.texture_coordinates is not None:
        used = mesh.texture_triangles
        used = mesh.triangles if used is None else used
        assert used.shape == mesh.triangles.shape
        assert not used.size or used.max() < len(mesh.texture_coordinates)


def test_the_undamaged_files_are_read(folder):
    with pytest.warns(UserWarning):
        mesh = mesh_files.read_mesh(folder / "good.obj")
    assert len(mesh.triangles) == 5 and mesh.vertex_colors is not None
    mesh = mesh_files.read_mesh(folder / "good.ply")
    assert len(mesh.triangles) == 3 and mesh.texture is not None
    with pytest.warns(UserWarning, match="same picture"):
        content = mesh_files.read_glb(folder / "good.glb")
    assert len(content.mesh.triangles) == 6 and list(content.morph_targets) == ["smile"]


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"\x1f\x8b\x08\0" + bytes(40), "gzip"),
        (b"PK\x03\x04" + bytes(40), "ZIP archive"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, suffix, content, message):
    path = tmp_path / f"mesh{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as raised:
        mesh_files.read_mesh(path)
    assert str(path) in str(raised.value)


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(data=st.data())
def test_changed_bytes(folder, data):
    suffix = data.draw(st.sampled_from(["obj", "ply", "glb"]))
    content = bytearray((folder / f"good.{suffix}").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = folder / f"changed.{suffix}"
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    read_or_refuse(path)


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(data=st.data())
def test_changed_words(folder, data):
    """Words of text take the place of others, and lines that of others."""
    suffix, text = data.draw(st.sampled_from([("obj", OBJ), ("ply", PLY)]))
    lines = [line.split(" ") for line in text.split("\n")]
    words = sorted({word for line in lines for word in line})
    extra = ["nan", "inf", "-1", "1e300", "99999999999999999999", "1/2/3/4", "0", "#"]
    for _ in range(data.draw(st.integers(1, 5))):
        row = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[row]) - 1))
        lines[row] = list(lines[row])
        lines[row][column] = data.draw(st.sampled_from(words + extra))
        if data.draw(st.booleans()):
            lines[row] = lines[data.draw(st.integers(0, len(lines) - 1))]
    path = folder / f"words.{suffix}"
    path.write_text("\n".join(" ".join(line) for line in lines))
    read_or_refuse(path)


def places_of(tree, path=()):
    """The paths to all values of a tree of dictionaries and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places_of(value, (*path, key))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([2**31, 2**63, 10**30, 5121, 5123, 5126]),
    st.floats(),
    st.sampled_from(["", "x", "data:,", "data:;base64,AAAA", "VEC3", "SCALAR", "MAT4"]),
    st.sampled_from([[], {}, [0], [[]], {"source": 0}]),
)


@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(data=st.data())
def test_changed_trees(folder, data):
    tree, binary = glb.unpack((folder / "good.glb").read_bytes(), "good")
    tree = json.loads(json.dumps(tree))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places_of(tree))))
        parent = tree
        for key in place[:-1]:
            parent = parent[key]
        if isinstance(parent, dict) and data.draw(st.booleans()):
            del parent[place[-1]]
        else:
            # A copy: the strategy hands out the same lists again.
            parent[place[-1]] = copy.deepcopy(data.draw(VALUES))
    path = folder / "tree.glb"
    path.write_bytes(glb_building.packed(tree, [(b"BIN\0", binary)]))
    read_or_refuse(path)


@pytest.mark.parametrize("value", [2e-313, -5e-324, 1e-200, 1e200, -1.7e308])
@pytest.mark.parametrize(
    ("name", "size"),
    [("scale", 3), ("rotation", 4), ("translation", 3), ("matrix", 16)],
)
@pytest.mark.parametrize("count", [1, "all"])
def test_transforms_at_the_ends_of_float64(folder, value, name, size, count):
    tree, binary = glb.unpack((folder / "good.glb").read_bytes(), "good")
    for node in tree["nodes"]:
        changed = np.eye(4).ravel().tolist()[:size]
        filled = size if count == "all" else 1
        changed[:filled] = [value] * filled
        node[name] = changed
    path = folder / "ends.glb"
    path.write_bytes(glb_building.packed(tree, [(b"BIN\0", binary)]))
    read_or_refuse(path)


@pytest.mark.parametrize(
    "scale", [[2e-20, 1, 1], [-2e-20, 1, 1], [1e-12, -1e-12, -1e-12], [-1e9] * 3]
)
def test_only_the_sign_of_a_scale_turns_triangles_round(tmp_path, scale):
    made = rich_glb()
    made.tree["nodes"][-1].pop("matrix")
    made.tree["nodes"][-1]["scale"] = [1, 1, 1]
    made.tree["nodes"][0]["scale"] = [1, 1, 1]
    path = tmp_path / "turned.glb"
    made.save(path)
    expected = mesh_files.read_mesh(path).triangles
    made.tree["nodes"][-1]["scale"] = made.tree["nodes"][0]["scale"] = scale
    made.save(path)
    read = mesh_files.read_mesh(path).triangles
    mirrored = np.sign(np.prod(np.sign(scale))) < 0
    np.testing.assert_array_equal(read, expected[:, ::-1] if mirrored else expected)


@pytest.mark.parametrize(
    "rest", [b"", b"\0\0\0\0", b"\0\0\0\0SOME", b"\4\0\0\0SOME1234"]
)
def test_glb_files_without_binary_chunk(tmp_path, rest):
    """Nothing, or chunks of other kinds, may follow what is described."""
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3,
                       "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}], "scene": 0,
    }  # fmt: skip
    described = json.dumps(tree).encode()
    described += b" " * (-len(described) % 4)
    chunk = struct.pack("<II", len(described), 0x4E4F534A) + described + rest
    path = tmp_path / "face.glb"
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunk)) + chunk)
    with pytest.raises(FormatError, match="face.glb"):
        mesh_files.read_mesh(path)
