"""Commands about ground truth: making training pairs, and measuring against it."""

import argparse
import pathlib

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import inputs
from tf_faces.apps.prnet import common
from tf_faces.core import files, folders, machine
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.prnet import generation, ground_truth, layout
from tf_faces.metrics import normalized_mean_error as nme
from tf_faces.pipelines.prnet import evaluation
from tf_faces.viz import curves

# The cumulative curve ends here, in percent.
_LARGEST = 10.0


def _recipe(options: argparse.Namespace) -> generation.Recipe:
    angles = tuple(dict.fromkeys([0.0, *options.angles]))
    return generation.Recipe(
        options.model, options.uv_chart, options.resolution, options.seed, angles
    )


def generate_posmaps(options: argparse.Namespace) -> int:
    """Training pairs of a folder of fitted photographs; done ones are kept."""
    if options.form == "files":
        told = "with --form files, expected --form records"
        options_of.refuse_given(options, ("shards",), told)
    recipe = _recipe(options)
    # Mistakes are found before processes start.
    ground_truth.MapDrawer(generation.load_model(recipe), recipe.resolution)
    samples = generation.samples_of(options.input_dir)
    # Refuses the folder of the photographs too, which would be written over.
    shards = None
    if options.form == "records":
        shards = generation.shard_count(recipe, len(samples), options.shards)
    output = generation.begin(options.output_dir, options.input_dir, recipe, shards)
    processes = machine.processors() if options.processes is None else options.processes
    with progress_bars.bar(len(samples), "photograph", "Drawing") as bar:
        if shards is None:
            count, failed = generation.write_files(
                recipe, samples, output, processes, bar.update
            )
        else:
            count, failed = generation.write_records(
                recipe,
                samples,
                output,
                processes,
                shards,
                bar.update,
            )
    if options.form == "files":
        print(f"{output / generation.LIST}: {count} pairs.", flush=True)
    else:
        print(f"{output}: pairs of {count} photographs written.", flush=True)
    return inputs.report_failures(failed)


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


def _predicted_names(folder: pathlib.Path) -> list[str]:
    """The pictures that a folder has stored predictions of."""
    ends = (*evaluation.LANDMARK_ENDS, evaluation.MAP_END)
    names = set()
    for path in folder.iterdir():
        if folders.is_hidden(path.name):
            continue
        end = next((end for end in ends if path.name.endswith(end)), None)
        if end is not None and not path.name.endswith(("_pose.txt", "_matrix.txt")):
            if not path.name.endswith("_visibility.txt"):
                names.add(path.name.removesuffix(end))
    if not names:
        raise InputError(f"{folder}: holds no prediction, such as NAME_kpt.txt.")
    return sorted(names)


def _drawer(options, uv_layout) -> evaluation.TrueVertices | None:
    if options.model is None:
        return None
    recipe = generation.Recipe(options.model, options.uv_chart, uv_layout.resolution)
    drawer = ground_truth.MapDrawer(generation.load_model(recipe), uv_layout.resolution)
    return evaluation.TrueVertices(drawer, uv_layout)


def _by_lists(options) -> tuple[dict, dict, int]:
    """Stored predictions against 3DDFA's lists."""
    if options.predictions is None:
        raise InputError(
            "--lists: found without --predictions; lists have no pictures to see."
        )
    folder = files.require_directory(options.predictions, "folder of predictions")
    truths = evaluation.read_lists(
        options.lists,
        _predicted_names(folder),
        reannotated=options.reannotated,
        yaw=options.yaw or "fitted",
    )
    predictions = {}

    def work(path: pathlib.Path) -> None:
        predictions[path.name] = evaluation.read_prediction(folder, path.name, None)

    status = inputs.for_each([folder / name for name in truths], work)
    return predictions, truths, status


def _by_folder(options) -> tuple[dict, dict, int]:
    """A network or stored predictions against the .mat files beside the pictures."""
    if options.input_dir is None:
        raise InputError("-i: not given, expected AFLW2000-3D's folder, or --lists.")
    reconstructor, folder, uv_layout, true_vertices = None, None, None, None
    if options.predictions is None:
        reconstructor = common.make_reconstructor(options)
        uv_layout = reconstructor.layout
    else:
        folder = files.require_directory(options.predictions, "folder of predictions")
        if options.model is not None:
            uv_layout = layout.load_layout(options.uv_data or common.UV_DATA)
    if uv_layout is not None:
        true_vertices = _drawer(options, uv_layout)
    samples = dict(ground_truth.list_samples(options.input_dir))
    _require_names(samples)
    predictions, truths = {}, {}

    def work(path: pathlib.Path) -> None:
        lengths = () if true_vertices is None else true_vertices.coefficient_counts
        face = ground_truth.read_fitted_face(samples[path], *lengths)
        if face.landmarks is None:
            raise FormatError(f"{samples[path]}: lacks the variable pt3d_68.")
        vertices = None
        if true_vertices is not None:
            vertices = true_vertices.of(face, common.picture_height(path))
        if reconstructor is None:
            found = evaluation.read_prediction(folder, path.stem, uv_layout)
        else:
            (one,) = reconstructor.faces(path, landmarks=face.landmarks)
            found = evaluation.Points(one.landmarks, one.vertices)
        truths[path.stem] = evaluation.Truth(
            evaluation.Points(face.landmarks, vertices), face.yaw
        )
        predictions[path.stem] = found

    status = inputs.for_each(samples, work)
    if not predictions:
        raise InputError(f"{options.input_dir}: no sample could be measured.")
    return predictions, truths, status


def _refuse_ignored(options) -> None:
    for ignored, names, told in (
        (
            options.lists is not None,
            ("input_dir", "model", "uv_chart", "weights", "uv_data"),
            "with --lists, which has points alone, expected one of them",
        ),
        (options.lists is None, ("reannotated", "yaw"), "without --lists"),
        (
            options.predictions is not None,
            ("weights", "network", "detector", "detector_weights"),
            "with --predictions, expected one of them",
        ),
        (
            options.predictions is not None and options.model is None,
            ("uv_data",),
            "with --predictions and without --model",
        ),
        (options.model is None, ("uv_chart",), "without --model"),
    ):
        if ignored:
            options_of.refuse_given(options, names, told)


def evaluate(options: argparse.Namespace) -> int:
    """Errors by AFLW2000-3D's protocol, of a network or of stored predictions."""
    _refuse_ignored(options)
    for path in (options.output, options.csv, options.plot):
        if path is not None:
            folders.require_free_file(path, overwrite=options.overwrite)
    found = _by_folder(options) if options.lists is None else _by_lists(options)
    predictions, truths, status = found
    report = evaluation.evaluate(predictions, truths, not options.no_reconstruction)
    for line in report.lines():
        print(line)
    if options.output is not None:
        files.write_json(options.output, report.to_json())
    if options.csv is not None:
        files.write_text(options.csv, report.to_csv())
    if options.plot is not None:
        places = np.linspace(0, _LARGEST, 200)
        curves.save(
            options.plot,
            places,
            {
                f"{name} ({100 * errors.mean():.2f})": 100
                * nme.cumulative(errors, places / 100)
                for name, errors in report.errors.items()
                if name.endswith("/box")
            },
            x_label="normalised mean error, percent",
            y_label="faces, percent",
        )
    return status
