"""The inner loop of the original's dataset_tool, transcribed plainly: a yardstick.

One sample after another is read, halved level by level, put into a `tf.train.Example`
and written by TensorFlow; no checks, no checksums of files, nothing made permanent.
"""

import pathlib
import pickle
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image


def load(item) -> np.ndarray:
    """Texture, shape and normals of a `CoupledItem`: float32 [9, R, R]."""
    with Image.open(item.texture) as picture:
        texture = np.asarray(picture).transpose(2, 0, 1)
    texture = (texture * (1.0 / 255)).astype(np.float32) * 2 - 1
    parts = [texture]
    for path in (item.shape, item.normals):
        with open(path, "rb") as stream:
            parts.append(pickle.load(stream))
    return np.concatenate(parts).astype(np.float32)


def _example(image: np.ndarray) -> bytes:
    shape = tf.train.Feature(int64_list=tf.train.Int64List(value=image.shape))
    data = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()]))
    features = tf.train.Features(feature={"shape": shape, "data": data})
    return tf.train.Example(features=features).SerializeToString()


def write(folder: pathlib.Path, items: Sequence) -> list[pathlib.Path]:
    """Writes a file for every resolution, the largest first, and returns them."""
    paths, writers = [], []
    for item in items:
        image = load(item)
        if not writers:
            sides = [image.shape[1] >> k for k in range(image.shape[1].bit_length())]
            names = [f"r{side.bit_length() - 1:02d}" for side in sides if side >= 4]
            paths = [folder / f"plain-{name}.tfrecords" for name in names]
            writers = [tf.io.TFRecordWriter(str(path)) for path in paths]
        for level, writer in enumerate(writers):
            if level:
                image = (
                    image[:, 0::2, 0::2]
                    + image[:, 0::2, 1::2]
                    + image[:, 1::2, 0::2]
                    + image[:, 1::2, 1::2]
                ) * np.float32(0.25)
            writer.write(_example(image))
    for writer in writers:
        writer.close()
    return paths
