"""Faces of position maps, and the way from a picture to them."""

import dataclasses
import sys
import types

import numpy as np
import pytest

from tf_faces.core.errors import InputError, MissingDependencyError
from tf_faces.data.prnet import layout
from tf_faces.geometry import rotations
from tf_faces.models import prnet as models
from tf_faces.models.prnet import inference
from tf_faces.morphable import io as morphable
from tf_faces.pipelines import detectors, prnet
from tf_faces.pipelines.prnet import drawing, texture_editing

HEIGHT, WIDTH = 90, 100
ANGLES = np.radians([6.0, 20.0, -8.0])


@pytest.fixture(scope="module")
def uv_layout():
    return layout.model_layout(morphable.load("builtin:tiny"), 64)


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def posed(uv_layout, angles=ANGLES, shift=(50.0, 45.0, 30.0)):
    rotation = rotations.rotation_z(angles[2]) @ rotations.rotation_y(angles[1])
    rotation = rotation @ rotations.rotation_x(angles[0])
    centred = uv_layout.canonical - uv_layout.canonical.mean(axis=0)
    scale = 60 / np.ptp(centred[:, 1])
    vertices = scale * centred @ rotation.T + np.array(shift)
    return prnet.Face(uv_layout.to_map(vertices), uv_layout, (HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def face(uv_layout):
    return posed(uv_layout)


def test_pose_is_that_of_the_face(face):
    # Of R = Rz(c) Ry(b) Rx(a) the original tells (-b, a, c).
    a, b, c = ANGLES
    np.testing.assert_allclose(face.pose.angles, [-b, a, c], atol=1e-9)
    np.testing.assert_allclose(face.pose.degrees, [-20, 6, -8], atol=1e-6)
    canonical = np.c_[face.layout.canonical, np.ones(len(face.vertices))]
    np.testing.assert_allclose(canonical @ face.pose.camera.T, face.vertices, atol=1e-8)


def test_frontal_vertices_and_depth(face):
    for rigid in (False, True):
        np.testing.assert_allclose(
            face.frontal(rigid), face.layout.canonical, rtol=0, atol=1e-3
        )
    depth = face.depth()
    assert depth.shape == (HEIGHT, WIDTH)
    seen = depth[depth != 0]
    assert face.vertices[:, 2].min() <= seen.min() < seen.max()
    assert seen.max() <= face.vertices[:, 2].max()
    x, y, z = face.landmarks[30]
    assert depth[round(y), round(x)] == pytest.approx(z, abs=2)


def test_half_of_a_turned_face_is_visible(uv_layout):
    turned = posed(uv_layout, np.radians([0.0, 70.0, 0.0]))
    hidden = ~turned.landmark_visibility
    # Turned to one side: of the jaw's two ends one is hidden, the other is not.
    assert hidden[0] != hidden[16]
    front = posed(uv_layout, np.zeros(3))
    assert front.landmark_visibility.mean() > 0.9
    assert turned.visible_map().sum() < front.visible_map().sum()


def test_colors_and_texture_come_from_the_picture(face, image):
    colors = face.colors(image)
    assert colors.dtype == np.uint8
    x, y = np.rint(face.vertices[100, :2]).astype(int)
    np.testing.assert_array_equal(colors[100], image[y, x])
    before = face.vertices.copy()
    texture = face.texture(image, interpolation="nearest")
    np.testing.assert_array_equal(face.layout.at_vertices(texture), colors)
    np.testing.assert_array_equal(face.vertices, before)
    assert face.texture(image / 255.0, 32).shape == (32, 32, 3)
    masked = face.texture(image / 255.0, mask=np.zeros((64, 64)))
    assert not masked.any()
    with pytest.raises(InputError, match="belongs to a picture of 90 rows"):
        face.colors(image[:-1])
    with pytest.raises(InputError, match="positive size, found 0"):
        face.texture(image, 0)


def test_mesh_faces_the_viewer(face, image):
    texture = face.texture(image, interpolation="nearest").astype(np.uint8)
    for given in (None, texture):
        mesh = face.mesh(image, given)
        corners = mesh.vertices[mesh.triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (normals[:, 2] > 0).mean() > 0.6
        np.testing.assert_allclose(
            mesh.vertices[:, 1], HEIGHT - 1 - face.vertices[:, 1], rtol=1e-5
        )


def test_mesh_before_its_photograph(face, image):
    mesh = drawing.mesh_over(face, image)
    own = face.mesh(image)
    np.testing.assert_array_equal(mesh.vertices[:-4], own.vertices)
    np.testing.assert_array_equal(mesh.triangles[:-2], own.triangles)
    corners, texture = mesh.vertices[-4:], mesh.texture
    # Each pixel of the rectangle is that of the picture at its place.
    left, bottom = corners.min(axis=0)[:2] + 0.5
    right, top = corners.max(axis=0)[:2] - 0.5
    columns = np.arange(int(left), int(right) + 1)
    rows = HEIGHT - 1 - np.arange(int(top), int(bottom) - 1, -1)
    np.testing.assert_array_equal(texture[: len(rows)], image[np.ix_(rows, columns)])
    assert (corners[:, 2] == own.vertices[:, 2].min()).all()
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    assert normal[2] > 0
    u, v = mesh.texture_coordinates.T
    grey = texture[((1 - v[:-4]) * len(texture)).astype(int), 0]
    assert (grey == grey[0]).all() and (grey[0] == grey[0, 0]).all()
    assert v[-3] == v[-2] == (len(texture) - len(rows)) / len(texture)
    # A face far from the picture has all of it behind.
    away = dataclasses.replace(face, position_map=face.position_map + [500.0, 0, 0])
    shown = drawing.mesh_over(away, image)
    assert shown.texture.shape[1] == WIDTH and len(shown.texture) > HEIGHT


# --- from pictures --------------------------------------------------------------------


@pytest.fixture(scope="module")
def reconstructor(uv_layout):
    config = models.PositionMapConfig(resolution=64, map_resolution=64, width=2)
    network = inference.fold(models.create(config, seed=0))
    return prnet.Reconstructor(network, uv_layout)


def test_batches_of_pictures_of_different_sizes(reconstructor, image):
    images = [image, image[:70], image[:, :60]]
    crops = [
        reconstructor.crops(one, box=(10, 50 + number, 5, 60))[0]
        for number, one in enumerate(images)
    ]
    together = reconstructor.reconstruct(images, crops)
    for one, crop, found in zip(images, crops, together, strict=True):
        assert found.image_size == one.shape[:2] and found.crop is crop
        (alone,) = reconstructor.reconstruct([one], [crop], batch=1)
        np.testing.assert_allclose(alone.position_map, found.position_map, atol=1e-3)
        predicted = reconstructor.network.predict(crop.cut(one / 255)[None])
        expected = crop.to_image(predicted[0])
        np.testing.assert_allclose(found.position_map, expected, atol=1e-3)


def test_many_pictures_pass_the_network_together(reconstructor, image, monkeypatch):
    images = [image, image[:70], image[:, :60]] * 4
    boxes = [(10, 50 + number, 5, 60) for number in range(12)]
    found = [[(10, 12, 50, 55)] * (number % 3) for number in range(12)]
    turn = iter(found)
    several = prnet.Reconstructor(
        reconstructor.network, reconstructor.layout, lambda picture: next(turn)
    )
    calls = []

    def predict(crops, piece):
        calls.append(len(crops))
        return np.zeros((len(crops), 64, 64, 3), np.float32)

    monkeypatch.setattr(reconstructor.network, "predict", predict)
    faces = list(several.each(iter(images)))
    assert [len(one) for one in faces] == [len(boxes) for boxes in found]
    for one, picture in zip(faces, images, strict=True):
        assert all(face.image_size == picture.shape[:2] for face in one)
    # Twelve crops: of eight pictures, which have seven faces, then of the rest.
    assert calls == [7, 5]
    calls.clear()
    given = reconstructor.each(np.stack([image] * 12), boxes=boxes)
    for (one,), box in zip(given, boxes, strict=True):
        assert [one.crop] == reconstructor.crops(image, box=box)
    assert calls == [8, 4]
    marks = [None, np.array([[20.0, 30.0], [60.0, 70.0]])]
    with pytest.raises(InputError, match="no detector"):
        list(reconstructor.each(images[:2], landmarks=marks))
    with pytest.raises(InputError, match="as many as pictures, found 2"):
        list(reconstructor.each(images, boxes=boxes[:2]))
    assert list(reconstructor.each([])) == []


def test_key_points_give_the_box_around_them(reconstructor, image):
    points = np.array([[20.0, 30.0], [60.0, 70.0], [40, 50], [30, 60]])
    for given in (points, points.T, np.c_[points, points[:, :1]]):
        (crop,) = reconstructor.crops(image, landmarks=given)
        (expected,) = reconstructor.crops(image, box=(20, 60, 30, 70))
        assert crop == expected


def test_detectors_find_several_faces_or_none(reconstructor, image):
    boxes = [(10, 12, 50, 55), (60, 20, 95, 60)]
    several = prnet.Reconstructor(
        reconstructor.network, reconstructor.layout, lambda picture: boxes
    )
    found = several.faces(image)
    assert len(found) == 2
    side = (40 + 43) / 2
    assert found[0].crop.center == pytest.approx((30, 33.5 + 0.14 * side))
    none = prnet.Reconstructor(
        reconstructor.network, reconstructor.layout, lambda picture: []
    )
    with pytest.raises(InputError, match="no face was found"):
        none.faces(image)
    with pytest.raises(InputError, match="no detector"):
        reconstructor.faces(image)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"box": (200, 260, 10, 60)}, "outside of the picture"),
        ({"box": (50, 10, 10, 60)}, "left < right"),
        ({"box": (1, 2, 3)}, "four finite numbers"),
        ({"box": (1, np.nan, 3, 4)}, "four finite numbers"),
        ({"landmarks": np.zeros((1, 5))}, "key points must have shape"),
        ({"box": (0, 9, 0, 9), "landmarks": np.ones((5, 2))}, "not both"),
    ],
)
def test_places_that_cannot_be(reconstructor, image, given, message):
    with pytest.raises(InputError, match=message):
        reconstructor.faces(image, **given)


def test_pictures_of_all_kinds(image):
    np.testing.assert_array_equal(prnet.as_picture(image), image)
    grey = prnet.as_picture(image[..., 0])
    np.testing.assert_array_equal(grey, image[..., :1].repeat(3, axis=2))
    with_alpha = np.concatenate([image, image[..., :1]], axis=2)
    np.testing.assert_array_equal(prnet.as_picture(with_alpha), image)
    np.testing.assert_array_equal(prnet.as_picture(image / 255.0), image)
    for wrong in (
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 5), np.int32),
        np.full((5, 5), 1.5),
        np.full((5, 5), np.nan),
    ):
        with pytest.raises(InputError, match="a picture"):
            prnet.as_picture(wrong)


def test_named_detectors(monkeypatch, tmp_path, image):
    with pytest.raises(InputError, match="found 'eyes'"):
        detectors.make_detector("eyes")
    for name in ("mtcnn", "my:detector"):
        with pytest.raises(InputError, match=f"{name} takes no weights, found w"):
            detectors.make_detector(name, "w")
    with pytest.raises(InputError, match="needs its weights"):
        detectors.make_detector("dlib")
    monkeypatch.setitem(sys.modules, "mtcnn", None)
    with pytest.raises(MissingDependencyError, match="pip install mtcnn"):
        detectors.make_detector("mtcnn")

    class Found:
        def detect_faces(self, picture):
            assert picture is image
            return [
                {"box": [1, 2, 3, 4], "confidence": 0.5},
                {"box": [5, 6, 7, 8], "confidence": 0.9},
            ]

    fake = types.SimpleNamespace(MTCNN=Found)
    monkeypatch.setitem(sys.modules, "mtcnn", fake)
    boxes = detectors.make_detector("mtcnn")(image)
    assert boxes == [(5, 6, 12, 14), (1, 2, 4, 6)]
    assert [box.certainty for box in boxes] == [0.9, 0.5]
    rectangle = types.SimpleNamespace(
        left=lambda: 1, top=lambda: 2, right=lambda: 3, bottom=lambda: 4
    )

    def load(path):
        assert path.endswith("mmod.dat")
        return lambda picture, times: [types.SimpleNamespace(rect=rectangle)] * times

    fake = types.SimpleNamespace(cnn_face_detection_model_v1=load)
    monkeypatch.setitem(sys.modules, "dlib", fake)
    (tmp_path / "mmod.dat").write_bytes(b"x")
    assert detectors.make_detector("dlib", tmp_path / "mmod.dat")(image) == [
        (1, 2, 3, 4)
    ]


def test_detectors_of_mediapipe(monkeypatch, tmp_path, image):
    with pytest.raises(InputError, match="blaze_face"):
        detectors.make_detector("mediapipe")
    path = tmp_path / "blaze.tflite"
    path.write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingDependencyError, match="pip install mediapipe"):
        detectors.make_detector("mediapipe", path)
    make = types.SimpleNamespace

    def found(x, score):
        box = make(origin_x=x, origin_y=2, width=30, height=40)
        return make(bounding_box=box, categories=[make(score=score)])

    class FaceDetector:
        @staticmethod
        def create_from_options(options):
            assert options.base_options.model_asset_path == str(path)
            faces = make(detections=[found(1, 0.2), found(9, 0.9)])
            return make(detect=lambda given: faces)

    fakes = {
        "mediapipe": make(
            Image=lambda image_format, data: data, ImageFormat=make(SRGB=1)
        ),
        "mediapipe.tasks.python": make(BaseOptions=lambda **given: make(**given)),
        "mediapipe.tasks.python.vision": make(
            FaceDetector=FaceDetector,
            FaceDetectorOptions=lambda **given: make(**given),
        ),
    }
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    boxes = detectors.make_detector("mediapipe", path)(image)
    assert boxes == [(9, 2, 39, 42), (1, 2, 31, 42)]


def test_detectors_of_ones_own(monkeypatch, image):
    fake = types.SimpleNamespace(
        good=lambda picture: [np.array([1, 2, 30, 40])],
        none=lambda picture: [],
        bad=lambda picture: [(1, 2)],
        number=3,
    )
    monkeypatch.setitem(sys.modules, "my_detectors", fake)
    assert detectors.make_detector("my_detectors:good")(image) == [(1, 2, 30, 40)]
    assert detectors.make_detector("my_detectors:none")(image) == []
    with pytest.raises(InputError, match="expected boxes"):
        detectors.make_detector("my_detectors:bad")(image)
    for name, message in (
        ("my_detectors:number", "is no function"),
        ("my_detectors:missing", "was not found"),
        ("no_such_module:f", "was not found"),
        (":", "was not found"),
    ):
        with pytest.raises(InputError, match=message):
            detectors.make_detector(name)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: {}["face"], "failed with KeyError: 'face' .on a picture of 40 x 30"),
        (lambda _: 1 / 0, "failed with ZeroDivisionError: division by zero"),
        (lambda _, more: [], "failed with TypeError"),
        (lambda _: None, "failed with TypeError: 'NoneType' object is not iterable"),
        (lambda _: [("a", "b", "c", "d")], "returned something else than boxes"),
        (lambda _: [(1, 2, 3, 4), (1, 2)], "returned something else than boxes"),
        (lambda _: [(1, 2, 3, np.nan)], r"returned \(1, 4\), expected boxes"),
    ],
)
def test_detectors_that_fail_are_named(monkeypatch, answer, message):
    monkeypatch.setitem(sys.modules, "my_d", types.SimpleNamespace(f=answer))
    detect = detectors.make_detector("my_d:f")
    with pytest.raises(InputError, match=f"the detector my_d:f {message}"):
        detect(np.zeros((30, 40, 3), np.uint8))


def test_detectors_that_cannot_be_imported_are_named(monkeypatch, tmp_path):
    (tmp_path / "broken_detector.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="broken_detector:f failed with SyntaxError"):
        detectors.make_detector("broken_detector:f")
    (tmp_path / "failing_detector.py").write_text("raise RuntimeError('no camera')\n")
    with pytest.raises(InputError, match="RuntimeError: no camera, when it was impor"):
        detectors.make_detector("failing_detector:f")


def test_weights_of_detectors_that_are_damaged(monkeypatch, tmp_path):
    def damaged(path):
        raise RuntimeError("unsupported version")

    fake = types.SimpleNamespace(cnn_face_detection_model_v1=damaged)
    monkeypatch.setitem(sys.modules, "dlib", fake)
    (tmp_path / "mmod.dat").write_bytes(b"x")
    with pytest.raises(InputError, match=r"mmod\.dat: the detector dlib failed with"):
        detectors.make_detector("dlib", tmp_path / "mmod.dat")


# --- drawing and editing --------------------------------------------------------------


def test_lines_are_connected_and_stay_in_the_picture():
    rng = np.random.default_rng(1)
    for start, end in rng.integers(-20, 60, (50, 2, 2)):
        columns, rows = drawing._line_pixels(start, end)
        points = set(zip(columns.tolist(), rows.tolist(), strict=True))
        assert tuple(start.tolist()) in points and tuple(end.tolist()) in points
        assert np.abs(np.diff(columns)).max(initial=0) <= 1
        assert np.abs(np.diff(rows)).max(initial=0) <= 1
        assert len(points) == np.abs(end - start).max() + 1
    picture = np.zeros((20, 20, 3), np.uint8)
    marks = rng.uniform(-30, 50, (68, 2))
    assert drawing.plot_landmarks(picture, marks).any() and not picture.any()


def test_blending_a_picture_into_itself_changes_nothing(image):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:60, 30:80] = True
    blended = texture_editing.poisson_blend(image, image, mask)
    assert np.abs(blended.astype(int) - image).max() <= 1


def test_blending_keeps_differences_and_the_border():
    target = np.full((40, 50, 3), 100, np.uint8)
    source = np.full((40, 50, 3), 30, np.uint8)
    source[18:22, 20:30] = 80
    mask = np.zeros((40, 50), bool)
    mask[8:32, 8:42] = True
    blended = texture_editing.poisson_blend(source, target, mask).astype(int)
    assert np.abs(blended - 100)[~mask].max() <= 1
    assert np.abs(blended[20, 25] - 150).max() <= 1
    for wrong, message in ((np.zeros_like(mask), "empty"), (mask, "reaches out")):
        with pytest.raises(InputError, match=message):
            texture_editing.poisson_blend(source, target, wrong, center=(0, 0))


def test_editing_with_the_own_texture_changes_little(face, image):
    texture = face.texture(image / 255.0, interpolation="nearest")
    smooth = np.full_like(image, 77)
    plain = face.texture(smooth / 255.0, interpolation="nearest")
    np.testing.assert_array_equal(
        texture_editing.edit(smooth, face, plain, blend=False), smooth
    )
    composed, mask = texture_editing.compose(image, face, texture)
    np.testing.assert_allclose(composed[~mask], image[~mask] / 255.0)
    assert mask.any() and not mask.all()


def test_holes_are_closed_between_their_borders(face):
    mask = face.layout.mask.copy()
    row, column = np.argwhere(mask).mean(axis=0).astype(int)
    hole = (slice(row, row + 3), slice(column, column + 4))
    near = face.layout.mask[row - 1 : row + 4, column - 1 : column + 5]
    assert near.all() and texture_editing.closed(face) is face
    mask[hole] = False
    landmarks = np.argwhere(mask)[:68, ::-1]
    flat = np.stack([*np.mgrid[:64, :64][::-1], np.ones((64, 64))], axis=-1) * 1.0
    holed = layout.MapLayout.from_mask(mask, landmarks, 2 * flat[mask], "holed")
    wrong = np.where(mask[..., None], flat, 99.0)
    found = texture_editing.closed(prnet.Face(wrong, holed, (HEIGHT, WIDTH)))
    np.testing.assert_array_equal(found.layout.mask, face.layout.mask)
    np.testing.assert_allclose(found.position_map[hole], flat[hole], atol=1e-9)
    canonical = found.layout.to_map(found.layout.canonical)
    np.testing.assert_allclose(canonical[hole], 2 * flat[hole], atol=1e-9)


def test_colors_and_mixtures_of_references(face, image):
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 64, 64, 3))
    mask = face.layout.mask
    matched = texture_editing.match_colors(first * 0.2 + 0.4, second, mask)
    assert matched[mask].mean() == pytest.approx(second[mask].mean(), abs=0.02)
    np.testing.assert_allclose(
        texture_editing.mixed([first, second]), (first + second) / 2
    )
    with pytest.raises(InputError, match="at least one"):
        texture_editing.mixed([])


def test_a_face_is_what_it_was_made_of(face):
    assert dataclasses.replace(face, image_size=(5, 6)).image_size == (5, 6)
    assert face.clamped_vertices[:, 0].max() <= WIDTH - 1
