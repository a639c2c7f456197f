"""Real portraits with landmarks, fitted by a face model, in the factory's layout.

    <directory>/set.json                  what the set was made from
    <directory>/photographs/NAME.jpg      the picture
    <directory>/photographs/NAME.mat      as `sets.labels`, and residual [1, 1]
    <directory>/position_maps/NAME.npy    float32 [R, R, 3], image frame
    <directory>/overlays/NAME.jpg         the picture with the fitted mesh, if wanted

Labels are an .npz with `names` (file names) and `landmarks478` (MediaPipe) or
`landmarks68`, [N, k, 2 or 3] in pixels, pixel edges at 0 (x = 0 is the left edge of the
first pixel) for MediaPipe's and centres at integers for the 68.

The residual is the mean distance of the points to the fitted model, in percent of the
square root of the points' box: trust a fit as far as it is small.
"""

import dataclasses
import io
import os
import pathlib

import numpy as np
import scipy.optimize
import threadpoolctl

from tf_faces.core import files, folders, matlab_files
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.photographs import heads, registration, sets, surroundings, views
from tf_faces.data.photographs.charts import lay_out
from tf_faces.geometry import lighting, rotations
from tf_faces.geometry.normals import vertex_normals
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops import render_depth

FORMAT = "tf_faces fitted portraits 1"
_ROUNDS = 5
# Identity modes that are fitted, and squared pixels (in a box of 100) at one deviation
# of identity and at a whole blend shape.
_MODES, _SHAPE_WEIGHT, _EXPRESSION_WEIGHT = 60, 1.5, 12.0
_BOX = 100.0
# Faces whose points extend less are given in parts of the picture, not in pixels.
_SMALLEST = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A portrait's fit.

    Attributes:
      shape, expression: coefficients of the model in `raw_form`.
      pose: float64 [7], micrometres, of weak perspective.
      residual: percent, see the module's text.
    """

    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    residual: float


def _weak_camera(points3: np.ndarray, points2: np.ndarray):
    """Scale, rotation [3, 3], translation [2] that project points best (y up)."""
    centre3, centre2 = points3.mean(axis=0), points2.mean(axis=0)
    solved, *_ = np.linalg.lstsq(points3 - centre3, points2 - centre2, rcond=None)
    left, singular, right = np.linalg.svd(solved.T, full_matrices=False)
    rows = left @ right
    rotation = np.stack([*rows, np.cross(*rows)])
    scale = singular.mean()
    return scale, rotation, centre2 - scale * rows @ centre3


def fit_points(
    model: MorphableModel,
    vertices: np.ndarray,
    weights: np.ndarray,
    points: np.ndarray,
    height: int,
) -> Fitted:
    """Identity, expression and pose by regularised least squares.

    Args:
      model: in `raw_form`.
      vertices, weights: [k, 3], the places on the model that `points` show.
      points: [k, 2] pixels, image frame, pixel centres at integers.
      height: of the picture.

    Raises:
      InputError: if a point is not finite or all coincide.
    """
    points = np.asarray(points, np.float64)
    box = np.ptp(points, axis=0)
    if not (np.isfinite(points).all() and (box > 0).all()):
        raise InputError("the points to fit must be finite and extend in x and y.")
    unit = _BOX / np.sqrt(box.prod())
    target = np.stack([points[:, 0], height - 1 - points[:, 1]], -1)
    numbers = vertices.reshape(-1)
    count = min(model.shape_count, _MODES)

    def at_points(values):
        """[n', ...] of the vertices around the points, mixed: [k, ...]."""
        shaped = values.reshape(len(points), 3, -1)
        return (shaped * weights[..., None]).sum(axis=1)

    mean = at_points(model.neutral[numbers]).astype(np.float64)
    identity = at_points(model.shape_basis[numbers][..., :count]).reshape(-1, 3, count)
    expression = at_points(model.expression_basis[numbers])
    expression = expression.reshape(-1, 3, model.expression_count)
    deviations = np.maximum(model.shape_deviations[:count].astype(float), 1e-12)
    basis = np.concatenate([identity * deviations, expression], axis=2)
    penalty = np.sqrt(
        np.r_[np.full(count, _SHAPE_WEIGHT),
              np.full(model.expression_count, _EXPRESSION_WEIGHT)]
    )  # fmt: skip
    low, high = model.expression_range or (-np.inf, np.inf)
    bounds = (
        np.r_[np.full(count, -4.0), np.full(model.expression_count, low)],
        np.r_[np.full(count, 4.0), np.full(model.expression_count, high)],
    )
    found = np.zeros(basis.shape[2])
    for _ in range(_ROUNDS):
        current = mean + basis @ found
        scale, rotation, moved = _weak_camera(current, target)
        design = np.einsum("ij,kjm->kim", unit * scale * rotation[:2], basis)
        wanted = unit * (target - moved - scale * mean @ rotation[:2].T)
        # Beside other programs several threads of so small products only wait.
        with threadpoolctl.threadpool_limits(1, "blas"):
            found = scipy.optimize.lsq_linear(
                np.concatenate([design.reshape(-1, len(found)), np.diag(penalty)]),
                np.concatenate([wanted.reshape(-1), np.zeros(len(found))]),
                bounds,
                max_iter=20,
            ).x
    current = mean + basis @ found
    scale, rotation, moved = _weak_camera(current, target)
    off = scale * current @ rotation[:2].T + moved - target
    residual = 100 * np.linalg.norm(off, axis=1).mean() / np.sqrt(box.prod())
    shape = np.zeros(model.shape_count)
    shape[:count] = found[:count] * deviations
    angles = np.asarray(rotations.matrix_to_euler_3ddfa(rotation), np.float64)
    depth = -scale * rotation[2] @ current.mean(axis=0)
    pose = np.array([*angles, *moved, depth, scale])
    return Fitted(shape, found[count:], pose, float(residual))


def _light(model, placed, picture, normals) -> tuple[np.ndarray, dict]:
    """Light coefficients [9, 3] by the picture, and the surface's maps."""
    size = picture.shape[:2]
    drawn = render_depth.rasterize(
        placed, model.full_triangles, *size, attributes=normals
    )
    mask = drawn.triangle_id.numpy() >= 0
    normal = drawn.attributes.numpy()[mask]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    linear = surroundings.from_srgb(picture[mask] / 255)
    albedo = np.broadcast_to(linear.mean(axis=0), linear.shape)
    basis = lighting.spherical_harmonics(normal)
    light = lighting.fit_harmonics(basis, albedo, linear, ridge=1e-3)
    return np.asarray(light * np.pi, np.float32), {
        "mask": mask,
        "depth": drawn.depth.numpy(),
    }


def _points(path: pathlib.Path, kind: str, pictures: pathlib.Path):
    """Names, points [N, k, 2] in pixel centres, and places on the model, or None."""
    found = files.load_npz(path)
    if "names" not in found:
        raise FormatError(f"{path}: lacks the array 'names'; found {sorted(found)}.")
    if found["names"].dtype.kind != "U" or found["names"].ndim != 1:
        raise FormatError(
            f"{path}: names has shape {list(found['names'].shape)} of "
            f"{found['names'].dtype}, expected a list of texts."
        )
    names = names_within(path, [str(name) for name in found["names"]], pictures)
    if "landmarks478" in found:
        marks = _require_points(path, found, "landmarks478", names, registration.POINTS)
        return names, marks[:, : registration.POINTS] - 0.5, registration.table(kind)
    if "landmarks68" in found:
        return names, _require_points(path, found, "landmarks68", names, 68), None
    raise FormatError(
        f"{path}: found {sorted(found)}, expected landmarks478 or landmarks68."
    )


def names_within(
    path: pathlib.Path, names: list[str], pictures: pathlib.Path
) -> list[str]:
    """Names of portraits in their folder, which may be told as well.

    Raises:
      FormatError: naming one that is no file's there, or whose results would have the
        names of another's.
    """
    within = pathlib.Path(os.path.abspath(pictures)).parts[1:]
    first: dict[str, str] = {}
    found = []
    for name in names:
        *folder, last = pathlib.Path(name).parts or [""]
        if folder and tuple(folder) == within[-len(folder) :]:
            name = last
        if not name or "\0" in name or pathlib.Path(name).name != name:
            raise FormatError(
                f"{path}: found the name {name!r}, expected that of a file in the "
                "folder of pictures."
            )
        found.append(name)
        stem = folders.one_form(pathlib.Path(name).stem)
        other = first.setdefault(stem, name)
        if other is not name:
            raise FormatError(
                f"{path}: found the names {other!r} and {name!r}, expected names that "
                "differ before their suffixes: each portrait gets files of its name."
            )
    return found


def _require_points(
    path: pathlib.Path, found, name: str, names: list[str], least: int
) -> np.ndarray:
    """Points float64 [N, k, 2], of pixels.

    Raises:
      FormatError: if they are of another shape, or no pixels.
    """
    points = found[name]
    shape = points.shape
    right = points.ndim == 3 and shape[0] == len(names) and shape[2] in (2, 3)
    # The 68 are 68; MediaPipe's are 468 without and 478 with irises.
    right = right and (shape[1] == 68 if least == 68 else shape[1] >= least)
    if not right or points.dtype.kind not in "fiu":
        raise FormatError(
            f"{path}: {name} has shape {list(shape)} of {points.dtype}, expected "
            f"{len(names)} times {least} points of 2 or 3 coordinates, as the names."
        )
    points = points[..., :2].astype(np.float64)
    for wrong, what in (
        (~np.isfinite(points).all(axis=(1, 2)), "are not finite"),
        (
            np.ptp(points, axis=1).max(axis=1, initial=0) < _SMALLEST,
            "lie within two pixels, as parts of a picture's width do",
        ),
    ):
        if wrong.any():
            name = names[int(wrong.argmax())]
            raise FormatError(
                f"{path}: the points of {name!r} {what}; expected pixels."
            )
    return points


def fit_folder(
    pictures: files.PathLike,
    labels: files.PathLike,
    directory: files.PathLike,
    *,
    model: str = "ict",
    count: int | None = None,
    resolution: int = 256,
    overlays: bool = False,
) -> np.ndarray:
    """Fits portraits and writes them as a set; fitted ones are kept.

    Args:
      pictures: folder of square pictures.
      labels: .npz, see the module's text; names of files in that folder, or with the
        folder before them.
      directory: of the set.
      model: name or file of the face model; MediaPipe's points need ICT or MakeHuman.
      count: how many, from the first; None for all.
      resolution: of position maps.
      overlays: also write pictures with the fitted mesh over them.

    Returns:
      Residuals [n], percent.

    Raises:
      InputError: if a file is missing, or another set is there.
      FormatError: if one is damaged.
    """
    import scipy.io

    pictures, labels = files.require_directory(pictures), pathlib.Path(labels)
    head = heads.load(model)
    raw = head.model
    names, points, table = _points(files.require_file(labels), head.kind, pictures)
    places, weights = table or (
        np.repeat(raw.landmarks68[:, None], 3, axis=1),
        np.tile(np.float32([1, 0, 0]), (68, 1)),
    )
    kinds = (sets.FOLDER, "position_maps", *(("overlays",) if overlays else ()))
    directory = sets.prepare(
        directory,
        {"format": FORMAT, "model": model, "chart": resolution, "overlays": overlays},
        kinds,
    )
    chart = lay_out(raw, resolution)
    solid = raw.opaque_part
    residuals = []
    for name, marks in list(zip(names, points, strict=True))[:count]:
        path = pictures / name
        stem = path.stem
        target = directory / sets.FOLDER / f"{stem}.mat"
        if target.is_file():
            residuals.append(_stored_residual(target))
            continue
        picture = picture_files.read(path)
        height = len(picture)
        middle = marks.mean(axis=0)
        if (middle < 0).any() or (middle > (picture.shape[1], height)).any():
            raise FormatError(
                f"{labels}: the points of {name!r} lie about {middle.round(1)}, "
                f"expected within its {picture.shape[1]} x {height} pixels."
            )
        fit = fit_points(raw, places, weights, marks, height)
        view = views.View(
            fit.pose * np.r_[np.ones(6), views.MICROMETRES],
            height,
            np.inf,
            np.zeros(3),
        )
        vertices = raw.vertices(fit.shape, fit.expression) / views.MICROMETRES
        placed = view.project(vertices)
        solid_vertices = solid.vertices(fit.shape, fit.expression)
        on_screen = view.project(solid_vertices / views.MICROMETRES)
        normals = (
            vertex_normals(solid_vertices, solid.with_winding("ccw").triangles)
            @ view.rotation.T
        )
        light, maps = _light(solid, on_screen, picture, normals.astype(np.float32))
        landmarks = placed[raw.landmarks68]
        variables = sets.labels(
            {
                "picture": picture,
                "shape": fit.shape,
                "expression": fit.expression,
                "pose": view.pose_in_micrometres,
                "camera": _camera(view),
                "light": light,
                "landmarks": landmarks,
                "landmarks_visible": _visible(landmarks, maps, view),
            }
        )
        variables["residual"] = np.array([[fit.residual]])
        stream = io.BytesIO()
        scipy.io.savemat(stream, variables)
        buffer = io.BytesIO()
        np.save(buffer, chart.map(placed))
        files.write_bytes(
            directory / "position_maps" / f"{stem}.npy", buffer.getvalue(), False
        )
        if overlays:
            files.write_bytes(
                directory / "overlays" / f"{stem}.jpg",
                picture_files.encode(
                    _overlay(picture, maps, marks, landmarks), "JPEG", quality=90
                ),
                False,
            )
        jpeg = path.read_bytes()
        if path.suffix.lower() not in (".jpg", ".jpeg"):
            jpeg = picture_files.encode(picture, "JPEG", quality=95)
        files.write_bytes(directory / sets.FOLDER / f"{stem}.jpg", jpeg, False)
        files.write_bytes(target, stream.getvalue(), False)
        residuals.append(fit.residual)
    if not residuals:
        raise InputError(f"{labels}: names no portraits to fit.")
    return np.array(residuals)


def _stored_residual(path: pathlib.Path) -> float:
    stored = matlab_files.load(path, ["residual"]).get("residual", np.zeros(0))
    if stored.size != 1 or stored.dtype.kind != "f" or not np.isfinite(stored).all():
        raise FormatError(f"{path}: lacks its residual; delete it to fit it again.")
    return float(stored.reshape(-1)[0])


def _camera(view: views.View) -> np.ndarray:
    matrix = view.matrix.copy()
    matrix[:, :3] /= views.MICROMETRES
    return matrix.astype(np.float32)


def _visible(points, maps, view) -> np.ndarray:
    height, width = maps["mask"].shape
    column, row = np.rint(points[:, :2]).astype(int).T
    inside = (0 <= column) & (column < width) & (0 <= row) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    front = np.where(maps["mask"], maps["depth"], -np.inf)[row, column]
    return (inside & (points[:, 2] >= front - 0.35 * view.pose[6])).astype(np.uint8)


def _overlay(picture, maps, marks, landmarks) -> np.ndarray:
    """The picture with the mesh in shades of depth, given points and landmarks."""
    mask, depth = maps["mask"], maps["depth"]
    result = picture.astype(np.float32)
    shade = depth - depth[mask].min() if mask.any() else depth
    shade = 60 + 180 * shade / max(float(shade[mask].max()) if mask.any() else 1, 1e-6)
    result[mask] = 0.6 * result[mask] + 0.4 * shade[mask, None]
    for some, color in ((marks, (255, 60, 60)), (landmarks, (40, 255, 40))):
        column, row = np.rint(some[:, :2]).astype(int).T
        kept = (0 <= column) & (column < mask.shape[1])
        kept &= (0 <= row) & (row < mask.shape[0])
        result[row[kept], column[kept]] = color
    return result.clip(0, 255).astype(np.uint8)
