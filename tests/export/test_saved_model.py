"""Versions, descriptions and cards of exports, on the smallest module."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_faces import version
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.export import saved_model


class Scale(tf.Module):
    """Multiplies by a variable, with a gradient of its own."""

    def __init__(self):
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "values")])
    def __call__(self, values):
        @tf.custom_gradient
        def kept(x):
            return tf.identity(x), lambda upstream: upstream

        return {"scaled": kept(values * self.factor)}


@pytest.fixture(scope="module")
def scale():
    module = Scale()
    return module, {"serving_default": module.__call__.get_concrete_function()}


def test_versions_go_on_from_the_largest_number(scale, tmp_path):
    module, signatures = scale
    assert saved_model.export(module, tmp_path / "new", signatures).name == "1"
    for name in ("2", "10", "notes", "11.part"):
        (tmp_path / "deep" / name).mkdir(parents=True)
    path = saved_model.export(module, str(tmp_path / "deep"), signatures)
    assert path == tmp_path / "deep" / "11"
    assert sorted(p.name for p in path.iterdir() if p.name != "assets") == [
        "assets.extra", "saved_model.pb", "variables",
    ]  # fmt: skip
    assert len(list((tmp_path / "deep").iterdir())) == 5
    found = tf.saved_model.load(str(path)).signatures["serving_default"]
    result = found(values=tf.constant([[1.0, 2.0, 3.0]]))["scaled"]
    np.testing.assert_array_equal(result, [[2, 4, 6]])


def test_card_extra_files_and_requests(scale, tmp_path):
    module, signatures = scale
    (tmp_path / "table.txt").write_bytes(b"a table")
    request = ("serving_default", {"values": np.zeros((1, 3), np.float32)})
    path = saved_model.export(
        module, tmp_path / "model", signatures, card={"system": "of this test"},
        warmup=[request], extra_files={"renamed.txt": tmp_path / "table.txt"},
    )  # fmt: skip
    extra = path / "assets.extra"
    assert sorted(p.name for p in extra.iterdir()) == [
        "model_card.json", "renamed.txt", "tf_serving_warmup_requests",
    ]  # fmt: skip
    assert (extra / "renamed.txt").read_bytes() == b"a table"
    card = json.loads((extra / "model_card.json").read_text())
    assert card == {
        "system": "of this test",
        "signatures": {
            "serving_default": {
                "inputs": {"values": {"dtype": "float32", "shape": [None, 3]}},
                "outputs": {"scaled": {"dtype": "float32", "shape": [None, 3]}},
            }
        },
        "versions": {
            "tf_faces": version.__version__,
            "tensorflow": tf.__version__,
            "python": sys.version.split()[0],
        },
    }
    stored = (extra / "tf_serving_warmup_requests").read_bytes()
    # The folder's name, unless the model is given another one.
    assert b"model" in stored and b"serving_default" in stored
    named = saved_model.export(
        module, tmp_path / "model", signatures, warmup=[request], model_name="another"
    )
    stored = (named / "assets.extra" / "tf_serving_warmup_requests").read_bytes()
    assert b"another" in stored


def test_no_gradient_of_its_own_is_referred_to(scale, tmp_path):
    module, signatures = scale
    path = saved_model.export(module, tmp_path, signatures)
    nodes = list(saved_model._nodes(saved_model._read_graphs(path)))
    assert any(node.op.startswith("Identity") for node in nodes)
    assert not any("_gradient_op_type" in node.attr for node in nodes)
    assert "Mul" in saved_model.operations(path)
    assert not (path / "fingerprint.pb").exists()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (("other", {}), r"signature 'other', expected one of \['serving_default'\]"),
        (("serving_default", {}), r"has the inputs \[\], expected \['values'\]"),
        (("serving_default", {"values": 1, "x": 2}), r"has the inputs \['values', 'x'"),
    ],
)
def test_requests_that_do_not_fit_make_nothing(scale, tmp_path, request_, message):
    module, signatures = scale
    with pytest.raises(InputError, match=message):
        saved_model.export(module, tmp_path / "new", signatures, warmup=[request_])
    assert not (tmp_path / "new").exists()


def test_descriptions():
    @tf.function(
        input_signature=[
            tf.TensorSpec(None, tf.int64, "any"), tf.TensorSpec([], tf.bool, "whether")
        ]
    )  # fmt: skip
    def some(any, whether):
        return {"same": any}

    found = saved_model.describe(some.get_concrete_function())
    assert found == {
        "inputs": {
            "any": {"dtype": "int64", "shape": None},
            "whether": {"dtype": "bool", "shape": []},
        },
        "outputs": {"same": {"dtype": "int64", "shape": None}},
    }

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, "a")])
    def tuples(a):
        return (a, a)

    with pytest.raises(InputError, match="a dict of named tensors. Received: tuple"):
        saved_model.describe(tuples.get_concrete_function())


def test_functions_of_python_are_refused(tmp_path):
    class Strange(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, "a")])
        def __call__(self, a):
            return {"b": tf.numpy_function(lambda x: x, [a], tf.float32)}

    module = Strange()
    signatures = {"serving_default": module.__call__.get_concrete_function()}
    with pytest.raises(TfFacesError, match="would need the operation PyFunc"):
        saved_model.export(module, tmp_path, signatures)
    assert list(tmp_path.iterdir()) == []
