"""Stand-ins for ParFace's data sets and networks, and its configuration."""

import keras
import tensorflow as tf

from tf_faces.configs import parface as configs


def settings(**changes):
    config = configs.get_config("smoke")
    with config.unlocked(), config.ignore_type():
        config.update(changes)
    return config


class Opened:
    """A data set as `Mixture` sees it."""

    def __init__(self, count=3, num_landmarks=68, landmarks=True, depths=True):
        self.faces = [f"face {number}" for number in range(count)]
        self.num_landmarks = num_landmarks
        self.has_landmarks, self.has_depths = landmarks, depths

    def __len__(self):
        return len(self.faces)


class Part:
    """A network of one number, by which it multiplies."""

    def __init__(self, value):
        self.weight = keras.Variable(float(value))
        self.asked = []

    def named_trainables(self, prefix):
        return {f"{prefix}w": self.weight}

    def __call__(self, *given, training=False):
        self.asked.append((given, training))
        return given[0] * self.weight.value


class Whole:
    """Networks whose heat maps are pictures."""

    def __init__(self):
        self.encoder, self.head, self.depth = Part(2), Part(3), Part(5)

    def parts(self):
        return {"Q": self.encoder, "LMH": self.head, "LMH_3D": self.depth}

    def reconstruct_with_heatmaps(self, images):
        codes = self.encoder(tf.reduce_mean(images, (1, 2)))
        maps = self.head(images[..., :2]) * codes[:, None, None, :1]
        return codes, images * 0.5, maps

    def depth_head(self, maps, latents, training):
        return self.depth(tf.reduce_mean(maps, (1, 2)), training=training)


class Descent:
    def __init__(self, part):
        self.part = part

    def apply(self, gradients):
        (gradient,) = gradients.values()
        self.part.weight.assign_sub(gradient)
