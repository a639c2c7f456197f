"""Denoising, control, measures and pictures of faces by their coefficients."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tf_faces.core.errors import InputError
from tf_faces.data import fitted_faces, picture_sets, posed_faces
from tf_faces.data.face_manifold import random_faces
from tf_faces.geometry import cameras, lighting, normals
from tf_faces.metrics import diversity
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.morphable import coefficients, io, raw_form
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.pipelines import face_manifold as pipeline
from tf_faces.pipelines.face_manifold import files as face_files
from tf_faces.viz import painter as pictures


@pytest.fixture(scope="module")
def model():
    return raw_form.load("builtin:tiny")


@pytest.fixture(scope="module")
def manifold():
    return pipeline.FaceManifold(
        denoisers.Denoiser(DenoiserConfig("shape", 199, 1e5), seed=0),
        denoisers.Denoiser(DenoiserConfig("expression", 29), seed=1),
    )


@pytest.fixture(scope="module")
def faces(model):
    return raw_form.draw_faces(model, 6, 0)


# --- denoising and control ------------------------------------------------------------


def test_only_the_groups_of_the_mode_change(manifold, faces):
    for mode, groups in random_faces.MODES.items():
        found = manifold.denoise(faces, mode)
        for group in coefficients.GROUPS:
            same = np.array_equal(found.group(group), faces.group(group))
            assert same == (group not in groups), (mode, group)
        assert found.names == faces.names


def test_passes_and_blend(manifold, faces):
    once = manifold.project("shape", faces.shape)
    twice = manifold.project("shape", faces.shape, passes=2)
    np.testing.assert_array_equal(twice, manifold.project("shape", once))
    half = manifold.project("shape", faces.shape, blend=0.5)
    np.testing.assert_allclose(half, (once + faces.shape) / 2, rtol=1e-4, atol=1)
    none = manifold.project("shape", faces.shape, blend=0)
    np.testing.assert_allclose(none, faces.shape, rtol=1e-6)
    for wrong in ({"passes": 0}, {"blend": 1.5}):
        with pytest.raises(InputError, match="must"):
            manifold.project("shape", faces.shape, **wrong)


def test_denoisers_must_be_given_for_their_group(manifold, faces):
    with pytest.raises(InputError, match="no denoiser for shape"):
        pipeline.FaceManifold().denoise(faces, "shape")
    with pytest.raises(InputError, match="given for shape is one for expression"):
        pipeline.FaceManifold(shape=manifold.expression).denoise(faces, "both")
    with pytest.raises(InputError, match="mode must be one of"):
        manifold.denoise(faces, "texture")


def test_completion_keeps_what_is_fixed(manifold):
    fixed = np.zeros(29, bool)
    fixed[[0, 5]] = True
    known = np.arange(29.0)
    starts = np.random.default_rng(0).standard_normal((7, 29))
    found = manifold.complete("expression", known, fixed, starts=starts, passes=4)
    assert found.shape == (7, 29)
    np.testing.assert_array_equal(found[:, fixed], np.tile([0.0, 5.0], (7, 1)))
    # One pass by hand.
    one = manifold.complete("expression", known, fixed, starts=starts, passes=1)
    mixed = np.where(fixed, known, starts)
    expected = manifold.project("expression", mixed.astype(np.float32))
    np.testing.assert_array_equal(one[:, ~fixed], expected[:, ~fixed])
    with pytest.raises(InputError, match="no coefficient is fixed"):
        manifold.complete("expression", known, ~fixed & fixed, starts=starts)
    with pytest.raises(InputError, match=r"fixed must have shape \[29\]"):
        manifold.complete("expression", known, fixed[:5], starts=starts)


def test_interpolation_begins_and_ends_at_the_faces(manifold, faces):
    first, second = faces.shape[:2]
    walk = manifold.interpolate("shape", first, second, 5)
    np.testing.assert_allclose(walk[[0, -1]], [first, second], rtol=1e-5, atol=0.1)
    projected = manifold.interpolate("shape", first, second, 5, exact_ends=False)
    np.testing.assert_allclose(
        projected[2],
        manifold.project("shape", (first + second)[None] / 2)[0],
        rtol=1e-5,
    )
    with pytest.raises(InputError, match="steps"):
        manifold.interpolate("shape", first, second, 1)


def test_random_faces_follow_the_mode(model):
    deviations = random_faces.SamplingDeviations.of_model(model)
    rng = np.random.default_rng(0)
    found = random_faces.uniform_faces(rng, deviations, 4000, "shape", 6, 6)
    spread = np.asarray(deviations.shape, np.float64)
    assert np.abs(found.shape / spread).max() <= 3
    np.testing.assert_allclose(found.shape.std(axis=0) / spread, np.sqrt(3), rtol=0.1)
    np.testing.assert_allclose(found.expression.std(axis=0), 1, rtol=0.1)
    largest = deviations.texture / deviations.texture.max()
    np.testing.assert_allclose(found.texture.std(axis=0), 2 * largest, rtol=0.1)
    with pytest.raises(InputError, match="shape range"):
        random_faces.uniform_faces(rng, deviations, 4, "shape", -1)


# --- measures -------------------------------------------------------------------------


def test_nearest_is_the_nearest():
    rng = np.random.default_rng(0)
    queries, references = rng.standard_normal((50, 4)), rng.standard_normal((30, 4))
    expected = np.linalg.norm(queries[:, None] - references, axis=2).min(axis=1)
    np.testing.assert_allclose(diversity.nearest(queries, references), expected)
    assert diversity.nearest(references, references).max() == 0


def test_vertex_metric_is_the_distance_of_the_meshes(model, faces):
    for group in ("shape", "expression"):
        metric = diversity.vertex_metric(model, group)
        values = faces.group(group)
        a, b = (model.vertices(**{f"{group}_coefficients": values[i]}) for i in (0, 1))
        expected = np.sqrt(np.square(a - b).sum(axis=1).mean()) / 1000
        found = np.linalg.norm((values[0] - values[1]) @ metric)
        assert found == pytest.approx(expected, rel=1e-3)


def test_mahalanobis_of_a_known_law():
    rng = np.random.default_rng(0)
    mixing = np.array([[2.0, 0, 0], [1, 0.5, 0], [0, 0, 10]])
    real = rng.standard_normal((20000, 3)) @ mixing.T + 5
    probe = rng.standard_normal((100, 3)) @ mixing.T * 2
    inverse = np.linalg.inv(mixing @ mixing.T)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", probe - 5, inverse, probe - 5))
    np.testing.assert_allclose(diversity.mahalanobis(probe, real), expected, rtol=0.05)


def test_covariance_is_shrunk_where_faces_are_few():
    rng = np.random.default_rng(0)
    few = rng.standard_normal((20, 40))
    _, covariance = diversity.shrunk_covariance(few)
    assert np.linalg.eigvalsh(covariance).min() > 0.01
    assert np.isfinite(diversity.mahalanobis(few, few)).all()


def test_measures_tell_sets_apart(model):
    rng = np.random.default_rng(0)
    spread = np.asarray(model.shape_deviations, np.float64)
    real, unseen, like, narrow, wide = (
        rng.standard_normal((300, len(spread))) * spread * scale
        for scale in (1, 1, 1, 0.3, 3)
    )
    metric = diversity.vertex_metric(model, "shape")
    found = {
        name: diversity.measure(values, real, unseen, metric)
        for name, values in {"like": like, "narrow": narrow, "wide": wide}.items()
    }
    assert found["like"].trace_ratio == pytest.approx(1, abs=0.15)
    assert found["narrow"].trace_ratio == pytest.approx(0.09, rel=0.15)
    assert found["wide"].trace_ratio == pytest.approx(9, rel=0.15)
    assert found["like"].mahalanobis == pytest.approx(1, abs=0.1)
    assert found["wide"].mahalanobis > 2.5 > 0.5 > found["narrow"].mahalanobis
    assert found["narrow"].specificity < found["like"].specificity
    assert found["like"].specificity < found["wide"].specificity
    assert found["like"].generalisation < found["wide"].generalisation
    text = diversity.table(found)
    assert text.splitlines()[0].split() == ["set", *diversity.COLUMNS]
    assert len(text.splitlines()) == 4
    with pytest.raises(InputError, match="at least 2 faces"):
        diversity.trace(real[:1])


def test_plane_is_that_of_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition")
    values = np.random.default_rng(0).standard_normal((40, 6)) * [9, 5, 1, 1, 1, 1]
    ours = diversity.on_plane(values, diversity.principal_plane(values))
    theirs = decomposition.PCA(2, svd_solver="full").fit_transform(values)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=1e-9, atol=1e-9)
    _, directions = diversity.principal_plane(values)
    assert (directions.max(axis=1) >= -directions.min(axis=1)).all()


@pytest.mark.parametrize("method", diversity.EMBEDDINGS)
def test_embeddings(method):
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    sets = {"a": rng.standard_normal((12, 5)), "b": rng.standard_normal((9, 5)) + 30}
    placed = diversity.embed(sets, method)
    assert {name: values.shape for name, values in placed.items()} == {
        "a": (12, 2),
        "b": (9, 2),
    }
    if method == "pca":
        assert abs(placed["a"][:, 0].mean() - placed["b"][:, 0].mean()) > 30
    with pytest.raises(InputError, match="method must be"):
        diversity.embed(sets, "umap")


# --- pictures -------------------------------------------------------------------------


def test_painter_is_the_reference_lighting(model, faces, monkeypatch):
    monkeypatch.setattr(pictures, "_VERTICES_A_BLOCK", 700)  # Several, the last short.
    painter = pictures.Painter(model)
    vertices = model.vertices(faces.shape, faces.expression) * np.float32(0.001)
    albedo = pictures.colors(model, faces.texture)
    lamps = np.float32(lighting.FACE_MANIFOLD_LIGHT_POSITIONS)
    intensities = np.float32(lighting.FACE_MANIFOLD_LIGHT_INTENSITIES)
    moved = lamps + np.arange(len(faces), dtype=np.float32)[:, None, None]
    found_normals = painter.normals(vertices)
    found = painter.light(vertices, albedo, moved, intensities, 0.1)
    for row in range(len(faces)):
        reference_normals = normals.vertex_normals_face3d(
            vertices[row], model.triangles
        )
        np.testing.assert_allclose(
            found_normals[..., row].T, reference_normals, atol=2e-5
        )
        expected = lighting.point_lights(
            vertices[row],
            reference_normals,
            albedo[row],
            moved[row],
            intensities,
            ambient=0.1,
        )
        np.testing.assert_allclose(found[row], expected, atol=3e-5)


def test_normals_that_cancel_point_along_x(model):
    flat = np.zeros((2, model.vertex_count, 3), np.float32)
    found = pictures.Painter(model).normals(flat)
    assert np.array_equal(found[0], np.ones_like(found[0]))
    assert not found[1:].any()


def test_pictures_show_faces_in_any_number(model, faces, monkeypatch):
    view = pictures.View().resized(64)
    whole = pictures.render(model, faces, view)
    assert whole.images.shape == (6, 64, 64, 3) and whole.mask.dtype == bool
    assert 0.2 < whole.mask.mean() < 0.8
    assert not whole.images[~whole.mask].any()
    monkeypatch.setattr(pictures, "FACES_A_PIECE", 4)
    np.testing.assert_allclose(
        pictures.render(model, faces, view).images, whole.images, atol=1e-5
    )


def test_faces_of_another_model_are_refused(model):
    other = FaceCoefficients(np.zeros((1, 400)), np.zeros((1, 29)))
    with pytest.raises(InputError, match="400 shape coefficients.*has 199"):
        pictures.render(model, other)
    with pytest.raises(InputError, match="must have pixels"):
        pictures.View(0, 10)


@pytest.mark.parametrize("form", face_files.FORMS)
def test_files_of_faces(tmp_path, model, faces, form):
    two = faces.take(slice(0, 2))
    named = face_files.FaceFiles(tmp_path / "new", ["a", "b"], two)
    paths = face_files.write_faces([named], model, form)
    suffix = "jpg" if form == "images" else form
    assert [path.name for path in paths] == [f"a.{suffix}", f"b.{suffix}"]
    if form == "images":
        with Image.open(paths[0]) as picture:
            assert picture.size == (256, 256) and picture.mode == "RGB"
    else:
        from tf_faces.geometry import mesh_files

        mesh = mesh_files.read_mesh(paths[1]).to_unit("mm")
        expected = model.to_unit("mm").vertices(two.shape[1], two.expression[1])
        np.testing.assert_allclose(
            np.sort(mesh.vertices, axis=0), np.sort(expected, axis=0), atol=1e-2
        )
        again = face_files.write_faces([named], model, form, unit="cm")
        mesh = mesh_files.read_mesh(again[1])
        assert mesh.unit == ("m" if form == "glb" else "cm")
        np.testing.assert_allclose(
            np.ptp(mesh.to_unit("mm").vertices, 0), np.ptp(expected, 0), rtol=1e-5
        )
    with pytest.raises(InputError, match="form must be"):
        face_files.write_faces([named], model, "stl")


def test_sets_share_no_more_than_their_colours(tmp_path, model, faces, monkeypatch):
    """Three sets in one call: the same pictures as one by one."""
    monkeypatch.setattr(pictures, "FACES_A_PIECE", 4)
    view = pictures.View().resized(64)
    changed = faces.replace(shape=faces.shape * 0.3)
    # Another texture, and no face in the second piece.
    other = changed.take(slice(0, 3))
    other = other.replace(texture=other.texture + 1)
    sets = {"a": faces, "b": changed, "c": other}
    counted = []
    for folder, groups in (
        ("together", [list(sets.items())]),
        ("alone", [[item] for item in sets.items()]),
    ):
        for group in groups:
            named = [
                face_files.FaceFiles(
                    tmp_path / folder / name, "012345"[: len(part)], part
                )
                for name, part in group
            ]
            face_files.write_faces(named, model, view=view, done=counted.append)
    assert sum(counted) == 2 * 15
    found, expected = (
        {
            path.relative_to(tmp_path / folder): path.read_bytes()
            for path in (tmp_path / folder).rglob("*.jpg")
        }
        for folder in ("together", "alone")
    )
    assert found == expected and len(found) == 15


# --- sets of pictures with ground truth -----------------------------------------------


def _write_set(folder, faces, workers=1, **options):
    return picture_sets.write_set(
        folder,
        "builtin:tiny",
        faces.replace(names=None),
        picture_sets.PictureOptions(size=64, **options),
        workers=workers,
    )


def test_ground_truth_is_exact(tmp_path, model, faces):
    """The .mat alone rebuilds the landmarks and the depth of the picture."""
    assert _write_set(tmp_path / "set", faces) == 6
    for row in range(6):
        name = f"synthetic_{row + 1:06d}"
        stored = scipy.io.loadmat(tmp_path / "set/synthetic" / f"{name}.mat")
        np.testing.assert_allclose(stored["Shape_Para"][:, 0], faces.shape[row])
        shape, expression = stored["Shape_Para"].T, stored["Exp_Para"].T
        vertices = model.vertices(shape[0], expression[0])
        pose = stored["Pose_Para"][0]
        placed = np.asarray(cameras.project_pose(vertices, pose, np.float32(64)))
        points = placed[model.landmarks68]
        np.testing.assert_allclose(stored["pt2d"].T, points[:, :2], atol=1e-2)
        np.testing.assert_allclose(stored["pt3d_68"].T, points, atol=1e-2)
        with Image.open(tmp_path / "set/depth" / f"{name}.png") as picture:
            depth = posed_faces.depth_from_bytes(np.array(picture))
        with Image.open(tmp_path / "set/masks" / f"{name}.png") as picture:
            mask = np.array(picture) == 255
        np.testing.assert_array_equal(mask, ~np.isnan(depth))
        assert 0.1 < mask.mean() < 0.9
        # A visible landmark lies on the surface that the depth picture shows.
        visible = stored["visible68"][0].astype(bool)
        assert visible.sum() > 20
        column, line = np.rint(points[visible, :2]).astype(int).T
        seen = mask[line, column]
        behind = depth[line, column][seen] - points[visible, 2][seen]
        assert behind.max() < posed_faces.VISIBLE_WITHIN + 0.1
        with Image.open(tmp_path / "set/synthetic" / f"{name}.jpg") as picture:
            assert picture.size == (64, 64)
        assert stored["pt2d"].shape == (2, 68) and stored["roi"].shape == (1, 4)
        assert stored["Illum_Para"].shape == (1, 10)
        assert stored["Color_Para"].shape == (1, 7)
    again = fitted_faces.read_mat_folder(tmp_path / "set")
    np.testing.assert_allclose(again.faces.expression, faces.expression)


@pytest.mark.parametrize("look", ["photograph", "plain"])
def test_both_looks_show_the_given_faces(tmp_path, model, faces, look):
    folder = tmp_path / "set"
    assert _write_set(folder, faces, look=look, yaw=20.0) == 6
    assert _write_set(folder, faces, look=look, yaw=20.0) == 0
    for row in (0, 5):
        path = folder / "synthetic" / f"synthetic_{row + 1:06d}.mat"
        stored = scipy.io.loadmat(path)
        np.testing.assert_allclose(stored["Shape_Para"][:, 0], faces.shape[row])
        np.testing.assert_allclose(stored["Exp_Para"][:, 0], faces.expression[row])
        vertices = model.vertices(faces.shape[row], faces.expression[row])
        placed = cameras.project_pose(vertices, stored["Pose_Para"][0], np.float32(64))
        points = np.asarray(placed)[model.landmarks68]
        np.testing.assert_allclose(stored["pt2d"].T, points[:, :2], atol=1e-2)
        with Image.open(path.with_suffix(".jpg")) as picture:
            border = np.array(picture)[:4]
        assert (border.mean() > 20) == (look == "photograph")
        assert (folder / "depth" / f"{path.stem}.png").is_file()
    with pytest.raises(InputError, match="other options"):
        _write_set(
            folder, faces, yaw=20.0, look={"plain": "photograph"}.get(look, "plain")
        )


def test_photographs_cannot_turn_as_far_as_plain_heads(tmp_path, faces):
    with pytest.raises(InputError, match="yaw must lie in 0..90"):
        _write_set(tmp_path / "set", faces, look="photograph", yaw=120.0)
    with pytest.raises(InputError, match="look must be one of plain, photograph"):
        _write_set(tmp_path / "set", faces, look="painting")


@pytest.mark.parametrize("size", [64, 256, 2048])
def test_depth_pictures_hold_any_depth_of_a_face(size):
    depth = np.linspace(-size, 0.999 * size, size * 8).reshape(8, size)
    mask = np.ones_like(depth, bool)
    mask[2] = False
    stored = posed_faces.depth_to_bytes(depth, mask)
    assert stored.dtype == np.uint16
    found = posed_faces.depth_from_bytes(stored)
    np.testing.assert_array_equal(np.isnan(found), ~mask)
    np.testing.assert_allclose(found[mask], depth[mask], atol=0.51 * size / 2**14)


def test_an_interrupted_set_goes_on(tmp_path, faces):
    folder = tmp_path / "set"
    _write_set(folder, faces)
    before = {path.name: path.read_bytes() for path in folder.rglob("*.*")}
    for name in ("synthetic_000002.mat", "synthetic_000005.mat"):
        (folder / "synthetic" / name).unlink()
    (folder / "synthetic" / "synthetic_000005.jpg").write_bytes(b"half")
    assert _write_set(folder, faces) == 2
    assert _write_set(folder, faces) == 0
    after = {path.name: path.read_bytes() for path in folder.rglob("*.*")}
    assert set(after) == set(before)
    for name, content in before.items():
        if not name.endswith(".mat"):  # These hold the time of writing.
            assert after[name] == content, name
    stored = picture_sets.stored_faces(folder)
    np.testing.assert_array_equal(stored.shape, faces.shape)
    assert picture_sets.stored_faces(tmp_path) is None


def test_sets_are_not_mixed(tmp_path, faces):
    folder = tmp_path / "set"
    _write_set(folder, faces)
    with pytest.raises(InputError, match="other options"):
        _write_set(folder, faces, yaw=10)
    with pytest.raises(InputError, match="other faces"):
        _write_set(folder, faces.replace(shape=faces.shape + 1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        _write_set(tmp_path / "full", faces)
    with pytest.raises(InputError, match="size must be"):
        picture_sets.PictureOptions(size=4)
    with pytest.raises(InputError, match="yaw must be"):
        picture_sets.PictureOptions(yaw=200)


@pytest.mark.parametrize("name", ["", ".a", "..", "a/b", "a\0b", "x" * 201, "b"])
def test_names_that_cannot_be_files(tmp_path, faces, name):
    named = faces.replace(names=[name, *"bcdef"])
    with pytest.raises(InputError, match="name of a file of at|two faces named 'b'"):
        picture_sets.write_set(tmp_path / "set", "builtin:tiny", named, workers=1)
    assert not (tmp_path / "set").exists()


def test_wrong_sets_create_nothing(tmp_path, faces):
    (tmp_path / "file").write_text("mine")
    for changes, words in (
        ({"faces": faces.take([])}, "no faces to draw"),
        ({"faces": faces.replace(shape=faces.shape * np.nan)}, "not finite"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"folder": tmp_path / "file"}, "file: found a file"),
        ({"folder": tmp_path / "file" / "set"}, "file: found a file"),
    ):
        with pytest.raises(InputError, match=words):
            _write_set(**{"folder": tmp_path / "set", "faces": faces, **changes})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_pictures_that_went_away_are_drawn_again(tmp_path, faces):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / ".DS_Store").write_text("of a desktop")
    assert _write_set(tmp_path / "set", faces) == 6
    names = [path.stem for path in sorted((tmp_path / "set/synthetic").glob("*.jpg"))]
    (tmp_path / "set/synthetic" / f"{names[0]}.jpg").unlink()
    (tmp_path / "set/depth" / f"{names[1]}.png").unlink()
    assert _write_set(tmp_path / "set", faces) == 2
    assert _write_set(tmp_path / "set", faces) == 0


@pytest.mark.slow
def test_several_processes_draw_the_same(tmp_path, model):
    faces = raw_form.draw_faces(model, 40, 0)
    _write_set(tmp_path / "one", faces)
    _write_set(tmp_path / "two", faces, workers=2)
    for path in sorted((tmp_path / "one").rglob("*.png")):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        with Image.open(path) as a, Image.open(other) as b:
            difference = np.abs(np.array(a, int) - np.array(b, int))
        # One thread or several: rounding may move an edge by a pixel.
        assert (difference > 1).mean() < 0.002
    assert len(list((tmp_path / "two/synthetic").glob("*.mat"))) == 40


def test_faces_can_come_from_any_model(tmp_path, data_directory):
    source = io.load(data_directory / "ict_facekit" / "ict_facekit.npz")
    model = raw_form.coefficient_model(source)
    faces = raw_form.draw_faces(model, 1, 0)
    rendering = pictures.render(model, faces, pictures.View().resized(96))
    assert 0.1 < rendering.mask.mean() < 0.9


def test_transparent_parts_are_not_drawn(model, faces):
    """Lashes and tear film would hide the eyes of ICT-FaceKit and MakeHuman."""
    plain = pictures.render(model, faces.take(slice(1))).images
    nose = np.asarray(model.vertices(faces.shape[0], faces.expression[0]))[:, 2]
    regions = (nose > np.quantile(nose, 0.9)).astype(np.int32)
    for name, same in (("lips", True), ("eyelashes_left", False)):
        parts = model.replace(region_names=("skin", name), vertex_regions=regions)
        drawn = pictures.render(parts, faces.take(slice(1))).images
        assert np.array_equal(drawn, plain) == same
