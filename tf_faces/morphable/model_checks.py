"""What the fields of a `MorphableModel` must be to fit each other."""

from typing import Any

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.core.units import UNITS


def _float_array(value, shape, name) -> np.ndarray:
    array = np.ascontiguousarray(value, np.float32)
    fits = array.ndim == len(shape) and all(
        want in (None, size) for size, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        listed = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} must have shape [{listed}]. Received: {array.shape}")
    return array


def _index_array(value, limit, name, columns=3) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        raise InputError(f"{name} must hold whole numbers")
    if columns is None:
        if array.ndim != 1:
            raise InputError(f"{name} must have shape [k]. Received: {array.shape}")
    elif array.size == 0:
        array = array.reshape(0, columns)
    elif array.ndim != 2 or array.shape[1] != columns:
        raise InputError(f"{name} must have shape [m, {columns}]: {array.shape}")
    if array.size and not (0 <= array.min() and array.max() < limit):
        raise InputError(
            f"{name} must index {limit} elements from 0. Received indices from "
            f"{array.min()} to {array.max()}"
        )
    return np.ascontiguousarray(array, np.int32)


def _modes(model, kind: str, count: int) -> dict[str, np.ndarray]:
    basis = getattr(model, f"{kind}_basis")
    deviations = getattr(model, f"{kind}_deviations")
    if basis is None:
        basis = np.zeros((count, 3, 0), np.float32)
    basis = _float_array(basis, (count, 3, None), f"{kind}_basis")
    if deviations is None:
        deviations = np.ones(basis.shape[2], np.float32)
    return {
        f"{kind}_basis": basis,
        f"{kind}_deviations": _float_array(
            deviations, (basis.shape[2],), f"{kind}_deviations"
        ),
    }


def _chart(model, triangle_count: int, vertex_count: int) -> dict[str, np.ndarray]:
    corners = model.texture_triangles
    if model.texture_coordinates is None:
        if corners is not None:
            raise InputError("texture_triangles were given without texture_coordinates")
        return {}
    coordinates = _float_array(
        model.texture_coordinates, (None, 2), "texture_coordinates"
    )
    checked = {"texture_coordinates": coordinates}
    if corners is not None:
        corners = _index_array(corners, len(coordinates), "texture_triangles")
        if len(corners) != triangle_count:
            raise InputError(
                f"texture_triangles must have one row for each of the {triangle_count} "
                f"triangles. Received: {len(corners)}"
            )
        checked["texture_triangles"] = corners
    elif len(coordinates) != vertex_count:
        raise InputError(
            f"texture_coordinates must have one row for each of the {vertex_count} "
            f"vertices where texture_triangles is None. Received: {len(coordinates)}"
        )
    return checked


def _check_words(model) -> None:
    for name, allowed in (
        ("unit", tuple(UNITS)),
        ("winding", ("cw", "ccw")),
        ("coefficient_kind", ("raw", "unit")),
    ):
        if getattr(model, name) not in allowed:
            raise InputError(
                f"{name} must be one of {list(allowed)}. Received: "
                f"{getattr(model, name)}"
            )


def checked_fields(model) -> dict[str, Any]:
    """The fields of a model in their types, arrays read-only.

    Raises:
      InputError: on shapes that disagree, indices out of range, unknown words.
    """
    checked: dict[str, Any] = {"mean": _float_array(model.mean, (None, 3), "mean")}
    n = len(checked["mean"])
    moved = model.mean_expression
    moved = np.zeros((n, 3), np.float32) if moved is None else moved
    checked["mean_expression"] = _float_array(moved, (n, 3), "mean_expression")
    for kind in ("shape", "expression", "texture"):
        checked |= _modes(model, kind, n)
    if model.texture_mean is not None:
        checked["texture_mean"] = _float_array(
            model.texture_mean, (n, 3), "texture_mean"
        )
    checked["triangles"] = _index_array(model.triangles, n, "triangles")
    mouth = model.triangles_mouth
    mouth = np.zeros((0, 3), np.int32) if mouth is None else mouth
    checked["triangles_mouth"] = _index_array(mouth, n, "triangles_mouth")
    if model.landmarks68 is not None:
        checked["landmarks68"] = _index_array(model.landmarks68, n, "landmarks68", None)
    checked |= _chart(model, len(checked["triangles"]), n)
    if model.vertex_regions is not None:
        regions = np.asarray(model.vertex_regions)
        if not np.array_equal(regions, np.rint(regions)):
            raise InputError("vertex_regions must hold whole numbers")
        regions = np.ascontiguousarray(regions, np.int32)
        if regions.shape != (n,):
            raise InputError(f"vertex_regions must have shape [{n}]")
        checked["vertex_regions"] = regions
    if model.expression_names is not None:
        names = tuple(str(x) for x in model.expression_names)
        if len(names) != checked["expression_basis"].shape[2]:
            raise InputError(
                f"expression_names must name {checked['expression_basis'].shape[2]} "
                f"modes. Received: {len(names)}"
            )
        checked["expression_names"] = names
    _check_words(model)
    for name, value in checked.items():
        if isinstance(value, np.ndarray):
            checked[name] = value.view()
            checked[name].flags.writeable = False
    return checked
