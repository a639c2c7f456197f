"""Every value of every preset and modifier, and what each rule takes, written down.

A run is resumed under its own configuration only, and figures in the documentation
name presets; so a value changes here and in `written_down.json` together, or not at
all.  After a change that is meant:

    python -m tests.configs.test_written_down
"""

import json
import pathlib

import pytest

from tf_faces.core import configuration, rules, stems
from tf_faces.training import checkpoints

STORED = pathlib.Path(__file__).with_name("written_down.json")
# What is asked of every rule.
PROBES = (
    *(-2, -1, -0.5, 0, 1e-9, 0.5, 0.999, 1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 16, 32, 48),
    *(64, 90, 128, 180, 255, 256, 300, 512, 1000, True, "", "x", "full", "uint8"),
    *("float16", "float32", "model", "synthetic", "cosine", "none", "both", "builtin"),
    *("tfrecord", "pairs", "faces", "folder", "records", "factory", "constant"),
    *("halving", "torch1", "torch2", "per_pixel", "per_picture", "self_supervised"),
    *("landmarks_2d", "landmarks_3d", "bb_detector", "bb_ground_truth", "pupil"),
    *("lm_ground_truth", "outer", "bb", "vgg19", "random", "distance", "squared"),
    *("pixel", "cross"),
    *([], [1], [0], [-1], [0, 0], [-1, 1], [1, -1], [1, "x"], [1.5, 2, 3], [True, 2]),
    *({}, {4: 1}, {4: 0}, {4: -1}, {4: 0.5}, [1, 1, 1, 1], [0, 0, 0, 1], ["shape"]),
    *(["texture"], ["shape", "expression"], ["shape", "x"], ["builtin"], [0.5], [3, 5]),
)


def changes(config, base):
    """The flat settings that differ from the base's."""
    flat = checkpoints.flatten(as_read(config.to_dict()))
    plain = checkpoints.flatten(as_read(base.to_dict()))
    lost = {name: "(absent)" for name in plain.keys() - flat.keys()}
    return lost | {n: v for n, v in flat.items() if plain.get(n, flat) != v}


def as_read(value):
    return json.loads(json.dumps(value))


def taken(rule):
    """One character a probe: whether the rule takes it."""
    return "".join("01"[rules._keeps(rule[0], probe)] for probe in PROBES)


def described(stem):
    presets = configuration.presets(stem)
    base = presets.base()
    first = next(iter(presets.presets))
    plain = presets.get_config(first)
    return {
        "base": checkpoints.flatten(as_read(base.to_dict())),
        "default": presets.get_config().desc,
        "presets": {
            name: changes(presets.get_config(name), base) for name in presets.presets
        },
        "modifiers": {
            name: changes(presets.get_config(f"{first}+{name}"), plain)
            for name in presets.modifiers
        },
        "exclusive": [list(group) for group in presets.exclusive],
        "before_preset": list(presets.before_preset),
        "tables": sorted(presets.tables),
        "rules": {name: [rule[1], taken(rule)] for name, rule in presets.rules.items()},
    }


@pytest.mark.parametrize("stem", stems.STEMS)
def test_what_is_written_down(stem):
    stored = json.loads(STORED.read_text("utf-8"))[stem]
    found = as_read(described(stem))
    for part, values in stored.items():
        assert found[part] == values, part
    assert found.keys() == stored.keys()


if __name__ == "__main__":
    text = json.dumps(
        {stem: described(stem) for stem in stems.STEMS}, indent=1, sort_keys=True
    )
    STORED.write_text(text + "\n", "utf-8")
