"""Schedules of every preset against tables made by the original TrainingSchedule."""

import json

import pytest

from tf_faces.core import configuration
from tf_faces.training import tbgan


@pytest.mark.golden("tbgan", "schedule*.json")
def test_schedule(recording):
    recorded = json.loads(recording.read_text())
    columns = {
        "kimg": lambda values: values.kimg,
        "lod": lambda values: values.level_of_detail,
        "resolution": lambda values: values.resolution,
        "minibatch": lambda values: values.minibatch,
        "G_lrate": lambda values: values.generator_learning_rate,
        "D_lrate": lambda values: values.discriminator_learning_rate,
        "tick_kimg": lambda values: values.tick_kimg,
    }
    assert recorded["tables"]
    for table in recorded["tables"]:
        preset = [table["preset"], table["precision"]]
        if table["mode"] != "plain":
            preset.append(table["mode"])
        if table["kimg_defaults"] == "pggan":
            preset.append("kimg600")
        config = configuration.load("tbgan", "+".join(preset))
        schedule = tbgan.make_schedule(config, table["resolution_log2"])
        assert table["rows"]
        for row in table["rows"]:
            kimg = row[recorded["columns"].index("kimg")]
            found = schedule.at(kimg * 1000)
            for name, value in zip(recorded["columns"], row, strict=True):
                assert columns[name](found) == pytest.approx(
                    value, rel=1e-12, abs=1e-12
                ), (table["preset"], table["mode"], kimg, name)
