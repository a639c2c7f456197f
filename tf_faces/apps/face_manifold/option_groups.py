"""Options that several commands of the face_manifold program have."""

import argparse
import pathlib

from tf_faces.apps.arguments import (
    add_mesh_unit,
    add_overwrite,
    between,
    count,
    seed,
    share,
    side,
    times,
)
from tf_faces.data.face_manifold.random_faces import MODES

# Beyond these the computer's numbers do not hold what is drawn.
deviations = between(0, 1e5)
shape_noise = between(0, 1e10)
unit = between(1e-3, 1e9)


def epoch(text: str) -> str:
    """Reads the number of an epoch, or "final" or "best"."""
    return text if text in ("final", "best") else str(count(text))


def add_mode(parser, default: str) -> None:
    """Adds the options that say which coefficients."""
    parser.add_argument(
        "-mode",
        "--mode",
        choices=tuple(MODES),
        default=default,
        help="which coefficients",
    )


def add_model(parser) -> None:
    """Adds the options of the face model."""
    parser.add_argument(
        "--model",
        default="builtin",
        help="face model: builtin, builtin:tiny, builtin:full, ict, makehuman, or a "
        "file such as BFM.mat",
    )


def add_weights(parser) -> None:
    """Adds the options that say where the denoisers are, and how they are used."""
    group = parser.add_argument_group("weights")
    group.add_argument(
        "--trained_models",
        default="trained_models",
        help="folder with shape/ and expression/: the original's, or a run folder; or "
        "open: those that come with the package, of the models builtin and ict",
    )
    group.add_argument(
        "--epoch",
        type=epoch,
        help="which epoch_<n> of that folder; or final, best; default: the final "
        "weights of a run folder, epoch 10 of the original's",
    )
    for name, group_name, more in (
        ("shape", "shape", " (1e4 suits the original's released weights)"),
        ("exp", "expression", ""),
    ):
        group.add_argument(
            f"--{name}_weights", help=f"file of the {group_name} denoiser instead"
        )
        group.add_argument(
            f"--{name}_unit",
            type=unit,
            help=f"unit of the {group_name} denoiser's coefficients; default: as "
            f"stored, or 1 for PyTorch files{more}",
        )
    group.add_argument(
        "--passes", type=times, default=1, help="times through the network"
    )
    group.add_argument("--blend", type=share, default=1.0, help="1: output, 0: input")


def add_data(parser, required: bool = True) -> None:
    """Adds the options of real faces."""
    parser.add_argument(
        "--data",
        required=required,
        help="folder of .mat files (300W-3D, AFLW2000-3D, 300W-LP) or a table "
        "(.npz, .parquet, .pkl)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="end at the first bad file"
    )


def add_seed(parser) -> None:
    """Adds the seed of all draws, and --faithful."""
    parser.add_argument("--seed", type=seed, default=0, help="of all random draws")
    parser.add_argument(
        "--faithful",
        action="store_true",
        help="draw the very numbers that the original program draws after seeding its "
        "generators with --seed",
    )


def add_results(parser, results, *names: str, **keywords) -> None:
    """Adds the option of the folder for results, and --overwrite.

    Args:
      parser: of the command.
      results: (options) -> folders that must be new or empty.
      *names, **keywords: of the option.
    """
    parser.add_argument(*names, **keywords)
    add_overwrite(parser)
    parser.set_defaults(results=results)


def output_folder(options: argparse.Namespace) -> list[pathlib.Path]:
    """The folder of --output, for `add_results`."""
    return [pathlib.Path(options.output)]


def add_rendering(parser) -> None:
    """Adds the options that say what is written of each face."""
    parser.add_argument(
        "--render",
        choices=("none", "images", "obj", "ply", "glb"),
        help="what is written of each face (images)",
    )
    add_mesh_unit(parser, "mm if absent")
    parser.add_argument(
        "--picture_size",
        type=side,
        help="pixels of a picture's side (256)",
    )


def add_table(parser) -> None:
    """Adds the options of the form of tables."""
    parser.add_argument(
        "--table",
        choices=("pkl", "npz", "parquet"),
        help="form of the coefficient tables (pkl, the original's)",
    )
