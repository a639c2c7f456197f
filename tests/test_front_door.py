"""The package's own functions: `tf_faces.load_face_model`, `tf_faces.open_run`."""

import subprocess
import sys

import numpy as np
import pytest

import tf_faces
from tf_faces.convert import face_manifold as weights
from tf_faces.core.errors import InputError
from tf_faces.models import tbgan as networks
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.morphable import raw_form
from tf_faces.pipelines.face_manifold.evaluation import HELD_OUT
from tf_faces.training import checkpoints


def test_importing_the_package_is_light():
    program = (
        "import sys, tf_faces; tf_faces.load_face_model('builtin:tiny');"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_help_is_light():
    program = (
        "import sys; from tf_faces.apps import main\n"
        "for name in main.programs(): assert main.main([name, '--help']) == 0\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True)
    assert finished.returncode == 0, finished.stderr


def test_load_face_model():
    model = tf_faces.load_face_model("builtin:tiny")
    assert model.mesh().vertices.shape == (model.vertex_count, 3)
    with pytest.raises(InputError, match="nowhere"):
        tf_faces.load_face_model("nowhere.mat")


@pytest.fixture
def results(tmp_path):
    """Run 0 is of TBGAN, run 1 of Face Manifold, run 2 has no weights yet."""
    options = {"fmap_base": 32, "fmap_max": 4, "lod_sep": 4}
    generator = networks.Generator(
        networks.GeneratorConfig(num_channels=9, resolution=32, label_size=7, **options)
    )
    gan = tmp_path / "000-gan"
    configuration = {
        "model": "tbgan",
        "G": {**options, "latent_size": 0},
        "data_dir": str(tmp_path),
        "finish": {"smoothing": "2.5"},
    }
    checkpoints.save(
        gan / "snapshots",
        images=100,
        variables={"Gs": generator.variables_by_name()},
        state={},
        configuration=configuration,
    )
    (gan / "config.json").write_text('{"model": "tbgan"}')
    model = raw_form.load("builtin:tiny")
    faces = tmp_path / "001-faces"
    for group, count in (
        ("shape", model.shape_count),
        ("expression", model.expression_count),
    ):
        unit = 1e5 if group == "shape" else 1.0
        denoiser = denoisers.Denoiser(DenoiserConfig(group, count, unit))
        weights.save(faces / group / "final.npz", denoiser)
    (faces / "config.json").write_text('{"model": "face_manifold"}')
    (tmp_path / "002-gan").mkdir()
    (tmp_path / "002-gan" / "config.json").write_text('{"model": "tbgan"}')
    return tmp_path


def test_open_run_by_number_folder_and_newest(results):
    gan = tf_faces.open_run(0, result_directory=results, dictionary="grid")
    (face,) = gan.sample(1, seed=3)
    assert face.maps.shape == (32, 32, 9) and len(face.mesh.vertices) == 1024
    assert gan.smoothing == 2.5
    assert "32x32x9" in repr(gan) and len(repr(gan)) < 200
    newest = tf_faces.open_run(result_directory=results)
    assert repr(newest) == "FaceManifold(shape[199], expression[29])"
    again = tf_faces.open_run(results / "001-faces", epoch="final")
    assert again.mode == "both"


def test_a_face_manifold_samples_and_measures(results):
    model = tf_faces.load_face_model("builtin:tiny")
    manifold = tf_faces.open_run(1, result_directory=results)
    faces = manifold.sample(model, 3, seed=1)
    assert faces.shape.shape == (3, 199) and np.isfinite(faces.shape).all()
    again = manifold.sample(model, 3, seed=1)
    np.testing.assert_array_equal(faces.expression, again.expression)
    found = manifold.evaluate(model, size=20)
    assert set(found) == {"shape", "expression"}
    assert set(found["shape"].sets) == {"normal", "uniform", "generated", HELD_OUT}
    assert found["shape"].network_generalisation_mm > 0


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("nowhere", "nowhere"), (7, "runs with number 7"), (2, "snapshot")],
)
def test_what_cannot_be_opened_is_named(results, source, sentence):
    with pytest.raises(InputError, match=sentence):
        tf_faces.open_run(source, result_directory=results)
