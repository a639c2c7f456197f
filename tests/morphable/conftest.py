"""A small model with everything in it, and a watch on guesses."""

import warnings

import pytest

from tf_faces.morphable import builtin
from tf_faces.morphable.formats import indices


@pytest.fixture(scope="session")
def small():
    """Raw, in micrometres, clockwise: 7 identity, 5 expression, 4 texture modes."""
    model = builtin.build("tiny").truncate(shape=7, expression=5, texture=4)
    return model.replace(texture_coordinates=None, expression_range=None)


@pytest.fixture
def no_doubt():
    """Nothing in the files leaves open where numbers begin, unless a test says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", indices.IndexBaseWarning)
        yield
