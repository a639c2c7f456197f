"""Fits a morphable model to 2D landmarks: face3d's algorithm, regularised.

Alternates an affine camera (Gold Standard algorithm, decomposed into scale, rotation
and translation) with two ridge regressions, expression first, then identity:

    (A^T A + lambda diag(1 / deviation^2)) c = A^T (x - b)

where A is the basis projected by the camera.  Points have y up and are usually centred
at the middle of the picture (`centred_points`).

Source: face3d commit 2fc26906, morphable_model/fit.py.
"""

import dataclasses

import numpy as np

from tf_faces.core import short_texts
from tf_faces.core.errors import InputError
from tf_faces.geometry import rotations, similarity
from tf_faces.morphable.model import MorphableModel

EXPRESSION_WEIGHT = 20.0
SHAPE_WEIGHT = 40.0


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """Coefficients and camera: points = scale * R v + translation[:2].

    Attributes:
      shape: float64 [ks].
      expression: float64 [ke].
      scale: pixels in a unit of the model.
      rotation: float64 [3, 3].
      translation: float64 [3], pixels, y up; the third entry means nothing.
      residual: root mean square distance of the points in pixels.
    """

    shape: np.ndarray
    expression: np.ndarray
    scale: float
    rotation: np.ndarray
    translation: np.ndarray
    residual: float

    __repr__ = short_texts.of_fields

    @property
    def angles(self) -> np.ndarray:
        """float64 [3]: pitch, yaw, roll in degrees, face3d's convention."""
        return np.asarray(rotations.matrix_to_euler_face3d(self.rotation), np.float64)

    def project(self, vertices: np.ndarray) -> np.ndarray:
        """Vertices [n, 3] as the camera sees them: float64 [n, 3], y up."""
        moved = similarity.apply_similarity(
            np.asarray(vertices, np.float64),
            np.float64(self.scale),
            self.rotation,
            np.append(self.translation[:2], 0.0),
        )
        return moved


def pose_of_fit(fit: Fit, height: int, width: int) -> np.ndarray:
    """The fit as 3DDFA's seven numbers, float64 [7], for a picture of this size.

    Pitch, yaw, roll in radians (3DDFA's convention), x, y, z in pixels of the picture
    with y up, scale; what `cameras.project_pose` takes.
    """
    angles = np.asarray(rotations.matrix_to_euler_3ddfa(fit.rotation), np.float64)
    place = (fit.translation[0] + width / 2, fit.translation[1] + height / 2, 0.0)
    return np.array([*angles, *place, fit.scale])


def centred_points(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Picture points [n, 2] (x right, y down) as centred ones with y up.

    The inverse of face3d's `to_image`.
    """
    points = np.asarray(points, np.float64)
    return np.stack([points[:, 0] - width / 2, height / 2 - 1 - points[:, 1]], axis=1)


def _regression(basis, deviations, camera, target, weight):
    """Ridge regression of one group of coefficients; basis [k, 3, m], target [k, 2]."""
    projected = np.einsum("ij,kjm->kim", camera, basis).reshape(target.size, -1)
    # A mode without deviation may not move at all.
    penalty = weight / np.maximum(deviations, 1e-30) ** 2
    normal = projected.T @ projected + np.diag(penalty)
    return np.linalg.solve(normal, projected.T @ target.reshape(-1))


def fit_points(
    model: MorphableModel,
    points: np.ndarray,
    vertex_ids: np.ndarray | None = None,
    *,
    iterations: int = 4,
    expression_weight: float = EXPRESSION_WEIGHT,
    shape_weight: float = SHAPE_WEIGHT,
) -> Fit:
    """Finds pose, identity and expression from 2D points.

    Args:
      model: any morphable model.
      points: [k, 2], y up, pixels; four or more, not all on a plane of the face.
      vertex_ids: [k], the vertex of each point; the 68 landmarks when None.
      iterations: rounds of camera, expression, identity.
      expression_weight, shape_weight: of the two regularisers, in squared pixels at
        one deviation.

    Raises:
      InputError: if shapes disagree, a point is not finite, or the model has no
        landmarks and `vertex_ids` is None.
    """
    points = np.asarray(points, np.float64)
    if vertex_ids is None:
        if model.landmarks68 is None:
            raise InputError(f"{model.name!r} has no landmarks; give vertex_ids.")
        vertex_ids = model.landmarks68
    vertex_ids = np.asarray(vertex_ids)
    if points.ndim != 2 or points.shape != (len(vertex_ids), 2):
        raise InputError(
            f"points must have shape [{len(vertex_ids)}, 2]. Received: {points.shape}"
        )
    if not np.isfinite(points).all():
        raise InputError("points must be finite numbers.")
    if iterations < 1:
        raise InputError(f"iterations must be at least 1. Received: {iterations}")

    mean = model.neutral[vertex_ids].astype(np.float64)
    groups = []
    for kind in ("shape", "expression"):
        basis = getattr(model, f"{kind}_basis")[vertex_ids].astype(np.float64)
        deviations = getattr(model, f"{kind}_deviations").astype(np.float64)
        if model.coefficient_kind == "unit":
            basis, deviations = basis * deviations, np.ones_like(deviations)
        groups.append((basis, deviations))
    (shape_basis, shape_deviations), (expression_basis, expression_deviations) = groups
    shape = np.zeros(model.shape_count)
    expression = np.zeros(model.expression_count)

    def camera_of(shape, expression):
        face = mean + shape_basis @ shape + expression_basis @ expression
        affine = similarity.estimate_affine_3d_to_2d_face3d(face, points)
        scale, rotation, translation = similarity.decompose_camera(affine)
        if not np.isfinite(rotation).all():
            raise InputError("the points lie on a line or coincide; no pose fits them.")
        return float(scale), np.float64(rotation), np.float64(translation)

    for _ in range(iterations):
        scale, rotation, translation = camera_of(shape, expression)
        camera = scale * rotation[:2]
        target = points - translation[:2]
        if model.expression_count:
            rest = target - (mean + shape_basis @ shape) @ camera.T
            expression = _regression(
                expression_basis, expression_deviations, camera, rest, expression_weight
            )
        if model.shape_count:
            rest = target - (mean + expression_basis @ expression) @ camera.T
            shape = _regression(
                shape_basis, shape_deviations, camera, rest, shape_weight
            )
    face = mean + shape_basis @ shape + expression_basis @ expression
    missed = face @ camera.T + translation[:2] - points
    return Fit(
        shape=shape,
        expression=expression,
        scale=scale,
        rotation=rotation,
        translation=translation,
        residual=float(np.sqrt((missed**2).sum(axis=1).mean())),
    )
