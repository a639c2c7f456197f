"""GLB as other programs write it: nodes, skins, pictures, accessors, extensions."""

import base64
import warnings

import numpy as np
import pytest

from tests.geometry import glb_building
from tests.geometry.glb_building import PLACES, TRIANGLES, VERTICES, GlbFile, volume
from tf_faces.core.errors import FormatError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import glb, glb_accessors

RED, BLUE = (200, 10, 10), (10, 10, 200)


def read(made, folder):
    return mesh_files.read_glb(made.save(folder / "mesh.glb"))


def read_silently(made, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(made, folder).mesh


def single(primitive_options=None, node_options=None, mesh_options=None):
    """A file of one primitive."""
    made = GlbFile()
    mesh = made.add_mesh(
        made.primitive(**(primitive_options or {})), **(mesh_options or {})
    )
    made.add_node(mesh=mesh, **(node_options or {}))
    return made


def shown(mesh):
    return None if mesh.texture is None else tuple(mesh.texture[0, 0].tolist())


def v_up(places):
    return np.stack([places[:, 0], 1 - places[:, 1]], axis=1)


# --- nodes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"scale": [-1, 1, 1]}, 1),
        ({"scale": [-2, -1, 1]}, 2),
        ({"scale": [-1, -1, -1]}, 1),
        ({"matrix": [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 5, 5, 5, 1]}, 1),
        ({"rotation": [0, 0, 2, 2], "scale": [1, 3, 1]}, 3),
    ],
)
def test_mirrored_nodes_show_their_outside(tmp_path, options, expected):
    mesh = read_silently(single(node_options=options), tmp_path)
    np.testing.assert_allclose(volume(mesh), expected / 6, rtol=1e-6)


def test_a_mirrored_child_of_a_mirrored_node(tmp_path):
    made = GlbFile()
    mesh = made.add_mesh(made.primitive())
    child = made.add_node(is_root=False, mesh=mesh, scale=[-1, 1, 1])
    made.add_node(children=[child], scale=[1, -1, 1], translation=[1, 2, 3])
    mesh = read_silently(made, tmp_path)
    np.testing.assert_allclose(volume(mesh), 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(mesh.vertices, VERTICES * [-1, -1, 1] + [1, 2, 3])


def test_nodes_without_a_scene(tmp_path):
    made = GlbFile()
    child = made.add_node(mesh=made.add_mesh(made.primitive()), translation=[1, 0, 0])
    made.add_node(children=[child], scale=[2, 2, 2])
    del made.tree["scenes"]
    mesh = read_silently(made, tmp_path)
    np.testing.assert_allclose(mesh.vertices, 2 * (VERTICES + [1, 0, 0]))
    del made.tree["nodes"]
    np.testing.assert_array_equal(read_silently(made, tmp_path).vertices, VERTICES)


def test_joints_alone_move_a_skinned_mesh(tmp_path):
    joints = np.array([[0, 1, 0, 0]] * 4, np.uint8)
    weights = np.array([[1, 0, 0, 0]] * 2 + [[2, 2, 0, 0], [0, 1, 0, 0]], np.float32)
    made = single(
        {"JOINTS_0": joints, "WEIGHTS_0": weights}, {"skin": 0, "scale": [100] * 3}
    )
    inverse = np.stack([np.eye(4), np.eye(4)]).astype(np.float32)
    inverse[1, 3, :3] = [0, 0, -1]  # Column after column.
    made.tree["skins"] = [
        {
            "joints": [
                made.add_node(),
                made.add_node(translation=[0, 0, 1], scale=[3, 3, 3]),
            ],
            "inverseBindMatrices": made.accessor(inverse.reshape(2, 16)),
        }
    ]
    mesh = read_silently(made, tmp_path)
    second = (VERTICES - [0, 0, 1]) * 3 + [0, 0, 1]
    np.testing.assert_allclose(mesh.vertices[:2], VERTICES[:2])
    np.testing.assert_allclose(mesh.vertices[2], (VERTICES[2] + second[2]) / 2)
    np.testing.assert_allclose(mesh.vertices[3], second[3])


@pytest.mark.parametrize(
    ("joints", "weights", "listed", "message"),
    [
        (9, 1, [0], "joint 9"),
        (0, 0, [0], "without weights"),
        (0, 1, [], "no joints"),
        (0, 1, [7], "no joints"),
    ],
)
def test_wrong_skins(tmp_path, joints, weights, listed, message):
    made = single(
        {
            "JOINTS_0": np.full((4, 4), joints, np.uint8),
            "WEIGHTS_0": np.full((4, 4), weights, np.float32),
        },
        {"skin": 0},
    )
    made.tree["skins"] = [{"joints": listed}]
    with pytest.raises(FormatError, match=message):
        read(made, tmp_path)


# --- texture -----------------------------------------------------------------------


def pictured(info=None, places=None, surface=None, **options):
    """A file of one primitive with a picture; `info` goes to its texture."""
    made = GlbFile()
    material = made.add_picture(RED, **(surface or {}))
    entry = made.tree["materials"][material]["pbrMetallicRoughness"]
    entry["baseColorTexture"] |= info or {}
    places = {"TEXCOORD_0": PLACES} if places is None else places
    primitive = made.primitive(material=material, **places, **options)
    made.add_node(mesh=made.add_mesh(primitive))
    return made


@pytest.mark.parametrize("is_override", [False, True])
def test_the_set_of_coordinates_that_the_material_names(tmp_path, is_override):
    info = {"texCoord": 1}
    if is_override:
        extension = {"KHR_texture_transform": {"texCoord": 1}}
        info = {"texCoord": 0, "extensions": extension}
    made = pictured(info, {"TEXCOORD_0": PLACES, "TEXCOORD_1": PLACES[::-1].copy()})
    mesh = read_silently(made, tmp_path)
    np.testing.assert_allclose(mesh.texture_coordinates, v_up(PLACES[::-1]), atol=1e-6)


def test_a_set_that_is_absent_is_told(tmp_path):
    with pytest.warns(UserWarning, match="TEXCOORD_3"):
        mesh = read(pictured({"texCoord": 3}), tmp_path).mesh
    assert mesh.texture is None and mesh.texture_coordinates is None


@pytest.mark.parametrize("is_required", [False, True])
def test_texture_transform(tmp_path, is_required):
    # The lower left quarter of the picture, turned by 90 degrees.
    transform = {"offset": [0, 1], "rotation": np.pi / 2, "scale": [0.5, 0.5]}
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    made = pictured(
        {"extensions": {"KHR_texture_transform": transform}}, {"TEXCOORD_0": square}
    )
    if is_required:
        made.tree["extensionsRequired"] = ["KHR_texture_transform"]
    mesh = read_silently(made, tmp_path)
    expected = [[0, 0], [0, 0.5], [0.5, 0], [0.5, 0.5]]
    np.testing.assert_allclose(mesh.texture_coordinates, expected, atol=1e-6)
    assert shown(mesh) == RED


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_coordinates_as_whole_numbers(tmp_path, kind):
    highest = np.iinfo(kind).max
    values = np.rint(PLACES * highest).astype(kind)
    made = pictured(places={})
    primitive = made.tree["meshes"][0]["primitives"][0]
    number = made.accessor(values, normalized=True)
    primitive["attributes"]["TEXCOORD_0"] = number
    mesh = read_silently(made, tmp_path)
    tolerance = 0.6 / highest
    np.testing.assert_allclose(mesh.texture_coordinates, v_up(PLACES), atol=tolerance)


def test_coordinates_without_a_picture_are_kept(tmp_path):
    mesh = read_silently(single({"TEXCOORD_0": PLACES}), tmp_path)
    np.testing.assert_allclose(mesh.texture_coordinates, v_up(PLACES), atol=1e-6)
    assert mesh.texture is None


@pytest.mark.parametrize("has_base64", [True, False])
def test_pictures_as_data_uris(tmp_path, has_base64):
    made = pictured()
    content = glb_building.picture_bytes(BLUE)
    if has_base64:
        uri = "data:image/png;base64," + base64.b64encode(content).decode()
    else:
        uri = "data:image/png," + "".join(f"%{byte:02x}" for byte in content)
    made.tree["images"] = [{"uri": uri}]
    assert shown(read_silently(made, tmp_path)) == BLUE


@pytest.mark.parametrize("is_required", [False, True])
def test_webp_is_read(tmp_path, is_required):
    made = pictured()
    content = glb_building.picture_bytes(BLUE, "WEBP")
    made.tree["images"].append({"bufferView": made.view(content)})
    extension = {"EXT_texture_webp": {"source": 1}}
    made.tree["textures"] = [{"extensions": extension}]
    if is_required:
        made.tree["extensionsRequired"] = ["EXT_texture_webp"]
    red, green, blue = shown(read_silently(made, tmp_path))
    assert red < 40 and green < 40 and blue > 160
    made.tree["textures"] = [{"source": 0, "extensions": extension}]
    assert shown(read_silently(made, tmp_path)) == RED


def test_specular_glossiness(tmp_path):
    made = pictured()
    made.tree["materials"] = [
        {
            "extensions": {
                "KHR_materials_pbrSpecularGlossiness": {"diffuseTexture": {"index": 0}}
            }
        }
    ]
    made.tree["extensionsRequired"] = ["KHR_materials_pbrSpecularGlossiness"]
    assert shown(read_silently(made, tmp_path)) == RED


def test_the_colour_factor_dyes_vertices_but_no_picture(tmp_path):
    factor = glb.srgb_to_linear(np.array([0.5, 1, 0.2])).tolist() + [1]
    made = single({"material": 0})
    made.add_material({"baseColorFactor": factor})
    mesh = read_silently(made, tmp_path)
    np.testing.assert_allclose(mesh.vertex_colors, [[0.5, 1, 0.2]] * 4, atol=1e-6)
    with pytest.warns(UserWarning, match="colour factor"):
        mesh = read(pictured(surface={"baseColorFactor": factor}), tmp_path).mesh
    assert shown(mesh) == RED and mesh.vertex_colors is None


# --- several parts -----------------------------------------------------------------


def parts(*materials, **attributes):
    made = GlbFile()
    numbers = {None: None}
    for color in materials:
        if color not in numbers:
            numbers[color] = made.add_picture(color)
    primitives = []
    for color in materials:
        options = {} if color is None else {"material": numbers[color]}
        primitives.append(made.primitive(TEXCOORD_0=PLACES, **options, **attributes))
    made.add_node(mesh=made.add_mesh(*primitives))
    return made


def test_parts_that_share_a_picture(tmp_path):
    mesh = read_silently(parts(RED, RED), tmp_path)
    assert shown(mesh) == RED
    np.testing.assert_allclose(
        mesh.texture_coordinates, np.tile(v_up(PLACES), (2, 1)), atol=1e-6
    )
    np.testing.assert_array_equal(mesh.triangles[4:], TRIANGLES + 4)


@pytest.mark.parametrize("colors", [(RED, BLUE), (RED, None)])
def test_parts_with_different_pictures(tmp_path, colors):
    with pytest.warns(UserWarning, match="same picture"):
        mesh = read(parts(*colors), tmp_path).mesh
    assert mesh.texture is None and len(mesh.texture_coordinates) == 8


def test_parts_that_lack_something(tmp_path):
    made = GlbFile()
    colors = np.full((4, 4), 0, np.uint8)
    plain = made.primitive()
    rich = made.primitive(TEXCOORD_0=PLACES, COLOR_0=colors)
    made.add_node(mesh=made.add_mesh(plain, rich))
    mesh = read_silently(made, tmp_path)
    assert mesh.vertex_colors.tolist() == [[1, 1, 1]] * 4 + [[0, 0, 0]] * 4
    assert mesh.texture_coordinates[:4].tolist() == [[0, 0]] * 4


def test_morph_targets_of_several_parts(tmp_path):
    made = GlbFile()
    up, left = np.full((2, 4, 3), 0.0, np.float32)
    up[:, 1], left[:, 0] = 1, 1
    primitives = [
        made.primitive(targets=[{"POSITION": made.accessor(up)}]),
        made.primitive(
            targets=[{"POSITION": made.accessor(up)}, {"POSITION": made.accessor(left)}]
        ),
    ]
    extras = {"targetNames": ["smile", "smile"]}
    mesh = made.add_mesh(*primitives, extras=extras, weights=[0, 0])
    made.add_node(mesh=mesh, scale=[2, 2, 2])
    targets = read(made, tmp_path).morph_targets
    assert list(targets) == ["smile", "smile (1)"]
    assert targets["smile"].tolist() == [[0, 2, 0]] * 8
    assert targets["smile (1)"].tolist() == [[0, 0, 0]] * 4 + [[2, 0, 0]] * 4


@pytest.mark.parametrize("holder", ["mesh_options", "node_options"])
def test_weights_of_morph_targets_are_told(tmp_path, holder):
    made = single(**{holder: {"weights": [0.5]}})
    with pytest.warns(UserWarning, match="weights of morph targets"):
        np.testing.assert_array_equal(read(made, tmp_path).mesh.vertices, VERTICES)


# --- accessors ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", [4, 5, 6])
@pytest.mark.parametrize("has_indices", [True, False])
def test_triangles_strips_and_fans(tmp_path, mode, has_indices):
    indices = np.array([0, 1, 2, 3, 1, 2], np.uint8)
    if has_indices:
        made = single({"mode": mode, "indices": indices})
    else:
        made = single(
            {"mode": mode, "indices": None, "positions": VERTICES[indices].copy()}
        )
    mesh = read_silently(made, tmp_path)
    expected = {
        4: [[0, 1, 2], [3, 1, 2]],
        5: [[0, 1, 2], [1, 3, 2], [2, 3, 1], [3, 2, 1]],
        6: [[0, 1, 2], [0, 2, 3], [0, 3, 1], [0, 1, 2]],
    }[mode]
    np.testing.assert_array_equal(
        mesh.vertices[mesh.triangles], VERTICES[np.array(expected)]
    )


def test_lines_and_points_are_left_aside(tmp_path):
    made = GlbFile()
    lines = made.primitive(mode=1)
    made.add_node(mesh=made.add_mesh(lines, made.primitive()))
    assert len(read_silently(made, tmp_path).vertices) == 4
    made.tree["meshes"][0]["primitives"] = [lines]
    with pytest.raises(FormatError, match="no triangles"):
        read(made, tmp_path)


def sparse(made, rows, values, kind=np.uint8):
    return {
        "count": len(rows),
        "indices": {
            "bufferView": made.view(np.array(rows, kind).tobytes()),
            "componentType": glb_building.COMPONENTS[np.dtype(kind).str[1:]],
        },
        "values": {"bufferView": made.view(np.array(values, "<f4").tobytes())},
    }


@pytest.mark.parametrize("has_base", [True, False])
def test_sparse_accessors(tmp_path, has_base):
    made = single()
    accessor = made.tree["accessors"][0]
    accessor["sparse"] = sparse(made, [1, 3], [[7, 8, 9], [1, 2, 3]], np.uint16)
    if not has_base:
        del accessor["bufferView"]
    expected = VERTICES * has_base
    expected[[1, 3]] = [[7, 8, 9], [1, 2, 3]]
    np.testing.assert_array_equal(read_silently(made, tmp_path).vertices, expected)


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [([4], np.uint8, "the item 4"), ([0], np.int8, "the item 0"), ([], np.uint8, "0")],
)
def test_wrong_sparse_accessors(tmp_path, rows, kind, message):
    made = single()
    values = [[0, 0, 0]] * max(len(rows), 1)
    made.tree["accessors"][0]["sparse"] = sparse(made, rows, values, kind)
    with pytest.raises(FormatError, match=message):
        read(made, tmp_path)


def test_quantized_positions(tmp_path):
    values = np.rint(VERTICES * 127).astype(np.int8)
    made = single({"positions": values}, {"scale": [2, 2, 2]})
    made.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    made.tree["accessors"][0]["normalized"] = True
    np.testing.assert_allclose(read_silently(made, tmp_path).vertices, 2 * VERTICES)
    made.tree["accessors"][0]["normalized"] = False
    np.testing.assert_allclose(read_silently(made, tmp_path).vertices, 254 * VERTICES)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("width", [3, 4])
def test_colors_of_any_type(tmp_path, kind, width):
    highest = 1 if kind is np.float32 else np.iinfo(kind).max
    colors = np.zeros((4, width), kind)
    colors[1, 0] = highest
    # Some programs forget to say that whole numbers are fractions.
    mesh = read_silently(single({"COLOR_0": colors}), tmp_path)
    expected = [[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(mesh.vertex_colors, expected, atol=1e-6)


def test_interleaved_attributes(tmp_path):
    made = single()
    rows = np.concatenate([VERTICES, np.full((4, 2), 9)], axis=1).astype("<f4")
    view = made.view(rows.tobytes(), byteStride=20)
    made.tree["accessors"][0] |= {"bufferView": view, "byteOffset": 0}
    np.testing.assert_array_equal(read_silently(made, tmp_path).vertices, VERTICES)


def test_a_second_buffer_as_data_uri(tmp_path):
    made = single()
    content = (VERTICES + 1).tobytes()
    uri = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    made.tree["buffers"] = [{"byteLength": len(content), "uri": uri}]
    made.tree["bufferViews"][0] = {"buffer": 1, "byteLength": len(content)}
    np.testing.assert_array_equal(read_silently(made, tmp_path).vertices, VERTICES + 1)


def test_chunks_of_unknown_kinds_are_passed_over(tmp_path):
    made = single()
    content = made.save(tmp_path / "mesh.glb").read_bytes()
    tree, binary = glb.unpack(content, "made")
    chunks = [(b"ABCD", b"1234"), (b"BIN\0", binary), (b"EFGH", b"")]
    (tmp_path / "mesh.glb").write_bytes(glb_building.packed(tree, chunks))
    mesh = mesh_files.read_mesh(tmp_path / "mesh.glb")
    np.testing.assert_array_equal(mesh.vertices, VERTICES)


# --- refusals ----------------------------------------------------------------------


def change(collection, **changes):
    return lambda tree: tree[collection][0].update(changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tree: tree.update(extensionsRequired=["EXT_of_nobody"]),
         "EXT_of_nobody"),
        (lambda tree: tree["asset"].update(version="3.0"), "needs glTF 3.0"),
        (lambda tree: tree["asset"].update(minVersion="2.1"), "needs glTF 2.1"),
        (lambda tree: tree.update(asset=[]), "glTF tree of the expected form"),
        (lambda tree: tree.update(extensionsRequired=["KHR_draco_mesh_compression"]),
         "KHR_draco_mesh_compression"),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(
            extensions={"KHR_draco_mesh_compression": {}}), "Draco"),
        (change("bufferViews", extensions={"EXT_meshopt_compression": {}}),
         "EXT_meshopt_compression"),
        (change("nodes", extensions={"EXT_mesh_gpu_instancing": {}}),
         "EXT_mesh_gpu_instancing"),
        (lambda tree: tree.update(
            textures=[{"extensions": {"KHR_texture_basisu": {"source": 0}}}]),
         "KHR_texture_basisu"),
        (change("images", bufferView=1), "mesh.glb.*not a readable picture"),
        (lambda tree: tree.update(images=[{"uri": "skin.png"}]), "outside the file"),
        (lambda tree: tree.update(images=[{"uri": "data:image/png;base64,@@@"}]),
         "data URI of a picture is damaged"),
        (lambda tree: tree.update(images=[{"uri": "data:nothing"}]),
         "data URI of a picture is damaged"),
        (change("nodes", translation=[float("inf"), 0, 0]), "not finite"),
        (change("nodes", scale=[1e300, 1e300, 1e300]), "beyond float32"),
        (change("nodes", scale=[1, 1]), "expected form"),
        (change("accessors", count=float("inf")), "expected form"),
        (lambda tree: tree["accessors"][0].pop("bufferView")
         and tree["accessors"][0].update(count=10**12), "expected 1 to"),
        (lambda tree: tree["materials"][0]["pbrMetallicRoughness"].update(
            baseColorFactor=[2, 0, 0, 1]), "colour factor"),
        (lambda tree: tree["materials"][0]["pbrMetallicRoughness"][
            "baseColorTexture"].update(extensions={
                "KHR_texture_transform": {"scale": [float("nan"), 1]}}), "not finite"),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(indices=0),
         "accessor VEC3"),
    ],
)  # fmt: skip
def test_refusals(tmp_path, spoil, message):
    made = pictured()
    spoil(made.tree)
    with pytest.raises(FormatError, match=message) as raised:
        read(made, tmp_path)
    assert "mesh.glb" in str(raised.value)


def test_text_is_named(tmp_path):
    (tmp_path / "mesh.glb").write_text('{"asset": {"version": "2.0"}}')
    with pytest.raises(FormatError, match="glTF as text"):
        mesh_files.read_mesh(tmp_path / "mesh.glb")


@pytest.mark.parametrize("kind", ["parts", "targets"])
def test_repeated_arrays_do_not_fill_the_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(glb_accessors, "MAXIMUM_ROWS", 64)
    monkeypatch.setattr("tf_faces.geometry.mesh_files.glb_reading.MAXIMUM_ROWS", 64)
    made = GlbFile()
    primitive = made.primitive()
    if kind == "targets":
        target = {"POSITION": primitive["attributes"]["POSITION"]}
        primitive["targets"] = [target] * 100
        made.add_node(mesh=made.add_mesh(primitive))
    else:
        made.add_node(mesh=made.add_mesh(*[primitive] * 100))
    with pytest.raises(FormatError, match="more than 128|too many"):
        read(made, tmp_path)


# --- units -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "factor"), [("um", 1e-6), ("mm", 1e-3), ("cm", 0.01), ("m", 1), (None, 1)]
)
def test_metres_whatever_the_unit(tmp_path, unit, factor):
    mesh = Mesh(VERTICES, TRIANGLES, unit=unit)
    path = tmp_path / "mesh.glb"
    mesh_files.write_glb(path, mesh, {"wide": 2 * VERTICES})
    back = mesh_files.read_glb(path)
    assert back.mesh.unit == "m"
    np.testing.assert_allclose(back.mesh.vertices, VERTICES * factor, rtol=1e-6)
    np.testing.assert_allclose(
        back.morph_targets["wide"], 2 * VERTICES * factor, rtol=1e-6
    )


def test_vertices_keep_their_order_through_seams(tmp_path):
    rng = np.random.default_rng(0)
    mesh = Mesh(
        np.concatenate([VERTICES, [[5, 5, 5]]]),
        TRIANGLES,
        texture_coordinates=rng.random((12, 2)),
        texture_triangles=np.arange(12).reshape(4, 3),
        texture=np.full((2, 2, 3), 9, np.uint8),
    )
    path = tmp_path / "mesh.glb"
    mesh_files.write_glb(path, mesh)
    back = mesh_files.read_mesh(path)
    np.testing.assert_array_equal(back.vertices[:5], mesh.vertices)
    assert len(back.vertices) == 13
    np.testing.assert_allclose(
        back.texture_coordinates[back.triangles].reshape(12, 2),
        mesh.texture_coordinates,
        atol=1e-6,
    )
