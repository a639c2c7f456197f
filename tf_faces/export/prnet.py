"""PRNet as a SavedModel.

| signature         | inputs                                                       |
|-------------------|--------------------------------------------------------------|
| `serving_default` | crops [N, R, R, 3], RGB in 0..1                              |
| `images`          | images [N], bytes of JPEG or PNG files; boxes [N, 4], (left, |
|                   | right, top, bottom) in their pixels                          |

Both return position_map [N, M, M, 3], vertices [N, V, 3] and landmarks [N, 68, 3],
float32 (x, y, z) with y down: crop pixels from `serving_default`, the picture's own
pixels from `images`.  Norms are folded; all operations are TensorFlow's own.
"""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.export import saved_model
from tf_faces.geometry import cropping
from tf_faces.models.prnet import inference

# In assets.extra: int32 [T, 3] into the vertices.
TRIANGLES = "triangles.npy"


class PrnetFunctions(tf.Module):
    """The functions of the export.

    Args:
      network: with folded norms.
      layout: of its maps.
    """

    def __init__(self, network: inference.FoldedNetwork, layout: MapLayout):
        super().__init__(name="prnet")
        self._network = network
        self._layout = layout.resized(network.config.map_resolution)
        config = network.config
        self._pixels = tf.constant(self._layout.indices, tf.int32)
        self._marks = tf.constant(self._layout.landmark_vertices, tf.int32)
        # The network divides the levels 0..255 by a number of its own.
        self._scale = 255.0 / config.divisor
        size = config.resolution
        crops = tf.TensorSpec([None, size, size, 3], tf.float32, "crops")
        self.from_crops = tf.function(self._from_crops, input_signature=[crops])
        images = tf.TensorSpec([None], tf.string, "images")
        boxes = tf.TensorSpec([None, 4], tf.float32, "boxes")
        self.from_images = tf.function(
            self._from_images, input_signature=[images, boxes]
        )

    def _positions(self, crops):
        if self._network.config.color_order == "bgr":
            crops = tf.reverse(crops, [-1])
        maps = self._network.forward(crops * self._scale)
        return maps * self._network.config.position_scale

    def _results(self, maps):
        side = self._network.config.map_resolution
        flat = tf.reshape(maps, [-1, side * side, 3])
        vertices = tf.gather(flat, self._pixels, axis=1)
        return {
            "position_map": maps,
            "vertices": vertices,
            "landmarks": tf.gather(vertices, self._marks, axis=1),
        }

    def _from_crops(self, crops):
        return self._results(self._positions(crops))

    def _from_images(self, images, boxes):
        left, right, top, bottom = tf.unstack(boxes, axis=1)
        mean_side = (right - left + bottom - top) / 2
        size = tf.floor(mean_side * cropping.BOX_FACTOR)
        corner = tf.stack([(left + right - size) / 2, (top + bottom - size) / 2], 1)
        step = size / (self._network.config.resolution - 1)

        def cut(item):
            image = tf.io.decode_image(item[0], 3, expand_animations=False)
            return self._cut(tf.cast(image, tf.float32) / 255.0, item[1], item[2])

        shape = [self._network.config.resolution] * 2 + [3]
        crops = tf.map_fn(
            cut,
            (images, corner, step),
            fn_output_signature=tf.TensorSpec(shape, tf.float32),
        )
        maps = self._positions(crops)
        scale = step[:, None, None, None]
        moved = maps * scale
        offset = tf.pad(corner, [[0, 0], [0, 1]])[:, None, None, :]
        return self._results(moved + offset)

    def _cut(self, image, corner, step):
        """Bilinear, 0 outside: as `geometry.cropping.SquareCrop.cut`."""
        steps = tf.range(self._network.config.resolution, dtype=tf.float32) * step
        x, y = corner[0] + steps, corner[1] + steps
        rows = self._weights(y, tf.shape(image)[0])
        columns = self._weights(x, tf.shape(image)[1])
        return tf.einsum("rh,hwc,sw->rsc", rows, image, columns)

    @staticmethod
    def _weights(positions, count):
        """[R, count]: what each pixel gives to each position."""
        grid = tf.range(tf.cast(count, tf.float32), dtype=tf.float32)
        return tf.nn.relu(1.0 - tf.abs(positions[:, None] - grid[None]))


def export(
    network: inference.FoldedNetwork,
    layout: MapLayout,
    directory: files.PathLike,
    *,
    warmup: bool = True,
) -> pathlib.Path:
    """Writes the next version of the SavedModel; returns its folder.

    Args:
      network: with folded norms, see `models.prnet.inference.fold`.
      layout: of its maps; its triangles go along as `triangles.npy`.
      directory: around the versions.
      warmup: add a request that a server replays when it starts.
    """
    functions = PrnetFunctions(network, layout)
    size = network.config.resolution
    request = {"crops": np.zeros((1, size, size, 3), np.float32)}
    resized = layout.resized(network.config.map_resolution)
    with tempfile.TemporaryDirectory() as folder:
        triangles = pathlib.Path(folder) / TRIANGLES
        np.save(triangles, resized.triangles)
        return saved_model.export(
            functions,
            directory,
            {
                "serving_default": functions.from_crops.get_concrete_function(),
                "images": functions.from_images.get_concrete_function(),
            },
            card={"system": "prnet", "network": network.config.to_dict()},
            warmup=[("serving_default", request)] if warmup else (),
            extra_files={TRIANGLES: triangles},
        )
