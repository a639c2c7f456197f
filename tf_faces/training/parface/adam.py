"""Adam as PyTorch has it: epsilon is added to the corrected root; AdamW's decay."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tf_faces.training import distribution


class Adam:
    """Adam with PyTorch's place of epsilon.

    Within a step of several devices gradients are averaged over them; make it under
    their strategy's scope.

    Args:
      trainables: {name: keras.Variable}.
      learning_rate: may be changed later through the variable `learning_rate`.
      beta1, beta2, epsilon: Adam's constants.
      weight_decay: AdamW's: part of the weights, times the learning rate, that is taken
        off before each step.
    """

    def __init__(
        self,
        trainables: Mapping[str, keras.Variable],
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        self.trainables = dict(trainables)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.weight_decay = weight_decay
        self.learning_rate = tf.Variable(
            learning_rate, trainable=False, dtype=tf.float32, name="learning_rate"
        )
        self._powers = {
            "beta1_power": tf.Variable(beta1, trainable=False, dtype=tf.float32),
            "beta2_power": tf.Variable(beta2, trainable=False, dtype=tf.float32),
        }
        self._slots = {
            kind: {
                name: tf.Variable(tf.zeros(variable.shape), trainable=False)
                for name, variable in self.trainables.items()
            }
            for kind in ("first_moment", "second_moment")
        }

    def named_variables(self) -> dict[str, tf.Variable]:
        """The whole state by names."""
        found = {"learning_rate": self.learning_rate, **self._powers}
        for kind, slots in self._slots.items():
            found.update({f"{kind}/{name}": slot for name, slot in slots.items()})
        return found

    def apply(self, gradients: Mapping[str, tf.Tensor | None]) -> None:
        """Updates the variables; those without a gradient stay as they are.

        Args:
          gradients: {name: gradient of the mean loss, of this device's share}.
        """
        present = {n: one for n, one in gradients.items() if one is not None}
        reduced = distribution.mean_over_replicas(list(present.values()))
        present = dict(zip(present, reduced, strict=True))
        first, second = (
            distribution.local_variable(self._powers[name]).read_value()
            for name in ("beta1_power", "beta2_power")
        )
        rate = distribution.local_variable(self.learning_rate).read_value()
        # TensorFlow's kernel adds its epsilon to the root before the correction.
        epsilon = self.epsilon * tf.sqrt(1.0 - second)
        for name, gradient in present.items():
            variable = distribution.local_variable(self.trainables[name])
            first_moment, second_moment = (
                distribution.local_variable(self._slots[kind][name])
                for kind in ("first_moment", "second_moment")
            )
            if self.weight_decay:
                variable.assign_sub(variable * (rate * self.weight_decay))
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first_moment.handle,
                v=second_moment.handle,
                beta1_power=first,
                beta2_power=second,
                lr=rate,
                beta1=self.beta1,
                beta2=self.beta2,
                epsilon=epsilon,
                grad=gradient,
            )
        for name, power in (
            ("beta1_power", first * self.beta1),
            ("beta2_power", second * self.beta2),
        ):
            distribution.local_variable(self._powers[name]).assign(power)
