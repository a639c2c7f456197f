"""Single tensors of files of weights."""

import numpy as np
import pytest

from tf_faces.convert import stored
from tf_faces.core.errors import FormatError


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8", "i4", "u1"])
def test_numbers_of_all_kinds(kind):
    found = stored.weight(np.array([1, 2], kind), "a.pt", "x")
    assert found.dtype == np.float32 and found.tolist() == [1, 2]


@pytest.mark.parametrize(
    "value", [[np.nan], [np.inf], [1e300], [1j], ["a"], [True], [None], [{}]]
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_weight(value):
    with pytest.raises(FormatError, match="a.pt: x holds something else than finite"):
        stored.weight(np.array(value), "a.pt", "x")
