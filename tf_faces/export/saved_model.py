"""SavedModels for serving: named signatures, numbered versions, a model card.

    directory/1/saved_model.pb, variables/, assets.extra/model_card.json
    directory/2/...

A version is written under a hidden temporary name and renamed when whole, so that a
server that watches `directory` never sees half of one.  Exports hold standard
TensorFlow operations only: servers link their operations statically, and an export
must open in a process that has never heard of this package.

Gradients that a network writes out (`tf.custom_gradient`) are not exported: they only
save work in training, and TensorFlow warns at every load of those within them, which
it cannot store.  An export has the derivatives of its operations instead.
"""

import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tf_faces import version
from tf_faces.core import files
from tf_faces.core.errors import InputError, TfFacesError

CARD = "model_card.json"
_EXTRA = "assets.extra"
_CUSTOM_PREFIX = "TfFaces>"
_GRAPHS = "saved_model.pb"


def export(
    module: tf.Module,
    directory: files.PathLike,
    signatures: Mapping[str, Any],
    *,
    card: Mapping[str, Any] | None = None,
    warmup: Sequence[tuple[str, Mapping[str, np.ndarray]]] = (),
    extra_files: Mapping[str, files.PathLike] | None = None,
    model_name: str | None = None,
) -> pathlib.Path:
    """Writes the next version of a SavedModel.

    Args:
      module: holds every variable that the signatures use.
      directory: the folder around the versions; made if absent.
      signatures: name -> concrete function with named tensor inputs that returns a
        dict of tensors; "serving_default" should be among them.
      card: what `assets.extra/model_card.json` says besides signatures and versions.
      warmup: (signature, inputs) of requests that a server replays when it starts.
      extra_files: name in assets.extra -> file that is copied there.
      model_name: in the warm-up requests; None takes the folder's name.

    Returns:
      The folder of the new version.

    Raises:
      InputError: if a signature returns no dict or a warm-up request does not fit.
      TfFacesError: if the graph needs an operation of our own.
    """
    directory = pathlib.Path(directory)
    described = {name: describe(function) for name, function in signatures.items()}
    for name, inputs in warmup:
        _check_request(described, name, inputs)
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / str(_next_version(directory))
    with files.atomic_directory(final) as temporary:
        tf.saved_model.save(
            module,
            str(temporary),
            signatures=dict(signatures),
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        _forget_custom_gradients(temporary)
        refuse_custom_operations(temporary)
        extra = temporary / _EXTRA
        extra.mkdir()
        files.write_json(
            extra / CARD,
            {
                **(card or {}),
                "signatures": described,
                "versions": {
                    "tf_faces": version.__version__,
                    "tensorflow": tf.__version__,
                    "python": sys.version.split()[0],
                },
            },
        )
        for name, source in (extra_files or {}).items():
            files.write_bytes(extra / name, pathlib.Path(source).read_bytes())
        if warmup:
            from tf_faces.export import warmup as warmup_files

            warmup_files.write(
                extra / warmup_files.FILE_NAME, model_name or directory.name, warmup
            )
    return final


def describe(function) -> dict[str, Any]:
    """Names, types and shapes of a concrete function's inputs and outputs.

    Raises:
      InputError: if it does not return a dict of tensors.
    """
    outputs = function.structured_outputs
    if not isinstance(outputs, Mapping):
        raise InputError(
            "a signature must return a dict of named tensors. "
            f"Received: {type(outputs).__name__}"
        )
    _, keywords = function.structured_input_signature
    positional = function.structured_input_signature[0]
    specifications = {spec.name: spec for spec in positional} | dict(keywords)
    return {
        "inputs": {name: _form(spec) for name, spec in specifications.items()},
        "outputs": {name: _form(spec) for name, spec in outputs.items()},
    }


def _form(specification) -> dict[str, Any]:
    shape = specification.shape
    return {
        "dtype": tf.as_dtype(specification.dtype).name,
        # None without a known number of axes.
        "shape": None if shape.rank is None else shape.as_list(),
    }


def _next_version(directory: pathlib.Path) -> int:
    numbers = [int(path.name) for path in directory.iterdir() if path.name.isdecimal()]
    return 1 + max(numbers, default=0)


def _check_request(described, name: str, inputs: Mapping[str, np.ndarray]) -> None:
    if name not in described:
        raise InputError(
            f"a warm-up request names the signature {name!r}, expected one of "
            f"{sorted(described)}."
        )
    expected = sorted(described[name]["inputs"])
    if expected != sorted(inputs):
        raise InputError(
            f"the warm-up request of {name!r} has the inputs {sorted(inputs)}, "
            f"expected {expected}."
        )


def _read_graphs(path: files.PathLike) -> saved_model_pb2.SavedModel:
    stored = saved_model_pb2.SavedModel()
    stored.ParseFromString((pathlib.Path(path) / _GRAPHS).read_bytes())
    return stored


def _nodes(stored: saved_model_pb2.SavedModel) -> Iterator[node_def_pb2.NodeDef]:
    """Every node of the graphs and functions."""
    for graph in stored.meta_graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def


def operations(path: files.PathLike) -> set[str]:
    """Names of all operations in a SavedModel's graphs and functions."""
    return {node.op for node in _nodes(_read_graphs(path))}


def _forget_custom_gradients(path: pathlib.Path) -> None:
    """Removes the references to gradients that were not saved.

    They stand on nodes that pass their inputs on unchanged, whose own derivative leads
    to that of the operations before them.
    """
    stored = _read_graphs(path)
    for node in _nodes(stored):
        if node.op.startswith("Identity"):
            node.attr.pop("_gradient_op_type", None)
    (path / _GRAPHS).write_bytes(stored.SerializeToString(deterministic=True))
    # It is that of the file before.
    (path / "fingerprint.pb").unlink(missing_ok=True)


def refuse_custom_operations(path: files.PathLike) -> None:
    """Checks that a SavedModel opens without this package.

    Raises:
      TfFacesError: if it holds an operation of ours, or one that runs Python.
    """
    wrong = sorted(
        name
        for name in operations(path)
        if name.startswith(_CUSTOM_PREFIX)
        or name in ("PyFunc", "PyFuncStateless", "EagerPyFunc")
    )
    if wrong:
        raise TfFacesError(
            f"the export would need the operation {wrong[0]}, expected standard "
            "TensorFlow operations only."
        )
