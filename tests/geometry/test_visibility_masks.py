"""Growing and shrinking of masks, against scipy's."""

import numpy as np
import pytest
import scipy.ndimage

from tf_faces.geometry import visibility


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (23, 17)])
@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_masks_as_scipys(shape, share):
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random(shape) < share
        np.testing.assert_array_equal(
            visibility._closed(mask), scipy.ndimage.binary_closing(mask)
        )
        np.testing.assert_array_equal(
            visibility._eroded(mask),
            scipy.ndimage.binary_erosion(mask, structure=np.ones((4, 4), bool)),
        )
