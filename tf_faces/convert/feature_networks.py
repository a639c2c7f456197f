"""Networks in whose features sets of pictures are compared.

| name | features | classes | weights |
|---|---|---|---|
| inception-2015 | 2,048 of pool_3 | 1,008 | `classify_image_graph_def.pb`, a frozen graph |
| a network of keras.applications | of its last pooling | 1,000, where it has them | its `.h5` |
| random | 512 of untrained convolutions | none | none |

Only the first gives the measures called FID and IS in publications; the measures of all
others bear the network's name.  Pictures are uint8 [N, H, W, 3].

Reference: metrics/frechet_inception_distance.py and inception_score.py of
tkarras/progressive_growing_of_gans (which tensors are fed and fetched).
"""  # noqa: E501

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np

from tf_faces.core import files, hdf5_files
from tf_faces.core.errors import FormatError, InputError

INCEPTION = "inception-2015"
RANDOM = "random"
# Of keras.applications, and the side of the pictures that they were trained with.
KERAS_NETWORKS = {
    "InceptionV3": 299,
    "Xception": 299,
    "VGG16": 224,
    "VGG19": 224,
    "ResNet50": 224,
    "MobileNetV2": 224,
}

_IMAGES, _FEATURES = "ExpandDims:0", "pool_3:0"
_LOGITS = "softmax/logits/MatMul"
_LARGEST_GRAPH = 1 << 29
# Nothing here reads files, calls back or loops.
_HARMLESS = frozenset(
    "Add AddV2 AvgPool BatchNormWithGlobalNormalization BiasAdd Cast CheckNumerics "
    "Concat ConcatV2 Const Conv2D DepthwiseConv2dNative ExpandDims FusedBatchNorm "
    "FusedBatchNormV3 Identity LRN MatMul MaxPool Maximum Mean Minimum Mul Pad "
    "Placeholder Relu Relu6 Reshape ResizeBilinear Rsqrt Shape Softmax Sqrt Squeeze Sub"
    .split()
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A frozen network.

    Attributes:
      name: see the module.
      digest: of its weights, for caches.
      features: uint8 [N, H, W, 3] -> float32 [N, D].
      probabilities: features [N, D] -> [N, K], rows of sum 1; None without classes.
    """

    name: str
    digest: str
    features: Callable[[np.ndarray], np.ndarray]
    probabilities: Callable[[np.ndarray], np.ndarray] | None = None

    def measure(self, name: str, always_named: bool = False) -> str:
        """The name of a measure taken with it: FID stays FID, or becomes FD-random.

        `always_named` is for measures that are not the published ones, whatever the
        network.
        """
        if self.name == INCEPTION and not always_named:
            return name
        short = {"FID": "FD", "IS_mean": "IS_mean", "IS_std": "IS_std"}.get(name, name)
        return f"{short}-{self.name}"


def require_weights(name: str, weights: files.PathLike | None):
    """The file of weights of a network; None for the one that needs none.

    Raises:
      InputError: for an unknown name, or without a file where one is needed.
    """
    if name == RANDOM:
        return None
    if name != INCEPTION and name not in KERAS_NETWORKS:
        known = ", ".join([INCEPTION, *KERAS_NETWORKS, RANDOM])
        raise InputError(f"--features: found {name!r}, expected one of {known}.")
    if weights is None:
        raise InputError(
            f"--features={name}: lacks --inception_weights, the file of its weights; "
            f"--features={RANDOM} needs none."
        )
    return files.require_file(weights, "file of weights (--inception_weights)")


def open_features(name: str, weights: files.PathLike | None = None) -> FeatureNetwork:
    """Opens a network by name.

    Args:
      name: see the module.
      weights: its file; none for "random".

    Raises:
      InputError: see `require_weights`.
      FormatError: if the file is damaged or another network's.
    """
    path = require_weights(name, weights)
    if path is None:
        return random_network()
    return inception_graph(path) if name == INCEPTION else keras_network(name, path)


# --- the frozen graph of 2015 -------------------------------------------------------


def _read_graph(path: files.PathLike):
    """The part of a frozen graph that features and classes need."""
    import tensorflow as tf
    from google.protobuf import message

    path = files.require_file(path, "frozen graph")
    if path.stat().st_size > _LARGEST_GRAPH:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes, expected at most "
            f"{_LARGEST_GRAPH}."
        )
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except (message.DecodeError, ValueError) as error:
        raise FormatError(f"{path}: is no frozen TensorFlow graph.") from error
    nodes = {node.name: node for node in graph.node}
    wanted = [_FEATURES.split(":")[0], _LOGITS]
    missing = [name for name in (*wanted, _IMAGES.split(":")[0]) if name not in nodes]
    if missing:
        raise FormatError(
            f"{path}: lacks the node {missing[0]!r} of the Inception network of 2015."
        )
    # The images are put in at ExpandDims, so what decodes them is not needed.
    kept, waiting = set(), list(wanted)
    while waiting:
        name = waiting.pop().lstrip("^").split(":")[0]
        if name in kept or name not in nodes:
            continue
        kept.add(name)
        if name != _IMAGES.split(":")[0]:
            waiting.extend(nodes[name].input)
    forbidden = {nodes[name].op for name in kept} - _HARMLESS
    if forbidden or graph.library.function:
        what = min(forbidden) if forbidden else "a function"
        raise FormatError(
            f"{path}: holds {what}, expected the layers of the Inception network only."
        )
    part = tf.compat.v1.GraphDef(versions=graph.versions)
    for node in graph.node:
        if node.name == _IMAGES.split(":")[0]:
            images = part.node.add(name=node.name, op="Placeholder")
            images.attr["dtype"].type = tf.float32.as_datatype_enum
        elif node.name in kept:
            part.node.append(node)
    return part


def inception_graph(path: files.PathLike) -> FeatureNetwork:
    """The Inception network of December 2015 from `classify_image_graph_def.pb`.

    Raises:
      FormatError: if the file is damaged, or holds anything but its layers.
    """
    import tensorflow as tf

    graph = _read_graph(path)
    logits = next(node for node in graph.node if node.name == _LOGITS)

    def imported(images):
        return tf.graph_util.import_graph_def(
            graph,
            input_map={_IMAGES: images},
            return_elements=[_FEATURES, logits.input[1].split(":")[0] + ":0"],
            name="",
        )

    try:
        run = tf.compat.v1.wrap_function(
            imported, [tf.TensorSpec([None, None, None, 3], tf.float32)]
        )
        # The classes' weights are constants: any picture gives them.
        found, class_weights = run(tf.zeros([1, 299, 299, 3]))
    except (ValueError, tf.errors.OpError) as error:
        raise FormatError(
            f"{path}: is a damaged graph, or another one; download it again."
        ) from error
    class_weights = class_weights.numpy().astype(np.float64)
    size = int(np.prod(found.shape[1:]))
    if class_weights.ndim != 2 or class_weights.shape[0] != size:
        raise FormatError(
            f"{path}: has class weights of shape {list(class_weights.shape)}, expected "
            f"[{size}, classes]."
        )

    # The original graph takes one picture at a time: its last reshape is [-1, 2048].
    def features(images):
        rows = run(tf.constant(images, tf.float32))[0].numpy()
        return rows.reshape(-1, size)[: len(images)]

    # Without the biases of the layer, as the original does.
    return FeatureNetwork(
        INCEPTION,
        files.sha256(path),
        features,
        lambda rows: _softmax(rows.astype(np.float64) @ class_weights),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


# --- networks of keras.applications -------------------------------------------------


def keras_network(name: str, path: files.PathLike) -> FeatureNetwork:
    """A network of keras.applications with weights from a file.

    Raises:
      FormatError: if the file is damaged or of another network.
    """
    import keras
    import tensorflow as tf

    if pathlib.Path(path).suffix.lower() in (".h5", ".hdf5"):
        hdf5_files.require_whole(path)
    build = getattr(keras.applications, name)
    module = getattr(keras.applications, _MODULES[name])
    side = KERAS_NETWORKS[name]
    network = None
    # Files come with the classes or without.
    for top in (True, False):
        candidate = build(
            weights=None,
            include_top=top,
            input_shape=(side, side, 3),
            **({"classifier_activation": None} if top else {"pooling": "avg"}),
        )
        try:
            candidate.load_weights(str(path))
        except Exception as error:  # Files of other kinds fail in many ways.
            problem = error
            continue
        network = candidate
        break
    if network is None:
        raise FormatError(f"{path}: holds no weights of {name}.") from problem
    if not all(np.isfinite(value).all() for value in network.get_weights()):
        raise FormatError(f"{path}: holds weights that are not finite.")
    if not top:
        tail = network
    else:
        tail = keras.Model(network.inputs, network.layers[-2].output)
    classes = network.layers[-1] if top else None

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def run(images):
        resized = tf.image.resize(images, (side, side), antialias=True)
        return tail(module.preprocess_input(resized), training=False)

    def probabilities(rows):
        return _softmax(np.asarray(classes(rows), np.float64))

    return FeatureNetwork(
        name,
        files.sha256(path),
        lambda images: run(tf.constant(images, tf.float32)).numpy(),
        probabilities if top else None,
    )


_MODULES = {
    "InceptionV3": "inception_v3",
    "Xception": "xception",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "ResNet50": "resnet50",
    "MobileNetV2": "mobilenet_v2",
}


# --- untrained ----------------------------------------------------------------------


def random_network(seed: int = 0) -> FeatureNetwork:
    """Untrained convolutions: means and deviations of their responses.

    They need no weights and know nothing of faces, yet tell textures, colours and
    shapes apart; useful to compare snapshots of one run with each other.

    Args:
      seed: of the kernels; NumPy draws them, so that they are the same everywhere.
    """
    import tensorflow as tf

    random = np.random.default_rng(seed)
    widths = (3, 32, 64, 64, 96)
    kernels = [
        random.standard_normal((3, 3, before, after), dtype=np.float32)
        * np.float32(np.sqrt(2 / (9 * before)))
        for before, after in zip(widths, widths[1:], strict=False)
    ]
    digest = hashlib.sha256(b"".join(kernel.tobytes() for kernel in kernels))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def run(images):
        responses, found = images / 127.5 - 1, []
        for kernel in kernels:
            responses = tf.nn.leaky_relu(tf.nn.conv2d(responses, kernel, 1, "SAME"))
            mean, variance = tf.nn.moments(responses, (1, 2))
            found += [mean, tf.sqrt(variance + 1e-8)]
            responses = tf.nn.avg_pool2d(responses, 2, 2, "SAME")
        return tf.concat(found, axis=1)

    return FeatureNetwork(
        RANDOM,
        digest.hexdigest(),
        lambda images: run(tf.constant(images, tf.float32)).numpy(),
    )
