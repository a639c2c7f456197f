"""CoarseNet's and FineNet's part of the export program."""

import argparse
import pathlib

EXAMPLES = """\
  tf-faces export results/005-coarse_fine-paper
      photograph to parameters, vertices and both depths, as exports/coarse_fine/1
"""


def add_options(group) -> None:
    """None of its own."""


def export(
    folder: pathlib.Path, output: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the SavedModel and returns its folder."""
    from tf_faces.export import coarse_fine as writing
    from tf_faces.pipelines import coarse_fine

    opened = coarse_fine.open_run(folder, implementation="reference")
    return writing.export(opened, output, warmup=not options.no_warmup)


def write_weights(folder: pathlib.Path, output: str) -> pathlib.Path:
    """Writes the networks of a run alone and returns their folder."""
    from tf_faces.export import weights

    return weights.write_snapshot(folder, output, ["coarse", "fine"])
