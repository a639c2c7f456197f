"""Speed and memory of the rasteriser, as ratios to NumPy's gather of the same mesh.

    python benchmarks/render_depth.py [--sizes 200 256 1024] [--repeats 60]

The mesh is a dome of 230 x 230 vertices (104,882 triangles, float32) that covers
0.8 x 0.8 of the image, with three attribute channels; every output is computed, by one
thread.  The unit of time is `vertices[triangles]` in NumPy, measured in turn with the
op so that both see the same machine.  Also printed: backward over forward, meshes per
second of two threads over one on a batch of 8, and peak memory beyond the outputs.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGETS = {200: 0.22, 256: 0.32, 1024: 2.5}


def dome(side: float, count: int = 230) -> tuple[np.ndarray, np.ndarray]:
    """A dome over a square grid, in pixels of an image of `side` x `side`.

    Returns:
      vertices float32 [count * count, 3] and triangles int32 [2 (count - 1)^2, 3].
    """
    line = np.linspace(-1, 1, count)
    x, y = np.meshgrid(line, line)
    z = 0.4 * np.sqrt(np.maximum(0, 2.2 - x * x - y * y))
    vertices = np.stack([0.5 + 0.4 * x, 0.5 + 0.4 * y, z], -1) * side - [0.5, 0.5, 0]
    index = np.arange(count * count).reshape(count, count)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    pairs = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], 2)
    triangles = pairs.reshape(-1, 3).astype(np.int32)
    return vertices.reshape(-1, 3).astype(np.float32), triangles


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turn(repeats: int, *functions) -> list[float]:
    """Median seconds of each function, called in turn after three rounds of warmth."""
    times = [[seconds(function) for function in functions] for _ in range(repeats + 3)]
    return list(np.median(times[3:], 0))


def forward_and_backward(sizes, repeats) -> None:
    import tensorflow as tf

    from tf_faces.ops.render_depth import render_depth_ops

    library = render_depth_ops.load_library()
    for side in sizes:
        vertices, triangles = dome(side)
        colors = np.random.default_rng(0).random(vertices.shape, np.float32)
        mesh = [tf.constant(part) for part in (vertices[None], triangles, colors[None])]
        size = tf.constant([side, side])
        images = library.tf_faces_render_depth(*mesh, size)
        # An odd gradient everywhere, so that no term can be skipped.
        incoming = [images[0] + 1, images[2] + 1, images[3] + 1, images[4] + 1]
        gather, forward, back = in_turn(
            repeats,
            lambda vertices=vertices, triangles=triangles: vertices[triangles],
            lambda mesh=mesh, size=size: library.tf_faces_render_depth(*mesh, size),
            lambda mesh=mesh, images=images, incoming=incoming: (
                library.tf_faces_render_depth_grad(*mesh, images[1], *incoming)
            ),
        )
        covered = float(tf.reduce_mean(tf.cast(images[1] >= 0, tf.float32)))
        target = f" (target {TARGETS[side]})" if side in TARGETS else ""
        print(
            f"{side} x {side}, {len(triangles)} triangles, {covered:.0%} covered: "
            f"gather {gather * 1e3:.2f} ms, op {forward * 1e3:.2f} ms, "
            f"ratio {forward / gather:.3f}{target}; backward / forward "
            f"{back / forward:.2f} (target 2)",
            flush=True,
        )


def batch_rate(threads: int, repeats: int, side: int = 256) -> float:
    """Meshes per second on a batch of 8, in this process."""
    import tensorflow as tf

    from tf_faces.ops.render_depth import rasterize

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    vertices, triangles = dome(side)
    batch = tf.constant(np.stack([vertices] * 8))
    triangles = tf.constant(triangles)
    draw = tf.function(
        lambda: rasterize(
            batch, triangles, side, side, attributes=batch, implementation="op"
        )[0]
    )
    return 8 / in_turn(repeats, draw)[0]


def peak_memory(side: int) -> None:
    """Prints the growth of the peak resident size beyond the outputs of one call."""
    import resource

    import tensorflow as tf

    from tf_faces.ops.render_depth import rasterize

    def draw(vertices, triangles, side):
        return rasterize(
            vertices, triangles, side, side, attributes=vertices, implementation="op"
        )

    vertices, triangles = map(tf.constant, dome(side))
    draw(vertices, triangles, 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = draw(vertices, triangles, side)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    outputs = sum(part.numpy().nbytes for part in result)
    allowed = 16 * side * side + 32 * len(triangles)
    print(
        f"{side} x {side}: outputs {outputs / 1e6:.1f} MB, peak grew by "
        f"{(after - before) / 1e6:.1f} MB; allowed beyond the outputs "
        f"{allowed / 1e6:.1f} MB"
    )


def _again(*arguments: str, **environment: str) -> str:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 256, 1024])
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--part", choices=["speed", "batch", "memory"])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.path.insert(0, str(ROOT))
    if arguments.part == "speed":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        forward_and_backward(arguments.sizes, arguments.repeats)
    elif arguments.part == "batch":
        print(batch_rate(arguments.threads, arguments.repeats))
    elif arguments.part == "memory":
        peak_memory(arguments.sizes[0])
    else:
        sizes = [str(size) for size in arguments.sizes]
        repeats = ("--repeats", str(arguments.repeats))
        print(_again("--part", "speed", "--sizes", *sizes, *repeats))
        rates = [
            float(_again("--part", "batch", "--threads", str(threads), *repeats))
            for threads in (1, 2)
        ]
        print(
            f"batch of 8 at 256 x 256: {rates[0]:.0f} meshes/s on one thread, "
            f"{rates[1]:.0f} on two, ratio {rates[1] / rates[0]:.2f} (target 1.8)"
        )
        print(_again("--part", "memory", "--sizes", "1024"))


if __name__ == "__main__":
    main()
