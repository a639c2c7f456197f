"""The compiled rasteriser against its twins, and what a rasteriser must guarantee."""

import concurrent.futures
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import render_depth_ops, rules

INSTRUCTIONS = render_depth_ops.INSTRUCTIONS[1:]
CULLING = ("none", "back", "front")


def available(instructions):
    try:
        draw(np.zeros((1, 3, 3), np.float32), [[0, 1, 2]], 8, 8, instructions)
    except tf.errors.InvalidArgumentError:
        return False
    return True


def draw(vertices, triangles, height, width, instructions="auto", **options):
    return render_depth.rasterize(
        vertices,
        np.asarray(triangles, np.int32).reshape(-1, 3),
        height,
        width,
        implementation="op",
        instructions=instructions,
        **options,
    )


def same(found, expected):
    for name, one, other in zip(expected._fields, found, expected, strict=True):
        if other is None:
            assert one is None
        else:
            np.testing.assert_array_equal(one, other, err_msg=name)


def close(found, expected, tolerance):
    np.testing.assert_array_equal(found.triangle_id, expected.triangle_id)
    for name, one, other in zip(expected._fields, found, expected, strict=True):
        if other is not None:
            one, other = np.asarray(one), np.asarray(other)
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(
                one, other, rtol=tolerance, atol=tolerance, err_msg=name
            )


def random_case(seed):
    """A soup in which shared edges, integer corners and slivers are common."""
    rng = np.random.default_rng(seed)
    batch, count = int(rng.integers(0, 3)), int(rng.integers(3, 40))
    height, width = (int(side) for side in rng.integers(0, 45, 2))
    dtype = (np.float32, np.float64)[seed % 2]
    vertices = rng.uniform(-10, 50, (batch, count, 3))
    if seed % 3 == 0:
        vertices = np.round(vertices)
    if seed % 3 == 1:
        vertices = vertices / 6 + rng.uniform(0, 30)
    shape = (int(rng.integers(0, 80)), 3)
    if seed % 5 == 0:
        shape = (batch, *shape)
    triangles = rng.integers(0, count, shape).astype(np.int32)
    attributes = rng.standard_normal((batch, count, int(rng.integers(0, 6))))
    return vertices.astype(dtype), triangles, height, width, attributes.astype(dtype)


@pytest.mark.parametrize("rule", sorted(rules.RULES))
def test_op_and_twins_agree(rule):
    for seed in range(12):
        vertices, triangles, height, width, attributes = random_case(seed)
        options = {"rule": rule, "cull": CULLING[seed % 3]}
        expected = render_depth.rasterize_numpy(
            vertices, triangles, height, width, attributes, **options
        )
        tolerance = 2e-5 if rule == "face3d_cpp" else 1e-6
        for implementation in ("op", "reference"):
            found = render_depth.rasterize(
                vertices,
                triangles,
                height,
                width,
                attributes=attributes,
                implementation=implementation,
                **options,
            )
            close(found, expected, tolerance)


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
def test_instruction_sets_agree_bit_for_bit(instructions):
    if not available(instructions):
        pytest.skip(f"no {instructions} on this processor")
    rng = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.arange(50), np.arange(50)), -1).reshape(-1, 2)
    index = np.arange(2500).reshape(50, 50)
    a, b = index[:-1, :-1].reshape(-1), index[:-1, 1:].reshape(-1)
    c, d = index[1:, :-1].reshape(-1), index[1:, 1:].reshape(-1)
    triangles = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)])
    for scale, channels in ((0.4, 3), (1.0, 3), (3.7, 0), (40.0, 5)):
        vertices = np.concatenate(
            [grid * scale + 3, rng.uniform(0, 5, (2500, 1))], -1
        ).astype(np.float32)
        vertices[:1000, :2] += rng.uniform(-1, 1, (1000, 2)).astype(np.float32)
        attributes = rng.standard_normal((1, 2500, channels)).astype(np.float32)
        weights = [
            rng.standard_normal(shape).astype(np.float32)
            for shape in ((75, 67), (75, 67, 3), (75, 67, 3), (75, 67, channels))
        ]
        results, gradients = [], []
        for name in ("scalar", instructions):
            variables = [tf.Variable(vertices[None]), tf.Variable(attributes)]
            with tf.GradientTape() as tape:
                drawn = draw(
                    variables[0], triangles, 75, 67, name, attributes=variables[1]
                )
                parts = [
                    drawn.depth, drawn.barycentrics, drawn.normals, drawn.attributes
                ]  # fmt: skip
                loss = tf.add_n(
                    [
                        tf.reduce_sum(part * weight)
                        for part, weight in zip(parts, weights, strict=True)
                    ]
                )
            results.append(drawn)
            gradients.append(tape.gradient(loss, variables))
        same(*results)
        for one, other in zip(*gradients, strict=True):
            np.testing.assert_array_equal(one, other)


def test_every_pixel_is_covered_once():
    """Random triangulations of a square: the parts add up to the whole."""
    scipy_spatial = pytest.importorskip("scipy.spatial")
    for seed in range(8):
        rng = np.random.default_rng(seed)
        points = rng.uniform(-5, 45, (60, 2)).astype(np.float32)
        if seed % 2:  # Corners and edges through pixel centres.
            points = np.round(points * 2) / 2
        points = np.unique(np.concatenate([points, [[-6, -6], [-6, 46], [46, -6],
                                                    [46, 46]]]), axis=0)  # fmt: skip
        triangles = scipy_spatial.Delaunay(points).simplices.astype(np.int32)
        vertices = np.concatenate([points, np.zeros((len(points), 1))], -1)
        times = np.zeros((40, 40), int)
        for triangle in triangles:
            if rng.random() < 0.5:
                triangle = triangle[::-1]  # Winding must not matter.
            drawn = draw(vertices.astype(np.float32), triangle, 40, 40)
            times += drawn.triangle_id.numpy() >= 0
        np.testing.assert_array_equal(times, 1)
        whole = draw(vertices.astype(np.float32), triangles, 40, 40)
        assert (whole.triangle_id.numpy() >= 0).all()


def test_lowest_index_wins_ties_and_larger_z_is_nearer():
    square = np.float32([[-1, -1, 0], [20, -1, 0], [-1, 20, 0], [-1, -1, 1],
                         [20, -1, 1], [-1, 20, 1]])  # fmt: skip
    triangles = [[0, 1, 2], [0, 1, 2], [3, 4, 5], [3, 4, 5]]
    drawn = draw(square, triangles, 9, 9)
    np.testing.assert_array_equal(drawn.triangle_id, 2)
    np.testing.assert_array_equal(drawn.depth, 1)


def test_parts_off_the_image_are_clipped_or_dropped():
    vertices = np.float32([[-10, -10, 3], [30, -10, 3], [-10, 30, 3]])
    assert (draw(vertices, [0, 1, 2], 5, 9).triangle_id.numpy() == 0).all()
    dropped = draw(vertices, [0, 1, 2], 5, 9, mode="flat")
    assert (dropped.triangle_id.numpy() == -1).all()
    assert (dropped.depth.numpy() == np.float32(-1e14)).all()


def test_culling_by_the_sign_of_the_normal():
    vertices = np.float32([[0, 0, 3], [8, 0, 3], [0, 8, 3]])
    front = draw(vertices, [0, 1, 2], 8, 8)
    assert front.normals.numpy()[0, 0, 2] == 1
    for triangle, cull, seen in (
        ([0, 1, 2], "back", True),
        ([0, 1, 2], "front", False),
        ([0, 2, 1], "back", False),
        ([0, 2, 1], "front", True),
    ):
        drawn = draw(vertices, triangle, 8, 8, cull=cull)
        assert (drawn.triangle_id.numpy() >= 0).any() == seen


def test_constant_attributes_stay_exactly_constant():
    rng = np.random.default_rng(0)
    vertices = rng.uniform(0, 40, (30, 3)).astype(np.float32)
    triangles = rng.integers(0, 30, (50, 3))
    values = np.full((30, 2), np.float32(0.1))
    drawn = draw(vertices, triangles, 40, 40, attributes=values)
    seen = drawn.triangle_id.numpy() >= 0
    np.testing.assert_array_equal(drawn.attributes.numpy()[seen], np.float32(0.1))


@pytest.mark.parametrize(
    "shape, size",
    [
        ((0, 5, 3), (4, 4)),
        ((2, 5, 3), (0, 4)),
        ((2, 5, 3), (4, 0)),
        ((2, 0, 3), (9, 9)),
    ],
)
def test_empty_things(shape, size):
    triangles = np.zeros((0 if shape[1] == 0 else 1, 3), np.int32)
    variable = tf.Variable(np.zeros(shape, np.float32))
    attributes = tf.Variable(np.zeros((*shape[:2], 2), np.float32))
    with tf.GradientTape() as tape:
        drawn = draw(variable, triangles, *size, attributes=attributes)
        loss = tf.reduce_sum(drawn.depth) + tf.reduce_sum(drawn.attributes)
    assert drawn.depth.shape == (shape[0], *size)
    assert drawn.attributes.shape == (shape[0], *size, 2)
    for gradient, source in zip(
        tape.gradient(loss, [variable, attributes]), (variable, attributes), strict=True
    ):
        assert gradient.shape == source.shape
        assert not gradient.numpy().any()


def test_static_shapes_in_graphs():
    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 7, 3]),
            tf.TensorSpec([None, 3], tf.int32),
            tf.TensorSpec([None, 7, 4]),
        ]
    )
    def graph(vertices, triangles, attributes):
        drawn = render_depth.rasterize(
            vertices, triangles, 8, 9, attributes=attributes, implementation="op"
        )
        assert drawn.depth.shape.as_list() == [None, 8, 9]
        assert drawn.triangle_id.dtype == tf.int32
        assert drawn.normals.shape.as_list() == [None, 8, 9, 3]
        assert drawn.attributes.shape.as_list() == [None, 8, 9, 4]
        return drawn

    drawn = graph(np.zeros((2, 7, 3), "f"), np.zeros((1, 3), "i"), np.zeros((2, 7, 4)))
    assert drawn.depth.shape == (2, 8, 9)


def bad_calls():
    vertices = np.zeros((1, 4, 3), np.float32)
    triangles = np.zeros((1, 3), np.int32)
    attributes = np.zeros((1, 4, 2), np.float32)
    nan, infinite = vertices.copy(), vertices.copy()
    nan[0, 1, 2], infinite[0, 2, 0] = np.nan, -np.inf
    good = {"vertices": vertices, "triangles": triangles, "attributes": attributes}
    for changes in (
        {"triangles": triangles + 4},
        {"triangles": triangles - 1},
        {"triangles": triangles + np.int32(2**31 - 1)},
        {"vertices": nan},
        {"vertices": infinite},
        {"vertices": vertices[..., :2]},
        {"vertices": vertices[0]},
        {"triangles": triangles[:, :2]},
        {"triangles": np.zeros((2, 1, 3), np.int32)},
        {"triangles": np.zeros(3, np.int32)},
        {"attributes": attributes[:, :3]},
        {"attributes": attributes[0]},
        {"image_size": [-1, 4]},
        {"image_size": [4]},
        {"image_size": [[4, 4]]},
        {"image_size": [2**31 - 1, 2**31 - 1]},
        {"image_size": [2**24, 2**8]},
        {"image_size": [2**25, 1]},
    ):
        yield {**good, "image_size": [4, 4], **changes}


@pytest.mark.parametrize("arguments", list(bad_calls()))
def test_bad_calls_are_refused(arguments):
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)) as caught:
        render_depth_ops.load_library().tf_faces_render_depth(**arguments)
    assert not isinstance(caught.value, tf.errors.ResourceExhaustedError)


def test_gradient_refuses_foreign_triangle_ids():
    zeros = [np.zeros(shape, np.float32) for shape in
             ((1, 4, 3), (1, 4, 2), (1, 2, 2), (1, 2, 2, 3), (1, 2, 2, 2))]  # fmt: skip
    vertices, attributes, depth, triples, mixed = zeros
    with pytest.raises(tf.errors.InvalidArgumentError):
        render_depth_ops.load_library().tf_faces_render_depth_grad(
            vertices,
            [[0, 1, 2]],
            attributes,
            np.full((1, 2, 2), 1, np.int32),
            depth,
            triples,
            triples,
            mixed,
        )


def test_names_are_checked():
    for options in (
        {"mode": "smooth"},
        {"rule": "bottom_right"},
        {"cull": "all"},
        {"implementation": "cuda"},
    ):
        with pytest.raises(InputError, match="Received"):
            render_depth.rasterize(
                np.zeros((3, 3), np.float32), [[0, 1, 2]], 4, 4, **options
            )


def test_calls_in_parallel_give_the_same_bits():
    rng = np.random.default_rng(1)
    vertices = rng.uniform(0, 200, (2, 300, 3)).astype(np.float32)
    triangles = rng.integers(0, 300, (400, 3)).astype(np.int32)
    expected = draw(vertices, triangles, 200, 210, attributes=vertices)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(
            pool.map(
                lambda _: draw(vertices, triangles, 200, 210, attributes=vertices),
                range(8),
            )
        )
    for found in results:
        same(found, expected)


def test_threads_do_not_change_the_result():
    """Bands of rows follow the number of threads; the picture must not."""
    program = """
import sys, hashlib
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from tf_faces.ops.render_depth import rasterize
rng = np.random.default_rng(1)
vertices = rng.uniform(-20, 260, (1, 300, 3)).astype(np.float32)
triangles = rng.integers(0, 300, (400, 3)).astype(np.int32)
v = tf.Variable(vertices)
with tf.GradientTape() as tape:
    drawn = rasterize(v, triangles, 240, 230, attributes=v, implementation="op")
    loss = tf.reduce_sum(drawn.attributes**2) + tf.reduce_sum(drawn.normals[..., 0])
parts = [*drawn, tape.gradient(loss, v)]
print(hashlib.sha256(b"".join(p.numpy().tobytes() for p in parts)).hexdigest())
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(threads)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 3, 7)
    }
    assert len(digests) == 1
