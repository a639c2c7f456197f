"""Random draws, training sets on disk and while training, models as they are used."""

import json

import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.face_manifold import dataset, samplers
from tf_faces.morphable import raw_form


def _faces(count=12, length=29):
    return np.random.default_rng(3).standard_normal((count, length))


# --- samplers -------------------------------------------------------------------------


def test_corruption_hits_distinct_random_coordinates():
    clean = np.zeros((20000, 8))
    noisy = samplers.corrupt(np.random.default_rng(0), clean, 2.0)
    counts = np.count_nonzero(noisy, axis=1)
    # Every number of coordinates from 1 to 8 equally often, every coordinate too.
    assert np.bincount(counts, minlength=9)[0] == 0
    np.testing.assert_allclose(np.bincount(counts)[1:] / 20000, 1 / 8, atol=0.012)
    np.testing.assert_allclose((noisy != 0).mean(axis=0), 4.5 / 8, atol=0.015)
    assert noisy[noisy != 0].std() == pytest.approx(2, rel=0.02)


def test_corruption_by_deviations_uses_each_coordinates_own():
    deviations = np.array([1.0, 100.0, 0.0])
    noisy = samplers.corrupt(
        np.random.default_rng(0), np.zeros((5000, 3)), "ev", deviations
    )
    for column, deviation in zip(noisy.T, deviations, strict=True):
        hit = column[column != 0]
        if deviation:
            assert hit.std() == pytest.approx(deviation, rel=0.06)
        else:
            assert not hit.size


def test_draws_have_the_promised_spread():
    rng = np.random.default_rng(0)
    deviations = np.array([3.0, 1.0, 0.5])
    wide = samplers.uniform(rng, deviations, 40000, 10, mean=2)
    assert np.abs(wide - 2).max() <= 5 * 3.0
    np.testing.assert_allclose(
        wide.std(axis=0), deviations * 10 / np.sqrt(12), rtol=0.02
    )
    plain = samplers.normal(rng, deviations, 40000, variance=4)
    np.testing.assert_allclose(plain.std(axis=0), 2 * deviations, rtol=0.02)


@pytest.mark.parametrize("sigma", [-1.0, np.nan, "sigma", "ev"])
def test_wrong_sigmas(sigma):
    with pytest.raises(InputError, match="sigma"):
        samplers.corrupt(np.random.default_rng(0), np.zeros((2, 3)), sigma)


def test_wrong_deviations():
    for values in ([], [np.nan, 1], [0.0, 0.0]):
        with pytest.raises(InputError, match="expression deviations"):
            samplers.sampling_deviations("expression", values)


def test_original_normal_draws_are_legacy_numpys():
    """An unsorted spectrum permutes which draw goes where, as it did there."""
    deviations = np.array([1.0, 3.0, 2.0, 2.0], np.float32) * 1000
    reference = np.random.RandomState(7).multivariate_normal(
        np.zeros(4), np.diag((deviations**2).astype(np.int64))
    )
    found = samplers.OriginalDraws(7).normal("shape", deviations)
    np.testing.assert_allclose(found, reference, rtol=1e-12)


# --- sets on disk ---------------------------------------------------------------------


@pytest.mark.parametrize("form", dataset.FORMATS)
def test_sets_hold_the_rows_in_order(tmp_path, form):
    faces = _faces()
    recipe = dataset.original_recipe("expression", copies=7, test_faces=4, seed=5)
    names = [f"n{row}" for row in range(12)]
    folder = dataset.write_dataset(
        tmp_path, faces, recipe, form=form, names=names, rows_a_shard=10
    )
    noisy = np.concatenate(
        [piece[0] for piece in dataset.corrupted_rows(faces, recipe)]
    )
    for part, chosen in (("train", slice(0, 56)), ("test", slice(56, 84))):
        pairs = dataset.read_pairs(tmp_path, "expression", part)
        np.testing.assert_allclose(pairs.noisy, noisy[chosen], rtol=1e-6)
        np.testing.assert_allclose(
            pairs.labels, np.repeat(faces, 7, axis=0)[chosen], rtol=1e-6
        )
        np.testing.assert_array_equal(
            dataset.read_pairs(folder, "expression", part).noisy, pairs.noisy
        )
    assert dataset.verify(folder) == (4 if form == "npy" else 6 + 3)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["names"] == names and manifest["recipe"]["seed"] == 5
    with pytest.raises(InputError, match="exists"):
        dataset.write_dataset(tmp_path, faces, recipe, form=form)


def test_rows_do_not_depend_on_the_pieces():
    recipe = dataset.original_recipe("expression", copies=5)
    found = []
    for piece in (1, 7, 1000):
        parts = list(dataset.corrupted_rows(_faces(), recipe, piece))
        found.append(np.concatenate([noisy for noisy, _ in parts]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_an_interrupted_set_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        yield np.zeros((3, 29)), np.zeros((3, 29))
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "corrupted_rows", interrupted)
    recipe = dataset.original_recipe("expression", test_faces=2)
    with pytest.raises(KeyboardInterrupt):
        dataset.write_dataset(tmp_path, _faces(), recipe)
    assert list(tmp_path.iterdir()) == []


def test_too_few_faces(tmp_path):
    recipe = dataset.original_recipe("shape")
    with pytest.raises(InputError, match="found 12 faces, expected more than the 600"):
        dataset.write_dataset(tmp_path, _faces(), recipe)
    for values in ({"copies": 0}, {"test_faces": -1}):
        with pytest.raises(InputError, match="must be"):
            dataset.original_recipe("shape", **values)
    with pytest.raises(InputError, match="group must be"):
        dataset.original_recipe("exp")


def test_damaged_sets(tmp_path):
    recipe = dataset.original_recipe("expression", copies=4, test_faces=2)
    folder = dataset.write_dataset(tmp_path, _faces(), recipe, rows_a_shard=10)
    with pytest.raises(InputError, match="dataset_shape/train"):
        dataset.read_pairs(tmp_path, "shape", "train")
    # The folder of the other group, given as such.
    with pytest.raises(FormatError, match="of expression coefficients, expected shape"):
        dataset.read_pairs(folder, "shape", "train")
    first = folder / "train/00000-of-00004.npz"
    content = first.read_bytes()
    first.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(FormatError, match="00000-of-00004.npz.*SHA-256"):
        dataset.verify(folder)
    first.unlink()
    with pytest.raises(FormatError, match="found 3 of 4 shards"):
        dataset.read_pairs(folder, "expression", "train")
    with pytest.raises(FormatError, match="00000-of-00004.npz: missing"):
        dataset.verify(folder)


def test_the_originals_arrays_are_read(tmp_path):
    """Files of the original program have no manifest."""
    folder = tmp_path / "dataset_shape/train"
    folder.mkdir(parents=True)
    rows = _faces(6, 199)
    np.save(folder / "noisy.npy", rows)
    np.save(folder / "labels.npy", rows * 2)
    pairs = dataset.read_pairs(tmp_path, "shape", "train")
    np.testing.assert_array_equal(pairs.labels, rows * 2)
    np.save(folder / "labels.npy", rows[:3])
    with pytest.raises(InputError, match="as many numbers"):
        dataset.read_pairs(tmp_path, "shape", "train")
    np.save(folder / "labels.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(FormatError, match="labels.npy"):
        dataset.read_pairs(tmp_path, "shape", "train")


def test_fresh_rows_are_functions_of_seed_epoch_and_batch():
    rows = dataset.FreshPairs(_faces(), (0.1, 2.0), copies=3, seed=1)
    assert len(rows) == 36
    order = np.arange(10)
    first, labels = rows.batch(order, 2, 5)
    again, _ = rows.batch(order, 2, 5)
    other, _ = rows.batch(order, 3, 5)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(labels, _faces()[order // 3])
    assert rows.digest() != dataset.FreshPairs(_faces(), 2.0, 3, 1).digest()
    with pytest.raises(InputError, match="rising"):
        dataset.FreshPairs(_faces(), (2.0, 0.1))


# --- face models ----------------------------------------------------------------------


def test_bfm_like_models_stay_as_they_are():
    model = raw_form.load("builtin:tiny")
    assert (model.unit, model.winding, model.coefficient_kind) == ("um", "cw", "raw")
    basis = model.shape_basis.reshape(-1, model.shape_count).astype(np.float64)
    np.testing.assert_allclose(basis.T @ basis, np.eye(199), atol=1e-3)


def test_unit_models_become_orthonormal_with_the_same_faces(data_directory):
    from tf_faces.morphable import io

    source = io.load(data_directory / "ict_facekit" / "ict_facekit.npz")
    model = raw_form.coefficient_model(source)
    assert (model.unit, model.winding, model.coefficient_kind) == ("um", "cw", "raw")
    basis = model.shape_basis.reshape(-1, model.shape_count).astype(np.float64)
    np.testing.assert_allclose(basis.T @ basis, np.eye(100), atol=1e-3)
    # The law stays: the same spread of every vertex.
    rows = np.arange(0, model.vertex_count, 997)
    ours = np.square(model.shape_basis[rows] * model.shape_deviations).sum(axis=2)
    theirs = np.square(source.to_unit("um").shape_basis[rows]).sum(axis=2)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3)
    faces = raw_form.draw_faces(model, 50, 0)
    assert faces.expression.shape == (50, 53)
    assert faces.texture.shape == (50, model.texture_count)


def test_drawn_faces_are_the_same_for_every_count():
    model = raw_form.load("builtin:tiny")
    few, many = (raw_form.draw_faces(model, count, 3) for count in (4, 40))
    np.testing.assert_array_equal(few.shape, many.shape[:4])
    with pytest.raises(InputError, match="at least 1"):
        raw_form.draw_faces(model, 0, 3)
