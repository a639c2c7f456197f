"""OBJ, PLY and GLB: what is written comes back, others read it, hostile files fail."""

import json
import struct
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import glb, obj


def sheet(rows=5, columns=4, seed=0, **extras):
    """A bumpy sheet with texture coordinates, counter-clockwise from +z."""
    rng = np.random.default_rng(seed)
    v, u = np.meshgrid(
        np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij"
    )
    vertices = np.stack([u, v, 0.1 * rng.standard_normal(u.shape)], -1).reshape(-1, 3)
    numbers = np.arange(rows * columns).reshape(rows, columns)
    a, b = numbers[:-1, :-1].ravel(), numbers[:-1, 1:].ravel()
    c, d = numbers[1:, :-1].ravel(), numbers[1:, 1:].ravel()
    return Mesh(
        vertices=vertices,
        triangles=np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]),
        **extras,
    )


def textured(seed=0):
    rng = np.random.default_rng(seed)
    mesh = sheet(seed=seed)
    return mesh.replace(
        texture_coordinates=mesh.vertices[:, :2].copy(),
        texture=rng.integers(0, 256, (8, 16, 3), dtype=np.uint8),
    )


def with_seam(seed=0):
    """Every triangle has texture coordinates of its own."""
    mesh = textured(seed)
    rng = np.random.default_rng(seed)
    count = 3 * len(mesh.triangles)
    return mesh.replace(
        texture_coordinates=rng.random((count, 2)).astype(np.float32),
        texture_triangles=np.arange(count).reshape(-1, 3),
    )


def corners(mesh):
    """Positions and texture coordinates of every corner, whatever the indexing."""
    places = mesh.vertices[mesh.triangles]
    if mesh.texture_coordinates is None:
        return places, None
    used = mesh.triangles if mesh.texture_triangles is None else mesh.texture_triangles
    return places, np.asarray(mesh.texture_coordinates)[used]


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
@pytest.mark.parametrize("make", [sheet, textured, with_seam])
def test_round_trip(tmp_path, suffix, make):
    mesh = make()
    written = mesh_files.write_mesh(tmp_path / f"mesh{suffix}", mesh)
    assert written[-1].name == f"mesh{suffix}" and all(p.is_file() for p in written)
    back = mesh_files.read_mesh(written[-1])
    for ours, theirs in zip(corners(mesh), corners(back), strict=True):
        if ours is None:
            assert theirs is None
        else:
            np.testing.assert_allclose(theirs, ours, atol=1e-6)
    if mesh.texture is not None:
        np.testing.assert_array_equal(back.texture, mesh.texture)


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [(".obj", 1e-7), (".ply", 0.5 / 255), (".glb", 1e-6)]
)
def test_vertex_colors_round_trip(tmp_path, suffix, tolerance):
    colors = np.random.default_rng(1).random((20, 3)).astype(np.float32)
    path = tmp_path / f"mesh{suffix}"
    mesh_files.write_mesh(path, sheet(vertex_colors=colors))
    back = mesh_files.read_mesh(path).vertex_colors
    np.testing.assert_allclose(back, colors, atol=tolerance * 1.001)


def test_ascii_ply_is_exact(tmp_path):
    for mesh in (textured(), with_seam()):
        mesh_files.write_ply(tmp_path / "mesh.ply", mesh, binary=False)
        back = mesh_files.read_ply(tmp_path / "mesh.ply")
        for ours, theirs in zip(corners(mesh), corners(back), strict=True):
            np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
def test_trimesh_reads_them_too(tmp_path, suffix):
    trimesh = pytest.importorskip("trimesh")
    mesh = textured()
    path = tmp_path / f"mesh{suffix}"
    mesh_files.write_mesh(path, mesh)
    loaded = trimesh.load(path, process=False, force="mesh")
    np.testing.assert_allclose(
        loaded.vertices[loaded.faces], mesh.vertices[mesh.triangles], atol=1e-6
    )
    np.testing.assert_allclose(
        loaded.visual.uv[loaded.faces],
        mesh.texture_coordinates[mesh.triangles],
        atol=1e-6,
    )


def test_glb_keeps_morph_targets_through_seams(tmp_path):
    mesh = with_seam()
    rng = np.random.default_rng(2)
    targets = {
        name: rng.standard_normal(mesh.vertices.shape).astype(np.float32)
        for name in ("smile", "blink")
    }
    mesh_files.write_glb(tmp_path / "mesh.glb", mesh, targets)
    back = mesh_files.read_glb(tmp_path / "mesh.glb")
    assert list(back.morph_targets) == ["smile", "blink"]
    for name, offsets in targets.items():
        np.testing.assert_allclose(
            back.morph_targets[name][back.mesh.triangles],
            offsets[mesh.triangles],
            atol=1e-6,
        )


def test_glb_node_transforms_are_applied(tmp_path):
    content = glb.glb_bytes(sheet())
    tree, binary = glb.unpack(content, "made")
    tree["nodes"] = [
        {"children": [1], "translation": [1, 2, 3]},
        {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0, np.sqrt(0.5), np.sqrt(0.5)]},
    ]
    tree["scenes"], tree["scene"] = [{"nodes": [0]}], 0
    path = tmp_path / "moved.glb"
    path.write_bytes(glb.pack(tree, binary))
    x, y, z = sheet().vertices.T
    np.testing.assert_allclose(
        mesh_files.read_mesh(path).vertices,
        np.stack([-2 * y + 1, 2 * x + 2, 2 * z + 3], 1),
        atol=1e-6,
    )


def test_obj_polygons_relative_indices_and_comments(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text(
        "# a comment\no thing\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\n"
        "f 1//1 2//1 3//1 4//1\nv 2 2 2\nf -1//1 -4//1 \\\n-3//1\n"
    )
    mesh = mesh_files.read_mesh(path)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 1, 2]]


def test_obj_texture_is_found_by_name_only(tmp_path):
    mesh_files.write_obj(tmp_path / "secret.obj", textured())
    inside = tmp_path / "inside"
    inside.mkdir()
    text = (tmp_path / "secret.obj").read_text()
    (inside / "a.obj").write_text(text.replace("secret.mtl", "../secret.mtl"))
    assert mesh_files.read_mesh(inside / "a.obj").texture is None


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(obj.files.os, "replace", fail)
    for suffix in mesh_files.SUFFIXES:
        with pytest.raises(KeyboardInterrupt):
            mesh_files.write_mesh(tmp_path / f"mesh{suffix}", sheet())
    assert not list(tmp_path.iterdir())


def test_wrong_arrays_are_named():
    with pytest.raises(InputError, match="colors must have shape"):
        obj.write_obj_arrays("x.obj", np.eye(3), [[0, 1, 2]], colors=np.eye(2))
    with pytest.raises(InputError, match="needs texture_coordinates"):
        obj.write_obj_arrays(
            "x.obj", np.eye(3), [[0, 1, 2]], texture=np.zeros((2, 2, 3))
        )
    with pytest.raises(InputError, match="suffix"):
        mesh_files.write_mesh("mesh.stl", sheet())
    with pytest.raises(InputError, match="'smile'"):
        glb.glb_bytes(sheet(), {"smile": np.zeros((1, 3))})
    with pytest.raises(InputError, match="finite"):
        glb.glb_bytes(Mesh(np.full((3, 3), np.nan), [[0, 1, 2]]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no vertices"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "index 4"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 0\n", "index 0"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n", "index -4"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999\n", "corner"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1 2/1 3/1\n", "texture coordinate index"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", "fewer than 3"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1 2//1 3\n", "corner"),
        ("v 0 0 0\nv 1 0\n", "'v' lines"),
        ("v 0 0 zero\n", "no number"),
        ("v 0 0 nan\n", "not finite"),
        ("v 0 0 0 -1 0 0\n", "colours"),
    ],
)
def test_hostile_obj(tmp_path, text, message):
    path = tmp_path / "mesh.obj"
    path.write_text(text)
    with pytest.raises(FormatError, match=message) as raised:
        mesh_files.read_mesh(path)
    assert str(path) in str(raised.value)


PLY = (
    "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    "property float z\nelement face 1\nproperty list uchar int vertex_indices\n"
    "end_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3 0 1 2", "3 0 1 3", "index 3"),
        ("3 0 1 2", "3 0 1 -1", "index -1"),
        ("3 0 1 2", "2 0 1", "fewer than 3"),
        ("3 0 1 2", "3 0 1", "ends inside"),
        ("3 0 1 2", "99999 0 1 2", "list of 99999"),
        ("vertex 3", "vertex 4000000000", "4000000000 elements"),
        ("vertex 3", "vertex -3", "-3 elements"),
        ("float z", "float w", "no vertices"),
        ("float z", "quad z", "not understood"),
        ("ascii", "utf8", "format 'utf8'"),
        ("end_header", "", "no PLY header"),
        ("0 1 0", "0 nan 0", "not finite"),
        ("0 1 0", "0 one 0", "text among"),
    ],
)
def test_hostile_ply(tmp_path, old, new, message):
    path = tmp_path / "mesh.ply"
    path.write_text(PLY)
    assert len(mesh_files.read_mesh(path).triangles) == 1
    path.write_text(PLY.replace(old, new))
    with pytest.raises(FormatError, match=message) as raised:
        mesh_files.read_mesh(path)
    assert str(path) in str(raised.value)


def test_ply_of_mixed_polygons(tmp_path):
    path = tmp_path / "mesh.ply"
    text = PLY.replace("vertex 3", "vertex 4").replace("face 1", "face 2")
    text = text.replace("0 1 0\n3 0 1 2", "0 1 0\n1 1 0\n3 0 1 2\n4 0 1 3 2")
    path.write_text(text)
    triangles = mesh_files.read_mesh(path).triangles
    assert sorted(map(tuple, triangles.tolist())) == [(0, 1, 2), (0, 1, 3), (0, 3, 2)]


def change_accessor(**changes):
    return lambda tree: tree["accessors"][0].update(changes)


@pytest.mark.parametrize(
    "spoil",
    [
        change_accessor(count=10**12),
        change_accessor(count=-1),
        change_accessor(byteOffset=-4),
        change_accessor(bufferView=99),
        change_accessor(bufferView=-1),
        change_accessor(componentType=1),
        change_accessor(type="MAT4"),
        change_accessor(sparse={}),
        lambda tree: tree["bufferViews"][0].update(byteLength=10**9),
        lambda tree: tree["bufferViews"][0].update(byteOffset=-8),
        lambda tree: tree["bufferViews"][0].update(buffer=7),
        lambda tree: tree["buffers"][0].update(uri="file:///etc/passwd"),
        lambda tree: tree["meshes"][0]["primitives"][0].pop("attributes"),
        lambda tree: tree["meshes"][0].update(primitives=3),
        lambda tree: (
            tree["nodes"].append({"children": [len(tree["nodes"])]})
            or tree["scenes"][0].update(nodes=[len(tree["nodes"]) - 1])
        ),
        lambda tree: tree["scenes"][0].update(nodes=["x"]),
        lambda tree: tree.update(accessors="none"),
    ],
)
def test_hostile_glb(tmp_path, spoil):
    content = glb.glb_bytes(textured())
    tree, binary = glb.unpack(content, "made")
    text = json.loads(json.dumps(tree))
    text["buffers"] = [{"byteLength": len(binary)}]
    spoil(text)
    encoded = json.dumps(text).encode()
    encoded += b" " * (-len(encoded) % 4)
    total = 28 + len(encoded) + len(binary)
    path = tmp_path / "mesh.glb"
    path.write_bytes(
        struct.pack("<5I", 0x46546C67, 2, total, len(encoded), 0x4E4F534A)
        + encoded
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )
    with pytest.raises(FormatError) as raised:
        mesh_files.read_mesh(path)
    assert str(path) in str(raised.value)


def test_glb_indices_out_of_range(tmp_path):
    content = bytearray(glb.glb_bytes(sheet()))
    tree, binary = glb.unpack(bytes(content), "made")
    accessor = tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]]
    start = tree["bufferViews"][accessor["bufferView"]].get("byteOffset", 0)
    binary = bytearray(binary)
    binary[start : start + 4] = struct.pack("<I", 20)
    path = tmp_path / "mesh.glb"
    path.write_bytes(glb.pack(tree, bytes(binary)))
    with pytest.raises(FormatError, match="vertex index 20"):
        mesh_files.read_mesh(path)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    for suffix in mesh_files.SUFFIXES:
        mesh_files.write_mesh(folder / f"mesh{suffix}", textured())
    mesh_files.write_ply(folder / "text.ply", textured(), binary=False)
    names = ["mesh.obj", "mesh.ply", "mesh.glb", "text.ply"]
    return {name: (folder / name).read_bytes() for name in names}


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(data=st.data())
def test_damaged_files_fail_with_a_sentence_or_stay_valid(
    good_files, data, tmp_path_factory
):
    name = data.draw(st.sampled_from(sorted(good_files)))
    content = bytearray(good_files[name])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    try:
        mesh = mesh_files.read_mesh(path)
    except FormatError as error:
        assert str(path) in str(error) or "texture" in str(error)
    else:
        assert np.isfinite(mesh.vertices).all()
        assert not mesh.triangles.size or mesh.triangles.max() < len(mesh.vertices)


def test_a_large_obj_is_written_no_slower_than_by_a_plain_loop(tmp_path):
    mesh = sheet(100, 101)
    mesh = mesh.replace(vertex_colors=np.abs(mesh.vertices) / 2)
    ours = min(_seconds(mesh_files.write_obj, tmp_path / "a.obj", mesh) for _ in "abc")
    plain = min(_seconds(_write_plainly, tmp_path / "b.obj", mesh) for _ in "abc")
    # About half of it; work that grows faster than the mesh is many times that.
    assert ours < 3 * plain


def _write_plainly(path, mesh):
    lines = [
        "v " + " ".join(f"{number:.9g}" for number in (*vertex, *color)) + "\n"
        for vertex, color in zip(
            mesh.vertices.tolist(), mesh.vertex_colors.tolist(), strict=True
        )
    ]
    for corners in (mesh.triangles + 1).tolist():
        lines.append("f " + " ".join(map(str, corners)) + "\n")
    path.write_text("".join(lines))


def _seconds(function, *arguments) -> float:
    """Time of this process alone, whatever else the machine does."""
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def test_faces_that_share_triangles_are_written_as_if_alone(tmp_path, monkeypatch):
    """Lines of triangles and charts are kept from one file to the next."""
    draw = np.random.default_rng(0)
    vertices, chart = draw.random((2, 5, 3)), draw.random((5, 2))
    corners = np.array([[0, 1, 2], [2, 3, 4]])
    texture = np.zeros((2, 2, 3), np.uint8)

    def text(points, triangles, coordinates, style=obj.PLAIN):
        path = obj.write_obj_arrays(
            tmp_path / "a.obj", points, triangles, style=style,
            texture=texture, texture_coordinates=coordinates,
        )[-1]  # fmt: skip
        return path.read_text()

    cases = [
        (vertices[0], corners, chart),
        (vertices[1], corners, chart),
        (vertices[1], corners[:, ::-1], chart),
        (vertices[1], corners, chart + 1),
        (vertices[1], corners.astype(np.int32), chart.astype(np.float32)),
        (vertices[1], corners, chart, obj.TBGAN),
    ]
    found = [text(*case) for case in cases]
    assert len(set(found)) == len(found)
    monkeypatch.setattr(obj, "_REMEMBERED_BYTES", -1)
    assert [text(*case) for case in cases] == found
