"""The network of the recordings: weights drawn by name, as their README prescribes."""

import numpy as np
import tensorflow as tf

from tests.golden import drawing
from tf_faces.models import prnet

MAXIMUM_POSITION = 281.6
TRAINING_SCALE = np.float32(1.1)


def drawn(name: str, shape: tuple[int, ...], suffix: str) -> np.ndarray:
    """The float32 value of a variable."""
    generator = drawing.generator(name + suffix)
    layer, kind = name.split("/")[-3], name.split("/")[-1]
    if kind == "weights":
        inward = shape[3] if "Conv2d_transpose" in name else shape[2]
        value = generator.standard_normal(shape) * np.sqrt(
            2 / (shape[0] * shape[1] * inward)
        )
    elif kind == "gamma":
        value = 1 + 0.1 * generator.standard_normal(shape)
    elif kind == "moving_variance":
        value = 0.5 + generator.random(shape)
        if layer.startswith("resBlock"):
            value = value + 1.0
        if layer.startswith("Conv2d_transpose"):
            value = value * 0.7
    else:
        assert kind in ("beta", "moving_mean")
        value = 0.1 * generator.standard_normal(shape)
    return value.astype(np.float32)


def make(folder, dtype: str = "float32") -> prnet.PositionMapNetwork:
    """The network of the set of recordings in `folder`."""
    suffix = drawing.recording_set(folder)["weight_name_suffix"]
    network = prnet.create(dtype=dtype)
    for name, variable in network.variables_by_name().items():
        variable.assign(drawn(name, tuple(variable.shape), suffix))
    return network


def training_batch(arrays) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels of the recorded training steps, [2, 256, 256, 3] float32."""
    picture = arrays["input_u8"][..., ::-1].astype(np.float32)
    pictures = np.stack([picture, picture[:, ::-1]])
    column, row = np.meshgrid(*[np.arange(256, dtype=np.float32)] * 2)
    first = np.stack(
        [
            0.8 * column + 20,
            0.9 * row + 10,
            60 + 50 * np.cos((column - 128) / 80) * np.cos((row - 100) / 90),
        ],
        axis=-1,
    )
    second = np.stack(
        [255 - first[..., 0], 1.05 * first[..., 1] - 8, 0.9 * first[..., 2]], axis=-1
    )
    labels = np.stack([first, second]).astype(np.float32)
    return tuple(x / np.float32(256) / TRAINING_SCALE for x in (pictures, labels))


def squared_error(output, label, weights):
    """PRNet-Train's loss: the mean over batch, pixels and channels of W > 0."""
    weights = tf.cast(weights, output.dtype)[None, :, :, None]
    total = tf.reduce_sum(weights * tf.square(output - tf.cast(label, output.dtype)))
    count = tf.math.count_nonzero(weights, dtype=output.dtype)
    return total / (count * output.shape[0] * output.shape[-1])
