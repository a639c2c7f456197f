"""The layers of VGG19 whose features the perceptual loss compares.

Layers are numbered as in torchvision's `features`: convolutions at 0, 2, 5, 7, ..., the
ReLU one later, maxima at 4, 9, 18, 27, 36.  Only ReLU and pooling outputs may be asked
for.  Weights are torchvision's; Keras' own are another training (BGR, no deviation).
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from tf_faces.core.errors import FormatError, InputError

_MEANS = (0.485, 0.456, 0.406)
_DEVIATIONS = (0.229, 0.224, 0.225)
_SIDE = 224
# Filters of the convolutions, and 0 for a pooling.
_PLAN = (64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4, 0)


def _numbered() -> list[tuple[int, int]]:
    """(number of its first module, filters) of every convolution and pooling."""
    found, number = [], 0
    for filters in _PLAN:
        found.append((number, filters))
        number += 2 if filters else 1
    return found


CONVOLUTIONS = tuple(number for number, filters in _numbered() if filters)
# Outputs that may be compared.
LAYERS = tuple(number + 1 if filters else number for number, filters in _numbered())


def require_layers(layers: Sequence[int]) -> None:
    """Refuses numbers that are no ReLU or pooling output.

    Raises:
      InputError: naming the first of them.
    """
    for number in layers:
        if number not in LAYERS:
            known = ", ".join(map(str, LAYERS))
            raise InputError(
                f"p_loss_features: found {number}, expected outputs of a ReLU or "
                f"pooling of VGG19: {known}."
            )
    if not layers:
        raise InputError("p_loss_features: found none, expected at least one layer.")


class VGG19Features:
    """VGG19 up to the last layer that is asked for, with frozen weights.

    Args:
      tensors: {"features.<number>.weight" or "blocks.<number>.weight", and bias},
        PyTorch's layout; more may be in it.
      layers: numbers whose outputs are returned, from `LAYERS`.
      source: the file, for messages.

    Raises:
      FormatError: for a missing or mis-shaped tensor.
    """

    def __init__(
        self,
        tensors: Mapping[str, np.ndarray],
        layers: Sequence[int] = (8,),
        source: str = "VGG19",
    ):
        require_layers(layers)
        self.layers = tuple(layers)
        self._steps = []
        inward = 3
        for number, filters in _numbered():
            if number > max(self.layers):
                break
            if not filters:
                self._steps.append((number, None, None))
                continue
            kernel = _tensor(tensors, number, "weight", (filters, inward, 3, 3), source)
            bias = _tensor(tensors, number, "bias", (filters,), source)
            self._steps.append(
                (
                    number + 1,
                    keras.Variable(kernel.transpose(2, 3, 1, 0), trainable=False),
                    keras.Variable(bias, trainable=False),
                )
            )
            inward = filters

    @staticmethod
    def prepare(images):
        """Subtracts ImageNet's means, divides by its deviations, resizes to 224."""
        scaled = (images - ops.array(_MEANS)) / ops.array(_DEVIATIONS)
        return ops.image.resize(
            scaled, (_SIDE, _SIDE), interpolation="bilinear", antialias=False
        )

    def __call__(self, images) -> list:
        """Features of pictures [N, H, W, 3], one tensor a layer in `layers`."""
        features = self.prepare(images)
        found = {}
        for number, kernel, bias in self._steps:
            if kernel is None:
                features = ops.max_pool(features, 2, 2, padding="valid")
            else:
                features = ops.relu(ops.conv(features, kernel, padding="same") + bias)
            found[number] = features
        return [found[number] for number in self.layers]


def _tensor(tensors, number, leaf, shape, source) -> np.ndarray:
    for prefix in ("features", "blocks"):
        value = tensors.get(f"{prefix}.{number}.{leaf}")
        if value is None:
            continue
        if value.shape != shape or value.dtype.kind != "f":
            raise FormatError(
                f"{source}: {prefix}.{number}.{leaf} has shape {list(value.shape)}, "
                f"expected {list(shape)} of VGG19."
            )
        return np.asarray(value, np.float32)
    raise FormatError(
        f"{source}: lacks the tensor 'features.{number}.{leaf}' of torchvision's VGG19."
    )


def random_features(layers: Sequence[int] = (8,), seed: int = 0) -> VGG19Features:
    """VGG19 with random (He) weights: for experiments without torchvision's.

    Its features tell textures apart but know nothing of faces.
    """
    tensors, inward = {}, 3
    rng = np.random.default_rng(seed)
    for number, filters in _numbered():
        if filters:
            drawn = rng.standard_normal((filters, inward, 3, 3), np.float32)
            scale = np.float32(np.sqrt(2.0 / (9 * inward)))
            tensors[f"features.{number}.weight"] = drawn * scale
            tensors[f"features.{number}.bias"] = np.zeros(filters, np.float32)
            inward = filters
    return VGG19Features(tensors, layers, "random VGG19")
