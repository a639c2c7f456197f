"""ParFace's part of the export program."""

import argparse
import pathlib

EXAMPLES = """\
  tf-faces export results/006-parface-landmarks_3d
      image bytes in, landmarks out, as exports/parface/1
"""


def add_options(group) -> None:
    """Adds what only ParFace needs; every default is None."""
    group.add_argument("--session", help="epoch of the run (the newest)")


def export(
    folder: pathlib.Path, output: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the SavedModel and returns its folder."""
    from tf_faces.export import parface as writing
    from tf_faces.pipelines import parface

    opened = parface.open_run(folder, snapshot=options.session)
    return writing.export(opened.networks, output, warmup=not options.no_warmup)


def write_weights(folder: pathlib.Path, output: str) -> pathlib.Path:
    """Writes the networks of a run alone and returns their folder."""
    from tf_faces.export import parface as writing

    return writing.write_weights(folder, pathlib.Path(output))
