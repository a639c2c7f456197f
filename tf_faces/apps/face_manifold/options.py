"""face_manifold: data sets, denoising, synthetic faces and their measures."""

import argparse
import functools
import pathlib
from collections.abc import Sequence

from tf_faces.apps import entry
from tf_faces.apps.arguments import (
    ArgumentParser,
    add_command,
    add_overwrite_of_file,
    between,
    boolean,
    count,
    index,
    not_negative,
    refuse_given,
    seed,
    settle,
    times,
)
from tf_faces.apps.face_manifold import option_groups as groups
from tf_faces.core import folders, machine
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold.random_faces import MODE_FOLDERS, MODES

# Of a set of pictures (300w-lp), with their defaults.
_OF_SET = {
    "look": "photograph",
    "yaw": 60.0,
    "pitch": 25.0,
    "roll": 20.0,
    "light": 40.0,
}

# Everything else is imported by the command that needs it: --help is instant.

_EPILOG = """\
examples:
  # Faces fitted to photographs -> a training set -> denoisers:
  tf-faces face-manifold generate-dataset --data AFLW2000_AND_300W
  tf-faces train --model=face_manifold --preset both
  tf-faces face-manifold test --mode both --data AFLW2000_AND_300W

  # 10000 plausible faces, and pictures of them with exact landmarks and depth:
  tf-faces face-manifold create-synthetic --size 10000 --render none
  tf-faces face-manifold create-synthetic --size 1000 --layout 300w-lp --output faces

  # How diverse and how plausible:
  tf-faces face-manifold evaluate --data AFLW2000_AND_300W

The options of the original programs work as they were written there (-mode, -size,
-sigma_shape, ...).  Weights are looked for in trained_models/<group>/epoch_<n>.pkl, as
the original has them, in a run folder, or where --shape_weights says.
"""


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program; returns its exit status."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _main(arguments: list[str], prog: str | None = None) -> int | None:
    if not arguments:
        arguments = ["--help"]
    options = _parser(prog).parse_args(arguments)
    _check(options)
    machine.keep_freed_memory(shared_by_threads=True)
    return options.function(options)


def _check(options: argparse.Namespace) -> None:
    """Finds what can be found wrong before TensorFlow starts.

    Raises:
      InputError: if a source is missing, or results would mix with others.
    """
    for name in ("data", "path", "source", "shape_weights", "exp_weights"):
        given = getattr(options, name, None)
        if given is not None and not pathlib.Path(given).exists():
            raise InputError(
                f"{given}: no such file or folder (--{name})."
                if name != "source"
                else f"{given}: no such file or folder."
            )
    _settle_drawing(options)
    if getattr(options, "what", None) == "table":
        told = "with --what table, expected --what weights"
        refuse_given(options, ("group", "unit", "data"), told)
    if options.command == "convert":
        folders.require_free_file(options.target, overwrite=options.overwrite)
    if hasattr(options, "results"):
        for folder in options.results(options):
            folders.require_free_folder(folder, overwrite=options.overwrite)


def _settle_drawing(options: argparse.Namespace) -> None:
    """Refuses options of what is not drawn; the others get their defaults."""
    layout = getattr(options, "layout", None)
    if layout is not None:
        of_original, of_set = ("unit", "render", "table"), ("workers", *_OF_SET)
        ignored = of_set if layout == "original" else of_original
        refuse_given(options, ignored, f"with --layout {layout}, which has none")
    if layout == "300w-lp" and options.look != "plain":
        told = "with --look photograph, which has light of its own, expected plain"
        refuse_given(options, ("light",), told)
    if not getattr(options, "visualize", True):
        told = "without --visualize, which draws the faces"
        refuse_given(options, ("render", "picture_size", "unit"), told)
    settle(options, **_OF_SET, render="images", table="pkl")
    if layout != "300w-lp" and hasattr(options, "render"):
        if options.render not in ("obj", "ply"):
            told = f"with --render {options.render}, expected --render obj or ply"
            refuse_given(options, ("unit",), told)
        if options.render != "images":
            told = f"with --render {options.render}, expected --render images"
            refuse_given(options, ("picture_size",), told)
    settle(options, picture_size=256)


def _lazy(module: str, name: str):
    """A command that is imported when it runs."""

    def command(options: argparse.Namespace):
        import importlib

        return getattr(importlib.import_module(f"tf_faces.apps.{module}"), name)(
            options
        )

    return command


def _parser(prog: str | None = None) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_generate_dataset,
        _add_test,
        _add_denoise,
        _add_create_synthetic,
        _add_scatter,
        _add_complete,
        _add_interpolate,
        _add_evaluate,
        _add_convert,
    ):
        add(commands)
    return parser


# --- commands -------------------------------------------------------------------------


def _add_generate_dataset(commands) -> None:
    parser = add_command(
        commands,
        "generate-dataset",
        "corrupted copies of faces, for training",
        _lazy("face_manifold.programs", "generate_dataset"),
    )
    groups.add_data(parser)
    groups.add_mode(parser, "both")
    parser.add_argument("--output", default="dataset_generation", help="folder")
    parser.add_argument("--copies", type=count, help="of each face (100 and 50)")
    parser.add_argument(
        "--sigma_shape",
        type=groups.shape_noise,
        default=500_000.0,
        help="noise, raw",
    )
    parser.add_argument(
        "--sigma_exp", type=groups.deviations, default=2.0, help="noise, raw"
    )
    parser.add_argument(
        "--test_faces", type=index, default=600, help="last faces kept for testing"
    )
    parser.add_argument(
        "--format", choices=("shards", "npy"), default="shards", help="npy: original's"
    )
    parser.add_argument(
        "--samples", type=index, default=5, help="faces of which pictures are drawn"
    )
    groups.add_model(parser)
    groups.add_seed(parser)


def _add_test(commands) -> None:
    parser = add_command(
        commands,
        "test",
        "corrupts real faces, denoises them, and draws all three",
        _lazy("face_manifold.programs", "test"),
    )
    groups.add_data(parser)
    groups.add_mode(parser, "shape")
    parser.add_argument("-size", "--size", type=count, default=20, help="faces")
    parser.add_argument(
        "-sigma_shape", "--sigma_shape", type=groups.shape_noise, default=100_000.0,
        help="noise, raw",
    )  # fmt: skip
    parser.add_argument(
        "-sigma_exp",
        "--sigma_exp",
        type=groups.deviations,
        default=1.0,
        help="noise, raw",
    )
    parser.add_argument(
        "--start", type=index, help="number of the first face (default: the last 100)"
    )
    groups.add_results(
        parser,
        lambda options: [pathlib.Path(options.output) / MODE_FOLDERS[options.mode]],
        "--output",
        default="model_evaluation/output_on_test_data",
        help="folder",
    )
    groups.add_rendering(parser)
    groups.add_table(parser)
    groups.add_model(parser)
    groups.add_weights(parser)
    groups.add_seed(parser)


def _add_denoise(commands) -> None:
    parser = add_command(
        commands,
        "denoise",
        "denoises a table of faces",
        _lazy("face_manifold.programs", "denoise"),
    )
    groups.add_mode(parser, "shape")
    parser.add_argument("-path", "--path", required=True, help="table, or .mat folder")
    groups.add_results(
        parser,
        lambda options: [pathlib.Path(options.save_folder)],
        "-save_folder",
        "--save_folder",
        required=True,
        help="gets outputs.<table>",
    )
    parser.add_argument(
        "-visualize", "--visualize", type=boolean, nargs="?", const=True,
        default=False, metavar="True|False", help="also draw every face",
    )  # fmt: skip
    parser.add_argument(
        "--strict", action="store_true", help="end at the first bad file"
    )
    groups.add_rendering(parser)
    groups.add_table(parser)
    groups.add_model(parser)
    groups.add_weights(parser)


def _add_create_synthetic(commands) -> None:
    parser = add_command(
        commands,
        "create-synthetic",
        "random faces, brought to the manifold",
        _lazy("face_manifold.programs", "create_synthetic"),
    )
    groups.add_mode(parser, "both")
    parser.add_argument("-size", "--size", type=count, default=50, help="faces")
    parser.add_argument(
        "-shape_range", "--shape_range", type=groups.deviations, default=10.0,
        help="width of the uniform box, deviations",
    )  # fmt: skip
    parser.add_argument(
        "-exp_range", "--exp_range", type=groups.deviations, default=10.0,
        help="width of the uniform box, deviations",
    )  # fmt: skip
    groups.add_results(
        parser,
        # A set in this layout goes on where it was interrupted.
        lambda options: (
            [] if options.layout == "300w-lp" else groups.output_folder(options)
        ),
        "--output",
        default="model_evaluation/synthetic_dataset",
        help="folder",
    )
    parser.add_argument(
        "--expressions",
        help="expressions to take in turn instead of random ones, separated by "
        "semicolons, or a file with one a line; each is one of the seven basic ones "
        "(happy), or modes by name or number that add up (jawOpen=0.8,12=-1)",
    )
    parser.add_argument(
        "--layout",
        choices=("original", "300w-lp"),
        default="original",
        help="300w-lp: pictures in random pose and light with landmarks, depth, masks",
    )
    parser.add_argument(
        "--look",
        choices=("photograph", "plain"),
        help="photograph (default): skin, hair, light and surroundings as `tf-faces "
        "photographs` draws them; plain: bare heads on black, ten times as fast "
        "(300w-lp)",
    )
    parser.add_argument("--workers", type=count, help="processes (default: cores)")
    for name, text in (
        ("yaw", "degrees, either way (300w-lp; {})"),
        ("pitch", "degrees, either way (300w-lp; {})"),
        ("roll", "degrees, either way (300w-lp; {})"),
        ("light", "degrees by which lamps turn (300w-lp, plain; {})"),
    ):
        described = text.format(f"{_OF_SET[name]:g}")
        parser.add_argument(f"--{name}", type=not_negative, help=described)
    groups.add_rendering(parser)
    groups.add_table(parser)
    groups.add_model(parser)
    groups.add_weights(parser)
    groups.add_seed(parser)


def _add_scatter(commands) -> None:
    parser = add_command(
        commands,
        "scatter",
        "normal, uniform, real and generated faces on a plane, and their traces",
        _lazy("face_manifold.programs", "scatter"),
    )
    groups.add_data(parser)
    groups.add_mode(parser, "both")
    parser.add_argument(
        "-size", "--size", type=count, default=200, help="faces of each set"
    )
    parser.add_argument(
        "-range", "--range", type=groups.deviations, default=10.0,
        help="width of the uniform box, deviations",
    )  # fmt: skip
    parser.add_argument(
        "-visualize", "--visualize", type=boolean, nargs="?", const=True,
        default=False, metavar="True|False", help="also draw every face",
    )  # fmt: skip
    parser.add_argument(
        "--method", choices=("pca", "tsne", "isomap", "mds"), default="pca"
    )
    groups.add_results(
        parser,
        lambda options: [
            pathlib.Path(options.output) / group for group in MODES[options.mode]
        ],
        "--output",
        default="model_evaluation/scatter_diagrams",
        help="folder",
    )
    groups.add_rendering(parser)
    groups.add_table(parser)
    groups.add_model(parser)
    groups.add_weights(parser)
    groups.add_seed(parser)


def _add_complete(commands) -> None:
    parser = add_command(
        commands,
        "complete",
        "fixes some coefficients and lets the network find the others",
        _lazy("face_manifold.control", "complete"),
    )
    parser.add_argument(
        "--mode", choices=("shape", "exp", "expression"), default="shape"
    )
    parser.add_argument(
        "--fix",
        required=True,
        help="what is fixed: NUMBER=VALUE,... of identity modes, numbers from 0, "
        "values in deviations; for expressions all that --expressions takes (happy, "
        "jawOpen=0.8, 12=-1)",
    )
    parser.add_argument("--size", type=count, default=16, help="completions")
    parser.add_argument("--rounds", type=times, default=10, help="rounds of completion")
    groups.add_results(
        parser, groups.output_folder, "--output", required=True, help="folder"
    )
    groups.add_rendering(parser)
    groups.add_table(parser)
    groups.add_model(parser)
    groups.add_weights(parser)
    parser.add_argument(
        "--seed", type=seed, default=0, help="of the other coefficients"
    )


def _add_interpolate(commands) -> None:
    parser = add_command(
        commands,
        "interpolate",
        "walks from one face to another along the manifold",
        _lazy("face_manifold.control", "interpolate"),
    )
    groups.add_mode(parser, "both")
    parser.add_argument("--path", required=True, help="table, or .mat folder")
    parser.add_argument(
        "--rows", type=index, nargs=2, default=(0, 1), metavar=("FIRST", "SECOND")
    )
    parser.add_argument("--steps", type=times, default=9, help="faces of the walk")
    parser.add_argument(
        "--projected_ends",
        action="store_true",
        help="let the network change the first and last face too",
    )
    groups.add_results(
        parser, groups.output_folder, "--output", required=True, help="folder"
    )
    groups.add_rendering(parser)
    groups.add_table(parser)
    groups.add_model(parser)
    groups.add_weights(parser)


def _add_evaluate(commands) -> None:
    parser = add_command(
        commands,
        "evaluate",
        "diversity and plausibility of generated faces in one table",
        _lazy("face_manifold.control", "evaluate"),
    )
    groups.add_data(parser, required=False)
    groups.add_mode(parser, "both")
    parser.add_argument("--size", type=count, default=2000, help="faces of each set")
    parser.add_argument(
        "--range",
        type=groups.deviations,
        default=10.0,
        help="width of the uniform box",
    )
    parser.add_argument(
        "--held_out",
        type=between(0.001, 0.999),
        default=0.2,
        help="part of the real faces kept aside",
    )
    groups.add_results(
        parser,
        lambda options: [] if options.output is None else [options.output],
        "--output",
        help="folder for measures.csv and measures.json",
    )
    groups.add_model(parser)
    groups.add_weights(parser)
    parser.add_argument("--seed", type=seed, default=0, help="of all random draws")


def _add_convert(commands) -> None:
    parser = add_command(
        commands,
        "convert",
        "weights (.pkl, .pt, .npz) or tables (.pkl, .npz, .parquet) to another form",
        _lazy("face_manifold.control", "convert"),
    )
    parser.add_argument("source", help="file, or a folder of .mat files")
    parser.add_argument("target", help="file; its suffix decides the form")
    add_overwrite_of_file(parser, "target")
    parser.add_argument(
        "--what", choices=("weights", "table"), required=True, help="what it holds"
    )
    parser.add_argument(
        "--group", choices=("shape", "expression"), help="of PyTorch weights"
    )
    parser.add_argument(
        "--unit",
        type=groups.unit,
        help="of the coefficients, stored with the weights",
    )
    parser.add_argument(
        "--data", help="real faces to try units on (default: the law of fitted faces)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="end at the first bad file"
    )
