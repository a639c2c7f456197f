"""The data sets that a configuration names, opened and mixed."""

import pathlib

import ml_collections

from tf_faces.core.errors import InputError
from tf_faces.data.parface import builtin, factory, sets
from tf_faces.data.parface.samples import Mixture, Preparation
from tf_faces.data.photographs import Settings


def preparation(config: ml_collections.ConfigDict, train: bool) -> Preparation:
    """How faces become samples of this configuration."""
    return Preparation(
        size=config.input_size,
        crop_source=config.crop_source,
        align=config.align,
        daug=config.daug if train else None,
        normalized=config.normalize,
    )


def _open(config: ml_collections.ConfigDict, name: str, train: bool) -> sets.FaceSet:
    if name == "builtin":
        count = config.builtin_faces if train else config.builtin_test_faces
        # Seeds of their own, so that no face is in both parts.
        return builtin.draw(count, 2 * config.random_seed + (not train))
    if name == "factory":
        count = config.factory_faces if train else config.factory_test_faces
        return factory.draw(
            Settings(**config.factory.to_dict()),
            count,
            2 * config.random_seed + (not train),
            config.workers,
        )
    if name not in config.paths:
        known = ", ".join(sorted(config.paths))
        raise InputError(f"dataset: found {name!r}, expected one of {known}.")
    # Records lie where other systems look for them as well.
    around = pathlib.Path(config.data_dir)
    folder = config.paths[name] or str(around if name == "records" else around / name)
    request = sets.Request(
        root=pathlib.Path(folder),
        annotations=pathlib.Path(config.annotations) if config.annotations else None,
        train=train,
        test_split=config.test_split,
        train_split=config.train_split,
        unsupervised=config.stage == "self_supervised",
        crop_source=config.crop_source,
    )
    count = config.train_count if train else config.val_count
    return sets.open_set(name, request, config.st, count or None)


def open_mixture(config: ml_collections.ConfigDict, train: bool) -> Mixture | None:
    """Opens the sets for training or validation; None if no set validates.

    Raises:
      InputError: for an unknown or missing set, or one without the landmarks that the
        stage needs.
    """
    names = list(config.dataset_train if train else config.dataset_val)
    option = "dataset_train" if train else "dataset_val"
    if not names:
        if train:
            raise InputError(f"{option}: found none, expected a data set.")
        return None
    mixture = Mixture(
        [_open(config, name, train) for name in names],
        list(config.dataset_weights) or None if train else None,
        (config.train_count_multi or None) if train else None,
        config.random_seed,
    )
    if config.stage != "self_supervised":
        if not mixture.has_landmarks:
            raise InputError(f"{option}: {names} lack landmarks for {config.stage}.")
        if mixture.num_landmarks != config.num_landmarks:
            raise InputError(
                f"num_landmarks: found {config.num_landmarks}, but {names} have "
                f"{mixture.num_landmarks}."
            )
        if config.stage == "landmarks_3d" and not mixture.has_depths:
            raise InputError(f"{option}: {names} lack depths for {config.stage}.")
    return mixture
