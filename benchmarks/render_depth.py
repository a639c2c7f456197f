"""Speed and memory of the rasteriser beside those of a plain loop and of NumPy.

    python benchmarks/render_depth.py [--sizes 200 256 1024] [--repeats 60]

The mesh is a dome of 230 x 230 vertices (104,882 triangles, float32) that covers
0.8 x 0.8 of the image, with three attribute channels; every output is computed, by one
thread.  Printed are milliseconds, the least and the median, of the op and its gradient,
and of units measured in turn with them: the scalar loops of `render_depth_loop.cc`,
which is compiled on the spot (one for depth and owner alone, one of face3d's form for
depth, owner, weights and colours), and `vertices[triangles]` in NumPy, whose time
depends on what memory it is given.  Then a batch of eight meshes on one thread and on
two, in turn; how long threads waited for a processor tells whether other programs were
in the way.  Last, peak memory beyond the outputs.
"""

import argparse
import ctypes
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Of the op over the loop of face3d's form.
TARGETS = {200: 0.4, 256: 0.4, 1024: 0.25}


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


def milliseconds(function) -> float:
    start = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - start)


def in_turn(repeats: int, *functions) -> np.ndarray:
    """Milliseconds [repeats, functions]; in turn, after three rounds of warmth."""
    return np.array(
        [[milliseconds(function) for function in functions] for _ in range(repeats + 3)]
    )[3:]


def least_and_median(times: np.ndarray) -> str:
    return f"{times.min():.2f} / {np.median(times):.2f}"


def ratio(times: np.ndarray, units: np.ndarray) -> str:
    """Of the least and of the medians."""
    return (
        f"{times.min() / units.min():.2f} / {np.median(times) / np.median(units):.2f}"
    )


def plain_loops(folder: str):
    """Compiles the loops into `folder`; returns their functions."""
    from tf_faces.ops.render_depth import build

    source = pathlib.Path(__file__).with_name("render_depth_loop.cc")
    library = pathlib.Path(folder) / "render_depth_loop.so"
    command = [build.compiler(), "-O2", "-fno-tree-vectorize", "-std=c++17"]
    command += ["-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    loops = ctypes.CDLL(str(library))
    return loops.draw, loops.draw_all


def forward_and_backward(sizes, repeats) -> None:
    import tensorflow as tf

    from tf_faces.ops.render_depth import render_depth_ops

    library = render_depth_ops.load_library()
    with tempfile.TemporaryDirectory() as folder:
        draw, draw_all = plain_loops(folder)
    for side in sizes:
        vertices, triangles = dome(side)
        colors = np.random.default_rng(0).random(vertices.shape, np.float32)
        mesh = [tf.constant(part) for part in (vertices[None], triangles, colors[None])]
        size = tf.constant([side, side])
        images = library.tf_faces_render_depth(*mesh, size)
        # An odd gradient everywhere, so that no term can be skipped.
        incoming = [images[0] + 1, images[2] + 1, images[3] + 1, images[4] + 1]
        depth = np.empty((side, side), np.float32)
        owner = np.empty((side, side), np.int32)
        weights, image = np.empty((2, side, side, 3), np.float32)
        numbers = [ctypes.c_int64(number) for number in (len(triangles), side, side)]
        places = {
            name: ctypes.c_void_p(array.ctypes.data)
            for name, array in (
                ("vertices", vertices), ("triangles", triangles), ("colors", colors),
                ("depth", depth), ("owner", owner), ("weights", weights),
                ("image", image),
            )
        }  # fmt: skip
        mesh_places = [places[name] for name in ("vertices", "triangles")]
        found_places = [places[name] for name in ("depth", "owner")]
        first = [*mesh_places, *numbers, *found_places]
        every = [*mesh_places, places["colors"], *numbers, *found_places]
        every += [places["weights"], places["image"]]
        draw_all(*every)
        same = owner == images[1].numpy()[0]
        assert same.mean() > 0.99, f"only {same.mean():.1%} show the same triangle"
        far = np.abs(image - images[4].numpy()[0])[same & (owner >= 0)].max()
        assert far < 1e-3, f"the colours differ by {far}"
        forward, back, loop, form, gather = in_turn(
            repeats,
            lambda mesh=mesh, size=size: library.tf_faces_render_depth(*mesh, size),
            lambda mesh=mesh, images=images, incoming=incoming: (
                library.tf_faces_render_depth_grad(*mesh, images[1], *incoming)
            ),
            lambda first=first: draw(*first),
            lambda every=every: draw_all(*every),
            lambda vertices=vertices, triangles=triangles: vertices[triangles],
        ).T
        draw(*first)
        # On edges the two may show different triangles, but at one depth.
        shown = owner >= 0
        difference = np.abs(depth - images[0].numpy()[0])[shown].max()
        assert difference < 1e-5 * side, f"the depths differ by {difference}"
        covered = shown.mean()
        target = f" (target {TARGETS[side]})" if side in TARGETS else ""
        print(
            f"{side} x {side}, {len(triangles)} triangles, {covered:.0%} covered, "
            f"least / median:\n"
            f"  milliseconds: op {least_and_median(forward)}, gradient "
            f"{least_and_median(back)},\n"
            f"    plain loop {least_and_median(loop)}, face3d's form "
            f"{least_and_median(form)}, NumPy's gather {least_and_median(gather)}\n"
            f"  op over face3d's form {ratio(forward, form)}{target}, over plain loop "
            f"{ratio(forward, loop)}, over gather {ratio(forward, gather)};\n"
            f"  gradient over op {ratio(back, forward)} (target 2)",
            flush=True,
        )


def waited() -> float:
    """Milliseconds that this process's threads have waited for a processor; or NaN."""
    total = 0
    for task in pathlib.Path("/proc/self/task").glob("*/schedstat"):
        total += int(task.read_text().split()[1])
    return total / 1e6 or np.nan


def batch(threads: int, side: int = 256, count: int = 8) -> None:
    """Draws `count` meshes for every line of standard input.

    Prints the milliseconds of the call and those that its threads waited meanwhile.
    """
    import tensorflow as tf

    from tf_faces.ops.render_depth import rasterize

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    vertices, triangles = dome(side)
    meshes = tf.constant(np.stack([vertices] * count))
    triangles = tf.constant(triangles)
    draw = tf.function(
        lambda: rasterize(
            meshes, triangles, side, side, attributes=meshes, implementation="op"
        )[0]
    )
    for _ in range(3):
        draw()
    for _ in sys.stdin:
        before = waited()
        print(milliseconds(draw), waited() - before, flush=True)


def one_thread_and_two(repeats: int) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--part", "batch", "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for threads in (1, 2)
    ]
    measured = []
    for _ in range(repeats + 3):
        measured.append([])
        for process in processes:
            print(file=process.stdin, flush=True)
            measured[-1].append(
                [float(part) for part in process.stdout.readline().split()]
            )
    for process in processes:
        process.communicate()
    one, two = np.moveaxis(np.array(measured[3:]), 1, 0)
    calm = (one[:, 1] < 0.02 * one[:, 0]) & (two[:, 1] < 0.02 * two[:, 0])
    print(
        f"8 meshes at 256 x 256, least / median milliseconds: "
        f"{least_and_median(one[:, 0])} on one thread, {least_and_median(two[:, 0])} "
        f"on two, faster by {ratio(one[:, 0], two[:, 0])} (target 1.8);\n"
        f"  of a call its threads waited {np.median(one[:, 1]):.2f} and "
        f"{np.median(two[:, 1]):.2f} milliseconds for a processor (medians)"
    )
    if calm.any():
        print(
            f"  of the {calm.mean():.0%} of calls without waiting: "
            f"{ratio(one[calm, 0], two[calm, 0])}"
        )


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
    sys.path.insert(0, str(ROOT))
    from tf_faces.core import tensorflow_start

    tensorflow_start.prepare()
    if arguments.part == "speed":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        forward_and_backward(arguments.sizes, arguments.repeats)
    elif arguments.part == "batch":
        batch(arguments.threads)
    elif arguments.part == "memory":
        peak_memory(arguments.sizes[0])
    else:
        # Every part in a process of its own: threads and peaks are the process's.
        from benchmarks.processor_time import machine_line

        print(machine_line(), flush=True)
        again = [sys.executable, __file__, "--repeats", str(arguments.repeats)]
        sizes = [str(size) for size in arguments.sizes]
        subprocess.run([*again, "--part", "speed", "--sizes", *sizes], check=True)
        one_thread_and_two(arguments.repeats)
        subprocess.run([*again, "--part", "memory", "--sizes", "1024"], check=True)


if __name__ == "__main__":
    main()
