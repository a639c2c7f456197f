"""Presets of the toy: a line through points."""

import ml_collections

from tf_faces.core import configuration


def base_config() -> ml_collections.ConfigDict:
    """Returns the defaults."""
    return ml_collections.ConfigDict(
        {
            "model": "toy",
            "desc": "",
            "data_dir": "",
            "result_dir": "results",
            "random_seed": 7,
            "num_gpus": 1,
            "devices": "auto",
            "deterministic": False,
            "xla": False,
            "precision": "float32",
            "slope": 3.0,
            "points": 64,
            "network": {"width": 1},
            "train": {"total_points": 4000, "snapshot_ticks": 1},
        }
    )


PRESETS = configuration.Presets(
    "toy",
    base_config,
    {"line": {}, "smoke": {"train.total_points": 640}},
    {"steep": {"slope": 9.0}},
)

get_config = PRESETS.get_config
