"""`tf-faces tbgan evaluate`: measures of every snapshot of a run."""

import argparse
import json
import pathlib
from collections.abc import Sequence

from tf_faces.apps.tbgan import sources as apps_sources
from tf_faces.core import files, folders
from tf_faces.core.errors import InputError

# What every log begins with, as the original's.
_FIRST = "Logging output to"


def check(options: argparse.Namespace) -> None:
    """Finds what can be found wrong before TensorFlow starts.

    Raises:
      InputError: for metrics that do not exist or lack what they need.
    """
    from tf_faces.pipelines.tbgan import evaluation

    evaluation.check_request(
        options.metrics, options.images, options.passes, options.minibatch
    )
    name = pathlib.Path(options.log)
    if name.name != options.log or name.suffix != ".txt":
        raise InputError(
            f"--log: found {options.log!r}, expected a name that ends in .txt."
        )
    evaluation.check_network(
        options.metrics, options.features, options.inception_weights
    )


def run(options: argparse.Namespace) -> None:
    """Evaluates as the program's options say."""
    check(options)
    folder = _run_folder(options)
    _require_own_log(folder, options.log)
    folders.require_free_file(folder / options.log, overwrite=options.overwrite)
    from tf_faces.pipelines.tbgan import evaluation, sources

    records = sources.find_records(folder, options.data)
    network = evaluation.network_for(
        options.metrics, options.features, options.inception_weights
    )
    from tf_faces.data import tbgan as data

    configuration = files.read_json(folder / "config.json")
    stored = configuration.get("dataset", {})
    dataset = data.TfrecordDataset(
        records,
        resolution=stored.get("resolution") or None,
        max_label_size=stored.get("max_label_size", "full"),
        dynamic_range=stored.get("dynamic_range") or None,
        shuffle_mb=0,
    )
    mirror = bool(configuration.get("train", {}).get("mirror_augment", False))
    head = [
        f"{_FIRST} {folder / options.log}",
        f"Streaming data from {records}",
        *dataset.describe(),
        *evaluation.module_lines(options.metrics),
        "",
    ]
    print("\n".join(head), flush=True)
    rows: list[evaluation.Row] = []
    for row in evaluation.evaluate(
        evaluation.Reals(dataset, mirror),
        _snapshots(folder, options.every),
        metrics=options.metrics,
        images=options.images,
        passes=options.passes,
        minibatch=options.minibatch,
        seed=options.seed,
        network=network,
    ):
        rows.append(row)
        lines = evaluation.table_lines(list(row.values), rows)
        # The table so far: what was measured outlives an interruption.
        print("\n".join(lines if len(rows) == 1 else lines[-1:]), flush=True)
        _write(folder, options.log, [*head, *lines, ""], rows)
    _write_events(folder, rows)
    print(f"\nWritten: {folder / options.log}, {_jsonl(folder, options.log)}")


def _run_folder(options: argparse.Namespace) -> pathlib.Path:
    folder = apps_sources.find(options.run, options.result_dir)
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: lacks config.json, expected a run folder.")
    return folder


def _require_own_log(folder: pathlib.Path, name: str) -> None:
    """Refuses names of files in the run folder that no evaluation wrote.

    Raises:
      InputError: if the log or the .jsonl beside it is something else.
    """
    log = folder / name
    if log.is_file():
        with open(log, "rb") as stream:
            is_free = stream.read(len(_FIRST)) == _FIRST.encode()
    else:
        is_free = not (log.exists() or _jsonl(folder, name).exists())
    if not is_free:
        raise InputError(
            f"--log={name}: {folder} holds another file of this name, expected a new "
            "one or that of an earlier evaluation."
        )


def _snapshots(folder: pathlib.Path, every: int):
    """(images shown, function that opens it), newest first, every n-th of them."""
    from tf_faces.pipelines import tbgan
    from tf_faces.training import checkpoints

    paths = checkpoints.listed(folder / "snapshots")[::every]
    if not paths:
        raise InputError(f"{folder}: holds no snapshot yet.")

    def opener(path):
        return lambda: tbgan.TbganPipeline.from_snapshot(checkpoints.load(path))

    return [(int(path.name.rpartition("-")[2]), opener(path)) for path in paths]


def _jsonl(folder: pathlib.Path, log: str) -> pathlib.Path:
    return (folder / log).with_suffix(".jsonl")


def _write(folder: pathlib.Path, log: str, lines: Sequence[str], rows) -> None:
    files.write_text(folder / log, "\n".join(lines) + "\n")
    records = [
        {
            "pass": row.title,
            "images": row.images,
            "seconds": round(row.seconds, 3),
            **row.values,
        }
        for row in rows
    ]
    files.write_text(
        _jsonl(folder, log), "".join(json.dumps(record) + "\n" for record in records)
    )


def _write_events(folder: pathlib.Path, rows) -> None:
    """The values of snapshots for TensorBoard, beside the run's own curves."""
    from tf_faces.training import logging

    with logging.EventWriter(folder) as writer:
        for row in sorted(
            (row for row in rows if row.images is not None), key=lambda row: row.images
        ):
            writer.write(
                row.images,
                {f"Metrics/{name}": value for name, value in row.values.items()},
            )
