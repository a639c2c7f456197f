"""The factory: same pictures everywhere, settings that do what they say."""

import weakref

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables, photographs
from tf_faces.data.photographs import faces, heads, streams
from tf_faces.morphable.coefficients import FaceCoefficients

TINY = photographs.Settings(model="builtin:tiny", size=48)


def test_a_photograph_is_a_function_of_seed_and_index(no_data):
    first = photographs.draw(TINY, 1, 4)
    photographs.draw(TINY, 1, 5)
    again = photographs.draw(TINY, 1, 4)
    np.testing.assert_array_equal(first.picture, again.picture)
    assert (first.picture != photographs.draw(TINY, 2, 4).picture).any()
    assert (first.picture != photographs.draw(TINY, 1, 5).picture).any()


def test_a_face_that_is_given_is_the_face_that_is_drawn(no_data):
    drawn = photographs.draw(TINY, 1, 11)
    given = photographs.draw(TINY, 1, 11, (drawn.face.shape, drawn.face.expression))
    np.testing.assert_allclose(given.posed.neutral, drawn.posed.neutral, atol=1e-5)
    np.testing.assert_allclose(given.posed.vertices, drawn.posed.vertices, atol=1e-5)
    other = photographs.draw(TINY, 1, 12)
    assert np.abs(other.posed.neutral - drawn.posed.neutral).max() > 0.01


def test_processes_change_nothing(no_data):
    names = ("picture", "index", "landmarks", "depth")
    alone = list(
        photographs.stream(TINY, names, seed=3, start=2, count=19, processes=1)
    )
    beside = list(
        photographs.stream(TINY, names, seed=3, start=2, count=19, processes=2)
    )
    assert [int(one["index"]) for one in beside] == list(range(2, 21))
    for one, other in zip(alone, beside, strict=True):
        for name in names:
            np.testing.assert_array_equal(one[name], other[name])


def test_the_pipeline_is_a_dataset(no_data):
    chart = photographs.lay_out(heads.load("builtin:tiny").model, 32)
    data = photographs.pipeline(
        TINY, ("picture", "position_map"), processes=1, chart=chart
    )
    batch = next(iter(data.batch(3)))
    assert batch["picture"].shape == (3, 48, 48, 3)
    assert batch["picture"].dtype.name == "uint8"
    assert batch["position_map"].shape == (3, 32, 32, 3)
    np.testing.assert_array_equal(
        batch["picture"][2], photographs.draw(TINY, 0, 2).picture
    )


def test_batches_are_let_go_before_the_interpreter_ends(monkeypatch):
    at_exit = []
    monkeypatch.setattr(streams.atexit, "register", at_exit.append)
    monkeypatch.setattr(streams.atexit, "unregister", at_exit.remove)
    made = tf.data.Dataset.range(10**6)
    batches = photographs.Batches(made, 3)
    assert next(batches).tolist() == [0, 1, 2] and next(iter(batches))[0] == 3
    (end,) = at_exit
    iterator = weakref.ref(batches._iterator)
    end()
    assert iterator() is None and not at_exit
    with pytest.raises(StopIteration):
        next(batches)
    photographs.Batches(made, 3)  # Used no more: not kept until the end either.
    at_exit.pop()()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 4}, "size must lie in 16..4096. Received: 4"),
        ({"yaw": 91.0}, "yaw must lie in 0..90"),
        ({"hair": 1.5}, "hair must lie in 0..1"),
        ({"face_low": 0.7}, "face_high must lie in 0.7..2.0. Received: 0.62"),
        ({"light": "candle"}, "light must be one of surroundings, even"),
        ({"gaze": float("nan")}, "gaze must be finite"),
        ({"pose_law": "x"}, "pose_law must be one of normal, uniform, mixed"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        photographs.Settings(model="builtin:tiny", **changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1}, "start must be at least 0"),
        ({"count": -1}, "count must be at least 0"),
        ({"processes": 0}, "processes must be at least 1"),
    ],
)
def test_bad_streams_are_refused(no_data, options, message):
    with pytest.raises(InputError, match=message):
        photographs.stream(TINY, ("picture",), **options)


def test_yaw_keeps_to_its_law(no_data):
    settings = TINY.replace(yaw=30.0, pose_law="uniform", background="black")
    poses = [
        photographs.fields(photographs.draw(settings, 0, i), ("pose",))["pose"]
        for i in range(60)
    ]
    yaw = np.degrees([pose[1] for pose in poses])
    assert np.abs(yaw).max() <= 30.001
    assert np.abs(yaw).max() > 24 and abs(yaw.mean()) < 8


def test_the_face_fills_what_the_settings_say(no_data):
    settings = TINY.replace(face_low=0.5, face_high=0.5, shift=0.0, camera="weak")
    for index in range(5):
        one = photographs.draw(settings, 0, index)
        points = photographs.fields(one, ("landmarks",))["landmarks"][:, :2]
        low, high = points.min(axis=0), points.max(axis=0)
        assert abs((high - low).max() - 24) < 0.01
        np.testing.assert_allclose((low + high) / 2, 23.5, atol=0.01)


def test_switches_leave_the_other_draws_alone(open_heads):
    settings = photographs.Settings(model="ict", size=32)
    one = photographs.draw(settings, 0, 0)
    for changes in (
        {"hair": 0.0},
        {"background": "black"},
        {"camera_effects": False},
        {"light": "even"},
        {"occluders": 0.0, "glasses": 0.0, "make_up": 0.0, "stubble": 0.0},
        {"skins": False},
    ):
        other = photographs.draw(settings.replace(**changes), 0, 0)
        np.testing.assert_array_equal(one.face.shape, other.face.shape)
        np.testing.assert_array_equal(one.view.pose, other.view.pose)
        np.testing.assert_array_equal(one.face.expression, other.face.expression)


def test_identities_come_from_a_table(no_data, tmp_path):
    head = heads.load("builtin:tiny")
    rng = np.random.default_rng(0)
    table = FaceCoefficients(
        head.model.sample_shape(rng, 3), head.model.sample_expression(rng, 3)
    )
    coefficient_tables.write(tmp_path / "faces.npz", table)
    settings = TINY.replace(identities=str(tmp_path / "faces.npz"))
    shown = set()
    for index in range(12):
        one = photographs.draw(settings, 0, index)
        same = np.abs(table.shape - one.face.shape).max(axis=1) < 1e-6 * 1e5
        assert same.sum() == 1
        shown.add(int(same.argmax()))
        other = photographs.draw(TINY, 0, index)
        np.testing.assert_array_equal(one.face.expression, other.face.expression)
        np.testing.assert_array_equal(one.face.tone, other.face.tone)
    assert shown == {0, 1, 2}
    short = FaceCoefficients(table.shape[:, :2], table.expression)
    coefficient_tables.write(tmp_path / "short.npz", short)
    with pytest.raises(InputError, match="short.npz: found 3 faces of 2 identity"):
        photographs.draw(TINY.replace(identities=str(tmp_path / "short.npz")), 0, 0)
    with pytest.raises(InputError, match="none.npz"):
        photographs.draw(TINY.replace(identities=str(tmp_path / "none.npz")), 0, 0)


def test_given_coefficients_are_kept(no_data):
    drawn = photographs.draw(TINY, 0, 1).face
    given = drawn.shape * 0.5, drawn.expression * 0.25
    one = photographs.draw(TINY, 0, 2, given)
    found = photographs.fields(one, ("shape", "expression"))
    np.testing.assert_allclose(found["shape"], given[0], rtol=1e-6)
    np.testing.assert_allclose(found["expression"], given[1], rtol=1e-6)
    np.testing.assert_array_equal(
        one.view.pose[:3], photographs.draw(TINY, 0, 2).view.pose[:3]
    )


def test_shoulders_and_collars_differ(open_heads):
    settings = photographs.Settings(model="ict", size=32)
    widths, openings = [], []
    for index in range(8):
        one = photographs.draw(settings, 0, index)
        below = one.posed.geometry[one.head.landmarks68[8] :]
        widths.append(np.ptp(below[-len(one.head._border) :, 0]))
        openings.append(one.face.opening)
    assert np.ptp(widths) > 2 and np.ptp(openings) > 0.2


def test_one_side_is_weaker(open_heads):
    names = list(heads.load("ict").model.expression_names)
    pairs = [
        (names.index(name), names.index(name[:-2] + "_R"))
        for name in names
        if name.endswith("_L") and not name.startswith("eyeLook")
    ]

    def difference(settings):
        rng = np.random.default_rng(0)
        total = 0.0
        for _ in range(20):
            found, _ = faces.draw_expression(heads.load("ict"), settings, rng)
            total += sum(abs(found[left] - found[right]) for left, right in pairs)
        return total

    settings = photographs.Settings(model="ict", expression=1.0)
    strong = difference(settings.replace(asymmetry=1.0))
    assert strong > 2 * difference(settings.replace(asymmetry=0.0)) > 0


def test_grey_pictures_are_grey(no_data):
    one = photographs.draw(TINY.replace(grey=1.0, quality_low=95), 0, 0)
    assert np.ptp(one.picture.astype(int), axis=-1).max() <= 4


def test_hair_and_glasses_are_drawn_and_counted(open_heads):
    settings = photographs.Settings(
        model="ict", size=48, hair=1.0, glasses=1.0, yaw=20.0, pitch=5.0, roll=5.0
    )
    one = photographs.draw(settings, 0, 0)
    assert one.worn[..., 0].max() > 0.95
    assert one.worn[..., 1].max() > 0.5
    bald = photographs.draw(settings.replace(hair=0.0, glasses=0.0), 0, 0)
    assert bald.worn.max() == 0
    assert (one.picture != bald.picture).any()
