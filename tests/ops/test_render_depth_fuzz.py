"""Hostile input: the kernels under sanitizers, and the op itself through TensorFlow."""

import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.ops.render_depth import build, render_depth_ops

HERE = pathlib.Path(__file__).resolve().parent
CALLS = 20_000


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The fuzz program, compiled with AddressSanitizer and UBSan."""
    compiler = build.compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    kernels = build.SOURCES / "kernels"
    program = tmp_path_factory.mktemp("fuzz") / "render_depth_fuzz"
    command = [
        compiler,
        "-std=c++17",
        "-O1",
        "-g",
        "-ffp-contract=off",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined,float-cast-overflow",
        "-fno-sanitize-recover=all",
        "-Wno-psabi",
        f"-I{kernels}",
        str(HERE / "fuzz" / "render_depth_fuzz.cc"),
        str(kernels / "render_depth_vector.cc"),
        "-o",
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "sanit" in done.stderr and "cannot find" in done.stderr:
        pytest.skip("the compiler has no sanitizer libraries")
    assert done.returncode == 0, done.stderr[-3000:]
    return program


def run(program, calls, seed):
    done = subprocess.run(
        [program, str(calls), str(seed)], capture_output=True, text=True
    )
    report = done.stderr[-3000:]
    assert done.returncode == 0 and not report, report
    drawn, refused, covered = (
        int(part.split()[0]) for part in done.stdout.strip().split(", ")
    )
    assert drawn + refused == calls
    # The input is a fair mixture, or the test says nothing.
    assert drawn > calls / 2 and refused > calls / 20 and covered > calls
    return drawn, refused


def test_kernels_under_sanitizers_briefly(sanitized):
    run(sanitized, 1000, 5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_kernels_under_sanitizers(sanitized, seed):
    run(sanitized, CALLS, seed)


def test_the_sanitizer_sees_a_missing_guard(tmp_path):
    """A kernel that reads one float too far is reported."""
    compiler = build.compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    kernels = tmp_path / "kernels"
    shutil.copytree(build.SOURCES / "kernels", kernels)
    loops = kernels / "render_depth_vector_lanes.inc"
    guarded = "offset == last ? copy : from"
    text = loops.read_text()
    assert guarded in text
    loops.write_text(text.replace(guarded, "from"))
    program = tmp_path / "fuzz"
    done = subprocess.run(
        [compiler, "-std=c++17", "-O1", "-g", "-ffp-contract=off", "-Wno-psabi",
         "-fsanitize=address", f"-I{kernels}",
         str(HERE / "fuzz" / "render_depth_fuzz.cc"),
         str(kernels / "render_depth_vector.cc"), "-o", str(program)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode and "cannot find" in done.stderr:
        pytest.skip("the compiler has no sanitizer libraries")
    assert done.returncode == 0, done.stderr[-3000:]
    done = subprocess.run([program, "500", "1"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr


def hostile_call(rng):
    """Arguments of one op call, and whether they are valid."""
    batch, count, channels = (int(n) for n in rng.integers((0, 0, 0), (3, 12, 5)))
    total = int(rng.integers(0, 9)) if count else 0
    vertices = rng.uniform(-9, 30, (batch, count, 3)).astype(np.float32)
    triangles = rng.integers(0, max(count, 1), (total, 3)).astype(np.int32)
    if rng.random() < 0.3:
        triangles = np.broadcast_to(triangles, (batch, total, 3)).copy()
    attributes = rng.standard_normal((batch, count, channels)).astype(np.float32)
    size = rng.integers(0, 24, 2).astype(np.int32)
    valid = True
    fault = rng.integers(0, 16)
    if fault == 0 and triangles.size and batch:
        place = tuple(int(rng.integers(0, side)) for side in triangles.shape)
        triangles[place] = rng.choice([-1, count, 2**31 - 1, -(2**31)])
        valid = False
    elif fault == 1 and vertices.size:
        place = tuple(int(rng.integers(0, side)) for side in vertices.shape)
        vertices[place] = rng.choice([np.nan, np.inf, -np.inf])
        valid = False
    elif fault == 2:
        size = rng.choice([-1, -(2**31), 2**31 - 1, 2**25], 2).astype(np.int32)
        valid = False
    elif fault == 3:
        vertices = vertices[..., : rng.integers(0, 3)]
        valid = False
    elif fault == 4:
        triangles = triangles[..., : rng.integers(0, 3)]
        valid = False
    elif fault == 5:
        attributes = np.zeros((batch + 1, count, channels), np.float32)
        valid = False
    elif fault == 6:
        attributes = np.zeros((batch, count + 1, channels), np.float32)
        valid = False
    elif fault == 7:
        triangles = np.zeros((batch + 1, total, 3), np.int32)
        valid = False
    elif fault == 8:
        size = size[:1]
        valid = False
    elif fault == 9 and vertices.size:
        vertices = (vertices * np.float32(1e37)).astype(np.float32)
    elif fault == 10 and batch:
        # More pixels than an output may have, though each side is allowed.
        size = np.int32([2**24, 2**10])
        valid = False
    return (vertices, triangles, attributes, size), valid


def run_op(seed, calls):
    draw = render_depth_ops.load_library().tf_faces_render_depth
    rng = np.random.default_rng(seed)
    counts = {True: 0, False: 0}
    for _ in range(calls):
        arguments, valid = hostile_call(rng)
        edges = rng.choice(["top_left", "strict", "inclusive", "box"])
        counts[valid] += 1
        try:
            depth, triangle_id, *_ = draw(*arguments, edges=edges)
        except tf.errors.InvalidArgumentError:
            assert not valid, arguments
        else:
            assert valid, arguments
            assert depth.shape == (len(arguments[0]), *arguments[3])
            assert np.max(triangle_id, initial=-1) < arguments[1].shape[-2]
    assert min(counts.values()) > calls / 10


def test_op_refuses_what_is_wrong_briefly():
    run_op(0, 500)


@pytest.mark.slow
def test_op_refuses_what_is_wrong():
    run_op(1, CALLS)
