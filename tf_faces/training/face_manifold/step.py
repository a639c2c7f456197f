"""One optimisation step of a Face Manifold denoiser, and its two kinds of Adam."""

import keras
import numpy as np
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.models.face_manifold import denoisers

# Rows that are validated at once.
_VALIDATION_PIECE = 4096


class Torch2Adam(keras.optimizers.Adam):
    """Adam as PyTorch has it since 1.3: epsilon is added to the corrected root.

    update = lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + epsilon); Keras, like
    PyTorch 1.0.1, adds epsilon before the correction.
    """

    def update_step(self, gradient, variable, learning_rate):
        ops = keras.ops
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        first_correction = 1 - ops.power(ops.cast(self.beta_1, variable.dtype), step)
        second_correction = 1 - ops.power(ops.cast(self.beta_2, variable.dtype), step)
        index = self._get_variable_index(variable)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        root = ops.sqrt(square) / ops.sqrt(second_correction) + self.epsilon
        self.assign_sub(variable, rate / first_correction * mean / root)


def make_optimizer(
    variant: str, learning_rate: float, variables
) -> keras.optimizers.Optimizer:
    """Returns a built Adam, betas 0.9 and 0.999, epsilon 1e-8.

    Args:
      variant: "torch1", the rule of PyTorch 1.0.1 and Keras, or "torch2", today's.
      learning_rate: may be changed later by assigning to `.learning_rate`.
      variables: what it will update.
    """
    kinds = {"torch1": keras.optimizers.Adam, "torch2": Torch2Adam}
    if variant not in kinds:
        raise InputError(
            f"--config.train.adam: found {variant!r}, expected torch1 or torch2."
        )
    optimizer = kinds[variant](
        learning_rate=learning_rate,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        # Keras counts optimizers otherwise, and a snapshot keeps the names.
        name="adam",
    )
    optimizer.build(list(variables))
    return optimizer


def loss_and_gradients(denoiser: denoisers.Denoiser, noisy, labels):
    """Returns the mean squared error over all elements, and its gradients by variable.

    Args:
      denoiser: the network.
      noisy, labels: float32 [B, L] in the network's unit.
    """
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(denoiser(noisy, training=True) - labels))
    variables = [variable.value for variable in denoiser.variables_by_name().values()]
    return loss, tape.gradient(loss, variables)


class DenoiserStep:
    """One optimisation step as a compiled function: step(noisy, labels) -> loss."""

    def __init__(
        self,
        denoiser: denoisers.Denoiser,
        optimizer: keras.optimizers.Optimizer,
        xla: bool = False,
    ):
        length = denoiser.config.length
        rows = tf.TensorSpec([None, length], tf.float32)
        variables = list(denoiser.variables_by_name().values())

        @tf.function(input_signature=[rows, rows], jit_compile=xla or None)
        def step(noisy, labels):
            loss, gradients = loss_and_gradients(denoiser, noisy, labels)
            optimizer.apply(gradients, variables)
            return loss

        @tf.function(input_signature=[rows, rows])
        def errors(noisy, labels):
            return tf.reduce_mean(tf.square(denoiser(noisy) - labels), axis=1)

        self._step = step
        self._errors = errors

    def __call__(self, noisy: np.ndarray, labels: np.ndarray) -> tf.Tensor:
        return self._step(noisy, labels)

    def error(self, noisy: np.ndarray, labels: np.ndarray) -> float:
        """Mean over rows of the mean squared error of each row."""
        found = [
            self._errors(
                noisy[start : start + _VALIDATION_PIECE],
                labels[start : start + _VALIDATION_PIECE],
            ).numpy()
            for start in range(0, len(noisy), _VALIDATION_PIECE)
        ]
        return float(np.mean(np.concatenate(found), dtype=np.float64)) if found else 0.0
