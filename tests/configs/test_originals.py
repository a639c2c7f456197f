"""Presets against what the original programs ran with, and what our pages promise.

The numbers are the originals' own, from their programs' options and constants.
"""

import pytest

from tf_faces.core import configuration, stems

ADAM = {"beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8, "use_loss_scaling": False}
LOSS_SCALING = {
    "loss_scaling_init": 64.0, "loss_scaling_inc": 0.0005, "loss_scaling_dec": 1.0,
}  # fmt: skip
TBGAN = {
    "num_gpus": 4,
    "random_seed": 1000,
    "precision": "float32",
    "dataset.max_label_size": "full",
    "grid.size": "4k",
    "grid.layout": "row_per_class",
    "G.fmap_base": 8192,
    "G.fmap_decay": 1.0,
    "G.fmap_max": 512,
    "G.latent_size": 0,
    "G.normalize_latents": True,
    "G.use_wscale": True,
    "G.use_pixelnorm": True,
    "G.pixelnorm_epsilon": 1e-8,
    "G.use_leakyrelu": True,
    "G.lod_sep": 7,
    "D.fmap_base": 8192,
    "D.fmap_decay": 1.0,
    "D.fmap_max": 512,
    "D.use_wscale": True,
    "D.mbstd_group_size": 4,
    "D.lod_sep": 7,
    "G_loss.cond_weight": 1.0,
    "D_loss.wgan_lambda": 10.0,
    "D_loss.wgan_epsilon": 0.001,
    "D_loss.wgan_target": 1.0,
    "D_loss.cond_weight": 1.0,
    "sched.lod_initial_resolution": 4,
    "sched.lod_training_kimg": 1000.0,
    "sched.lod_transition_kimg": 1000.0,
    "sched.G_lrate_base": 0.001,
    "sched.D_lrate_base": 0.001,
    "train.total_kimg": 16000.0,
    "train.G_smoothing": 0.999,
    "train.D_repeats": 1,
    "train.minibatch_repeats": 4,
    "train.reset_opt_for_new_lod": True,
    "train.mirror_augment": False,
    "train.drange_net": (-1, 1),
    "train.image_snapshot_ticks": 1,
    "train.network_snapshot_ticks": 10,
    "train.save_tf_graph": False,
    "train.save_weight_histograms": False,
    **{f"{which}_opt.{name}": value
       for which in "GD" for name, value in {**ADAM, **LOSS_SCALING}.items()},
}  # fmt: skip
COARSE_FINE = {
    "random_seed": 12345,
    "network.image_size": 200,
    "network.shape_count": 199,
    "network.expression_count": 29,
    "network.iterations": 4,
    "network.share_weights": False,
    "network.update": "absolute",
    "network.statistics": "batch",
    "network.scale": False,
    "network.fine_widths": (64, 128, 256),
    "loss.weights.pose": 1e-3,
    "loss.weights.geometry": 1e-6,
    "loss.weights.shading": 1e-3,
    "loss.weights.fidelity": 100.0,
    "loss.weights.smoothness": 1e-5,
    "loss.every_pass": False,
    # Steps 0 to 70000 of four pictures, one stage, by the script's learning rate.
    "train.coarse_kimg": 0.0,
    "train.fine_kimg": 0.0,
    "train.joint_kimg": 70_001 * 4 / 1000,
    "train.batch": 4,
    "train.learning_rate": 1e-5,
    "train.learning_rate_schedule": "constant",
    "train.clip_norm": 0.0,
    # A snapshot every 1000 steps, of which five are kept.
    "train.tick_kimg": 1.0,
    "train.snapshot_ticks": 4,
    "train.keep_snapshots": 5,
}
FACE_MANIFOLD = {
    "groups": ("shape", "expression"),
    "architecture": "AutoEncoder4",
    "data.source": "pairs",
    "data.test_faces": 600,
    "shape.epochs": 20,
    "shape.batch": 128,
    "shape.unit": 1e5,
    "shape.copies": 100,
    "shape.sigma": 500_000.0,
    "shape.sigma_low": 0.0,
    "expression.epochs": 20,
    "expression.batch": 512,
    "expression.unit": 1.0,
    "expression.copies": 50,
    "expression.sigma": 2.0,
    "expression.sigma_low": 0.0,
    "train.learning_rate": 0.001,
    "train.learning_rate_schedule": "constant",
    "train.adam": "torch1",
    "train.validation_rows": 1000,
    "train.validate_all": False,
    "train.early_stopping": 0,
}
PARFACE = {
    "stage": "self_supervised",
    "input_size": 256,
    "num_landmarks": 68,
    "embedding_dims": 99,
    "activation": "leaky_relu",
    "train_encoder": True,
    "train_decoder": True,
    "freeze_statistics": False,
    "epochs": 50,
    "batchsize": 32,
    "batchsize_eval": 32,
    "lr": 2e-5,
    "beta1": 0.0,
    "beta2": 0.999,
    "save_freq": 1,
    "eval_freq": 10,
    "with_l1_loss": False,
    "with_wgan_gp": True,
    "with_perceptual_loss": True,
    "with_gan": False,
    "with_gen_loss": False,
    "with_ssim_loss": False,
    "with_zgan": False,
    "true_wasserstein": False,
    "w_rec": 1.0,
    "w_adv": 1.0,
    "w_ploss": 0.1,
    "w_gen": 0.25,
    "w_ssim": 60.0,
    "p_loss_features": (3, 8, 15, 22),
    "update_D_freq": 1,
    "update_E_freq": 1,
    "dataset_train": ("celeba", "wlp300", "menpo2d", "ls3d", "neuroface", "meei",
                      "palsy", "affectnet"),
    "dataset_val": ("ffhq",),
    "dataset_weights": (),
    "train_split": "unlabeled",
    "daug": 4,
    "align": False,
    "crop_source": "bb_ground_truth",
    "workers": 2,
}  # fmt: skip
_HEADS = {
    "train_encoder": False,
    "train_decoder": False,
    "with_perceptual_loss": False,
    "use_adaptive_wing_loss": True,
    "batchsize": 40,
    "beta1": 0.9,
    "lr_heatmaps": 1e-4,
    "lr_adjust": False,
    "weight_decay": 0.0,
    "sigma": 7.0,
    "ocular_norm": "outer",
    "use_groundtruth": True,
    "use_predicted": False,
    "finetune_2d": False,
    "daug": 0,
    "align": False,
    "crop_source": "lm_ground_truth",
    "train_split": "6",
}
_MENPO = {**_HEADS, "stage": "landmarks_2d", "dataset_train": ("menpo2d",)}
_WLP = {**_HEADS, "stage": "landmarks_2d", "dataset_train": ("wlp300",)}
# One counter of epochs runs through all stages.
STAGES = {
    "self_supervised": {"epochs": 50, "with_l1_loss": False},
    "self_supervised_l1": {"epochs": 100, "with_l1_loss": True, "train_decoder": True},
    "inversion": {"epochs": 150, "with_l1_loss": False, "train_decoder": False},
    "landmarks_2d": {**_MENPO, "epochs": 250},
    "landmarks_2d_finetune": {**_MENPO, "epochs": 350, "train_encoder": True},
    "landmarks_3da2d": {**_WLP, "epochs": 450},
    "landmarks_3da2d_finetune": {**_WLP, "epochs": 550, "train_encoder": True},
    "landmarks_3d": {**_WLP, "epochs": 650, "stage": "landmarks_3d",
                     "lr_heatmaps": 1e-5},
}  # fmt: skip

BUILTIN = {
    "dataset_train": ("builtin",),
    "dataset_val": ("builtin",),
    "crop_source": "bb_ground_truth",
}
OTHERS = {
    ("tbgan", "v2-4gpus+nogrowing"): {
        "sched.lod_initial_resolution": 1024, "sched.lod_training_kimg": 0.0,
        "sched.lod_transition_kimg": 0.0, "train.total_kimg": 10000.0,
    },
    ("tbgan", "v2-4gpus+BENCHMARK"): {
        "sched.lod_initial_resolution": 4, "sched.lod_training_kimg": 3.0,
        "sched.lod_transition_kimg": 3.0, "train.total_kimg": 51.0,
        "sched.tick_kimg_base": 1.0, "train.image_snapshot_ticks": 1000,
        "train.network_snapshot_ticks": 1000,
    },
    ("tbgan", "v2-4gpus+VERBOSE"): {
        "sched.tick_kimg_base": 100.0, "train.image_snapshot_ticks": 2,
        "train.network_snapshot_ticks": 2,
    },
    ("tbgan", "v2-4gpus+fp16"): {
        "G.dtype": "float16", "D.dtype": "float16", "G.pixelnorm_epsilon": 1e-4,
        "G_opt.use_loss_scaling": True, "D_opt.use_loss_scaling": True,
    },
    ("tbgan", "v2-4gpus+nosmoothing+norepeat+noreset"): {
        "train.G_smoothing": 0.0, "train.minibatch_repeats": 1,
        "train.reset_opt_for_new_lod": False,
    },
    ("tbgan", "v2-4gpus+nopixelnorm+nowscale+noleakyrelu"): {
        "G.use_pixelnorm": False, "G.use_wscale": False, "D.use_wscale": False,
        "G.use_leakyrelu": False,
    },
    ("tbgan", "v2-4gpus+syn1024rgb"): {
        "dataset.kind": "synthetic", "dataset.resolution": 1024,
        "dataset.num_channels": 3, "dataset.dynamic_range": (0, 255),
        "dataset.dtype": "uint8", "dataset.max_label_size": 0,
    },
    ("tbgan", "v2-4gpus+cond1+g1080p+grandom"): {
        "dataset.max_label_size": 1, "grid.size": "1080p", "grid.layout": "random",
    },
    ("tbgan", "v1-1gpu"): {"D.mbstd_group_size": 16},
    # What our own pages say of our own presets.
    ("tbgan", "demo"): {
        "dataset.build_resolution": 64, "dataset.build_count": 4000,
        "finish.samples": 4, "finish.saved_model": True,
    },
    ("face_manifold", "shape"): {"groups": ("shape",)},
    ("face_manifold", "expression"): {"groups": ("expression",)},
    ("face_manifold", "both+builtin"): {"data.source": "model",
        "data.model": "builtin", "data.faces": 5000},
    ("face_manifold", "both+ict"): {"data.source": "model", "data.model": "ict"},
    ("face_manifold", "both+thorough"): {
        "train.learning_rate_schedule": "cosine",
        # A tenth of the original's noise and all of it.
        "shape.sigma_low": 50_000.0, "expression.sigma_low": 0.2,
    },
    ("face_manifold", "both+torch2"): {"train.adam": "torch2"},
    ("coarse_fine", "paper"): {
        "network.share_weights": True, "network.update": "residual",
        "network.statistics": "moving", "network.renderer": "smooth",
        "network.widths": (32, 64, 128, 256), "network.dense_layers": 3,
        "loss.weights.pose": 1.0, "loss.weights.geometry": 1.0,
        "loss.weights.shading": 1.0, "loss.weights.fidelity": 1e-3,
        "loss.weights.smoothness": 2e-3, "loss.shading": "per_picture",
        # Ours, as the paper tells none: most pictures go to the coarse stage.
        "train.coarse_kimg": 400.0, "train.fine_kimg": 100.0,
        "train.joint_kimg": 50.0, "train.batch": 16, "train.learning_rate": 1e-3,
        "train.learning_rate_schedule": "cosine", "train.clip_norm": 5.0,
    },
    ("coarse_fine", "resnet50"): {"network.trunk": "resnet50",
                                  "network.widths": (64, 128, 256, 512)},
    ("coarse_fine", "quick"): {"network.image_size": 64, "network.share_weights": True,
                               "face_model": "builtin:tiny"},
    ("coarse_fine", "repo+folder"): {"data.source": "folder"},
    ("coarse_fine", "paper+separate+absolute"): {"network.share_weights": False,
                                                 "network.update": "absolute"},
    # Nothing has to be fetched for these.
    ("tbgan", "smoke"): {"dataset.kind": "tfrecord", "dataset.build_count": 32,
                         "dataset.build_resolution": 32},
    ("face_manifold", "smoke"): {"data.source": "model", "data.model": "builtin:tiny",
                                 "groups": ("shape", "expression")},
    ("coarse_fine", "smoke"): {"data.source": "model", "face_model": "builtin:tiny"},
    ("parface", "smoke"): {**BUILTIN, "with_perceptual_loss": False},
    ("parface", "landmarks_2d+builtin"): BUILTIN,
    ("parface", "inversion+fabrec"): {"activation": "relu"},
    ("parface", "inversion+narrow"): {"width": 16, "latent_width": 250,
                                      "input_size": 128},
}  # fmt: skip

CASES = {
    ("tbgan", "v2-4gpus"): TBGAN,
    ("coarse_fine", "repo"): COARSE_FINE,
    ("face_manifold", "both"): FACE_MANIFOLD,
    ("parface", "self_supervised"): PARFACE,
    **{("parface", name): values for name, values in STAGES.items() if name[0] != "s"},
    ("parface", "self_supervised_l1"): STAGES["self_supervised_l1"],
    **OTHERS,
}


def values_of(config, names):
    found = {}
    for name in names:
        value = config
        for part in name.split("."):
            value = value[part]
        found[name] = tuple(value) if isinstance(value, list | tuple) else value
    return found


@pytest.mark.parametrize(("stem", "preset"), list(CASES))
def test_settings(stem, preset):
    expected = CASES[stem, preset]
    assert values_of(configuration.load(stem, preset), expected) == expected


@pytest.mark.parametrize(
    ("stem", "preset"),
    [("tbgan", "v2-4gpus"), ("coarse_fine", "repo"), ("face_manifold", "both"),
     ("parface", "self_supervised")],
)  # fmt: skip
def test_the_default_is_the_originals(stem, preset):
    config = configuration.presets(stem).get_config()
    assert config.to_dict() == configuration.load(stem, preset).to_dict()


@pytest.mark.parametrize("stem", stems.with_stage("configs"))
def test_examples_of_the_help_name_what_there_is(stem):
    lines = configuration.presets(stem).examples.splitlines()
    commands = [line.split() for line in lines if "tf-faces train" in line]
    assert commands
    for words in commands:
        preset = words[words.index("--preset") + 1]
        assert f"--model={stem}" in words or stem == stems.STEMS[0]
        changes = [word.removeprefix("--config.") for word in words
                   if word.startswith("--config.")]  # fmt: skip
        configuration.override(configuration.load(stem, preset), changes)
