"""TBGAN's part of the export program."""

import argparse
import pathlib

from tf_faces.apps import arguments as options_of

EXAMPLES = """\
  tf-faces export results/003-pgan-faces --snapshot 40000 --output exports/tbgan
      a certain snapshot
"""


def add_options(group) -> None:
    """Adds what only TBGAN needs; every default is None."""
    group.add_argument(
        "--snapshot", type=options_of.index, help="images shown; newest if absent"
    )
    group.add_argument("--uv_dictionary", help="stored with it, for meshes later")


def export(
    folder: pathlib.Path, output: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the SavedModel and returns its folder."""
    from tf_faces.export import tbgan as writing
    from tf_faces.pipelines import tbgan

    pipeline = tbgan.open_run(
        folder, snapshot=options.snapshot, dictionary=options.uv_dictionary
    )
    return writing.export(pipeline, output, warmup=not options.no_warmup)


def write_weights(folder: pathlib.Path, output: str) -> pathlib.Path:
    """Writes the averaged generator of a run and its chart; returns the folder."""
    from tf_faces.export import weights

    chart = "uv_dictionary.npz"
    beside = [chart] if (folder / chart).is_file() else []
    return weights.write_snapshot(folder, output, ["Gs"], beside)
