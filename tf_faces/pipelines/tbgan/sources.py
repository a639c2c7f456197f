"""Where a TBGAN comes from: snapshots, exports, and the charts that belong to them."""

import pathlib

from absl import logging

from tf_faces.core import files, texts
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.morphable import uv_dictionary as uv_dictionaries
from tf_faces.morphable.uv_dictionary import UvDictionary
from tf_faces.pipelines.tbgan import maps


def load_generator(snapshot):
    """Builds Gs of a `training.checkpoints.Snapshot` and fills in its variables."""
    from tf_faces.models import tbgan
    from tf_faces.training import checkpoints

    arrays = snapshot.arrays("Gs")
    options = dict(snapshot.configuration.get("G", {}))
    if not options.get("latent_size"):
        options.pop("latent_size", None)
    try:
        options |= _sizes(arrays)
        # Without labels the first layer's rows are the latents.
        bare = tbgan.GeneratorConfig.from_dict(options)
        rows = arrays["4x4/Dense/weight"].shape[0]
        options["label_size"] = rows - bare.latent_size
        generator = tbgan.Generator(tbgan.GeneratorConfig.from_dict(options))
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{snapshot.path}: holds no TBGAN ({in_words(error)})."
        ) from error
    checkpoints.assign_arrays(
        generator.variables_by_name(), arrays, str(snapshot.path / "Gs.npz")
    )
    return generator


def _sizes(arrays) -> dict[str, int]:
    """Resolution and channels, which follow from the variables' names and shapes."""
    scopes = {name.split("/")[0] for name in arrays}
    sides = [
        side
        for scope in scopes
        if scope.count("x") == 1
        and (side := texts.natural_number(scope.split("x")[0])) is not None
    ]
    channels = sum(
        array.shape[-1]
        for name, array in arrays.items()
        if name.split("/")[0].startswith("ToRGB_lod0") and name.endswith("/weight")
    )
    if not sides or not channels:
        raise ValueError("no layers of known names")
    return {"resolution": max(sides), "num_channels": channels}


def open_dictionary(
    dictionary: files.PathLike | None, resolution: int
) -> UvDictionary | None:
    """Opens a UV dictionary file, or makes the "grid" for maps of a resolution."""
    if dictionary is None:
        return None
    if str(dictionary) == "grid":
        return maps.grid_dictionary(resolution)
    return uv_dictionaries.load(files.require_file(dictionary, "UV dictionary"))


def find_dictionary(
    dictionary: files.PathLike | None, snapshot, network
) -> UvDictionary | None:
    """Opens the chart of a run's maps.

    Args:
      dictionary: a file, "grid", or None to look in the run's folder and beside its
        training data.
      snapshot: the `training.checkpoints.Snapshot`.
      network: its `GeneratorConfig`.

    Returns:
      None, with a warning, if it was not found; None for networks without shape maps.
    """
    if dictionary is not None:
        return open_dictionary(dictionary, network.resolution)
    if network.num_channels < 6:
        return None
    data = pathlib.Path(snapshot.configuration.get("data_dir") or ".")
    name = snapshot.configuration.get("dataset", {}).get("tfrecord_dir") or ""
    run = snapshot.path.absolute().parent.parent
    places = [run / "uv_dictionary.npz"] + [
        root / data / folder / "uv_dictionary.npz"
        for root in _roots(data, run)
        for folder in (name, f"{name}_uv_set")
    ]
    for place in places:
        if place.is_file():
            return uv_dictionaries.load(place)
    logging.warning(
        "No UV dictionary at %s or %s: faces have maps but no meshes.",
        *places[1:3],
    )
    return None


def _roots(data: pathlib.Path, run: pathlib.Path) -> list[pathlib.Path]:
    """Folders that a run's data folder may be relative to.

    It is relative to where training was started, which is the present folder or one
    above the run.
    """
    if data.is_absolute():
        return [pathlib.Path()]
    return [pathlib.Path(), *run.absolute().parents]


def find_records(run: files.PathLike, given: files.PathLike | None) -> pathlib.Path:
    """The folder of the record set that a run was trained with.

    Args:
      run: run folder.
      given: a record set that is taken instead.

    Raises:
      InputError: if it is not found.
    """
    if given is not None:
        return files.require_directory(given, "record set (--data)")
    run = pathlib.Path(run)
    config = files.read_json(run / "config.json")
    name = config.get("dataset", {}).get("tfrecord_dir")
    if not name:
        raise InputError(
            f"{run}: its configuration names no record set, expected --data FOLDER."
        )
    data = pathlib.Path(config.get("data_dir") or ".")
    for root in _roots(data, run):
        if (root / data / name).is_dir():
            return root / data / name
    raise InputError(
        f"{run}: found no record set {data / name}, expected --data FOLDER."
    )


def newest_version(directory: files.PathLike) -> pathlib.Path:
    """The folder of one exported version: `directory` itself, or its largest number.

    Raises:
      InputError: if there is no SavedModel.
    """
    directory = files.require_directory(directory, "SavedModel folder")
    if (directory / "saved_model.pb").is_file():
        return directory
    versions = [
        path
        for path in directory.iterdir()
        if path.name.isdecimal() and (path / "saved_model.pb").is_file()
    ]
    if not versions:
        raise InputError(
            f"{directory}: found no saved_model.pb, expected a SavedModel or numbered "
            "versions of one."
        )
    return max(versions, key=lambda path: int(path.name))


def is_export(directory: files.PathLike) -> bool:
    """Whether a folder is a SavedModel or holds numbered versions of one."""
    try:
        newest_version(directory)
    except InputError:
        return False
    return True


def is_snapshot(directory: files.PathLike) -> bool:
    """Whether a folder is one snapshot of a run."""
    return (pathlib.Path(directory) / "manifest.json").is_file()


def recognises(directory: files.PathLike) -> bool:
    """Whether a folder is a TBGAN: an export, a snapshot, a run with snapshots."""
    directory = pathlib.Path(directory)
    return (
        is_export(directory)
        or is_snapshot(directory)
        or any((directory / "snapshots").glob("*/manifest.json"))
    )
