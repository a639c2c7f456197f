"""Habits of single exporters: read right, or refused in one sentence."""

import json
import re
import struct
import warnings

import numpy as np
import plyfile
import pytest
import trimesh
from PIL import Image

from tests.geometry import glb_building
from tests.geometry.glb_building import TRIANGLES, VERTICES, GlbFile
from tf_faces.core.errors import FormatError
from tf_faces.geometry import mesh_files

POINTS = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
PLACES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
RED = (200, 0, 0)


def read(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return mesh_files.read_mesh(path)


def read_silently(folder, name, content):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(folder, name, content)


def refusal(folder, name, content) -> str:
    """The sentence of a refusal, which names no exception of Python."""
    with pytest.raises(FormatError) as raised:
        read(folder, name, content)
    message = str(raised.value)
    assert "Error" not in message and "could not convert" not in message
    return message


# --- OBJ ---------------------------------------------------------------------------


@pytest.mark.parametrize("used", ["SKIN", "skin", "Skin # of the face"])
@pytest.mark.parametrize("stored", ["Skin", "skin # 1"])
@pytest.mark.parametrize("name", ["red%20skin.png", "red skin.png"])
def test_materials_of_another_spelling(tmp_path, used, stored, name):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "red skin.png")
    (tmp_path / "a.mtl").write_text(f"newmtl {stored}\nmap_Kd {name}\n")
    # Nothing says that the library must come first.
    text = f"usemtl {used}\nmtllib a.mtl\n{POINTS}{PLACES}f 1/1 2/2 3/3\n"
    mesh = read_silently(tmp_path, "a.obj", text)
    assert tuple(mesh.texture[0, 0]) == RED


@pytest.mark.parametrize("library", ["", "map_Kd red.png\n"])
def test_a_material_without_a_name(tmp_path, library):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "red.png")
    (tmp_path / "a.mtl").write_text(library)
    text = f"mtllib a.mtl\n{POINTS}{PLACES}usemtl\nf 1/1 2/2 3/3\n"
    mesh = read_silently(tmp_path, "a.obj", text)
    assert (mesh.texture is not None) == bool(library)


def test_two_materials_that_differ_in_case(tmp_path):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "red.png")
    (tmp_path / "a.mtl").write_text(
        "newmtl skin\nmap_Kd red.png\nnewmtl SKIN\nKd 1 0 0"
    )
    text = f"mtllib a.mtl\n{POINTS}{PLACES}usemtl %s\nf 1/1 2/2 3/3\n"
    assert read_silently(tmp_path, "a.obj", text % "skin").texture is not None
    assert read_silently(tmp_path, "a.obj", text % "SKIN").texture is None
    with pytest.warns(UserWarning, match="no material 'Skin'"):
        assert read(tmp_path, "a.obj", text % "Skin").texture is None


@pytest.mark.parametrize("word", ["1.#QNAN", "-1.#IND", "1.#INF00", "-1.#IND00"])
@pytest.mark.parametrize("keyword", ["v", "vt"])
def test_no_numbers_of_windows_are_not_taken_for_remarks(tmp_path, word, keyword):
    line = f"{keyword} 0 0 {word}\n" if keyword == "v" else f"vt {word} 0\n"
    message = refusal(tmp_path, "a.obj", f"{POINTS}{line}f 1 2 3\n")
    assert f"a '{keyword}' line holds no number: '{word}'" in message


def test_remarks_right_behind_a_number(tmp_path):
    mesh = read_silently(tmp_path, "a.obj", f"{POINTS}v 1 2 3#tip\nf 1 2 3#cheek\n")
    assert mesh.vertices[4].tolist() == [1, 2, 3]
    assert mesh.triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("v 0,5 1,0 0,0\n", "'0,5' \\(a decimal comma"),
        ("v 0.1D+01 0 0\n", "'0.1D\\+01'"),
        ("v *** 0 0\n", "'\\*\\*\\*'"),
        ("f 1 2 99999999999999999999\n", "corner '99999999999999999999'"),
        ("f 1.0 2.0 3.0\n", "corner '1.0'"),
        ("f 1 2 3 cheek\n", "corner 'cheek'"),
        ("f 1/1/1/1 2 3\n", "corner '1/1/1/1'"),
    ],
)
def test_words_that_are_no_numbers_are_shown(tmp_path, lines, reason):
    assert re.search(reason, refusal(tmp_path, "a.obj", POINTS + lines))


@pytest.mark.parametrize(
    "statement", ["surf 0 1 0 1 1 2 3", "bzp 1 2 3", "curv 0 1 1 2"]
)
def test_curved_parts_are_told(tmp_path, statement):
    with pytest.warns(UserWarning, match="free form are left aside"):
        mesh = read(tmp_path, "a.obj", f"{POINTS}{statement}\nf 1 2 3\n")
    assert mesh.triangles.tolist() == [[0, 1, 2]]
    assert "expected polygons" in refusal(tmp_path, "b.obj", f"{POINTS}{statement}\n")


@pytest.mark.parametrize("statement", ["call eyes.obj", "csh make_eyes"])
def test_called_files_are_told(tmp_path, statement):
    (tmp_path / "eyes.obj").write_text("v 9 9 9\n")
    with pytest.warns(UserWarning, match="call other files"):
        assert len(read(tmp_path, "a.obj", f"{statement}\n{POINTS}").vertices) == 4


# --- PLY ---------------------------------------------------------------------------

HEAD = "ply\nformat ascii 1.0\n"
XYZ = "property float x\nproperty float y\nproperty float z\n"
FACES = "element face 1\nproperty list uchar int vertex_indices\n"
ROWS = "0 0 0\n1 0 0\n1 1 0\n"


def test_scalar_fields_with_blanks_in_their_names(tmp_path):
    fields = (
        "property float scalar_Scalar field\nproperty float scalar_Scalar field #2\n"
    )
    text = f"{HEAD}element vertex 2\n{XYZ}{fields}end_header\n0 0 0 7 8\n1 2 3 7 8\n"
    mesh = read_silently(tmp_path, "a.ply", text)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 2, 3]]


MULTIPLE = (
    "element multi_texture_vertex 3\nproperty uchar tx\nproperty float u\n"
    "property float v\n"
)


@pytest.mark.parametrize(
    ("elements", "rows"), [("", ""), (MULTIPLE, "0 0 0\n0 1 0\n0 1 1\n")]
)
def test_a_picture_without_coordinates_is_told(tmp_path, elements, rows):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "red.png")
    text = (
        f"{HEAD}comment TextureFile red.png\nelement vertex 3\n{XYZ}{FACES}{elements}"
        f"end_header\n{ROWS}3 0 1 2\n{rows}"
    )
    with pytest.warns(UserWarning, match="no texture coordinates of a known name"):
        mesh = read(tmp_path, "a.ply", text)
    assert mesh.texture is None and mesh.triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(("number", "reason"), [(0, None), (-1, "-1"), (3, "several")])
def test_the_number_of_a_single_picture(tmp_path, number, reason):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "red.png")
    text = (
        f"{HEAD}comment TextureFile red.png\nelement vertex 3\n{XYZ}{FACES}"
        "property list uchar float texcoord\nproperty int texnumber\nend_header\n"
        f"{ROWS}3 0 1 2 6 0 0 1 0 1 1 {number}\n"
    )
    if reason is None:
        assert tuple(read_silently(tmp_path, "a.ply", text).texture[0, 0]) == RED
    else:
        with pytest.warns(UserWarning, match=reason):
            assert read(tmp_path, "a.ply", text).texture is None


@pytest.mark.parametrize("word", ["0,5", "-nan(ind)", "1.#QNAN", "#"])
def test_what_is_no_number_among_the_elements_is_shown(tmp_path, word):
    text = f"{HEAD}element vertex 1\n{XYZ}end_header\n0 0 {word}\n"
    assert f"text among numbers: {word!r}" in refusal(tmp_path, "a.ply", text)


@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("faces_first", [True, False])
def test_files_of_plyfile(tmp_path, is_text, order, faces_first):
    kinds = [("x", "f8"), ("y", "f8"), ("z", "f8"), ("red", "u1"), ("green", "u1"),
             ("blue", "u1"), ("alpha", "u1"), ("quality", "f4")]  # fmt: skip
    points = np.array(
        [(x, y, 0.25, 255, 0, 51, 9, np.nan) for x in (0, 1) for y in (0, 1)], kinds
    )
    faces = np.empty(2, [("flags", "i4"), ("vertex_indices", object)])
    faces["vertex_indices"][:] = [np.array(x, "i4") for x in ([0, 1, 3, 2], [3, 1, 0])]
    elements = [
        plyfile.PlyElement.describe(points, "vertex"),
        plyfile.PlyElement.describe(faces, "face", len_types={"vertex_indices": "u4"}),
    ]
    plyfile.PlyData(
        elements[::-1] if faces_first else elements, text=is_text, byte_order=order
    ).write(tmp_path / "a.ply")
    mesh = mesh_files.read_mesh(tmp_path / "a.ply")
    assert mesh.vertices[3].tolist() == [1, 1, 0.25]
    assert mesh.triangles.tolist() == [[0, 1, 3], [0, 3, 2], [3, 1, 0]]
    np.testing.assert_allclose(mesh.vertex_colors[0], [1, 0, 0.2])


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_ply_files_of_trimesh(tmp_path, encoding):
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile([255, 0, 51, 255], (8, 1))
    content = trimesh.exchange.ply.export_ply(box, encoding=encoding)
    mesh = read_silently(tmp_path, "a.ply", content)
    np.testing.assert_allclose(mesh.vertices, box.vertices)
    np.testing.assert_array_equal(mesh.triangles, box.faces)
    np.testing.assert_allclose(mesh.vertex_colors, [[1, 0, 0.2]] * 8)


@pytest.mark.parametrize("is_text", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count_kind", ["u1", "u2", "i4"])
def test_many_lists_of_changing_lengths(tmp_path, is_text, order, count_kind):
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, 6, 300)
    points = np.zeros(9, [("x", "f4"), ("y", "f4"), ("z", "f4")])
    faces = np.empty(300, [("a", "f8"), ("vertex_indices", object), ("b", "u1"),
                            ("texcoord", object), ("c", "i2")])  # fmt: skip
    faces["vertex_indices"][:] = [rng.integers(0, 9, x).astype("u2") for x in sizes]
    faces["texcoord"][:] = [rng.random(2 * x).astype("f4") for x in sizes]
    # Some have none.
    for row in range(0, 300, 7):
        faces["texcoord"][row] = np.zeros(0, "f4")
    kinds = {"vertex_indices": count_kind, "texcoord": "u1"}
    elements = [
        plyfile.PlyElement.describe(points, "vertex"),
        plyfile.PlyElement.describe(
            faces,
            "face",
            len_types=kinds,
            val_types={"vertex_indices": "u2", "texcoord": "f4"},
        ),
    ]
    plyfile.PlyData(elements, text=is_text, byte_order=order).write(tmp_path / "a.ply")
    mesh = mesh_files.read_mesh(tmp_path / "a.ply")
    fans, places = [], []
    for corners, flat in zip(faces["vertex_indices"], faces["texcoord"], strict=True):
        pairs = flat.reshape(-1, 2) if len(flat) else np.zeros((len(corners), 2))
        for second in range(1, len(corners) - 1):
            picked = [0, second, second + 1]
            fans.append(corners[picked])
            places.append(pairs[picked])
    np.testing.assert_array_equal(mesh.triangles, fans)
    found = mesh.texture_coordinates[mesh.texture_triangles]
    np.testing.assert_allclose(found, places, rtol=1e-6)


# --- GLB ---------------------------------------------------------------------------


def single(**options):
    made = GlbFile()
    made.add_node(mesh=made.add_mesh(made.primitive(**options)))
    return made


def saved(made, folder):
    return mesh_files.read_glb(made.save(folder / "a.glb"))


def test_names_of_morph_targets_in_the_primitive(tmp_path):
    made = single(extras={"targetNames": ["smile", "blink"]})
    offsets = [made.accessor(VERTICES), made.accessor(2 * VERTICES)]
    targets = [{"POSITION": number} for number in offsets]
    made.tree["meshes"][0]["primitives"][0]["targets"] = targets
    found = saved(made, tmp_path).morph_targets
    assert list(found) == ["smile", "blink"]
    np.testing.assert_array_equal(found["blink"], 2 * VERTICES)
    # Those of the mesh, where the standard has them, win.
    made.tree["meshes"][0]["extras"] = {"targetNames": ["a", "b"]}
    assert list(saved(made, tmp_path).morph_targets) == ["a", "b"]


def test_entries_that_are_null_are_absent(tmp_path):
    made = single(extras=None, extensions=None, material=None)
    made.tree["nodes"][0] |= {"extensions": None, "skin": None, "children": None}
    made.tree["meshes"][0]["extras"] = {"targetNames": None}
    made.tree |= {"extensionsRequired": None, "scene": None}
    np.testing.assert_array_equal(saved(made, tmp_path).mesh.vertices, VERTICES)


def test_a_stride_of_zero_is_none(tmp_path):
    made = single()
    for view in made.tree["bufferViews"]:
        view["byteStride"] = 0
    mesh = saved(made, tmp_path).mesh
    np.testing.assert_array_equal(mesh.vertices, VERTICES)
    np.testing.assert_array_equal(mesh.triangles, TRIANGLES)


def test_a_byte_order_mark_before_the_tree(tmp_path):
    made = single()
    binary = bytes(made.binary)
    tree = made.tree | {"buffers": [{"byteLength": len(binary)}]}
    text = b"\xef\xbb\xbf" + json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    content = struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
    mesh = read_silently(tmp_path, "a.glb", content)
    np.testing.assert_array_equal(mesh.vertices, VERTICES)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t["meshes"][0]["primitives"][0]["attributes"].clear(), "'POSITION'"),
        (lambda t: t["meshes"][0].pop("primitives"), "'primitives'"),
        (lambda t: t["accessors"][0].update(componentType=5130), "type 5130, expected"),
        (lambda t: t["accessors"][0].update(type="MAT3"), "MAT3, expected VEC3"),
        (lambda t: t["accessors"][0].update(count="four"), "of the wrong kind"),
        (lambda t: t["nodes"][0].update(extensions={
            "KHR_node_visibility": {"visible": False}}), "KHR_node_visibility"),
    ],
)  # fmt: skip
def test_refusals_name_what_is_wrong(tmp_path, spoil, message):
    made = single()
    spoil(made.tree)
    content = made.save(tmp_path / "a.glb").read_bytes()
    assert message in refusal(tmp_path, "b.glb", content)


def test_pictures_that_a_converter_left_beside_compressed_ones(tmp_path):
    made = single(TEXCOORD_0=glb_building.PLACES)
    made.tree["meshes"][0]["primitives"][0]["material"] = made.add_picture(RED)
    texture = made.tree["textures"][0]
    texture["extensions"] = {"MSFT_texture_dds": {"source": 7}}
    assert tuple(saved(made, tmp_path).mesh.texture[0, 0]) == RED
    del texture["source"]
    content = (made.save(tmp_path / "a.glb")).read_bytes()
    assert "MSFT_texture_dds" in refusal(tmp_path, "b.glb", content)


def test_scenes_of_trimesh(tmp_path):
    scene = trimesh.Scene()
    for name, place in (("left", -3), ("right", 3)):
        ball = trimesh.creation.icosphere(subdivisions=1)
        turn = trimesh.transformations.rotation_matrix(0.5, [1, 2, 3])
        turn[0, 3] = place
        scene.add_geometry(ball, node_name=name, geom_name=name, transform=turn)
    mesh = read_silently(tmp_path, "a.glb", scene.export(file_type="glb"))
    expected = scene.to_geometry()
    assert len(mesh.triangles) == len(expected.faces)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), expected.bounds[0], atol=1e-5)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), expected.bounds[1], atol=1e-5)
    assert np.isclose(glb_building.volume(mesh), expected.volume, rtol=1e-4)
