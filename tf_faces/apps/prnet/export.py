"""PRNet's part of the export program."""

import argparse
import pathlib

EXAMPLES = """\
  tf-faces export results/006-prnet-paper
      crops to position map, vertices and landmarks, as exports/prnet/1
"""


def add_options(group) -> None:
    """None of its own."""


def export(
    folder: pathlib.Path, output: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the SavedModel and returns its folder."""
    from tf_faces.export import prnet as writing
    from tf_faces.pipelines import prnet

    opened = prnet.open_run(folder)
    return writing.export(
        opened.network, opened.layout, output, warmup=not options.no_warmup
    )


def write_weights(folder: pathlib.Path, output: str) -> pathlib.Path:
    """Writes the networks of a run alone and returns their folder."""
    from tf_faces.export import weights
    from tf_faces.training.prnet import system as training

    return weights.write_snapshot(folder, output, [training.GROUP], [training.LAYOUT])
