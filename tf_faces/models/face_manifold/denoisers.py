"""The denoising autoencoders of Face Manifold.

Small one-dimensional convolutional networks over the vector of face coefficients,
without any activation function: the only non-linearity is which element of each pair
the max pooling picks, and the unpooling puts it back where it was.  From "Face
Manifold: Manifold Learning for Synthetic Face Generation", arXiv 1910.01403,
`training/network.py` of the original.
"""

import math

import keras
import numpy as np
from keras import ops

from tf_faces.core.errors import InputError
from tf_faces.models.face_manifold.config import ARCHITECTURES, DenoiserConfig
from tf_faces.models.face_manifold.pooling import MaxPoolWithIndices, MaxUnpool

KERNEL_SIZE = 3
# Faces that pass the network in one piece; larger pieces leave the processor's cache.
FACES_A_PIECE = 512


@keras.saving.register_keras_serializable("tf_faces")
class FanInUniform(keras.initializers.Initializer):
    """Uniform within +-1/sqrt(fan): how PyTorch starts convolutions and their biases.

    Args:
      fan: incoming connections; for a transposed convolution PyTorch counts its
        outgoing channels here.
      seed: an integer, None for a random one.
    """

    def __init__(self, fan: int, seed: int | None = None):
        self.fan = fan
        self.seed = seed
        bound = 1.0 / math.sqrt(fan)
        self._uniform = keras.initializers.RandomUniform(-bound, bound, seed=seed)

    def __call__(self, shape, dtype=None):
        return self._uniform(shape, dtype)

    def get_config(self):
        return {"fan": self.fan, "seed": self.seed}


class Denoiser(keras.Model):
    """Maps corrupted coefficient vectors to plausible ones.

    `denoiser(x)` works in the unit of the network, `denoiser.denoise(x)` in raw
    coefficients.  The kernels are [3, in, out] of ordinary zero-padded correlations
    for encoder and decoder alike (a transposed convolution of stride 1 is one with its
    kernel reversed); `tf_faces.convert.face_manifold` changes layouts.

    Args:
      config: see `DenoiserConfig`.
      seed: of the initial weights; None draws other ones each time.

    Call arguments:
      inputs: [N, L] float, in units of `config.unit`.

    Returns:
      [N, L].
    """

    def __init__(
        self,
        config: DenoiserConfig | None = None,
        seed: int | None = None,
        **keywords,
    ):
        config = DenoiserConfig() if config is None else config
        # A name of its own, so that variables are called the same in every process.
        keywords.setdefault("name", f"{config.group}_denoiser")
        super().__init__(**keywords)
        self.config = config
        self.seed = seed
        channels, padding, _ = ARCHITECTURES[self.config.architecture]
        self._padding = padding
        levels = len(channels)
        inward = (1, *channels)
        self._convolutions: list[keras.layers.Conv1D] = []
        self._pools: list[MaxPoolWithIndices] = []
        self._unpools: list[MaxUnpool] = []
        self._deconvolutions: list[keras.layers.Conv1D] = []
        length = self.config.length
        for level in range(levels):
            fan = inward[level] * KERNEL_SIZE
            self._convolutions.append(
                self._convolution(
                    f"conv_{level + 1}", inward[level + 1], fan, 2 * level
                )
            )
            length += 2 * padding - (KERNEL_SIZE - 1)
            self._pools.append(MaxPoolWithIndices(name=f"pool_{level + 1}"))
            self._unpools.insert(0, MaxUnpool(length, name=f"unpool_{levels - level}"))
            length //= 2
        for level in range(levels):
            out = inward[levels - 1 - level]
            self._deconvolutions.append(
                self._convolution(
                    f"deconv_{level + 1}", out, out * KERNEL_SIZE, 2 * (levels + level)
                )
            )
        self.build((None, self.config.length))

    def _convolution(self, name, channels, fan, number):
        def initializer(offset):
            seed = None if self.seed is None else self.seed * 1009 + number + offset
            return FanInUniform(fan, seed)

        return keras.layers.Conv1D(
            channels,
            KERNEL_SIZE,
            padding="same" if self._padding else "valid",
            kernel_initializer=initializer(0),
            bias_initializer=initializer(1),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape):
        del input_shape  # The configuration says it.
        channels = 1
        for layer in (*self._convolutions, *self._deconvolutions):
            layer.build((None, None, channels))
            channels = layer.filters
        self.built = True

    def stages(self, inputs) -> dict[str, object]:
        """Returns every intermediate tensor by name, channels last, in order.

        Names: conv_i, pool_i, idx_i, unpool_j, deconv_j; the last one, squeezed, is
        the network's output.
        """
        shape = tuple(inputs.shape)
        if len(shape) != 2 or shape[1] != self.config.length:
            raise InputError(
                f"inputs of the {self.config.group} denoiser must have shape "
                f"[N, {self.config.length}]. Received: {shape}"
            )
        found = {}
        flow = ops.expand_dims(inputs, 2)  # N L 1
        indices = []
        for level, (convolution, pool) in enumerate(
            zip(self._convolutions, self._pools, strict=True), 1
        ):
            found[f"conv_{level}"] = flow = convolution(flow)
            flow, positions = pool(flow)
            found[f"pool_{level}"], found[f"idx_{level}"] = flow, positions
            indices.append(positions)
        for level, (unpool, deconvolution) in enumerate(
            zip(self._unpools, self._deconvolutions, strict=True), 1
        ):
            found[f"unpool_{level}"] = flow = unpool(flow, indices.pop())
            if not self._padding:
                # The full correlation of a transposed convolution without padding.
                edge = KERNEL_SIZE - 1
                flow = ops.pad(flow, ((0, 0), (edge, edge), (0, 0)))
            found[f"deconv_{level}"] = flow = deconvolution(flow)
        return found

    def call(self, inputs):
        return ops.squeeze(self.stages(inputs)[f"deconv_{len(self._pools)}"], 2)

    def denoise(self, coefficients, piece: int = FACES_A_PIECE) -> np.ndarray:
        """Denoises raw coefficients, any number of faces.

        Args:
          coefficients: [N, L] array, raw (not divided by the unit).
          piece: faces that pass the network at once.

        Returns:
          float32 [N, L], raw.

        Raises:
          InputError: for another shape, or a number that is not finite.
        """
        coefficients = np.asarray(coefficients)
        if coefficients.ndim != 2 or coefficients.shape[1] != self.config.length:
            raise InputError(
                f"{self.config.group} coefficients must have shape "
                f"[N, {self.config.length}]. Received: {coefficients.shape}"
            )
        if not np.isfinite(coefficients).all():
            row = int(np.argwhere(~np.isfinite(coefficients))[0, 0])
            raise InputError(
                f"{self.config.group} coefficients of face {row} (from 0) hold a "
                "number that is not finite."
            )
        scaled = (coefficients / self.config.unit).astype(np.float32)
        result = np.empty(scaled.shape, np.float32)
        for start in range(0, len(scaled), piece):
            part = scaled[start : start + piece]
            missing = min(piece, len(scaled)) - len(part)
            if missing:
                # One shape for all pieces, so that the graph is made once.
                part = np.concatenate(
                    [part, np.zeros((missing, part.shape[1]), part.dtype)]
                )
            output = self._run(part)
            stop = min(start + piece, len(scaled))
            result[start:stop] = output[: stop - start]
        return result * np.float32(self.config.unit)

    def _run(self, part: np.ndarray) -> np.ndarray:
        return np.asarray(self.predict_on_batch(part))

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """Returns the variables by their names in the original's state_dict."""
        found = {}
        for layer in (*self._convolutions, *self._deconvolutions):
            found[f"{layer.name}.weight"] = layer.kernel
            found[f"{layer.name}.bias"] = layer.bias
        return found

    def get_config(self):
        return {"config": self.config.to_dict(), "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(DenoiserConfig.from_dict(config.pop("config")), **config)


def create(config: DenoiserConfig | None = None, seed: int | None = None) -> Denoiser:
    """Returns a fresh denoiser for `config`."""
    return Denoiser(config, seed=seed)
