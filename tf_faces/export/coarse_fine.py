"""CoarseNet and FineNet as a SavedModel.

| signature         | inputs                | outputs                          |
|-------------------|-----------------------|----------------------------------|
| `serving_default` | pictures [N, S, S, 3] | parameters [N, P], vertices      |
|                   | float32 RGB, 0..255   | [N, V, 3], coarse_depth,         |
|                   |                       | fine_depth, mask [N, S, S]       |

The rasteriser is the plain one, of standard operations.  Vertices and depths are in
pixels of the picture's frame (y down, larger z nearer).
"""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tf_faces.data.coarse_fine import pictures
from tf_faces.export import saved_model
from tf_faces.pipelines import coarse_fine as pipeline

# In assets.extra: int32 [T, 3], 0-based, counter-clockwise seen from outside.
TRIANGLES = "triangles.npy"


class ReconstructionModule(tf.Module):
    """The exported function and its variables.

    Args:
      reconstructor: opened with `implementation="reference"`.
    """

    def __init__(self, reconstructor: pipeline.Reconstructor):
        super().__init__(name="coarse_fine_export")
        network = reconstructor.network
        size = network.config.image_size
        # The variables alone, not the Keras layers around them.
        self.values = [
            variable.value for variable in network.variables_by_name().values()
        ]
        mean = reconstructor.grey_mean
        specification = tf.TensorSpec([None, size, size, 3], tf.float32, "pictures")

        @tf.function(input_signature=[specification])
        def serve(pictures_in):
            weights = tf.constant(pictures.GREY, tf.float32)
            grey = tf.reduce_sum(pictures_in * weights, axis=-1, keepdims=True)
            found = network.reconstruct(grey - mean)
            return {
                "parameters": found.parameters,
                "vertices": found.rendering.vertices,
                "coarse_depth": found.rendering.depth[..., 0],
                "fine_depth": found.fine_depth[..., 0],
                "mask": tf.cast(found.rendering.covered[..., 0], tf.float32),
            }

        self.serve = serve


def export(
    reconstructor: pipeline.Reconstructor,
    directory,
    *,
    warmup: bool = True,
) -> pathlib.Path:
    """Writes the next version of the SavedModel.

    Args:
      reconstructor: opened with `implementation="reference"`.
      directory: the folder around the versions.
      warmup: add one request.

    Returns:
      The folder of the new version.

    Raises:
      TfFacesError: if the rasteriser is the compiled one.
    """
    network = reconstructor.network
    module = ReconstructionModule(reconstructor)
    size = network.config.image_size
    card = {
        "system": "coarse_fine",
        "network": network.config.to_dict(),
        "face_model": network.renderer.model.name,
        "licence_of_face_model": network.renderer.model.licence,
        "grey_mean": reconstructor.grey_mean,
    }
    request = {"pictures": np.full((1, size, size, 3), 127, np.float32)}
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / TRIANGLES
        np.save(path, network.renderer.model.with_winding("ccw").triangles)
        return saved_model.export(
            module,
            directory,
            {"serving_default": module.serve.get_concrete_function()},
            card=card,
            warmup=[("serving_default", request)] if warmup else (),
            extra_files={TRIANGLES: path},
            model_name="coarse_fine",
        )
