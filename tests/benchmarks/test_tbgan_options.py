"""The table of what options do: which runs are made, and how they are measured."""

import numpy as np
import pytest

from benchmarks import tbgan_options
from tests import tiny_training
from tf_faces.core import configuration
from tf_faces.metrics import normal_consistency
from tf_faces.morphable import io


class Options:
    data = "data"
    results = "results"
    kimg = 30.0
    model = "builtin:tiny"
    chart = "whole"
    config = ("G.fmap_max=8",)


@pytest.mark.parametrize("variant", tbgan_options.VARIANTS)
def test_every_variant_is_a_configuration(variant):
    *program, preset, _, _ = tbgan_options.command(variant, Options)[:7]
    assert program[1:] == ["-m", "tf_faces", "train"]
    config = configuration.load("tbgan", preset.removeprefix("--preset="))
    settings = [
        word.removeprefix("--config.")
        for word in tbgan_options.command(variant, Options)
        if word.startswith("--config.")
    ]
    configuration.override(config, settings)
    configuration.check(config)
    assert config.train.total_kimg == 30.0 and config.sched.lod_training_kimg == 2.0
    assert config.surface.model == "builtin:tiny" and config.G.fmap_max == 8


def test_runs_are_found_by_their_modifiers(tmp_path):
    class Here(Options):
        results = tmp_path

    assert tbgan_options.run_of("", Here) is None
    for name in ("000-pgan-a-preset-demo", "001-pgan-a-preset-demo-hinge-r1"):
        (tmp_path / name).mkdir()
    assert tbgan_options.run_of("", Here).name.startswith("000")
    assert tbgan_options.run_of("hinge+r1", Here).name.startswith("001")
    assert tbgan_options.run_of("r1", Here) is None


def test_angles_are_means_over_the_samples_asked_for():
    maps = np.zeros((4, 4, 4, 9), np.float32)
    maps[..., 3], maps[..., 4] = np.meshgrid(np.arange(4), np.arange(4))
    maps[..., 8] = 1.0
    maps[1, ..., 7] = 1.0
    maps[3, ..., 8] = -1.0  # Not asked for.
    trust = normal_consistency.trust_of(maps[:3, ..., 3:6], maps[:3, ..., 6:9])
    found = tbgan_options.angles_of(([one] for one in maps), trust, 3)
    assert found == pytest.approx(15.0, abs=1e-3)


@pytest.mark.slow
def test_the_whole_table(tmp_path, capsys):
    from tf_faces.data import uv_samples
    from tf_faces.data.record_sets import writer

    made = uv_samples.Sampler(io.load("builtin:tiny"), 32, 0).make(
        [(number, number) for number in range(16)]
    )
    maps = [
        np.concatenate([np.moveaxis(t, -1, 0) / np.float32(127.5) - 1, s, n])
        for t, s, n in made
    ]
    labels = np.random.default_rng(0).normal(size=(16, 7)).astype(np.float32)
    samples = writer.Samples(
        range(16), [m.astype(np.float32) for m in maps].__getitem__, (9,), labels
    )
    writer.write_record_set(tmp_path / "maps", samples, processes=1)
    tiny = [
        f"--config={word.removeprefix('--config.')}"
        for word in tiny_training.TINY
        if word.startswith("--config.") and "sched.lod" not in word
    ]
    arguments = [
        *(str(tmp_path / "maps"), str(tmp_path / "results"), "--kimg=0.24", *tiny),
        *("--variants", "", "hinge+r1", "--images=16", "--minibatch=8"),
        *("--model=builtin:tiny", "--chart=whole"),
    ]
    table = tbgan_options.main(arguments)
    assert [row["run"] for row in table] == [
        "reals",
        "reals again",
        "demo",
        "demo+hinge+r1",
    ]
    assert table[0]["degrees"] < 20 and table[2]["degrees"] > 30
    assert capsys.readouterr().out.count("|") > 30
    again = tbgan_options.main(arguments)
    assert [row["degrees"] for row in again] == [row["degrees"] for row in table]
