"""The SavedModel of TBGAN: equal to the network, and open to plain TensorFlow."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.export import strangers
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.export import saved_model, warmup
from tf_faces.export import tbgan as export_tbgan
from tf_faces.models import tbgan as networks
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import maps

# Runs without this package: loads, calls both signatures, stores what came out.
STRANGER = """
import sys
import numpy as np
import tensorflow as tf
path, inputs, outputs = sys.argv[1:]
with np.load(inputs) as stored:
    inputs = {name: tf.constant(stored[name]) for name in stored.files}
loaded = tf.saved_model.load(path)
found = loaded.signatures["serving_default"](**inputs)
result = {f"serve_{name}": value.numpy() for name, value in found.items()}
arguments = {k: v for k, v in inputs.items() if k != "latents"}
if not arguments:
    arguments = {"count": tf.constant(3)}
for seed in (1, 1, 2):
    found = loaded.signatures["generate"](seed=tf.constant(seed, tf.int64), **arguments)
    for name, value in found.items():
        result.setdefault(f"generate{seed}_{name}", []).append(value.numpy())
np.savez(outputs, **result)
assert not [name for name in sys.modules if name.startswith("tf_faces")], "imported"
"""


# Runs without this package: a sum of the images and the square of its gradient, each
# with its derivative with respect to the latents.
DIFFERENTIATOR = """
import sys
import numpy as np
import tensorflow as tf
path, inputs, outputs = sys.argv[1:]
with np.load(inputs) as stored:
    latents, labels, weights = (
        tf.constant(stored[name]) for name in ("latents", "labels", "weights")
    )
loaded = tf.saved_model.load(path)
serve = loaded.signatures["serving_default"]
with tf.GradientTape() as outer:
    outer.watch(latents)
    with tf.GradientTape() as inner:
        inner.watch(latents)
        total = tf.reduce_sum(serve(latents=latents, labels=labels)["images"] * weights)
    first = inner.gradient(total, latents)
    square = tf.reduce_sum(first**2)
np.savez(outputs, first=first, second=outer.gradient(square, latents))
"""


def make_pipeline(label_size=7, channels=9, dtype="float32"):
    generator = networks.Generator(
        networks.GeneratorConfig(
            num_channels=channels,
            resolution=32,
            label_size=label_size,
            fmap_base=32,
            fmap_max=4,
            lod_sep=4,
            dtype=dtype,
        )
    )
    dictionary = maps.grid_dictionary(32) if channels > 3 else None
    return tbgan.TbganPipeline.from_generator(generator, 0.25, dictionary=dictionary)


@pytest.mark.parametrize(
    ("label_size", "channels", "dtype"),
    [(7, 9, "float32"), (0, 3, "float32"), (7, 9, "float16"), (7, 9, "bfloat16")],
)
def test_a_process_without_the_package_gets_the_same(
    tmp_path, label_size, channels, dtype
):
    pipeline = make_pipeline(label_size, channels, dtype)
    path = export_tbgan.export(pipeline, tmp_path / "tbgan")
    latents = pipeline.random_latents(3)
    labels = pipeline.labels_for(pipeline.random_labels(3))
    inputs = {"latents": latents} | ({"labels": labels} if label_size else {})
    found = strangers.run(STRANGER, path, inputs, tmp_path)
    expected = np.stack(list(pipeline.maps(latents, labels)))
    # Another process may sum in another order; pixel norms enlarge that.
    tolerance = {"float32": 3e-4, "float16": 1e-2, "bfloat16": 5e-2}[dtype]
    np.testing.assert_allclose(found["serve_images"], expected, atol=tolerance)
    assert found["serve_images"].dtype == np.float32
    for index, name in enumerate(export_tbgan.MODALITIES[: channels // 3]):
        np.testing.assert_array_equal(
            found[f"serve_{name}"],
            found["serve_images"][..., 3 * index : 3 * index + 3],
        )
    # The same seed draws the same faces, another one others.
    np.testing.assert_array_equal(*found["generate1_images"])
    drawn = found["generate1_latents"][0]
    assert drawn.shape == latents.shape
    assert not np.allclose(drawn, found["generate2_latents"][0])
    np.testing.assert_allclose(
        np.stack(list(pipeline.maps(drawn, labels))),
        found["generate1_images"][0],
        atol=tolerance,
    )


def test_an_export_has_the_derivatives_of_the_network(tmp_path):
    pipeline = make_pipeline()
    path = export_tbgan.export(pipeline, tmp_path / "tbgan")
    latents = tf.constant(pipeline.random_latents(2))
    labels = tf.constant(pipeline.labels_for(pipeline.random_labels(2)))
    weights = tf.random.stateless_normal([2, 32, 32, 9], [1, 2])
    inputs = {"latents": latents, "labels": labels, "weights": weights}
    found = strangers.run(DIFFERENTIATOR, path, inputs, tmp_path)

    def images():
        return pipeline.generator(latents, labels, pipeline.level_of_detail)

    with tf.GradientTape() as outer:
        outer.watch(latents)
        with tf.GradientTape() as inner:
            inner.watch(latents)
            total = tf.reduce_sum(images() * weights)
        first = inner.gradient(total, latents)
        square = tf.reduce_sum(first**2)
    second = outer.gradient(square, latents)
    for name, expected in (("first", first), ("second", second)):
        scale = tf.reduce_max(tf.abs(expected)).numpy()
        assert scale > 0.1
        np.testing.assert_allclose(found[name], expected, atol=1e-4 * scale)


def test_pipeline_from_the_export_makes_the_same_meshes(tmp_path):
    pipeline = make_pipeline()
    for version in (1, 2):
        path = export_tbgan.export(pipeline, tmp_path / "tbgan")
        assert path.name == str(version)
    again = tbgan.open_pipeline(str(tmp_path / "tbgan"))
    assert again.source.endswith("2") and again.level_of_detail == 0.25
    ours, theirs = (next(p.sample(1, seed=3)) for p in (pipeline, again))
    np.testing.assert_allclose(theirs.mesh.vertices, ours.mesh.vertices, atol=3e-4)
    np.testing.assert_array_equal(theirs.mesh.triangles, ours.mesh.triangles)
    with pytest.raises(InputError, match="already an export"):
        export_tbgan.export(again, tmp_path / "other")


def test_model_card(tmp_path):
    path = export_tbgan.export(make_pipeline(), tmp_path / "tbgan", warmup=False)
    card = json.loads((path / "assets.extra" / "model_card.json").read_text())
    signature = card["signatures"]["serving_default"]
    assert signature["inputs"]["latents"] == {"dtype": "float32", "shape": [None, 12]}
    assert signature["outputs"]["shape"]["shape"] == [None, 32, 32, 3]
    assert card["signatures"]["generate"]["inputs"]["seed"]["dtype"] == "int64"
    assert card["config"]["fmap_max"] == 4 and card["level_of_detail"] == 0.25
    assert card["value_range"] == [-1.0, 1.0] and card["system"] == "tbgan"
    assert not (path / "assets.extra" / warmup.FILE_NAME).exists()


def test_only_standard_operations(tmp_path):
    path = export_tbgan.export(make_pipeline(), tmp_path / "tbgan")
    names = saved_model.operations(path)
    assert {"Conv2D", "MatMul"} <= names
    assert not [name for name in names if ">" in name]


def test_python_functions_are_refused_and_nothing_stays(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def serve(self, x):
            return {"y": tf.numpy_function(lambda v: v, [x], tf.float32)}

    module = Module()
    with pytest.raises(TfFacesError, match="PyFunc"):
        saved_model.export(
            module,
            tmp_path / "bad",
            {"serving_default": module.serve.get_concrete_function()},
        )
    assert not list((tmp_path / "bad").iterdir())


def test_warmup_requests_are_replayable(tmp_path):
    path = export_tbgan.export(make_pipeline(), tmp_path / "tbgan")
    records = list(
        tf.data.TFRecordDataset(str(path / "assets.extra" / warmup.FILE_NAME))
    )
    assert len(records) == 2
    first = records[0].numpy()
    # PredictionLog { 6: { 1: { 1: ModelSpec { 1: name, 3: signature } ...
    assert b"\x0a\x05tbgan\x1a\x0fserving_default" in first
    assert b"latents" in first and b"labels" in first


def fields_of(content):
    """A message's (number, content) pairs; all fields here are delimited by length."""
    found, place = [], 0

    def number():
        nonlocal place
        value, shift = 0, 0
        while True:
            byte = content[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(content):
        key = number()
        assert key & 7 == 2
        length = number()
        found.append((key >> 3, content[place : place + length]))
        assert len(found[-1][1]) == length
        place += length
    return found


def test_warmup_request_field_by_field():
    """The numbers of the published .proto files, with lengths of one and two bytes."""
    values = {"latents": np.arange(600, dtype=np.float32).reshape(2, 300),
              "labels": np.zeros((2, 1), np.float32)}  # fmt: skip
    content = warmup.prediction_log("faces", "generate", values)
    ((six, log),) = fields_of(content)
    ((one, request),) = fields_of(log)
    assert (six, one) == (6, 1)
    (first, specification), *inputs = fields_of(request)
    assert first == 1
    assert fields_of(specification) == [(1, b"faces"), (3, b"generate")]
    assert [number for number, _ in inputs] == [2, 2]
    for (name, value), (_, entry) in zip(values.items(), inputs, strict=True):
        (key, stored_name), (second, tensor) = fields_of(entry)
        assert (key, stored_name, second) == (1, name.encode(), 2)
        parsed = tf.make_ndarray(type(tf.make_tensor_proto(0)).FromString(tensor))
        np.testing.assert_array_equal(parsed, value)


def test_warmup_request_in_serving_protos(tmp_path):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    value = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = warmup.prediction_log("faces", "generate", {"latents": value})
    parsed = logs.PredictionLog.FromString(content)
    request = parsed.predict_log.request
    assert request.model_spec.name == "faces"
    assert request.model_spec.signature_name == "generate"
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["latents"]), value)


def test_wrong_requests_are_named(tmp_path):
    module = export_tbgan.TbganModule(make_pipeline().generator, 0.0)
    signatures = module.signatures()
    with pytest.raises(InputError, match="expected one of"):
        saved_model.export(module, tmp_path, signatures, warmup=[("x", {})])
    with pytest.raises(InputError, match="'latents'"):
        saved_model.export(
            module, tmp_path, signatures, warmup=[("serving_default", {})]
        )
    with pytest.raises(InputError, match="at most 1000"):
        warmup.write(tmp_path / "w", "m", [("a", {})] * 1001)
