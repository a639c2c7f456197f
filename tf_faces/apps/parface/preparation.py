"""Annotation files of data sets, and landmarks from one kind of file to another."""

import argparse
import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.data.parface import preparing


def run(options: argparse.Namespace) -> None:
    """Writes what the program's options say.

    Raises:
      InputError: if a file is there already, or nothing is found.
      FormatError: if a file is damaged.
    """
    files.require_directory(options.folder, "folder")
    if options.command == "prepare":
        _prepare(options)
    else:
        _convert(options)


def _free(path: pathlib.Path) -> pathlib.Path:
    if path.exists():
        raise InputError(f"{path}: exists already, expected a free name.")
    return path


def _prepare(options: argparse.Namespace) -> None:
    target = pathlib.Path(options.output) / preparing.NAMES[options.dataset]
    _free(target)
    without = 0
    if options.dataset == "affectnet":
        if options.detector is not None:
            raise InputError(
                "--detector: found with affectnet, whose boxes are whole pictures; "
                "expected with celeba, ffhq or meei."
            )
        columns, rows = preparing.AFFECTNET_COLUMNS, preparing.affectnet(options.folder)
    elif options.detector is not None:
        from tf_faces.pipelines import detectors

        detector = detectors.make_detector(options.detector, options.detector_weights)
        columns = preparing.BOX_COLUMNS
        rows, without = preparing.detected(options.folder, detector)
    else:
        columns, rows = preparing.BOX_COLUMNS, preparing.boxes(options.folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(target, preparing.table(columns, rows))
    left_out = f", {without} without a face left out" if without else ""
    print(f"{target}: {len(rows)} pictures{left_out}")


def _convert(options: argparse.Namespace) -> None:
    write = preparing.WRITERS[options.to]
    planned: dict[pathlib.Path, np.ndarray] = {}
    others = [name for name in preparing.SUFFIXES if name != f".{options.to}"]
    for picture, points in preparing.annotated(options.folder, others):
        folder = pathlib.Path(options.output) if options.output else picture.parent
        target = _free(folder / f"{picture.stem}.{options.to}")
        if target in planned:
            raise InputError(
                f"{target}: would be written for two pictures, expected names that "
                "differ."
            )
        planned[target] = points
    for target, points in planned.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(target, write(points))
    print(f"{len(planned)} files of landmarks")
