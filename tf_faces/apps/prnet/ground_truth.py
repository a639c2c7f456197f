"""Commands about ground truth: making position maps, and measuring against them."""

import argparse
import dataclasses
import pathlib

import numpy as np

from tf_faces.apps.prnet import common
from tf_faces.core import files, matlab_files, pictures, recipes, seeding
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.prnet import ground_truth, layout
from tf_faces.metrics import normalized_mean_error as nme
from tf_faces.morphable import io as morphable

_LIST = "trainDataLabel.txt"
# Options that the maps depend on.
_RECIPE = ("input_dir", "model", "uv_chart", "resolution", "seed")
_PREDICTION_ENDS = ("_kpt.txt", ".txt")


def _model(options):
    model = morphable.load(options.model)
    if options.uv_chart is None:
        return model
    found = matlab_files.load(options.uv_chart, ["UV"]).get("UV")
    if found is None or found.shape != (len(model.mean), 2):
        raise FormatError(
            f"{options.uv_chart}: expected a variable UV of shape "
            f"({len(model.mean)}, 2), a coordinate for each vertex of {model.name}."
        )
    return model.replace(texture_coordinates=found.astype(np.float64))


def generate_posmaps(options: argparse.Namespace) -> int:
    """Training pairs of a folder of fitted photographs; done ones are kept."""
    model = _model(options)
    drawer = ground_truth.MapDrawer(model, options.resolution)
    root = pathlib.Path(options.input_dir)
    samples = dict(ground_truth.list_samples(root))
    # Refuses the folder of the photographs too, which would be written over.
    output = recipes.begin_or_go_on(
        options.output_dir,
        {
            "format": "tf_faces position maps 1",
            **{name: getattr(options, name) for name in _RECIPE},
        },
        "set of position maps",
    )
    done = {}

    def work(path):
        stem = output / path.relative_to(root).with_suffix("")
        written = [stem.with_name(stem.name + end) for end in (".jpg", ".npy")]
        if not written[1].is_file():
            face = ground_truth.read_fitted_face(
                samples[path], model.shape_count, model.expression_count
            )
            # Draws of a sample depend on its name alone, so that a run that goes on
            # makes what an uninterrupted one makes.
            name = str(path.relative_to(root))
            draws = seeding.numpy_generator(options.seed, name).random(3)
            pair = drawer.pair(pictures.read(path), face, draws)
            ground_truth.write_pair(stem, *pair)
        done[path] = written

    status = common.for_each(samples, work)
    lines = [f"{picture} {map_}\n" for picture, map_ in done.values()]
    files.write_text(output / _LIST, "".join(lines))
    print(f"{output / _LIST}: {len(lines)} pairs.", flush=True)
    return status


def _prediction(folder, name):
    for end in _PREDICTION_ENDS:
        path = folder / f"{name}{end}"
        if path.is_file():
            try:
                points = np.loadtxt(path, ndmin=2)
            except ValueError as error:
                raise FormatError(f"{path}: not a table of numbers.") from error
            if points.shape != (layout.LANDMARKS, 3) or not np.isfinite(points).all():
                raise FormatError(
                    f"{path}: shape {points.shape}, expected 68 finite points x y z."
                )
            return points
    ends = " or ".join(f"{name}{end}" for end in _PREDICTION_ENDS)
    raise InputError(f"{folder}: holds no prediction {ends}.")


def _require_names(paths) -> None:
    """Refuses two photographs of one name: errors and predictions go by names."""
    first: dict[str, pathlib.Path] = {}
    for path in paths:
        other = first.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f"{path}: found the name {path.stem!r} in {other.parent} too, expected "
                "names that differ."
            )


def evaluate(options: argparse.Namespace) -> int:
    """NME of 68 landmarks of AFLW2000-3D, of a network or of stored predictions."""
    reconstructor = None
    if options.predictions is None:
        reconstructor = common.make_reconstructor(options)
    folder = None
    if options.predictions is not None:
        folder = files.require_directory(options.predictions, "folder of predictions")
    samples = dict(ground_truth.list_samples(options.input_dir))
    _require_names(samples)
    rows = {}

    def work(path):
        face = ground_truth.read_fitted_face(samples[path])
        if face.landmarks is None:
            raise FormatError(f"{samples[path]}: lacks the variable pt3d_68.")
        if reconstructor is None:
            points = _prediction(folder, path.stem)
        else:
            (found,) = reconstructor.faces(path, landmarks=face.landmarks)
            points = found.landmarks
        rows[path.stem] = (points, face.landmarks, face.yaw)

    status = common.for_each(samples, work)
    if not rows:
        raise InputError(f"{options.input_dir}: no sample could be measured.")
    columns = zip(*rows.values(), strict=True)
    predicted, true, yaw = (np.stack(column) for column in columns)
    report = {}
    for name, measure in (("sparse_2d", nme.sparse_2d), ("sparse_3d", nme.sparse_3d)):
        for normalization in ("box", "outer_eyes"):
            errors = measure(predicted, true, normalization)
            summary = nme.by_yaw(errors, yaw)
            report[f"{name}/{normalization}"] = {
                **dataclasses.asdict(summary),
                "area_under_curve": nme.area_under_curve(errors),
                "errors": dict(zip(rows, errors.tolist(), strict=True)),
            }
            groups = "  ".join(f"{100 * mean:6.2f}" for mean in summary.mean)
            print(
                f"{name}, by {normalization:<11} NME % of yaw 0-30, 30-60, 60-90: "
                f"{groups}; mean {100 * summary.balanced_mean:.2f} (deviation "
                f"{100 * summary.balanced_deviation:.2f}), of all {len(errors)} faces "
                f"{100 * summary.overall:.2f}"
            )
    if options.output is not None:
        files.write_json(options.output, _without_nan(report))
    return status


def _without_nan(value):
    """JSON has no NaN: the mean of an empty group is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
