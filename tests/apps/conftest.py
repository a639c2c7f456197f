import numpy as np
import pytest

from tests.apps.face_manifold_commands import save_mat
from tf_faces.convert import face_manifold as convert
from tf_faces.data import coefficient_tables
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.morphable.coefficients import FaceCoefficients


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Weights of both denoisers, a table of faces and a folder of .mat files."""
    folder = tmp_path_factory.mktemp("workshop")
    made = (("shape", 199, 1e5), ("expression", 29, 1.0))
    for seed, (group, length, unit) in enumerate(made):
        denoiser = denoisers.Denoiser(DenoiserConfig(group, length, unit), seed=seed)
        (folder / "trained_models" / group).mkdir(parents=True)
        convert.save(folder / "trained_models" / group / "epoch_10.npz", denoiser)
        convert.save(folder / "trained_models" / group / "epoch_3.pkl", denoiser)
    rng = np.random.default_rng(0)
    faces = FaceCoefficients(
        rng.standard_normal((12, 199)) * 3e4, rng.standard_normal((12, 29)) * 0.4
    )
    coefficient_tables.write(folder / "faces.npz", faces)
    (folder / "mats").mkdir()
    for row in range(12):
        save_mat(folder / "mats" / f"f{row:02d}.mat", faces, row)
    return folder
