"""TBGAN's training step transcribed plainly: the yardstick of `benchmarks/tbgan.py`.

The mathematics of the original in its own form, in one `tf.function`: networks at the
full resolution with enlargement and shrinking, fused scale layers, three passes through
the discriminator, one optimizer op a variable.  Only the axes are in another order
(channels last), because TensorFlow has no channels-first convolution for processors.

It is slow on purpose and must stay so; tests hold it equal to `tbgan_step`.
"""

import math

import tensorflow as tf

_BRANCHES = ("tex", "shp", "nor")
_GAIN = math.sqrt(2.0)


def _leaky_relu(x, alpha=0.2):
    return tf.maximum(x * alpha, x)


def _pixel_norm(x, epsilon):
    return x * tf.math.rsqrt(
        tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + epsilon
    )


def _lerp(a, b, t):
    return a + (b - a) * t


def _upscale(x, factor):
    if factor == 1:
        return x
    _, height, width, channels = x.shape
    x = tf.reshape(x, [-1, height, 1, width, 1, channels])
    x = tf.tile(x, [1, 1, factor, 1, factor, 1])
    return tf.reshape(x, [-1, height * factor, width * factor, channels])


def _downscale(x, factor):
    return x if factor == 1 else tf.nn.avg_pool2d(x, factor, factor, "VALID")


def _four_shifts(weight):
    weight = tf.pad(weight, [[1, 1], [1, 1], [0, 0], [0, 0]])
    return tf.add_n(
        [weight[1:, 1:], weight[:-1, 1:], weight[1:, :-1], weight[:-1, :-1]]
    )


def _minibatch_stddev(x, group_size):
    count, height, width, channels = x.shape
    group = min(group_size, count)
    y = tf.reshape(x, [group, count // group, height, width, channels])
    y -= tf.reduce_mean(y, axis=0, keepdims=True)
    y = tf.sqrt(tf.reduce_mean(tf.square(y), axis=0) + 1e-8)
    y = tf.reduce_mean(y, axis=[1, 2, 3], keepdims=True)
    return tf.concat([x, tf.tile(y, [group, height, width, 1])], axis=-1)


class _Network:
    """Variables under their names, and the layers that use them."""

    def __init__(self, model):
        """Copies the variables of a network of `tf_faces.models.tbgan`."""
        self.config = model.config
        self.variables = {
            name: tf.Variable(variable.numpy())
            for name, variable in model.trainables_by_name().items()
        }

    def weight(self, name, gain=_GAIN):
        weight = self.variables[f"{name}/weight"]
        return weight * (gain / math.sqrt(math.prod(weight.shape[:-1])))

    def bias(self, name, x):
        return x + self.variables[f"{name}/bias"]

    def dense(self, name, x, gain=_GAIN):
        return tf.matmul(x, self.weight(name, gain))

    def conv(self, name, x, gain=_GAIN):
        return tf.nn.conv2d(x, self.weight(name, gain), 1, "SAME")

    def upscale_conv(self, name, x):
        weight = self.variables[f"{name}/weight"]
        fan_in = 9 * weight.shape[3]
        kernel = _four_shifts(weight * (_GAIN / math.sqrt(fan_in)))
        count, height, width, _ = x.shape
        size = [count, height * 2, width * 2, kernel.shape[2]]
        return tf.nn.conv2d_transpose(x, kernel, size, 2, "SAME")

    def conv_downscale(self, name, x):
        kernel = _four_shifts(self.weight(name)) * 0.25
        return tf.nn.conv2d(x, kernel, 2, "SAME")


def _scopes(scope, branched):
    return [f"{scope}/{name}" for name in _BRANCHES] if branched else [scope]


def _in_branches(scope, branched, x, function):
    """Applies `function(scope, part)` to every branch's channels."""
    if not branched:
        return function(scope, x)
    parts = tf.split(x, 3, axis=-1)
    names = _scopes(scope, True)
    return tf.concat([function(*pair) for pair in zip(names, parts, strict=True)], -1)


class Generator(_Network):
    def __call__(self, latents, labels, floor=0, fraction=None):
        config = self.config
        top = config.resolution_log2 - floor

        def normalized(x):
            if not config.use_pixelnorm:
                return x
            return _pixel_norm(x, config.pixelnorm_epsilon)

        def finish(name, x):
            return normalized(_leaky_relu(self.bias(name, x)))

        def block(scope, x):
            x = finish(f"{scope}/Conv0_up", self.upscale_conv(f"{scope}/Conv0_up", x))
            return finish(f"{scope}/Conv1", self.conv(f"{scope}/Conv1", x))

        def to_rgb(res, x):
            return _in_branches(
                f"ToRGB_lod{config.resolution_log2 - res}",
                config.branched(res),
                x,
                lambda scope, part: self.bias(scope, self.conv(scope, part, gain=1)),
            )

        x = tf.concat([latents, labels], axis=1)
        if config.normalize_latents:
            x = _pixel_norm(x, config.pixelnorm_epsilon)
        x = self.dense("4x4/Dense", x, gain=_GAIN / 4)
        x = tf.transpose(tf.reshape(x, [-1, config.features(2), 4, 4]), [0, 2, 3, 1])
        x = finish("4x4/Dense", x)
        x = finish("4x4/Conv", self.conv("4x4/Conv", x))
        former = x
        for res in range(3, top + 1):
            former = x
            scope = f"{2**res}x{2**res}"
            x = _in_branches(scope, config.branched(res), x, block)
        images = to_rgb(top, x)
        if fraction is not None and top > 2:
            images = _lerp(images, _upscale(to_rgb(top - 1, former), 2), fraction)
        return _upscale(images, 2**floor)


class Discriminator(_Network):
    def __call__(self, images, floor=0, fraction=None):
        config = self.config
        top = config.resolution_log2 - floor

        def finish(name, x):
            return _leaky_relu(self.bias(name, x))

        def block(scope, x):
            x = finish(f"{scope}/Conv0", self.conv(f"{scope}/Conv0", x))
            name = f"{scope}/Conv1_down"
            return finish(name, self.conv_downscale(name, x))

        def from_rgb(res, x):
            return _in_branches(
                f"FromRGB_lod{config.resolution_log2 - res}",
                config.from_rgb_branched(res),
                x,
                lambda scope, part: finish(scope, self.conv(scope, part)),
            )

        x = from_rgb(top, _downscale(images, 2**floor))
        for res in range(top, 2, -1):
            scope = f"{2**res}x{2**res}"
            x = _in_branches(scope, config.branched(res), x, block)
            if res == top and fraction is not None:
                lower = from_rgb(res - 1, _downscale(images, 2 ** (floor + 1)))
                x = _lerp(x, lower, fraction)
        if config.mbstd_group_size > 1:
            x = _minibatch_stddev(x, config.mbstd_group_size)
        x = finish("4x4/Conv", self.conv("4x4/Conv", x))
        x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [x.shape[0], -1])
        x = finish("4x4/Dense0", self.dense("4x4/Dense0", x))
        x = self.bias("4x4/Dense1", self.dense("4x4/Dense1", x, gain=1))
        return x[:, :1], x[:, 1:]


class Optimizer:
    """Adam of TensorFlow 1, with one op a variable.

    Attributes:
      variables: what is trained.
      slots: first and second moment of each.
      powers: the constants to the power of the next step.
    """

    def __init__(self, variables, beta1=0.0, beta2=0.99, epsilon=1e-8):
        self.variables = list(variables)
        self.constants = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon}
        self.powers = [tf.Variable(beta1), tf.Variable(beta2)]
        self.slots = [
            (tf.Variable(tf.zeros(v.shape)), tf.Variable(tf.zeros(v.shape)))
            for v in self.variables
        ]

    def apply(self, gradients, rate):
        gradients = [
            tf.zeros(v.shape) if g is None else g
            for g, v in zip(gradients, self.variables, strict=True)
        ]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
        tf.cond(finite, lambda: self._update(gradients, rate), lambda: False)

    def _update(self, gradients, rate):
        power1, power2 = (power.read_value() for power in self.powers)
        for gradient, variable, (first, second) in zip(
            gradients, self.variables, self.slots, strict=True
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=power1,
                beta2_power=power2,
                lr=rate,
                grad=gradient,
                **self.constants,
            )
        for power, beta in zip(self.powers, ("beta1", "beta2"), strict=True):
            power.assign(power * self.constants[beta])
        return True


class Step:
    """D step with average, then G step, on copies of a system's networks.

    Args:
      generator, discriminator: networks of `tf_faces.models.tbgan`.
      smoothing: share of the former average that stays.
    """

    def __init__(self, generator, discriminator, smoothing=0.999):
        self.generator = Generator(generator)
        self.average = Generator(generator)
        self.discriminator = Discriminator(discriminator)
        self.smoothing = smoothing
        self.g_optimizer = Optimizer(self.generator.variables.values())
        self.d_optimizer = Optimizer(self.discriminator.variables.values())

    def __call__(self, reals, labels, drawn, rate, floor=0, fraction=None):
        """One pair of steps; returns the means of D's and G's losses.

        Args:
          reals: [N, H, W, C] at the full resolution.
          labels: [N, L] logits of the reals.
          drawn: `tbgan_step.RandomInputs`.
          rate: learning rate.
          floor, fraction: level of detail.
        """
        d_loss = self.train_discriminator(reals, labels, drawn, rate, floor, fraction)
        g_loss = self.train_generator(drawn, rate, floor, fraction)
        return d_loss, g_loss

    def train_discriminator(self, reals, labels, drawn, rate, floor=0, fraction=None):
        """The first half: D's step, and the average's."""
        level = (floor, fraction)
        judge = self.discriminator
        variables = list(judge.variables.values())
        labels = tf.nn.softmax(labels)
        with tf.GradientTape() as tape:
            fakes = self.generator(drawn.discriminator_latents, labels, *level)
            real_scores, real_logits = judge(reals, *level)
            fake_scores, fake_logits = judge(fakes, *level)
            mixed = _lerp(reals, fakes, drawn.mixing)
            with tf.GradientTape() as inner:
                inner.watch(mixed)
                mixed_loss = tf.reduce_sum(judge(mixed, *level)[0])
            gradient = inner.gradient(mixed_loss, mixed)
            norms = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3]))
            loss = fake_scores - real_scores + 10.0 * tf.square(norms - 1.0)
            loss += 0.001 * tf.square(real_scores)
            loss += tf.nn.softmax_cross_entropy_with_logits(labels, real_logits)
            loss += tf.nn.softmax_cross_entropy_with_logits(labels, fake_logits)
            loss = tf.reduce_mean(loss)
        # Before the update of G, so that the average sees the former step's.
        self.d_optimizer.apply(tape.gradient(loss, variables), rate)
        for name, variable in self.average.variables.items():
            new = self.generator.variables[name]
            variable.assign(_lerp(new, variable, self.smoothing))
        return loss

    def train_generator(self, drawn, rate, floor=0, fraction=None):
        """The second half: G's step."""
        level = (floor, fraction)
        variables = list(self.generator.variables.values())
        labels = tf.nn.softmax(drawn.generator_labels)
        with tf.GradientTape() as tape:
            fakes = self.generator(drawn.generator_latents, labels, *level)
            scores, logits = self.discriminator(fakes, *level)
            loss = -scores + tf.nn.softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(loss)
        self.g_optimizer.apply(tape.gradient(loss, variables), rate)
        return loss
