"""Face Manifold's pictures: rasteriser, textures, whole pictures, samples, commands."""

import json
import re

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.face_manifold import recordings as face_manifold_recordings
from tf_faces.core import pictures
from tf_faces.data.face_manifold import dataset
from tf_faces.geometry import texturing
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.formats import bfm
from tf_faces.ops import render_depth
from tf_faces.viz import painter

GEOMETRY = 1e-5
IMAGE = 1e-4
SHARE = 0.995  # Of the pixels of an image that must agree.
BYTE_SHARE = 0.99


def load(recording):
    with np.load(recording) as archive:
        return dict(archive)


def model_beside(recording):
    return bfm.load_bfm(drawing.companion(recording, "bfm_small", ".mat"))


def close(found, expected, relative=GEOMETRY):
    assert found.shape == expected.shape
    scale = np.abs(expected[np.abs(expected) < 999999]).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=relative * scale)


def mostly(found, expected, tolerance, share):
    assert found.shape == expected.shape
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    assert (difference.max(-1) <= tolerance).mean() >= share


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
@pytest.mark.parametrize("implementation", ["op", "reference"])
def test_rasteriser(recording, implementation):
    arrays = load(recording)
    height, width = arrays["depth"].shape
    drawn = render_depth.rasterize(
        arrays["ras_vertices"],
        arrays["load/triangles"],
        height,
        width,
        attributes=arrays["lit_new"],
        rule="face3d",
        implementation=implementation,
    )
    np.testing.assert_array_equal(drawn.triangle_id, arrays["tri_buf"])
    close(drawn.depth.numpy(), arrays["depth"])
    close(drawn.barycentrics.numpy(), arrays["bary"])
    close(drawn.attributes.numpy(), arrays["render_colors"])


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
@pytest.mark.parametrize("interpolation", texturing.INTERPOLATIONS)
def test_textures(recording, interpolation):
    arrays = load(recording)
    expected = arrays[f"render_texture_{interpolation}"]
    drawn = texturing.render_texture(
        arrays["ras_vertices"],
        arrays["load/triangles"],
        arrays["texture"],
        arrays["tex_coords"],
        arrays["load/triangles"],
        *expected.shape[:2],
        interpolation=interpolation,
    )
    mostly(drawn, expected, IMAGE, SHARE)


def views(arrays):
    """The recording's pictures and how they were taken."""
    height, width, _ = arrays["img/angled.jpg"].shape
    angled = painter.View(
        height=height,
        width=width,
        scale=0.001,
        angles=tuple(arrays["angles"]),
        translation=(10.0, -20.0, 0.0),
    )
    plain = painter.View()
    return {
        "img/default.jpg": (plain, True),
        "img/angled.jpg": (angled, True),
        "img/zero_tex.jpg": (plain, False),
    }


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
def test_pictures(recording):
    arrays, model = load(recording), model_beside(recording)
    stored = {name for name in arrays if name.startswith("img/")}
    assert stored == set(views(arrays))
    for name, (view, textured) in views(arrays).items():
        tp = arrays["tp"].T if textured else np.zeros_like(arrays["tp"].T)
        faces = FaceCoefficients(arrays["sp"].T, arrays["ep"].T, tp)
        drawn = painter.render(model, faces, view, precision="float64")
        mostly(drawn.images[0], arrays[name], IMAGE, SHARE)


def byte_picture(model, shape, expression, textures=None):
    """The 8-bit picture of one face, texture zero unless given."""
    if textures is None:
        textures = np.zeros(model.texture_count)
    faces = FaceCoefficients(shape[None], expression[None], textures[None])
    drawn = painter.render(model, faces, precision="float64")
    return pictures.to_bytes(drawn.images)[0]


@pytest.mark.golden("face_manifold", "dataset_sample_renders*.npz")
def test_samples_of_the_data_sets(recording):
    """Sample i is the first corrupted row of face i, drawn with its other group."""
    arrays, model = load(recording), model_beside(recording)
    path = drawing.companion(recording, "dataset_generation", ".json")
    report = json.loads(path.read_text())
    names = {re.match(r"(\w+)/(\d+)_(label|noisy)", name).groups() for name in arrays}
    count = 1 + max(int(number) for _, number, _ in names)
    faces = face_manifold_recordings.synthetic_faces(
        face_manifold_recordings.tag(recording), range(count)
    )
    rows = {}
    for values, (short, group) in zip(
        faces, face_manifold_recordings.GROUPS.items(), strict=True
    ):
        recipe = dataset.original_recipe(
            group, seed=report[short]["seed"], original_draws=True
        )
        pieces = list(dataset.corrupted_rows(values, recipe))
        noisy, labels = (
            np.concatenate(part)[:: recipe.copies] for part in zip(*pieces, strict=True)
        )
        rows[group] = {"noisy": noisy, "label": labels}
    for name, expected in arrays.items():
        group, number, kind = re.match(r"(\w+)/(\d+)_(label|noisy)", name).groups()
        number = int(number)
        pair = [values[number] for values in faces]
        pair[("shape", "expression").index(group)] = rows[group][kind][number]
        mostly(byte_picture(model, *pair), expected, 1, BYTE_SHARE)


def first_test_picture(names):
    """Number of the first picture of the test command."""
    numbers = [re.search(r"output_on_test_data/\w+/(\d+)_gt", name) for name in names]
    return min(int(found[1]) for found in numbers if found)


def command_coefficients(runs, prefix, name, first):
    """The coefficients behind a picture that a command line wrote.

    Pictures of the test command are numbered from `first`.
    """
    test = re.search(r"output_on_test_data/(\w+)/(\d+)_(gt|input|output)", name)
    if test:
        folder, number, kind = test.groups()
        # Pictures are numbered from 1 in the sorted list of all faces.
        if kind == "gt":
            face = f"f{int(number) - 1:05d}.mat"
            return face_manifold_recordings.synthetic_face(prefix, face)
        stored = f"test/{folder}/{kind}s"
        assert runs[f"{stored}/tp_is_zero_n"] == len(runs[f"{stored}/sp"])
        return [runs[f"{stored}/{g}"][int(number) - first] for g in ("sp", "ep")]
    mode, kind, number = re.match(
        r"(\w+)/.*/(dataset|network_output)/+(\d+)\.jpg", name
    ).groups()
    stored = f"create/{mode}/{'labels' if kind == 'dataset' else 'outputs'}"
    return [runs[f"{stored}/{g}"][int(number) - 1] for g in ("sp", "ep", "tp")]


@pytest.mark.golden("face_manifold", "cli_renders*.npz")
def test_pictures_of_the_commands(recording):
    arrays, model = load(recording), model_beside(recording)
    runs = load(drawing.companion(recording, "cli_runs", ".npz"))
    prefix = face_manifold_recordings.tag(recording)
    assert arrays
    first = first_test_picture(arrays)
    for name, expected in arrays.items():
        coefficients = command_coefficients(runs, prefix, name, first)
        found = byte_picture(model, *coefficients)
        mostly(found, expected, 1, BYTE_SHARE)
