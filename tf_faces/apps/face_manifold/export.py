"""Face Manifold's part of the export program."""

import argparse
import pathlib

from tf_faces.apps import arguments as options_of

EXAMPLES = """\
  tf-faces export results/004-face_manifold-both --face_model builtin
      denoisers, random faces and their vertices, as exports/face_manifold/1
"""


def add_options(group) -> None:
    """Adds what only Face Manifold needs; every default is None."""
    group.add_argument(
        "--epoch", help="number, final or best (final; epoch 10 of the original's)"
    )
    group.add_argument(
        "--face_model",
        help="adds signatures for random faces and for vertices: builtin, ict, a "
        "file such as BFM.mat",
    )
    for name, of in (("shape", "shape"), ("exp", "expression")):
        group.add_argument(
            f"--{name}_unit",
            type=options_of.not_negative,
            help=f"unit of the {of} coefficients, for PyTorch files",
        )


def export(
    folder: pathlib.Path, output: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the SavedModel and returns its folder."""
    from tf_faces.apps.face_manifold import common
    from tf_faces.export import face_manifold as writing
    from tf_faces.morphable import raw_form
    from tf_faces.pipelines import face_manifold

    model = raw_form.load(options.face_model) if options.face_model else None
    with common.unit_warnings_as_lines():
        manifold = face_manifold.open_run(
            folder,
            epoch=options.epoch,
            units={"shape": options.shape_unit, "expression": options.exp_unit},
            lengths=common.model_lengths(model) if model is not None else None,
        )
    return writing.export(manifold, output, model=model, warmup=not options.no_warmup)


def write_weights(folder: pathlib.Path, output: str) -> pathlib.Path:
    """Writes the final denoisers of a run alone and returns their folder."""
    from tf_faces.convert import face_manifold as stored
    from tf_faces.core import files
    from tf_faces.export import weights

    found = [
        stored.find(folder, group, "final").relative_to(folder).as_posix()
        for group in ("shape", "expression")
        if (folder / group).is_dir()
    ]
    with files.atomic_directory(pathlib.Path(output)) as target:
        weights.finish(folder, target, found)
    return pathlib.Path(output)
