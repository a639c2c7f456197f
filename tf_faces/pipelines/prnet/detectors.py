"""Detectors of faces by name, each from a package that is installed separately."""

import importlib
import pathlib
from types import ModuleType

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError, MissingDependencyError
from tf_faces.pipelines.prnet.reconstruction import Detector

DETECTORS = ("mtcnn", "dlib")
# The original looks for faces in the picture enlarged so many times by two.
_DLIB_ENLARGED = 1


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(
            f"the detector {name} needs the package {name!r}, which is not installed: "
            f"pip install {name}"
        ) from error


def _mtcnn() -> Detector:
    detector = _package("mtcnn").MTCNN()

    def detect(image: np.ndarray):
        found = sorted(
            detector.detect_faces(image), key=lambda face: -face["confidence"]
        )
        for face in found:
            x, y, width, height = face["box"]
            yield x, y, x + width, y + height

    return lambda image: list(detect(image))


def _dlib(weights: pathlib.Path) -> Detector:
    detector = _package("dlib").cnn_face_detection_model_v1(str(weights))

    def detect(image: np.ndarray):
        boxes = (found.rect for found in detector(image, _DLIB_ENLARGED))
        return [(b.left(), b.top(), b.right(), b.bottom()) for b in boxes]

    return detect


def make_detector(name: str, weights: files.PathLike | None = None) -> Detector:
    """A detector by name.

    Args:
      name: one of `DETECTORS`.
      weights: of dlib's detector, `mmod_human_face_detector.dat`.

    Raises:
      InputError: if the name is unknown, or dlib's weights are missing.
      MissingDependencyError: if the package is absent.
    """
    if name not in DETECTORS:
        raise InputError(
            f"the detector must be one of {', '.join(DETECTORS)}, found {name!r}."
        )
    if name == "mtcnn":
        return _mtcnn()
    if weights is None:
        raise InputError(
            "the detector dlib needs its weights, mmod_human_face_detector.dat."
        )
    return _dlib(files.require_file(weights, "detector's weights"))
