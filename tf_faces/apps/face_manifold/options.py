"""face_manifold: data sets, denoising, synthetic faces and their measures."""

import argparse
import functools
import pathlib
from collections.abc import Sequence

from tf_faces.apps import entry
from tf_faces.apps.arguments import (
    ArgumentParser,
    DefaultsFormatter,
    add_mesh_unit,
    boolean,
    count,
    not_negative,
    part,
    share,
)
from tf_faces.core import files, machine
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold.random_faces import MODE_FOLDERS, MODES

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
the original has them, in a run folder of train.py, or where --shape_weights says.
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
    if hasattr(options, "results"):
        for folder in options.results(options):
            files.require_free_folder(folder, overwrite=options.overwrite)


def epoch(text: str) -> str:
    """Reads the number of an epoch, or "final" or "best"."""
    return text if text in ("final", "best") else str(count(text))


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


def _command(commands, name: str, text: str, function) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        formatter_class=DefaultsFormatter,
    )
    parser.set_defaults(function=function)
    return parser


# --- options that several commands have -----------------------------------------------


def _add_mode(parser, default: str) -> None:
    parser.add_argument(
        "-mode",
        "--mode",
        choices=tuple(MODES),
        default=default,
        help="which coefficients",
    )


def _add_model(parser) -> None:
    parser.add_argument(
        "--model",
        default="builtin",
        help="face model: builtin, builtin:tiny, builtin:full, ict, makehuman, or a "
        "file such as BFM.mat",
    )


def _add_weights(parser) -> None:
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--trained_models",
        default="trained_models",
        help="folder with shape/ and expression/: the original's, or a run folder",
    )
    group.add_argument(
        "--epoch",
        type=epoch,
        help="which epoch_<n> of that folder; or final, best; default: the final "
        "weights of a run folder, epoch 10 of the original's",
    )
    for name, group_name in (("shape", "shape"), ("exp", "expression")):
        group.add_argument(
            f"--{name}_weights", help=f"file of the {group_name} denoiser instead"
        )
        group.add_argument(
            f"--{name}_unit",
            type=not_negative,
            help=f"unit of the {group_name} denoiser's coefficients; default: as "
            "stored, or 1 for PyTorch files (1e4 suits the original's released shape "
            "weights)",
        )
    group.add_argument(
        "--passes", type=count, default=1, help="times through the network"
    )
    group.add_argument("--blend", type=share, default=1.0, help="1: output, 0: input")


def _add_data(parser, required: bool = True) -> None:
    parser.add_argument(
        "--data",
        required=required,
        help="folder of .mat files (300W-3D, AFLW2000-3D, 300W-LP) or a table "
        "(.npz, .parquet, .pkl)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="end at the first bad file"
    )


def _add_seed(parser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")
    parser.add_argument(
        "--faithful",
        action="store_true",
        help="draw the very numbers that the original program draws after seeding its "
        "generators with --seed",
    )


def _add_results(parser, results, *names: str, **keywords) -> None:
    """Adds the option of the folder for results, and --overwrite.

    Args:
      parser: of the command.
      results: (options) -> folders that must be new or empty.
      *names, **keywords: of the option.
    """
    parser.add_argument(*names, **keywords)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a folder that holds other results",
    )
    parser.set_defaults(results=results)


def _output_folder(options: argparse.Namespace) -> list[pathlib.Path]:
    return [pathlib.Path(options.output)]


def _add_rendering(parser, default: str) -> None:
    parser.add_argument(
        "--render",
        choices=("none", "images", "obj", "ply", "glb"),
        default=default,
        help="what is written of each face",
    )
    add_mesh_unit(parser, "mm if absent")
    parser.add_argument(
        "--picture_size",
        type=count,
        default=256,
        help="pixels of a picture's side",
    )


def _add_table(parser) -> None:
    parser.add_argument(
        "--table",
        choices=("pkl", "npz", "parquet"),
        default="pkl",
        help="form of the coefficient tables; pkl is the original's",
    )


# --- commands -------------------------------------------------------------------------


def _add_generate_dataset(commands) -> None:
    parser = _command(
        commands,
        "generate-dataset",
        "corrupted copies of faces, for training",
        _lazy("face_manifold.programs", "generate_dataset"),
    )
    _add_data(parser)
    _add_mode(parser, "both")
    parser.add_argument("--output", default="dataset_generation", help="folder")
    parser.add_argument("--copies", type=count, help="of each face (100 and 50)")
    parser.add_argument(
        "--sigma_shape",
        type=not_negative,
        default=500_000.0,
        help="noise, raw",
    )
    parser.add_argument(
        "--sigma_exp", type=not_negative, default=2.0, help="noise, raw"
    )
    parser.add_argument(
        "--test_faces", type=int, default=600, help="last faces kept for testing"
    )
    parser.add_argument(
        "--format", choices=("shards", "npy"), default="shards", help="npy: original's"
    )
    parser.add_argument(
        "--samples", type=int, default=5, help="faces of which pictures are drawn"
    )
    _add_model(parser)
    _add_seed(parser)


def _add_test(commands) -> None:
    parser = _command(
        commands,
        "test",
        "corrupts real faces, denoises them, and draws all three",
        _lazy("face_manifold.programs", "test"),
    )
    _add_data(parser)
    _add_mode(parser, "shape")
    parser.add_argument("-size", "--size", type=count, default=20, help="faces")
    parser.add_argument(
        "-sigma_shape", "--sigma_shape", type=not_negative, default=100_000.0,
        help="noise, raw",
    )  # fmt: skip
    parser.add_argument(
        "-sigma_exp",
        "--sigma_exp",
        type=not_negative,
        default=1.0,
        help="noise, raw",
    )
    parser.add_argument(
        "--start", type=int, help="number of the first face (default: the last 100)"
    )
    _add_results(
        parser,
        lambda options: [pathlib.Path(options.output) / MODE_FOLDERS[options.mode]],
        "--output",
        default="model_evaluation/output_on_test_data",
        help="folder",
    )
    _add_rendering(parser, "images")
    _add_table(parser)
    _add_model(parser)
    _add_weights(parser)
    _add_seed(parser)


def _add_denoise(commands) -> None:
    parser = _command(
        commands,
        "denoise",
        "denoises a table of faces",
        _lazy("face_manifold.programs", "denoise"),
    )
    _add_mode(parser, "shape")
    parser.add_argument("-path", "--path", required=True, help="table, or .mat folder")
    _add_results(
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
    _add_rendering(parser, "images")
    _add_table(parser)
    _add_model(parser)
    _add_weights(parser)


def _add_create_synthetic(commands) -> None:
    parser = _command(
        commands,
        "create-synthetic",
        "random faces, brought to the manifold",
        _lazy("face_manifold.programs", "create_synthetic"),
    )
    _add_mode(parser, "both")
    parser.add_argument("-size", "--size", type=count, default=50, help="faces")
    parser.add_argument(
        "-shape_range", "--shape_range", type=not_negative, default=10.0,
        help="width of the uniform box, deviations",
    )  # fmt: skip
    parser.add_argument(
        "-exp_range", "--exp_range", type=not_negative, default=10.0,
        help="width of the uniform box, deviations",
    )  # fmt: skip
    _add_results(
        parser,
        # A set in this layout goes on where it was interrupted.
        lambda options: [] if options.layout == "300w-lp" else _output_folder(options),
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
    parser.add_argument("--workers", type=count, help="processes (default: cores)")
    for name, value, text in (
        ("yaw", 60.0, "degrees, either way (300w-lp)"),
        ("pitch", 25.0, "degrees, either way (300w-lp)"),
        ("roll", 20.0, "degrees, either way (300w-lp)"),
        ("light", 40.0, "degrees by which lamps turn (300w-lp)"),
    ):
        parser.add_argument(f"--{name}", type=not_negative, default=value, help=text)
    _add_rendering(parser, "images")
    _add_table(parser)
    _add_model(parser)
    _add_weights(parser)
    _add_seed(parser)


def _add_scatter(commands) -> None:
    parser = _command(
        commands,
        "scatter",
        "normal, uniform, real and generated faces on a plane, and their traces",
        _lazy("face_manifold.programs", "scatter"),
    )
    _add_data(parser)
    _add_mode(parser, "both")
    parser.add_argument(
        "-size", "--size", type=count, default=200, help="faces of each set"
    )
    parser.add_argument(
        "-range", "--range", type=not_negative, default=10.0,
        help="width of the uniform box, deviations",
    )  # fmt: skip
    parser.add_argument(
        "-visualize", "--visualize", type=boolean, nargs="?", const=True,
        default=False, metavar="True|False", help="also draw every face",
    )  # fmt: skip
    parser.add_argument(
        "--method", choices=("pca", "tsne", "isomap", "mds"), default="pca"
    )
    _add_results(
        parser,
        lambda options: [
            pathlib.Path(options.output) / group for group in MODES[options.mode]
        ],
        "--output",
        default="model_evaluation/scatter_diagrams",
        help="folder",
    )
    _add_rendering(parser, "images")
    _add_table(parser)
    _add_model(parser)
    _add_weights(parser)
    _add_seed(parser)


def _add_complete(commands) -> None:
    parser = _command(
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
    parser.add_argument("--rounds", type=count, default=10, help="rounds of completion")
    _add_results(parser, _output_folder, "--output", required=True, help="folder")
    _add_rendering(parser, "images")
    _add_table(parser)
    _add_model(parser)
    _add_weights(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the other coefficients")


def _add_interpolate(commands) -> None:
    parser = _command(
        commands,
        "interpolate",
        "walks from one face to another along the manifold",
        _lazy("face_manifold.control", "interpolate"),
    )
    _add_mode(parser, "both")
    parser.add_argument("--path", required=True, help="table, or .mat folder")
    parser.add_argument(
        "--rows", type=int, nargs=2, default=(0, 1), metavar=("FIRST", "SECOND")
    )
    parser.add_argument("--steps", type=count, default=9, help="faces of the walk")
    parser.add_argument(
        "--projected_ends",
        action="store_true",
        help="let the network change the first and last face too",
    )
    _add_results(parser, _output_folder, "--output", required=True, help="folder")
    _add_rendering(parser, "images")
    _add_table(parser)
    _add_model(parser)
    _add_weights(parser)


def _add_evaluate(commands) -> None:
    parser = _command(
        commands,
        "evaluate",
        "diversity and plausibility of generated faces in one table",
        _lazy("face_manifold.control", "evaluate"),
    )
    _add_data(parser, required=False)
    _add_mode(parser, "both")
    parser.add_argument("--size", type=count, default=2000, help="faces of each set")
    parser.add_argument(
        "--range",
        type=not_negative,
        default=10.0,
        help="width of the uniform box",
    )
    parser.add_argument(
        "--held_out",
        type=part,
        default=0.2,
        help="part of the real faces kept aside",
    )
    parser.add_argument("--output", help="folder for measures.csv and measures.json")
    _add_model(parser)
    _add_weights(parser)
    parser.add_argument("--seed", type=int, default=0, help="of all random draws")


def _add_convert(commands) -> None:
    parser = _command(
        commands,
        "convert",
        "weights (.pkl, .pt, .npz) or tables (.pkl, .npz, .parquet) to another form",
        _lazy("face_manifold.control", "convert"),
    )
    parser.add_argument("source", help="file, or a folder of .mat files")
    parser.add_argument("target", help="file; its suffix decides the form")
    parser.add_argument(
        "--what", choices=("weights", "table"), required=True, help="what it holds"
    )
    parser.add_argument(
        "--group", choices=("shape", "expression"), help="of PyTorch weights"
    )
    parser.add_argument(
        "--unit",
        type=not_negative,
        help="of the coefficients, stored with the weights",
    )
    parser.add_argument(
        "--data", help="real faces to try units on (default: the law of fitted faces)"
    )
    parser.add_argument(
        "--strict", action="store_true", help="end at the first bad file"
    )
