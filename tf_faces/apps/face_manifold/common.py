"""What the commands of the face_manifold program share."""

import argparse
import contextlib
import dataclasses
import pathlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tqdm

from tf_faces.convert import face_manifold as weights
from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.data.face_manifold import random_faces
from tf_faces.models.face_manifold import denoisers
from tf_faces.morphable import raw_form
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.pipelines import face_manifold as pipeline
from tf_faces.pipelines import shipped
from tf_faces.pipelines.face_manifold import files as face_files
from tf_faces.viz import painter


def load_model(options: argparse.Namespace) -> MorphableModel:
    """The face model that --model names."""
    return raw_form.load(options.model)


def load_manifold(
    options: argparse.Namespace, groups: tuple[str, ...], lengths: dict[str, int]
) -> pipeline.FaceManifold:
    """Loads the denoisers of `groups`.

    Args:
      options: with the flags of the weights.
      groups: of "shape", "expression".
      lengths: number of coefficients by group.
    """
    found = {}
    for group in groups:
        short = {"shape": "shape", "expression": "exp"}[group]
        given = getattr(options, f"{short}_weights")
        path = (
            pathlib.Path(given) if given is not None else _find_weights(options, group)
        )
        found[group] = load_denoiser(
            path, group, getattr(options, f"{short}_unit"), lengths[group]
        )
    return pipeline.FaceManifold(**found)


def load_denoiser(
    path: pathlib.Path, group: str, unit: float | None, length: int | None
) -> denoisers.Denoiser:
    """Loads weights; a unit that seems wrong is one line on standard error."""
    with unit_warnings_as_lines():
        return weights.load(path, group, unit=unit, length=length)


@contextlib.contextmanager
def unit_warnings_as_lines() -> Iterator[None]:
    """Turns warnings of units that seem wrong into lines on standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, weights.UnitWarning):
            print(f"Warning: {warning.message}", file=sys.stderr)
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def sampling_deviations(
    options: argparse.Namespace, model: MorphableModel
) -> random_faces.SamplingDeviations:
    """What random faces are drawn with; under --faithful in the file's precision."""
    found = random_faces.SamplingDeviations.of_model(model)
    if getattr(options, "faithful", False):
        texture = raw_form.stored_texture_deviations(options.model)
        if texture is not None and len(texture) == len(found.texture):
            found = dataclasses.replace(found, texture=texture)
    return found


def _find_weights(options: argparse.Namespace, group: str) -> pathlib.Path:
    folder = options.trained_models
    if folder == shipped.OPEN:
        folder = shipped.folder("face_manifold", str(options.model))
    try:
        return weights.find(folder, group, options.epoch)
    except InputError as error:
        short = {"shape": "shape", "expression": "exp"}[group]
        raise InputError(
            f"{str(error).removesuffix('.')}; --epoch, --trained_models or "
            f"--{short}_weights names another."
        ) from error


def projection_options(options: argparse.Namespace) -> dict[str, Any]:
    """The keywords `passes` and `blend` of `FaceManifold.denoise`."""
    return {"passes": options.passes, "blend": options.blend}


def read_faces(path: str, strict: bool = False) -> FaceCoefficients:
    """Reads a table or a folder of `.mat` files, and reports the files left out."""
    found = coefficient_tables.read_any(path, strict=strict)
    report_skipped(path, found.skipped)
    return found.faces


def report_skipped(path: str, skipped: tuple[tuple[str, str], ...]) -> None:
    """Names the bad files of a folder (the first ten) and counts them."""
    for _, reason in skipped[:10]:
        print(f"Left out: {reason}", file=sys.stderr)
    if skipped:
        print(
            f"{path}: {len(skipped)} bad files were left out (--strict ends at the "
            "first).",
            file=sys.stderr,
        )


def write_rendered(
    options: argparse.Namespace, model: MorphableModel, *sets: face_files.FaceFiles
) -> None:
    """Writes what --render asks for, with a progress bar."""
    if options.render == "none":
        return
    view = painter.View().resized(options.picture_size)
    rule = "face3d" if getattr(options, "faithful", False) else "top_left"
    with tqdm.tqdm(
        total=sum(len(one.faces) for one in sets),
        desc="Drawing" if options.render == "images" else "Writing",
        unit="face",
        disable=not sys.stderr.isatty(),
    ) as bar:
        face_files.write_faces(
            sets, model, options.render, view, bar.update, rule, options.unit or "mm"
        )


def write_table(
    options: argparse.Namespace,
    directory: pathlib.Path,
    name: str,
    faces: FaceCoefficients,
) -> pathlib.Path:
    """Writes a table in the form that --table asks for."""
    path = directory / f"{name}.{options.table}"
    coefficient_tables.write(path, faces)
    return path


def numbered(
    directory: pathlib.Path, faces: FaceCoefficients, first: int = 1, end: str = ""
) -> face_files.FaceFiles:
    """Faces with file names as the original numbers them, from 1, and an ending."""
    stems = [f"{number}{end}" for number in range(first, first + len(faces))]
    return face_files.FaceFiles(directory, stems, faces)


def lengths_of(faces: FaceCoefficients) -> dict[str, int]:
    """Numbers of coefficients by group."""
    return {
        "shape": faces.shape.shape[1],
        "expression": faces.expression.shape[1],
    }


def model_lengths(model: MorphableModel) -> dict[str, int]:
    """Numbers of modes by group."""
    return {"shape": model.shape_count, "expression": model.expression_count}


def mean_square(first: np.ndarray, second: np.ndarray) -> float:
    """Mean squared difference in float64."""
    return float(np.mean((np.asarray(first, np.float64) - second) ** 2))
