"""Random faces: which group is drawn how, from whose deviations."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import random_faces, samplers
from tf_faces.data.face_manifold.random_faces import SamplingDeviations
from tf_faces.morphable.coefficients import FaceCoefficients

DEVIATIONS = SamplingDeviations(
    np.array([1000.0, 10.0]), np.array([8.0, 4.0, 2.0]), np.array([5.0, 1.0])
)
COUNT = 4000


def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize("mode", list(random_faces.MODES))
def test_groups_of_the_mode_are_uniform(mode):
    groups = random_faces.groups_of(mode)
    faces = random_faces.uniform_faces(generator(), DEVIATIONS, COUNT, mode, 4, 5)
    for group, width in (("shape", 4), ("expression", 5)):
        spread = samplers.sampling_deviations(group, DEVIATIONS.group(group))
        found = faces.group(group) / spread
        if group in groups:
            assert np.abs(found).max() <= width / 2
            np.testing.assert_allclose(found.std(0), width / np.sqrt(12), rtol=0.05)
        else:
            assert np.abs(found).max() > width / 2
            np.testing.assert_allclose(found.std(0), 1, rtol=0.05)
    spread = samplers.sampling_deviations("texture", DEVIATIONS.texture)
    deviation = np.sqrt(samplers.SYNTHETIC_TEXTURE_VARIANCE)
    np.testing.assert_allclose((faces.texture / spread).std(0), deviation, rtol=0.05)


def test_usual_faces_are_normal_in_all_groups():
    faces = random_faces.normal_faces(generator(), DEVIATIONS, COUNT)
    assert len(faces) == COUNT
    for group in ("shape", "expression", "texture"):
        spread = samplers.sampling_deviations(group, DEVIATIONS.group(group))
        found = faces.group(group) / spread
        np.testing.assert_allclose(found.std(0), 1, rtol=0.05)
        assert np.abs(found).max() > 3
    pale = random_faces.normal_faces(generator(), DEVIATIONS, 3, texture_variance=0)
    assert not pale.texture.any() and pale.texture.shape == (3, 2)


def test_models_without_texture_have_faces_without():
    bare = SamplingDeviations(DEVIATIONS.shape, DEVIATIONS.expression, np.zeros(0))
    assert random_faces.normal_faces(generator(), bare, 3).texture.shape == (3, 0)
    faces = random_faces.uniform_faces(generator(), bare, 3, "both")
    assert faces.texture.shape == (3, 0)


@pytest.mark.parametrize("width", [-0.5, np.inf, np.nan])
def test_ranges_that_cannot_be(width):
    for group, ranges in (("shape", (width, 1)), ("expression", (1, width))):
        with pytest.raises(InputError, match=f"the {group} range must be finite"):
            random_faces.uniform_faces(generator(), DEVIATIONS, 2, "both", *ranges)
    still = random_faces.uniform_faces(generator(), DEVIATIONS, 2, "both", 0, 0)
    assert not still.shape.any() and not still.expression.any()
    with pytest.raises(InputError, match="mode must be one of shape, exp, expression"):
        random_faces.groups_of("texture")


def test_folders_of_the_modes():
    assert random_faces.MODE_FOLDERS == {
        "shape": "shape", "exp": "expression", "expression": "expression",
        "both": "shape_and_expression",
    }  # fmt: skip


class Draws:
    """Says what it is asked for, and counts."""

    def __init__(self):
        self.asked = []

    def _values(self, kind, group, spread, *rest):
        self.asked.append((kind, group, *rest))
        assert spread is DEVIATIONS.group(group)
        return np.full(len(spread), float(len(self.asked)))

    def uniform(self, group, spread, width):
        return self._values("uniform", group, spread, width)

    def normal(self, group, spread, *variance):
        return self._values("normal", group, spread, *variance)


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [
        ("shape", ("uniform", "shape", 3), ("normal", "expression")),
        ("exp", ("uniform", "expression", 7), ("normal", "shape")),
        ("both", ("uniform", "shape", 3), ("uniform", "expression", 7)),
    ],
)
def test_order_of_the_originals_draws(mode, first, second):
    draws = Draws()
    faces = random_faces.original_uniform_faces(draws, DEVIATIONS, 2, mode, 3, 7)
    texture = ("normal", "texture", samplers.SYNTHETIC_TEXTURE_VARIANCE)
    assert draws.asked == [first, second, texture] * 2
    if mode == "exp":
        assert faces.expression[:, 0].tolist() == [1, 4]
        assert faces.shape[:, 0].tolist() == [2, 5]
    else:
        assert faces.shape[:, 0].tolist() == [1, 4]
        assert faces.expression[:, 0].tolist() == [2, 5]
    assert faces.texture[:, 0].tolist() == [3, 6]


@pytest.mark.parametrize("group", ["shape", "expression"])
def test_order_of_the_originals_scatter(group):
    draws = Draws()
    uniform, normal = random_faces.original_scatter_faces(
        draws, DEVIATIONS, 2, group, 3
    )

    def asked(variance, *chosen):
        return [
            *(
                ("uniform", name, 3) if name in chosen else ("normal", name)
                for name in ("shape", "expression")
            ),
            ("normal", "texture", variance),
        ]

    variance = samplers.SYNTHETIC_TEXTURE_VARIANCE
    assert draws.asked == [*(asked(variance, group) * 2), *(asked(1.0) * 2)]
    assert uniform.shape[:, 0].tolist() == [1, 4]
    assert normal.expression[:, 0].tolist() == [8, 11]


def test_corruption_goes_face_by_face_shape_first():
    faces = FaceCoefficients(np.zeros((2, 2)), np.zeros((2, 3)), np.ones((2, 2)))
    asked = []

    def corrupt(group, values):
        asked.append((group, len(values)))
        return values + len(asked)

    found = random_faces.corrupt_faces(faces, "both", corrupt)
    assert asked == [("shape", 2), ("expression", 3)] * 2
    assert found.shape[:, 0].tolist() == [1, 3]
    assert found.expression[:, 0].tolist() == [2, 4]
    asked.clear()
    found = random_faces.corrupt_faces(faces, "expression", corrupt)
    assert asked == [("expression", 3)] * 2
    assert not found.shape.any() and (found.texture == 1).all()
