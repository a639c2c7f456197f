import numpy as np
import pytest

from tests.golden.prnet import face as prnet_face


@pytest.fixture
def arrays(recording):
    """The arrays of an `.npz` recording by name."""
    with np.load(recording) as archive:
        return dict(archive)


@pytest.fixture(scope="session")
def face(data_directory):
    """The face that PRNet's recordings were made of."""
    return prnet_face.load(data_directory)
