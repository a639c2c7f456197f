"""The pictures of faces on the pages can be made again, and show what they say."""

import importlib.util
import json

import numpy as np
import pytest

from tests.docs import pages
from tf_faces.core import pictures
from tf_faces.pipelines.tbgan import maps


@pytest.fixture(scope="module")
def make():
    place = pages.ROOT / "docs" / "images" / "make.py"
    specification = importlib.util.spec_from_file_location("make_images", place)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_faces_from_a_model(make):
    sheet = make.face("builtin:tiny")
    assert sheet.shape == (440, 880, 3)
    # Skin in the middle of every view, white around it.
    for row in (110, 330):
        for column in range(110, 880, 220):
            assert sheet[row, column].mean() < 240
    assert (sheet[:5] > 250).all()


def test_maps_and_meshes_on_both_charts(make):
    sheet = make.uv_sets(("builtin:tiny",), 32)
    assert sheet.shape == (128, 64, 3)
    assert (sheet[96:] == 255).any() and (sheet[96:] < 200).any()


def test_what_a_training_made(make, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    maps.grid_dictionary(4).save(tmp_path / "uv_dictionary.npz")
    (tmp_path / "faces").mkdir()
    meshes = rng.integers(0, 256, (20, 60, 3), dtype=np.uint8)
    pictures.write(tmp_path / "faces" / "faces.png", meshes)
    sheets = {}
    for name in ("fakes000004", "fakes000040"):
        for part in ("", "_shp", "_nor"):
            sheets[name + part] = rng.integers(0, 256, (24, 48, 3), dtype=np.uint8)
            pictures.write(tmp_path / f"{name}{part}.png", sheets[name + part])
    monkeypatch.setattr(make, "FOLDER", tmp_path / "pages")
    make.main(["demo", str(tmp_path)])
    halved = meshes.reshape(10, 2, 30, 2, 3).mean(axis=(1, 3))
    faces = pictures.read(tmp_path / "pages" / "demo_faces.png")
    assert np.abs(faces - halved).max() <= 1
    parts = [sheets[f"fakes000040{part}"][:16, :24] for part in ("", "_shp", "_nor")]
    shown = pictures.read(tmp_path / "pages" / "demo_fakes.png")
    np.testing.assert_array_equal(shown, np.concatenate(parts, axis=1))


def test_what_a_training_of_prnet_made(make, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    run, folder = tmp_path / "run", tmp_path / "images"
    run.mkdir()
    folder.mkdir()
    names = ("Loss/position_map", *(f"Validation/{x}" for x in
             ("nme_2d", "nme_3d", "dense_2d")))  # fmt: skip
    lines = [
        json.dumps({"images": 1000 * tick} | dict.fromkeys(names, 9.0 / tick))
        for tick in (1, 2, 3)
    ]
    (run / "stats.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    for images, level in ((1000, 10), (2000, 200)):
        sheet = np.full((40, 60, 3), level, np.uint8)
        pictures.write(run / f"predictions-{images:09d}.png", sheet)
    monkeypatch.setattr(make, "FOLDER", folder)
    make.main(["prnet", str(run)])
    shown = pictures.read(folder / "prnet_held_out.jpg")
    assert shown.shape == (40, 60, 3) and abs(int(shown.mean()) - 200) <= 2
    curves = pictures.read(folder / "prnet_curves.png")
    assert curves.shape == (300, 800, 3) and (curves < 128).any()
