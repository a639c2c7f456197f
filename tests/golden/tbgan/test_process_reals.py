"""process_reals against the original's."""

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import drawing
from tf_faces.data import tbgan


def _cases(recorded) -> list[int]:
    return sorted(int(name[2:]) for name in recorded.files if name.startswith("y_"))


@pytest.mark.golden("tbgan", "process_reals*.npz")
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_process_reals(recording, compiled):
    recorded = np.load(recording)
    short = drawing.recording_set(recording.parent)["short"]
    process = tbgan.process_reals
    for case in _cases(recorded):
        stored, expected = recorded[f"x_{case}"], recorded[f"y_{case}"]
        level = float(recorded[f"lod_{case}"])
        assert expected.shape[-1] == stored.shape[-1] * 2 ** int(level)
        mask = recorded[f"mask_{case}"]
        uniform = drawing.uniform(f"{short}_pr{case}/mask", mask.shape)
        np.testing.assert_array_equal(mask, uniform)
        key = f"{short}_pr{case}/x"
        shape = (len(mask), *stored.shape[1:])
        if stored.dtype == np.uint8:
            drawn = drawing.generator(key).integers(0, 256, shape, dtype=np.uint8)
        else:
            drawn = drawing.normal(key, shape, 0.4)
        np.testing.assert_array_equal(drawn[: len(stored)], stored)
        mirror = tf.constant(mask.reshape(-1)) if recorded[f"mirror_{case}"] else None

        def run(images, case=case, level=level, mirror=mirror, side=expected.shape[-1]):
            return process(
                images,
                level,
                mirror,
                recorded[f"drange_{case}"],
                (-1, 1),
                enlarge_to=side,
            )

        if compiled:
            run = tf.function(run)
        result = run(tf.constant(drawn.transpose(0, 2, 3, 1))).numpy()
        result = result.transpose(0, 3, 1, 2)[: len(expected)]
        assert result.dtype == expected.dtype and result.shape == expected.shape
        np.testing.assert_allclose(
            result, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max()
        )
