"""Speed of TBGAN's training step, its data pipeline and dataset_tool, side by side.

    python benchmarks/tbgan.py [--sizes 32 64 128] [--rounds 9] [--no_xla]

Steps: networks of `--fmap_base 512 --fmap_max 64`, at their full resolution, one D step
with average and one G step an iteration.  Variants of the same training run in turn:

    disk    the training system reading TFRecords, record by record
    memory  the same with minibatches that lie ready
    plain   the mathematics transcribed plainly (`plain_tbgan.py`), data in memory
    xla     `memory` with --xla
    bf16    `memory` with --precision=bfloat16, where the processor has it

Given are medians of the time an iteration takes, and of the processor seconds that it
costs: where other programs share the machine only the latter are steady.  The original
graph, interleaved with equal weights, needed 1.10 times as long as `plain`, so 0.62 of
the original is a ratio of 0.68 to `plain`.  What products alone cost is printed beside.

dataset_tool: samples a second of `create_from_pkl_img_norm` with one process and two,
whole commands from start to durable files, and of the original's inner loop alone
(`plain_dataset_tool.py`), without start and without making files durable.
"""

import argparse
import functools
import itertools
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MARK = 1.10 * 0.62  # of `plain`: 0.62 of the original graph
PIPELINE_MARK = 0.03
PROCESSES_MARK = 1.7
LOOP_MARK = 1.5


def with_children() -> float:
    """Processor seconds of this process and of those that it waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(part.ru_utime + part.ru_stime for part in used)


def in_turn(
    rounds: int, functions: dict, warmth: int = 2, clock=time.process_time
) -> dict[str, tuple[float, float]]:
    """Calls functions in turn.

    Args:
      rounds: counted calls of each.
      functions: by name.
      warmth: calls before them.
      clock: processor seconds so far.

    Returns:
      Medians of {name: (seconds, processor seconds)} after some rounds of warmth.
    """
    times: dict[str, list] = {name: [] for name in functions}
    for index in range(rounds + warmth):
        for name, function in functions.items():
            processor, start = clock(), time.perf_counter()
            function()
            took = time.perf_counter() - start, clock() - processor
            if index >= warmth:
                times[name].append(took)
    return {
        name: (
            statistics.median(wall for wall, _ in taken),
            statistics.median(processor for _, processor in taken),
        )
        for name, taken in times.items()
    }


# --- training steps -----------------------------------------------------------------


def write_images(directory: pathlib.Path, count: int, resolution: int) -> None:
    """Writes a record set of smooth random maps with seven labels."""
    from tf_faces.data.record_sets import writer

    generator = np.random.default_rng(0)
    labels = generator.normal(size=(count, 7)).astype(np.float32)

    def load(index: int) -> np.ndarray:
        coarse = np.random.default_rng(index).normal(0, 0.4, (9, 4, 4))
        scale = resolution // 4
        return np.kron(coarse, np.ones((1, scale, scale))).astype(np.float32)

    samples = writer.Samples(range(count), load, (9,), labels)
    writer.write_record_set(directory, samples, processes=1)


class _Observed:
    """A data set that notes how long its reader waits for minibatches."""

    def __init__(self, dataset, from_memory: bool):
        self._dataset = dataset
        self._from_memory = from_memory
        self.waits: list[float] = []

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    def pipeline(self, *arguments):
        pipeline = self._dataset.pipeline(*arguments)
        if self._from_memory:
            pipeline = itertools.repeat(next(iter(pipeline)))
        minibatches = iter(pipeline)
        while True:
            start = time.perf_counter()
            minibatch = next(minibatches)
            self.waits.append(time.perf_counter() - start)
            yield minibatch


def make_system(
    directory,
    arguments,
    resolution: int,
    from_memory: bool,
    xla=False,
    arithmetic="float32",
):
    """Makes the training system of one variant; returns (iterate, system, data set)."""
    from tf_faces.core import configuration
    from tf_faces.data import tbgan as data
    from tf_faces.training import distribution, loop, precision, tbgan

    config = configuration.load("tbgan", "v2-1gpu")
    options = [
        *(f"{scope}.fmap_base={arguments.fmap_base}" for scope in "GD"),
        *(f"{scope}.fmap_max={arguments.fmap_max}" for scope in "GD"),
        "sched.minibatch_dict={}",
        f"sched.minibatch_base={arguments.minibatch}",
        f"sched.lod_initial_resolution={resolution}",
        "sched.lod_training_kimg=0",
        "sched.lod_transition_kimg=0",
        "train.minibatch_repeats=1",
        "train.save_tf_graph=True",
        f"xla={xla}",
    ]
    configuration.override(config, options)
    dataset = data.TfrecordDataset(
        directory, max_label_size="full", memory_mb=0, seed=config.random_seed
    )
    observed = _Observed(dataset, from_memory)
    strategy = distribution.make_strategy("cpu:1", 1, "of this benchmark")
    system = tbgan.TbganSystem(config, strategy, observed)
    progress = loop.Progress()

    def iterate():
        with precision.arithmetic(arithmetic):
            iteration = system.iterate(progress)
        np.asarray(iteration.measurements[0].values)
        progress.iterations += 1

    return iterate, system, observed


def make_plain(system, minibatch: int):
    """Makes the plain step from copies of a system's networks; returns (run, graph)."""
    import tensorflow as tf

    from benchmarks import plain_tbgan
    from tf_faces.training.tbgan import step as tbgan_step

    step = plain_tbgan.Step(system.generator, system.discriminator)
    all_labels = tf.constant(system.dataset.labels)
    images, labels = next(iter(system.dataset.pipeline(0, minibatch, 0)))
    counter = itertools.count()

    @functools.partial(tf.function, autograph=False)
    def compiled(images, labels, seed):
        drawn = tbgan_step.random_inputs(
            seed, minibatch, system.generator.config.latent_size, all_labels
        )
        return step(images, labels, drawn, tf.constant(0.001))

    def run():
        return np.asarray(compiled(images, labels, tf.constant([1, next(counter)])))

    graph = compiled.get_concrete_function(images, labels, tf.constant([1, 0])).graph
    return run, graph


def measure_steps(arguments, resolution: int) -> None:
    """Prints a row of the table."""
    from benchmarks import products
    from tf_faces.core import machine

    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder) / "images"
        write_images(directory, max(64, 4 * arguments.minibatch), resolution)
        disk, system, observed = make_system(directory, arguments, resolution, False)
        functions = {
            "disk": disk,
        }
        memory, other, _ = make_system(directory, arguments, resolution, True)
        plain, plain_graph = make_plain(system, arguments.minibatch)
        functions |= {"memory": memory, "plain": plain}
        if arguments.xla:
            functions["xla"] = make_system(
                directory, arguments, resolution, True, xla=True
            )[0]
        if machine.multiplies_bfloat16():
            functions["bf16"] = make_system(
                directory, arguments, resolution, True, arithmetic="bfloat16"
            )[0]
        found = in_turn(arguments.rounds, functions)
    graphs = (other.graph(), plain_graph)
    wait = statistics.median(observed.waits[2:])
    for kind, unit in ((0, "time"), (1, "CPU")):
        milliseconds = {name: found[name][kind] * 1e3 for name in found}
        plain = milliseconds["plain"]
        row = [f"{resolution:>4}", f"{unit:<4}"]
        row += [f"{milliseconds[name]:>8.0f}" for name in ("disk", "memory", "plain")]
        row.append(f"{milliseconds['xla']:>8.0f}" if arguments.xla else f"{'-':>8}")
        row.append(f"{wait * 1e3:>7.1f}" if kind == 0 else f"{'':>7}")
        row.append(f"{milliseconds['disk'] / milliseconds['memory'] - 1:>9.1%}")
        row.append(f"{milliseconds['memory'] / plain:>13.2f}")
        row.append(f"{milliseconds['xla'] / plain:>10.2f}" if arguments.xla else "")
        if "bf16" in milliseconds:
            row.append(f"{milliseconds['bf16'] / milliseconds['memory']:>12.2f}")
        print(" ".join(row), flush=True)
    rate = products.product_rate()
    ours, theirs = map(products.multiply_adds, graphs)
    print(
        f"{resolution:>4} products: memory {2e-9 * ours:.0f} GFLOP, plain "
        f"{2e-9 * theirs:.0f} ({ours / theirs:.2f}); a matrix product of 2048 runs at "
        f"{2e-9 * rate:.0f} GFLOP/s, at which memory's took {1e3 * ours / rate:.0f} ms",
        flush=True,
    )


# --- dataset_tool -------------------------------------------------------------------


def measure_tool(arguments) -> None:
    """Prints samples a second of `create_from_pkl_img_norm`, run as a user runs it."""
    tool = [sys.executable, str(ROOT / "tools" / "dataset_tool.py")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    size = str(arguments.tool_resolution)
    with tempfile.TemporaryDirectory() as folder:
        source, target = (pathlib.Path(folder) / name for name in ("maps", "set"))

        def call(*words) -> None:
            subprocess.run(
                [*tool, *map(str, words)],
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        def write(processes: int) -> None:
            options = ["--labels", source / "labels.pkl", "--paths"]
            options += [source / "paths.pkl", "--processes", processes, "--overwrite"]
            folders = [source / name for name in ("texture", "shape", "normals")]
            call("create_from_pkl_img_norm", *options, target, *folders)

        count = arguments.tool_count
        call("make_uv_set", source, "--resolution", size, "--count", count)
        from benchmarks import plain_dataset_tool
        from tf_faces.data.record_sets import coupled

        folders = (source / name for name in ("texture", "shape", "normals"))
        items = coupled.from_pkl_img_norm(coupled.CoupledSource(*folders)).items
        plain = pathlib.Path(folder) / "plain"
        plain.mkdir()
        found = in_turn(
            arguments.tool_rounds,
            {
                "one": lambda: write(1),
                "two": lambda: write(2),
                "plain": lambda: plain_dataset_tool.write(plain, items),
            },
            warmth=1,
            clock=with_children,
        )
    rates = {name: count / wall for name, (wall, _) in found.items()}
    print(
        f"dataset_tool, {count} samples of {size}x{size}: {rates['one']:.0f} samples/s "
        f"with one process, {rates['two']:.0f} with two, ratio "
        f"{rates['two'] / rates['one']:.2f} (mark: at least {PROCESSES_MARK}); the "
        f"original's inner loop: {rates['plain']:.0f}, one process is "
        f"{rates['one'] / rates['plain']:.2f} times that (mark: at least {LOOP_MARK})\n"
        f"  of the processor a sample: "
        + ", ".join(f"{name} {1e3 * found[name][1] / count:.1f} ms" for name in found)
    )


# --- program ------------------------------------------------------------------------


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--minibatch", type=int, default=16)
    parser.add_argument("--fmap_base", type=int, default=512)
    parser.add_argument("--fmap_max", type=int, default=64)
    parser.add_argument("--no_xla", dest="xla", action="store_false")
    parser.add_argument("--no_tool", dest="tool", action="store_false")
    parser.add_argument("--tool_count", type=int, default=5000)
    parser.add_argument("--tool_resolution", type=int, default=64)
    parser.add_argument("--tool_rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    from benchmarks.processor_time import machine_line
    from tf_faces.core import tensorflow_start

    tensorflow_start.prepare()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(machine_line())
    if arguments.tool:
        measure_tool(arguments)
    if arguments.sizes:
        print(
            f"Steps: minibatch {arguments.minibatch}, medians of {arguments.rounds} in "
            f"milliseconds; marks: pipeline below {PIPELINE_MARK:.0%}, memory / plain "
            f"at most {MARK:.2f}"
        )
        print(
            f"size {'':4} {'disk':>8} {'memory':>8} {'plain':>8} {'xla':>8} "
            f"{'wait':>7} {'pipeline':>9} {'memory/plain':>13} {'xla/plain':>10} "
            f"{'bf16/memory':>12}"
        )
    for resolution in arguments.sizes:
        measure_steps(arguments, resolution)


if __name__ == "__main__":
    main()
