"""PLY as other programs write it: strips, quads, colours of any type, names, lists."""

import struct
import warnings

import numpy as np
import pytest
from PIL import Image

from tf_faces.core.errors import FormatError
from tf_faces.geometry import mesh_files

RED, BLUE = (200, 0, 0), (0, 0, 200)
POINTS = ["0 0 0", "1 0 0", "1 1 0", "0 1 0"]
XYZ = "property float x\nproperty float y\nproperty float z\n"
FACES = "property list uchar int vertex_indices\n"
COORDINATES = "property list uchar float texcoord\n"


def text(
    faces=(), *, points=POINTS, vertex="", face=FACES, head="", element="face", xyz=XYZ
):
    """An ascii PLY of given property lines and rows."""
    rows = [*points, *faces]
    return (
        f"ply\nformat ascii 1.0\n{head}element vertex {len(points)}\n{xyz}{vertex}"
        f"element {element} {len(faces)}\n{face}end_header\n"
        + "".join(f"{row}\n" for row in rows)
    )


def read(folder, content):
    path = folder / "mesh.ply"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return mesh_files.read_mesh(path)


def read_silently(folder, content):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(folder, content)


def coloured(values, kind, names=("red", "green", "blue")):
    return text(
        points=[
            f"{point} {value}" for point, value in zip(POINTS, values, strict=True)
        ],
        vertex="".join(f"property {kind} {name}\n" for name in names),
    )


def corner_places(mesh):
    used = mesh.triangles if mesh.texture_triangles is None else mesh.texture_triangles
    return mesh.texture_coordinates[used].tolist()


# --- header ------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends(tmp_path, end, mark):
    content = mark + text(["3 0 1 2"]).replace("\n", end).encode()
    assert read_silently(tmp_path, content).triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_binary_bodies_that_begin_like_a_line(tmp_path, end):
    header = text().replace("ascii", "binary_little_endian").replace("\n", end)
    header = header[: header.index("end_header") + 10] + end
    body = bytes.fromhex("0a0d0a3f") + struct.pack("<11f", *range(1, 12))
    mesh = read_silently(tmp_path, header.encode() + body)
    assert mesh.vertices.ravel().tolist()[1:] == list(range(1, 12))


def test_remarks_in_the_header(tmp_path):
    head = (
        "comment VCGLIB generated\nobj_info num_cols 3\ncomment end_header follows\n"
        "comment\n\ncomment caf\u00e9\n"
    )
    mesh = read_silently(tmp_path, text(["3 0 1 2"], head=head))
    assert mesh.triangles.tolist() == [[0, 1, 2]] and mesh.unit is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(["3 0 1 2 7"]), "1 more numbers"),
        (text(points=[f"{point} 9" for point in POINTS]), "more numbers"),
        (text(["3 0 1 2"], element="triangle"), "'triangle'"),
        (text(["0 1 2"], face=XYZ), "vertex_indices"),
        (text(["4"], face="property int vertex_indices\n"), "no list"),
        (text(["3 0 1 4000000000"], face=FACES.replace("int", "uint")), "4000000000"),
        (text(["3 0 1 0.5"], face=FACES.replace("int", "float")), "index 0.5"),
        (text(["1.5 0 1 2"]), "list of 1.5"),
        (text(["inf 0 1 2"]), "list of inf"),
        (text(["-1 0 1 2"]), "list of -1"),
        (text(["3 0 1 2_0"]), "text among"),
        (text().replace("format ascii 1.0\n", ""), "no format"),
        (text().replace("vertex 4", "vertex 0_4"), "'element vertex 0_4' is not und"),
        (text(head="element vertex 2\n" + XYZ), "doubled"),
        (text(["3 0 1 2"], face=""), "no or doubled"),
        (text(["3 0 1 2 9 1 2 3 4 5 6 7 8 9"], face=FACES + COORDINATES), "expected 6"),
        (text(["3 0 1 2 6 0 0 0 nan 0 0"], face=FACES + COORDINATES), "not finite"),
        (text(points=["0 0 1e39"]), "not finite"),
        (coloured(["-1 0 0"] * 4, "int"), "outside of 0..65535"),
        (coloured(["256 0 0"] * 4, "uchar"), "outside of 0..255"),
        (coloured(["300.5 0 0"] * 4, "float"), "outside of 0..1"),
    ],
)
def test_refusals(tmp_path, content, message):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, content)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", [4_000_000_000, 2_000])
def test_a_list_longer_than_the_file(tmp_path, order, count):
    kind = "binary_little_endian" if order == "<" else "binary_big_endian"
    header = text(["x"], face=FACES.replace("uchar", "uint")).replace("ascii", kind)
    header = header[: header.index("end_header") + 11]
    body = struct.pack(f"{order}12fI", *range(12), count) + b"\0" * 12
    with pytest.raises(FormatError, match=f"ends inside.*{count}"):
        read(tmp_path, header.encode() + body)


# --- faces -------------------------------------------------------------------------


def test_polygons_keep_their_order(tmp_path):
    faces = ["3 0 1 2", "4 3 2 1 0", "3 0 2 3"]
    assert read(tmp_path, text(faces)).triangles.tolist() == [
        [0, 1, 2], [3, 2, 1], [3, 1, 0], [0, 2, 3],
    ]  # fmt: skip


@pytest.mark.parametrize("count_type", ["uchar", "int8", "ushort", "int", "uint32"])
@pytest.mark.parametrize("index_type", ["uchar", "short", "uint16", "int32", "uint64"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_types_of_lists(tmp_path, count_type, index_type, order):
    letters = {"uchar": "B", "int8": "b", "ushort": "H", "uint16": "H", "short": "h"}
    letters |= {"int": "i", "int32": "i", "uint64": "Q", "uint32": "I"}
    kind = "binary_little_endian" if order == "<" else "binary_big_endian"
    face = f"property list {count_type} {index_type} vertex_index\n"
    header = text(["", ""], face=face).replace("ascii", kind)
    header = header[: header.index("end_header") + 11]
    numbers = [float(x) for point in POINTS for x in point.split()]
    body = struct.pack(f"{order}12f", *numbers)
    one, many = letters[count_type], letters[index_type]
    body += struct.pack(f"{order}{one}4{many}", 4, 0, 1, 2, 3)
    body += struct.pack(f"{order}{one}3{many}", 3, 3, 1, 0)
    mesh = read_silently(tmp_path, header.encode() + body)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [3, 1, 0]]
    assert mesh.vertices.ravel().tolist() == numbers


@pytest.mark.parametrize(
    ("strips", "expected"),
    [
        (["4 0 1 2 3"], [[0, 1, 2], [1, 3, 2]]),
        (["7 0 1 2 -1 3 2 1"], [[0, 1, 2], [3, 2, 1]]),
        (["3 0 1 2", "4 3 2 1 0"], [[0, 1, 2], [3, 2, 1], [2, 0, 1]]),
        (["0", "2 0 1", "3 0 1 2", "1 -1"], [[0, 1, 2]]),
    ],
)
def test_strips(tmp_path, strips, expected):
    face = FACES.replace("uchar", "int")
    mesh = read_silently(tmp_path, text(strips, face=face, element="tristrips"))
    assert mesh.triangles.tolist() == expected


def test_scans_on_a_grid_are_points(tmp_path):
    content = text(["1 0", "0", "1 3"], element="range_grid")
    mesh = read_silently(tmp_path, content)
    assert len(mesh.vertices) == 4 and not len(mesh.triangles)


def test_edges_and_unknown_elements_are_passed_over(tmp_path):
    content = text(["3 0 1 2"]).replace(
        "end_header", "element edge 1\nproperty int vertex1\nproperty int vertex2\n"
        "element material 2\nproperty list uchar float shades\nend_header",
    )  # fmt: skip
    mesh = read_silently(tmp_path, content + "0 1\n2 0.5 0.5\n0\n")
    assert mesh.triangles.tolist() == [[0, 1, 2]]


def test_bytes_behind_the_elements_are_told(tmp_path):
    written = mesh_files.write_mesh(
        tmp_path / "a.ply", read(tmp_path, text(["3 0 1 2"]))
    )
    content = written[-1].read_bytes()
    assert len(read_silently(tmp_path, content + b"\n\0").vertices) == 4
    with pytest.warns(UserWarning, match="5 bytes behind"):
        read(tmp_path, content + b"12345")


# --- colours -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("uchar", "255 0 51", [1, 0, 0.2]),
        ("int", "255 0 51", [1, 0, 0.2]),
        ("ushort", "65535 0 13107", [1, 0, 0.2]),
        ("uint", "255 0 51", [1, 0, 0.2]),
        ("float", "1 0 0.2", [1, 0, 0.2]),
        ("double", "255 0 51", [1, 0, 0.2]),
    ],
)
@pytest.mark.parametrize(
    "names",
    [
        ("red", "green", "blue"),
        ("diffuse_red", "diffuse_green", "diffuse_blue"),
        ("r", "g", "b"),
    ],
)
def test_types_and_names_of_colors(tmp_path, kind, value, expected, names):
    mesh = read_silently(tmp_path, coloured([value] * 4, kind, names))
    np.testing.assert_allclose(mesh.vertex_colors, [expected] * 4, atol=1e-6)


def test_colors_of_faces_are_told(tmp_path):
    face = FACES + "".join(f"property uchar {x}\n" for x in ("red", "green", "blue"))
    with pytest.warns(UserWarning, match="colours of faces"):
        mesh = read(tmp_path, text(["3 0 1 2 255 0 0"], face=face))
    assert mesh.vertex_colors is None


# --- texture -----------------------------------------------------------------------


@pytest.mark.parametrize("names", ["st", "uv", ("texture_u", "texture_v")])
def test_names_of_texture_coordinates(tmp_path, names):
    points = [f"{x} 0.25 {0.1 * i:g}" for i, x in enumerate(POINTS)]
    vertex = "".join(f"property double {name}\n" for name in names)
    mesh = read_silently(tmp_path, text(["3 0 1 2"], points=points, vertex=vertex))
    np.testing.assert_allclose(mesh.texture_coordinates[3], [0.25, 0.3])


def test_coordinates_of_triangles_and_quads(tmp_path):
    faces = ["3 0 1 2 6 0 0 1 0 1 1", "4 0 1 2 3 8 .5 .5 1 .5 1 1 .5 1"]
    mesh = read_silently(tmp_path, text(faces, face=FACES + COORDINATES))
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]
    assert corner_places(mesh) == [
        [[0, 0], [1, 0], [1, 1]],
        [[0.5, 0.5], [1, 0.5], [1, 1]],
        [[0.5, 0.5], [1, 1], [0.5, 1]],
    ]


def test_faces_without_coordinates(tmp_path):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "a.png")
    faces = ["3 0 1 2 6 .5 0 1 0 1 1", "3 0 2 3 0"]
    content = text(faces, face=FACES + COORDINATES, head="comment TextureFile a.png\n")
    with pytest.warns(UserWarning, match="no texture coordinates"):
        mesh = read(tmp_path, content)
    assert mesh.texture is None
    assert corner_places(mesh) == [[[0.5, 0], [1, 0], [1, 1]], [[0, 0]] * 3]


def test_coordinates_of_faces_win(tmp_path):
    points = [f"{x} 0 0" for x in POINTS]
    mesh = read_silently(
        tmp_path,
        text(
            ["3 0 1 2 6 .5 0 1 0 1 1"],
            points=points,
            vertex="property float s\nproperty float t\n",
            face=FACES + COORDINATES,
        ),
    )
    assert corner_places(mesh) == [[[0.5, 0], [1, 0], [1, 1]]]


@pytest.mark.parametrize(
    "head",
    [
        "comment TextureFile my skin.png\n",
        "comment TextureFile   my skin.png \t\n",
        'comment TextureFile "my skin.png"\n',
        "comment TextureFile C:\\scans\\my skin.png\n",
        "comment TextureFile MY SKIN.PNG\n",
    ],
)
def test_names_of_the_picture(tmp_path, head):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "my skin.png")
    points = [f"{x} 0 0" for x in POINTS]
    mesh = read_silently(
        tmp_path,
        text(["3 0 1 2"], points=points, vertex="property float s\nproperty float t\n",
             head=head),
    )  # fmt: skip
    assert mesh.texture[0, 0].tolist() == list(RED)


@pytest.mark.parametrize(
    ("numbers", "expected", "reason"),
    [
        (["0", "0"], RED, None),
        (["1", "1"], BLUE, None),
        (["0", "1"], None, "several of 2"),
        (["7", "7"], None, "several of 2"),
        (["", ""], None, "several of 2"),
    ],
)
def test_several_pictures(tmp_path, numbers, expected, reason):
    Image.new("RGB", (2, 2), RED).save(tmp_path / "a.png")
    Image.new("RGB", (2, 2), BLUE).save(tmp_path / "b.png")
    faces = [f"3 0 1 2 6 0 0 1 0 1 1 {number}" for number in numbers]
    number = "property int texnumber\n" if numbers[0] else ""
    content = text(
        faces,
        face=FACES + COORDINATES + number,
        head="comment TextureFile a.png\ncomment TextureFile b.png\n",
    )
    if reason is None:
        mesh = read_silently(tmp_path, content)
        assert mesh.texture[0, 0].tolist() == list(expected)
    else:
        with pytest.warns(UserWarning, match=reason):
            assert read(tmp_path, content).texture is None


def test_a_missing_picture_is_told(tmp_path):
    points = [f"{x} 0 0" for x in POINTS]
    content = text(["3 0 1 2"], points=points, head="comment TextureFile a.png\n",
                   vertex="property float s\nproperty float t\n")  # fmt: skip
    with pytest.warns(UserWarning, match="a.png is not in its folder"):
        assert read(tmp_path, content).texture is None
