"""Entries of a GLB's tree that programs write otherwise, or wrong."""

import base64
import warnings

import numpy as np
import pytest

from tests.geometry.glb_building import PLACES, VERTICES, GlbFile, picture_bytes
from tf_faces.core.errors import FormatError
from tf_faces.geometry import mesh_files


def read(made, folder):
    return mesh_files.read_glb(made.save(folder / "mesh.glb"))


def plain(**options):
    made = GlbFile()
    made.add_node(mesh=made.add_mesh(made.primitive(**options)))
    return made


def with_material(material, uri=None):
    made = plain(TEXCOORD_0=PLACES, material=0)
    view = made.view(picture_bytes((200, 10, 10)))
    made.tree["images"] = [{"bufferView": view} if uri is None else {"uri": uri}]
    made.tree["textures"] = [{"source": 0}]
    made.tree["materials"] = [material]
    return made


PICTURED = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}


@pytest.mark.parametrize(
    "names",
    [["a (2)", "a", "a"], ["a", "a (2)", "a"], ["a", "a", "a (1)"], ["", "", ""]],
)
def test_no_morph_target_is_lost_by_its_name(tmp_path, names):
    made = GlbFile()
    moves = [np.full((4, 3), number, np.float32) for number in range(3)]
    targets = [{"POSITION": made.accessor(move)} for move in moves]
    primitive = made.primitive(targets=targets)
    made.add_node(mesh=made.add_mesh(primitive, extras={"targetNames": names}))
    found = read(made, tmp_path).morph_targets
    assert [values[0, 0] for values in found.values()] == [0, 1, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda head, text: (head.upper(), text),
        lambda head, text: (head.replace("base64", "Base64"), text),
        lambda head, text: (head, text.rstrip("=")),
        lambda head, text: (head, f"\n{text[:20]}\n {text[20:]}\n"),
    ],
)
def test_data_uris_as_other_programs_write_them(tmp_path, change):
    # A length that needs padding.
    content = picture_bytes((7, 8, 9))
    content += b"\0" * (1 + -len(content) % 3)
    text = base64.b64encode(content).decode()
    assert text.endswith("=")
    uri = ",".join(change("data:image/png;base64", text))
    mesh = read(with_material(PICTURED, uri), tmp_path).mesh
    assert mesh.texture[0, 0].tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    ("material", "message"),
    [
        (PICTURED | {"alphaMode": "MASK"}, "transparency"),
        ({"pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 0]},
          "alphaMode": "BLEND"}, "transparency"),
        ({"emissiveTexture": {"index": 0}}, "only shines"),
    ],
)  # fmt: skip
def test_what_a_mesh_cannot_show_is_told(tmp_path, material, message):
    with pytest.warns(UserWarning, match=message):
        read(with_material(material), tmp_path)
    opaque = PICTURED | {"alphaMode": "OPAQUE", "emissiveTexture": {"index": 0}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(with_material(opaque), tmp_path)


@pytest.mark.parametrize("mode", [-1, 7, "4"])
def test_modes_that_do_not_exist(tmp_path, mode):
    made = plain()
    made.tree["meshes"][0]["primitives"].append(made.primitive(mode=mode))
    with pytest.raises(FormatError, match="the mode .* expected 0 to 6"):
        read(made, tmp_path)


@pytest.mark.parametrize("mode", [5, 6])
def test_two_corners_are_no_triangles(tmp_path, mode):
    with pytest.raises(FormatError, match="no triangles"):
        read(plain(mode=mode, indices=np.array([0, 1], np.uint8)), tmp_path)


def test_matrices_with_perspective(tmp_path):
    made = plain()
    matrix = np.eye(4)
    matrix[3, 3] = 2  # Would halve all lengths.
    made.tree["nodes"][0]["matrix"] = matrix.T.ravel().tolist()
    with pytest.raises(FormatError, match="last row"):
        read(made, tmp_path)
    matrix[3, 3], matrix[0, 3] = 1, 5
    made.tree["nodes"][0]["matrix"] = matrix.T.ravel().tolist()
    moved = read(made, tmp_path).mesh.vertices
    np.testing.assert_array_equal(moved, VERTICES + np.float32([5, 0, 0]))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.update(nodes=5),
        lambda tree: tree.update(bufferViews=[5, 5]),
        lambda tree: tree["nodes"][0].update(matrix=[1, 2, 3]),
        lambda tree: tree["nodes"][0].update(translation="abc"),
        lambda tree: tree["nodes"][0].update(children=5),
        lambda tree: tree["meshes"][0]["primitives"][0].update(targets=[5]),
        lambda tree: tree.update(accessors=[]),
    ],
)
def test_refusals_do_not_speak_python(tmp_path, spoil):
    made = plain()
    spoil(made.tree)
    with pytest.raises(FormatError, match="mesh.glb") as raised:
        read(made, tmp_path)
    said = str(raised.value).partition("mesh.glb: ")[2]
    assert said
    for word in ("object", "has no", "array", "convert", "-1", "subscript"):
        assert word not in said


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_damaged_trees_do_not_speak_of_codecs(tmp_path, text):
    path = plain().save(tmp_path / "mesh.glb")
    text += b" " * (-len(text) % 4)
    size = (20 + len(text)).to_bytes(4, "little")
    head = b"glTF\x02\0\0\0" + size + len(text).to_bytes(4, "little") + b"JSON"
    path.write_bytes(head + text)
    with pytest.raises(FormatError, match="JSON chunk is damaged; export it again"):
        mesh_files.read_mesh(path)
