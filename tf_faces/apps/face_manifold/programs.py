"""The original programs as commands, with their output trees."""

import argparse
import csv
import io
import pathlib
import sys

import numpy as np

from tf_faces.apps.face_manifold import common
from tf_faces.core import files, seeding
from tf_faces.core.errors import InputError
from tf_faces.data import fitted_faces, picture_sets
from tf_faces.data.face_manifold import dataset, random_faces, samplers
from tf_faces.metrics import diversity
from tf_faces.morphable import expressions
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.pipelines import face_manifold as pipeline
from tf_faces.pipelines.face_manifold import files as face_files
from tf_faces.viz import painter
from tf_faces.viz import scatter as plotting

# Faces at the end of a folder that the test program takes by default.
_LAST_FACES = 100


def _sigmas(options: argparse.Namespace) -> dict[str, float]:
    return {"shape": options.sigma_shape, "expression": options.sigma_exp}


# --- generate-dataset -----------------------------------------------------------------


def generate_dataset(options: argparse.Namespace) -> None:
    """Writes dataset_shape and dataset_expression, and sample pictures."""
    if options.samples < 0:
        raise InputError(f"--samples: found {options.samples}, expected at least 0.")
    groups = random_faces.groups_of(options.mode)
    output = pathlib.Path(options.output)
    for group in groups:
        target = output / dataset.FOLDERS[group]
        if target.exists():
            raise InputError(f"{target} exists already; expected a free name.")
    print("Generating dataset...", flush=True)
    faces = common.read_faces(options.data, options.strict)
    model = common.load_model(options) if options.samples else None
    for group in groups:
        recipe = dataset.original_recipe(
            group,
            copies=options.copies,
            sigma=_sigmas(options)[group],
            test_faces=options.test_faces,
            seed=options.seed,
            original_draws=options.faithful,
        )
        folder = dataset.write_dataset(
            output,
            faces.group(group),
            recipe,
            form=options.format,
            names=faces.names,
            progress=sys.stderr.isatty(),
        )
        train, test = recipe.split(len(faces))
        print(
            f"{folder}: {train * recipe.copies} rows for training ({train} faces), "
            f"{test * recipe.copies} for testing ({test} faces).",
            flush=True,
        )
        if model is not None:
            _draw_samples(options, model, faces, folder, recipe, min(train, 5))


def _draw_samples(options, model, faces, folder, recipe, available) -> None:
    """`{i}_label.jpg` and `{i}_noisy.jpg` of the first faces, mean texture."""
    print("Saving some sample images of the dataset...", flush=True)
    count = min(options.samples, available)
    train = dataset.read_pairs(folder, recipe.group, "train")
    rows = np.arange(count) * recipe.copies
    plain = faces.take(slice(0, count))
    view = painter.View()
    for role in ("labels", "noisy"):
        shown = plain.replace(**{recipe.group: np.asarray(getattr(train, role)[rows])})
        stems = [f"{row}_{role.removesuffix('s')}" for row in range(count)]
        samples = face_files.FaceFiles(folder / "dataset_samples", stems, shown)
        face_files.write_faces([samples], model, "images", view)
    print("Done.")


# --- test -----------------------------------------------------------------------------


def test(options: argparse.Namespace) -> None:
    """Corrupts, denoises and draws some of the last faces of a folder."""
    groups = random_faces.groups_of(options.mode)
    faces, first = _test_faces(options)
    manifold = common.load_manifold(options, groups, common.lengths_of(faces))
    sigmas = _sigmas(options)
    if options.faithful:
        draws = samplers.OriginalDraws(options.seed)

        def corrupt(group, vector):
            return draws.corrupt(vector, sigmas[group])[0]

        noisy = random_faces.corrupt_faces(faces, options.mode, corrupt)
    else:
        rng = np.random.default_rng(options.seed)
        noisy = faces.replace(
            **{
                group: samplers.corrupt(rng, faces.group(group), sigmas[group])
                for group in groups
            }
        )
    denoised = manifold.denoise(
        noisy, options.mode, **common.projection_options(options)
    )
    folder = pathlib.Path(options.output) / random_faces.MODE_FOLDERS[options.mode]
    common.write_table(options, folder, "inputs", noisy)
    common.write_table(options, folder, "outputs", denoised)
    if options.render != "none":
        model = common.load_model(options)
        common.write_rendered(
            options,
            model,
            common.numbered(folder, faces, first + 1, "_gt"),
            common.numbered(folder, noisy, first + 1, "_input"),
            common.numbered(folder, denoised, first + 1, "_output"),
        )
    for group in groups:
        clean = faces.group(group)
        before = common.mean_square(noisy.group(group), clean)
        after = common.mean_square(denoised.group(group), clean)
        nothing = common.mean_square(np.zeros_like(clean), clean)
        print(
            f"{group}: mean squared error {before:.6g} before, {after:.6g} after "
            f"({after / before if before else float('nan'):.4f} of it); "
            f"the mean face would give {nothing:.6g}."
        )
    print(f"{len(faces)} faces in {folder}.")


def _test_faces(options: argparse.Namespace) -> tuple[FaceCoefficients, int]:
    """The faces that are tested, with zero texture, and the number of the first."""
    path = pathlib.Path(options.data)
    whole = None
    if path.is_dir():
        total = len(fitted_faces.list_mat_files(path))
    else:
        whole = common.read_faces(options.data)
        total = len(whole)
    first = max(0, total - _LAST_FACES) if options.start is None else options.start
    if not 0 <= first < total:
        raise InputError(
            f"--start: found {first}, but {options.data} has the faces 0 to "
            f"{total - 1}."
        )
    chosen = slice(first, first + options.size)
    if whole is None:
        found = fitted_faces.read_mat_folder(
            path, strict=options.strict, selection=chosen
        )
        common.report_skipped(options.data, found.skipped)
        faces = found.faces
    else:
        faces = whole.take(chosen)
    if len(faces) < options.size:
        print(
            f"{options.data}: {len(faces)} faces from number {first} on, "
            f"{options.size} were asked for.",
            file=sys.stderr,
        )
    # The original writes and draws its test faces with the mean texture.
    return faces.replace(texture=np.zeros_like(faces.texture)), first


# --- denoise --------------------------------------------------------------------------


def denoise(options: argparse.Namespace) -> None:
    """Denoises a table and draws the result if asked to."""
    faces = common.read_faces(options.path, options.strict)
    groups = random_faces.groups_of(options.mode)
    manifold = common.load_manifold(options, groups, common.lengths_of(faces))
    denoised = manifold.denoise(
        faces, options.mode, **common.projection_options(options)
    )
    folder = pathlib.Path(options.save_folder)
    path = common.write_table(options, folder, "outputs", denoised)
    if options.visualize:
        model = common.load_model(options)
        common.write_rendered(options, model, common.numbered(folder, denoised))
    print(f"{path}: {len(faces)} faces.")


# --- create-synthetic -----------------------------------------------------------------


def create_synthetic(options: argparse.Namespace) -> None:
    """Draws implausible faces and makes them plausible."""
    if options.layout == "300w-lp":
        _create_picture_set(options)
        return
    model = common.load_model(options)
    manifold = _manifold_for(options, model)
    output = pathlib.Path(options.output)
    print("Generating noisy faces ...", flush=True)
    noisy = _random_faces(options, model)
    print(
        "Feeding noisy faces to the network to generate final dataset ...", flush=True
    )
    generated = _generated(options, model, manifold, noisy)
    # The tables first: they are there if the drawing is interrupted.
    common.write_table(options, output / "dataset", "labels", noisy)
    common.write_table(options, output / "network_output", "outputs", generated)
    common.write_rendered(
        options,
        model,
        common.numbered(output / "dataset", noisy),
        common.numbered(output / "network_output", generated),
    )
    print(f"{len(noisy)} faces in {output}.")


def _manifold_for(options, model) -> pipeline.FaceManifold:
    groups = random_faces.groups_of(options.mode)
    if options.expressions is not None:
        # Given expressions are taken as they are.
        groups = tuple(group for group in groups if group != "expression")
    return common.load_manifold(options, groups, common.model_lengths(model))


def _random_faces(options, model) -> FaceCoefficients:
    deviations = common.sampling_deviations(options, model)
    arguments = (options.size, options.mode, options.shape_range, options.exp_range)
    if options.faithful:
        draws = samplers.OriginalDraws(options.seed)
        return random_faces.original_uniform_faces(draws, deviations, *arguments)
    rng = np.random.default_rng(options.seed)
    return random_faces.uniform_faces(rng, deviations, *arguments)


def _generated(options, model, manifold, noisy) -> FaceCoefficients:
    mode = options.mode
    if options.expressions is not None:
        listed = expressions.read_list(model, options.expressions)
        chosen = listed[np.arange(len(noisy)) % len(listed)]
        noisy = noisy.replace(expression=chosen)
        if "shape" not in random_faces.groups_of(mode):
            return noisy
        mode = "shape"
    return manifold.denoise(noisy, mode, **common.projection_options(options))


def _create_picture_set(options: argparse.Namespace) -> None:
    output = pathlib.Path(options.output)
    origin = {
        name: getattr(options, name)
        for name in (
            *("mode", "size", "shape_range", "exp_range", "expressions", "seed"),
            *("faithful", "shape_weights", "exp_weights", "trained_models", "epoch"),
            *("shape_unit", "exp_unit", "passes", "blend"),
        )
    }
    faces = picture_sets.stored_faces(output)
    if faces is None:
        model = common.load_model(options)
        manifold = _manifold_for(options, model)
        faces = _generated(options, model, manifold, _random_faces(options, model))
    written = picture_sets.write_set(
        output,
        options.model,
        faces,
        picture_sets.PictureOptions(
            size=options.picture_size,
            yaw=options.yaw,
            pitch=options.pitch,
            roll=options.roll,
            light=options.light,
            seed=options.seed,
            look=options.look,
        ),
        origin=origin,
        workers=options.workers,
    )
    print(f"{len(faces)} faces in {output}, {written} of them drawn now.")


# --- scatter --------------------------------------------------------------------------

# Set -> colour, marker and legend; the first three are the original's.
_SETS = {
    "normal": plotting.Style("C0", "*", "normal distribution"),
    "real": plotting.Style("C1", "o", "fitted parameters to real images"),
    "generated": plotting.Style(
        "C2", "^", "output of the network on uniform distribution"
    ),
    "uniform": plotting.Style("C3", ".", "uniform distribution (input of the network)"),
}


def scatter(options: argparse.Namespace) -> None:
    """Plots normal, real, generated and uniform faces, and prints their traces."""
    plotting.require_matplotlib()  # Before any work.
    path = pathlib.Path(options.data)
    selection = slice(0, options.size)
    if path.is_dir():
        found = fitted_faces.read_mat_folder(
            path, strict=options.strict, selection=selection
        )
        common.report_skipped(options.data, found.skipped)
        real = found.faces
    else:
        real = common.read_faces(options.data).take(selection)
    if len(real) < 2:
        raise InputError(
            f"{options.data}: found {len(real)} face, expected at least 2 to compare."
        )
    model = common.load_model(options)
    groups = random_faces.groups_of(options.mode)
    manifold = common.load_manifold(options, groups, common.model_lengths(model))
    deviations = common.sampling_deviations(options, model)
    draws = samplers.OriginalDraws(options.seed)
    for group in groups:
        print(f"Plotting scatter diagram for {group} parameters...", flush=True)
        if options.faithful:
            uniform, normal = random_faces.original_scatter_faces(
                draws, deviations, options.size, group, options.range
            )
        else:
            rng = seeding.numpy_generator(options.seed, f"scatter {group}")
            uniform = random_faces.uniform_faces(
                rng, deviations, options.size, group, options.range, options.range
            )
            normal = random_faces.normal_faces(rng, deviations, options.size)
        generated = manifold.denoise(
            uniform, group, **common.projection_options(options)
        )
        sets = {
            "normal": normal,
            "real": real,
            "generated": generated,
            "uniform": uniform,
        }
        _write_scatter(options, group, sets, model)


def _write_scatter(options, group, sets, model) -> None:
    folder = pathlib.Path(options.output) / group
    vectors = {name: faces.group(group) for name, faces in sets.items()}
    if len({values.shape[1] for values in vectors.values()}) > 1:
        raise InputError(
            f"{options.data}: its faces have {vectors['real'].shape[1]} {group} "
            f"coefficients, the face model {model.name!r} {vectors['normal'].shape[1]}."
        )
    traces = {name: diversity.trace(values) for name, values in vectors.items()}
    print(
        "Normal: ", traces["normal"], " Realistic: ", traces["real"],
        " Generated: ", traces["generated"], " Uniform: ", traces["uniform"],
    )  # fmt: skip
    print(f"{'set':<10} {'trace':>14} {'/ normal':>10} {'/ real':>10}")
    for name, value in traces.items():
        print(
            f"{name:<10} {value:>14.6g} {value / traces['normal']:>10.4f} "
            f"{value / traces['real']:>10.4f}"
        )
    placed = _placed(options, vectors)
    files.write_text(
        folder / f"fig{options.size}.csv", _scatter_csv(placed, ("set", "x", "y"))
    )
    _write_traces(folder / f"traces{options.size}.csv", traces)
    plotting.save(
        folder / f"fig{options.size}.png",
        placed,
        _SETS,
        # The widest cloud goes below the others.
        ("uniform", "generated", "real", "normal"),
    )
    inside = folder / "model_output_on_uniform"
    common.write_table(options, inside, "labels", sets["uniform"])
    common.write_table(options, inside, "labels_out", sets["generated"])
    common.write_table(options, folder / "normal", "labels", sets["normal"])
    if options.visualize:
        common.write_rendered(
            options,
            model,
            common.numbered(inside, sets["uniform"]),
            common.numbered(inside, sets["generated"], end="_out"),
            common.numbered(folder / "normal", sets["normal"]),
        )
    print(f"{folder / f'fig{options.size}.png'}")


def _placed(options, vectors) -> dict[str, np.ndarray]:
    """Where each face is on the plane: {set: [N, 2]}."""
    if options.method != "pca":
        return diversity.embed(vectors, options.method, options.seed)
    # As in the original: the plane of normal, uniform and real faces.
    plane = diversity.principal_plane(
        np.concatenate([vectors[name] for name in ("normal", "uniform", "real")])
    )
    return {name: diversity.on_plane(values, plane) for name, values in vectors.items()}


def _scatter_csv(placed, header) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for name, values in placed.items():
        writer.writerows([name, *map(repr, map(float, row))] for row in values)
    return stream.getvalue()


def _write_traces(path, traces) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("set", "trace", "ratio_to_normal", "ratio_to_real"))
    for name, value in traces.items():
        writer.writerow((name, value, value / traces["normal"], value / traces["real"]))
    files.write_text(path, stream.getvalue())
