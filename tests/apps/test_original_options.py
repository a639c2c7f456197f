"""The original's options of training, as README of ParFace writes them."""

import json

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


_SETS = "celeba wlp300 menpo2d ls3d neuroface meei palsy affectnet"
_TERMS = (
    "--with-wgan-gp 1 --with-perceptual-loss 1 --p-loss-features 3 8 15 22 --daug 4 "
    f"--input-size 256 --dataset-train {_SETS} --update-D-freq 1 --normalize"
)
_CROPS = "--crop-source lm_ground_truth --use-adaptive-wing-loss 1 --normalize"
# The commands of the original's README, its slips in spelling mended.
README = {
    "self_supervised": f"--epoch 50 --with-l1-loss 0 {_TERMS}",
    "self_supervised_l1": f"-r self_sup/00050 --epoch 100 --with-l1-loss 1 {_TERMS}",
    "inversion": "-r self_sup/00100 --epoch 150 --train-decoder 0 --with-l1-loss 0 "
    f"{_TERMS}",
    "landmarks_2d": f"-r self_sup/00150 --epoch 250 --dataset menpo2d {_CROPS}",
    "landmarks_2d_finetune": "-r l2d_300w/00250 --train-encoder 1 --epoch 350 "
    f"--dataset menpo2d {_CROPS}",
    "landmarks_3da2d": f"-r l2d_300w/00350 --epoch 450 --dataset wlp300 {_CROPS}",
    "landmarks_3da2d_finetune": "-r l3da2d_300wlp/00450 --train-encoder 1 --epoch 550 "
    f"--dataset wlp300 {_CROPS}",
    "landmarks_3d": f"-r l3da2d_300wlp/00550 --epoch 650 --dataset wlp300 {_CROPS}",
}


@pytest.mark.parametrize("preset", README)
def test_presets_are_the_commands_of_the_readme(preset):
    """What a command sets is what the preset has already, but for where it begins."""
    words = ["--model=parface", *README[preset].split()]
    overrides, rest = train._split_overrides(original_options.as_overrides(words))
    assert rest == words[:1]
    given = configuration.load("parface", preset)
    configuration.override(given, overrides)
    begun = words[2] if words[1] == "-r" else ""
    expected = configuration.load("parface", preset).to_dict() | {"resume": begun}
    assert json.dumps(given.to_dict()) == json.dumps(expected)


def test_every_option_is_a_field():
    base = configuration.presets("parface").base()
    for option, fields in configuration.presets("parface").original_options.items():
        assert option.startswith("-") and all(field in base for field in fields)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--occ 1", "--occ: changed nothing in the original"),
        ("--show-random-faces", "--show-random-faces: changed nothing"),
        ("--show=0", "--show: pictures are written"),
        ("-p 10", "-p: a line of status is printed every epoch"),
        ("--print-freq-eval 2", "--print-freq-eval: a line of status"),
    ],
)
def test_options_that_change_nothing_are_taken(option, said, capsys):
    arguments = f"--model=parface {option} --lr 3".split()
    rewritten = original_options.as_overrides(arguments)
    assert rewritten == ["--model=parface", "--config.lr=3"]
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--eval", "tf-faces parface evaluate"),
        ("--eval-3d=1", "with --eval_3d, weights are"),
        ("--phases train val", "every --eval_freq of them measured"),
        ("--gpu 1", "expected --devices=gpu:1"),
        ("--use-js true", "failed in the original"),
        ("--js_weights", "failed in the original"),
    ],
)
def test_options_that_are_no_part_of_training_are_answered(option, told, capsys):
    assert train.main(["--model=parface", "--preset=smoke", *option.split()]) == 2
    error = capsys.readouterr().err
    assert option.partition("=")[0].split()[0] in error and told in error


def test_other_systems_keep_their_arguments():
    arguments = ["--model=tbgan", "-r", "x", "--update_D_freq=1"]
    assert original_options.as_overrides(arguments) == arguments
    arguments = ["--preset", "demo", "--lr", "3"]
    assert original_options.as_overrides(arguments) == arguments


def test_what_is_no_option_is_named(capsys):
    arguments = ["--model=parface", "--preset=smoke", "--update_d_frequency=1"]
    assert train.main(arguments) == 2
    assert "nknown option --update_d_frequency" in capsys.readouterr().err
