"""The network of the toy."""

import keras


class Line(keras.layers.Layer):
    """y = x * slope + offset, [N, width] -> [N, width]."""

    def __init__(self, config, **keywords):
        super().__init__(**keywords)
        self.config = config

    def build(self, shape):
        size = (self.config.width,)
        self.slope = self.add_weight(name="slope", shape=size)
        self.offset = self.add_weight(name="offset", shape=size)

    def call(self, x):
        return x * self.slope + self.offset
