"""TBGAN as a SavedModel.

| signature         | inputs                                | outputs               |
|-------------------|---------------------------------------|-----------------------|
| `serving_default` | latents [N, Z] float32, labels [N, L] | images [N, R, R, C],  |
|                   | float32                               | texture, shape,       |
|                   |                                       | normals [N, R, R, 3]  |
| `generate`        | seed [] int64, labels [N, L] float32  | the same, and latents |
|                   |                                       | [N, Z]                |

Labels are fed as they are: probabilities, for a network that was trained on softmaxed
labels (`label_softmax` in the model card).  A network without labels has no input
`labels`; its `generate` takes `count` [] int32 instead.  `shape` and `normals` are
there for 6 and 9 channels.  Everything is float32 of about [-1, 1], not clipped.
"""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.export import saved_model
from tf_faces.pipelines import tbgan

# Names of the channel groups, in their order.
MODALITIES = ("texture", "shape", "normals")


class TbganModule(tf.Module):
    """The functions and variables of the export."""

    def __init__(self, generator, level_of_detail: float):
        """Wraps a `models.tbgan.Generator`, evaluated at one level of detail."""
        super().__init__(name="tbgan")
        self._generator = generator
        self._level = level_of_detail
        # Listed plainly, so that the export holds no Keras object.
        self.weights = [
            variable.value for variable in generator.variables_by_name().values()
        ]

    def _outputs(self, latents, labels) -> dict[str, tf.Tensor]:
        images = self._generator(latents, labels, self._level)
        images = tf.cast(images, tf.float32)
        outputs = {"images": images}
        channels = self._generator.config.num_channels
        if channels % 3 == 0:
            for index, name in enumerate(MODALITIES[: channels // 3]):
                outputs[name] = images[..., 3 * index : 3 * index + 3]
        return outputs

    def signatures(self) -> dict:
        """The concrete functions by name."""
        config = self._generator.config
        latents = tf.TensorSpec([None, config.latent_size], tf.float32, "latents")
        labels = tf.TensorSpec([None, config.label_size], tf.float32, "labels")
        seed = tf.TensorSpec([], tf.int64, "seed")
        count = tf.TensorSpec([], tf.int32, "count")

        def draw(seed, number):
            return tf.random.stateless_normal(
                [number, config.latent_size], tf.stack([seed, tf.zeros_like(seed)])
            )

        if config.label_size:

            @tf.function(input_signature=[latents, labels])
            def serve(latents, labels):
                return self._outputs(latents, labels)

            @tf.function(input_signature=[seed, labels])
            def generate(seed, labels):
                drawn = draw(seed, tf.shape(labels)[0])
                return {**self._outputs(drawn, labels), "latents": drawn}

        else:

            @tf.function(input_signature=[latents])
            def serve(latents):
                return self._outputs(latents, None)

            @tf.function(input_signature=[seed, count])
            def generate(seed, count):
                drawn = draw(seed, count)
                return {**self._outputs(drawn, None), "latents": drawn}

        # Held, because a concrete function keeps neither itself nor its variables.
        self._functions = (serve, generate)
        return {
            "serving_default": serve.get_concrete_function(),
            "generate": generate.get_concrete_function(),
        }


def export(
    pipeline: tbgan.TbganPipeline,
    directory: files.PathLike,
    *,
    warmup: bool = True,
) -> pathlib.Path:
    """Writes the next version of a TBGAN.

    Args:
      pipeline: made from a run, a snapshot or a generator.
      directory: the folder around the versions.
      warmup: add one request for each signature.

    Returns:
      The folder of the new version; its assets.extra holds the UV dictionary too.

    Raises:
      InputError: if the pipeline itself comes from an export.
    """
    if pipeline.generator is None:
        raise InputError(
            f"{pipeline.source}: already an export, expected a run or a snapshot."
        )
    module = TbganModule(pipeline.generator, pipeline.level_of_detail)
    signatures = module.signatures()
    labels = pipeline.labels_for(
        np.full((1, pipeline.label_size), 1 / max(pipeline.label_size, 1))
    )
    requests: list[tuple[str, dict[str, np.ndarray]]] = []
    if warmup:
        inputs = {"latents": np.zeros((1, pipeline.latent_size), np.float32)}
        generated = {"seed": np.array(0, np.int64)}
        if pipeline.label_size:
            inputs["labels"] = generated["labels"] = labels
        else:
            generated["count"] = np.array(1, np.int32)
        requests = [("serving_default", inputs), ("generate", generated)]
    card = {
        "system": "tbgan",
        **tbgan.card_fields(pipeline),
        "config": pipeline.generator.config.to_dict(),
        "value_range": [-1.0, 1.0],
        "labels": "fed as they are; probabilities if label_softmax",
        "coordinates": (
            "images are channels last, row 0 at the top of the UV chart; vertices are "
            "shape values times the UV dictionary's scale plus its offset"
        ),
    }
    with tempfile.TemporaryDirectory() as scratch:
        extra = {}
        if pipeline.dictionary is not None:
            stored = pathlib.Path(scratch) / "uv_dictionary.npz"
            pipeline.dictionary.save(stored)
            extra["uv_dictionary.npz"] = stored
        return saved_model.export(
            module,
            directory,
            signatures,
            card=card,
            warmup=requests,
            extra_files=extra,
            model_name="tbgan",
        )
