"""Folders of faces: every file that is asked for, and no other."""

import json
import re

import numpy as np
import pytest

from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.viz import face_gallery, previews
from tf_faces.viz.face_gallery import Entry

TETRAHEDRON = Mesh(
    np.float32([[0, 0, 0], [100, 0, 0], [0, 100, 0], [0, 0, 100]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
    unit="mm",
)
SMILE = {"smile": np.full((4, 3), 5.0, np.float32)}


def write(folder, entries, **options):
    options = {"size": 16, "progress": False, **options}
    return face_gallery.write(folder, entries, **options)


def names(folder):
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found)


def data_of(page):
    text = page.read_text("utf-8")
    found = re.search(
        r'<script type="application/json" id="faces">(.*?)</script>', text
    )
    return json.loads(found[1])


def test_every_file_that_is_asked_for(tmp_path):
    folder = tmp_path / "deep" / "faces"
    entries = (Entry(name, TETRAHEDRON, SMILE) for name in ("a", "b", "c"))
    found = write(folder, entries, title="Two & one")
    assert names(folder) == [
        "a.glb", "a.obj", "a.ply", "b.glb", "b.obj", "b.ply", "c.glb", "c.obj",
        "c.ply", "faces.html", "faces.png", "previews/a.png", "previews/b.png",
        "previews/c.png",
    ]  # fmt: skip
    assert [path.name for path in found.meshes] == [
        f"{name}.{suffix}" for name in "abc" for suffix in ("obj", "ply", "glb")
    ]
    assert found.previews == tuple(folder / "previews" / f"{n}.png" for n in "abc")
    assert (found.sheet, found.page) == (folder / "faces.png", folder / "faces.html")
    data = data_of(found.page)
    assert [item["caption"] for item in data["items"]] == ["a", "b", "c"]
    assert all(item["sliders"] == ["smile"] for item in data["items"])
    assert "<title>Two &amp; one</title>" in found.page.read_text("utf-8")
    view = picture_files.read(folder / "previews" / "a.png")
    np.testing.assert_array_equal(
        view, previews.render_views(TETRAHEDRON, previews.FRONT_AND_SIDES, size=16)
    )
    sheet = picture_files.read(found.sheet)
    # Two columns of three views each, four pixels between them.
    height, width = view.shape[:2]
    assert sheet.shape == (2 * (height + 4) + 4, 2 * (width + 4) + 4, 3)
    np.testing.assert_array_equal(sheet[4 : 4 + height, 4 : 4 + width], view)


def test_only_what_is_asked_for(tmp_path):
    found = write(
        tmp_path, [Entry("a", TETRAHEDRON)], formats=("ply",), yaws=(0.0,), page=False
    )
    assert names(tmp_path) == ["a.ply", "faces.png", "previews/a.png"]
    assert found.page is None
    view = picture_files.read(tmp_path / "previews" / "a.png")
    assert view.shape == (16, 16, 3)
    assert picture_files.read(found.sheet).shape == (24, 24, 3)


def test_units_and_morph_targets_reach_the_files(tmp_path):
    write(tmp_path, [Entry("a", TETRAHEDRON, SMILE)], unit="m", page=False)
    for suffix in ("obj", "ply"):
        vertices = mesh_files.read_mesh(tmp_path / f"a.{suffix}").vertices
        np.testing.assert_allclose(vertices, TETRAHEDRON.vertices / 1000, atol=1e-6)
    assert b'"smile"' in (tmp_path / "a.glb").read_bytes()
    write(tmp_path, [Entry("b", TETRAHEDRON)], formats=("obj",), page=False)
    vertices = mesh_files.read_mesh(tmp_path / "b.obj").vertices
    np.testing.assert_allclose(vertices, TETRAHEDRON.vertices)


def test_the_page_shows_the_first_faces_only(tmp_path, monkeypatch):
    monkeypatch.setattr(face_gallery, "MAXIMUM_PAGE_FACES", 2)
    entries = [Entry(name, TETRAHEDRON) for name in "abc"]
    found = write(tmp_path, entries, formats=())
    assert [item["caption"] for item in data_of(found.page)["items"]] == ["a", "b"]
    assert len(found.previews) == 3 and found.meshes == ()


def test_usual_options(tmp_path, capsys):
    assert face_gallery.MAXIMUM_PAGE_FACES == 24
    entries = [Entry("a", TETRAHEDRON)]
    face_gallery.write(tmp_path, entries, formats=(), total=7)
    assert picture_files.read(tmp_path / "previews" / "a.png").shape[0] == 384
    shown = capsys.readouterr().err
    assert "Faces" in shown and "1/7" in shown
    write(tmp_path, entries, formats=())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["", "a/b", "../a", "/a"])
def test_names_that_are_no_file_names(tmp_path, name):
    with pytest.raises(InputError, match="expected a file name"):
        write(tmp_path / "faces", [Entry(name, TETRAHEDRON)])
    assert names(tmp_path) == []


def test_wrong_formats_and_no_faces(tmp_path):
    with pytest.raises(InputError, match="found 'stl', expected some of obj, ply, glb"):
        write(tmp_path / "faces", [Entry("a", TETRAHEDRON)], formats=("obj", "stl"))
    assert not (tmp_path / "faces").exists()
    with pytest.raises(InputError, match="found no face"):
        write(tmp_path / "faces", [])
