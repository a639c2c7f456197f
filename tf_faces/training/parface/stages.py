"""A stage of the training as compiled functions of batches of bytes."""

import functools
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.configs import parface as presets
from tf_faces.convert import torch
from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data.parface.samples import CHANNEL_MEANS
from tf_faces.models.parface import heatmaps, vgg
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training import distribution, random_numbers
from tf_faces.training.parface import landmarks, self_supervised
from tf_faces.training.parface.adam import Adam

STAGES = ("self_supervised", "landmarks_2d", "landmarks_3d")
# The encoder's decay while landmarks are trained with any.
_ENCODER_DECAY = 0.01
# Iterations between steps of the latent discriminator, and of the encoder by it.
_LATENT_EVERY, _ENCODER_EVERY = 4, 2


def require_perceptual_options(config: ml_collections.ConfigDict) -> None:
    """Looks at the options of the perceptual term, before data are opened.

    Raises:
      InputError: if its weights are not named, or an option is unknown.
    """
    vgg.require_layers([int(number) for number in config.p_loss_features])
    if config.perceptual_features not in ("vgg19", "random"):
        raise InputError(
            f"perceptual_features: found {config.perceptual_features!r}, expected "
            "vgg19 or random."
        )
    presets.require_perceptual_weights(config)


def perceptual_network(config: ml_collections.ConfigDict) -> vgg.VGG19Features:
    """The network of the perceptual term.

    Raises:
      InputError: see `require_perceptual_options`.
    """
    require_perceptual_options(config)
    layers = [int(number) for number in config.p_loss_features]
    if config.perceptual_features == "random":
        return vgg.random_features(layers, config.random_seed)
    tensors = torch.read_state_dict(config.vgg_weights)
    return vgg.VGG19Features(tensors, layers, str(config.vgg_weights))


def _all(values):
    """One device has the whole batch."""
    return values


def _options(kind, config: ml_collections.ConfigDict) -> dict[str, Any]:
    """The fields of the configuration that a dataclass of options has."""
    return {name: config[name] for name in kind.__dataclass_fields__ if name in config}


class Stage:
    """Optimisers and compiled steps of one stage.

    Args:
      config: resolved configuration.
      networks: what is trained.
      strategy: over whose devices training batches are divided, and under whose scope
        the networks were made; None for one device.

    Raises:
      InputError: for options that contradict each other.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        networks: ParFaceNetworks,
        strategy: tf.distribute.Strategy | None = None,
    ):
        if config.stage not in STAGES:
            raise InputError(
                f"stage: found {config.stage!r}, expected one of {', '.join(STAGES)}."
            )
        if config.update_E_freq != 1 or config.update_D_freq < 1:
            raise InputError(
                f"update_E_freq and update_D_freq: found {config.update_E_freq} and "
                f"{config.update_D_freq}, expected 1 and at least 1."
            )
        self.config = config
        self.networks = networks
        self._strategy = strategy or tf.distribute.get_strategy()
        self.optimizers: dict[str, Adam] = {}
        with self._strategy.scope():
            if config.stage == "self_supervised":
                self._make_self_supervised()
            else:
                self._make_landmarks()
        self._rates = {
            prefix: float(optimizer.learning_rate.numpy())
            for prefix, optimizer in self.optimizers.items()
        }
        self._functions: dict[Any, Any] = {}
        self.everything = tf.function(networks.reconstruct_with_heatmaps)
        self.decode = tf.function(lambda codes: networks.decoder(codes))

    def _adam(self, prefix: str, rate: float, decay: float = 0.0) -> Adam:
        config = self.config
        betas = (config.beta1, config.beta2)
        if config.stage != "self_supervised":
            betas = (0.9, 0.999)
        part = self.networks.parts()[prefix]
        return Adam(
            part.named_trainables(f"{prefix}."), rate, *betas, weight_decay=decay
        )

    def _make_self_supervised(self) -> None:
        config = self.config
        terms = self_supervised.Terms(**_options(self_supervised.Terms, config))
        network = perceptual_network(config) if terms.with_perceptual_loss else None
        for prefix in ("Q", "P", "D", "D_z"):
            rate = 0.5 * config.lr if prefix == "D" else config.lr
            self.optimizers[prefix] = self._adam(prefix, rate)
        self.step = self_supervised.SelfSupervisedStep(
            self.networks, terms, network, self.optimizers
        )

    def _make_landmarks(self) -> None:
        config = self.config
        terms = landmarks.LandmarkTerms(
            spatial=config.stage == "landmarks_3d",
            **_options(landmarks.LandmarkTerms, config),
        )
        self.step = landmarks.LandmarkStep(self.networks, terms, self.optimizers)
        decay = config.weight_decay
        for prefix in self.step.stepped():
            if prefix in ("Q", "P"):
                encoder_decay = _ENCODER_DECAY if decay else 0.0
                self.optimizers[prefix] = self._adam(
                    prefix, config.lr_encoder, encoder_decay
                )
            else:
                self.optimizers[prefix] = self._adam(prefix, config.lr_heatmaps, decay)

    def scale_learning_rates(self, factor: float) -> None:
        """Sets all learning rates to a multiple of the first ones."""
        for prefix, optimizer in self.optimizers.items():
            optimizer.learning_rate.assign(self._rates[prefix] * factor)

    def network_images(self, images) -> tf.Tensor:
        """Bytes to what the networks take."""
        scaled = tf.cast(images, tf.float32) / 255.0
        return scaled - CHANNEL_MEANS if self.config.normalize else scaled

    # --- steps ------------------------------------------------------------------------

    def train(
        self, batch: dict[str, np.ndarray], number: int, position: int
    ) -> tuple[tuple[str, ...], tf.Tensor]:
        """Trains on one batch.

        Args:
          batch: image uint8 [N, S, S, 3], landmarks, landmarks_3d.
          number: of the iteration, for its random numbers.
          position: of the iteration in its epoch, for what is stepped.

        Returns:
          Names and values of what was measured.
        """
        seed = tf.constant(seeding.derive(self.config.random_seed, "step", number))
        if self.config.stage != "self_supervised":
            key = ("landmarks", True)
            function = self._function(key, self._divided(self._landmarks))
            names, values, _ = function(*_given(batch))
        else:
            flags = (
                position % self.config.update_D_freq == 0,
                position % _LATENT_EVERY == 0,
                position % _ENCODER_EVERY == 0,
            )
            function = self._function(
                ("self_supervised", flags),
                self._divided(functools.partial(self._self_supervised, flags)),
            )
            names, values, _ = function(tf.constant(batch["image"]), seed)
        return names, values

    def evaluate(
        self, batch: dict[str, np.ndarray], number: int
    ) -> tuple[dict[str, float], np.ndarray | None]:
        """Measures one batch; returns scalars and, of landmarks, what was found."""
        seed = tf.constant(
            seeding.derive(self.config.random_seed, "evaluation", number)
        )
        points = None
        if self.config.stage != "self_supervised":
            function = self._function(
                ("landmarks", False), lambda *given: self._landmarks(False, *given)
            )
            names, values, points = function(*_given(batch))
            points = points.numpy()
        else:
            function = self._function(
                ("evaluation",),
                lambda images, seed: self._self_supervised(
                    (True, False, False), False, images, seed
                ),
            )
            names, values, _ = function(tf.constant(batch["image"]), seed)
        return dict(zip(names, values.numpy().tolist(), strict=True)), points

    def _divided(self, step):
        """A step as a function of whole batches, each device doing its share."""
        strategy = self._strategy
        replicas = strategy.num_replicas_in_sync
        if replicas == 1:
            return functools.partial(step, True)
        names: list[str] = []

        def run(*given):
            context = tf.distribute.get_replica_context()
            index = context.replica_id_in_sync_group

            def mine(values):
                return distribution.rows_of_replica(values, index, replicas)

            found, values, _ = step(True, *given, mine=mine)
            names[:] = found
            return values

        def divided(*given):
            values = strategy.run(run, given)
            mean = strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)
            return tuple(names), mean, tf.constant(0.0)

        return divided

    def _function(self, key, body):
        """The body, which returns names and tensors, as a compiled function."""
        if key not in self._functions:
            names: list[str] = []

            def tensors(*given):
                # XLA has no texts: names are those of the last trace, always the same.
                names[:], *rest = body(*given)
                return rest

            compiled = tf.function(
                tensors, jit_compile=self.config.xla or None, reduce_retracing=True
            )

            def named(*given):
                rest = compiled(*given)
                return (tuple(names), *rest)

            self._functions[key] = named
        return self._functions[key]

    def _self_supervised(self, flags, training, images, seed, mine=_all):
        # What is drawn is drawn for the whole batch, on however many devices.
        count = images.shape[0] or tf.shape(images)[0]
        latent = self.config.embedding_dims
        compiled = bool(self.config.xla)
        uniform = functools.partial(random_numbers.uniform, compiled=compiled)
        normal = functools.partial(random_numbers.normal, compiled=compiled)
        draws = self_supervised.Draws(
            mix=mine(uniform([count, 1, 1, 1], seed)),
            partners=mine(tf.argsort(uniform([count], seed + 1))),
            code_mix=mine(uniform([count, 1], seed + 2)),
            normal_codes=mine(normal([count, latent], seed + 3)),
        )
        if training and self.config.with_zgan:
            draws.kept = tuple(
                [mine(kept) for kept in self._kept(count, seed + 4 + 2 * number)]
                for number in range(3)
            )
        images = self.network_images(mine(images))
        result = self.step(images, draws, *flags, training=training)
        return *_packed(result.stats), tf.constant(0.0)

    def _kept(self, count, seed):
        network = self.networks.latent_discriminator
        compiled = bool(self.config.xla)
        kept = []
        for number in (0, 1):
            shape = [count, network.width]
            drawn = random_numbers.uniform(shape, seed + number, compiled)
            kept.append(tf.cast(drawn >= network.DROPPED, tf.float32))
        return kept

    def _landmarks(self, training, images, points, points_3d, mine=_all):
        images, points, points_3d = mine(images), mine(points), mine(points_3d)
        images = self.network_images(images)
        size = self.config.input_size
        spatial = self.step.terms.spatial
        # In space the plane's truth is that of the points in space.
        plane = points_3d[..., :2] if spatial else points
        target = heatmaps.draw(plane, size, self.config.sigma)
        result = self.step(
            images,
            target,
            points_3d[..., 2],
            training=training,
            measure_all=not training,
        )
        found = tf.constant(0.0)
        if not training:
            found = heatmaps.decode(
                heatmaps.smooth(result.heatmaps), size, self.config.decoding
            )
            if spatial:
                found = tf.concat([found, result.depths[..., None]], axis=-1)
        return *_packed(result.stats), found


def _given(batch):
    return [tf.constant(batch[name]) for name in ("image", "landmarks", "landmarks_3d")]


def _packed(stats) -> tuple[tuple[str, ...], tf.Tensor]:
    """Names, and their values as one tensor."""
    values = [tf.cast(value, tf.float32) for value in stats.values()]
    return tuple(stats), tf.stack(values)


def reset_discriminator(networks: ParFaceNetworks, seed: int) -> None:
    """Draws the image discriminator's convolutions anew (Xavier, uniform)."""
    for index, (_, variable) in enumerate(
        sorted(networks.image_discriminator.named_trainables().items())
    ):
        if len(variable.shape) == 4:
            initializer = keras.initializers.GlorotUniform(
                seeding.derive(seed, "reset", index)[0]
            )
            variable.assign(initializer(variable.shape))
