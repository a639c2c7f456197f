"""How fast the small PRNet trains, and what each of its savings brings.

    python benchmarks/training_speed.py --data prnet_faces [--only step,batches,...]

`prnet_faces` holds the records of configs/prnet_half_128.py (a hundred photographs
are enough).  By the clock, on all cores, nothing else running.  A row: pictures a
second, and which part of this processor's peak their products alone take: multiply-adds
of the step's graph (forward, backward) against those of a plain matrix product.

    step       one step of the recipe: as this package takes it; with the batch norms as
               operations of their own; with norms frozen; at half and quarter the side;
               in bfloat16, where the processor has it
    batches    the same step with other numbers of pictures
    pipeline   whole iterations: reading, cutting and changing the pictures beside the
               step, before it, and not at all
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from benchmarks import products  # noqa: E402
from benchmarks.processor_time import machine_line, times  # noqa: E402

_PARTS = ("step", "batches", "pipeline")
_BATCHES = (4, 8, 16, 32)
_REPEATS = 7


def _system(data: str, **changes):
    from tf_faces.core import configuration
    from tf_faces.training import prnet as training

    config = configuration.recipe(
        "prnet",
        "paper+records+half_128+quick",
        {"data_dir": data, "data.validation_faces": 1, **changes},
    )
    with config.unlocked():
        return training.build(config)


class _Peak:
    """Prints rows of one table."""

    def __init__(self):
        self.rate = products.product_rate()
        print(
            f"{machine_line()}; a plain matrix product: {self.rate / 1e9:.0f} G "
            "multiply-adds a second"
        )
        print("| | pictures a second | G multiply-adds a picture | of the peak |")
        print("|---|---|---|---|")

    def row(self, name: str, pictures: int, seconds: float, multiply_adds: int):
        share = multiply_adds / seconds / self.rate
        print(
            f"| {name} | {pictures / seconds:.1f} | "
            f"{multiply_adds / pictures / 1e9:.2f} | {share:.2f} |",
            flush=True,
        )


def _separate_norm(layer, inputs):
    """A norm as operations of their own: (normalized, mean, unbiased variance)."""
    import tensorflow as tf

    mean, variance = tf.nn.moments(inputs, (0, 1, 2))
    normalized = tf.nn.batch_normalization(
        inputs, mean, variance, layer.beta.value, layer.gamma.value, layer.epsilon
    )
    count = tf.cast(tf.size(inputs) / inputs.shape[-1], inputs.dtype)
    return normalized, mean, variance * count / (count - 1.0)


def _measured(system, parts: int, frozen: bool, precision: str = "float32"):
    """Seconds of a step, and its multiply-adds."""
    import tensorflow as tf

    from tf_faces.training import precision as arithmetic

    batch = int(system.config.train.batch)
    given = [tf.constant(one) for one in system.source.batch(0, 0, batch, parts)]
    system.optimizer.learning_rate = 0.0
    step = system._make_step(parts, frozen)
    with arithmetic.arithmetic(precision):
        seconds = min(times(lambda: step(*given).numpy(), _REPEATS, time.perf_counter))
    graph = step.get_concrete_function(*given).graph
    return seconds, products.multiply_adds(graph)


def measure_step(data: str) -> None:
    """One row a way to take the step."""
    from unittest import mock

    from tf_faces.core import machine
    from tf_faces.models.prnet.normalization import MovingBatchNormalization

    peak = _Peak()
    system = _system(data)
    batch = int(system.config.train.batch)
    with mock.patch.object(MovingBatchNormalization, "_normalized", _separate_norm):
        found = _measured(system, 1, False)
    peak.row("norms as operations of their own", batch, *found)
    ways = [
        ("as it is taken, 128 pixels", {}),
        ("norms frozen, as in the last tenth", {"frozen": True}),
        ("at 64 pixels", {"parts": 2}),
        ("at 32 pixels", {"parts": 4}),
    ]
    if machine.resolve_precision("auto", xla=False) == "bfloat16":
        ways.append(("bfloat16, 128 pixels", {"precision": "bfloat16"}))
    for name, options in ways:
        system = _system(data)
        wanted = {"parts": 1, "frozen": False, **options}
        peak.row(name, batch, *_measured(system, **wanted))


def measure_batches(data: str) -> None:
    """One row a number of pictures."""
    peak = _Peak()
    for count in _BATCHES:
        system = _system(data, **{"train.batch": count})
        peak.row(f"batches of {count}", count, *_measured(system, 1, False))


def measure_pipeline(data: str) -> None:
    """One row a way to get the pictures."""
    from tf_faces.training import loop

    peak = _Peak()
    for parts, share in ((1, [0.0, 0.0]), (2, [0.0, 1.0])):
        changes = {"train.small_shares": share, "train.norms_frozen_from": 1.0}
        system = _system(data, **changes)
        batch = int(system.config.train.batch)
        seconds, count = _measured(system, parts, False)
        side = system.network.config.resolution // parts
        peak.row(f"{side} pixels: the step alone", batch, seconds, count)
        progress = loop.Progress()

        def iterate(system=system, progress=progress):
            done = system.iterate(progress)
            done.measurements[0].values.numpy()
            progress.images += done.images
            progress.iterations += 1

        found = times(iterate, 2 * _REPEATS, time.perf_counter)
        peak.row(f"{side} pixels: iterations", batch, sum(found) / len(found), count)
        begin = time.perf_counter()
        for number in range(_REPEATS):
            system.source.batch(1000 + number, 0, batch, parts)
        made = (time.perf_counter() - begin) / _REPEATS
        print(f"|   a batch is made in {1000 * made:.0f} ms | | | |", flush=True)


def main() -> None:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder of records")
    parser.add_argument("--only", default=",".join(_PARTS), help="parts, by commas")
    options = parser.parse_args()
    from tf_faces.core import tensorflow_start

    tensorflow_start.prepare()
    for part in options.only.split(","):
        {
            "step": measure_step,
            "batches": measure_batches,
            "pipeline": measure_pipeline,
        }[part](options.data)


if __name__ == "__main__":
    main()
