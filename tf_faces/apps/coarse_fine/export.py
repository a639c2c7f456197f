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
    """Writes the networks of a run and their face model, and returns their folder."""
    from tf_faces.configs import coarse_fine as presets
    from tf_faces.core import files
    from tf_faces.export import weights
    from tf_faces.morphable.formats import native
    from tf_faces.pipelines import coarse_fine
    from tf_faces.training import coarse_fine as training

    def face_model(target: pathlib.Path) -> None:
        stored = files.read_json(folder / weights.CONFIGURATION)
        model = training.face_model_of(presets.PRESETS.from_json(stored))
        native.save(target / coarse_fine.FACE_MODEL, model, half_precision=True)

    return weights.write_snapshot(folder, output, ["coarse", "fine"], more=face_model)
