"""AFLW2000-3D's protocol: errors of predictions by yaw, and where they come from.

Predictions are those of a network or stored ones, the original programs' files
included.  Measures are functions of `tf_faces.metrics.normalized_mean_error`, whose
docstrings give each formula and its source:

    sparse_2d, sparse_3d   68 landmarks
    dense_2d, dense_3d     all points of the face; needs the fitted face model
    reconstruction         the same after iterative closest points, by the distance of
                           the outer eye corners in space

The first four are divided by the square root of the area of the true landmarks' box
("box"), and by the distance of the outer eye corners ("outer_eyes") as well.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files, matlab_files, texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.prnet import ground_truth
from tf_faces.data.prnet.layout import LANDMARKS, MapLayout
from tf_faces.geometry import cropping
from tf_faces.metrics import normalized_mean_error as nme

NORMALIZATIONS = ("box", "outer_eyes")
LANDMARK_ENDS = ("_kpt.txt", ".txt")
MESH_END, MAP_END = "_mesh.mat", ".npy"
# True points of iterative closest points: more change nothing and take time.
_ICP_POINTS = 8000


@dataclasses.dataclass(frozen=True)
class Points:
    """A face, true or predicted, in the picture's pixels, y down.

    Attributes:
      landmarks: [68, 3], or [68, 2] where depth is not known.
      vertices: [V, 3], those of the layout's pixels, or None.
    """

    landmarks: np.ndarray
    vertices: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is true of a picture.

    Attributes:
      points: its face.
      yaw: degrees.
    """

    points: Points
    yaw: float


class TrueVertices:
    """The true points of a layout's pixels, from fitted parameters.

    Args:
      drawer: of the fitted face model's maps, of the layout's size.
      uv_layout: whose pixels count.
    """

    def __init__(self, drawer: ground_truth.MapDrawer, uv_layout: MapLayout):
        if drawer.resolution != uv_layout.resolution:
            raise InputError(
                f"maps of {drawer.resolution} pixels, expected the layout's "
                f"{uv_layout.resolution}."
            )
        self._drawer, self._layout = drawer, uv_layout

    @property
    def coefficient_counts(self) -> tuple[int, int]:
        """How many identity and expression coefficients its faces have."""
        model = self._drawer.model
        return model.shape_count, model.expression_count

    def of(self, face: ground_truth.FittedFace, height: int) -> np.ndarray:
        """float64 [V, 3] in the picture of `height` rows."""
        vertices = ground_truth.posed_vertices(self._drawer.model, face, height)
        # Drawn in a crop: the drawing rule treats the border of the map apart, not the
        # positions, so that any crop serves.
        marks = vertices[self._drawer.model.landmarks68]
        crop = cropping.crop_from_points(marks, self._drawer.resolution)
        drawn = self._drawer.draw(vertices, crop)
        return crop.to_image(self._layout.at_vertices(drawn))


def _table(path: pathlib.Path) -> np.ndarray:
    points = texts.read_numbers(path, "a table of numbers")
    if points.shape != (LANDMARKS, 3) or not np.isfinite(points).all():
        raise FormatError(
            f"{path}: shape {points.shape}, expected 68 finite points x y z."
        )
    return points


def _mesh(path: pathlib.Path, count: int) -> np.ndarray:
    found = matlab_files.load(path, ["vertices"]).get("vertices")
    if found is None or found.dtype.kind != "f" or found.shape != (count, 3):
        shape = None if found is None else found.shape
        raise FormatError(
            f"{path}: vertices have shape {shape}, expected ({count}, 3) floats, one "
            "for each pixel of the layout."
        )
    if not np.isfinite(found).all():
        raise FormatError(f"{path}: vertices hold a number that is not finite.")
    return found.astype(np.float64)


def read_prediction(
    folder: files.PathLike, name: str, uv_layout: MapLayout | None
) -> Points:
    """A stored prediction.

    `NAME.npy`, a position map in the picture's pixels, is taken first; else landmarks
    are read of `NAME_kpt.txt` (the original's `demo.py`) or `NAME.txt` (its
    `run_basics.py`), and vertices of `NAME_mesh.mat` of either, if it is there.

    Args:
      folder: of the predictions.
      name: of the picture, without suffix.
      uv_layout: None reads landmarks only.

    Raises:
      InputError: if there is none.
      FormatError: if it is damaged.
    """
    folder = pathlib.Path(folder)
    path = folder / f"{name}{MAP_END}"
    if uv_layout is not None and path.is_file():
        size = uv_layout.resolution
        found = files.load_npy(path)
        if found.dtype.kind != "f" or found.shape != (size, size, 3):
            raise FormatError(
                f"{path}: shape {found.shape} of {found.dtype}, expected a position "
                f"map ({size}, {size}, 3) of floats."
            )
        if not np.isfinite(found).all():
            raise FormatError(f"{path}: holds a number that is not finite.")
        vertices = uv_layout.at_vertices(found.astype(np.float64))
        return Points(vertices[uv_layout.landmark_vertices], vertices)
    for end in LANDMARK_ENDS:
        path = folder / f"{name}{end}"
        if path.is_file():
            vertices = None
            mesh = folder / f"{name}{MESH_END}"
            if uv_layout is not None and mesh.is_file():
                vertices = _mesh(mesh, uv_layout.vertex_count)
            return Points(_table(path), vertices)
    ends = " or ".join(f"{name}{end}" for end in LANDMARK_ENDS)
    raise InputError(f"{folder}: holds no prediction {ends}.")


# --- lists of AFLW2000-3D -------------------------------------------------------------

_LIST_FILES = {
    False: "AFLW2000-3D.pts68.npy",
    True: "AFLW2000-3D-Reannotated.pts68.npy",
}
_YAW_FILES = {"fitted": "AFLW2000-3D.pose.npy", "aflw": "AFLW2000-3D-new.pose.npy"}


def read_lists(
    folder: files.PathLike, names: Sequence[str], reannotated=False, yaw="fitted"
) -> dict[str, Truth]:
    """The truth of 3DDFA's lists for predictions of given names.

    Args:
      folder: with the lists (AFLW2000-3D.pts68.npy and others).
      names: of pictures, without suffix.  As many as the lists have rows are taken in
        their alphabetical order, as the lists are; fewer are looked up in rows.json.
      reannotated: the corrected landmarks, which have no depth.
      yaw: "fitted" pose or the "aflw" labels.

    Raises:
      InputError: if a list is missing, or a name is in no row.
      FormatError: if a list is damaged.
    """
    folder = files.require_directory(folder, "folder of AFLW2000-3D's lists")
    if yaw not in _YAW_FILES:
        raise InputError(f"yaw must be one of {', '.join(_YAW_FILES)}, found {yaw!r}.")
    path = folder / _LIST_FILES[reannotated]
    points = files.load_npy(files.require_file(path, "list of landmarks"))
    if points.dtype.kind != "f" or points.ndim != 3 or points.shape[2] != LANDMARKS:
        raise FormatError(f"{path}: shape {points.shape}, expected [N, 2 or 3, 68].")
    if not np.isfinite(points).all():
        raise FormatError(f"{path}: holds points that are not finite.")
    path = folder / _YAW_FILES[yaw]
    angles = files.load_npy(files.require_file(path, "list of yaws"))
    if angles.dtype.kind != "f" or angles.shape != (len(points),):
        raise FormatError(
            f"{path}: shape {angles.shape}, expected ({len(points)},) as the landmarks."
        )
    if not np.isfinite(angles).all():
        raise FormatError(f"{path}: holds angles that are not finite.")
    names = sorted(names)
    if len(names) == len(points):
        rows: Mapping[str, int] = {name: row for row, name in enumerate(names)}
    else:
        path = folder / "rows.json"
        rows = files.read_json(files.require_file(path, "rows of pictures"))
        if not isinstance(rows, dict) or not all(
            type(row) is int and 0 <= row < len(points) for row in rows.values()
        ):
            raise FormatError(f"{path}: expected the number of a row for each name.")
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise InputError(
            f"{path}: lacks {unknown[0]}"
            + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
            + f"; expected names of it, or all {len(points)} pictures."
        )
    return {
        name: Truth(
            Points(points[rows[name]].T.astype(np.float64)), float(angles[rows[name]])
        )
        for name in names
    }


# --- measures -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Report:
    """Errors of a set of faces, as fractions.

    Attributes:
      names: of the pictures.
      yaw: degrees of each.
      errors: {measure/normalization: [N]}.
    """

    names: tuple[str, ...]
    yaw: np.ndarray
    errors: Mapping[str, np.ndarray]

    def summaries(self) -> dict[str, nme.Summary]:
        """The errors by groups of yaw."""
        return {name: nme.by_yaw(e, self.yaw) for name, e in self.errors.items()}

    def to_json(self) -> dict[str, Any]:
        """All numbers, for `files.write_json`; what is not known is None."""
        found = {}
        for name, summary in self.summaries().items():
            errors = self.errors[name]
            found[name] = {
                **dataclasses.asdict(summary),
                "area_under_curve": nme.area_under_curve(errors),
                "errors": dict(zip(self.names, errors.tolist(), strict=True)),
            }
        return _without_nan(found)

    def to_csv(self) -> str:
        """A row a picture: name, yaw, errors in percent."""
        lines = [",".join(["name", "yaw", *self.errors])]
        for row, name in enumerate(self.names):
            values = [f"{100 * e[row]:.4f}" for e in self.errors.values()]
            lines.append(",".join([name, f"{self.yaw[row]:.3f}", *values]))
        return "\n".join(lines) + "\n"

    def lines(self) -> list[str]:
        """What people read: a line a measure."""
        found = []
        for name, summary in self.summaries().items():
            groups = "  ".join(
                f"{100 * mean:6.2f} ({100 * spread:.2f})"
                for mean, spread in zip(summary.mean, summary.deviation, strict=True)
            )
            measure, normalization = name.split("/")
            found.append(
                f"{measure}, by {normalization:<11} NME % (deviation) of yaw 0-30, "
                f"30-60, 60-90: {groups}; mean {100 * summary.balanced_mean:.2f} "
                f"(deviation {100 * summary.balanced_deviation:.2f}), of all "
                f"{len(self.names)} faces {100 * summary.overall:.2f}"
            )
        return found


def _without_nan(value):
    """JSON has no NaN: the mean of an empty group is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def evaluate(
    predictions: Mapping[str, Points],
    truths: Mapping[str, Truth],
    with_reconstruction: bool = True,
) -> Report:
    """Measures predictions.

    Args:
      predictions: by the names of pictures.
      truths: of the same names.
      with_reconstruction: also align by iterative closest points, half a second a face.

    Returns:
      A report of the measures that all faces allow: depth needs true depth, dense
      measures need vertices on both sides.

    Raises:
      InputError: if there is nothing to measure.
    """
    if not predictions:
        raise InputError("no face could be measured.")
    names = tuple(predictions)
    true = [truths[name].points for name in names]
    found = [predictions[name] for name in names]
    has_depth = all(one.landmarks.shape[1] == 3 for one in true)
    true_marks = np.stack([one.landmarks for one in true])
    marks = np.stack([one.landmarks for one in found])
    errors = {}
    flat = (marks[..., :2], true_marks[..., :2])
    dense = has_depth and all(
        one.vertices is not None and other.vertices is not None
        for one, other in zip(found, true, strict=True)
    )
    vertices = [np.stack([one.vertices for one in side])
                for side in (found, true)] if dense else None  # fmt: skip
    for normalization in NORMALIZATIONS:
        errors[f"sparse_2d/{normalization}"] = nme.sparse_2d(*flat, normalization)
        if has_depth:
            errors[f"sparse_3d/{normalization}"] = nme.sparse_3d(
                marks, true_marks, normalization
            )
        if vertices is not None:
            for name, measure in (
                ("dense_2d", nme.dense_2d),
                ("dense_3d", nme.dense_3d),
            ):
                errors[f"{name}/{normalization}"] = measure(
                    *vertices, true_marks, normalization
                )
    if vertices is not None and with_reconstruction:
        step = -(-vertices[0].shape[1] // _ICP_POINTS)
        errors["reconstruction/outer_eyes"] = np.array(
            [
                nme.reconstruction(one, other[::step], mark)
                for one, other, mark in zip(*vertices, true_marks, strict=True)
            ]
        )
    yaw = np.array([truths[name].yaw for name in names])
    return Report(names, yaw, errors)
