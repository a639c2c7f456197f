"""Adaptive augmentation: the discriminator sees moved images, reals and fakes alike.

With few training images the discriminator learns them by heart.  What it sees is
turned over, rotated by quarters and shifted with a probability p; as long as p is below
one, fakes need not look moved to be taken for real.  p grows while the discriminator
is too sure of the reals, and falls otherwise.

Texture, shape and normals of a sample are moved alike, pixel by pixel: values stay as
they are, and so do the places where the modalities agree.

Reference: Karras et al., "Training Generative Adversarial Networks with Limited Data",
NeurIPS 2020; of its transformations those that move whole pixels.
"""

from collections.abc import Mapping

import keras
import tensorflow as tf

from tf_faces.training.distribution import local_variable

# Uniform numbers that a sample needs.
DRAWS = 7
# Largest shift, as a share of the side.
_SHIFT = 0.125
# Share of the former value in the average that is compared with the target.
_SMOOTHING = 0.75


class Augmentation:
    """Moves images with a probability that adapts itself.

    Make it under the strategy's scope.

    Args:
      target: of the mean sign of the reals' scores, 0.6 in the paper.
      kimg: thousands of images in which p goes from 0 to 1 at most.
      limit: largest p; from about 0.8 on fakes would look moved.
    """

    def __init__(self, target: float, kimg: float = 500.0, limit: float = 0.8):
        self.target, self.kimg, self.limit = target, kimg, limit
        self._probability = self._scalar("probability")
        self._overfitting = self._scalar("overfitting")

    @staticmethod
    def _scalar(name: str) -> keras.Variable:
        return keras.Variable(0.0, trainable=False, dtype="float32", name=name)

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """The whole state."""
        return {"probability": self._probability, "overfitting": self._overfitting}

    def __call__(self, images, draws):
        """Returns moved images.

        Args:
          images: [N, S, S, C].
          draws: [N, DRAWS] in [0, 1).
        """
        probability = tf.convert_to_tensor(self._probability.value)
        return move(images, tf.cast(draws, tf.float32), probability)

    def adapt(self, means: Mapping[str, tf.Tensor], images: int) -> dict:
        """Changes p after a step of the discriminator.

        Args:
          means: terms of the step, among them `overfitting`'s.
          images: of the step, over all replicas.

        Returns:
          What is reported.
        """
        found = means["Augment/overfitting"]
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            found = context.all_reduce(tf.distribute.ReduceOp.MEAN, found)
        smoothed = local_variable(self._overfitting)
        average = smoothed.read_value() * _SMOOTHING + found * (1 - _SMOOTHING)
        smoothed.assign(average)
        probability = local_variable(self._probability)
        change = tf.sign(average - self.target) * (images / (self.kimg * 1000))
        new = tf.clip_by_value(probability.read_value() + change, 0.0, self.limit)
        probability.assign(new)
        return {"Augment/probability": new}


def overfitting(terms: Mapping[str, tf.Tensor]) -> dict:
    """Which reals lie on their side of the middle between mean reals and mean fakes.

    Scores of a Wasserstein loss have no zero of their own, so the paper's sign is taken
    of the distance to the middle.

    Returns:
      {"Augment/overfitting": [N] -1, 0 or 1}: mean 0 where the scores tell nothing, 1
      where they tell all reals from fakes.
    """
    real = tf.stop_gradient(terms["Loss/real_scores"])
    fake = tf.stop_gradient(terms["Loss/fake_scores"])
    middle = (tf.reduce_mean(real) + tf.reduce_mean(fake)) / 2
    return {"Augment/overfitting": tf.sign(real - middle)}


def move(images, draws, probability):
    """Turns over, rotates and shifts images, each with a probability.

    Args:
      images: [N, S, S, C].
      draws: [N, DRAWS] in [0, 1).
      probability: scalar p of each of the three.

    Returns:
      Images of the same shape; what is shifted in is the mirror image of what was
      there.
    """
    count, side, _, channels = images.shape

    def drawn(which):
        return draws[:, which, None, None]

    def chosen(which):
        return drawn(which) < probability

    def shift(which):
        length = tf.round((drawn(which) * 2 - 1) * (_SHIFT * side))
        return tf.where(chosen(4), tf.cast(length, tf.int32), 0)

    def reflected(places):
        places = tf.abs(places)  # -1 -> 1: the edge itself is not repeated.
        return tf.where(places < side, places, 2 * (side - 1) - places)

    last = side - 1
    rows = reflected(tf.range(side)[None, :, None] - shift(5)) + tf.zeros(
        [count, side, side], tf.int32
    )
    columns = reflected(tf.range(side)[None, None, :] - shift(6)) + tf.zeros(
        [count, side, side], tf.int32
    )
    quarters = tf.where(chosen(2), tf.cast(drawn(3) * 4, tf.int32), 0)
    rows, columns = (
        tf.where(quarters == 1, columns, tf.where(quarters == 2, last - rows,
                 tf.where(quarters == 3, last - columns, rows))),
        tf.where(quarters == 1, last - rows, tf.where(quarters == 2, last - columns,
                 tf.where(quarters == 3, rows, columns))),
    )  # fmt: skip
    turned = tf.logical_and(chosen(0), drawn(1) < 0.5)
    columns = tf.where(turned, last - columns, columns)
    places = tf.reshape(rows * side + columns, [count, side * side])
    flat = tf.reshape(images, [count, side * side, channels])
    return tf.reshape(tf.gather(flat, places, batch_dims=1), images.shape)
