"""Tiny TBGAN trainings for tests: data, command lines, comparison of two runs."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from tf_faces.data.record_sets import frames as record_frames
from tf_faces.data.record_sets import writer

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Networks of a few thousand weights, phases of a few steps.
TINY = (
    "--preset=v2-1gpu",
    "--config.G.fmap_base=32",
    "--config.G.fmap_max=4",
    "--config.G.lod_sep=3",
    "--config.D.fmap_base=32",
    "--config.D.fmap_max=4",
    "--config.D.lod_sep=3",
    "--config.grid.size=3x2",
    "--config.sched.minibatch_base=8",
    "--config.sched.minibatch_dict={}",
    "--config.sched.lod_training_kimg=0.064",
    "--config.sched.lod_transition_kimg=0.064",
    "--config.sched.tick_kimg_base=0.064",
    "--config.sched.tick_kimg_dict={}",
    "--config.train.network_snapshot_ticks=1",
    "--config.train.image_snapshot_ticks=100",
    "--config.dataset.prefetch_mb=1",
)


def make_data(
    folder: pathlib.Path, count: int = 40, resolution: int = 16, channels: int = 9
) -> pathlib.Path:
    """Writes a record set of smooth random images with seven labels."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(7)
    coarse = generator.normal(0, 0.4, (count, channels, 4, 4)).astype(np.float32)
    images = coarse.repeat(resolution // 4, axis=2).repeat(resolution // 4, axis=3)
    level = resolution
    while level >= 4:
        name = f"{folder.name}-r{level.bit_length() - 1:02d}.tfrecords"
        frames = [
            record_frames.encode_frame(record_frames.encode_image(image))
            for image in images
        ]
        (folder / name).write_bytes(b"".join(frames))
        images = images.reshape(count, channels, level // 2, 2, level // 2, 2)
        images = images.mean(axis=(3, 5), dtype=np.float32)
        level //= 2
    with open(folder / f"{folder.name}-rxx.labels", "wb") as stream:
        np.save(stream, generator.normal(size=(count, 7)).astype(np.float32))
    return folder


def make_pictures(
    folder: pathlib.Path, count: int = 40, resolution: int = 16, channels: int = 3
) -> pathlib.Path:
    """Writes a record set of uint8 pictures without labels, as dataset_tool does."""
    generator = np.random.default_rng(7)
    coarse = generator.integers(0, 256, (count, channels, 4, 4), dtype=np.uint8)
    images = coarse.repeat(resolution // 4, axis=2).repeat(resolution // 4, axis=3)
    samples = writer.Samples(range(count), images.__getitem__, (1, 3))
    writer.write_record_set(folder, samples, processes=1)
    return folder


def command(data: pathlib.Path, results: pathlib.Path, *more: str) -> list[str]:
    """Returns the arguments of a tiny training."""
    return [*TINY, f"--data_dir={data}", f"--result_dir={results}", *more]


def environment(**variables: str) -> dict[str, str]:
    """Returns the environment of a child process, on the processor only."""
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONUNBUFFERED": "1",
        **variables,
    }


def start(arguments: Sequence[str], **options) -> subprocess.Popen:
    """Starts train.py with `arguments`."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Waits for a process; returns its status and output."""
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def final_state(run: pathlib.Path) -> tuple[dict, dict]:
    """Returns (manifest without times, {group/name: array}) of the newest snapshot."""
    newest = max((run / "snapshots").glob("snapshot-*"))
    manifest = json.loads((newest / "manifest.json").read_text())["manifest"]
    state = manifest["state"]
    for name in list(state["progress"]):
        if name.endswith("seconds"):
            del state["progress"][name]
    arrays = {}
    for path in sorted(newest.glob("*.npz")):
        with np.load(path) as archive:
            for name in archive.files:
                arrays[f"{path.stem}/{name}"] = archive[name]
    return {"images": manifest["images"], "state": state}, arrays


def numbers(run: pathlib.Path) -> list[dict]:
    """Returns stats.jsonl without times."""
    found = []
    for line in (run / "stats.jsonl").read_text().splitlines():
        record = json.loads(line)
        found.append(
            {name: value for name, value in record.items() if "Timing" not in name}
        )
    return found


def assert_equal_runs(first: pathlib.Path, second: pathlib.Path) -> None:
    """Checks that two runs ended in the same state, to the last bit."""
    (manifest, arrays), (other_manifest, other_arrays) = (
        final_state(run) for run in (first, second)
    )
    assert manifest == other_manifest
    assert arrays.keys() == other_arrays.keys()
    assert len(arrays) > 20
    for name, array in arrays.items():
        assert array.tobytes() == other_arrays[name].tobytes(), name
    assert numbers(first) == numbers(second)
