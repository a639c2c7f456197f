"""The original's options of training, as README of ParFace writes them."""

import pytest

from tf_faces.apps import original_options, train
from tf_faces.core import configuration


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--update_D_freq 1", {"update_D_freq": 1}),
        ("--update-D-freq=3", {"update_D_freq": 3}),
        ("--train-encoder 0 --train-decoder 1", {"train_encoder": False}),
        ("--with-gan TRUE --with-wgan-gp no",
         {"with_gan": True, "with_wgan_gp": False}),
        ("--normalize --daug 4", {"normalize": True, "daug": 4}),
        ("--p-loss-features 3 8 15 22 -b 7",
         {"p_loss_features": [3, 8, 15, 22], "batchsize": 7}),
        ("--dataset-train celeba affectnet --dataset-val ffhq",
         {"dataset_train": ["celeba", "affectnet"], "dataset_val": ["ffhq"]}),
        ("--dataset palsy", {"dataset_train": ["palsy"], "dataset_val": ["palsy"]}),
        ("-r mine/00050 --sessionname other --epoch 100",
         {"resume": "mine/00050", "desc": "other", "epochs": 100}),
        ("--crop-source lm_ground_truth --lr 1e-3 -i 128",
         {"crop_source": "lm_ground_truth", "lr": 1e-3, "input_size": 128}),
        ("--config.st=4", {"st": 4}),
    ],
)  # fmt: skip
def test_options_become_fields(given, expected):
    arguments = ["--model", "parface", "--preset", "self_supervised", *given.split()]
    overrides, rest = train._split_overrides(original_options.as_overrides(arguments))
    assert rest == arguments[:4]
    config = configuration.load("parface", "self_supervised")
    configuration.override(config, overrides)
    found = {name: config[name] for name in expected}
    assert {
        name: list(value) if isinstance(expected[name], list) else value
        for name, value in found.items()
    } == expected


def test_every_option_is_a_field():
    base = configuration.presets("parface").base()
    for option, fields in configuration.presets("parface").original_options.items():
        assert option.startswith("-") and all(field in base for field in fields)


def test_other_systems_keep_their_arguments():
    arguments = ["--model=tbgan", "-r", "x", "--update_D_freq=1"]
    assert original_options.as_overrides(arguments) == arguments
    arguments = ["--preset", "demo", "--lr", "3"]
    assert original_options.as_overrides(arguments) == arguments


def test_what_is_no_option_is_named(capsys):
    arguments = ["--model=parface", "--preset=smoke", "--update_d_frequency=1"]
    assert train.main(arguments) == 2
    assert "nknown option --update_d_frequency" in capsys.readouterr().err
