"""The SavedModel of Face Manifold: equal to the networks, open to plain TensorFlow."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.export import strangers
from tf_faces.apps import export as program
from tf_faces.convert import face_manifold as convert
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import random_faces, samplers
from tf_faces.export import face_manifold as export_face_manifold
from tf_faces.export import saved_model, warmup
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.morphable import raw_form
from tf_faces.pipelines import face_manifold as pipeline

# Runs without this package: loads, calls each signature, stores what came out.
STRANGER = """
import sys
import numpy as np
import tensorflow as tf
path, inputs, outputs = sys.argv[1:]
with np.load(inputs) as stored:
    inputs = {name: tf.constant(stored[name]) for name in stored.files}
signatures = tf.saved_model.load(path).signatures
result = {}
for name, function in signatures.items():
    _, wanted = function.structured_input_signature
    found = function(**{key: inputs[key] for key in wanted})
    result |= {f"{name}_{key}": value.numpy() for key, value in found.items()}
again = signatures["generate"](
    seed=inputs["seed"] + 1, count=inputs["count"], width=inputs["width"]
)
result |= {f"again_{key}": value.numpy() for key, value in again.items()}
np.savez(outputs, **result)
wrong = [name for name in sys.modules if name.startswith("tf_faces")]
assert not wrong, wrong
"""


@pytest.fixture(scope="module")
def model():
    return raw_form.load("builtin:tiny")


@pytest.fixture(scope="module")
def manifold(model):
    return pipeline.FaceManifold(
        denoisers.Denoiser(DenoiserConfig("shape", model.shape_count, 1e5), seed=1),
        denoisers.Denoiser(
            DenoiserConfig("expression", model.expression_count, 1.0), seed=2
        ),
    )


def test_a_process_without_the_package_gets_the_same(manifold, model, tmp_path):
    path = export_face_manifold.export(manifold, tmp_path / "faces", model=model)
    faces = raw_form.draw_faces(model, 5, 0)
    inputs = {
        "shape": faces.shape.astype(np.float32),
        "expression": faces.expression.astype(np.float32),
        "seed": np.array(3, np.int64),
        "count": np.array(400, np.int32),
        "width": np.array(6, np.float32),
    }
    found = strangers.run(STRANGER, path, inputs, tmp_path)
    expected = manifold.denoise(faces, "both")
    for group in ("shape", "expression"):
        scale = np.abs(expected.group(group)).max()
        np.testing.assert_allclose(
            found[f"serving_default_{group}"], expected.group(group), atol=1e-5 * scale
        )
        assert found[f"generate_{group}"].shape[0] == 400
        assert not np.allclose(
            found[f"generate_{group}"], found[f"again_{group}"], rtol=1e-2
        )
    vertices = model.vertices(inputs["shape"], inputs["expression"])
    np.testing.assert_allclose(
        found["vertices_vertices"], vertices, atol=1e-5 * np.abs(vertices).max()
    )


@pytest.mark.parametrize("group", ["shape", "expression"])
def test_random_faces_fill_the_box_before_the_network(model, group, tmp_path):
    """The network of this test changes nothing: one group has a stand-in."""

    class Unchanged(denoisers.Denoiser):
        def call(self, inputs):
            return inputs

    counts = {"shape": model.shape_count, "expression": model.expression_count}
    denoiser = Unchanged(DenoiserConfig(group, counts[group], 10.0))
    manifold = pipeline.FaceManifold(**{group: denoiser})
    path = export_face_manifold.export(manifold, tmp_path / "faces", model=model)
    loaded = tf.saved_model.load(str(path))
    draw = loaded.signatures["generate"]
    assert set(loaded.signatures["serving_default"].structured_outputs) == {group}
    found = draw(
        seed=tf.constant(5, tf.int64), count=tf.constant(4000), width=tf.constant(6.0)
    )
    deviations = random_faces.SamplingDeviations.of_model(model)
    for name in ("shape", "expression"):
        spread = samplers.sampling_deviations(name, deviations.group(name))
        drawn = found[name].numpy() / spread
        if name == group:
            assert 2.99 < np.abs(drawn).max() <= 3.0001
            np.testing.assert_allclose(drawn.std(axis=0), np.sqrt(3), rtol=0.04)
        else:
            np.testing.assert_allclose(drawn.std(axis=0), 1, rtol=0.06)
        np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.12)


def test_card_triangles_and_requests(manifold, model, tmp_path):
    path = export_face_manifold.export(manifold, tmp_path / "faces", model=model)
    extra = path / "assets.extra"
    card = json.loads((extra / saved_model.CARD).read_text())
    assert card["system"] == "face_manifold"
    assert card["denoisers"]["shape"]["unit"] == 1e5
    assert card["face_model"]["unit"] == model.unit
    assert sorted(card["signatures"]) == ["generate", "serving_default", "vertices"]
    assert (extra / warmup.FILE_NAME).is_file()
    triangles = np.load(extra / export_face_manifold.TRIANGLES, allow_pickle=False)
    np.testing.assert_array_equal(triangles, model.triangles)
    bare = export_face_manifold.export(manifold, tmp_path / "faces", warmup=False)
    assert bare.name == "2"
    card = json.loads((bare / "assets.extra" / saved_model.CARD).read_text())
    assert list(card["signatures"]) == ["serving_default"]
    assert not (bare / "assets.extra" / warmup.FILE_NAME).exists()


def test_other_lengths_and_no_denoiser_are_refused(model, tmp_path):
    longer = denoisers.Denoiser(DenoiserConfig("shape", model.shape_count + 1), seed=1)
    with pytest.raises(InputError, match="shape denoiser takes"):
        export_face_manifold.export(
            pipeline.FaceManifold(shape=longer), tmp_path / "faces", model=model
        )
    with pytest.raises(InputError, match="no denoiser"):
        export_face_manifold.export(pipeline.FaceManifold(), tmp_path / "faces")
    assert not (tmp_path / "faces").exists()


# --- the program ----------------------------------------------------------------------


@pytest.fixture
def trained(manifold, tmp_path):
    folder = tmp_path / "trained_models"
    for group in ("shape", "expression"):
        (folder / group).mkdir(parents=True)
        denoiser = manifold.denoiser(group)
        convert.save(folder / group / "epoch_10.pkl", denoiser)
        convert.save(folder / group / "epoch_3.npz", denoiser)
    return folder


def test_program_reads_the_original_folder(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--face_model", "builtin:tiny", "--shape_unit", "1e5"]
    assert program.main([str(trained), *words]) == 0
    assert "exports/face_manifold/1" in capsys.readouterr().out
    card = tmp_path / "exports/face_manifold/1/assets.extra/model_card.json"
    assert json.loads(card.read_text())["denoisers"]["shape"]["unit"] == 1e5


def test_program_knows_a_run_by_its_configuration(trained, tmp_path, capsys):
    run = tmp_path / "results" / "000-face_manifold-shape"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"model": "face_manifold"}')
    (trained / "shape").rename(run / "shape")
    words = ["newest", "--result_dir", str(tmp_path / "results"), "--epoch", "3"]
    assert program.main([*words, "--output", str(tmp_path / "faces")]) == 0
    card = json.loads((tmp_path / "faces/1/assets.extra/model_card.json").read_text())
    assert list(card["denoisers"]) == ["shape"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--epoch", "4"], "shape/epoch_4.pkl"),
        (["--snapshot", "7"], "--snapshot"),
        (["--face_model", "absent.mat"], "absent.mat"),
        (["--shape_unit", "nan"], "found 'nan', expected a finite number"),
        (["--face_model", "ict:no"], "ict:no"),
    ],
)
def test_wrong_use_is_one_sentence(trained, tmp_path, capsys, words, expected):
    output = tmp_path / "faces"
    assert program.main([str(trained), *words, "--output", str(output)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: ") and expected in error
    assert not output.exists()


def test_options_of_another_system_are_refused(tmp_path, capsys):
    run = tmp_path / "000-pgan"
    run.mkdir()
    (run / "config.json").write_text('{"model": "tbgan"}')
    assert program.main([str(run), "--epoch", "4"]) == 2
    assert "--epoch: found with" in capsys.readouterr().err
    (run / "config.json").write_text("[]")
    assert program.main([str(run)]) == 2
    assert "config.json: found list" in capsys.readouterr().err
    (run / "config.json").write_text('{"model": "stylegan"}')
    assert program.main([str(run)]) == 2
    assert "'stylegan'" in capsys.readouterr().err
