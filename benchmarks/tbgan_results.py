"""Speed of TBGAN's measures and meshes, side by side with plain NumPy.

    python benchmarks/tbgan_results.py [--pairs 16384] [--resolution 512]

Sliced Wasserstein distance: two sets of descriptors of 147 numbers, 4 times 128
directions, from the raw patches to the distance.  `plain` is the formula in NumPy as
one writes it down: normalise, project, sort, subtract.

Meshes: maps in memory to vertices with texture, and to durable files.
"""

import argparse
import concurrent.futures
import pathlib
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.processor_time import times  # noqa: E402
from tf_faces.core import machine  # noqa: E402

TIMES_PLAIN = 5.0
FACES_A_SECOND = 50.0


def clocked(function, repeats: int) -> tuple[float, float]:
    """(least, median) seconds of some calls, the first left out."""
    found = times(function, repeats, time.perf_counter)
    return min(found), float(np.median(found))


def plain_distance(first, second, random) -> float:
    """The distance as one writes it down."""

    def normalized(patches):
        mean = patches.mean(axis=(0, 2, 3), keepdims=True)
        deviation = patches.std(axis=(0, 2, 3), keepdims=True)
        return ((patches - mean) / deviation).reshape(len(patches), -1)

    first, second = normalized(first), normalized(second)
    found = []
    for _ in range(4):
        axes = random.randn(first.shape[1], 128)
        axes /= np.sqrt(np.sum(np.square(axes), axis=0, keepdims=True))
        axes = axes.astype(np.float32)
        projected = [np.sort(rows @ axes, axis=0) for rows in (first, second)]
        found.append(np.mean(np.abs(projected[0] - projected[1])))
    return 1e3 * float(np.mean(found))


def measure_distance(pairs: int, repeats: int) -> None:
    from tf_faces.metrics import sliced_wasserstein as sliced

    draw = np.random.default_rng(0)
    first, second = draw.standard_normal((2, pairs, 3, 7, 7), np.float32)
    second *= np.float32(1.1)

    def ours():
        rows = sliced.normalized([first]), sliced.normalized([second])
        return 1e3 * sliced.distance(*rows, np.random.RandomState(0))

    def plain():
        return plain_distance(first, second, np.random.RandomState(0))

    assert abs(ours() - plain()) < 1e-3 * plain()
    rows = [(name, *clocked(call, repeats)) for name, call in
            (("plain NumPy", plain), ("sliced_wasserstein", ours))]  # fmt: skip
    print(f"{pairs} pairs of descriptors{'':12} {'least':>9} {'median':>9}  seconds")
    for name, least, median in rows:
        print(f"  {name:<34} {least:9.3f} {median:9.3f}")
    ratio = rows[0][2] / rows[1][2]
    print(f"  times as fast as plain: {ratio:.1f} (mark {TIMES_PLAIN:g})\n")


def measure_meshes(resolution: int, count: int) -> None:
    from tf_faces.data import uv_samples
    from tf_faces.geometry import mesh_files
    from tf_faces.morphable import io
    from tf_faces.pipelines import tbgan

    dictionary = uv_samples.Sampler(io.load("builtin"), resolution, 0).dictionary()
    draw = np.random.default_rng(1)
    maps = draw.uniform(-1, 1, (resolution, resolution, 9)).astype(np.float32)
    pipeline = tbgan.TbganPipeline(
        lambda latents, labels: np.repeat(maps[None], len(latents), axis=0),
        latent_size=1,
        label_size=0,
        resolution=resolution,
        channels=9,
        dictionary=dictionary,
    )
    print(
        f"meshes of {resolution}x{resolution} maps, {len(dictionary.tcoords)} vertices"
    )
    for name, options in (
        ("as the original: whole pixels", {"bilinear": False}),
        ("between pixels, clean rim", {}),
    ):
        pipeline.mesh(maps, **options)
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(machine.processors()) as pool:
            list(pool.map(lambda _, o=options: pipeline.mesh(maps, **o), range(count)))
        rate = count / (time.perf_counter() - start)
        print(f"  {name:<34} {rate:7.1f} faces a second (mark {FACES_A_SECOND:g})")
    mesh = pipeline.mesh(maps)
    for suffix in mesh_files.SUFFIXES:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            for number in range(4):
                mesh_files.write_mesh(pathlib.Path(folder, f"{number}{suffix}"), mesh)
            rate = 4 / (time.perf_counter() - start)
        print(f"  written as {suffix:<23} {rate:7.1f} files a second")


def main() -> None:
    """Measures all and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=16384)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--faces", type=int, default=40)
    options = parser.parse_args()
    measure_distance(options.pairs, options.repeats)
    measure_meshes(options.resolution, options.faces)


if __name__ == "__main__":
    main()
