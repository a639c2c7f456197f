"""Detectors of faces by name, each from a package that is installed separately."""

import importlib
import pathlib
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError, MissingDependencyError, TfFacesError


class DetectedBox(tuple):
    """A box (left, top, right, bottom).

    Attributes:
      certainty: the detector's, in 0..1; 1 where it says none.
    """

    certainty: float = 1.0

    @classmethod
    def of(cls, sides: Sequence[float], certainty: float) -> "DetectedBox":
        """Makes one of four numbers and the certainty."""
        box = cls(sides)
        box.certainty = float(certainty)
        return box


# Takes uint8 [H, W, 3], returns boxes (left, top, right, bottom), the best first.
Detector = Callable[[np.ndarray], Sequence[Sequence[float]]]
DETECTORS = ("mtcnn", "dlib", "mediapipe")
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
            sides = x, y, x + width, y + height
            yield DetectedBox.of(sides, face["confidence"])

    return lambda image: list(detect(image))


def _dlib(weights: pathlib.Path) -> Detector:
    detector = _package("dlib").cnn_face_detection_model_v1(str(weights))

    def detect(image: np.ndarray):
        boxes = (found.rect for found in detector(image, _DLIB_ENLARGED))
        return [(b.left(), b.top(), b.right(), b.bottom()) for b in boxes]

    return detect


def _mediapipe(weights: pathlib.Path) -> Detector:
    package = _package("mediapipe")
    vision = _package("mediapipe.tasks.python.vision")
    base = _package("mediapipe.tasks.python")
    detector = vision.FaceDetector.create_from_options(
        vision.FaceDetectorOptions(
            base_options=base.BaseOptions(model_asset_path=str(weights))
        )
    )

    def detect(image: np.ndarray):
        given = package.Image(
            image_format=package.ImageFormat.SRGB, data=np.ascontiguousarray(image)
        )
        found = sorted(
            detector.detect(given).detections,
            key=lambda face: -face.categories[0].score,
        )
        boxes = []
        for face in found:
            box = face.bounding_box
            x, y = box.origin_x, box.origin_y
            sides = x, y, x + box.width, y + box.height
            boxes.append(DetectedBox.of(sides, face.categories[0].score))
        return boxes

    return detect


def _told(name: str, error: Exception) -> str:
    """What to say of an error in code that is not ours."""
    text = " ".join(str(error).split())
    return f"the detector {name} failed with {type(error).__name__}: {text[:200]}"


def _guarded(detector: Detector, name: str) -> Detector:
    """The detector; whatever fails in it names it."""

    def detect(image: np.ndarray):
        try:
            return list(detector(image))
        except TfFacesError:
            raise
        except Exception as error:  # Of another package; it may raise anything.
            raise InputError(
                f"{_told(name, error)} (on a picture of {image.shape[1]} x "
                f"{image.shape[0]} pixels); expected boxes (left, top, right, bottom)."
            ) from error

    return detect


def _checked(detector, name: str) -> Detector:
    """A detector of the user's own, whose answers are looked at."""

    def detect(image: np.ndarray):
        boxes = list(detector(image))
        try:
            found = np.asarray(boxes, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the detector {name} returned something else than boxes, expected "
                "[N, 4] (left, top, right, bottom)."
            ) from error
        if found.size == 0:
            return []
        if found.ndim != 2 or found.shape[1] < 4 or not np.isfinite(found).all():
            raise InputError(
                f"the detector {name} returned {found.shape}, expected boxes [N, 4] "
                "(left, top, right, bottom)."
            )
        return [tuple(box[:4].tolist()) for box in found]

    return detect


def _own(name: str) -> Detector:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"the detector {name} was not found ({error}), expected PACKAGE:FUNCTION."
        ) from error
    except Exception as error:  # What the user's file does when it is imported.
        raise InputError(f"{_told(name, error)}, when it was imported.") from error
    if not callable(found):
        raise InputError(f"the detector {name} is no function.")
    return _guarded(_checked(found, name), name)


def make_detector(name: str, weights: files.PathLike | None = None) -> Detector:
    """A detector by name.

    Args:
      name: one of `DETECTORS`, or "package:function" of a function of one's own, which
        takes uint8 [H, W, 3] and returns boxes (left, top, right, bottom), best first.
      weights: of dlib's detector, `mmod_human_face_detector.dat`, or of MediaPipe's,
        such as `blaze_face_short_range.tflite`.

    Raises:
      InputError: if the name is unknown, or weights are missing, or given to another
        detector than these two.
      MissingDependencyError: if the package is absent.
    """
    if weights is not None and (":" in name or name == "mtcnn"):
        raise InputError(f"the detector {name} takes no weights, found {weights}.")
    if ":" in name:
        return _own(name)
    if name not in DETECTORS:
        raise InputError(
            f"the detector must be one of {', '.join(DETECTORS)} or PACKAGE:FUNCTION, "
            f"found {name!r}."
        )
    if name == "mtcnn":
        return _guarded(_mtcnn(), name)
    if weights is None:
        file = {"dlib": "mmod_human_face_detector.dat",
                "mediapipe": "blaze_face_short_range.tflite"}[name]  # fmt: skip
        raise InputError(f"the detector {name} needs its weights, {file}.")
    path = files.require_file(weights, "detector's weights")
    try:
        found = _dlib(path) if name == "dlib" else _mediapipe(path)
    except TfFacesError:
        raise
    except Exception as error:  # Each package has its own errors for damaged files.
        raise InputError(
            f"{path}: {_told(name, error)}; expected its weights."
        ) from error
    return _guarded(found, name)
