"""Commands about trained networks: reconstruct, evaluate, convert."""

import argparse
import pathlib

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.core import files, folders, pictures, runs, texts
from tf_faces.core.errors import InputError
from tf_faces.data import landmark_files
from tf_faces.geometry import cropping


def _open(options: argparse.Namespace):
    from tf_faces.pipelines import coarse_fine, shipped

    if options.run == shipped.OPEN:
        folder = shipped.folder("coarse_fine")
        return coarse_fine.open_run(folder, face_model=options.face_model)
    run = runs.RunFolder.locate(options.result_dir, options.run)
    if not coarse_fine.recognises(run.path):
        raise InputError(
            f"{run.path}: holds no snapshot of both networks, expected a run of "
            "coarse_fine."
        )
    return coarse_fine.open_run(run.path, face_model=options.face_model)


def parse_box(text: str) -> tuple[float, float, float, float]:
    """Reads LEFT,TOP,RIGHT,BOTTOM as (left, right, top, bottom).

    Raises:
      InputError: if it is anything else.
    """
    try:
        left, top, right, bottom = texts.numbers(text.split(",")).tolist()
    except ValueError as error:
        raise InputError(
            f"--box: found {text!r}, expected LEFT,TOP,RIGHT,BOTTOM in pixels."
        ) from error
    if not np.isfinite([left, top, right, bottom]).all():
        raise InputError(f"--box: found {text!r}, expected finite numbers.")
    return left, right, top, bottom


def _suffixes(text: str) -> tuple[str, ...]:
    found = tuple(f".{word.strip().lower()}" for word in text.split(",") if word)
    for suffix in found:
        if suffix not in (".obj", ".ply", ".glb"):
            raise InputError(
                f"--formats: found {suffix[1:]!r}, expected some of obj, ply, glb."
            )
    return found


def reconstruct(options: argparse.Namespace) -> None:
    """Writes everything about the face of each photograph."""
    if options.box is not None and options.landmarks is not None:
        raise InputError("--box and --landmarks: found both, expected one of them.")
    if options.landmarks is not None and len(options.pictures) > 1:
        raise InputError(
            f"--landmarks: found with {len(options.pictures)} photographs, expected "
            "one."
        )
    suffixes = _suffixes(options.formats)
    box = parse_box(options.box) if options.box is not None else None
    if options.landmarks is not None:
        points = landmark_files.read_landmarks(options.landmarks)
        box = cropping.box_of_points(points[:, :2])
    stems = [pathlib.Path(path).stem for path in options.pictures]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(
            f"two photographs are called {twice[0]!r}, expected names that differ: "
            "each gets a folder of its name."
        )
    for stem in stems:
        folders.require_free_folder(
            pathlib.Path(options.output) / stem, overwrite=options.overwrite
        )
    photographs = [pictures.read(path) for path in options.pictures]
    reconstructor = _open(options)
    from tf_faces.pipelines.coarse_fine import files as results

    for stem, photograph in zip(stems, photographs, strict=True):
        face = reconstructor.reconstruct(photograph, box)
        folder = pathlib.Path(options.output) / stem
        results.write_face(
            folder,
            reconstructor,
            face,
            photograph,
            mesh_suffixes=suffixes,
            page=not options.nopage,
        )
        angles = ", ".join(f"{angle:.1f}" for angle in np.degrees(face.parameters[:3]))
        print(
            f"{folder}: pitch, yaw, roll {angles} degrees; "
            f"{face.mask.mean():.0%} of the crop is face."
        )


def evaluate(options: argparse.Namespace) -> None:
    """Prints the errors of a run, and writes them."""
    if options.data_dir is None:
        told = "without --data_dir, expected with it"
        options_of.refuse_given(options, ("part",), told)
    if options.output:
        folders.require_free_file(options.output, overwrite=options.overwrite)
    reconstructor = _open(options)
    from tf_faces.pipelines.coarse_fine import evaluation, photographs

    measured = evaluation.measure(
        reconstructor, options.data_dir, options.part or "test", options.count
    )
    if options.photographs:
        measured |= photographs.measure(reconstructor, options.photographs)
    for name, value in measured.items():
        print(f"{name:<36}{value:.5g}")
    if options.output:
        files.write_json(options.output, measured)
        print(options.output)


def convert(options: argparse.Namespace) -> None:
    """Makes a run folder whose snapshot holds other programs' weights."""
    from tf_faces.configs import coarse_fine as presets
    from tf_faces.convert import coarse_fine as weights
    from tf_faces.training import checkpoints
    from tf_faces.training import coarse_fine as training

    config = presets.PRESETS.get_config(options.preset)
    folder = pathlib.Path(options.output)
    if folder.exists():
        raise InputError(f"{folder}: is there already, expected a new folder.")
    for path in options.source:
        weights.require(path)
    system = training.CoarseFineSystem(config)
    for path in options.source:
        print(weights.load(system.network, path, faithful=options.faithful))
    run = runs.RunFolder(folder)
    folder.mkdir(parents=True)
    run.write_config(config.to_dict())
    state = {"progress": {}, "averages": {}, "system": {}}
    checkpoints.save(
        run.snapshots,
        0,
        variables=system.variables(),
        state=state,
        configuration=config.to_dict(),
    )
    print(f"{folder}: can be opened, exported, and given to reconstruct.")
