"""Networks of features: a frozen graph of the right names, others, refusals."""

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.convert import feature_networks as networks
from tf_faces.core.errors import FormatError, InputError

PICTURES = np.random.default_rng(1).integers(0, 256, (2, 12, 12, 3)).astype(np.uint8)
KERNEL = np.random.default_rng(2).normal(0, 1, (12, 12, 3, 5)).astype(np.float32) / 500
CLASSES = np.random.default_rng(3).normal(0, 1, (5, 4)).astype(np.float32)


def graph(features_op="relu", weights=CLASSES, before=None, turned=False):
    """A frozen graph that has the Inception network's names and three layers."""
    with tf.Graph().as_default() as made:
        content = tf.compat.v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
        decoded = tf.image.decode_jpeg(content, name="DecodeJpeg")
        images = tf.expand_dims(tf.cast(decoded, tf.float32), 0, name="ExpandDims")
        if before is not None:
            images = before(images)
        images = tf.image.resize(images, (12, 12))
        layer = tf.nn.conv2d(images, KERNEL, 1, "VALID")
        if features_op == "relu":
            layer = tf.nn.relu(layer)
        features = tf.identity(layer, name="pool_3")
        with tf.name_scope("softmax"), tf.name_scope("logits"):
            rows = tf.reshape(features, [-1, 5])
            kept = tf.constant(weights, name="weights")
            logits = tf.matmul(rows, kept, transpose_b=turned, name="MatMul")
        tf.nn.softmax(logits + 100.0, name="softmax_of_logits")
    return made.as_graph_def()


def write(path, definition):
    path.write_bytes(definition.SerializeToString())
    return path


def test_frozen_graph(tmp_path):
    found = networks.open_features(
        networks.INCEPTION, write(tmp_path / "graph.pb", graph())
    )
    features = found.features(PICTURES)
    expected = np.maximum(np.tensordot(PICTURES.astype(np.float32), KERNEL, 3), 0)
    np.testing.assert_allclose(features, expected, rtol=1e-4)
    # Without the bias that the graph adds behind.
    raised = np.exp(expected @ CLASSES)
    np.testing.assert_allclose(
        found.probabilities(features), raised / raised.sum(1, keepdims=True), rtol=1e-3
    )
    assert found.measure("FID") == "FID"


def test_graphs_that_do_more_are_refused(tmp_path):
    def reads(images):
        content = tf.io.read_file("/etc/hostname")
        return images + tf.cast(tf.strings.length(content), tf.float32)

    path = write(tmp_path / "graph.pb", graph(before=reads))
    with pytest.raises(FormatError, match="ReadFile|StringLength"):
        networks.open_features(networks.INCEPTION, path)


def test_damaged_graphs(tmp_path):
    path = tmp_path / "graph.pb"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(FormatError, match="no frozen TensorFlow graph"):
        networks.open_features(networks.INCEPTION, path)
    empty = tf.compat.v1.GraphDef()
    with pytest.raises(FormatError, match="lacks the node 'pool_3'"):
        networks.open_features(networks.INCEPTION, write(path, empty))
    wrong = graph()
    next(n for n in wrong.node if n.name == "pool_3").input[0] = "nothing"
    with pytest.raises(FormatError, match="damaged graph"):
        networks.open_features(networks.INCEPTION, write(path, wrong))
    turned = write(path, graph(weights=CLASSES.T, turned=True))
    with pytest.raises(FormatError, match=r"shape \[4, 5\], expected \[5, classes\]"):
        networks.open_features(networks.INCEPTION, turned)


def test_names_and_files():
    with pytest.raises(InputError, match="--features: found 'vgg'"):
        networks.open_features("vgg")
    with pytest.raises(InputError, match="lacks --inception_weights"):
        networks.open_features("VGG16")
    with pytest.raises(InputError, match="no such"):
        networks.open_features(networks.INCEPTION, "nowhere.pb")


def test_untrained_network():
    found = networks.open_features(networks.RANDOM)
    again = networks.open_features(networks.RANDOM)
    assert found.digest == again.digest and found.probabilities is None
    features = found.features(PICTURES)
    assert features.shape == (2, 512) and np.isfinite(features).all()
    np.testing.assert_array_equal(features, again.features(PICTURES))
    # Every picture by itself.
    np.testing.assert_allclose(
        features[:1], found.features(PICTURES[:1]), rtol=1e-4, atol=1e-5
    )
    assert np.abs(features[0] - features[1]).max() > 0.01
    assert found.measure("FID") == "FD-random"
    assert found.measure("KIDx1e3") == "KIDx1e3-random"


def test_keras_network(tmp_path, monkeypatch):
    import keras

    monkeypatch.setitem(networks.KERAS_NETWORKS, "MobileNetV2", 32)
    keras.utils.set_random_seed(4)
    whole = keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), classifier_activation=None
    )
    whole.save_weights(tmp_path / "whole.weights.h5")
    found = networks.open_features("MobileNetV2", tmp_path / "whole.weights.h5")
    pictures = PICTURES.repeat(3, axis=1).repeat(3, axis=2)[:, :32, :32]
    logits = whole(pictures.astype(np.float32) / 127.5 - 1, training=False).numpy()
    raised = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(
        found.probabilities(found.features(pictures)),
        raised / raised.sum(1, keepdims=True),
        rtol=1e-4,
    )
    assert found.measure("FID") == "FD-MobileNetV2"
    (tmp_path / "other.weights.h5").write_bytes(b"no weights")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        networks.open_features("MobileNetV2", tmp_path / "other.weights.h5")
    with h5py.File(tmp_path / "other.h5", "w") as archive:
        archive["x"] = np.ones(3)
    with pytest.raises(FormatError, match="no weights of MobileNetV2"):
        networks.open_features("MobileNetV2", tmp_path / "other.h5")
    with h5py.File(tmp_path / "other.h5", "a") as archive:
        archive["linked"] = h5py.ExternalLink("whole.weights.h5", "layers")
    with pytest.raises(FormatError, match="linked is a link to another place"):
        networks.open_features("MobileNetV2", tmp_path / "other.h5")
    whole.set_weights([value * np.nan for value in whole.get_weights()])
    whole.save_weights(tmp_path / "nan.weights.h5")
    with pytest.raises(FormatError, match="weights that are not finite"):
        networks.open_features("MobileNetV2", tmp_path / "nan.weights.h5")
