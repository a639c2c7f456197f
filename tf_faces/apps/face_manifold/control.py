"""Commands beyond the original: complete, interpolate, evaluate, convert."""

import argparse
import pathlib
import warnings

import numpy as np

from tf_faces.apps.face_manifold import common
from tf_faces.convert import face_manifold as weights
from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.data.face_manifold import random_faces
from tf_faces.metrics import diversity
from tf_faces.morphable import expressions, raw_form
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.pipelines.face_manifold import evaluation

# --- complete -------------------------------------------------------------------------


def parse_fixed(text: str, group: str, model) -> tuple[np.ndarray, np.ndarray]:
    """Reads --fix: values [L] raw, and which are fixed, bool [L].

    The language is that of `morphable.expressions`.

    Raises:
      InputError: naming the entry that is wrong.
    """
    try:
        values, fixed = expressions.parse_coefficients(model, text, group)
    except InputError as error:
        raise InputError(f"--fix: {error}") from error
    if not fixed.any():
        raise InputError("--fix: names no coefficient, expected NUMBER=VALUE,....")
    return values, fixed


def complete(options: argparse.Namespace) -> None:
    """Fixes some coefficients of random faces and completes the others."""
    model = common.load_model(options)
    (group,) = random_faces.groups_of(options.mode)
    known, fixed = parse_fixed(options.fix, group, model)
    manifold = common.load_manifold(options, (group,), common.model_lengths(model))
    rng = np.random.default_rng(options.seed)
    deviations = common.sampling_deviations(options, model)
    starts = random_faces.normal_faces(
        rng, deviations, options.size, texture_variance=0.0
    )
    other = "expression" if group == "shape" else "shape"
    # Only the group under study varies, so that the pictures show what it does.
    starts = starts.replace(**{other: np.zeros_like(starts.group(other))})
    completed = manifold.complete(
        group, known, fixed, starts=starts.group(group), passes=options.rounds
    )
    _write(options, model, starts.replace(**{group: completed}), "completions")


def _write(options, model, faces: FaceCoefficients, what: str) -> None:
    folder = pathlib.Path(options.output)
    path = common.write_table(options, folder, "outputs", faces)
    common.write_rendered(options, model, common.numbered(folder, faces))
    print(f"{path}: {len(faces)} {what}.")


# --- interpolate ----------------------------------------------------------------------


def interpolate(options: argparse.Namespace) -> None:
    """Walks between two faces of a table."""
    faces = common.read_faces(options.path)
    for row in options.rows:
        if not 0 <= row < len(faces):
            raise InputError(
                f"--rows: found {row}, but {options.path} has the rows 0 to "
                f"{len(faces) - 1}."
            )
    groups = random_faces.groups_of(options.mode)
    manifold = common.load_manifold(options, groups, common.lengths_of(faces))
    first, second = options.rows
    way = np.linspace(0, 1, max(options.steps, 2))[:, None]
    walked: dict[str, np.ndarray] = {}
    for group in ("shape", "expression", "texture"):
        ends = faces.group(group)[first], faces.group(group)[second]
        if group in groups:
            walked[group] = manifold.interpolate(
                group, *ends, options.steps, exact_ends=not options.projected_ends
            )
        else:
            walked[group] = (1 - way) * ends[0] + way * ends[1]
    model = common.load_model(options) if options.render != "none" else None
    _write(
        options,
        model,
        FaceCoefficients(walked["shape"], walked["expression"], walked["texture"]),
        "faces on the way",
    )


# --- evaluate -------------------------------------------------------------------------


def evaluate(options: argparse.Namespace) -> None:
    """Measures generated, uniform and normal faces against real ones."""
    model = common.load_model(options)
    groups = random_faces.groups_of(options.mode)
    manifold = common.load_manifold(options, groups, common.model_lengths(model))
    if options.data:
        real = common.read_faces(options.data, options.strict)
        source = options.data
    else:
        count = int(options.size / (1 - options.held_out)) + 1
        real = raw_form.draw_faces(model, count, options.seed + 1)
        source = f"faces drawn from {options.model}"
    known, held_out = evaluation.split(real, options.held_out, options.seed, source)
    deviations = common.sampling_deviations(options, model)
    rng = np.random.default_rng(options.seed)
    measured = {}
    for group in groups:
        found = measured[group] = evaluation.measure(
            manifold,
            group,
            model,
            deviations,
            known,
            held_out,
            options.size,
            rng,
            width=options.range,
            **common.projection_options(options),
        )
        print(f"{group}: {len(known)} real faces ({source}), {len(held_out)} held out")
        print(diversity.table(found.sets))
        print(
            "held-out real faces through the network: "
            f"{found.network_generalisation_mm:.5g} mm off (generalisation of the "
            "network)\n"
        )
    if options.output:
        evaluation.write(options.output, measured)
        print(f"{pathlib.Path(options.output) / 'measures.csv'}")


# --- convert --------------------------------------------------------------------------


def convert(options: argparse.Namespace) -> None:
    """Converts weights or tables."""
    if options.what == "table":
        faces = common.read_faces(options.source, options.strict)
        coefficient_tables.write(options.target, faces)
        print(f"{options.target}: {len(faces)} faces.")
        return
    with warnings.catch_warnings():
        # The report below says the same at greater length.
        warnings.simplefilter("ignore", weights.UnitWarning)
        denoiser = weights.load(
            options.source, options.group, unit=options.unit, check_unit=False
        )
    real = None
    if options.data:
        real = common.read_faces(options.data).group(denoiser.config.group)
    report = weights.suggest_unit(denoiser, real)
    print(f"mean squared error on corrupted faces: {report.corrupted:.6g} before")
    for unit, error in report.errors.items():
        chosen = "  <- stored" if unit == denoiser.config.unit else ""
        print(f"  unit {unit:<8g} {error:.6g} after{chosen}")
    if weights.disagrees(report, denoiser.config.unit):
        print(
            f"Warning: unit {report.best:g} fits these weights much better than "
            f"{denoiser.config.unit:g}; --unit={report.best:g} would store that."
        )
    weights.save(options.target, denoiser)
    print(f"{options.target}: {denoiser.config}")
