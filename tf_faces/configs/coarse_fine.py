"""CoarseNet's and FineNet's presets.

| preset   | trains                                                                 |
|----------|------------------------------------------------------------------------|
| repo     | the re-implementation: four CoarseNets and FineNet, all losses at once |
| paper    | the paper's: one narrow recurrent network, coarse, then fine, then     |
|          | joint; shading with one light a picture                                |
| resnet50 | the same stages with ResNet-50 as trunk                                |
| quick    | the paper's stages at 64 x 64 on one face model, for a processor       |
| smoke    | all stages in seconds                                                  |

| modifier | changes                                                                |
|----------|------------------------------------------------------------------------|
| folder   | pictures and labels of `data_dir` instead of drawn ones                |
| records  | photographs of the picture factory from TFRecord files in `data_dir`   |
| factory  | photographs of the picture factory, drawn while training               |
| separate | a CoarseNet of its own for every pass                                  |
| absolute | every pass gives the parameters anew, as the original's                |
"""

from typing import Any

import ml_collections

from tf_faces.core import configuration, rules

_PAPER_NETWORK = {
    "network.share_weights": True,
    "network.trunk": "plain",
    "network.stem_width": 32,
    "network.widths": [32, 64, 128, 256],
    "network.dense_layers": 3,
    "network.statistics": "moving",
    "network.scale": True,
    "network.ranges": "deviations",
    "network.update": "residual",
    "network.renderer": "smooth",
    "network.fine_inputs_in_column": True,
    "network.fine_residual": True,
    "network.depth_scale": 100.0,
}
_PAPER_LOSS = {
    "loss.weights.pose": 1.0,
    "loss.weights.geometry": 1.0,
    # Means over the face's pixels, grey values of 0..1, depth in pixels: what the
    # paper's sums of other units weigh.
    "loss.weights.shading": 1.0,
    "loss.weights.fidelity": 1e-3,
    "loss.weights.smoothness": 2e-3,
    "loss.shading": "per_picture",
    "loss.every_pass": True,
    "loss.whitened": True,
    "loss.geometry_unit": 3000.0,
    "loss.masked": True,
    "loss.hold_coarse": True,
}
_PAPER_TRAIN = {
    "train.coarse_kimg": 400.0,
    "train.fine_kimg": 100.0,
    "train.joint_kimg": 50.0,
    "train.batch": 16,
    "train.learning_rate": 1e-3,
    "train.learning_rate_schedule": "cosine",
    "train.clip_norm": 5.0,
}
_PAPER = {**_PAPER_NETWORK, **_PAPER_LOSS, **_PAPER_TRAIN}
_QUICK = {
    **_PAPER,
    "face_model": "builtin:tiny",
    "network.image_size": 64,
    "network.shape_count": 20,
    "network.expression_count": 8,
    "network.iterations": 3,
    "network.stem_width": 16,
    "network.widths": [16, 32, 64, 128],
    "network.dense_layers": 1,
    "network.fine_widths": [16, 32, 64],
    "network.depth_scale": 30.0,
    "train.coarse_kimg": 24.0,
    "train.fine_kimg": 6.0,
    "train.joint_kimg": 2.0,
}

_PRESETS: dict[str, dict[str, Any]] = {
    "repo": {},
    "paper": _PAPER,
    "resnet50": {
        **_PAPER,
        "network.trunk": "resnet50",
        "network.stem_width": 64,
        "network.widths": [64, 128, 256, 512],
    },
    "quick": _QUICK,
    "smoke": {
        **_QUICK,
        "network.image_size": 32,
        "network.shape_count": 4,
        "network.expression_count": 2,
        "network.iterations": 2,
        "network.stem_width": 8,
        "network.widths": [8, 8, 8, 8],
        "network.fine_widths": [4, 4, 4],
        "data.validation_faces": 4,
        "train.coarse_kimg": 0.016,
        "train.fine_kimg": 0.016,
        "train.joint_kimg": 0.016,
        "train.batch": 4,
        "train.tick_kimg": 0.016,
        "train.picture_ticks": 3,
        "train.snapshot_ticks": 1,
    },
}

_MODIFIERS: dict[str, dict[str, Any]] = {
    "folder": {"data.source": "folder"},
    "records": {"data.source": "records"},
    "factory": {"data.source": "factory"},
    "separate": {"network.share_weights": False},
    "absolute": {"network.update": "absolute"},
}


def base_config() -> ml_collections.ConfigDict:
    """Returns the re-implementation's settings."""
    return ml_collections.ConfigDict(
        {
            "model": "coarse_fine",
            "desc": "",
            # Data set of `tf-faces coarse-fine prepare` (source "folder").
            "data_dir": "data/vggface",
            "result_dir": "results",
            "random_seed": 12345,
            "num_gpus": 1,
            "devices": "auto",
            "deterministic": False,
            "xla": False,
            "precision": "float32",
            # builtin, builtin:tiny, ict, or a folder with Model_Shape.mat.
            "face_model": "builtin",
            # Names of its regions that are kept, separated by commas; empty for all.
            "face_regions": "",
            "network": {
                "image_size": 200,
                "shape_count": 199,
                "expression_count": 29,
                "iterations": 4,
                "share_weights": False,
                "trunk": "bottleneck",
                "stem_width": 64,
                "widths": [64, 128, 256, 512],
                "dense_layers": 1,
                "pooling": "mean",
                "head_width": 0,
                "statistics": "batch",
                "decay": 0.99,
                "scale": False,
                "ranges": "original",
                "update": "absolute",
                "renderer": "original",
                "fine_widths": [64, 128, 256],
                "fine_inputs_in_column": False,
                "fine_residual": False,
                "depth_scale": 1.0,
            },
            # See training/coarse_fine/objective.py.
            "loss": {
                "weights": {
                    "pose": 1e-3,
                    "geometry": 1e-6,
                    "vertices": 0.0,
                    "shading": 1e-3,
                    "fidelity": 100.0,
                    "smoothness": 1e-5,
                },
                "shading": "per_pixel",
                "every_pass": False,
                "whitened": False,
                "geometry_unit": 1.0,
                "masked": False,
                "depth_unit": 1.0,
                "hold_coarse": False,
                "hold_feedback": False,
            },
            "data": {
                # model: pictures drawn of the face model while training; folder:
                # pictures and labels of `data_dir`; records: photographs of the picture
                # factory, sets `train`, maybe `train-*`, and `held_out` in `data_dir`;
                # factory: the same, drawn while training.
                "source": "model",
                "grey_mean": 126.064,
                # Drawn faces: degrees, parts of the side, spread of the scale.
                "pitch": 20.0,
                "yaw": 40.0,
                "roll": 15.0,
                "shift": 0.05,
                "scale_spread": 0.1,
                # Height of wrinkles on drawn faces, in parts of the side.
                "wrinkles": 0.004,
                "validation_faces": 64,
                # Processes of the factory; 0: one a core.
                "processes": 0,
                # Of photographs: the part of a batch that are faces drawn of the model;
                # a folder of `tf-faces photographs fit` for the fine stage, or "".
                "drawn_share": 0.0,
                "portraits": "",
                # Crops while training are off by so much of their side,
                # larger or smaller by so much; contrast and brightness differ by so
                # much (deviations).
                "jitter_shift": 0.03,
                "jitter_scale": 0.08,
                "jitter_light": 0.15,
            },
            # Settings of the picture factory (data/photographs/settings.py).
            "factory": {
                "size": 160,
                "supersampling": 2,
                "camera": "weak",
                "yaw": 45.0,
                "pitch": 20.0,
                "roll": 15.0,
                "face_low": 0.42,
                "face_high": 0.62,
                "occluders": 0.15,
            },
            "train": {
                # Original weights to start from: slim's or Keras' ImageNet files, or a
                # snapshot of the original.
                "initial_weights": [],
                # Only the last pass gets ImageNet weights, as in the original.
                "faithful_restore": False,
                "coarse_kimg": 0.0,
                "fine_kimg": 0.0,
                "joint_kimg": 280.004,
                "batch": 4,
                "learning_rate": 1e-5,
                # constant, or cosine: falls to zero over each stage.
                "learning_rate_schedule": "constant",
                # Above 0: gradients are scaled down to this norm.
                "clip_norm": 0.0,
                "tick_kimg": 1.0,
                "picture_ticks": 4,
                "snapshot_ticks": 4,
                "keep_snapshots": 5,
                "nonfinite_policy": "stop",
                "restore_limit": 3,
            },
        }
    )


_AT_LEAST_0 = (
    *(f"loss.weights.{name}" for name in ("pose", "geometry", "shading", "fidelity")),
    *("loss.weights.smoothness", "data.pitch", "data.yaw", "data.roll", "data.shift"),
    *("data.scale_spread", "data.wrinkles", "train.coarse_kimg", "train.fine_kimg"),
    *("train.joint_kimg", "train.clip_norm", "loss.weights.vertices"),
    *("data.jitter_light", "data.processes"),
)
_RULES: dict[str, rules.Rule] = {
    "devices": rules.one_device(),
    "xla": rules.off("the rasteriser is no operation of XLA"),
    **dict.fromkeys(_AT_LEAST_0, rules.at_least(0)),
    "loss.shading": rules.one_of("per_pixel", "per_picture"),
    "loss.geometry_unit": rules.above(0),
    "loss.depth_unit": rules.above(0),
    "data.source": rules.one_of("model", "folder", "records", "factory"),
    "data.drawn_share": rules.within(0, 0.9),
    "data.jitter_shift": rules.within(0, 0.5),
    "data.jitter_scale": rules.within(0, 0.5),
    "data.grey_mean": rules.within(0, 255),
    "data.validation_faces": rules.at_least(1),
    "train.batch": rules.at_least(1),
    "train.learning_rate": rules.above(0),
    "train.learning_rate_schedule": rules.one_of("constant", "cosine"),
    "train.tick_kimg": rules.above(0),
}

_DATA_ORIGINS = {
    "folder": "`tf-faces coarse-fine prepare` makes a data set, "
    "and --preset paper needs none",
    "records": "`tf-faces photographs make --form records` makes sets, "
    "and --preset paper needs none",
}


def _face_models(config: ml_collections.ConfigDict) -> list[str]:
    return [config.face_model]


PRESETS = configuration.Presets(
    "coarse_fine",
    base_config,
    _PRESETS,
    _MODIFIERS,
    exclusive=(("folder", "records", "factory"),),
    rules=_RULES,
    data_origins=_DATA_ORIGINS,
    face_models=_face_models,
    default="repo",
    examples="""\
  tf-faces train --model=coarse_fine --preset quick
      coarse, fine and joint stage at 64 x 64 on drawn faces
""",
)

get_config = PRESETS.get_config
