"""coarse-fine: photographs to faces with fine depth, training sets, measures."""

import argparse
import functools
import importlib
from collections.abc import Sequence

from tf_faces.apps import entry
from tf_faces.apps.arguments import (
    OVERWRITE,
    OVERWRITE_OUTPUT,
    ArgumentParser,
    DefaultsFormatter,
    count,
    finite,
    seed,
    share,
    side,
)

# Everything else is imported by the command that needs it: --help is instant.

_EPILOG = """\
examples:
  # The original's order: data, lists, mean, the rasteriser alone, training, use:
  tf-faces coarse-fine prepare --lists files --images images --output data/vggface
  tf-faces coarse-fine split data/vggface
  tf-faces coarse-fine mean data/vggface
  tf-faces coarse-fine sample-test --output sample
  tf-faces train --model=coarse_fine --preset paper+folder --data_dir data/vggface
  tf-faces coarse-fine reconstruct newest face.jpg --output faces

  # 300W-LP or AFLW2000 with their true parameters:
  tf-faces coarse-fine prepare --true_parameters AFLW2000 --output data/aflw2000
"""
_DATA = "data_commands"
_FACES = "face_commands"


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program; returns its exit status."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _main(arguments: list[str], prog: str | None = None) -> int | None:
    if not arguments:
        arguments = ["--help"]
    options = _parser(prog).parse_args(arguments)
    module = importlib.import_module(f"tf_faces.apps.coarse_fine.{options.module}")
    return getattr(module, options.function)(options)


def _parser(prog: str | None = None) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, text, module):
        added = commands.add_parser(
            name, help=text, description=text, formatter_class=DefaultsFormatter
        )
        added.set_defaults(module=module, function=name.replace("-", "_"))
        return added.add_argument

    _add_data_commands(command)
    _add_face_commands(command)
    return parser


def _add_data_commands(command) -> None:
    add = command("fetch", "fetches the files of a manifest, resumably", _DATA)
    add("manifest", help="text file: ADDRESS PATH [SHA-256] a line")
    add("--output", required=True, help="folder of the files")
    add("--maximum_megabytes", type=count, default=50, help="of one file")
    add("--timeout", type=finite, default=10.0, help="seconds without any data")

    add = command("manifest", "makes a manifest of VGGFace's lists", _DATA)
    add("lists", help="folder with one text file a subject")
    add("--output", required=True, help="text file to be written")
    add("--overwrite", **OVERWRITE_OUTPUT)
    add("--subject", help="this one only")

    add = command("prepare", "makes a training set of photographs", _DATA)
    add("--lists", help="VGGFace's lists, one text file a subject")
    add("--images", help="folder of SUBJECT/ID.jpg that they speak of")
    add("--true_parameters", help="instead: folder of 300W-LP's or AFLW2000's layout")
    add("--output", required=True, help="folder of the set")
    add("--face_model", default="builtin", help="builtin, a folder, a file")
    add("--image_size", type=side, default=200, help="pixels of a side")
    add("--constant_share", type=share, help="beta of random labels (0.7)")
    add("--seed", type=seed, help="of random labels (0)")
    add("--digits", type=count, help="of the labels (default: six decimals)")

    add = command("split", "divides the list into train, val and test", _DATA)
    add("folder", help="of the set")
    add("--seed", type=seed, default=1234, help="of the shuffle")

    add = command("pack", "writes a set's parts as TFRecord files", _DATA)
    add("folder", help="of the set, split")
    add("--output", help="folder of the records (default: the set's)")

    add = command("mean", "mean grey picture of the training part", _DATA)
    add("folder", help="of the set")

    add = command("sample-test", "draws one random face with the rasteriser", _DATA)
    add("--output", default="sample", help="folder of the pictures")
    add("--overwrite", **OVERWRITE)
    add("--face_model", default="builtin", help="builtin, a folder, a file")
    add("--image_size", type=side, default=200, help="pixels of a side")
    add("--seed", type=seed, default=0, help="of the coefficients")
    add(
        "--implementation",
        choices=("auto", "op", "reference"),
        default="auto",
        help="of the rasteriser",
    )


def _add_face_commands(command) -> None:
    def add_run(add):
        add("run", help="run folder, its number, newest; or open: the weights shipped")
        add("--result_dir", default="results", help="where runs lie")
        add("--face_model", help="where the run's face model lies now")

    add = command("reconstruct", "photographs to faces with fine depth", _FACES)
    add_run(add)
    add("pictures", nargs="+", help="photographs")
    add("--output", required=True, help="folder, with one folder a photograph")
    add("--overwrite", **OVERWRITE)
    add(
        "--box",
        metavar="LEFT,TOP,RIGHT,BOTTOM",
        help="of the face, brows to chin; default: the middle square",
    )
    add("--landmarks", help="file of 68 points, instead of --box")
    add(
        "--formats",
        default="obj,ply,glb",
        help="of the meshes",
    )
    add("--nopage", action="store_true", help="no viewer page")

    add = command("evaluate", "errors of a run on a set with labels", _FACES)
    add_run(add)
    add(
        "--data_dir",
        help="set of prepare and split, or one set of photograph records; default: "
        "drawn faces",
    )
    add(
        "--photographs",
        help="besides: folder of photographs whose landmarks are known "
        "(docs/data_format.md)",
    )
    add("--part", choices=("train", "val", "test"), help="of --data_dir (test)")
    add("--count", type=count, default=64, help="pictures at most")
    add("--output", help="JSON file for the measures")
    add("--overwrite", **OVERWRITE_OUTPUT)

    add = command("convert", "loads original weights and writes a snapshot", _FACES)
    add("source", nargs="+", help="slim's .ckpt, Keras' .h5, an original snapshot")
    add("--preset", default="repo", help="configuration of the networks")
    add("--output", required=True, help="run folder to be made")
    add("--faithful", action="store_true", help="only the last pass gets ImageNet's")
