"""Face Manifold's presets: `train_shape.py`, `train_expression.py` of the original.

A preset string is one preset and any number of modifiers: `both+builtin`.

| preset     | trains                                                           |
|------------|------------------------------------------------------------------|
| shape      | the shape denoiser: 20 epochs, batch 128, unit 1e5, Adam 0.001   |
| expression | the expression denoiser: 20 epochs, batch 512, unit 1, same Adam |
| both       | one after the other                                              |
| smoke      | both for seconds, on a handful of built-in faces                 |

| modifier   | changes                                                          |
|------------|------------------------------------------------------------------|
| builtin    | 5000 faces drawn from the built-in face model, fresh noise       |
| ict        | the same from ICT-FaceKit                                        |
| fresh      | fresh noise every epoch on the faces in `data_dir` (a table or a |
|            | folder of .mat files) instead of a data set on disk              |
| thorough   | a learning rate that falls to zero and noise of all strengths    |
|            | instead of one: better denoisers, not the original's recipe      |
| torch2     | the Adam of today's PyTorch instead of that of 1.0.1             |
"""

from typing import Any

import ml_collections

from tf_faces.core import configuration, rules

GROUPS = ["shape", "expression"]

_PRESETS: dict[str, dict[str, Any]] = {
    "shape": {"groups": ["shape"]},
    "expression": {"groups": ["expression"]},
    "both": {"groups": GROUPS},
    "smoke": {
        "groups": GROUPS,
        "data.source": "model",
        "data.model": "builtin:tiny",
        "data.faces": 60,
        "data.test_faces": 20,
        "shape.epochs": 2,
        "shape.batch": 32,
        "shape.copies": 2,
        "expression.epochs": 2,
        "expression.batch": 32,
        "expression.copies": 2,
    },
}

_MODIFIERS: dict[str, dict[str, Any]] = {
    "builtin": {"data.source": "model", "data.model": "builtin"},
    "ict": {"data.source": "model", "data.model": "ict"},
    "fresh": {"data.source": "faces"},
    "thorough": {
        "train.learning_rate_schedule": "cosine",
        "shape.sigma_low": 5e4,
        "expression.sigma_low": 0.2,
    },
    "torch2": {"train.adam": "torch2"},
}
_EXCLUSIVE = (("builtin", "ict", "fresh"),)


def base_config() -> ml_collections.ConfigDict:
    """Returns the original's settings."""
    return ml_collections.ConfigDict(
        {
            "model": "face_manifold",
            "desc": "",
            # Folder of generate-dataset (source "pairs"), or a table or folder of .mat
            # files (source "faces").
            "data_dir": "dataset_generation",
            "result_dir": "results",
            "random_seed": 1000,
            "num_gpus": 1,
            "devices": "auto",
            "deterministic": False,
            "xla": False,
            "precision": "float32",
            # Which denoisers, in this order.
            "groups": GROUPS,
            "architecture": "AutoEncoder4",
            # Rows of all epochs together; follows from the data.
            "total_rows": 0,
            "data": {
                # pairs: noisy and clean rows on disk; faces: a table or .mat folder,
                # corrupted while training; model: faces drawn from a face model,
                # corrupted while training.
                "source": "pairs",
                "model": "builtin",
                "faces": 5000,
                # The last faces, kept for testing (sources faces and model).
                "test_faces": 600,
                # A bad .mat file ends the run instead of being counted.
                "strict": False,
            },
            "shape": {
                "epochs": 20,
                "batch": 128,
                "unit": 1e5,
                # Corrupted copies of each face in an epoch, and the noise's deviation
                # (sources faces and model).
                "copies": 100,
                "sigma": 500_000.0,
                # Above 0: every batch draws its deviation between this and `sigma`.
                "sigma_low": 0.0,
            },
            "expression": {
                "epochs": 20,
                "batch": 512,
                "unit": 1.0,
                "copies": 50,
                "sigma": 2.0,
                "sigma_low": 0.0,
            },
            "train": {
                "learning_rate": 0.001,
                # constant, or cosine: falls to zero over the epochs.
                "learning_rate_schedule": "constant",
                # torch1: epsilon as in PyTorch 1.0.1 and Keras; torch2: as today.
                "adam": "torch1",
                # Rows of the test part that are measured before each epoch.
                "validation_rows": 1000,
                # Also measure the whole test part after each epoch (`val_full`), and
                # keep the best weights by it.
                "validate_all": False,
                # Above 0: end a denoiser after so many epochs without a better
                # `val_full` (switches validate_all on).
                "early_stopping": 0,
                "snapshot_epochs": 1,
                "keep_snapshots": 2,
                "nonfinite_policy": "stop",
                "restore_limit": 3,
            },
        }
    )


_OF_A_GROUP = {
    "epochs": rules.at_least(1),
    "batch": rules.at_least(1),
    "unit": rules.above(0),
    "copies": rules.at_least(1),
    "sigma": rules.at_least(0),
    "sigma_low": rules.at_least(0),
}
_RULES: dict[str, rules.Rule] = {
    "devices": rules.one_device(),
    "groups": (
        lambda v: len(v) > 0 and all(group in GROUPS for group in v),
        f"some of {', '.join(GROUPS)}",
    ),
    "data.source": rules.one_of("pairs", "faces", "model"),
    "data.faces": rules.at_least(1),
    "data.test_faces": rules.at_least(1),
    **{f"{group}.{name}": x for group in GROUPS for name, x in _OF_A_GROUP.items()},
    "train.learning_rate": rules.above(0),
    "train.learning_rate_schedule": rules.one_of("constant", "cosine"),
    "train.adam": rules.one_of("torch1", "torch2"),
    "train.validation_rows": rules.at_least(1),
    "train.early_stopping": rules.at_least(0),
}

_DATA_ORIGINS = {
    "pairs": "`tf-faces face-manifold generate-dataset` makes pairs, "
    "and --preset both+builtin needs none",
    "faces": "a table or a folder of .mat files is expected, "
    "and --preset both+builtin needs none",
}


def _face_models(config: ml_collections.ConfigDict) -> list[str]:
    return [config.data.model] if config.data.source == "model" else []


PRESETS = configuration.Presets(
    "face_manifold",
    base_config,
    _PRESETS,
    _MODIFIERS,
    exclusive=_EXCLUSIVE,
    rules=_RULES,
    data_origins=_DATA_ORIGINS,
    face_models=_face_models,
    default="both",
    examples="""\
  tf-faces train --model=face_manifold --preset both+builtin
      both denoisers of the built-in face model
""",
)

get_config = PRESETS.get_config
