"""What PRNet's commands share: weights, pictures of a folder, places of faces."""

import argparse
import pathlib
import sys

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.convert import prnet as weights
from tf_faces.core import files, folders, matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files
from tf_faces.data.prnet import layout
from tf_faces.models import prnet
from tf_faces.models.prnet import inference
from tf_faces.pipelines import detectors, shipped
from tf_faces.pipelines import prnet as pipeline

RANDOM = "random"
DETECTOR = "mtcnn"
UV_DATA = "Data/uv-data"
_DLIB_WEIGHTS = "Data/net-data/mmod_human_face_detector.dat"
_KERAS_ENDS = (".h5", ".hdf5")
_LANDMARK_SUFFIXES = (".mat", ".pts", ".npy")
_WARNING = """\
************************************************************************
* RANDOM WEIGHTS: every result of this run is meaningless.             *
* Give the trained network with --weights (see docs/systems/prnet.md). *
************************************************************************"""


def picture_height(path: pathlib.Path) -> int:
    """Rows of a picture, turned as it is read."""
    return pictures.read(path).shape[0]


def load_network(options: argparse.Namespace) -> inference.FoldedNetwork:
    """The network of `--weights`; says where the weights come from."""
    if options.weights == RANDOM:
        print(_WARNING, file=sys.stderr, flush=True)
        network = prnet.named(options.network or "resfcn256")
        return inference.fold(prnet.create(network, seed=0))
    if options.weights.lower().endswith(_KERAS_ENDS):
        network = weights.load_keras(options.weights)
        print(f"{options.weights}: a Keras file of PRNet's layers", flush=True)
        return inference.fold(network)
    network, source = weights.load_checkpoint(options.weights)
    print(source.describe(), flush=True)
    return inference.fold(network)


def _settle_detector(options: argparse.Namespace) -> None:
    """The detector of `--detector`, or of the original's `--isDlib`."""
    if getattr(options, "isDlib", None) is not None:
        told = "with --isDlib, expected one of them"
        options_of.refuse_given(options, ("detector",), told)
        options.detector = "dlib" if options.isDlib else "none"
        if options.isDlib:
            options_of.settle(options, detector_weights=_DLIB_WEIGHTS)
    options_of.settle(options, detector=DETECTOR)
    if options.detector == "none":
        told = "with --detector none"
        options_of.refuse_given(options, ("detector_weights",), told)


def make_reconstructor(options: argparse.Namespace) -> pipeline.Reconstructor:
    """Network, layout and detector of the options; a run brings its own layout.

    Raises:
      InputError: if an option would be ignored, or weights or layout do not serve.
    """
    if options.weights != RANDOM:
        told = "with weights that tell it, expected --weights random"
        options_of.refuse_given(options, ("network",), told)
    given = shipped.OPEN if options.weights is None else options.weights
    folder = shipped.resolve(given, "prnet")
    is_run = pipeline.recognises(folder)
    if is_run:
        told = f"with {given}, a run, which brings a layout of its own"
        options_of.refuse_given(options, ("uv_data",), told)
    _settle_detector(options)
    options_of.settle(options, uv_data=UV_DATA)
    detector = None
    if options.detector != "none":
        detector = detectors.make_detector(options.detector, options.detector_weights)
    if is_run:
        opened = pipeline.open_run(folder, detector=detector)
        print(f"{given}: a run, maps of {opened.layout.name}", flush=True)
        return opened
    uv_layout = layout.load_layout(options.uv_data)
    return pipeline.Reconstructor(load_network(options), uv_layout, detector)


def list_pictures(folder: files.PathLike) -> list[pathlib.Path]:
    """The pictures of a folder, sorted; not those of folders below.

    Raises:
      InputError: if the folder is missing or has none, or two pictures differ in their
        suffix alone, so that their results would have the same names.
    """
    folder = files.require_directory(folder, "folder of pictures")
    found = pictures.list_folder(folder)
    folders.by_name(found)
    return found


def require_output(options: argparse.Namespace) -> None:
    """Checks the folder for results before weights are read.

    Raises:
      InputError: if it is that of the pictures, or holds results and `--overwrite` is
        not given.
    """
    source, output = pathlib.Path(options.input_dir), pathlib.Path(options.output_dir)
    if output.is_dir() and source.is_dir() and output.samefile(source):
        raise InputError(
            f"--output_dir: found {output}, the folder of the pictures; expected "
            "another one."
        )
    folders.require_free_folder(output, overwrite=options.overwrite)


def landmarks_beside(picture: pathlib.Path) -> np.ndarray | None:
    """Key points [68, 2 or 3] of the file of the same name, or None without one.

    Of a .mat file `pt3d_68` is taken, as the original does, and nothing else.

    Raises:
      FormatError: if there is such a file without 68 points.
    """
    for suffix in _LANDMARK_SUFFIXES:
        path = folders.beside(picture, suffix)
        if path is None:
            continue
        if suffix != ".mat":
            return landmark_files.read_landmarks(path)
        found = matlab_files.load(path, ["pt3d_68"]).get("pt3d_68")
        if found is None:
            raise FormatError(f"{path}: lacks the variable pt3d_68.")
        if found.dtype.kind not in "fiu" or found.shape not in ((3, 68), (2, 68)):
            raise FormatError(
                f"{path}: pt3d_68 has shape {found.shape}, expected (3, 68)."
            )
        if not np.isfinite(found).all():
            raise FormatError(f"{path}: pt3d_68 holds numbers that are not finite.")
        return found.astype(np.float64).T
    return None


def faces_of(
    reconstructor: pipeline.Reconstructor, path: pathlib.Path
) -> tuple[np.ndarray, list[pipeline.Face]]:
    """A picture and its faces.

    Key points beside the picture say where its face is; without them the detector,
    and without one the face is taken to fill the picture.
    """
    image = pictures.read(path)
    landmarks = landmarks_beside(path)
    if landmarks is not None:
        return image, reconstructor.faces(image, landmarks=landmarks)
    if reconstructor.detector is not None:
        return image, reconstructor.faces(image)
    height, width = image.shape[:2]
    return image, reconstructor.faces(image, box=(0, width - 1, 0, height - 1))


def face_names(path: pathlib.Path, faces: list[pipeline.Face]) -> list[str]:
    """What the files of each face begin with: the picture's name, then numbered."""
    if len(faces) == 1:
        return [path.stem]
    return [f"{path.stem}_face{number}" for number in range(len(faces))]
