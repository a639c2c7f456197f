"""Pictures of meshes, depth and normals; sheets and videos."""

import numpy as np
import pytest
from PIL import Image

from tf_faces.core.errors import InputError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.viz import face_gallery, pictures, previews, videos


def box(**extras):
    """A unit cube, counter-clockwise from outside."""
    corners = np.array(
        [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float
    )
    quads = [
        (1, 5, 7, 3),
        (0, 2, 6, 4),
        (4, 6, 7, 5),
        (0, 1, 3, 2),
        (2, 3, 7, 6),
        (0, 4, 5, 1),
    ]  # noqa: E501
    triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return Mesh(corners / 2, triangles, **extras)


def square(texture):
    """A square facing +z with a texture over all of it."""
    return Mesh(
        [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]],
        [[0, 1, 2], [0, 2, 3]],
        texture_coordinates=[[0, 0], [1, 0], [1, 1], [0, 1]],
        texture=texture,
    )


def test_depth_picture():
    depth = np.array([[0.0, 1.0], [2.0, 3.0]])
    picture = pictures.depth_picture(depth)
    assert picture.shape == (2, 2, 3) and picture.dtype == np.uint8
    assert picture[0, 0, 0] == 0 and picture[1, 1, 0] == 255
    assert 0 < picture[0, 1, 0] < picture[1, 0, 0] < 255
    assert not pictures.depth_picture(np.zeros((3, 3))).any()
    flat = pictures.depth_picture(np.ones((2, 2)))
    assert (flat == 255).all()


def test_normal_picture():
    normals = np.zeros((1, 2, 3))
    normals[0, 0] = (0, 0, 1)
    assert pictures.normal_picture(normals)[0].tolist() == [[128, 128, 255], [0, 0, 0]]
    with pytest.raises(InputError, match=r"\[H, W, 3\]"):
        pictures.normal_picture(np.zeros((2, 2)))


def test_contact_sheet_places_pictures_row_by_row():
    cells = [np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = pictures.contact_sheet(cells, 2, gap=2)
    assert sheet.shape == (2 * 12 + 2, 2 * 22 + 2, 3)
    assert (sheet[2:12, 2:22] == 10).all() and (sheet[2:12, 24:44] == 20).all()
    assert (sheet[14:24, 2:22] == 30).all() and (sheet[14:24, 24:44] == 255).all()
    captioned = pictures.contact_sheet(cells, 2, gap=2, captions=["a", "b", "c"])
    assert captioned.shape[0] == sheet.shape[0] + 32
    with pytest.raises(InputError, match="0 pictures"):
        pictures.contact_sheet([])


def test_texture_is_upright_and_not_mirrored():
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 0], texture[0, 1] = (255, 0, 0), (0, 255, 0)
    texture[1, 0], texture[1, 1] = (0, 0, 255), (255, 255, 0)
    picture = previews.render(square(texture), size=64, background=(0, 0, 0)).astype(
        int
    )
    red, green, blue = picture[16, 16], picture[16, 47], picture[47, 16]
    assert red[0] > 150 > red[1] + red[2]
    assert green[1] > 150 > green[0] + green[2]
    assert blue[2] > 150 > blue[0] + blue[1]
    assert not picture[0].any()


def test_yaw_turns_to_the_viewers_right():
    # The nose: a spike towards +z.
    spike = Mesh(
        [[-0.2, -0.2, 0], [0.2, -0.2, 0], [0, 0.2, 0], [0, 0, 2]],
        [[0, 1, 3], [1, 2, 3], [2, 0, 3]],
    )
    picture = previews.render(spike, yaw=90, size=64, background=(0, 0, 0))
    columns = np.flatnonzero(picture.any(axis=(0, 2)))
    rows = [np.flatnonzero(picture[:, c].any(axis=1)) for c in columns[[2, -3]]]
    # The thin end is at the right.
    assert np.ptp(rows[1]) < np.ptp(rows[0])
    up = previews.render(spike, pitch=60, size=64, background=(0, 0, 0))
    filled = np.flatnonzero(up.any(axis=(1, 2)))
    widths = [np.ptp(np.flatnonzero(up[r].any(axis=1))) for r in filled[[2, -3]]]
    assert widths[0] < widths[1]


@pytest.mark.parametrize("appearance", ["shaded", "normals", "depth"])
def test_a_turned_view_is_the_view_of_a_turned_mesh(appearance):
    """The light stands with the viewer, and normals are the viewer's."""
    vertices = np.array([[-0.5, -0.4, 0], [0.6, -0.2, 0], [0, 0.7, 0.1], [0.1, 0, 1]])
    triangles = [[0, 1, 3], [1, 2, 3], [2, 0, 3]]
    options = {"size": 48, "appearance": appearance, "supersampling": 2,
               "frame": previews.Frame(np.zeros(3), 1.2)}  # fmt: skip
    found = previews.render(Mesh(vertices, triangles), 50, 25, **options)
    turned = vertices @ previews.rotation(50, 25).T
    expected = previews.render(Mesh(turned, triangles), **options)
    assert np.abs(found.astype(int) - expected).max() <= 2
    plain = previews.render(Mesh(vertices, triangles), **options)
    assert np.abs(plain.astype(int) - expected).max() > 40


def test_supersampling_smooths_the_outline():
    def partly(picture):
        return ((picture > 0) & (picture < picture.max() * 0.7)).any(axis=-1).sum()

    plain, smooth = (
        previews.render(
            box(),
            yaw=20,
            size=48,
            supersampling=n,
            background=(0, 0, 0),
            appearance="depth",
        )
        for n in (1, 4)
    )
    assert len(np.unique(smooth)) > len(np.unique(plain))
    assert plain.shape == smooth.shape == (48, 48, 3)


@pytest.mark.parametrize("appearance", ["shaded", "normals", "depth", "colors"])
def test_appearances_cover_the_same_pixels(appearance):
    mesh = box(vertex_colors=np.full((8, 3), 0.5))
    black, white = (
        previews.render(
            mesh, 30, 10, size=40, appearance=appearance, background=(c, c, c)
        ).astype(int)
        for c in (0, 1)
    )
    covered = (black == white).all(axis=-1)
    assert 0.2 < covered.mean() < 0.8
    assert (black[~covered] < 255).all()


def test_inside_out_meshes_are_lit_alike():
    mesh = box()
    turned = mesh.replace(triangles=mesh.triangles[:, ::-1])
    np.testing.assert_array_equal(
        previews.render(mesh, 30, size=32), previews.render(turned, 30, size=32)
    )


def test_wrong_options_are_named():
    with pytest.raises(InputError, match="appearance must be one of"):
        previews.render(box(), appearance="shiny")
    with pytest.raises(InputError, match="'textured' needs"):
        previews.render(box(), appearance="textured")
    with pytest.raises(InputError, match="at least 1"):
        previews.render(box(), size=0)


def test_empty_mesh_gives_the_background():
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
    assert (previews.render(empty, size=8) == 255).all()


def test_video(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    frames = list(previews.turntable(box(), 5, size=33))
    path = videos.write_video(tmp_path / "turn.mp4", frames, frames_per_second=10)
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    back = [np.frombuffer(frame, np.uint8).reshape(34, 34, 3) for frame in reader]
    assert meta["size"] == (34, 34) and meta["fps"] == 10 and len(back) == 5
    difference = np.abs(back[2][:33, :33].astype(int) - frames[2].astype(int))
    assert difference.mean() < 12
    with pytest.raises(InputError, match="0 frames"):
        videos.write_video(tmp_path / "none.mp4", [])
    with pytest.raises(InputError, match="uint8"):
        videos.write_video(tmp_path / "bad.mp4", [np.zeros((4, 4, 3))])
    assert [p.name for p in tmp_path.iterdir()] == ["turn.mp4"]


def test_gallery(tmp_path):
    texture = np.full((4, 4, 3), 90, np.uint8)
    entries = [
        face_gallery.Entry("one", square(texture)),
        face_gallery.Entry("two", square(texture), {"up": np.ones((4, 3))}),
    ]
    gallery = face_gallery.write(tmp_path, entries, size=32, progress=False)
    names = {path.name for path in gallery.meshes}
    assert {"one.obj", "one.mtl", "one.png", "one.ply", "one.glb"} <= names
    assert all(path.is_file() for path in (*gallery.meshes, *gallery.previews))
    with Image.open(gallery.sheet) as sheet:
        assert sheet.size == (2 * 96 + 12, 32 + 8)
    assert "up" in gallery.page.read_text()
    known = [face_gallery.Entry("cm", square(texture).replace(unit="cm"))]
    options = {"size": 16, "page": False, "progress": False}
    face_gallery.write(tmp_path, known, unit="mm", **options)
    units = [mesh_files.read_mesh(tmp_path / f"cm.{x}").unit for x in ("obj", "glb")]
    assert units == ["mm", "m"]
    with pytest.raises(InputError, match="unit of the mesh is not known"):
        face_gallery.write(tmp_path, entries, unit="mm", **options)
    with pytest.raises(InputError, match="expected a file name"):
        face_gallery.write(tmp_path, [face_gallery.Entry("../x", square(texture))])
    with pytest.raises(InputError, match="found 'stl'"):
        face_gallery.write(tmp_path, entries, formats=["stl"])
    with pytest.raises(InputError, match="no face"):
        face_gallery.write(tmp_path, [])
