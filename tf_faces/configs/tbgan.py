"""TBGAN's and the Progressive GAN's presets (config.py of the two projects).

A preset string is one preset and any number of modifiers: `v2-4gpus+fp32+VERBOSE`.

| preset    | devices | for                                                          |
|-----------|---------|--------------------------------------------------------------|
| v1-1gpu   | 1       | the first paper's settings (minibatch groups of 16)          |
| v2-1gpu   | 1       | one GPU                                                      |
| v2-2gpus  | 2       | two                                                          |
| v2-4gpus  | 4       | four: what TBGAN was trained with                            |
| v2-8gpus  | 8       | eight                                                        |
| demo      | 1       | the built-in faces, 64x64, minutes on a laptop's processor   |
| smoke     | 1       | seconds: does it run at all                                  |

Names of options are the originals'; tables are by resolution.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import ml_collections

from tf_faces.core import configuration, files, folders, machine, rules
from tf_faces.core.errors import InputError

# Thousands of images a tick, by resolution.
TICK_KIMG = {
    4: 160, 8: 140, 16: 120, 32: 100, 64: 80, 128: 60, 256: 40, 512: 20, 1024: 10,
}  # fmt: skip

WHERE_DATA_COME_FROM = (
    "`tf-faces dataset create_from_images NEW_FOLDER PICTURES` makes them, and "
    "--preset demo needs none"
)

_PRESETS: dict[str, dict[str, Any]] = {
    "v1-1gpu": {
        "num_gpus": 1,
        "sched.minibatch_base": 16,
        "sched.minibatch_dict": {256: 14, 512: 6, 1024: 3},
        "sched.lod_training_kimg": 800.0,
        "sched.lod_transition_kimg": 800.0,
        "D.mbstd_group_size": 16,
        "train.total_kimg": 19000.0,
    },
    "v2-1gpu": {
        "num_gpus": 1,
        "sched.minibatch_base": 4,
        "sched.minibatch_dict": {
            4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4,
        },
        "sched.G_lrate_dict": {1024: 0.0015},
        "sched.D_lrate_dict": {1024: 0.0015},
        "train.total_kimg": 12000.0,
    },
    "v2-2gpus": {
        "num_gpus": 2,
        "sched.minibatch_base": 8,
        "sched.minibatch_dict": {
            4: 256, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4,
        },
        "sched.G_lrate_dict": {512: 0.0015, 1024: 0.002},
        "sched.D_lrate_dict": {512: 0.0015, 1024: 0.002},
        "train.total_kimg": 12000.0,
    },
    "v2-4gpus": {
        "num_gpus": 4,
        "sched.minibatch_base": 16,
        "sched.minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16},
        "sched.G_lrate_dict": {256: 0.0015, 512: 0.002, 1024: 0.003},
        "sched.D_lrate_dict": {256: 0.0015, 512: 0.002, 1024: 0.003},
        "train.total_kimg": 16000.0,
    },
    "v2-8gpus": {
        "num_gpus": 8,
        "sched.minibatch_base": 32,
        "sched.minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32},
        "sched.G_lrate_dict": {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003},
        "sched.D_lrate_dict": {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003},
        "train.total_kimg": 12000.0,
    },
    # Five resolutions in minutes on two processor cores: narrow networks, phases
    # whose lengths follow the cost of an image at each resolution.
    "demo": {
        "num_gpus": 1,
        "data_dir": "datasets",
        "dataset.tfrecord_dir": "demo_faces_64",
        "dataset.build_count": 4000,
        "dataset.build_resolution": 64,
        "dataset.shuffle_mb": 1024,
        "dataset.prefetch_mb": 16,
        "grid.size": "12x6",
        "G.fmap_base": 256, "G.fmap_max": 32, "G.lod_sep": 5,
        "D.fmap_base": 256, "D.fmap_max": 32, "D.lod_sep": 5,
        "sched.minibatch_base": 8,
        "sched.minibatch_dict": {},
        "sched.G_lrate_base": 0.002,
        "sched.G_lrate_dict": {64: 0.001},
        "sched.D_lrate_base": 0.002,
        "sched.D_lrate_dict": {64: 0.001},
        "sched.lod_training_kimg": 3.0,
        "sched.lod_transition_kimg": 3.0,
        "sched.tick_kimg_base": 2.0,
        "sched.tick_kimg_dict": {},
        "train.total_kimg": 40.0,
        # Gs follows within 500 steps: sharp in the long last phase, behind in the
        # short ones before it.
        "train.G_smoothing": 0.998,
        "train.image_snapshot_ticks": 2,
        "train.network_snapshot_ticks": 4,
        "train.keep_snapshots": 2,
        "finish.samples": 4,
        # What faces add to the neutral one is wide, and so is a young network's noise.
        "finish.smoothing": "3",
        "finish.saved_model": True,
        # As near to the real maps as float32, in two thirds of the time.
        "precision": "auto",
    },
    "smoke": {
        "num_gpus": 1,
        "data_dir": "datasets",
        "dataset.tfrecord_dir": "smoke_faces_32",
        "dataset.build_count": 32,
        "dataset.build_resolution": 32,
        "dataset.shuffle_mb": 16,
        "dataset.prefetch_mb": 4,
        "grid.size": "1080p",
        "G.fmap_base": 32, "G.fmap_max": 4, "G.lod_sep": 4,
        "D.fmap_base": 32, "D.fmap_max": 4, "D.lod_sep": 4,
        "sched.minibatch_base": 8,
        "sched.lod_training_kimg": 0.032,
        "sched.lod_transition_kimg": 0.032,
        "sched.tick_kimg_base": 0.064,
        "sched.tick_kimg_dict": {},
        "train.total_kimg": 0.256,
        "train.network_snapshot_ticks": 1,
        "train.keep_snapshots": 2,
    },
}  # fmt: skip

# Applied in this order, whatever the order in the preset string; fp32, fp16 and bf16
# exclude each other, as do BENCHMARK, BENCHMARK0 and nogrowing.
_MODIFIERS: dict[str, dict[str, Any]] = {
    "syn1024rgb": {
        "dataset.kind": "synthetic",
        "dataset.tfrecord_dir": "",
        "dataset.resolution": 1024,
        "dataset.num_channels": 3,
        "dataset.dtype": "uint8",
        "dataset.dynamic_range": [0, 255],
        "dataset.max_label_size": 0,
    },
    "cond": {"dataset.max_label_size": "full"},
    "cond1": {"dataset.max_label_size": 1},
    "nocond": {"dataset.max_label_size": 0},
    "g1080p": {"grid.size": "1080p"},
    "g4k": {"grid.size": "4k"},
    "grandom": {"grid.layout": "random"},
    "grpc": {"grid.layout": "row_per_class"},
    "fp32": {"sched.max_minibatch_per_gpu": {256: 16, 512: 8, 1024: 4}},
    "fp16": {
        "G.dtype": "float16",
        "D.dtype": "float16",
        "G.pixelnorm_epsilon": 1e-4,
        "G_opt.use_loss_scaling": True,
        "D_opt.use_loss_scaling": True,
        "sched.max_minibatch_per_gpu": {512: 16, 1024: 8},
    },
    # Numbers of float32's range need no loss scaling; not the originals'.
    "bf16": {
        "G.dtype": "bfloat16",
        "D.dtype": "bfloat16",
        "sched.max_minibatch_per_gpu": {512: 16, 1024: 8},
    },
    # The Progressive GAN's phase lengths instead of TBGAN's 1000.
    "kimg600": {"sched.lod_training_kimg": 600.0, "sched.lod_transition_kimg": 600.0},
    "nogrowing": {
        "sched.lod_initial_resolution": 1024,
        "sched.lod_training_kimg": 0.0,
        "sched.lod_transition_kimg": 0.0,
        "train.total_kimg": 10000.0,
    },
    "singletrunk": {"G.single_trunk": True, "D.single_trunk": True},
    # Beyond the originals; docs/systems/tbgan.md says when each helps.
    "hinge": {"D_loss.adversarial": "hinge"},
    "r1": {"D_loss.penalty": "r1"},
    "ada": {"augment.target": 0.6},
    "ramp": {"train.G_smoothing_ramp": 0.05},
    "consistent": {"G_loss.consistency_weight": 1.0},
    "onmodel": {"G_loss.model_weight": 10.0},
    "labels4": {"G.label_strength": 4.0},
    "nopixelnorm": {"G.use_pixelnorm": False},
    "nowscale": {"G.use_wscale": False, "D.use_wscale": False},
    "noleakyrelu": {"G.use_leakyrelu": False},
    "nosmoothing": {"train.G_smoothing": 0.0},
    "norepeat": {"train.minibatch_repeats": 1},
    "noreset": {"train.reset_opt_for_new_lod": False},
    "VERBOSE": {
        "sched.tick_kimg_base": 100.0,
        "sched.tick_kimg_dict": {},
        "train.image_snapshot_ticks": 2,
        "train.network_snapshot_ticks": 2,
    },
    "GRAPH": {"train.save_tf_graph": True},
    "HIST": {"train.save_weight_histograms": True},
    "BENCHMARK": {
        "sched.lod_initial_resolution": 4,
        "sched.lod_training_kimg": 3.0,
        "sched.lod_transition_kimg": 3.0,
        "train.total_kimg": (8 * 2 + 1) * 3.0,
        "sched.tick_kimg_base": 1.0,
        "sched.tick_kimg_dict": {},
        "train.image_snapshot_ticks": 1000,
        "train.network_snapshot_ticks": 1000,
    },
    "BENCHMARK0": {
        "sched.lod_initial_resolution": 1024,
        "train.total_kimg": 10.0,
        "sched.tick_kimg_base": 1.0,
        "sched.tick_kimg_dict": {},
        "train.image_snapshot_ticks": 1000,
        "train.network_snapshot_ticks": 1000,
    },
}

_EXCLUSIVE = (
    ("fp32", "fp16", "bf16"),
    ("cond", "cond1", "nocond"),
    ("nogrowing", "BENCHMARK", "BENCHMARK0"),
    ("g1080p", "g4k"),
    ("grandom", "grpc"),
)
# Parts of the description that come before the preset's name, as in config.py.
_NAMED_FIRST = (
    "syn1024rgb", "cond", "cond1", "nocond", "g1080p", "g4k", "grandom", "grpc",
)  # fmt: skip


def base_config() -> ml_collections.ConfigDict:
    """Returns TBGAN's defaults, before any preset."""
    return ml_collections.ConfigDict(
        {
            "model": "tbgan",
            "desc": "",
            "data_dir": "",
            "result_dir": "results",
            "random_seed": 1000,
            "num_gpus": 1,
            "devices": "auto",
            "strategy": "auto",
            "deterministic": False,
            "xla": False,
            "precision": "float32",
            "dataset": {
                "kind": "tfrecord",
                "tfrecord_dir": "",
                "resolution": 0,  # 0 takes the data set's own
                "num_channels": 9,  # of synthetic data; files say theirs
                "dtype": "",  # "" takes what the records hold
                # [] takes [0, 255] for uint8 and [-1, 1] for float32.
                "dynamic_range": [],
                "max_label_size": "full",
                "shuffle_mb": 4096,
                "prefetch_mb": 2048,
                # Makes the data set from the built-in face if it is absent.
                "build_count": 0,
                "build_resolution": 64,
                "build_model": "builtin",
            },
            # size: 4k, 1080p, or e.g. 12x6 (columns x rows).  label_softmax: fakes get
            # the probabilities that G is trained with, not the labels as stored.
            "grid": {"size": "4k", "layout": "row_per_class", "label_softmax": True},
            "G": {
                "fmap_base": 8192,
                "fmap_decay": 1.0,
                "fmap_max": 512,
                "latent_size": 0,  # 0: three times min(fmap_base, fmap_max)
                "normalize_latents": True,
                "use_wscale": True,
                "use_pixelnorm": True,
                "pixelnorm_epsilon": 1e-8,
                "use_leakyrelu": True,
                "fused_scale": True,
                "dtype": "float32",
                "lod_sep": 7,
                "single_trunk": False,  # True: the Progressive GAN's networks
                "label_strength": 1.0,  # factor on the labels beside the latents
            },
            "D": {
                "fmap_base": 8192,
                "fmap_decay": 1.0,
                "fmap_max": 512,
                "use_wscale": True,
                "mbstd_group_size": 4,
                "fused_scale": True,
                "dtype": "float32",
                "lod_sep": 7,
                "single_trunk": False,  # True: the Progressive GAN's networks
            },
            "G_opt": _optimizer(),
            "D_opt": _optimizer(),
            # label_softmax: labels are logits, made probabilities inside the losses;
            # turn it off for one-hot labels.
            # consistency_weight: normals and shape of a sample agree; model_weight: its
            # shape is one of the morphable model's, on this chart of it.
            "G_loss": {
                "cond_weight": 1.0,
                "label_softmax": True,
                "consistency_weight": 0.0,
                "model_weight": 0.0,
            },
            "surface": {"model": "builtin", "chart": "whole"},
            # adversarial: wgan or hinge.  penalty: wgan_gp, or r1 by r1_gamma.
            "D_loss": {
                "adversarial": "wgan",
                "penalty": "wgan_gp",
                "r1_gamma": 10.0,
                "wgan_lambda": 10.0,
                "wgan_epsilon": 0.001,
                "wgan_target": 1.0,
                "cond_weight": 1.0,
                "label_softmax": True,
            },
            # Adaptive augmentation of what D sees: off with the target 0; kimg to rise
            # from 0 to 1, at most to the limit.
            "augment": {"target": 0.0, "kimg": 500.0, "limit": 0.8},
            "sched": {
                "lod_initial_resolution": 4,
                "lod_training_kimg": 1000.0,
                "lod_transition_kimg": 1000.0,
                "minibatch_base": 16,
                "minibatch_dict": {},
                "max_minibatch_per_gpu": {},
                "G_lrate_base": 0.001,
                "G_lrate_dict": {},
                "D_lrate_base": 0.001,
                "D_lrate_dict": {},
                "tick_kimg_base": 160.0,
                "tick_kimg_dict": dict(TICK_KIMG),
                # Images that a device computes at once at most; 0 for all of its share.
                "part_base": 0,
                "part_dict": {},
            },
            "train": {
                "total_kimg": 15000.0,
                "G_smoothing": 0.999,
                "G_smoothing_ramp": 0.0,  # half-life over images shown; 0.05 is usual
                "D_repeats": 1,
                "minibatch_repeats": 4,
                "reset_opt_for_new_lod": True,
                "mirror_augment": False,
                "drange_net": [-1, 1],
                "image_snapshot_ticks": 1,
                "network_snapshot_ticks": 10,
                "keep_snapshots": 0,  # 0 keeps all
                "save_tf_graph": False,
                "save_weight_histograms": False,
                "nonfinite_policy": "stop",
                "restore_limit": 3,
            },
            # After training: meshes of so many samples (shape maps smoothed with a
            # sigma in pixels, "auto" for the usual one), and a SavedModel.
            "finish": {"samples": 0, "smoothing": "auto", "saved_model": False},
        }
    )


def _optimizer() -> dict[str, Any]:
    return {
        "beta1": 0.0,
        "beta2": 0.99,
        "epsilon": 1e-8,
        "use_loss_scaling": False,
        "loss_scaling_init": 64.0,
        "loss_scaling_inc": 0.0005,
        "loss_scaling_dec": 1.0,
    }


def _describe(name: str, modifiers: Sequence[str]) -> str:
    """As config.py of the originals; "{dataset}" stands for the data set's name."""
    first = [modifier for modifier in modifiers if modifier in _NAMED_FIRST]
    rest = [modifier for modifier in modifiers if modifier not in _NAMED_FIRST]
    return "-".join(["pgan-{dataset}", *first, "preset", name, *rest])


def _holds_records(folder: pathlib.Path) -> bool:
    is_record_file = folders.has_suffix(".tfrecords")
    return bool(folders.list_files(folder, is_record_file, deep=False).paths)


def _name_data_set(config: ml_collections.ConfigDict, folder: pathlib.Path) -> None:
    if folder.name in ("", ".."):  # As "." has no name of its own.
        folder = folder.resolve()
    config.data_dir = str(folder.parent)
    config.dataset.tfrecord_dir = folder.name


def _is_range(value: Sequence) -> bool:
    return len(value) == 2 and all(type(edge) in (int, float) for edge in value)


_AT_LEAST_0 = (
    *("dataset.shuffle_mb", "dataset.prefetch_mb", "dataset.build_count"),
    *("G.latent_size", "D.mbstd_group_size", "G_loss.cond_weight"),
    *("D_loss.wgan_lambda", "D_loss.wgan_epsilon", "D_loss.cond_weight"),
    *("sched.lod_training_kimg", "sched.lod_transition_kimg", "sched.G_lrate_base"),
    *("sched.D_lrate_base", "train.total_kimg", "finish.samples"),
    *("sched.part_base", "train.G_smoothing_ramp", "D_loss.r1_gamma"),
    *("G_loss.consistency_weight", "G_loss.model_weight", "G.label_strength"),
)
_AT_LEAST_1 = (
    *("dataset.num_channels", "G.fmap_base", "G.fmap_max", "D.fmap_base"),
    *("D.fmap_max", "sched.minibatch_base", "train.D_repeats"),
    "train.minibatch_repeats",
)
# Field -> the test of its value, and what is expected.
_RULES: dict[str, rules.Rule] = {
    "strategy": rules.one_of(*machine.STRATEGIES),
    "dataset.kind": (
        lambda v: v in ("tfrecord", "synthetic"),
        "tfrecord or synthetic",
    ),
    "dataset.resolution": (
        lambda v: v == 0 or rules.power_of_two(4)[0](v),
        "0 or a power of two from 4 on",
    ),
    "dataset.dtype": (
        lambda v: v in ("", "uint8", "float32"),
        "uint8, float32, or nothing for what the records hold",
    ),
    "dataset.dynamic_range": (
        lambda v: not len(v) or _is_range(v),
        "[low, high], or [] for that of the records' type",
    ),
    "dataset.max_label_size": (
        lambda v: v == "full" or (type(v) is int and v >= 0),
        '"full" or a count',
    ),
    "dataset.build_resolution": (
        lambda v: v in (32, 64, 128, 256, 512),
        "32, 64, 128, 256 or 512",
    ),
    **dict.fromkeys(_AT_LEAST_0, rules.at_least(0)),
    **dict.fromkeys(_AT_LEAST_1, rules.at_least(1)),
    **dict.fromkeys(
        ("G.dtype", "D.dtype"), rules.one_of("float32", "float16", "bfloat16")
    ),
    **{
        f"{network}_opt.{name}": rule
        for network in "GD"
        for name, rule in (
            ("beta1", rules.decay()),
            ("beta2", rules.decay()),
            ("epsilon", rules.above(0)),
        )
    },
    "sched.lod_initial_resolution": rules.power_of_two(4),
    "D_loss.adversarial": rules.one_of("wgan", "hinge"),
    "D_loss.penalty": rules.one_of("wgan_gp", "r1"),
    "surface.chart": rules.one_of("whole", "face"),
    "augment.target": rules.within(0, 1),
    "augment.kimg": rules.above(0),
    "augment.limit": rules.within(0, 1),
    "sched.part_dict": rules.each(rules.at_least(0)),
    "sched.tick_kimg_base": rules.above(0),
    "sched.tick_kimg_dict": rules.each(rules.above(0)),
    "sched.minibatch_dict": rules.each(rules.at_least(1)),
    "sched.max_minibatch_per_gpu": rules.each(rules.at_least(1)),
    "sched.G_lrate_dict": rules.each(rules.at_least(0)),
    "sched.D_lrate_dict": rules.each(rules.at_least(0)),
    "train.G_smoothing": rules.within(0, 1),
    "train.drange_net": (lambda v: _is_range(v) and v[0] < v[1], "[low, high]"),
}


def check_dataset(config: ml_collections.ConfigDict) -> None:
    """Checks the options of the data set by themselves.

    Raises:
      InputError: naming the first wrong one.
    """
    rules.check(
        config, {name: x for name, x in _RULES.items() if name.startswith("dataset.")}
    )


def require_data(config: ml_collections.ConfigDict) -> pathlib.Path:
    """Returns the folder of the data set.

    Raises:
      InputError: if it is not there; the sentence names what makes it.
    """
    folder = pathlib.Path(config.data_dir) / config.dataset.tfrecord_dir
    if not folder.is_dir() or not _holds_records(folder):
        raise InputError(
            f"{folder}: found no data set there, expected .tfrecords files; "
            f"{WHERE_DATA_COME_FROM}."
        )
    return folder


def finalize(config: ml_collections.ConfigDict) -> None:
    """Finds the data set's folder and puts its name into the description.

    `data_dir` may be the data set itself (the folder of .tfrecords files), or the
    folder around it when `dataset.tfrecord_dir` names it or there is only one.

    Raises:
      InputError: if an option is wrong, or no data set is found there.
    """
    check_dataset(config)
    dataset = config.dataset
    if dataset.kind == "tfrecord" and not dataset.tfrecord_dir:
        if not config.data_dir:
            raise InputError(
                "--data_dir: not given, expected a folder of .tfrecords files; "
                f"{WHERE_DATA_COME_FROM}."
            )
        if not pathlib.Path(config.data_dir).exists():
            raise InputError(
                f"{config.data_dir}: no such data folder (--data_dir); "
                f"{WHERE_DATA_COME_FROM}."
            )
        folder = files.require_directory(config.data_dir, "data folder (--data_dir)")
        if _holds_records(folder):
            _name_data_set(config, folder)
        else:
            inside = [
                path.name
                for path in folders.list_folders(folder)
                if _holds_records(path)
            ]
            if not inside:
                raise InputError(
                    f"--data_dir={config.data_dir}: found 0 data sets in it, expected "
                    f".tfrecords files; {WHERE_DATA_COME_FROM}."
                )
            if len(inside) > 1:
                raise InputError(
                    f"--data_dir={config.data_dir}: found {len(inside)} data sets in "
                    "it, expected .tfrecords files; --config.dataset.tfrecord_dir=NAME "
                    "names one of several."
                )
            dataset.tfrecord_dir = inside[0]
    elif dataset.kind == "tfrecord":
        # A preset's own data set (demo) is not looked for in a folder given instead.
        folder = pathlib.Path(config.data_dir)
        if config.data_dir and folder.is_dir() and _holds_records(folder):
            dataset.build_count = 0
            _name_data_set(config, folder)
        if not dataset.build_count:
            require_data(config)
    name = dataset.tfrecord_dir or f"synthetic{dataset.resolution}"
    # A data set within folders of --data_dir: runs are named by one folder.
    config.desc = config.desc.replace("{dataset}", name.replace("/", "-"))


def _face_models(config: ml_collections.ConfigDict) -> list[str]:
    dataset = config.dataset
    models = [config.surface.model] if config.G_loss.model_weight else []
    if dataset.build_count:
        folder = pathlib.Path(config.data_dir) / dataset.tfrecord_dir
        if not folder.is_dir():
            models.append(dataset.build_model)
    return models


PRESETS = configuration.Presets(
    "tbgan",
    base_config,
    _PRESETS,
    _MODIFIERS,
    exclusive=_EXCLUSIVE,
    before_preset=("kimg600",),
    tables=frozenset(
        {
            "sched.minibatch_dict",
            "sched.max_minibatch_per_gpu",
            "sched.G_lrate_dict",
            "sched.D_lrate_dict",
            "sched.tick_kimg_dict",
            "sched.part_dict",
        }
    ),
    default="v2-4gpus",
    describe=_describe,
    rules=_RULES,
    finalize=finalize,
    face_models=_face_models,
    examples="""\
  tf-faces train --preset demo
      makes the built-in faces, trains on them in minutes, shows the results
  tf-faces train --preset v2-4gpus --data_dir datasets/mine
      trains TBGAN on four GPUs, one replica each
  tf-faces train --preset v2-4gpus+fp16+VERBOSE --data_dir datasets/mine
      the same in half precision with longer ticks
  tf-faces train --preset v2-1gpu --data_dir datasets/mine --config.G.fmap_base=4096
      any option of the configuration can be given another value
  tf-faces train --preset v2-8gpus --data_dir datasets/mine --devices=cpu:8 --dry_run
      shows what would be done, and does nothing
""",
)

get_config = PRESETS.get_config
