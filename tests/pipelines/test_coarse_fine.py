"""A photograph to a face: crops, results on disk, the plain renderer's parity."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import tiny_coarse_fine
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import posed_faces
from tf_faces.data.coarse_fine import photographs as faces
from tf_faces.data.photographs import Settings, records
from tf_faces.export import coarse_fine as export
from tf_faces.geometry import mesh_files
from tf_faces.pipelines import coarse_fine
from tf_faces.pipelines.coarse_fine import evaluation, photographs
from tf_faces.pipelines.coarse_fine import files as results
from tf_faces.training.coarse_fine import measures


@pytest.fixture(scope="module")
def reconstructor():
    return coarse_fine.Reconstructor(tiny_coarse_fine.network())


@pytest.fixture(scope="module")
def photograph():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def face(reconstructor, photograph):
    return reconstructor.reconstruct(photograph, (20, 50, 15, 45))


def test_crop_puts_the_mean_face_into_the_box(reconstructor, photograph):
    crop = reconstructor.crop(photograph, (20, 50, 15, 45))
    left, right, top, bottom = reconstructor.mean_face_box()
    corners = crop.to_image(np.array([[left, top], [right, bottom]]))
    np.testing.assert_allclose(corners.mean(axis=0), [35, 30], atol=1e-6)
    assert max(corners[1] - corners[0]) == pytest.approx(30)
    whole = reconstructor.crop(photograph)
    np.testing.assert_allclose(
        whole.to_image(np.array([[0.0, 0.0], [31.0, 31.0]])),
        [[10, 0], [69, 59]],
        atol=1e-9,
    )
    for box, sentence in (
        ((50, 20, 15, 45), "no extent"),
        ((200, 250, 15, 45), "outside"),
    ):
        with pytest.raises(InputError, match=sentence):
            reconstructor.crop(photograph, box)
    with pytest.raises(InputError, match="uint8"):
        reconstructor.reconstruct(photograph.astype(np.float32))


def test_results_on_disk(reconstructor, photograph, face, tmp_path):
    written = results.write_face(tmp_path, reconstructor, face, photograph)
    assert all(path.is_file() for path in written)
    stored = json.loads((tmp_path / "parameters.json").read_text())
    assert len(stored["pose"]) == 7 and len(stored["passes"]) == 2
    depth = posed_faces.depth_from_bytes(
        np.asarray(Image.open(tmp_path / "fine_depth.png")).astype(np.uint16)
    )
    np.testing.assert_array_equal(np.isfinite(depth), face.mask)
    np.testing.assert_allclose(
        depth[face.mask], face.fine_depth[face.mask], atol=32 / 16384
    )
    for suffix in results.MESH_SUFFIXES:
        coarse = mesh_files.read_mesh(tmp_path / f"coarse{suffix}")
        assert len(coarse.triangles) == len(reconstructor.model.triangles)
        mesh_files.read_mesh(tmp_path / f"detailed{suffix}")
    points = np.loadtxt(tmp_path / "landmarks.txt")
    np.testing.assert_allclose(points, reconstructor.landmarks(face), atol=1e-3)
    assert pictures.read(tmp_path / "overlay.png").shape == photograph.shape
    assert (tmp_path / "viewer.html") in written
    fewer = results.write_face(
        tmp_path / "fewer", reconstructor, face, photograph,
        mesh_suffixes=(".ply",), page=False,
    )  # fmt: skip
    names = {path.name for path in fewer}
    assert names == {path.name for path in (tmp_path / "fewer").iterdir()}
    assert {"coarse.ply", "detailed.ply", "normals.png", "sheet.png"} < names
    assert not {"viewer.html", "coarse.obj", "coarse.glb"} & names


def test_detail_moves_visible_vertices_alone(reconstructor, face):
    detailed = reconstructor.detailed_mesh(face).vertices
    visible = reconstructor.visible(face)
    assert 0.2 < visible.mean() < 1
    moved = np.abs(detailed[:, 2] - face.vertices[:, 2])
    assert moved[~visible].max(initial=0) < 1e-4
    assert moved[visible].max() > 1e-4
    np.testing.assert_allclose(detailed[:, 0], face.vertices[:, 0], atol=1e-4)


def test_plain_renderer_gives_the_same(reconstructor, photograph):
    plain = coarse_fine.Reconstructor(
        tiny_coarse_fine.network(implementation="reference")
    )
    module = export.ReconstructionModule(plain)
    crop = reconstructor.reconstruct(photograph).picture
    expected = reconstructor.reconstruct(crop)
    found = module.serve(tf.constant(crop[np.newaxis], tf.float32))
    assert set(found) == {
        *("parameters", "vertices", "coarse_depth", "fine_depth", "mask"),
    }
    np.testing.assert_allclose(
        found["parameters"][0], expected.parameters, rtol=1e-4, atol=1e-3
    )
    mask = np.asarray(found["mask"])[0] > 0
    np.testing.assert_array_equal(mask, expected.mask)
    for name in ("coarse_depth", "fine_depth"):
        np.testing.assert_allclose(
            np.asarray(found[name])[0][mask], getattr(expected, name)[mask], atol=1e-2
        )


def test_evaluation_of_drawn_faces(reconstructor):
    measured = evaluation.measure(reconstructor, count=3)
    assert {"landmarks", "landmarks_mean_face", "parameters"} < set(measured)
    assert all(np.isfinite(value) for value in measured.values())
    # Of an untrained network in usual deviations: differences of either sign add up.
    assert 0.3 < measured["parameters"] < 30
    points = np.array([[0.0, 0.0], [2.0, 4.0], [1.0, 1.0]])
    placed = evaluation.in_box(points, np.array([[10.0, 10.0], [20.0, 30.0]]))
    np.testing.assert_allclose(placed, [[10, 10], [20, 30], [15, 15]])


def test_folders_without_weights(tmp_path):
    assert not coarse_fine.recognises(tmp_path)
    with pytest.raises(InputError, match="no snapshot"):
        coarse_fine.open_run(tmp_path)


def test_landmarks_of_photographs(reconstructor, tmp_path):
    """What a run finds is measured against itself, and the mean face against it."""
    rng = np.random.default_rng(3)
    points, shown = [], rng.integers(0, 256, (90, 80, 3)).astype(np.uint8)
    for number in range(2):
        pictures.write(tmp_path / f"{number:03d}.png", shown)
        (tmp_path / f"{number:03d}.png").rename(tmp_path / f"{number:03d}.jpg")
        corners = np.array([[20.0, 30.0], [60.0, 70.0]]) + number
        found = rng.uniform(*corners, (68, 2))
        found[:2] = corners
        points.append(found)
    np.savez(tmp_path / "annotations.npz", points68=points, yaw=[-40.0, 10.0],
             number=[0, 1])  # fmt: skip
    measured = photographs.measure(reconstructor, tmp_path)
    errors = []
    for one in points:
        box = (*one.min(axis=0), *one.max(axis=0))
        face = reconstructor.reconstruct(shown, (box[0], box[2], box[1], box[3]))
        marks = reconstructor.landmarks(face)[:, :2]
        # Every box is a square of 40 pixels.
        errors.append(100 * np.linalg.norm(marks - one, axis=-1).mean() / 40)
    assert measured["photographs"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert measured["photographs_yaw_above_30"] == pytest.approx(errors[0], rel=1e-4)
    assert measured["photographs_yaw_to_30"] == pytest.approx(errors[1], rel=1e-4)
    assert 1 < measured["photographs_mean_face"] < 60
    np.savez(tmp_path / "annotations.npz", points=points)
    with pytest.raises(FormatError, match="points68"):
        photographs.measure(reconstructor, tmp_path)


def test_evaluation_of_recorded_photographs(tmp_path):
    model = tiny_coarse_fine.model()
    network = tiny_coarse_fine.network(
        shape_count=model.shape_count, expression_count=model.expression_count
    )
    settings = Settings(model="builtin:tiny", size=48, camera="weak", supersampling=1)
    fields = ("picture", "coarse_parameters", "landmarks")
    records.write_records(
        tmp_path, settings, 2, fields, processes=1, progress=False
    )  # fmt: skip
    measured = evaluation.measure(coarse_fine.Reconstructor(network), tmp_path)
    assert "depth_fine" not in measured
    found = faces.read_records(tmp_path, model.shape_count, model.expression_count)
    box = network.renderer.mean_face_box()
    images, labels = found.crops(range(2), box, 32)
    passes = network.coarse_passes(tf.constant(images - np.float32(126.064)))
    for number, one in enumerate(passes, 1):
        expected = measures.vertex_errors(network, one.parameters, labels).mean()
        assert measured[f"vertex_pass_{number}"] == pytest.approx(expected, rel=1e-4)
    assert 2 < measured["landmarks_mean_face"] < 40
