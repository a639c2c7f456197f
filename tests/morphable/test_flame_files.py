"""FLAME's landmark embedding and texture space: round trips and refusals."""

import pathlib
import warnings

import numpy as np
import pytest

from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.morphable import builtin
from tf_faces.morphable.formats import companions
from tf_faces.morphable.formats.flame import companions as flame_companions


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny").truncate(shape=2, expression=2, texture=2)


def embedding(triangle_count, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, shape in (("static", (51,)), ("dynamic", (79, 17)), ("full", (68,))):
        weights = rng.random((*shape, 3)).astype(np.float32)
        arrays[f"{part}_triangles"] = rng.integers(0, triangle_count, shape)
        arrays[f"{part}_weights"] = weights / weights.sum(axis=-1, keepdims=True)
    return flame_companions.LandmarkEmbedding(**arrays)


def test_landmark_embedding(model, tmp_path):
    path = tmp_path / "landmark_embedding.npy"
    expected = embedding(len(model.triangles))
    flame_companions.save_landmark_embedding(path, expected)
    # As FLAME's own programs read it.
    stored = np.load(path, allow_pickle=True)[()]
    assert stored["full_lmk_faces_idx"].shape == (1, 68)
    assert stored["dynamic_lmk_bary_coords"].shape == (79, 17, 3)
    # As they may have written it.
    own = tmp_path / "own.npy"
    np.save(own, stored)
    for file in (path, own):
        back = flame_companions.load_landmark_embedding(file)
        assert back.parts() == ("static", "dynamic", "full")
        for name in vars(expected):
            np.testing.assert_array_equal(getattr(back, name), getattr(expected, name))
    points = expected.points("full", model.neutral, model.triangles)
    corners = model.neutral[model.triangles[expected.full_triangles[5]]]
    np.testing.assert_allclose(
        points[5], expected.full_weights[5] @ corners.astype(np.float64)
    )
    shape = expected.points("dynamic", model.neutral, model.triangles).shape
    assert shape == (79, 17, 3)
    assert "dynamic landmarks: 79 x 17" in companions.describe(path)
    with pytest.raises(InputError, match="triangle"):
        expected.points("full", model.neutral, model.triangles[:3])
    assert expected.vertices68(model.triangles[:3]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"static_lmk_faces_idx": np.zeros(50, int)},
        {"static_lmk_faces_idx": np.full(51, -1)},
        {"static_lmk_faces_idx": np.full(51, 2**40)},
        {"static_lmk_faces_idx": np.full(51, 0.5)},
        {"full_lmk_bary_coords": np.zeros((68, 2))},
        {"full_lmk_bary_coords": np.full((68, 3), np.nan)},
        {"full_lmk_bary_coords": np.full((68, 3), 1e39)},
        {"dynamic_lmk_bary_coords": None},
    ],
)
def test_damaged_embeddings(tmp_path, changes):
    path = tmp_path / "landmark_embedding.npy"
    flame_companions.save_landmark_embedding(path, embedding(9))
    stored = np.load(path, allow_pickle=True)[()]
    np.save(path, stored | changes)
    # Told by the sentence alone, without NumPy's own.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FormatError, match="landmark_embedding"):
            flame_companions.load_landmark_embedding(path)


def test_hostile_embedding(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    path = tmp_path / "landmark_embedding.npy"
    np.save(path, {"static_lmk_faces_idx": Evil()})
    with pytest.raises(ForbiddenPickleError):
        flame_companions.load_landmark_embedding(path)
    assert not (tmp_path / "harm").exists()
    np.save(path, np.zeros(3))
    with pytest.raises(FormatError, match="objects"):
        flame_companions.load_landmark_embedding(path)
    np.save(path, {"other": 1})
    with pytest.raises(FormatError, match="no landmarks"):
        flame_companions.load_landmark_embedding(path)


def tensor(storage_bytes, offset, size, stride):
    """A PyTorch tensor as it is pickled within another pickle."""
    call = pickle_writing.Call
    storage = call(
        pickle_writing.Global("torch.storage", "_load_from_bytes"), (storage_bytes,)
    )
    rebuild = pickle_writing.Global("torch._utils", "_rebuild_tensor_v2")
    return call(rebuild, (storage, offset, size, stride, False, None))


def write_object_npy(path: pathlib.Path, value):
    flame_companions.save_landmark_embedding(path, embedding(9))
    content = path.read_bytes()
    boxed = np.empty((), object)
    boxed[()] = value
    header = content[: content.index(b"\n") + 1]
    path.write_bytes(header + pickle_writing.dumps(boxed, protocol=3))


def test_embedding_with_tensors(tmp_path):
    path = tmp_path / "landmark_embedding.npy"
    numbers = np.arange(34).reshape(2, 17)
    weights = np.full((2, 17, 3), 1 / 3)
    stored = {
        "static_lmk_faces_idx": np.arange(51),
        "static_lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": tensor(numbers.tobytes(), 0, (2, 17), (17, 1)),
        "dynamic_lmk_bary_coords": tensor(weights.tobytes(), 0, (2, 17, 3), (51, 3, 1)),
    }
    write_object_npy(path, stored)

    def read_storage(content):
        return np.frombuffer(content, "i8" if len(content) == 272 else "f8")

    found = flame_companions.load_landmark_embedding(path, read_storage)
    np.testing.assert_array_equal(found.dynamic_triangles, numbers)
    assert found.dynamic_weights.shape == (2, 17, 3)
    # Without a reader of storages the part is absent, the others are there.
    assert flame_companions.load_landmark_embedding(path).parts() == ("static",)
    for offset, size, stride in (
        (1, (2, 17), (17, 1)),
        (0, (2, 18), (17, 1)),
        (0, (2, 17), (10**18, 1)),
        (-1, (2, 17), (17, 1)),
    ):
        outside = tensor(numbers.tobytes(), offset, size, stride)
        write_object_npy(path, stored | {"dynamic_lmk_faces_idx": outside})
        with pytest.raises(FormatError):
            flame_companions.load_landmark_embedding(path, read_storage)


def test_texture_space(tmp_path):
    rng = np.random.default_rng(0)
    texture = flame_companions.TextureSpace(
        mean=rng.random((8, 6, 3)).astype("f4"),
        basis=rng.random((8, 6, 3, 5)).astype("f4"),
        texture_coordinates=rng.random((7, 2)).astype("f4"),
        texture_triangles=rng.integers(0, 7, (4, 3)).astype(np.int32),
    )
    path = tmp_path / "FLAME_texture.npz"
    flame_companions.save_texture(path, texture)
    assert set(np.load(path).files) == {"mean", "tex_dir", "vt", "ft"}
    back = flame_companions.load_texture(path)
    for name in vars(texture):
        np.testing.assert_array_equal(getattr(back, name), getattr(texture, name))
    picture = back.picture([1, 0, 2])
    expected = texture.mean + texture.basis[..., 0] + 2 * texture.basis[..., 2]
    np.testing.assert_allclose(picture, expected, rtol=1e-6)
    assert "5 modes" in companions.describe(path)
    with pytest.raises(InputError):
        back.picture(np.ones(6))
    arrays = dict(np.load(path))
    for changes in (
        {"ft": np.array([[0, 1, 7]])},
        {"ft": np.array([[0, 1, -1]])},
        {"tex_dir": np.zeros((8, 5, 3, 2))},
        {"mean": np.full((8, 6, 3), np.nan)},
        {"vt": np.zeros((7, 3))},
        {"vt": np.full((7, 2), 1e39)},
    ):
        np.savez(path, **(arrays | changes))
        with pytest.raises(FormatError, match="FLAME_texture"):
            flame_companions.load_texture(path)
