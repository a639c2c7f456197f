"""CoarseNet per iteration, the renderer between, FineNet: against the recordings.

Iterations are compared one at a time on recorded inputs: run freely, a pixel that
flips at a triangle's edge changes the next input.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.golden.coarse_fine import networks
from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.models.coarse_fine.rendering import network_input
from tf_faces.morphable.formats import bfm

ANGLES, PIXELS, SCALE, SHAPE, EXPRESSION = 5e-5, 1e-3, 1e-8, 0.2, 5e-5
FINE = 1e-3
PICTURE = 1e-5  # Of values 0..1; seen: 3e-6.
MEAN = np.float32(126.064)
FLIPPED = 1e-3  # Part of the pixels that may fall to another triangle.
SHAPES, EXPRESSIONS = 199, 29


def activations(found, expected, name):
    """Every c-th channel of the first items, as recorded."""
    found = np.asarray(found)[: len(expected)]
    if found.ndim == 2:
        found = found[:, None, None]
    step = max(1, found.shape[-1] // expected.shape[-1])
    scale = max(1.0, np.abs(expected).max())
    found = found[..., ::step]
    assert found.shape == expected.shape, name
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * scale, err_msg=name)


def compare_parameters(found, expected):
    found = np.asarray(found)
    assert found.shape == expected.shape
    end = 7 + SHAPES
    for part, tolerance in (
        (slice(0, 3), ANGLES),
        (slice(3, 6), PIXELS),
        (slice(6, 7), SCALE),
        (slice(7, end), SHAPE),
        (slice(end, None), EXPRESSION),
    ):
        np.testing.assert_allclose(
            found[:, part], expected[:, part], rtol=0, atol=tolerance
        )


# Names of the recorded activations, as ours.
STAGES = {
    "conv_in": "conv_in",
    "block1_unit1": "block1/unit_1",
    **{f"block{number}": f"block{number}/unit_2" for number in range(1, 5)},
    "conv_out": "conv_out",
    "pooling": "pooling",
}
FINE_STAGES = ("hypercolumn", "conv4_3")


@pytest.fixture
def image(arrays):
    return arrays["image_uint8"].astype(np.float32) - MEAN


@pytest.fixture
def network(recording, arrays):
    model = networks.model_of(
        recording, arrays, SHAPES, EXPRESSIONS, SHAPES, recording.stem
    )
    return networks.network(
        recording,
        model,
        size=arrays["image_uint8"].shape[1],
        shapes=SHAPES,
        expressions=EXPRESSIONS,
        iterations=len(arrays["params"]),
    )


def check_passes(arrays, network, image):
    renderer = network.renderer
    start = np.tile(renderer.initial_parameters(), (len(image), 1))
    own = np.asarray(network_input(image, renderer.render(tf.constant(start))))
    inputs = networks.numbered(arrays, "input") or [own]
    if "input0" in arrays:
        assert len(inputs) == len(arrays["params"])
        np.testing.assert_allclose(own, inputs[0], rtol=0, atol=PICTURE)
        # Later inputs show the recorded parameters of the pass before.  A pixel may
        # flip at an edge; more than a few may not.
        for before, expected in zip(arrays["params"], inputs[1:], strict=False):
            shown = renderer.render(tf.constant(before))
            own = np.asarray(network_input(image, shown))
            differs = np.abs(own - expected).max(axis=-1) > 255 * PICTURE
            assert differs.mean() < FLIPPED
    if "input0_mask" in arrays:
        np.testing.assert_allclose(
            own[..., 0], arrays["input0_mask"], rtol=0, atol=PICTURE
        )
    first = {}
    for number, values in enumerate(inputs):
        found = network.coarse[number].stages(tf.constant(values))
        compare_parameters(renderer.parameters(found["fc"]), arrays["params"][number])
        first = first or found
    return first


def check_last_rendering(arrays, network, image):
    shown = network.renderer.render(tf.constant(arrays["params"][-1]))
    np.testing.assert_allclose(
        np.swapaxes(shown.vertices, 1, 2), arrays["vertices_proj"], rtol=0, atol=PIXELS
    )
    for name, found, tolerance in (
        ("coarse", shown.depth, PIXELS),
        ("pncc", shown.codes, PICTURE),
        ("normal", shown.normals, PICTURE),
        ("mask", shown.mask * image, 255 * PICTURE),
    ):
        if name in arrays:
            difference = np.abs(np.asarray(found) - arrays[name])
            assert difference.shape == arrays[name].shape
            assert (difference.max(axis=-1) > tolerance).mean() < FLIPPED, name


def check_mesh(arrays, network):
    model = network.renderer.model
    codes = bfm.vertex_code(model)
    np.testing.assert_allclose(codes.T, arrays["mesh_vertex_code"], rtol=0, atol=2e-7)
    sums = []
    for basis in (model.shape_basis, model.expression_basis):
        wide = basis.astype(np.float64)
        sums += [wide.sum(), np.abs(wide).sum()]
    ends = []
    for basis in (model.shape_basis, model.expression_basis):
        ends += [basis[0, 0, 0], basis[-1, -1, -1]]
    np.testing.assert_allclose(arrays["mesh_check"], sums + ends, rtol=1e-6)


# One test: the weights of the whole network are drawn once.
@pytest.mark.golden("coarse_fine", "net[0-9]*.npz")
def test_every_array(arrays, network, image):
    check_mesh(arrays, network)
    check_last_rendering(arrays, network, image)
    stages = check_passes(arrays, network, image)
    stages |= network.fine.stages(image, tf.constant(arrays["coarse"]))
    np.testing.assert_allclose(stages["depth"], arrays["fine"], rtol=0, atol=FINE)
    named = {f"mid_{name}": ours for name, ours in STAGES.items()}
    named |= {f"mid_{name}": name for name in FINE_STAGES}
    for name in sorted(name for name in arrays if name.startswith("mid_")):
        activations(stages[named[name]], arrays[name], name)


@pytest.mark.golden("coarse_fine", "variables*.json")
def test_variables(recording):
    config = CoarseFineConfig()
    model = networks.tiny_model(9, SHAPES, EXPRESSIONS, 1, "any")
    made = CoarseFine(config, FaceRenderer(model, config))
    found = [
        {
            "name": name,
            "shape": list(variable.shape),
            "trainable": bool(variable.trainable),
        }
        for name, variable in made.variables_by_name().items()
    ]
    assert found == json.loads(recording.read_text())["model"]
