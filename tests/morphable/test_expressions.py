"""Expressions by name, and the laws of random faces."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.morphable import builtin, expressions, io, sampling, unwrapping
from tf_faces.morphable.model import MorphableModel


@pytest.fixture
def model():
    return builtin.build("tiny")


def named(*names, n=5):
    rng = np.random.default_rng(len(names))
    return MorphableModel(
        mean=np.zeros((n, 3)),
        triangles=[[0, 1, 2]],
        expression_basis=rng.normal(size=(n, 3, len(names))),
        expression_names=names,
        coefficient_kind="unit",
        name=names[0],
    )


def test_names():
    assert expressions.canonical_name("browDown_L") == "browDownLeft"
    assert expressions.canonical_name("jawLeft") == "jawLeft"


def test_coefficients_by_name():
    model = named("mouthSmile_L", "mouthSmile_R", "jawOpen", "jawLeft")
    np.testing.assert_array_equal(
        expressions.coefficients_by_name(model, {"mouthSmile": 0.5, "jawOpen": 1}),
        np.float32([0.5, 0.5, 1, 0]),
    )
    np.testing.assert_array_equal(
        expressions.coefficients_by_name(model, {"mouthSmileLeft": 1}), [1, 0, 0, 0]
    )
    for wrong in ("smirk", "jaw"):
        with pytest.raises(InputError, match=wrong):
            expressions.coefficients_by_name(model, {wrong: 1})


def test_retargeting_splits_and_joins():
    split = named("browInnerUp_L", "browInnerUp_R", "jawOpen", "jawLeft", "wink")
    whole = named("browInnerUp", "jawOpen", "jawLeft", "tongueOut")
    np.testing.assert_allclose(
        expressions.retarget(split, whole, [1, 0, 0.5, 0.25, 1]), [0.5, 0.5, 0.25, 0]
    )
    np.testing.assert_allclose(
        expressions.retarget(whole, split, [[0.8, 0.5, 0.25, 1]]),
        [[0.8, 0.8, 0.5, 0.25, 0]],
    )
    assert expressions.retargeting_matrix(split, whole)[1] == ("wink",)
    with pytest.raises(InputError):
        expressions.retargeting_matrix(split, named("other"))
    with pytest.raises(InputError):
        expressions.retarget(split, whole.replace(expression_names=None), [0] * 5)


def test_ict_drives_makehuman(data_directory, monkeypatch):
    monkeypatch.setenv("TF_FACES_DATA", str(data_directory))
    ict, makehuman = io.load("ict"), io.load("makehuman")
    matrix, alone = expressions.retargeting_matrix(ict, makehuman)
    # All shapes but the tongue have a partner.
    assert alone == ()
    without = [
        name
        for name, row in zip(makehuman.expression_names, matrix, strict=True)
        if not row.any()
    ]
    assert without == ["tongueOut"]
    weights = expressions.coefficients_by_name(ict, {"jawOpen": 1.0})
    for model, coefficients in (
        (ict, weights),
        (makehuman, expressions.retarget(ict, makehuman, weights)),
    ):
        marks = model.landmarks68
        gap = model.vertices(None, coefficients)[marks] - model.neutral[marks]
        assert gap[66, 1] < -1.0 and abs(gap[62, 1]) < 0.5  # Centimetres.


def test_basic_expressions_do_what_they_are_called(data_directory, monkeypatch):
    monkeypatch.setenv("TF_FACES_DATA", str(data_directory))
    for name in ("builtin:tiny", "ict", "makehuman"):
        model = io.load(name)
        rows = dict(
            zip(
                expressions.BASIC_EXPRESSIONS,
                expressions.basic_expressions(model),
                strict=True,
            )
        )
        marks = model.landmarks68
        span = np.ptp(model.neutral[marks][:, 0])

        def moved(row, model=model, marks=marks, span=span):
            delta = model.vertices(None, row) - model.neutral
            return delta[marks] / span

        assert not rows["neutral"].any()
        assert (moved(rows["happy"])[[48, 54], 1] > 0.01).all()
        assert (moved(rows["sad"])[[48, 54], 1] < -0.01).all()
        surprise = moved(rows["surprise"])
        assert surprise[66, 1] < -0.03 and (surprise[[19, 24], 1] > 0.01).all()
        assert (moved(rows["anger"])[[20, 23], 1] < -0.005).all()
        assert (moved(rows["disgust"])[[50, 52], 1] > 0.005).all()
        assert (moved(rows["fear"])[[20, 23], 1] > 0.005).all()


def test_models_without_names_get_distinct_directions():
    model = builtin.build("tiny").replace(expression_names=None)
    rows = expressions.basic_expressions(model)
    assert rows.shape == (7, model.expression_count) and not rows[0].any()
    np.testing.assert_allclose(np.linalg.norm(rows[1:], axis=1), 1.5, rtol=1e-5)
    assert np.linalg.matrix_rank(rows) == 6


def test_face3d_laws_repeat_the_legacy_stream():
    model = builtin.build("tiny")
    legacy = np.random.RandomState(7)
    shape = sampling.face3d_shape(model, legacy)
    expression = sampling.face3d_expression(model, legacy)
    np.random.seed(7)
    expected = np.random.rand(199, 1) * 1e04
    np.testing.assert_array_equal(shape, expected[:, 0])
    expected = -1.5 + 3 * np.random.random([29, 1])
    expected[6:] = 0
    np.testing.assert_allclose(expression, expected[:, 0], rtol=1e-15)
    assert sampling.face3d_shape(model, np.random.default_rng(0)).max() <= 1e4


def test_wider_slits_do_not_fold():
    rng = np.random.default_rng(0)
    points = rng.random((4000, 2))
    line = np.array([[0.3, 0.4], [0.5, 0.42], [0.7, 0.4]])
    moved = unwrapping.widen_slit(points, line, 0.06)
    order = np.argsort(points[:, 1])
    column = np.abs(points[order, 0] - 0.5) < 0.01
    heights = moved[order][column]
    assert (np.diff(heights[:, 1]) > -1e-3).all()
    near = np.abs(points[:, 1] - np.interp(points[:, 0], *line.T)) < 1e-3
    middle = near & (np.abs(points[:, 0] - 0.5) < 0.05)
    shift = np.abs(moved - points)[middle, 1]
    np.testing.assert_allclose(shift, 0.03, atol=2e-3)
    far = (points[:, 0] < 0.2) | (points[:, 0] > 0.8)
    np.testing.assert_array_equal(moved[far], points[far])
    assert unwrapping.widen_slit(points, line, 0.0) is points


# --- as text -----------------------------------------------------------------------


def test_expressions_by_name_number_and_list(tmp_path, model):
    smile = expressions.parse_expression(model, "smile=0.5, 3=-1")
    place = model.expression_names.index("smile")
    assert smile[place] == 0.5 and smile[3] == -1
    assert np.count_nonzero(smile) == 2
    assert expressions.parse_expression(model, "happy").any()
    assert not expressions.parse_expression(model, "neutral").any()
    listed = tmp_path / "list.txt"
    listed.write_text("# two\nhappy\n\nsmile=1 jaw_open=0.2\n")
    assert expressions.read_list(model, str(listed)).shape == (2, 29)
    assert expressions.read_list(model, "happy; sad ;0=1").shape == (3, 29)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "empty"),
        ("grumpy", "expected one of neutral"),
        ("smile=big", "no finite number"),
        ("smile=nan", "no finite number"),
        ("29=1", "modes 0 to 28"),
        ("smirk=1", "smirk"),
    ],
)
def test_wrong_expressions(model, text, message):
    with pytest.raises(InputError, match=message):
        expressions.parse_expression(model, text)


def test_wrong_lines_of_a_list_are_named(tmp_path, model):
    path = tmp_path / "list.txt"
    path.write_text("happy\ngrumpy\n")
    with pytest.raises(InputError, match="list.txt, line 2: .*grumpy"):
        expressions.read_list(model, str(path))
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="holds no expression"):
        expressions.read_list(model, str(path))
    with pytest.raises(InputError, match="no such list"):
        expressions.read_list(model, str(tmp_path / "gone.txt"))


def test_one_language(model):
    happy = expressions.parse_expression(model, "happy")
    place = model.expression_names.index("smile")
    for text, expected in (
        ("happy=0.5", 0.5 * happy),
        ("happy, smile = 0.25", happy + 0.25 * np.eye(1, 29, place)[0]),
        ("smile", np.eye(1, 29, place)[0]),
        (f"{place}=2 smile=-1", np.eye(1, 29, place)[0]),
        (" neutral ,", np.zeros(29)),
    ):
        found = expressions.parse_expression(model, text)
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=text)
    sided = named("mouthSmile_L", "mouthSmile_R", "jawOpen")
    found = expressions.parse_expression(sided, "mouthSmile=0.5,mouthSmileLeft=0.25")
    assert found.tolist() == [0.75, 0.5, 0]


def test_own_modes_come_before_basic_expressions():
    surrey = named("anger", "fear")
    assert expressions.parse_expression(surrey, "fear=0.5").tolist() == [0, 0.5]


def test_what_a_text_speaks_of(model):
    values, fixed = expressions.parse_coefficients(model, "smile=0, 3=1")
    place = model.expression_names.index("smile")
    assert set(np.flatnonzero(fixed)) == {3, place} and values[place] == 0
    values, fixed = expressions.parse_coefficients(model, "0=2, 7=-1", "shape")
    np.testing.assert_allclose(values[[0, 7]], model.shape_deviations[[0, 7]] * [2, -1])
    assert set(np.flatnonzero(fixed)) == {0, 7}
    with pytest.raises(InputError, match="before '='"):
        expressions.parse_coefficients(model, "happy", "shape")


@pytest.mark.parametrize(
    "text",
    [
        *("=", "=1", "smile=", "smile==1", "smile=1=2", "smile=1e999", "smile=0,5"),
        "smile=1_0",
        *("3", "-1=2", "1.5=2", "9" * 30 + "=1", "9" * 5000 + "=1", "\x00=1"),
        *("\u0663=1", "a" * 4000, "smile=0.5;", "Smile"),
    ],
)
def test_texts_that_are_no_expressions(model, text):
    with pytest.raises(InputError) as caught:
        expressions.parse_expression(model, text)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_models_without_names_or_modes(model):
    bare = model.replace(expression_names=None)
    assert expressions.parse_expression(bare, "3=1")[3] == 1
    assert expressions.parse_expression(bare, "happy=0.5").any()
    with pytest.raises(InputError, match="the number of a mode"):
        expressions.parse_expression(bare, "smile=1")
    none = model.truncate(expression=0)
    assert expressions.parse_expression(none, "neutral").shape == (0,)
    with pytest.raises(InputError, match="has no expression modes"):
        expressions.parse_expression(none, "0=1")


def test_lists_of_other_editors(tmp_path, model):
    long = "; ".join(["smile=0.5, jaw_open=0.3"] * 60)  # Longer than a file's name.
    assert expressions.read_list(model, long).shape == (60, 29)
    path = tmp_path / "LIST.TXT"
    path.write_bytes("\ufeffhappy # note\r\n# all\r\n\r\nsad;smile=1\r\n".encode())
    assert expressions.read_list(model, str(path)).shape == (3, 29)
    path.write_bytes(b"sm\xefle=1\n")
    with pytest.raises(InputError, match="LIST.TXT, line 1"):
        expressions.read_list(model, str(path))
