"""What options beyond the original do for TBGAN: trains, measures, prints a table.

    tf-faces dataset create_from_meshes datasets/makehuman --model makehuman \
        --count 4000 --resolution 64 --chart face
    python benchmarks/tbgan_options.py datasets/makehuman results/options

Every run is the preset `demo` with a modifier more; data, seed and schedule are the
same.  A run that has ended already is measured only; one that was stopped goes on.

Columns: sliced Wasserstein distance of the modalities and of all together (thousandths,
mean over levels), the angle between normals and shape of the samples in degrees, and
the seconds of the processor that training took.  The first rows are the real maps:
their first pass is the reference, the second the floor.
"""

import argparse
import pathlib
import resource
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

VARIANTS = (
    *("", "hinge", "r1", "hinge+r1", "ada", "ramp", "consistent", "onmodel"),
    "labels4",
)


def command(variant: str, options: argparse.Namespace) -> list[str]:
    """The training of one variant."""
    preset = "+".join(filter(None, ["demo", variant]))
    phase = options.kimg / 15
    return [
        *(sys.executable, "-m", "tf_faces", "train", f"--preset={preset}"),
        *(f"--data_dir={options.data}", f"--result_dir={options.results}"),
        f"--config.train.total_kimg={options.kimg}",
        f"--config.sched.lod_training_kimg={phase:g}",
        f"--config.sched.lod_transition_kimg={phase:g}",
        f"--config.surface.model={options.model}",
        f"--config.surface.chart={options.chart}",
        # Measured here; meshes and exports are for others.
        *("--config.finish.samples=0", "--config.finish.saved_model=False"),
        *(f"--config.{setting}" for setting in options.config),
    ]


def run_of(variant: str, options: argparse.Namespace) -> pathlib.Path | None:
    """The run folder of a variant, if there is one."""
    ending = "-".join(["-preset-demo", *filter(None, variant.split("+"))])
    found = sorted(options.results.glob(f"[0-9]*{ending}"))
    return found[-1] if found else None


def train(variant: str, options: argparse.Namespace) -> tuple[pathlib.Path, float]:
    """Trains a variant, or goes on with it; returns its folder and CPU seconds."""
    run = run_of(variant, options)
    more = [] if run is None else [f"--resume={run}"]
    clock = None if run is None else run / "processor_seconds.txt"
    spent = float(clock.read_text()) if clock and clock.is_file() else 0.0
    if run is None or not (run / "_training-done.txt").is_file():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command(variant, options), *more], cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        run = run_of(variant, options)
        assert run is not None
        (run / "processor_seconds.txt").write_text(f"{spent:.1f}\n")
    return run, spent


def angles_of(batches, trust, count: int) -> float:
    """Mean angle of normals and shape over maps [n, H, W, 9], in degrees."""
    from tf_faces.metrics import normal_consistency

    total = seen = 0
    for maps in batches:
        maps = np.asarray(maps, np.float32)[: count - seen]
        angle = normal_consistency.mean_angle(maps[..., 3:6], maps[..., 6:9], trust)
        total, seen = total + angle * len(maps), seen + len(maps)
        if seen >= count:
            break
    return total / seen


def measure(runs, options: argparse.Namespace) -> list[dict]:
    """Rows of numbers: two passes over the reals, then the runs in their order."""
    from tf_faces.data import tbgan as data
    from tf_faces.metrics import normal_consistency
    from tf_faces.pipelines.tbgan import TbganPipeline, evaluation
    from tf_faces.training import checkpoints

    dataset = data.TfrecordDataset(
        options.data, max_label_size="full", shuffle_mb=0, prefetch_mb=16
    )
    pipelines = [
        TbganPipeline.from_snapshot(checkpoints.load_newest(run / "snapshots"))
        for _, run, _ in runs
    ]
    # One in memory is given for each, in their order.
    snapshots = [(0, lambda made=made: made) for made in pipelines]
    rows = evaluation.evaluate(
        evaluation.Reals(dataset, mirror=False),
        snapshots,
        metrics=("swd",),
        images=options.images,
        minibatch=options.minibatch,
    )
    reals, labels = next(iter(dataset.pipeline(0, min(256, dataset.count))))
    reals = reals.numpy()
    trust = normal_consistency.trust_of(reals[..., 3:6], reals[..., 6:9])
    names = ["reals", "reals again", *(f"demo+{name}".rstrip("+") for name, *_ in runs)]
    table = []
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        if number < 2:
            degrees, seconds = angles_of([reals], trust, len(reals)), 0.0
        else:
            pipeline = pipelines[number - 2]
            draw = np.random.RandomState(options.seed)
            latents = draw.randn(len(reals), pipeline.latent_size).astype(np.float32)
            conditions = pipeline.labels_for(labels.numpy())
            made = pipeline.maps(latents, conditions, options.minibatch)
            degrees = angles_of(([maps] for maps in made), trust, len(reals))
            seconds = runs[number - 2][2]
        averages = {
            key.removeprefix("SWDx1e3_avg").lstrip("_"): value
            for key, value in row.values.items()
            if key.startswith("SWDx1e3_avg")
        }
        table.append(
            {"run": name, **averages, "degrees": degrees, "CPU seconds": seconds}
        )
        print_row(table)
    return table


def print_row(table: list[dict]) -> None:
    """Prints the newest row as Markdown, the head before the first."""
    row = table[-1]
    if len(table) == 1:
        print("| " + " | ".join(row) + " |")
        print("|" + "---|" * len(row))
    shown = [f"{v:.1f}" if isinstance(v, float) else str(v) for v in row.values()]
    print("| " + " | ".join(shown) + " |", flush=True)


def main(arguments: list[str] | None = None) -> list[dict]:
    """Trains and measures all variants; returns the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path, help="record set of coupled maps")
    parser.add_argument("results", type=pathlib.Path, help="folder of the runs")
    parser.add_argument("--variants", nargs="*", default=VARIANTS, metavar="MODIFIERS")
    parser.add_argument("--kimg", type=float, default=40.0, help="of each run")
    parser.add_argument("--model", default="makehuman", help="of the shapes")
    parser.add_argument("--chart", default="face", choices=("whole", "face"))
    parser.add_argument("--images", type=int, default=2000, help="measured a pass")
    parser.add_argument("--minibatch", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1000, help="of measured samples")
    parser.add_argument(
        "--config", action="append", default=[], metavar="NAME=VALUE",
        help="another value for all runs",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    runs = [(name, *train(name, options)) for name in options.variants]
    return measure(runs, options)


if __name__ == "__main__":
    main()
