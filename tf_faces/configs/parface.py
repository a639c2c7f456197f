"""ParFace's presets: the stages of its training, in the original's order.

| preset                | trains                                     | till epoch |
|-----------------------|--------------------------------------------|------------|
| self_supervised       | auto-encoder: L2, perceptual, adversarial  | 50         |
| self_supervised_l1    | the same with L1                           | 100        |
| inversion             | encoder and discriminator, decoder fixed   | 150        |
| landmarks_2d          | heat maps on 300-W                         | 250        |
| landmarks_2d_finetune | heat maps and encoder                      | 350        |
| landmarks_3da2d       | heat maps on 300W-LP, encoder fixed        | 450        |
| landmarks_3da2d_finetune | heat maps and encoder on 300W-LP        | 550        |
| landmarks_3d          | depths on 300W-LP                          | 650        |
| smoke                 | auto-encoder for seconds on built-in faces |            |

| modifier | changes                                                             |
|----------|---------------------------------------------------------------------|
| builtin  | rendered built-in faces instead of data sets                        |
| factory  | photographs of the picture factory, many of faces that move one     |
|          | side less than the other, drawn when training begins                |
| records  | the same from TFRecord files: the sets `train` and `held_out` in    |
|          | `data_dir`                                                          |
| narrow   | a quarter of the channels, pictures of 128 pixels                   |
| fabrec   | networks of 3FabRec: ReLU instead of leaky ReLU                     |
| random_features | perceptual term on VGG19 with random weights: an experiment  |

Each stage goes on from a snapshot of the one before:

    tf-faces train --model=parface --preset self_supervised_l1 \\
        --config.resume=results/000-parface-self_supervised/session/00050

`epochs` is the number at which training ends, counted from the very beginning.
"""

import pathlib
from typing import Any

import ml_collections

from tf_faces.core import configuration, rules
from tf_faces.core.errors import InputError

DATASETS = (
    *("affectnet", "aflw", "aflw20003d", "builtin", "celeba", "factory", "ffhq"),
    *("ls3d", "meei", "menpo", "menpo2d", "neuroface", "palsy", "photographs"),
    *("portraits", "records", "vggface2", "w300", "wflw", "wlp300"),
)
_FEATURES = [3, 8, 15, 22]
_SELF_SUPERVISED: dict[str, Any] = {
    "p_loss_features": _FEATURES,
    "update_D_freq": 1,
    "dataset_train": [
        *("celeba", "wlp300", "menpo2d", "ls3d", "neuroface", "meei", "palsy"),
        "affectnet",
    ],
    "dataset_val": ["ffhq"],
    "daug": 4,
}
_LANDMARKS: dict[str, Any] = {
    "stage": "landmarks_2d",
    "train_encoder": False,
    "train_decoder": False,
    "with_perceptual_loss": False,
    "use_adaptive_wing_loss": True,
    "batchsize": 40,
    "beta1": 0.9,
    "crop_source": "lm_ground_truth",
    # The data set palsy has landmarks in this part of its training.
    "train_split": "6",
}
_MENPO = {**_LANDMARKS, "dataset_train": ["menpo2d"], "dataset_val": ["menpo2d"]}
_WLP = {**_LANDMARKS, "dataset_train": ["wlp300"], "dataset_val": ["wlp300"]}

_PRESETS: dict[str, dict[str, Any]] = {
    "self_supervised": {**_SELF_SUPERVISED, "with_l1_loss": False, "epochs": 50},
    "self_supervised_l1": {**_SELF_SUPERVISED, "with_l1_loss": True, "epochs": 100},
    "inversion": {
        **_SELF_SUPERVISED,
        "with_l1_loss": False,
        "train_decoder": False,
        "epochs": 150,
    },
    "landmarks_2d": {**_MENPO, "epochs": 250},
    "landmarks_2d_finetune": {**_MENPO, "train_encoder": True, "epochs": 350},
    "landmarks_3da2d": {**_WLP, "epochs": 450},
    "landmarks_3da2d_finetune": {**_WLP, "train_encoder": True, "epochs": 550},
    "landmarks_3d": {
        **_WLP,
        "stage": "landmarks_3d",
        "lr_heatmaps": 1e-5,
        "epochs": 650,
    },
    "smoke": {
        "input_size": 128,
        "width": 4,
        "latent_width": 16,
        "with_perceptual_loss": False,
        "dataset_train": ["builtin"],
        "dataset_val": ["builtin"],
        "builtin_faces": 16,
        "builtin_test_faces": 8,
        "batchsize": 8,
        "batchsize_eval": 8,
        "eval_freq": 2,
        "epochs": 3,
        "lr": 2e-4,
        "daug": 1,
    },
}


def _drawn(name: str) -> dict[str, Any]:
    """Drawn faces instead of data sets, cut by their boxes in all stages."""
    return {
        "dataset_train": [name],
        "dataset_val": [name],
        "crop_source": "bb_ground_truth",
    }


_MODIFIERS: dict[str, dict[str, Any]] = {
    "builtin": _drawn("builtin"),
    "factory": _drawn("factory"),
    "records": _drawn("records"),
    "narrow": {"width": 16, "latent_width": 250, "input_size": 128},
    "fabrec": {"activation": "relu"},
    "random_features": {"perceptual_features": "random"},
}


def base_config() -> ml_collections.ConfigDict:
    """Returns the original's defaults under its options' names."""
    return ml_collections.ConfigDict(
        {
            "model": "parface",
            "desc": "",
            # Around the data sets' folders, where `paths` does not name them.
            "data_dir": "data",
            "result_dir": "results",
            "random_seed": 0,
            "num_gpus": 1,
            "devices": "auto",
            "deterministic": False,
            "xla": False,
            "precision": "float32",
            # self_supervised, landmarks_2d or landmarks_3d.
            "stage": "self_supervised",
            # Weights to go on from: RUN/session/00050, a folder of runs, an .npz, a
            # snapshot of the original; empty begins anew.
            "resume": "",
            # Networks.
            "input_size": 256,
            "num_landmarks": 68,
            "embedding_dims": 99,
            "width": 64,
            # Channels that the landmark head reads its maps off; 0: `width`.
            "landmark_width": 0,
            "latent_width": 1000,
            "activation": "leaky_relu",
            "normalize": True,
            # How heat maps become landmarks: peak, the original's, parabola, centroid.
            "decoding": "peak",
            # Draw the image discriminator's convolutions anew (Xavier).
            "reset": False,
            # torchvision's resnet18 for encoder and depth head; empty draws them.
            "resnet_weights": "",
            # What is trained.
            "train_encoder": True,
            "train_decoder": True,
            # A fixed decoder keeps its batch statistics too (the original's move).
            "freeze_statistics": False,
            "epochs": 50,
            # Pictures of all epochs that remain; follows from the data.
            "total_images": 0,
            "batchsize": 32,
            "batchsize_eval": 32,
            "lr": 2e-5,
            "beta1": 0.0,
            "beta2": 0.999,
            "save_freq": 1,
            "eval_freq": 10,
            # Terms of the self-supervised stages.
            "with_l1_loss": True,
            "with_wgan_gp": True,
            "with_perceptual_loss": True,
            "with_gan": False,
            "with_gen_loss": False,
            "with_ssim_loss": False,
            "with_zgan": False,
            # A critic without sigmoid and softplus; not the original.
            "true_wasserstein": False,
            "w_rec": 1.0,
            "w_adv": 1.0,
            "w_ploss": 0.1,
            "w_gen": 0.25,
            "w_ssim": 60.0,
            "p_loss_features": [8],
            # vgg19: torchvision's weights in the file `vgg_weights`; random: drawn
            # ones, an experiment.
            "perceptual_features": "vgg19",
            "vgg_weights": "",
            "update_D_freq": 2,
            "update_E_freq": 1,
            # Landmarks.
            "use_adaptive_wing_loss": False,
            "corrected_wing_loss": False,
            "lr_heatmaps": 1e-4,
            # Of encoder and decoder while landmarks are trained.
            "lr_encoder": 2e-5,
            "lr_adjust": False,
            # constant, the original's; cosine: falls to a fiftieth over the stage.
            "learning_rate_schedule": "constant",
            "weight_decay": 0.0,
            "sigma": 7.0,
            "ocular_norm": "outer",
            "use_groundtruth": True,
            "use_predicted": False,
            "finetune_2d": False,
            # Step the decoder with the landmarks; not the original, and reconstructions
            # are lost.
            "finetune_decoder": False,
            # Data.
            "dataset_train": ["celeba", "affectnet"],
            "dataset_val": ["ffhq"],
            # How often each set is drawn; empty draws every face alike.
            "dataset_weights": [],
            "train_split": "unlabeled",
            "test_split": "full",
            # 0 means all.
            "train_count": 0,
            "train_count_multi": 0,
            "val_count": 0,
            "st": 0,
            "daug": 0,
            "align": False,
            "crop_source": "bb_ground_truth",
            "workers": 2,
            "builtin_faces": 400,
            "builtin_test_faces": 40,
            "factory_faces": 2000,
            "factory_test_faces": 100,
            # Settings of the picture factory (data/photographs/settings.py).
            "factory": {
                "model": "ict",
                "size": 192,
                "supersampling": 2,
                "yaw": 60.0,
                "face_low": 0.5,
                "face_high": 0.62,
                "asymmetry": 0.7,
                "expression": 0.95,
            },
            # Folders of annotation files and of single data sets.
            "annotations": "",
            "paths": {name: "" for name in DATASETS},
            "train": {
                "snapshot_epochs": 1,
                "keep_snapshots": 2,
                "nonfinite_policy": "stop",
                "restore_limit": 3,
            },
        }
    )


CROP_SOURCES = ("bb_ground_truth", "bb_detector", "lm_ground_truth")
NORMS = ("pupil", "outer", "bb", "none")
_AT_LEAST_0 = (
    *("train_count", "train_count_multi", "val_count", "st", "weight_decay"),
    *("w_rec", "w_adv", "w_ploss", "w_gen", "w_ssim"),
)
_AT_LEAST_1 = (
    *("epochs", "batchsize", "batchsize_eval", "save_freq", "eval_freq", "workers"),
    *("update_D_freq", "update_E_freq", "builtin_faces", "builtin_test_faces"),
    *("factory_faces", "factory_test_faces"),
)
_RULES: dict[str, rules.Rule] = {
    **dict.fromkeys(_AT_LEAST_0, rules.at_least(0)),
    **dict.fromkeys(_AT_LEAST_1, rules.at_least(1)),
    **dict.fromkeys(("lr", "lr_heatmaps", "lr_encoder", "sigma"), rules.above(0)),
    **dict.fromkeys(("beta1", "beta2"), rules.decay()),
    **dict.fromkeys(
        ("dataset_train", "dataset_val"), rules.each(rules.one_of(*DATASETS))
    ),
    "dataset_weights": rules.each(rules.above(0)),
    "stage": rules.one_of("self_supervised", "landmarks_2d", "landmarks_3d"),
    "crop_source": rules.one_of(*CROP_SOURCES),
    "ocular_norm": rules.one_of(*NORMS),
    "learning_rate_schedule": rules.one_of("constant", "cosine"),
    "decoding": rules.one_of("peak", "parabola", "centroid"),
    "perceptual_features": rules.one_of("vgg19", "random"),
    "daug": rules.within(0, 7),
}

# Options of the original's training programs under their own names.
_SAME_NAMES = (
    *("embedding_dims", "input_size", "train_encoder", "train_decoder", "epochs"),
    *("batchsize", "batchsize_eval", "reset", "lr", "beta1", "beta2", "save_freq"),
    *("eval_freq", "train_count", "train_count_multi", "val_count", "st", "daug"),
    *("align", "crop_source", "workers", "with_l1_loss", "with_wgan_gp", "with_gan"),
    *("with_perceptual_loss", "with_gen_loss", "with_ssim_loss", "with_zgan"),
    *("w_rec", "w_adv", "w_ploss", "w_gen", "w_ssim", "p_loss_features"),
    *("update_D_freq", "update_E_freq", "normalize", "train_split", "test_split"),
    *("dataset_train", "dataset_val", "use_adaptive_wing_loss", "lr_heatmaps"),
    *("lr_adjust", "weight_decay", "sigma", "ocular_norm", "use_groundtruth"),
    *("use_predicted", "finetune_2d"),
)
_ORIGINAL_OPTIONS = {
    **{f"--{name}": (name,) for name in _SAME_NAMES},
    "--sessionname": ("desc",),
    "--epoch": ("epochs",),
    "--dataset": ("dataset_train", "dataset_val"),
    **{"-r": ("resume",), "-z": ("embedding_dims",), "-i": ("input_size",)},
    **{"-e": ("epochs",), "-b": ("batchsize",), "-j": ("workers",)},
    "-n": ("ocular_norm",),
}

_UNUSED = "changed nothing in the original, nor does it here"
_STATUS = "a line of status is printed every epoch"
_IDLE_OPTIONS = {
    "--occ": _UNUSED,
    "--wait": _UNUSED,
    "--show_random_faces": _UNUSED,
    "--show": "pictures are written to the run's folder and to TensorBoard",
    "--use_cache": "crops are made anew, beside the steps",
    **dict.fromkeys(("-p", "--print_freq", "--print_freq_eval"), _STATUS),
}
_MEASURE = "weights are measured by `tf-faces parface evaluate --model RUN`"
_JENSEN_SHANNON = "this term failed in the original; expected none"
_ANSWERED_OPTIONS = {
    "--eval": f"{_MEASURE}.",
    "--eval_3d": f"with --eval_3d, {_MEASURE}.",
    "--phases": "epochs are trained and every --eval_freq of them measured; for "
    f"measuring alone, {_MEASURE}.",
    "--gpu": "expected --devices=gpu:1, and CUDA_VISIBLE_DEVICES for which one.",
    **dict.fromkeys(("--use_js", "--w_js", "--js_weights"), f"{_JENSEN_SHANNON}."),
}

# Data sets that need no files.
_DRAWN = ("builtin", "factory")
_WHERE_DATA_COME_FROM = (
    "paths.NAME names a set that lies elsewhere, `tf-faces photographs make --form "
    "records` makes sets, and the modifier builtin needs none"
)


def _data_sets(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    return (*config.dataset_train, *config.dataset_val)


def require_perceptual_weights(config: ml_collections.ConfigDict) -> None:
    """Checks that the weights of the perceptual term are named.

    Raises:
      InputError: if they are not.
    """
    if config.perceptual_features == "vgg19" and not config.vgg_weights:
        raise InputError(
            "vgg_weights: not given, expected the file of torchvision's VGG19 "
            "(ImageNet) for the perceptual term; "
            "--config.with_perceptual_loss=False trains without it."
        )


def finalize(config: ml_collections.ConfigDict) -> None:
    """Finds missing training data and weights before TensorFlow starts.

    Raises:
      InputError: naming what makes them, or for options that exclude each other.
    """
    if config.xla and config.deterministic:
        raise InputError(
            "--xla: found with --deterministic, expected one of them: XLA has no "
            "deterministic gradient of maxima."
        )
    if config.stage == "self_supervised" and config.with_perceptual_loss:
        require_perceptual_weights(config)
    for name in _data_sets(config):
        if name in config.paths and name not in _DRAWN:
            # Records lie where other systems look for them as well.
            below = "" if name == "records" else name
            place = config.paths[name] or pathlib.Path(config.data_dir) / below
            configuration.require_training_data(place, _WHERE_DATA_COME_FROM)


def _face_models(config: ml_collections.ConfigDict) -> list[str]:
    return [config.factory.model] if "factory" in _data_sets(config) else []


PRESETS = configuration.Presets(
    "parface",
    base_config,
    _PRESETS,
    _MODIFIERS,
    rules=_RULES,
    finalize=finalize,
    face_models=_face_models,
    default="self_supervised",
    examples="""\
  tf-faces train --model=parface --preset self_supervised+builtin+narrow+random_features
      the first stage on rendered faces
""",
    original_options=_ORIGINAL_OPTIONS,
    idle_options=_IDLE_OPTIONS,
    answered_options=_ANSWERED_OPTIONS,
)

get_config = PRESETS.get_config
