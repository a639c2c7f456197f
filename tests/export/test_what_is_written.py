"""What each system hands to `saved_model.export`: every signature, card and request.

Nothing is saved here; other tests of this room read what was.
"""

import inspect
import io
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.data.face_manifold import samplers
from tf_faces.data.parface.samples import CHANNEL_MEANS
from tf_faces.data.prnet import layout
from tf_faces.export import (
    coarse_fine,
    face_manifold,
    parface,
    prnet,
    saved_model,
    tbgan,
    warmup,
)
from tf_faces.geometry import cropping
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.models.parface import heatmaps
from tf_faces.morphable import raw_form
from tf_faces.pipelines import face_manifold as manifolds
from tf_faces.pipelines.tbgan import TbganPipeline, maps


@pytest.fixture
def written(monkeypatch):
    """Keeps the arguments of `saved_model.export`, and the files they name."""
    found = types.SimpleNamespace()
    signature = inspect.signature(saved_model.export)

    def keep(*arguments, **keywords):
        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        vars(found).update(bound.arguments)
        files = found.extra_files or {}
        found.contents = {n: pathlib.Path(p).read_bytes() for n, p in files.items()}
        found.forms = {
            name: saved_model.describe(function)
            for name, function in found.signatures.items()
        }
        for name, inputs in found.warmup:
            saved_model._check_request(found.forms, name, inputs)
        return pathlib.Path("written")

    monkeypatch.setattr(saved_model, "export", keep)
    return found


def form(*shape, dtype="float32"):
    return {"dtype": dtype, "shape": list(shape)}


def assert_requests(found, expected):
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, inputs), (_, values) in zip(found, expected, strict=True):
        assert list(inputs) == list(values)
        for name, value in values.items():
            assert inputs[name].dtype == value.dtype
            np.testing.assert_array_equal(inputs[name], value)


def array_of(content):
    return np.load(io.BytesIO(content), allow_pickle=False)


class Network:
    """A stand-in with a configuration and one variable.

    Args:
      call: (the variable, *arguments) -> result, as each way to use a network.
    """

    def __init__(self, call=None, **config):
        self.config = types.SimpleNamespace(**config, to_dict=lambda: dict(config))
        self.factor = keras.Variable(2.0)
        self.call = call

    def variables_by_name(self):
        return {"factor": self.factor}

    named_tensors = variables_by_name

    def __call__(self, *arguments):
        return self.call(self.factor, *arguments)

    reconstruct = forward = __call__


@pytest.fixture(scope="module")
def face_model():
    return raw_form.load("builtin:tiny")


def test_coarse_fine(written, tmp_path, face_model):
    def reconstruct(factor, grey):
        depth = tf.stack([grey[..., 0], grey[..., 0] + 500], axis=-1)
        return types.SimpleNamespace(
            parameters=depth[:, 0, :, 0] * factor,
            rendering=types.SimpleNamespace(
                vertices=depth[:, :, :3, 0] * 3, depth=depth, covered=depth > 500
            ),
            fine_depth=depth + 7,
        )

    network = Network(reconstruct, image_size=8)
    network.renderer = types.SimpleNamespace(model=face_model)
    reconstructor = types.SimpleNamespace(network=network, grey_mean=100.0)
    assert coarse_fine.export(reconstructor, tmp_path) == pathlib.Path("written")
    assert written.directory == tmp_path and written.model_name == "coarse_fine"
    assert written.card == {
        "system": "coarse_fine",
        "network": {"image_size": 8},
        "face_model": face_model.name,
        "licence_of_face_model": face_model.licence,
        "grey_mean": 100.0,
    }
    square = form(None, 8, 8)
    assert written.forms == {
        "serving_default": {
            "inputs": {"pictures": form(None, 8, 8, 3)},
            "outputs": {
                "parameters": form(None, 8),
                "vertices": form(None, 8, 3),
                "coarse_depth": square,
                "fine_depth": square,
                "mask": square,
            },
        }
    }
    grey = np.full((1, 8, 8, 3), 127, np.float32)
    assert_requests(written.warmup, [("serving_default", {"pictures": grey})])
    assert list(written.contents) == ["triangles.npy"]
    np.testing.assert_array_equal(
        array_of(written.contents["triangles.npy"]),
        face_model.with_winding("ccw").triangles,
    )
    assert [v.shape for v in written.module.values] == [()]
    colours = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    found = written.signatures["serving_default"](tf.constant(colours))
    expected = colours @ np.float32([0.3, 0.59, 0.11]) - 100
    np.testing.assert_allclose(found["coarse_depth"], expected, atol=1e-3)
    np.testing.assert_allclose(found["fine_depth"], expected + 7, atol=1e-3)
    np.testing.assert_allclose(found["parameters"], 2 * expected[:, 0], atol=1e-3)
    assert not found["mask"].numpy().any()
    coarse_fine.export(reconstructor, tmp_path, warmup=False)
    assert not written.warmup


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_prnet(written, tmp_path, face_model, order):
    def forward(factor, crops):
        return crops[:, ::2, ::2] * factor + crops[:, :1, :1] * 0

    network = Network(
        forward,
        resolution=64,
        map_resolution=32,
        divisor=127.5,
        color_order=order,
        position_scale=70.0,
    )
    chart = layout.model_layout(face_model, 64)
    small = chart.resized(32)
    prnet.export(network, chart, tmp_path)
    assert written.directory == tmp_path and written.model_name is None
    assert written.card == {"system": "prnet", "network": network.config.to_dict()}
    outputs = {
        "position_map": form(None, 32, 32, 3),
        "vertices": form(None, len(small.indices), 3),
        "landmarks": form(None, 68, 3),
    }
    boxes = form(None, 4)
    assert written.forms == {
        "serving_default": {
            "inputs": {"crops": form(None, 64, 64, 3)}, "outputs": outputs
        },
        "images": {
            "inputs": {"images": form(None, dtype="string"), "boxes": boxes},
            "outputs": outputs,
        },
    }  # fmt: skip
    black = np.zeros((1, 64, 64, 3), np.float32)
    assert_requests(written.warmup, [("serving_default", {"crops": black})])
    assert list(written.contents) == ["triangles.npy"]
    triangles = array_of(written.contents["triangles.npy"])
    np.testing.assert_array_equal(triangles, small.triangles)
    crops = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    found = written.signatures["serving_default"](tf.constant(crops))
    expected = crops[:, ::2, ::2] * 2 * 2 * 70  # The scale, the factor, the positions.
    expected = expected[..., ::-1] if order == "bgr" else expected
    np.testing.assert_allclose(found["position_map"], expected, rtol=1e-5)
    vertices = expected.reshape(2, -1, 3)[:, small.indices]
    np.testing.assert_allclose(found["vertices"], vertices, rtol=1e-5)
    marks = vertices[:, small.landmark_vertices]
    np.testing.assert_allclose(found["landmarks"], marks, rtol=1e-5)
    prnet.export(network, chart, tmp_path, warmup=False)
    assert not written.warmup


@pytest.mark.parametrize("first", [0, 2])
def test_prnet_takes_each_pixel_of_a_file(face_model, first):
    """Grey, coloured and animated files; a box whose crop is the whole picture."""
    network = Network(
        lambda factor, crops: crops,
        resolution=64,
        map_resolution=64,
        divisor=1.0,
        color_order="rgb",
        position_scale=1.0,
    )
    functions = prnet.PrnetFunctions(network, layout.model_layout(face_model, 64))
    levels = np.random.default_rng(0).integers(0, 256, (80, 70, 1), np.uint8)
    contents = [tf.io.encode_png(levels), tf.io.encode_png(np.repeat(levels, 3, -1))]
    # Crops of 63 pixels have a pixel of the file at each of theirs.
    side = 63.5 / cropping.BOX_FACTOR
    box = np.float32([0, side, 0, side]) + (63 - side) / 2 + first
    found = functions.from_images(
        tf.stack(contents), tf.constant(np.stack([box, box]), tf.float32)
    )["position_map"].numpy()
    cut = levels[first : first + 64, first : first + 64].astype(np.float32)
    moved = cut + np.float32([first, first, 0])
    for index in (0, 1):
        np.testing.assert_allclose(found[index], moved, atol=2e-2)
    still = functions.from_images(_animation()[None], tf.constant(box[None]))
    assert still["position_map"].shape == (1, 64, 64, 3)


@pytest.mark.parametrize(("labels", "channels"), [(3, 9), (0, 6), (2, 3), (2, 4)])
def test_tbgan(written, tmp_path, labels, channels):
    def draw(factor, latents, fed, level):
        levels = tf.reduce_sum(latents, 1) * factor + level
        if fed is not None:
            levels += 10 * fed[:, 0]
        colours = tf.range(channels, dtype=tf.float32)
        flat = levels[:, None, None, None] + colours
        return tf.cast(flat + tf.zeros([1, 16, 16, 1]), tf.float64)

    generator = Network(
        draw, latent_size=5, label_size=labels, num_channels=channels, resolution=16
    )
    generator.call = lambda factor, z, y, level: draw(
        factor, z, y if labels else None, level
    )
    chart = maps.grid_dictionary(16) if channels > 3 else None
    pipeline = TbganPipeline.from_generator(generator, 0.25, dictionary=chart)
    tbgan.export(pipeline, tmp_path)
    assert written.directory == tmp_path and written.model_name == "tbgan"
    outputs = {"images": form(None, 16, 16, channels)}
    if channels % 3 == 0:
        names = ("texture", "shape", "normals")[: channels // 3]
        outputs |= {name: form(None, 16, 16, 3) for name in names}
    latents = form(None, 5)
    fed = {"labels": form(None, labels)} if labels else {}
    drawn = {"seed": form(dtype="int64")}
    drawn |= fed or {"count": form(dtype="int32")}
    assert written.forms == {
        "serving_default": {"inputs": {"latents": latents} | fed, "outputs": outputs},
        "generate": {"inputs": drawn, "outputs": outputs | {"latents": latents}},
    }
    served = {"latents": np.zeros((1, 5), np.float32)}
    generated = {"seed": np.array(0, np.int64)}
    if labels:
        even = np.full((1, labels), 1 / labels, np.float32)
        served["labels"] = generated["labels"] = even
    else:
        generated["count"] = np.array(1, np.int32)
    requests = [("serving_default", served), ("generate", generated)]
    assert_requests(written.warmup, requests)
    fields = {
        "system": "tbgan",
        "latent_size": 5,
        "label_size": labels,
        "resolution": 16,
        "channels": channels,
        "label_softmax": True,
        "level_of_detail": 0.25,
        "smoothing": pipeline.smoothing,
        "config": generator.config.to_dict(),
        "value_range": [-1.0, 1.0],
    }
    assert fields.items() <= written.card.items()
    assert {"labels", "coordinates"} < written.card.keys()
    assert list(written.contents) == (["uv_dictionary.npz"] if chart else [])
    assert [v.shape for v in written.module.weights] == [()]
    # Draws are of the seed, the second number nought; labels and level are used.
    given = {name: value for name, value in generated.items() if name != "seed"}
    found = written.signatures["generate"](
        seed=tf.constant(5, tf.int64), **{k: tf.constant(v) for k, v in given.items()}
    )
    expected = tf.random.stateless_normal([1, 5], [5, 0]).numpy()
    np.testing.assert_array_equal(found["latents"], expected)
    again = written.signatures["serving_default"](
        latents=tf.constant(expected),
        **({"labels": tf.constant(even)} if labels else {}),
    )
    base = 2 * expected.sum() + 0.25 + (10 / labels if labels else 0)
    for images in (found, again):
        for channel in range(channels):
            levels = images["images"][..., channel]
            np.testing.assert_allclose(levels, base + channel, rtol=1e-5)
        for index, name in enumerate(("texture", "shape", "normals")):
            if name in images:
                part = images["images"][..., 3 * index : 3 * index + 3]
                np.testing.assert_array_equal(images[name], part)
    tbgan.export(pipeline, tmp_path, warmup=False)
    assert not written.warmup


# --- Face Manifold --------------------------------------------------------------------


def denoiser_of(model, group):
    count = {"shape": model.shape_count, "expression": model.expression_count}[group]
    return denoisers.Denoiser(DenoiserConfig(group, count, 10.0), seed=3)


@pytest.mark.parametrize("groups", [("shape", "expression"), ("expression",)])
def test_face_manifold(written, tmp_path, face_model, groups):
    model = face_model
    networks = {group: denoiser_of(model, group) for group in groups}
    manifold = manifolds.FaceManifold(**networks)
    face_manifold.export(manifold, tmp_path, model=model)
    assert written.directory == tmp_path and written.model_name == "face_manifold"
    assert written.card == {
        "system": "face_manifold",
        "denoisers": {g: networks[g].config.to_dict() for g in groups},
        "coefficients": "raw: they multiply the bases of the face model",
        "face_model": {
            "name": model.name, "unit": model.unit, "vertices": model.vertex_count
        },
    }  # fmt: skip
    counts = {"shape": model.shape_count, "expression": model.expression_count}
    both = {group: form(None, count) for group, count in counts.items()}
    some = {group: both[group] for group in groups}
    assert written.forms == {
        "serving_default": {"inputs": some, "outputs": some},
        "generate": {
            "inputs": {
                "seed": form(dtype="int64"),
                "count": form(dtype="int32"),
                "width": form(),
            },
            "outputs": both,
        },
        "vertices": {
            "inputs": both,
            "outputs": {"vertices": form(None, model.vertex_count, 3)},
        },
    }
    zeros = {g: np.zeros((1, count), np.float32) for g, count in counts.items()}
    generated = {
        "seed": np.array(0, np.int64),
        "count": np.array(1, np.int32),
        "width": np.array(samplers.DEFAULT_RANGE, np.float32),
    }
    assert_requests(
        written.warmup,
        [
            ("serving_default", {group: zeros[group] for group in groups}),
            ("generate", generated),
            ("vertices", zeros),
        ],
    )
    assert list(written.contents) == ["triangles.npy"]
    assert not [v for v in written.module.face_model if v.trainable]
    # Every group has a stream of its own.
    found = written.signatures["generate"](
        seed=tf.constant(4, tf.int64), count=tf.constant(3), width=tf.constant(5.0)
    )
    for stream, group in enumerate(counts):
        deviations = samplers.sampling_deviations(
            group, np.asarray(getattr(model, f"{group}_deviations"))
        )
        size, seed = [3, counts[group]], tf.constant([4, stream], tf.int64)
        if group in groups:
            box = tf.random.stateless_uniform(size, seed).numpy() - 0.5
            expected = networks[group](box * np.float32(5) * deviations / 10.0) * 10.0
        else:
            expected = tf.random.stateless_normal(size, seed).numpy() * deviations
        np.testing.assert_allclose(
            found[group], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
        )


def test_face_manifold_without_a_model(written, tmp_path, face_model):
    manifold = manifolds.FaceManifold(shape=denoiser_of(face_model, "shape"))
    face_manifold.export(manifold, tmp_path)
    assert list(written.forms) == ["serving_default"] and not written.contents
    assert "face_model" not in written.card
    zeros = {"shape": np.zeros((1, face_model.shape_count), np.float32)}
    assert_requests(written.warmup, [("serving_default", zeros)])
    face_manifold.export(manifold, tmp_path, warmup=False)
    assert not written.warmup


# --- ParFace --------------------------------------------------------------------------


class StandIn(Network):
    """Networks that give back what they are given, three times as strong."""

    def __init__(self, normalized):
        super().__init__(normalized=normalized, decoding="peak", input_size=32)

    def encoder(self, images):
        return images

    def decoder(self, codes):
        return 1.5 * self.factor * codes - 0.5

    def reconstruct_with_heatmaps(self, images):
        """A heat map for each channel: its picture."""
        return tf.reduce_mean(images, (1, 2)), None, images

    def depth_head(self, maps, latents):
        return latents


def test_parface(written, tmp_path):
    networks = StandIn(True)
    (tmp_path / "a").write_bytes(b"more")
    parface.export(networks, tmp_path, extra_files={"more.txt": tmp_path / "a"})
    assert written.directory == tmp_path and written.model_name == "parface"
    assert written.contents == {"more.txt": b"more"}
    black = np.zeros((1, 32, 32, 3), np.uint8)
    assert_requests(written.warmup, [("serving_default", {"images": black})])
    assert written.card["networks"] == {
        "normalized": True, "decoding": "peak", "input_size": 32
    }  # fmt: skip
    crops = form(None, 32, 32, 3, dtype="uint8")
    landmarks = {
        "landmarks": form(None, 3, 2),
        "landmarks_3d": form(None, 3, 3),
        "scores": form(None, 3),
    }
    files = {"image_bytes": form(None, dtype="string")}
    outputs = landmarks | {"latents": form(None, 3)}
    assert written.forms == {
        "serving_default": {"inputs": {"images": crops}, "outputs": outputs},
        "reconstruct": {
            "inputs": {"images": crops}, "outputs": {"reconstructions": crops}
        },
        "bytes": {"inputs": files, "outputs": landmarks},
    }  # fmt: skip
    assert [v.shape for v in written.module.weights] == [()]
    parface.export(networks, tmp_path, warmup=False)
    assert not written.warmup


@pytest.mark.parametrize("normalized", [True, False])
def test_levels_of_parface(normalized):
    functions = parface.ParFaceFunctions(StandIn(normalized))
    signatures = functions.signatures()
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    means = CHANNEL_MEANS if normalized else np.float32(0)
    given = images / np.float32(255) - means
    found = signatures["reconstruct"](tf.constant(images))["reconstructions"].numpy()
    levels = np.clip(3 * given - 0.5 + means, 0, 1) * 255
    assert (levels == 0).any() and (levels == 255).any()
    np.testing.assert_allclose(found, np.floor(levels), atol=1)
    assert (found == np.floor(levels)).mean() > 0.99

    served = signatures["serving_default"](tf.constant(images))
    maps = heatmaps.smooth(tf.constant(given))
    np.testing.assert_allclose(served["scores"], heatmaps.scores(maps), atol=1e-5)
    np.testing.assert_array_equal(served["landmarks"], heatmaps.decode(maps, 32))
    latents = given.mean(axis=(1, 2))
    np.testing.assert_allclose(served["latents"], latents, atol=1e-5)
    depths = heatmaps.depth_to_pixels(tf.constant(latents))
    np.testing.assert_allclose(served["landmarks_3d"][..., 2], depths, atol=1e-3)


def test_files_of_parface_become_squares():
    functions = parface.ParFaceFunctions(StandIn(False))
    levels = np.random.default_rng(0).choice(np.uint8([0, 255]), (40, 20, 1))
    square, size = functions._decoded(tf.io.encode_png(levels))
    assert size.numpy().tolist() == [20, 40]
    colours = np.repeat(levels, 3, axis=-1)
    resized = tf.image.resize(colours, [32, 32], method="bicubic").numpy()
    assert resized.min() < -1 and resized.max() > 256
    np.testing.assert_allclose(square, np.clip(resized, 0, 255), atol=1e-3)
    # A file of several pictures has one.
    still, _ = functions._decoded(_animation())
    assert still.shape == (32, 32, 3)
    wide = functions.signatures()["bytes"](tf.io.encode_png(levels)[None])
    plain = functions._landmarks(functions._input(square[None]))
    scale = np.float32([20 / 32, 40 / 32])
    np.testing.assert_allclose(wide["landmarks"], plain["landmarks"] * scale, rtol=1e-5)
    depths = plain["landmarks_3d"][..., 2] * scale[1]
    np.testing.assert_allclose(wide["landmarks_3d"][..., 2], depths, rtol=1e-5)


def _animation():
    stream = io.BytesIO()
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(stream, "GIF", save_all=True, append_images=[second])
    return tf.constant(stream.getvalue())


# --- SavedModels and requests ---------------------------------------------------------


@pytest.mark.parametrize("inside", ["graph", "function"])
@pytest.mark.parametrize(
    "name", ["TfFaces>RenderDepth", "PyFunc", "PyFuncStateless", "EagerPyFunc"]
)
def test_operations_of_ours_and_of_python_are_refused(tmp_path, inside, name):
    stored = saved_model_pb2.SavedModel()
    graph = stored.meta_graphs.add().graph_def
    holder = graph if inside == "graph" else graph.library.function.add()
    nodes = holder.node if inside == "graph" else holder.node_def
    nodes.add(name="a", op="MatMul")
    path = tmp_path / "saved_model.pb"
    path.write_bytes(stored.SerializeToString())
    saved_model.refuse_custom_operations(tmp_path)
    assert saved_model.operations(tmp_path) == {"MatMul"}
    nodes.add(name="b", op=name)
    path.write_bytes(stored.SerializeToString())
    with pytest.raises(TfFacesError, match=f"operation {name}"):
        saved_model.refuse_custom_operations(tmp_path)


def test_as_many_requests_as_a_server_reads(tmp_path):
    request = ("a", {"x": np.float32(1)})
    warmup.write(tmp_path / "w", "m", [request] * 1000)
    records = list(tf.data.TFRecordDataset(str(tmp_path / "w")))
    assert len(records) == 1000
    assert records[-1].numpy() == warmup.prediction_log("m", *request)
    with pytest.raises(InputError, match="at most 1000. Received: 1001"):
        warmup.write(tmp_path / "more", "m", [request] * 1001)
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
