"""ParFace as a SavedModel.

| signature         | inputs                    | outputs                         |
|-------------------|---------------------------|---------------------------------|
| `serving_default` | images [N, S, S, 3] uint8 | landmarks [N, K, 2], scores     |
|                   |                           | [N, K], landmarks_3d [N, K, 3], |
|                   |                           | latents [N, Z]                  |
| `bytes`           | image_bytes [N] string    | landmarks, scores, landmarks_3d |
| `reconstruct`     | images [N, S, S, 3] uint8 | reconstructions, the same shape |

Landmarks of `serving_default` are in pixels of the given crops.  `bytes` takes JPEG or
PNG files of single faces, squeezes each to the network's square (bicubic) and returns
pixels of each file's own size.  Heat maps are smoothed before decoding; depths are
those of the raw maps.
"""

import pathlib

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.data.parface.samples import CHANNEL_MEANS
from tf_faces.export import saved_model, weights
from tf_faces.models.parface import heatmaps
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training.parface import weights as stored

# Networks that nothing but training asks.
_OF_TRAINING = ("D", "D_z")


class ParFaceFunctions:
    """The functions of the export, and a module with their variables."""

    def __init__(self, networks: ParFaceNetworks):
        self.networks = networks
        self.module = tf.Module(name="parface")
        self.module.weights = [
            variable.value for variable in networks.named_tensors().values()
        ]
        self._held: list = []

    def _input(self, images):
        scaled = tf.cast(images, tf.float32) / 255.0
        return scaled - CHANNEL_MEANS if self.networks.config.normalized else scaled

    def _landmarks(self, given):
        nets, size = self.networks, self.networks.config.input_size
        latents, _, raw = nets.reconstruct_with_heatmaps(given)
        maps = heatmaps.smooth(raw)
        plane = heatmaps.decode(maps, size, nets.config.decoding)
        depths = heatmaps.depth_to_pixels(nets.depth_head(raw, latents))
        return {
            "landmarks": plane,
            "landmarks_3d": tf.concat([plane, depths[..., None]], axis=-1),
            "scores": heatmaps.scores(maps),
            "latents": latents,
        }

    def signatures(self) -> dict:
        """The concrete functions by name."""
        size = self.networks.config.input_size
        images = tf.TensorSpec([None, size, size, 3], tf.uint8, "images")
        contents = tf.TensorSpec([None], tf.string, "image_bytes")

        @tf.function(input_signature=[images])
        def serve(images):
            return self._landmarks(self._input(images))

        @tf.function(input_signature=[images])
        def reconstruct(images):
            config = self.networks.config
            drawn = self.networks.decoder(self.networks.encoder(self._input(images)))
            if config.normalized:
                drawn = drawn + CHANNEL_MEANS
            levels = tf.clip_by_value(drawn, 0.0, 1.0) * 255.0
            return {"reconstructions": tf.cast(levels, tf.uint8)}

        @tf.function(input_signature=[contents])
        def serve_bytes(image_bytes):
            squares, sizes = tf.map_fn(
                self._decoded,
                image_bytes,
                fn_output_signature=(
                    tf.TensorSpec([size, size, 3], tf.float32),
                    tf.TensorSpec([2], tf.float32),
                ),
            )
            found = self._landmarks(self._input(squares))
            scale = sizes[:, None, :] / size
            depth_scale = scale[..., 1:]
            plane = found["landmarks"] * scale
            depths = found["landmarks_3d"][..., 2:] * depth_scale
            return {
                "landmarks": plane,
                "landmarks_3d": tf.concat([plane, depths], axis=-1),
                "scores": found["scores"],
            }

        # Held, because a concrete function does not keep the function it belongs to.
        self._held = [serve, reconstruct, serve_bytes]
        return {
            "serving_default": serve.get_concrete_function(),
            "reconstruct": reconstruct.get_concrete_function(),
            "bytes": serve_bytes.get_concrete_function(),
        }

    def _decoded(self, content):
        """A file's picture squeezed to the square, and its (width, height)."""
        size = self.networks.config.input_size
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        square = tf.image.resize(image, [size, size], method="bicubic")
        return tf.clip_by_value(square, 0.0, 255.0), tf.reverse(shape, [0])

    def card(self) -> dict:
        """What the model card says of the networks."""
        return {
            "system": "parface",
            "networks": self.networks.config.to_dict(),
            "landmarks": "pixels, x right, y down; depth larger is nearer",
        }


def export(
    networks: ParFaceNetworks,
    directory: files.PathLike,
    *,
    warmup: bool = True,
    extra_files=None,
) -> pathlib.Path:
    """Writes the next version of ParFace.

    Args:
      networks: trained ones.
      directory: the folder around the versions.
      warmup: add a request that a server replays when it starts.
      extra_files: name in assets.extra -> file that is copied there.

    Returns:
      The folder of the new version.
    """
    functions = ParFaceFunctions(networks)
    size = networks.config.input_size
    request = {"images": np.zeros((1, size, size, 3), np.uint8)}
    return saved_model.export(
        functions.module,
        directory,
        functions.signatures(),
        card=functions.card(),
        warmup=[("serving_default", request)] if warmup else (),
        extra_files=extra_files,
        model_name="parface",
    )


def write_weights(run: pathlib.Path, output: pathlib.Path) -> pathlib.Path:
    """Writes the networks of a run without discriminators, in half precision.

    Args:
      run: folder of a run.
      output: folder that is made.

    Raises:
      InputError: if the run has no networks yet, or there is something at `output`.
      FormatError: if a file is damaged or a weight too large.
    """
    path = stored.find(str(run))
    arrays = {
        name: files.halved(values, f"{path}: {name}")
        for name, values in files.load_npz(path).items()
        if name.partition(".")[0] not in _OF_TRAINING
    }
    with files.atomic_directory(output) as folder:
        place = folder / stored.FOLDER / path.parent.name
        place.mkdir(parents=True)
        files.write_npz(place / stored.NAME, False, **arrays)
        meta = files.require_file(path.parent / stored.META, "file of the run")
        files.write_bytes(place / stored.META, meta.read_bytes())
        weights.finish(pathlib.Path(run), folder)
    return output
