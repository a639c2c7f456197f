"""PRNet's presets.

| preset      | trains                                                               |
|-------------|----------------------------------------------------------------------|
| paper       | the paper's recipe on pairs of 300W-LP (`trainDataLabel.txt`)        |
| prnet_train | PRNet-Train's: blue first, levels divided by 281.6, squared errors,  |
|             | no changes while training                                            |
| smoke       | a tiny network on drawn photographs, in seconds                      |

| modifier | changes                                                                 |
|----------|-------------------------------------------------------------------------|
| factory  | photographs of the picture factory, drawn while training               |
| records  | photographs of the factory from TFRecord files in `data_dir`            |
| half_128 | half the channels, crops and maps of 128 pixels                         |
| quick    | learning rate, batch and norms for some ten thousand pictures           |
"""

from typing import Any

import ml_collections

from tf_faces.core import configuration, rules

# The networks that have names: keywords of `models.prnet.PositionMapConfig`.
NETWORKS: dict[str, dict[str, Any]] = {
    "resfcn256": {},
    "half": {"width": 8},
    "quarter": {"width": 4},
    "full_128": {"resolution": 128, "map_resolution": 128},
    "half_128": {"resolution": 128, "map_resolution": 128, "width": 8},
    "quarter_128": {"resolution": 128, "map_resolution": 128, "width": 4},
    "mobile": {"separable": True},
    "mobile_128": {"resolution": 128, "map_resolution": 128, "separable": True},
}

_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "prnet_train": {
        "network.color_order": "bgr",
        "network.divisor": 281.6,
        "loss.kind": "squared",
        # weight_mask_final.jpg has levels to 255 and crosses at landmarks.
        "loss.pattern": "cross",
        "loss.scale": 255.0,
        "data.drop_rest": True,
        "data.augmentation.rotation": 0.0,
        "data.augmentation.shift": 0.0,
        "data.augmentation.scale_low": 1.0,
        "data.augmentation.scale_high": 1.0,
        "data.augmentation.color_low": 1.0,
        "data.augmentation.color_high": 1.0,
        "data.augmentation.occlusion": 0.0,
        "train.learning_rate": 2e-4,
    },
    "smoke": {
        "face_model": "builtin:tiny",
        "network.resolution": 32,
        "network.map_resolution": 32,
        "network.width": 2,
        "network.momentum": 0.9,
        "data.source": "factory",
        "data.validation_faces": 3,
        "data.processes": 1,
        "data.epoch_faces": 16,
        "factory.size": 40,
        "factory.supersampling": 1,
        "train.epochs": 3,
        "train.batch": 4,
        "train.learning_rate": 1e-3,
        "train.tick_kimg": 0.016,
        "train.picture_ticks": 3,
        "train.snapshot_ticks": 1,
    },
}

_MODIFIERS: dict[str, dict[str, Any]] = {
    "factory": {"data.source": "factory"},
    "records": {"data.source": "records"},
    "half_128": {
        "network.resolution": 128,
        "network.map_resolution": 128,
        "network.width": 8,
        "factory.size": 160,
    },
    "quick": {
        "network.momentum": 0.95,
        "train.batch": 16,
        "train.learning_rate": 3e-3,
        "train.learning_rate_schedule": "cosine",
        "train.warm_up": 0.01,
        "train.start": "passing",
        "train.small_shares": [0.0, 0.7175],
        "train.norms_frozen_from": 0.9,
        "train.total_kimg": 96.0,
        "train.tick_kimg": 4.0,
        "train.picture_ticks": 5,
        "train.snapshot_ticks": 1,
        "data.validation_faces": 100,
        "data.augmentation.rotation": 20.0,
        "data.augmentation.shift": 0.03,
        "data.augmentation.scale_low": 0.92,
        "data.augmentation.scale_high": 1.12,
        "data.augmentation.color_low": 0.7,
        "data.augmentation.color_high": 1.3,
        "data.augmentation.occlusion": 0.1,
        "data.augmentation.mirror": 0.5,
    },
}


def base_config() -> ml_collections.ConfigDict:
    """Returns the paper's settings."""
    return ml_collections.ConfigDict(
        {
            "model": "prnet",
            "desc": "",
            # Source "pairs": holds trainDataLabel.txt, perhaps validationDataLabel.txt.
            # Source "records": holds the sets `train`, `held_out` and maybe `train-*`.
            "data_dir": "data/300W_LP",
            "result_dir": "results",
            "random_seed": 12345,
            "num_gpus": 1,
            "devices": "auto",
            "deterministic": False,
            "xla": False,
            "precision": "float32",
            # Follows from the epochs and the data.
            "total_images": 0,
            # Layout of the maps of pairs: PRNet's folder of UV data.
            "uv_data": "Data/uv-data",
            # Who is drawn, and whose chart lays the maps out, in the other sources.
            "face_model": "ict",
            "network": {
                "resolution": 256,
                "map_resolution": 256,
                "width": 16,
                "separable": False,
                "color_order": "rgb",
                "divisor": 255.0,
                # 0: 1.1 times the resolution.
                "position_scale": 0.0,
                "unbiased_variance": True,
                "momentum": 0.999,
            },
            "loss": {
                # distance: the paper's; squared: PRNet-Train's.
                "kind": "distance",
                # Landmarks, eyes-nose-mouth, face, beyond.
                "weights": [16.0, 4.0, 3.0, 0.0],
                # Each landmark's pixel, or a cross of five.
                "pattern": "pixel",
                # A picture in the place of weights that are built.
                "mask": "",
                "scale": 1.0,
                # slim's regulariser of the kernels; the original's graph has 0.0002,
                # but no released script adds it to the loss.
                "weight_decay": 0.0,
            },
            "data": {
                # pairs, records or factory.
                "source": "pairs",
                "validation_faces": 200,
                # Rounds of pairs end before a batch that would not be full.
                "drop_rest": False,
                # Of the factory; 0: one a core.
                "processes": 0,
                # What counts as an epoch where pictures never end.
                "epoch_faces": 60000,
                # The paper's; its text gives no chance of occlusion.
                "augmentation": {
                    "rotation": 45.0,
                    "shift": 0.1,
                    "scale_low": 0.9,
                    "scale_high": 1.2,
                    "color_low": 0.6,
                    "color_high": 1.4,
                    "occlusion": 0.3,
                    # Chance of a mirrored pair, of layouts that are symmetric.
                    "mirror": 0.0,
                },
            },
            # Settings of the picture factory (data/photographs/settings.py).
            "factory": {
                "size": 320,
                "supersampling": 2,
                "yaw": 90.0,
                "pitch": 30.0,
                "roll": 30.0,
                "face_low": 0.42,
                "face_high": 0.62,
                "occluders": 0.15,
            },
            "train": {
                # Length in epochs; or, if above 0, in thousands of pictures.
                "epochs": 50,
                "total_kimg": 0.0,
                "batch": 16,
                "learning_rate": 1e-4,
                # halving: by half every `halving_epochs`; cosine: falls to a fiftieth.
                "learning_rate_schedule": "halving",
                "halving_epochs": 5.0,
                # The rate rises from 0 over so large a part of the pictures.
                "warm_up": 0.0,
                # Weights to start from: a run of ours, a checkpoint of PRNet, or none.
                "initial_weights": "",
                # How drawn weights begin: glorot, the original's; passing, with a
                # decoder that hands its code on (models/prnet/starts.py).
                "start": "glorot",
                # So large parts of the pictures come first, in crops and maps of a
                # quarter, then of half the side, which is a third of the work.
                "small_shares": [0.0, 0.0],
                # After so large a part of the pictures norms take their moving
                # statistics, as in use, in the place of the batch's.
                "norms_frozen_from": 1.0,
                "tick_kimg": 10.0,
                "picture_ticks": 1,
                "snapshot_ticks": 1,
                "keep_snapshots": 5,
                "nonfinite_policy": "stop",
                "restore_limit": 3,
            },
        }
    )


_AT_LEAST_0 = (
    *("loss.weight_decay", "data.processes", "train.total_kimg"),
    *(f"data.augmentation.{name}" for name in ("rotation", "shift", "scale_low")),
    *(f"data.augmentation.{name}" for name in ("color_low", "color_high")),
)
_AT_LEAST_1 = ("data.validation_faces", "data.epoch_faces", "train.epochs")
_RULES: dict[str, rules.Rule] = {
    "devices": rules.one_device(),
    "xla": rules.off("steps were never tried with it"),
    **dict.fromkeys(_AT_LEAST_0, rules.at_least(0)),
    **dict.fromkeys((*_AT_LEAST_1, "train.batch"), rules.at_least(1)),
    "loss.kind": rules.one_of("distance", "squared"),
    "loss.weights": rules.each(rules.at_least(0)),
    "loss.pattern": rules.one_of("pixel", "cross"),
    "loss.scale": rules.above(0),
    "data.source": rules.one_of("pairs", "records", "factory"),
    "data.augmentation.occlusion": rules.within(0, 1),
    "data.augmentation.mirror": rules.within(0, 1),
    "train.warm_up": rules.within(0, 1),
    "train.norms_frozen_from": rules.within(0, 1),
    "train.small_shares": rules.each(rules.within(0, 1)),
    "train.start": rules.one_of("glorot", "passing"),
    "train.learning_rate": rules.above(0),
    "train.learning_rate_schedule": rules.one_of("halving", "cosine"),
    "train.halving_epochs": rules.above(0),
    "train.tick_kimg": rules.above(0),
}

_DATA_ORIGINS = {
    "pairs": "`tf-faces prnet generate-posmaps` makes pairs, "
    "and --preset paper+factory draws its own",
    "records": "`tf-faces photographs make --form records` makes sets, "
    "and --preset paper+factory draws its own",
}


def _face_models(config: ml_collections.ConfigDict) -> list[str]:
    return [config.face_model] if config.data.source == "factory" else []


PRESETS = configuration.Presets(
    "prnet",
    base_config,
    _PRESETS,
    _MODIFIERS,
    exclusive=(("factory", "records"),),
    rules=_RULES,
    data_origins=_DATA_ORIGINS,
    face_models=_face_models,
    default="paper",
    examples="""\
  tf-faces train --model=prnet --preset paper+factory+half_128+quick
      PRNet at half width and 128 pixels on photographs drawn while training
""",
)

get_config = PRESETS.get_config
