"""OBJ as other programs write it: corners, materials, colours, names, line ends."""

import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import obj, obj_reading

POINTS = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
PLACES = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
BOTH = POINTS + PLACES + "vn 0 0 1\n"
TRIANGLES = np.array([[0, 1, 2]])
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def read(folder, text, name="mesh.obj"):
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)
    return mesh_files.read_mesh(folder / name)


def read_silently(folder, text, name="mesh.obj"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(folder, text, name)


def picture(path, color):
    Image.new("RGB", (2, 2), color).save(path)


def shown(mesh):
    """The colour of the texture, or None."""
    return None if mesh.texture is None else tuple(mesh.texture[0, 0].tolist())


def corner_places(mesh):
    used = mesh.triangles if mesh.texture_triangles is None else mesh.texture_triangles
    return mesh.texture_coordinates[used]


# --- text --------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_mark(tmp_path, end, mark):
    text = (BOTH + "f 1/1 2/2 \\\n 3/3\\\n\nf 1/1 3/3 4/4").replace("\n", end)
    mesh = read_silently(tmp_path, mark + text.encode())
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_byte_order_marks_inside(tmp_path):
    text = POINTS.replace("v 1 1", "\ufeffv 1 1") + "\ufeff f 1 2 3\n"
    mesh = read_silently(tmp_path, text)
    assert len(mesh.vertices) == 4 and mesh.triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_wide_text_is_refused_by_name(tmp_path, encoding):
    with pytest.raises(FormatError, match="UTF-16"):
        read(tmp_path, (POINTS + "f 1 2 3\n").encode(encoding))


def test_only_statements_are_continued(tmp_path):
    text = (
        "# C:\\scans\\\nv 0 0 0\no C:\\scans\\\nv 1 0 0\ng a\\\nv 1 1 0\n"
        "usemtl b\\\nv 0 1 0\nf 1 2 3 4 \\"
    )
    mesh = read(tmp_path, text)
    assert len(mesh.vertices) == 4 and len(mesh.triangles) == 2


def test_comments_blanks_and_tabs(tmp_path):
    text = (
        "  v\t0 0 0 # nose\n\tv 1 0 0#tip\n\nv   1  1 0\nv 0 1 0\n#v 9 9 9\n"
        "vt 0 0 # left\nf 1 2 3 # cheek 4\n  f\t1 3 4\n"
    )
    mesh = read_silently(tmp_path, text)
    assert len(mesh.vertices) == 4
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v\n", "0 entries"),
        (POINTS + "f\n", "fewer than 3"),
        ("v 0,5 0 0\n", "no number"),
        ("v 1_0 0 0\n", "no number"),
        ("v 0 0 0 0 0\n", "5 entries"),
        ("v 1e39 0 0\n", "'v' line.*float32"),
        (BOTH.replace("vt 1 1", "vt 1e39 1") + "f 1/1 2/2 3/3\n", "'vt' line.*float32"),
        (POINTS + "f 1/1/1/1 2 3\n", "corner"),
        (POINTS + "f /1 2 3\n", "corner"),
        (POINTS + "f /1 2// 3//\n", "corner"),
        (POINTS + "f 1.0 2 3\n", "corner"),
        (POINTS + "f 1_ 2 3\n", "corner"),
        (BOTH + "f 1/1 2/2 3\n", "without texture coordinate"),
        ("vt nan 0\n" + POINTS, "not finite"),
        (POINTS + "cstype bezier\nsurf 0 1 0 1 1 2 3 4\n", "free form"),
        ("#MRGB ff0000ffff\n" + POINTS + "f 1 2 3\n", "1.25 colours for 4"),
    ],
)
def test_refusals(tmp_path, text, message):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, text)


# --- corners -----------------------------------------------------------------------

FORMS = {
    "v": ("f 1 2 3", False),
    "v/": ("f 1/ 2/ 3/", False),
    "v//": ("f 1// 2// 3//", False),
    "v//n": ("f 1//1 2//1 3//1", False),
    "v/t": ("f 1/1 2/2 3/3", True),
    "v/t/": ("f 1/1/ 2/2/ 3/3/", True),
    "v/t/n": ("f 1/1/1 2/2/1 3/3/1", True),
    "relative": ("f -4/-4/-1 -3/-3/-1 -2/-2/-1", True),
    "mixed within": ("f 1 2// 3//1", False),
    "mixed with places": ("f 1/1 2/2/ 3/3/1", True),
    "old keyword": ("fo 1/1 2/2 3/3", True),
}


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_any_two_forms_of_corners(tmp_path, first, second):
    line = FORMS[second][0].replace("-2/-2", "-1/-1").replace("-3/-3", "-2/-2")
    line = line if second == "relative" else line.replace("3", "4").replace("2", "3")
    text = f"{BOTH}{FORMS[first][0]}\n{line}\n"
    mesh = read_silently(tmp_path, text)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    placed = [FORMS[first][1], FORMS[second][1]]
    if not any(placed):
        assert mesh.texture_coordinates is None
        return
    expected = mesh.vertices[mesh.triangles][..., :2]
    for has_place, found, wanted in zip(
        placed, corner_places(mesh), expected, strict=True
    ):
        np.testing.assert_array_equal(found, wanted if has_place else 0 * wanted)


def test_relative_indices_count_from_where_they_stand(tmp_path):
    text = "v 9 9 9\n" + BOTH + "f -4//-1 -3//-1 -2//-1 -1//-1\nv 5 5 5\n"
    assert read(tmp_path, text).triangles.tolist() == [[1, 2, 3], [1, 3, 4]]


def test_places_of_one_to_three_numbers(tmp_path):
    text = POINTS + "vt 0.25\nvt 1 0.5 0\nvt 1 1\nf 1/1 2/2 3/3\n"
    mesh = read_silently(tmp_path, text)
    assert mesh.texture_coordinates.tolist() == [[0.25, 0], [1, 0.5], [1, 1]]


def test_large_polygons_stay_in_order(tmp_path):
    text = POINTS + "v 2 2 2\nf 1 2 3\nf 5 4 3 2 1\nf 1 3 4\n"
    assert read(tmp_path, text).triangles.tolist() == [
        [0, 1, 2], [4, 3, 2], [4, 2, 1], [4, 1, 0], [0, 2, 3],
    ]  # fmt: skip


def test_polygons_as_they_stand(tmp_path):
    path = tmp_path / "mesh.obj"
    path.write_text(BOTH + "f 1 2 3\nusemtl skin\nf 1/1 2/2 3/3 4/4\nusemtl eyes\n")
    found = obj_reading.read_polygons(path)
    assert found.sizes.tolist() == [3, 4]
    assert found.corners[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert found.corners[:, 1].tolist() == [-1, -1, -1, 0, 1, 2, 3]
    assert found.materials.tolist() == [-1, 0]
    assert found.material_names == (b"skin", b"eyes")
    np.testing.assert_array_equal(obj_reading.read_vertices(path), found.vertices)


# --- colours -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("v 1 0 0 1 0 0.5", [1, 0, 0.5]),
        ("v 1 0 0 255 0 51", [1, 0, 0.2]),
        ("v 1 0 0 127.5 0 51", [0.5, 0, 0.2]),
        ("v 1 0 0 65535 0 13107", [1, 0, 0.2]),
        ("v 1 0 0 1 0 0.5 1", [1, 0, 0.5]),
    ],
)
def test_colors_of_some_vertices(tmp_path, second, expected):
    text = POINTS.replace("v 1 0 0", second).replace("v 0 1 0", "v 0 1 0 1")
    mesh = read_silently(tmp_path, text + "f 1 2 3\n")
    np.testing.assert_allclose(mesh.vertex_colors[1], expected, atol=1e-6)
    np.testing.assert_array_equal(mesh.vertex_colors[[0, 2, 3]], 1)
    assert mesh.vertices[3].tolist() == [0, 1, 0]


def test_colors_a_little_above_one_are_cut(tmp_path):
    with pytest.warns(UserWarning, match="cut to 1"):
        mesh = read(tmp_path, "v 0 0 0 1.0001 0.5 0\n")
    np.testing.assert_allclose(mesh.vertex_colors, [[1, 0.5, 0]])


def test_polypaint_of_zbrush(tmp_path):
    text = POINTS + "#MRGB ff0000ffff00ff00\n#MRGB ffff0000ff330000\nf 1 2 3\n"
    mesh = read_silently(tmp_path, text)
    np.testing.assert_allclose(
        mesh.vertex_colors, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0.2, 0, 0]], atol=1e-6
    )


# --- materials ---------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    for name, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        picture(tmp_path / f"{name}.png", color)
    (tmp_path / "all.mtl").write_text(
        "newmtl A\nKd 1 1 1\nmap_Kd red.png\nnewmtl B\nmap_Kd blue.png\n"
        "newmtl C\nKd 0 0 0\nnewmtl D\nmap_Kd ./red.png\nnewmtl E\nmap_Kd lost.png\n"
    )
    return tmp_path


HALF, REST = "f 1/1 2/2 3/3\n", "f 1/1 3/3 4/4\n"


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        (f"usemtl B\n{HALF}{REST}", BLUE),
        (f"usemtl A\nusemtl B\n{HALF}{REST}usemtl A\n", BLUE),
        (f"usemtl A\n{HALF}usemtl D\n{REST}", RED),
        (f"usemtl A # skin\n{HALF}{REST}", RED),
        (f"usemtl C\n{HALF}{REST}", None),
        (f"usemtl c # no picture\n{HALF}{REST}", None),
        (f"usemtl b\n{HALF}{REST}", BLUE),
    ],
)
def test_the_picture_of_the_material_in_use(pictures, faces, expected):
    mesh = read_silently(pictures, f"mtllib all.mtl\n{BOTH}{faces}")
    assert shown(mesh) == expected and mesh.texture_coordinates is not None


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        (f"usemtl A\n{HALF}usemtl B\n{REST}", "same picture"),
        (f"usemtl A\n{HALF}usemtl C\n{REST}", "same picture"),
        (f"{HALF}usemtl A\n{REST}", "same picture"),
        (f"{HALF}{REST}", "same picture"),
        (f"usemtl A\n{HALF}f 1 3 4\n", "no texture coordinates"),
        (f"usemtl E\n{HALF}", "lost.png"),
        (f"usemtl Z\n{HALF}{REST}", "no material 'Z'"),
        (f"usemtl (null)\n{HALF}{REST}", "no material '.null.'"),
    ],
)
def test_no_wrong_picture(pictures, faces, reason):
    with pytest.warns(UserWarning, match=reason):
        mesh = read(pictures, f"mtllib all.mtl\n{BOTH}{faces}")
    assert mesh.texture is None and mesh.texture_coordinates is not None


@pytest.mark.parametrize(
    "options",
    [
        "-clamp on", "-blendu off -blendv off", "-bm 0.5", "-boost 2", "-cc on",
        "-imfchan l", "-texres 512", "-type sphere", "-mm 0 1", "-o 0", "-o 0 0",
        "-s 1 1 1 -o 0 0 0 -t 0 0 0", "-t 3 4", "-S 1 1 1", "-unheard of",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["red.png", "red skin.png", '"red skin.png"', "7"])
def test_options_of_a_picture(tmp_path, options, name):
    with open(tmp_path / name.strip('"'), "wb") as stream:
        Image.new("RGB", (2, 2), RED).save(stream, "PNG")
    (tmp_path / "a.mtl").write_text(f"newmtl A\n\tmap_kd  {options} {name} \n")
    text = f"mtllib a.mtl\n{BOTH}usemtl A\n{HALF}"
    assert shown(read_silently(tmp_path, text)) == RED


@pytest.mark.parametrize(
    "before",
    [
        "", "-clamp on", "-blendu off", "-blendv off", "-bm 0.5", "-boost 2", "-cc on",
        "-imfchan l", "-texres 512", "-type sphere", "-mm 0 1", "-t 3 4",
    ],
)  # fmt: skip
def test_scale_and_offset_of_a_picture(tmp_path, before):
    """Found behind any other option."""
    picture(tmp_path / "red.png", RED)
    options = f"{before} -s 0.5 0.25 1 -o 0.1"
    (tmp_path / "a.mtl").write_text(f"newmtl A\nmap_Kd {options} red.png\n")
    mesh = read_silently(tmp_path, f"mtllib a.mtl\n{BOTH}usemtl A\n{HALF}{REST}")
    np.testing.assert_allclose(
        mesh.texture_coordinates, [[0.1, 0], [0.6, 0], [0.6, 0.25], [0.1, 0.25]]
    )


def test_several_pictures_of_a_material_are_told(tmp_path):
    picture(tmp_path / "red.png", RED)
    (tmp_path / "a.mtl").write_text("newmtl A\nmap_Kd x.png\nnewmtl A\nmap_Kd red.png")
    with pytest.warns(UserWarning, match="'A' several pictures; the last counts"):
        assert shown(read(tmp_path, f"mtllib a.mtl\n{BOTH}usemtl A\n{HALF}")) == RED


def test_a_library_without_names(tmp_path):
    picture(tmp_path / "red.png", RED)
    (tmp_path / "a.mtl").write_text("Kd 1 1 1\nmap_Kd red.png\n")
    assert shown(read_silently(tmp_path, f"mtllib a.mtl\n{BOTH}{HALF}")) == RED


def test_changed_brightness_is_told(tmp_path):
    picture(tmp_path / "red.png", RED)
    (tmp_path / "a.mtl").write_text("newmtl A\nmap_Kd -mm 0.2 0.5 red.png\n")
    with pytest.warns(UserWarning, match="-mm"):
        read(tmp_path, f"mtllib a.mtl\n{BOTH}usemtl A\n{HALF}")


@pytest.mark.parametrize(
    "line",
    [
        "mtllib skin.mtl eyes.mtl",
        "mtllib skin.mtl\nmtllib eyes.mtl",
        'mtllib "skin.mtl" "eyes.mtl"',
        "mtllib eyes.mtl \\\n skin.mtl",
        "mtllib skin.mtl eyes.mtl # two",
        "mtllib C:\\a b\\skin.mtl",
        "mtllib my scan.mtl skin.mtl",
    ],
)
def test_several_libraries(tmp_path, line):
    picture(tmp_path / "red.png", RED)
    picture(tmp_path / "blue.png", BLUE)
    (tmp_path / "skin.mtl").write_text("newmtl A\nmap_Kd red.png\n")
    for name in ("eyes.mtl", "my scan.mtl"):
        (tmp_path / name).write_text("newmtl B\nmap_Kd blue.png\nnewmtl A\n")
    text = f"{line}\n{BOTH}usemtl A\n{HALF}"
    first = "eyes" if "eyes.mtl \\" in line or "my scan" in line else "skin"
    assert shown(read_silently(tmp_path, text)) == (RED if first == "skin" else None)


NAMES = [
    "face", "my face", "face #1", "café", unicodedata.normalize("NFD", "café"), "顔",
    "-s 2", "'quoted'", '"q', "a.b", "back\\slash", " blank", "100%", "Åsa", "\udce9",
    "x\u2028y", "semi;colon",
]  # fmt: skip


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
@pytest.mark.parametrize("name", NAMES)
def test_own_files_of_any_name_come_back_whole(tmp_path, name, suffix):
    places = np.array([[0, 0], [1, 0], [1, 1]], np.float32)
    mesh = Mesh(
        np.eye(3),
        [[0, 1, 2]],
        texture_coordinates=places,
        texture=np.full((2, 2, 3), RED, np.uint8),
    )
    path = tmp_path / f"{name}{suffix}"
    written = mesh_files.write_mesh(path, mesh)
    assert all(part.is_file() for part in written)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = mesh_files.read_mesh(path)
    assert shown(back) == RED and back.name == path.stem
    np.testing.assert_allclose(back.texture_coordinates, places, atol=1e-6)


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_names_of_two_lines_are_refused(tmp_path, suffix):
    mesh = Mesh(
        np.eye(3),
        [[0, 1, 2]],
        texture_coordinates=np.zeros((3, 2)),
        texture=np.zeros((2, 2, 3), np.uint8),
    )
    with pytest.raises(InputError, match="end of a line"):
        mesh_files.write_mesh(tmp_path / f"a\nb{suffix}", mesh)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("named", "stored"),
    [
        (b"skin.png", "Skin.PNG"),
        ("caf\u00e9.png".encode(), "cafe\u0301.png"),
        ("caf\u00e9.png".encode("latin-1"), "caf\u00e9.png"),
        (b"textures/skin.png", "skin.png"),
        (b"C:\\Users\\me\\skin.png", "skin.png"),
    ],
)
def test_names_spelled_by_other_systems(tmp_path, named, stored):
    with open(tmp_path / stored, "wb") as stream:
        Image.new("RGB", (2, 2), RED).save(stream, "PNG")
    (tmp_path / "a.mtl").write_bytes(b"\xef\xbb\xbfnewmtl A\r\nmap_Kd " + named)
    text = f"mtllib A.MTL\n{BOTH}usemtl A\n{HALF}"
    assert shown(read_silently(tmp_path, text)) == RED


@pytest.mark.parametrize("name", ["../red.png", "..\\red.png", "/etc/passwd", "..", ""])
def test_no_file_outside_of_the_folder(tmp_path, name):
    picture(tmp_path / "red.png", RED)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.mtl").write_text(f"newmtl A\nmap_Kd {name}\n")
    text = f"mtllib a.mtl\n{BOTH}usemtl A\n{HALF}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read(inside, text).texture is None


def test_a_library_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.mtl").write_bytes("newmtl A\n".encode("utf-16"))
    with pytest.raises(FormatError, match="a.mtl: found text in UTF-16"):
        read(tmp_path, f"mtllib a.mtl\n{BOTH}usemtl A\n{HALF}")


# --- units and writing -------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_the_unit_is_written_and_read(tmp_path, suffix):
    mesh = Mesh(np.eye(3), [[0, 1, 2]], unit="cm")
    for unit, expected in ((None, 1), ("mm", 10), ("m", 0.01), ("um", 1e4)):
        path = tmp_path / f"{unit}{suffix}"
        mesh_files.write_mesh(path, mesh, unit)
        back = mesh_files.read_mesh(path)
        assert back.unit == (unit or "cm")
        np.testing.assert_allclose(back.vertices, np.eye(3) * expected, rtol=1e-6)
    with pytest.raises(InputError, match="not known"):
        mesh_files.write_mesh(tmp_path / f"x{suffix}", mesh.replace(unit=None), "mm")


@pytest.mark.parametrize("style", obj.STYLES)
def test_styles_of_others_name_no_unit(tmp_path, style):
    mesh = Mesh(np.eye(3), [[0, 1, 2]], unit="cm")
    mesh_files.write_obj(tmp_path / "a.obj", mesh, obj.STYLES[style])
    has_unit = (tmp_path / "a.obj").read_text().startswith("# unit: cm\n")
    assert has_unit == (style == "plain")


def test_nothing_is_not_written(tmp_path):
    with pytest.raises(InputError, match="at least 1 vertex"):
        mesh_files.write_obj(tmp_path / "a.obj", Mesh(np.zeros((0, 3)), TRIANGLES[:0]))
    mesh_files.write_ply(tmp_path / "a.ply", Mesh(np.zeros((0, 3)), TRIANGLES[:0]))
    assert len(mesh_files.read_ply(tmp_path / "a.ply").vertices) == 0


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
@pytest.mark.parametrize("field", ["vertices", "vertex_colors", "texture_coordinates"])
def test_what_could_not_be_read_is_not_written(tmp_path, suffix, field):
    mesh = Mesh(
        np.eye(3),
        [[0, 1, 2]],
        vertex_colors=np.eye(3),
        texture_coordinates=np.eye(3)[:, :2],
    )
    spoilt = getattr(mesh, field).astype(np.float32)
    spoilt[1, 1] = np.nan
    with pytest.raises(InputError, match=f"{field} .*finite"):
        mesh_files.write_mesh(tmp_path / f"a{suffix}", mesh.replace(**{field: spoilt}))
    pictured = mesh.replace(
        texture_coordinates=None, texture=np.zeros((2, 2, 3), np.uint8)
    )
    with pytest.raises(InputError, match="needs texture_coordinates"):
        mesh_files.write_mesh(tmp_path / f"a{suffix}", pictured)
    assert not list(tmp_path.iterdir())
