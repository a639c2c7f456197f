"""Face Manifold as a SavedModel.

| signature         | inputs                            | outputs                     |
|-------------------|-----------------------------------|-----------------------------|
| `serving_default` | shape [N, Ks], expression [N, Ke] | the same, made plausible    |
| `generate`        | seed [] int64, count [] int32,    | shape, expression of random |
|                   | width [] float32                  | plausible faces             |
| `vertices`        | shape [N, Ks], expression [N, Ke] | vertices [N, V, 3]          |

All numbers but seed and count are float32.  Coefficients are raw: the units of the
networks are part of the graph.  With one denoiser only, `serving_default` takes and
returns its group alone.  `generate` and `vertices` are there if a face model was given;
`generate` draws both groups uniformly over `width` deviations, and leaves a group
without denoiser normal.  Vertices are in the model's unit.
"""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import random_faces, samplers
from tf_faces.export import saved_model
from tf_faces.models.face_manifold import denoisers
from tf_faces.morphable.model import MorphableModel
from tf_faces.pipelines import face_manifold as pipeline

GROUPS = random_faces.MODES["both"]
# In assets.extra: int32 [T, 3], 0-based, wound as the model's.
TRIANGLES = "triangles.npy"


class FaceManifoldFunctions:
    """The functions of the export, and a module with their variables.

    Not a module itself, so that the export holds variables but no Keras object.

    Attributes:
      module: what is exported.
    """

    def __init__(
        self, manifold: pipeline.FaceManifold, model: MorphableModel | None = None
    ):
        """Wraps the denoisers that `manifold` has, and a face model of raw kind."""
        self._denoisers = {
            group: manifold.denoiser(group)
            for group in GROUPS
            if getattr(manifold, group) is not None
        }
        if not self._denoisers:
            raise InputError("no denoiser was given, expected one or two.")
        self.module = tf.Module(name="face_manifold")
        self.module.weights = [
            variable.value
            for denoiser in self._denoisers.values()
            for variable in denoiser.variables_by_name().values()
        ]
        self._lengths = {
            group: denoiser.config.length for group, denoiser in self._denoisers.items()
        }
        self._deviations: dict[str, np.ndarray] = {}
        if model is not None:
            self._take_model(model)

    def _take_model(self, model: MorphableModel) -> None:
        deviations = random_faces.SamplingDeviations.of_model(model)
        for group in GROUPS:
            found = samplers.sampling_deviations(group, deviations.group(group))
            expected = self._lengths.get(group, len(found))
            if len(found) != expected:
                raise InputError(
                    f"the {group} denoiser takes {expected} coefficients, the face "
                    f"model {model.name!r} has {len(found)}; expected the model it was "
                    "trained for."
                )
            self._deviations[group] = found
        # Variables, because a graph may not hold constants beyond two gigabytes.
        self._neutral = tf.Variable(model.neutral.reshape(-1), trainable=False)
        self._bases = {
            group: tf.Variable(
                np.asarray(getattr(model, f"{group}_basis")).reshape(
                    3 * model.vertex_count, -1
                ),
                trainable=False,
            )
            for group in GROUPS
        }
        self.module.face_model = [self._neutral, *self._bases.values()]

    def _plausible(self, group: str, coefficients) -> tf.Tensor:
        denoiser: denoisers.Denoiser = self._denoisers[group]
        unit = denoiser.config.unit
        return denoiser(coefficients / unit) * unit

    def signatures(self) -> dict:
        """The concrete functions by name."""
        specifications = {
            group: tf.TensorSpec([None, length], tf.float32, group)
            for group, length in self._lengths.items()
        }

        @tf.function
        def serve(**coefficients):
            return {
                group: self._plausible(group, values)
                for group, values in coefficients.items()
            }

        functions = {"serving_default": serve.get_concrete_function(**specifications)}
        # Held, because a concrete function does not keep the function it belongs to.
        self._functions = [serve]
        if self._deviations:
            functions |= self._model_signatures()
        return functions

    def _model_signatures(self) -> dict:
        count = self._neutral.shape[0] // 3
        coefficients = [
            tf.TensorSpec([None, len(self._deviations[group])], tf.float32, group)
            for group in GROUPS
        ]

        @tf.function(
            input_signature=[
                tf.TensorSpec([], tf.int64, "seed"),
                tf.TensorSpec([], tf.int32, "count"),
                tf.TensorSpec([], tf.float32, "width"),
            ]
        )
        def generate(seed, count, width):
            drawn = {}
            for stream, group in enumerate(GROUPS):
                deviations = self._deviations[group]
                keys = tf.stack([seed, tf.constant(stream, tf.int64)])
                size = [count, len(deviations)]
                if group in self._denoisers:
                    box = tf.random.stateless_uniform(size, keys) - 0.5
                    drawn[group] = self._plausible(group, box * width * deviations)
                else:
                    drawn[group] = tf.random.stateless_normal(size, keys) * deviations
            return drawn

        @tf.function(input_signature=coefficients)
        def vertices(shape, expression):
            flat = (
                self._neutral
                + tf.matmul(shape, self._bases["shape"], transpose_b=True)
                + tf.matmul(expression, self._bases["expression"], transpose_b=True)
            )
            return {"vertices": tf.reshape(flat, [-1, count, 3])}

        self._functions += [generate, vertices]
        return {
            "generate": generate.get_concrete_function(),
            "vertices": vertices.get_concrete_function(),
        }

    def card(self) -> dict:
        """What the model card says of the networks."""
        return {
            "denoisers": {
                group: denoiser.config.to_dict()
                for group, denoiser in self._denoisers.items()
            },
            "coefficients": "raw: they multiply the bases of the face model",
        }

    def requests(self) -> list[tuple[str, dict[str, np.ndarray]]]:
        """One warm-up request for each signature."""
        zeros = {
            group: np.zeros((1, length), np.float32)
            for group, length in self._lengths.items()
        }
        found: list[tuple[str, dict[str, np.ndarray]]] = [("serving_default", zeros)]
        if self._deviations:
            found.append(
                (
                    "generate",
                    {
                        "seed": np.array(0, np.int64),
                        "count": np.array(1, np.int32),
                        "width": np.array(samplers.DEFAULT_RANGE, np.float32),
                    },
                )
            )
            neutral = {
                group: np.zeros((1, len(deviations)), np.float32)
                for group, deviations in self._deviations.items()
            }
            found.append(("vertices", neutral))
        return found


def export(
    manifold: pipeline.FaceManifold,
    directory: files.PathLike,
    *,
    model: MorphableModel | None = None,
    warmup: bool = True,
) -> pathlib.Path:
    """Writes the next version of a Face Manifold.

    Args:
      manifold: one denoiser or two.
      directory: the folder around the versions.
      model: face model in `raw_form.coefficient_model` form; adds
        `generate` and `vertices`, and its bases to the file.
      warmup: add one request for each signature.

    Returns:
      The folder of the new version; its assets.extra holds a model's triangles too.

    Raises:
      InputError: if there is no denoiser, or the model has other lengths.
    """
    functions = FaceManifoldFunctions(manifold, model)
    card = {"system": "face_manifold", **functions.card()}
    extra = {}
    with tempfile.TemporaryDirectory() as scratch:
        if model is not None:
            card["face_model"] = {
                "name": model.name,
                "unit": model.unit,
                "vertices": model.vertex_count,
            }
            extra[TRIANGLES] = pathlib.Path(scratch) / TRIANGLES
            np.save(extra[TRIANGLES], np.asarray(model.triangles))
        return saved_model.export(
            functions.module,
            directory,
            functions.signatures(),
            card=card,
            warmup=functions.requests() if warmup else (),
            extra_files=extra,
            model_name="face_manifold",
        )
