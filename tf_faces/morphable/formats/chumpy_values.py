"""The arrays that pickles of FLAME and SMPL keep as chumpy's expressions.

chumpy's objects remember how a value comes about: `Select` picks entries of another
object, `Reshape` gives them a shape, `add` adds two.  Here the stand-ins of such
objects (see `core.pickles`) are evaluated; chumpy is not imported and nothing of a file
is executed.  What is not known, or has a term that is not, is refused by name: a wrong
array is never returned.

| class | terms | value |
|---|---|---|
| `Ch` | x | x |
| `Select` | a, idxs, preferred_shape | entries of the flat a, in that shape |
| `Reshape`, `Ravel`, `Transpose`, ... | a, newshape / axes ... | as NumPy's function |
| `Concatenate`, `vstack`, `hstack` | m0, m1 ..., axis | as NumPy's function |
| `add`, `multiply`, `dot` ... | a and b, x1 and x2, or x | as NumPy's function |
| `MatVecMult` | mtx, vec | mtx times the flat vec |

SciPy's sparse matrices (csc, csr, coo) become dense.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_faces.core.errors import FormatError, InputError
from tf_faces.core.pickles import PickledObject
from tf_faces.morphable.formats import arrays

# For `pickles.load_pickle`.
STAND_INS = (("chumpy", "*"), ("scipy.sparse", "*"))

# Most numbers of a value: a file of few bytes may describe any amount.
_MOST_NUMBERS = 1 << 28
# What chumpy notes about an object beside its terms.
_NOTES = ("terms", "dterms", "label", "dr_lookup")
_ADVICE = "save it as a plain array (numpy.array(...)) where chumpy is installed"


def plain_array(value: Any, path, name: str) -> Any:
    """The array that a stand-in of chumpy or SciPy describes; other values as they are.

    Args:
      value: what a pickle holds under `name`.
      path, name: for messages.

    Raises:
      FormatError: naming the class or term that is not evaluated, or that the terms do
        not fit each other.
    """
    if not isinstance(value, PickledObject):
        return value
    try:
        with np.errstate(all="ignore"):  # What is not finite is refused by the readers.
            return _Evaluation().value(value)
    except InputError as error:
        advice = _ADVICE
        if value.class_name.startswith("scipy."):
            advice = "save it as a plain array (its toarray())"
        raise FormatError(f"{path}: {name!r} {error}; {advice}.") from error
    except RecursionError as error:
        raise FormatError(
            f"{path}: {name!r} nests too many objects of chumpy; {_ADVICE}."
        ) from error


# --- terms -------------------------------------------------------------------------


def _numbers(value: Any) -> np.ndarray:
    found = arrays.unpacked(value)
    if found is None or found.dtype.kind not in "fiub":
        raise InputError("has a term that is no array of numbers")
    return found


def _of_reals(values: np.ndarray) -> np.ndarray:
    """The numbers in a type whose sums and products do not wrap around."""
    return values if values.dtype.kind == "f" else values.astype(np.float64)


def _whole(value: Any) -> int:
    number = _numbers(value)
    if number.size != 1 or number.item() != int(number.item()):
        raise ValueError("an option is no whole number")
    return int(number.item())


def _axis(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(_whole(size) for size in _numbers(value).reshape(-1))


def _places(value: Any) -> np.ndarray:
    """Numbers or a mask that index an array."""
    places = _numbers(value)
    if places.dtype.kind != "f":
        return places
    if not np.array_equal(places, np.rint(places)):
        raise ValueError("idxs are no whole numbers")
    return places.astype(np.int64)


def _require_size(count: float) -> None:
    if not count <= _MOST_NUMBERS:
        raise InputError(f"more than {_MOST_NUMBERS} numbers")


def _product(sizes) -> float:
    return float(np.prod([float(size) for size in sizes]))


# --- operations --------------------------------------------------------------------


def _select(a, idxs, preferred_shape=None):
    picked = a.ravel()[_places(idxs)]
    return (
        picked if preferred_shape is None else picked.reshape(_shape(preferred_shape))
    )


def _ravel(a, newshape=-1):
    if _shape(newshape) != (-1,):
        raise ValueError("ravel with a shape")
    return a.ravel()


def _transpose(a, axes=None):
    return np.transpose(a, None if axes is None else _shape(axes))


def _tile(a, reps):
    _require_size(a.size * _product(_shape(reps)))
    return np.tile(a, _shape(reps))


def _repeat(a, repeats, axis=None):
    _require_size(a.size * float(max((0, *_shape(repeats)))))
    return np.repeat(a, _shape(repeats), _axis(axis))


def _dot(a, b):
    inner = a.shape[-1] if a.ndim and b.ndim else 1
    _require_size(float(a.size) * b.size / max(inner, 1) ** 2)
    return np.dot(a, b)


def _matrix_times_vector(matrix, vector):
    if matrix.ndim == 2 and matrix.shape[1] == vector.size:
        product = matrix @ vector.ravel()
        has_columns = vector.ndim > 1 and vector.shape[1] > 1
        return product.reshape(-1, vector.shape[1]) if has_columns else product
    return matrix @ vector


def _elementwise(function: Callable) -> Callable:
    def apply(a, b):
        _require_size(_product(np.broadcast_shapes(a.shape, b.shape)))
        return function(a, b)

    return apply


def _reducing(function: Callable) -> Callable:
    return lambda a, axis=None: function(a, axis=_axis(axis))


@dataclasses.dataclass(frozen=True)
class _Operation:
    """How a class of chumpy is evaluated.

    Attributes:
      function: of the operands, with the options by name.
      operands: for each the names it may have.
      options: names of what else may be there.
    """

    function: Callable
    operands: tuple[tuple[str, ...], ...]
    options: tuple[str, ...] = ()


# Names of operands in chumpy's and NumPy's functions.
_A = ("a", "x1", "x", "A", "m")
_B = ("b", "x2", "y", "B", "pow")

_OPERATIONS = {
    "ch": _Operation(lambda x: x, (("x",),)),
    "select": _Operation(_select, (_A,), ("idxs", "preferred_shape")),
    "reshape": _Operation(
        lambda a, newshape: a.reshape(_shape(newshape)), (_A,), ("newshape",)
    ),
    "ravel": _Operation(_ravel, (_A,), ("newshape",)),
    "transpose": _Operation(_transpose, (_A,), ("axes",)),
    "swapaxes": _Operation(
        lambda a, axis1, axis2: np.swapaxes(a, _whole(axis1), _whole(axis2)),
        (_A,),
        ("axis1", "axis2"),
    ),
    "rollaxis": _Operation(
        lambda a, axis, start=0: np.rollaxis(a, _whole(axis), _whole(start)),
        (_A,),
        ("axis", "start"),
    ),
    "roll": _Operation(
        lambda a, shift, axis=None: np.roll(a, _whole(shift), _axis(axis)),
        (_A,),
        ("shift", "axis"),
    ),
    "squeeze": _Operation(
        lambda a, axis=None: np.squeeze(a, _axis(axis)), (_A,), ("axis",)
    ),
    "expanddims": _Operation(
        lambda a, axis: np.expand_dims(a, _whole(axis)), (_A,), ("axis",)
    ),
    "tile": _Operation(_tile, (_A,), ("reps",)),
    "repeat": _Operation(_repeat, (_A,), ("repeats", "axis")),
    "rot90": _Operation(lambda a, k=1: np.rot90(a, _whole(k)), (_A,), ("k",)),
    "sum": _Operation(_reducing(np.sum), (_A,), ("axis",)),
    "mean": _Operation(_reducing(np.mean), (_A,), ("axis",)),
    "dot": _Operation(_dot, (_A, _B)),
    "matvecmult": _Operation(_matrix_times_vector, (("mtx",), ("vec",))),
}
_OPERATIONS |= {
    name: _Operation(function, (_A,))
    for name, function in (
        *(("fliplr", np.fliplr), ("flipud", np.flipud), ("negative", np.negative)),
        *(("reciprocal", lambda a: 1.0 / a), ("square", np.square)),
        *(("sqrt", np.sqrt), ("exp", np.exp), ("log", np.log)),
        *(("sin", np.sin), ("cos", np.cos), ("tan", np.tan)),
        *(("abs", np.abs), ("absolute", np.abs)),
    )
}
_OPERATIONS |= {
    name: _Operation(_elementwise(function), (_A, _B))
    for name, function in (
        *(("add", np.add), ("subtract", np.subtract), ("multiply", np.multiply)),
        *(("divide", np.true_divide), ("power", np.power)),
        *(("maximum", np.maximum), ("minimum", np.minimum)),
    )
}
_JOINS: dict[str, Callable] = {
    "concatenate": lambda *parts, axis=0: np.concatenate(parts, _axis(axis)),
    "vstack": lambda *parts: np.vstack(parts),
    "hstack": lambda *parts: np.hstack(parts),
    "dstack": lambda *parts: np.dstack(parts),
}


def _joined(kind: str, terms: dict[str, Any], listed: Any) -> _Operation:
    """Joins parts m0, m1 ..., or those that chumpy's list of operands names."""
    if isinstance(listed, list | tuple) and listed:
        names = [str(name) for name in listed]
    else:
        found = [re.fullmatch(r"m(\d{1,6})", name) for name in terms]
        names = [f"m{number}" for number in sorted(int(x[1]) for x in found if x)]
    options = ("axis",) if kind == "concatenate" else ()
    return _Operation(_JOINS[kind], tuple((name,) for name in names), options)


# --- evaluation --------------------------------------------------------------------


class _Evaluation:
    """Values of stand-ins, each computed once."""

    def __init__(self) -> None:
        self._values: dict[int, np.ndarray] = {}
        self._open: set[int] = set()

    def value(self, thing: Any) -> np.ndarray:
        if not isinstance(thing, PickledObject):
            return _numbers(thing)
        key = id(thing)
        if key in self._open:
            raise InputError("is an object of chumpy that refers to itself")
        if key not in self._values:
            self._open.add(key)
            self._values[key] = self._evaluated(thing)
            self._open.remove(key)
        return self._values[key]

    def _evaluated(self, thing: PickledObject) -> np.ndarray:
        if thing.class_name.startswith("scipy.sparse"):
            return _dense(thing)
        notes = thing.attributes
        terms = {
            name: term
            for name, term in notes.items()
            if not str(name).startswith("_") and name not in _NOTES
        }
        kind = thing.class_name.rpartition(".")[2].lower().replace("_", "")
        if kind in _JOINS:
            operation = _joined(kind, terms, notes.get("dterms"))
        elif kind in _OPERATIONS:
            operation = _OPERATIONS[kind]
        else:
            raise InputError(f"is a {thing.class_name}, which is not evaluated here")
        if thing.arguments and not terms:
            names = (*(x[0] for x in operation.operands), *operation.options)
            terms = dict(zip(names, thing.arguments, strict=False))
        operands, options = _split(thing.class_name, operation, terms)
        parts = [_of_reals(self.value(operand)) for operand in operands]
        _require_size(sum(part.size for part in parts))
        options = {
            name: self.value(option) if isinstance(option, PickledObject) else option
            for name, option in options.items()
        }
        try:
            result = np.asarray(operation.function(*parts, **options))
            _require_size(result.size)
        except InputError as error:
            raise InputError(
                f"is a {thing.class_name} whose terms do not fit each other ({error})"
            ) from error
        except (ArithmeticError, IndexError, TypeError, ValueError) as error:
            shapes = " and ".join(str(list(part.shape)) for part in parts)
            more = "".join(f", {name}" for name in operation.options)
            raise InputError(
                f"is a {thing.class_name} whose terms do not fit each other (of the "
                f"shapes {shapes}{more})"
            ) from error
        return result


def _split(
    class_name: str, operation: _Operation, terms: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Operands in order, and options by name.

    Raises:
      InputError: naming a term that is absent or unknown.
    """
    left = dict(terms)
    operands = []
    for names in operation.operands:
        found = [name for name in names if name in left]
        if not found:
            raise InputError(f"is a {class_name} without its term {names[0]!r}")
        operands.append(left.pop(found[0]))
    unknown = [name for name in left if name not in operation.options]
    if unknown or not operands:
        raise InputError(f"is a {class_name} with other terms than known: {unknown}")
    return operands, left


def _dense(thing: PickledObject) -> np.ndarray:
    """SciPy's compressed columns or rows, or coordinates, as a dense matrix."""
    state, name = thing.attributes, thing.class_name
    kind = name.rpartition(".")[2][:3]
    if kind not in ("csc", "csr", "coo"):
        raise InputError(f"is a {name}, expected csc, csr or coo")
    try:
        rows, columns = _shape(state.get("_shape", state.get("shape")))
        _require_size(float(rows) * columns)
        data = _numbers(state["data"])
        if kind == "coo":
            places = state.get("coords", (state.get("row"), state.get("col")))
            row, column = (_places(axis) for axis in places)
        else:
            lines = columns if kind == "csc" else rows
            pointers = _places(state["indptr"])
            counts = np.diff(pointers)
            if pointers.shape != (lines + 1,) or pointers[0] or (counts < 0).any():
                raise ValueError("indptr")
            major, minor = (
                np.repeat(np.arange(lines), counts),
                _places(state["indices"]),
            )
            row, column = (minor, major) if kind == "csc" else (major, minor)
        if not data.shape == row.shape == column.shape or data.ndim != 1:
            raise ValueError("lengths")
        if min(row.min(initial=0), column.min(initial=0)) < 0:
            raise ValueError("negative places")
        dense = np.zeros((rows, columns), np.float64)
        np.add.at(dense, (row, column), data)
    except (InputError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"is a {name} whose parts do not fit its shape") from error
    return dense
