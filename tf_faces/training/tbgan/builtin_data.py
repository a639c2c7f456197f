"""The built-in training data of the demonstration presets.

A preset with `dataset.build_count` brings its data set along: coupled UV maps of the
built-in morphable face (or another open one), exported through the same code as any
other source (`tf-faces dataset make_uv_set` and `create_from_pkl_img_norm`).
"""

import pathlib
import shutil

import ml_collections

from tf_faces.core import files
from tf_faces.data import uv_sets
from tf_faces.data.record_sets import coupled, writer
from tf_faces.data.record_sets import folder as record_folder

# Consecutive samples that share an identity, so that expressions vary on one face.
_EXPRESSIONS_PER_SUBJECT = 4


def source_directory(config: ml_collections.ConfigDict) -> pathlib.Path:
    """Returns where the UV set itself (pictures, maps, UV dictionary) lies."""
    name = f"{config.dataset.tfrecord_dir}_uv_set"
    return pathlib.Path(config.data_dir) / name


def uv_dictionary(config: ml_collections.ConfigDict) -> pathlib.Path | None:
    """Returns the UV dictionary that belongs to the data, or None if there is none."""
    directory = pathlib.Path(config.data_dir) / (config.dataset.tfrecord_dir or "")
    for folder in (directory, source_directory(config)):
        path = folder / record_folder.UV_DICTIONARY
        if path.is_file():
            return path
    return None


def keep_uv_dictionary(config: ml_collections.ConfigDict, run: pathlib.Path) -> None:
    """Copies the data's UV dictionary to a run folder, so that the run can be moved."""
    path = uv_dictionary(config)
    if path is not None:
        with files.atomic_path(run / path.name) as temporary:
            shutil.copyfile(path, temporary)


def is_built(config: ml_collections.ConfigDict) -> bool:
    """Returns whether the preset's data set is there."""
    directory = pathlib.Path(config.data_dir) / config.dataset.tfrecord_dir
    return directory.is_dir() and bool(record_folder.record_files(directory))


def build(config: ml_collections.ConfigDict) -> None:
    """Makes the preset's data set, whole or not at all.

    Raises:
      InputError: if the folder holds something else.
    """
    options = config.dataset
    directory = pathlib.Path(config.data_dir) / options.tfrecord_dir
    source = source_directory(config)
    record_folder.check_destination(directory)
    print(
        f"Making {options.build_count} faces of the {options.build_model} model in "
        f"{source}...",
        flush=True,
    )
    uv_sets.make_uv_set(
        source,
        options.build_model,
        options.build_count,
        options.build_resolution,
        seed=config.random_seed,
        expressions_per_subject=_EXPRESSIONS_PER_SUBJECT,
    )
    print(f"Exporting them to {directory}...", flush=True)
    samples = coupled.from_pkl_img_norm(
        coupled.CoupledSource(
            source / "texture",
            source / "shape",
            source / "normals",
            labels=source / "labels.pkl",
            paths=source / "paths.pkl",
        )
    )
    writer.write_record_set(directory, samples, processes=1, progress=True)
