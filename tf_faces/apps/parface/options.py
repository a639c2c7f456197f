"""Landmarks of photographs with ParFace.

Examples:
  tf-faces parface evaluate --dataset palsy --root palsy --model RUN \\
      --ocular_norm bb --eval_3d --output evaluation
      the original's lines, with tables and the cumulative curve in a folder
  tf-faces parface evaluate --predictions found.npz --ocular_norm outer
      the same of stored predictions: arrays `truth` and `landmarks` [N, K, 2 or 3]
  tf-faces parface demo_2d photographs --model RUN --output shown
      pictures of landmarks, reconstructions and heat maps; demo_3d with depths
  tf-faces parface annotate photographs --model RUN
      writes a .pts file beside every picture
  tf-faces parface convert photographs --to ljson
      menpo's .ljson files of .pts files; --to pts the other way round
  tf-faces parface asymmetry frames --output report
      left against right, from .pts files beside the pictures, or with --model
  tf-faces parface asymmetry exercise.mp4 --model RUN --box 80 60 210 220
      the same over the seconds of a video
"""

import argparse
import functools
import pathlib
import sys
from collections.abc import Sequence

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.configs.parface import CROP_SOURCES, NORMS
from tf_faces.core import folders
from tf_faces.core.errors import InputError
from tf_faces.models.parface.config import ACTIVATIONS, DECODINGS

_PREPARED = ("celeba", "ffhq", "meei", "affectnet")
_LANDMARK_FILES = ("pts", "ljson")
# Options of the original's evaluation that change none of its numbers.
_IDLE = (
    *(("--sessionname",), ("--workers", "-j"), ("--use_cache",), ("--occ",)),
    *(("--show",), ("--wait",), ("--print_freq", "-p"), ("--print_freq_eval",)),
    *(("--train_encoder",), ("--train_decoder",), ("--embedding_dims", "-z")),
    *(("--seed",), ("--eval",), ("--use_adaptive_wing_loss",), ("--finetune_2d",)),
)


class _Idle(argparse.Action):
    """Takes an option, with a value or without, and says that it changes nothing."""

    def __call__(self, parser, namespace, values, option_string=None):
        print(f"{option_string}: changes no number of an evaluation.", file=sys.stderr)


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, text, **keywords):
        return commands.add_parser(name, help=text, description=text, **keywords)

    _evaluate(command("evaluate", "Print the original's numbers of a model."))
    for name, text in (
        ("demo", "Draw landmarks; the face fills 0.65 of the picture."),
        ("demo_2d", "Draw landmarks; the face fills the picture."),
        ("demo_3d", "Draw landmarks with depths; the face is in the middle."),
    ):
        _demo(command(name, text, aliases=_hyphened(name)))
    annotate = command("annotate", "Write .pts files of the landmarks of pictures.")
    _pictures(annotate, needs_model=True)
    annotate.add_argument("--output", help="folder (beside each picture)")
    asymmetry = command("asymmetry", "Report left against right of faces.")
    _pictures(asymmetry, needs_model=False)
    asymmetry.add_argument("--output", default="asymmetry", help="folder (%(default)s)")
    options_of.add_overwrite(asymmetry)
    prepare = command("prepare", "Write a data set's annotation file.")
    prepare.add_argument("dataset", choices=_PREPARED, metavar="DATASET",
        help="celeba, ffhq or meei (boxes of .pts and .ljson files beside the "
        "pictures), or affectnet (its .npy files)")  # fmt: skip
    prepare.add_argument("folder", help="of the set")
    prepare.add_argument("--output", default="csv", help="folder (%(default)s)")
    prepare.add_argument(
        "--detector",
        metavar="{mtcnn,dlib,mediapipe,PACKAGE:FUNCTION}",
        help="finds the faces (boxes are those of landmarks; the original: mtcnn)",
    )
    prepare.add_argument("--detector_weights", help="of dlib's or MediaPipe's detector")
    convert = command("convert", "Write .pts files from .ljson, or the other way.")
    convert.add_argument("folder", help="of pictures with landmarks beside them")
    convert.add_argument("--to", choices=_LANDMARK_FILES, required=True,
        help="menpo's .ljson, or .pts")  # fmt: skip
    convert.add_argument("--output", help="folder (beside each picture)")
    return parser


def _hyphened(name: str) -> list[str]:
    return [name.replace("_", "-")] if "_" in name else []


def _model(parser, default_open: bool) -> None:
    parser.add_argument(
        *("--model", "-r", "--resume"),
        default="open" if default_open else None,
        help="run folder, RUN/session/00050, .npz, the original's snapshot, or 'open': "
        "the weights that come with the package"
        + (" (%(default)s)" if default_open else ""),
    )
    parser.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        help="of an original snapshot (leaky_relu; 3FabRec: relu)",
    )
    options_of.add_switch(
        parser, "normalize", "take the channels' means off (as the weights say)"
    )
    parser.add_argument(
        "--decoding",
        choices=DECODINGS,
        help="how heat maps become landmarks (as the weights say; the original: peak)",
    )


def _pictures(parser, needs_model: bool) -> None:
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="picture, folder of pictures, or (not for annotate) video",
    )
    _model(parser, default_open=needs_model)
    parser.add_argument(
        "--box",
        nargs=4,
        type=options_of.finite,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="of the face in every picture (the whole picture)",
    )


def _demo(parser) -> None:
    _pictures(parser, needs_model=True)
    parser.add_argument("--output", default="demo", help="folder (%(default)s)")
    options_of.add_overwrite(parser)


def _evaluate(parser) -> None:
    add = parser.add_argument
    add("--predictions", help=".npz with `landmarks`, and `truth` without --dataset")
    _model(parser, default_open=False)
    add("--dataset", help="name of a data set; needs --root")
    add("--root", help="its folder")
    add("--annotations", help="folder of annotation files")
    add("--test_split", default="full", help="part of the set (%(default)s)")
    add("--crop_source", choices=CROP_SOURCES, default="bb_ground_truth",
        help="%(default)s")  # fmt: skip
    add("--ocular_norm", "-n", choices=NORMS, default="outer", help="%(default)s")
    options_of.add_switch(parser, "eval_3d", "also the errors in space")
    options_of.add_switch(
        parser, "reconstructions", "also how like their pictures reconstructions are"
    )
    add("--by_asymmetry", type=options_of.finite, metavar="PERCENT",
        help="also a table of faces whose true landmarks in space are farther from "
        "their mirror image than so many percent of the eye corners' distance, and "
        "of the others")  # fmt: skip
    add("--val_count", type=options_of.count, help="at most so many faces")
    add("--st", type=options_of.index, help="the first face (0)")
    options_of.add_switch(
        parser, "align", "turn faces upright; with --crop_source lm_ground_truth"
    )
    options_of.add_switch(
        parser, "use_groundtruth", "read depths from heat maps of the true landmarks"
    )
    options_of.add_switch(
        parser, "use_predicted", "read them from those that are found (so by default)"
    )
    add("--sigma", type=options_of.between(0.5, 64), default=7.0,
        help="of the heat maps of true landmarks (%(default)s)")  # fmt: skip
    add("--benchmark", action="store_true",
        help="all faces, as without --val_count (the original's)")  # fmt: skip
    add("--input_size", "-i", type=options_of.count, default=256,
        help="side of the crops, for 19 points (%(default)s)")  # fmt: skip
    add("--batchsize", "-b", "--batchsize_eval", type=options_of.count, default=10,
        help="%(default)s")  # fmt: skip
    for names in _IDLE:
        add(*names, nargs="?", action=_Idle, help=argparse.SUPPRESS)
    tables = "errors.csv, summary.json, predictions.npz, curve.png"
    add("--output", help=f"folder for {tables}")
    options_of.add_overwrite(parser)


def _main(arguments: list[str], prog: str | None = None) -> int:
    options = _parser(prog).parse_args(arguments)
    if options.command == "evaluate":
        if (options.predictions is None) == (options.model is None):
            raise InputError(
                "--predictions and --model: expected exactly one of them; see "
                "evaluate --help."
            )
        if options.benchmark:
            options_of.refuse_given(options, ("val_count",), "with --benchmark")
        if options.predictions is not None:
            told = "with --predictions, expected with --model"
            names = ("activation", "normalize", "decoding", "reconstructions")
            others = ("align", "use_groundtruth", "use_predicted")
            options_of.refuse_given(options, (*names, *others), told)
        if options.output:
            folders.require_free_folder(options.output, overwrite=options.overwrite)
        from tf_faces.apps.parface import evaluating

        evaluating.run(options)
    elif options.command in ("prepare", "convert"):
        from tf_faces.apps.parface import preparation

        preparation.run(options)
    else:
        if options.command != "annotate":
            folders.require_free_folder(options.output, overwrite=options.overwrite)
        from tf_faces.apps import inputs

        if options.model is None:
            told = "without --model, expected with it"
            names = ("activation", "normalize", "decoding", "box")
            options_of.refuse_given(options, names, told)
        # Before TensorFlow starts.
        paths = inputs.find(options.pictures, options.command != "annotate")
        from tf_faces.apps.parface import showing

        name = options.command.replace("-", "_")
        if name == "annotate":
            showing.annotate(options, paths)
        elif name == "asymmetry":
            showing.asymmetry(options, paths, pathlib.Path(options.output))
        else:
            showing.demo(options, paths, name)
    return 0
