"""CoarseNet's parameters: ranges of the outputs, and the random training labels."""

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.data.coarse_fine import labels
from tf_faces.geometry import cameras
from tf_faces.morphable import parameters
from tf_faces.morphable.formats import bfm


@pytest.fixture
def model(recording):
    return bfm.load_model_shape(drawing.beside(recording.parent, "tiny_3dmm"))


@pytest.mark.golden("coarse_fine", "mm_params*.npz")
@pytest.mark.parametrize("kind", ["numpy", "tensor"])
def test_constrained(recording, arrays, model, kind):
    logits = arrays["logits"]
    if kind == "tensor":
        import tensorflow as tf

        logits = tf.constant(logits)
    found = parameters.constrain_coarse_fine(
        logits, model.shape_count, model.expression_count, int(arrays["im_size"])
    )
    np.testing.assert_allclose(
        np.asarray(found), arrays["constrained"], rtol=1e-6, atol=1e-9
    )


@pytest.mark.golden("coarse_fine", "mm_params*.npz")
@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("interleaved", "vertices_proj"),
        # Reading the interleaved file as planar is the original's mistake.
        ("planar", "vertices_proj_legacy_interleaved"),
    ],
)
def test_projected_vertices(recording, arrays, layout, name):
    model = bfm.load_model_shape(
        drawing.beside(recording.parent, "tiny_3dmm"), vertex_layout=layout
    )
    pose, shape, expression = parameters.split_parameters(
        arrays["params"], model.shape_count, model.expression_count
    )
    image = cameras.project_pose(
        model.vertices(shape, expression).astype(np.float64),
        pose.astype(np.float64),
        int(arrays["im_size"]),
    )
    # Scrambled coordinates are large: the tolerance grows with them.
    expected = arrays[name]
    scale = max(1.0, np.abs(expected).max() / int(arrays["im_size"]))
    np.testing.assert_allclose(
        np.swapaxes(image, 1, 2), expected, rtol=0, atol=1e-4 * scale
    )


@pytest.mark.golden("coarse_fine", "random_params*.npz")
def test_random_parameters(recording, arrays):
    shares = sorted(
        name.removeprefix("pose_") for name in arrays if name.startswith("pose_")
    )
    assert shares
    for share in shares:
        pose, shape, expression = labels.random_parameters(
            arrays[f"shape_{share}"].size,
            arrays[f"exp_{share}"].size,
            int(arrays["im_size"]),
            np.random.RandomState(int(arrays["seed"])),
            float(share),
        )
        for name, value in (("pose", pose), ("shape", shape), ("exp", expression)):
            expected = arrays[f"{name}_{share}"]
            np.testing.assert_allclose(value.reshape(expected.shape), expected, 1e-12)
