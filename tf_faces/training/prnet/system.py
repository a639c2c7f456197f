"""Training of the position map network on the house's loop."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.convert import prnet as weights
from tf_faces.core import pictures, runs, seeding
from tf_faces.core.errors import InputError
from tf_faces.data.prnet import layout as layouts
from tf_faces.data.prnet import loss_weights
from tf_faces.losses import position_maps
from tf_faces.models import prnet
from tf_faces.models.prnet import starts
from tf_faces.models.prnet.config import HALVINGS
from tf_faces.training import ahead, checkpoints, distribution, loop, schedules
from tf_faces.training.prnet import measures, sheets, sources

# What a resumed run may change without training anything else.
FREE_ON_RESUME = (
    "desc",
    "result_dir",
    "devices",
    "data_dir",
    "uv_data",
    "data.processes",
    "train.snapshot_ticks",
    "train.picture_ticks",
    "train.keep_snapshots",
    "train.nonfinite_policy",
    "train.restore_limit",
)
LOSSES = {
    "distance": position_maps.weighted_distance,
    "squared": position_maps.weighted_squared,
}
# What sides are divided by, one after the other, before crops and maps are whole.
SMALLER = (4, 2)
SCHEDULES = ("halving", "cosine")
# The end of the cosine, as a part of its beginning.
_LAST_RATE = 0.02
# The group of a snapshot that holds the network, and the layout beside the snapshots.
GROUP = "position_map_network"
LAYOUT = "layout.npz"
# Held-out faces on the sheet of predictions.
_SHOWN = 6


def network_config(config: ml_collections.ConfigDict) -> prnet.PositionMapConfig:
    """The network's configuration of a run's."""
    options = config.network.to_dict()
    if not options["position_scale"]:
        options["position_scale"] = None
    return prnet.PositionMapConfig.from_dict(options)


def loss_mask(
    config: ml_collections.ConfigDict, layout: layouts.MapLayout
) -> np.ndarray:
    """Weights [M, M] of the loss: of a picture, or built for the layout.

    Raises:
      InputError: for a picture that is no mask, or impossible weights.
    """
    loss = config.loss
    if loss.mask:
        found = loss_weights.read(loss.mask, layout)
    else:
        found = loss_weights.build(layout, list(loss.weights), loss.pattern)
    return found * np.float32(loss.scale)


def check_small_shares(config: ml_collections.ConfigDict, resolution: int) -> None:
    """Checks the parts of a run at a quarter and at half the side.

    Raises:
      InputError: if they are not two, sum to more than 1, or crops of `resolution`
        cannot be that small.
    """
    shares = list(config.train.small_shares)
    name = f"--config.train.small_shares: found {shares}"
    if len(shares) != len(SMALLER) or sum(shares) > 1:
        raise InputError(f"{name}, expected {len(SMALLER)} that sum to 1 at most.")
    for parts, share in zip(SMALLER, shares, strict=True):
        if share and resolution % (parts * 2**HALVINGS):
            raise InputError(
                f"{name}, expected 0 where crops of {resolution} pixels by {parts} "
                f"have no side that is a multiple of {2**HALVINGS}."
            )


def begun_with(
    source: str, options: prnet.PositionMapConfig
) -> prnet.PositionMapNetwork:
    """A network with the weights of a run of ours, or of a checkpoint of PRNet.

    Raises:
      InputError: if there are none, or they are of another network.
      FormatError: if a file is damaged.
    """
    snapshots = pathlib.Path(source) / "snapshots"
    if not snapshots.is_dir():
        network, origin = weights.load_checkpoint(source, options)
        print(origin.describe(), flush=True)
        return network
    snapshot = checkpoints.load_newest(snapshots)
    if snapshot is None:
        raise InputError(
            f"--config.train.initial_weights: {source} holds no snapshot yet, expected "
            "a trained run."
        )
    network = prnet.create(options)
    checkpoints.assign_arrays(
        network.variables_by_name(), snapshot.arrays(GROUP), str(snapshot.path)
    )
    print(f"Weights of {snapshot.path}, {snapshot.images} pictures.", flush=True)
    return network


class PrnetSystem(loop.System):
    """The network, its optimizer and its data.

    Args:
      config: resolved configuration.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        self.config = config
        train = config.train
        for name, known in (
            ("loss.kind", tuple(LOSSES)),
            ("train.learning_rate_schedule", SCHEDULES),
        ):
            group, field = name.split(".")
            if config[group][field] not in known:
                raise InputError(
                    f"--config.{name}: found {config[group][field]!r}, expected one of "
                    f"{', '.join(known)}."
                )
        for name in ("batch", "epochs"):
            if train[name] < 1:
                raise InputError(
                    f"--config.train.{name}: found {train[name]}, expected at least 1."
                )
        seed = seeding.derive(int(config.random_seed), "weights")[0] % 1_000_000
        options = network_config(config)
        self.source = sources.make(config, options)
        self.layout = self.source.layout
        if train.initial_weights:
            self.network = begun_with(train.initial_weights, options)
        else:
            self.network = prnet.create(options, seed)
            if train.start == "passing":
                if options.separable:
                    raise InputError(
                        "--config.train.start: found 'passing', expected 'glorot' for "
                        "a network of depthwise convolutions."
                    )
                starts.pass_on(self.network, seed)
        check_small_shares(config, self.network.config.resolution)
        self.mask = loss_mask(config, self.layout)
        self._variables = self.network.variables_by_name()
        self._trained = {
            name: variable
            for name, variable in self._variables.items()
            if variable.trainable
        }
        # Keras counts optimizers otherwise, and a snapshot keeps the names.
        self.optimizer = keras.optimizers.Adam(epsilon=1e-8, name="adam")
        self.optimizer.build(list(self._trained.values()))
        self._steps: dict[tuple[int, bool], Callable] = {}
        self._batches = ahead.Ahead(self.source.batch)
        self._predict = self._make_prediction()
        self._validation: dict[int, sources.Validation] = {}
        self._latest: dict[str, float] = {}

    @property
    def total_images(self) -> int:
        """The length of the training in pictures."""
        train = self.config.train
        if train.total_kimg > 0:
            return round(1000 * train.total_kimg)
        return int(train.epochs) * self.source.epoch_faces

    # --- state -----------------------------------------------------------------------

    def variables(self) -> dict[str, dict[str, Any]]:
        """Network and optimizer."""
        return {
            GROUP: self._variables,
            "adam": checkpoints.named_variables(self.optimizer),
        }

    # --- training --------------------------------------------------------------------

    def learning_rate(self, images: int) -> float:
        """The rate after so many pictures."""
        train = self.config.train
        rate = float(train.learning_rate)
        rising = float(train.warm_up) * self.total_images
        if images < rising:
            return rate * (images + int(train.batch)) / (rising + int(train.batch))
        if train.learning_rate_schedule == "cosine":
            share = self._seen(images) / self._seen(self.total_images)
            return rate * schedules.cosine(share, _LAST_RATE)
        epochs = images / self.source.epoch_faces
        return rate * 0.5 ** math.floor(epochs / float(train.halving_epochs))

    def parts(self, images: int) -> int:
        """Crops and maps have 1/parts of their sides after so many pictures."""
        done = images / self.total_images
        for parts, share in zip(SMALLER, self._shares(), strict=True):
            if done < share:
                return parts
            done -= share
        return 1

    def _seen(self, images: float) -> float:
        """Pictures, each counted as the part of its side that is seen."""
        found, start = 0.0, 0.0
        for parts, share in (*zip(SMALLER, self._shares(), strict=True), (1, 1.0)):
            end = min(start + share * self.total_images, images)
            found += max(end - start, 0) / parts
            start += share * self.total_images
        return found

    def _shares(self) -> list[float]:
        return list(self.config.train.small_shares)

    def layout_of(self, parts: int) -> layouts.MapLayout:
        """The layout of maps whose sides are divided by `parts`."""
        if parts == 1:
            return self.layout
        return self.layout.resized(self.layout.resolution // parts)

    def iterate(self, progress: loop.Progress) -> loop.Iteration:
        """One batch."""
        train = self.config.train
        batch = int(train.batch)
        parts = self.parts(progress.images)
        following = None
        if progress.images + batch < self.total_images:
            following = self.parts(progress.images + batch)
            following = (progress.iterations + 1, progress.restores, batch, following)
        crops, maps = self._batches.take(
            (progress.iterations, progress.restores, batch, parts), following
        )
        self.optimizer.learning_rate = self.learning_rate(progress.images)
        frozen = progress.images >= float(train.norms_frozen_from) * self.total_images
        if (parts, frozen) not in self._steps:
            self._steps[parts, frozen] = self._make_step(parts, frozen)
        values = self._steps[parts, frozen](tf.constant(crops), tf.constant(maps))
        names = ("Loss/position_map", "Loss/total", "Train/gradient_norm")
        return loop.Iteration(batch, [loop.Measurements(names, values, weight=batch)])

    def _given(self, crops):
        """Crops in 0..1, RGB, as the network takes them."""
        options = self.network.config
        if options.color_order == "bgr":
            crops = tf.reverse(crops, [-1])
        return crops * (255.0 / options.divisor)

    def _make_step(self, parts: int, frozen: bool):
        distance = LOSSES[self.config.loss.kind]
        decay = float(self.config.loss.weight_decay)
        mask = self.mask
        if parts > 1:
            mask = loss_mask(self.config, self.layout_of(parts))
        mask = tf.constant(mask)
        scale = self.network.config.position_scale / parts
        kernels = self.network.kernels()

        @tf.function
        def step(crops, maps):
            with tf.GradientTape() as tape:
                output = self.network.at_any_size(
                    self._given(crops), training=not frozen
                )
                loss = tf.reduce_mean(distance(maps / scale, output, mask))
                total = loss
                if decay:
                    total += position_maps.weight_decay(kernels, decay)
            variables = list(self._trained.values())
            gradients = tape.gradient(total, [v.value for v in variables])
            self.optimizer.apply(gradients, variables)
            return tf.stack([loss, total, tf.linalg.global_norm(gradients)])

        return step

    def _make_prediction(self):
        @tf.function
        def predict(crops):
            output = self.network.at_any_size(self._given(crops), training=False)
            options = self.network.config
            unit = options.position_scale / options.resolution
            return output * (unit * crops.shape[1])

        return predict

    # --- what the loop shows ---------------------------------------------------------

    def tick_images(self, progress: loop.Progress) -> float:
        """The configured length."""
        del progress
        return 1000.0 * self.config.train.tick_kimg

    def validation(self, parts: int = 1) -> sources.Validation:
        """The held-out faces, read or drawn once; sides divided by `parts`."""
        if parts not in self._validation:
            self._validation[parts] = self.source.validation(parts)
        return self._validation[parts]

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """Maps [N, M, M, 3] in crop pixels of crops [N, R, R, 3] in 0..1."""
        return measures.predict(lambda part: self._predict(tf.constant(part)), crops)

    def status_fields(self, progress: loop.Progress) -> list[str]:
        """Errors of the held-out faces in percent, at the size that is trained."""
        parts = self.parts(progress.images)
        data = self.validation(parts)
        found = self.predict(data.crops)
        self._latest = measures.measure(found, data, self.layout_of(parts))
        return [
            f"NME 2D {self._latest['nme_2d']:<6.3g}%",
            f"3D {self._latest['nme_3d']:<6.3g}%",
            f"dense 2D {self._latest['dense_2d']:<6.3g}%",
        ]

    def tick_scalars(self, progress: loop.Progress) -> Mapping[str, float]:
        """Errors of the held-out faces, learning rate."""
        return {
            **{f"Validation/{name}": value for name, value in self._latest.items()},
            "Progress/learning_rate": self.learning_rate(progress.images),
        }

    def write_results(
        self, run: runs.RunFolder, progress: loop.Progress
    ) -> dict[str, pathlib.Path]:
        """Predictions for held-out faces as a sheet; the layout, once."""
        if not (run.path / LAYOUT).is_file():
            layouts.write_layout(run.path / LAYOUT, self.layout)
        parts = self.parts(progress.images)
        data = self.validation(parts)
        maps = self.predict(data.crops[:_SHOWN])
        path = run.path / f"predictions-{progress.images:09d}.png"
        pictures.write(path, sheets.predictions(maps, data, self.layout_of(parts)))
        return {"predictions": path}


# --- what the training program asks for ---------------------------------------------


def prepare_data(config: ml_collections.ConfigDict, dry_run: bool = False) -> bool:
    """Nothing to prepare: `build` opens lists and sets, or draws; returns True."""
    del config, dry_run
    return True


def build(config: ml_collections.ConfigDict) -> PrnetSystem:
    """Opens the data and makes the network.

    Raises:
      InputError: for data or options that do not fit, or several devices.
      FormatError: if files are damaged.
    """
    strategy = distribution.make_strategy(config.devices, 1, config.desc)
    if strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"--devices={config.devices}: PRNet is trained on one device, found "
            f"{strategy.num_replicas_in_sync}."
        )
    if config.xla:
        raise InputError("--xla: found true, expected false.")
    seeding.seed_everything(config.random_seed)
    system = PrnetSystem(config)
    print(
        f"{system.network.count_params():,} parameters, "
        f"{system.network.multiply_adds() / 1e9:.2f} G multiply-adds. Data: "
        f"{system.source.describe()}."
    )
    config.total_images = system.total_images
    return system


def loop_options(config: ml_collections.ConfigDict) -> loop.Options:
    """Returns the loop's options of a resolved configuration (after `build`)."""
    train = config.train
    return loop.Options(
        total_images=int(config.total_images),
        picture_ticks=train.picture_ticks,
        snapshot_ticks=train.snapshot_ticks,
        keep_snapshots=train.keep_snapshots,
        nonfinite_policy=train.nonfinite_policy,
        restore_limit=train.restore_limit,
        configuration=config.to_dict(),
        free_configuration=FREE_ON_RESUME,
    )


def plan(config: ml_collections.ConfigDict, system: PrnetSystem) -> str:
    """Returns what would be done, for --dry_run."""
    train = config.train
    return (
        f"{config.desc}: {system.total_images} pictures, "
        f"{system.source.epoch_faces} an epoch, batches of {train.batch}, Adam with "
        f"learning rate {train.learning_rate:g} ({train.learning_rate_schedule}); "
        f"{system.source.describe()}; the loss weighs "
        f"{int((system.mask > 0).sum())} points of a map"
    )
