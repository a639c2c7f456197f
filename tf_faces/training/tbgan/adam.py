"""Adam as the Progressive GAN drove it (`tfutil.Optimizer`).

TensorFlow 1's update with its constants; gradients averaged over the replicas; missing
gradients are zeros (they still decay the second moment); a gradient that is not finite
skips the whole update; the state can be reset at every change of phase; loss scaling
for float16 grows slowly and shrinks by half at every overflow.

Keras' own Adam computes the same step, but has neither the reset nor the skip inside
`tf.function`, and updates a variable in eight small kernels where TensorFlow has one.
"""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tf_faces.training.distribution import local_variable


class Adam:
    """Adam with reset, skipped updates and dynamic loss scaling.

    Everything may be called inside `tf.function` and `strategy.run`; make it under the
    strategy's scope.

    Args:
      trainables: {name: keras.Variable}.
      name: prefix of the state's names and of the reported scalars ("TrainG").
      beta1, beta2, epsilon: Adam's constants; epsilon is added after the root, and
        the bias correction is in the learning rate.
      use_loss_scaling: scale the loss by 2^s; s starts at `loss_scaling_init`, grows by
        `loss_scaling_inc` after a good step and falls by `loss_scaling_dec` after an
        overflow.
    """

    def __init__(
        self,
        trainables: Mapping[str, keras.Variable],
        name: str = "Adam",
        beta1: float = 0.0,
        beta2: float = 0.99,
        epsilon: float = 1e-8,
        use_loss_scaling: bool = False,
        loss_scaling_init: float = 64.0,
        loss_scaling_inc: float = 0.0005,
        loss_scaling_dec: float = 1.0,
    ):
        self.name = name
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.use_loss_scaling = use_loss_scaling
        self._increment = loss_scaling_inc
        self._decrement = loss_scaling_dec
        self.trainables = dict(trainables)
        self._first = self._slots("first_moment")
        self._second = self._slots("second_moment")
        self._beta1_power = self._scalar("beta1_power", beta1)
        self._beta2_power = self._scalar("beta2_power", beta2)
        self._scale_log2 = (
            self._scalar("loss_scaling_log2", loss_scaling_init)
            if use_loss_scaling
            else None
        )

    def _slots(self, kind: str) -> dict[str, keras.Variable]:
        return {
            name: keras.Variable(
                tf.zeros(variable.shape),
                trainable=False,
                name=f"{kind}:{name}".replace("/", ":"),
            )
            for name, variable in self.trainables.items()
        }

    def _scalar(self, name: str, value: float) -> keras.Variable:
        return keras.Variable(value, trainable=False, dtype="float32", name=name)

    @property
    def overflow_tag(self) -> str:
        """Tag of the number in `apply`'s report that is 1 where a step was left out."""
        return f"{self.name}/overflow_frequency"

    @property
    def variables(self) -> list[keras.Variable]:
        """The whole state."""
        scalars = [self._beta1_power, self._beta2_power]
        if self._scale_log2 is not None:
            scalars.append(self._scale_log2)
        return [*self._first.values(), *self._second.values(), *scalars]

    def reset(self) -> None:
        """Forgets moments and step count; the loss scale stays."""
        for variable in (*self._first.values(), *self._second.values()):
            variable.assign(tf.zeros(variable.shape))
        self._beta1_power.assign(self.beta1)
        self._beta2_power.assign(self.beta2)

    # --- loss scaling ---------------------------------------------------------------

    def scale(self, value):
        """Multiplies by the loss scale, 2^s."""
        if self._scale_log2 is None:
            return value
        return value * tf.pow(2.0, tf.convert_to_tensor(self._scale_log2.value))

    def unscale(self, value):
        """Divides by the loss scale."""
        if self._scale_log2 is None:
            return value
        return value * tf.pow(2.0, -tf.convert_to_tensor(self._scale_log2.value))

    # --- step -----------------------------------------------------------------------

    def apply(self, gradients: Mapping[str, tf.Tensor | None], learning_rate) -> dict:
        """Updates the variables and returns what is reported.

        Args:
          gradients: {name: gradient of this replica's mean (scaled) loss}; variables
            that are absent or None have zero gradients.
          learning_rate: scalar float32.

        Returns:
          {"<name>/learning_rate", "<name>/overflow_frequency" and, with loss scaling,
          "<name>/loss_scaling_log2" before this step}: scalars.

        Raises:
          KeyError: if a gradient belongs to no variable.
        """
        present = {
            name: self.unscale(tf.cast(gradient, tf.float32))
            for name, gradient in gradients.items()
            if gradient is not None
        }
        for name in present:
            if name not in self.trainables:
                raise KeyError(name)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            reduced = context.all_reduce(
                tf.distribute.ReduceOp.MEAN, list(present.values())
            )
            present = dict(zip(present, reduced, strict=True))
        finite = tf.reduce_all(
            tf.stack(
                [tf.reduce_all(tf.math.is_finite(value)) for value in present.values()]
            )
        )
        report = {
            f"{self.name}/learning_rate": tf.cast(learning_rate, tf.float32),
            self.overflow_tag: 1.0 - tf.cast(finite, tf.float32),
        }
        if self._scale_log2 is not None:
            before = tf.identity(tf.convert_to_tensor(self._scale_log2.value))
            report[f"{self.name}/loss_scaling_log2"] = before
        tf.cond(
            finite,
            lambda: self._update(present, learning_rate),
            lambda: self._overflow(),
        )
        return report

    def _update(self, gradients, learning_rate):
        beta1_power = local_variable(self._beta1_power)
        beta2_power = local_variable(self._beta2_power)
        first_power, second_power = beta1_power.read_value(), beta2_power.read_value()
        for name, variable in self.trainables.items():
            gradient = gradients.get(name)
            if gradient is None:
                gradient = tf.zeros(variable.shape)
            tf.raw_ops.ResourceApplyAdam(
                var=local_variable(variable).handle,
                m=local_variable(self._first[name]).handle,
                v=local_variable(self._second[name]).handle,
                beta1_power=first_power,
                beta2_power=second_power,
                lr=learning_rate,
                beta1=self.beta1,
                beta2=self.beta2,
                epsilon=self.epsilon,
                grad=gradient,
            )
        beta1_power.assign(first_power * self.beta1)
        beta2_power.assign(second_power * self.beta2)
        if self._scale_log2 is not None:
            local_variable(self._scale_log2).assign_add(self._increment)
        return tf.constant(True)

    def _overflow(self):
        if self._scale_log2 is not None:
            local_variable(self._scale_log2).assign_sub(self._decrement)
        return tf.constant(False)
