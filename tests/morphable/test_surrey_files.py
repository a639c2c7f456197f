"""eos models: through a stand-in for the package, and through eos where it is."""

import pathlib
import sys

import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError, MissingDependencyError
from tf_faces.morphable import builtin, io
from tf_faces.morphable.formats import surrey

_STAND_IN = """
import numpy as np

class _Shapes:
    mean = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float64)
    def get_mean(self):
        return self.mean.reshape(-1)
    def get_triangle_list(self):
        return TRIANGLES
    def get_orthonormal_pca_basis(self):
        return np.eye(12)[:, :3]
    def get_eigenvalues(self):
        return np.array([9.0, 4.0, 1.0])

class _Model:
    def get_shape_model(self):
        return _Shapes()
    def get_texture_coordinates(self):
        return [[0, 0], [1, 0], [0, 1], [1, 1]]
    def get_texture_triangle_indices(self):
        return []
    def get_landmark_definitions(self):
        return None
    def get_expression_model(self):
        return None

class _Blendshape:
    name = "anger"
    deformation = np.arange(12.0)

class morphablemodel:
    @staticmethod
    def load_model(path):
        READ
        return _Model()
    @staticmethod
    def load_blendshapes(path):
        return [_Blendshape()]
"""

# Keeps models as eos does, in files of its own form.
_KEEPING_STAND_IN = """
import pickle
import numpy as np

class PcaModel:
    def __init__(self, mean=(), basis=(), variances=(), triangles=()):
        self.mean, self.basis, self.variances = mean, basis, variances
        self.triangles = triangles
    def get_mean(self):
        return self.mean
    def get_triangle_list(self):
        return self.triangles
    def get_orthonormal_pca_basis(self):
        assert np.allclose(self.basis.T @ self.basis, np.eye(len(self.basis.T)),
                           atol=1e-4)
        return self.basis
    def get_eigenvalues(self):
        return self.variances

class Blendshape:
    def __init__(self, name, deformation):
        self.name, self.deformation = name, deformation

class MorphableModel:
    def __init__(self, shapes, *others):
        *expressions, colours, landmarks, coordinates, corners = others
        assert isinstance(colours, PcaModel) and len(expressions) < 2
        faces = (expressions or [None])[0]
        self.stored = shapes, faces, landmarks, coordinates, corners
    def get_shape_model(self):
        return self.stored[0]
    def get_expression_model(self):
        return self.stored[1]
    def get_landmark_definitions(self):
        return self.stored[2]
    def get_texture_coordinates(self):
        return self.stored[3]
    def get_texture_triangle_indices(self):
        return self.stored[4]

class morphablemodel:
    PcaModel, Blendshape, MorphableModel = PcaModel, Blendshape, MorphableModel
    @staticmethod
    def save_model(model, path):
        with open(path, "wb") as stream:
            pickle.dump(model, stream)
    @staticmethod
    def load_model(path):
        with open(path, "rb") as stream:
            return pickle.load(stream)
"""


def install(text, tmp_path, monkeypatch):
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "eos.py").write_text(text)
    monkeypatch.delitem(sys.modules, "eos", raising=False)
    monkeypatch.syspath_prepend(folder)


def stand_in(tmp_path, monkeypatch, triangles="[[0, 1, 2], [1, 3, 2]]", read="pass"):
    text = _STAND_IN.replace("TRIANGLES", triangles).replace("READ", read)
    install(text, tmp_path, monkeypatch)
    path = tmp_path / "sfm_shape_3448.bin"
    path.write_bytes(b"")
    return path


def test_without_eos(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "eos", None)
    path = tmp_path / "sfm_shape_3448.bin"
    path.write_bytes(b"x")
    with pytest.raises(MissingDependencyError, match="pip install"):
        io.load(path)
    with pytest.raises(MissingDependencyError, match="pip install"):
        io.save(tmp_path / "a.bin", builtin.build("tiny"), "surrey")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(FormatError, match="Git LFS pointer"):
        io.load(path)


def test_through_a_stand_in(tmp_path, monkeypatch):
    """Orthonormal columns beside variances, blend shapes beside the file."""
    path = stand_in(tmp_path, monkeypatch)
    (tmp_path / "expression_blendshapes_3448.bin").write_bytes(b"")
    model = io.load(path)
    expected = np.zeros(12)
    expected[:3] = 3.0, 0.0, 2.0
    expected = expected.reshape(4, 3) + 0.5 * np.arange(12.0).reshape(4, 3)
    mean = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    np.testing.assert_allclose(
        model.vertices([1, 0, 2], [0.5]), mean + expected, atol=1e-5
    )
    assert (model.unit, model.winding) == ("mm", "ccw")
    assert model.expression_names == ("anger",)
    np.testing.assert_array_equal(model.texture_coordinates[0], [0, 1])
    assert model.texture_triangles is None and model.landmarks68 is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"triangles": "[[0, 1, 4]]"}, "vertex 4"),
        ({"read": "raise MemoryError('bad_alloc')"}, "bad_alloc"),
        ({"read": "import os; os.abort()"}, "status"),
        ({"read": "import ctypes; ctypes.string_at(0)"}, "eos cannot read"),
    ],
)
def test_damaged_files_end_the_child_only(tmp_path, monkeypatch, changes, word):
    path = stand_in(tmp_path, monkeypatch, **changes)
    with pytest.raises(FormatError, match=word) as caught:
        io.load(path)
    assert path.name in str(caught.value)


def test_landmark_list(tmp_path):
    path = tmp_path / "ibug_to_sfm.txt"
    path.write_text('# comment\n[landmarks]\n9 = 33 # chin\n"18" = "225"\n#1 = 2\n')
    assert surrey.read_landmark_mapping(path) == {8: 33, 17: 225}
    path.write_text("9 = 33\n", "utf-8-sig")
    assert surrey.read_landmark_mapping(path) == {8: 33}
    for text in ("69 = 1\n", "9 = 33\n9 = 34\n"):
        path.write_text(text)
        with pytest.raises(FormatError, match="point (69|9)"):
            surrey.read_landmark_mapping(path)


# --- there and back, with a stand-in and with eos itself ----------------------------


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny").truncate(shape=6, expression=4)


@pytest.fixture(params=["eos", "stand-in"])
def eos(request, tmp_path_factory, monkeypatch):
    if request.param == "stand-in":
        install(_KEEPING_STAND_IN, tmp_path_factory.mktemp("eos"), monkeypatch)
        yield
        sys.modules.pop("eos", None)
    else:
        yield pytest.importorskip("eos")


@pytest.mark.parametrize("is_named", [True, False])
def test_round_trip(eos, model, tmp_path, is_named):
    if not is_named:
        model = model.replace(expression_range=None, expression_names=None)
    path = tmp_path / "face.bin"
    io.save(path, model, "surrey")
    back = io.load(path)
    expected = model.to_unit("mm")
    np.testing.assert_allclose(back.neutral, expected.neutral, atol=1e-4)
    np.testing.assert_array_equal(back.triangles, model.flip_winding().triangles)
    np.testing.assert_array_equal(back.landmarks68, model.landmarks68)
    np.testing.assert_allclose(
        back.texture_coordinates, model.texture_coordinates, atol=1e-6
    )
    # The law of the shapes: the same covariance.
    covariances = []
    for part in (back, expected):
        columns = (part.shape_basis * part.shape_deviations).reshape(-1, 6)
        covariances.append(columns[::50] @ columns[::50].T)
    np.testing.assert_allclose(*covariances, atol=1e-4)
    if is_named:
        assert back.expression_names == model.expression_names
        weights = [0.3, 0.2, 0, 1]
        np.testing.assert_allclose(
            back.vertices(None, weights), expected.vertices(None, weights), atol=1e-4
        )
        # eos itself reads what was written, and a second round changes nothing.
        io.save(tmp_path / "again.bin", back, "surrey")
        again = io.load(tmp_path / "again.bin")
        np.testing.assert_allclose(again.shape_basis, back.shape_basis, atol=1e-6)
    else:
        assert back.expression_range is None and back.expression_count == 4
        np.testing.assert_allclose(
            back.mean_expression, expected.mean_expression, atol=1e-4
        )


def test_chart_by_corners(eos, model, tmp_path):
    corners = model.triangles[:, ::-1]
    model = model.replace(texture_triangles=corners).with_winding("ccw")
    io.save(tmp_path / "face.bin", model, "surrey")
    back = io.load(tmp_path / "face.bin")
    np.testing.assert_array_equal(back.texture_triangles, model.texture_triangles)


def test_truncated_files(eos, model, tmp_path):
    path = tmp_path / "face.bin"
    io.save(path, model.truncate(shape=2, expression=0), "surrey")
    content = path.read_bytes()
    for size in (0, 9, 40, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(FormatError, match="face.bin"):
            io.load(path)


def test_models_that_do_not_fit(eos, model, tmp_path):
    with pytest.raises(InputError, match="identity"):
        io.save(tmp_path / "a.bin", model.truncate(shape=0), "surrey")
    assert not list(pathlib.Path(tmp_path).iterdir())
