"""Training of TBGAN and Progressive GANs.

One iteration of the loop is `minibatch_repeats` times

    D step (reals, fresh latents, gradient penalty)  and  Gs <- average of G and Gs
    G step (fresh latents, labels drawn from the data set)

with learning rates, minibatch and level of detail from the schedule, which is looked
at once an iteration; at every change of the level of detail (and at the first
iteration) both optimizers are reset.  Reals are fed and fakes made at the native
resolution of the phase: enlarging both to the full size, as the original did, does not
change the result.

All random numbers are functions of (seed, stream, step), drawn for the whole minibatch
and shared out to the replicas.

Reference: train.py of TBGAN and of the Progressive GAN code.
"""

import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.core import machine, runs, seeding
from tf_faces.core.errors import InputError
from tf_faces.data import tbgan as data
from tf_faces.models import tbgan as networks
from tf_faces.training import (
    checkpoints,
    distribution,
    logging,
    loop,
    random_numbers,
    workers,
)
from tf_faces.training.tbgan import (
    adam,
    average,
    beyond,
    builtin_data,
    data_sets,
    sheets,
)
from tf_faces.training.tbgan import (
    schedule as schedules,
)
from tf_faces.training.tbgan import (
    step as tbgan_step,
)

# Options that a resumed run may change, because they do not alter the training itself.
FREE_ON_RESUME = (
    "data_dir",
    "devices",
    "finish.samples",
    "finish.smoothing",
    "finish.saved_model",
    "result_dir",
    "train.image_snapshot_ticks",
    "train.keep_snapshots",
    "train.network_snapshot_ticks",
    "train.nonfinite_policy",
    "train.restore_limit",
    "train.save_tf_graph",
    "train.save_weight_histograms",
    "train.total_kimg",
)


def make_schedule(
    config: ml_collections.ConfigDict, resolution_log2: int
) -> schedules.ProgressiveSchedule:
    """Returns the schedule of a configuration for data of one resolution."""
    tables = {
        name: value.to_dict() if hasattr(value, "to_dict") else value
        for name, value in config.sched.items()
    }
    return schedules.ProgressiveSchedule(
        resolution_log2=resolution_log2, replicas=config.num_gpus, **tables
    )


def loop_options(config: ml_collections.ConfigDict) -> loop.Options:
    """Returns the loop's options of a resolved configuration."""
    train = config.train
    return loop.Options(
        total_images=math.ceil(train.total_kimg * 1000),
        picture_ticks=train.image_snapshot_ticks,
        snapshot_ticks=train.network_snapshot_ticks,
        keep_snapshots=train.keep_snapshots,
        nonfinite_policy=train.nonfinite_policy,
        restore_limit=train.restore_limit,
        configuration=config.to_dict(),
        free_configuration=FREE_ON_RESUME,
    )


def plan(config: ml_collections.ConfigDict, system: "TbganSystem | None") -> str:
    """Returns what a run would do, phase by phase.

    Args:
      config: resolved configuration.
      system: None where the data set is not there yet.
    """
    if system is None:
        resolution = config.dataset.build_resolution
        schedule = make_schedule(config, resolution.bit_length() - 1)
    else:
        schedule = system.schedule
    phases = schedules.describe(schedule, config.train.total_kimg)
    return "\n".join(["Plan:", *phases, f"  on {config.num_gpus} device(s)"])


def build(config: ml_collections.ConfigDict) -> "TbganSystem":
    """Opens the data, makes networks and optimizers, and prints what it made.

    Sets `num_gpus` of the configuration to the number of replicas really used.
    """
    if config.strategy != "multi_worker":
        return _build(config, None)
    cluster = machine.parse_cluster(os.environ.get("TF_CONFIG"))
    with workers.Workers(cluster).lost_peers_are_told():
        return _build(config, cluster)


def _build(
    config: ml_collections.ConfigDict, cluster: machine.Cluster | None
) -> "TbganSystem":
    wanted = (config.devices, config.num_gpus, config.desc or "of this run")
    if cluster is None:
        strategy = distribution.make_strategy(*wanted)
        distribution.require_strategy(config.strategy, strategy)
    else:
        strategy = distribution.make_multi_worker_strategy(*wanted, cluster)
    replicas = strategy.num_replicas_in_sync
    if config.xla and replicas > 1:
        raise InputError(
            f"--xla: found {replicas} devices, expected one: XLA cannot compile a step "
            "that spans devices."
        )
    config.num_gpus = replicas
    print("Running tf_faces.training.tbgan.train()...", flush=True)
    seeding.seed_everything(config.random_seed)
    dataset = data_sets.open_dataset(config)
    print(f"Streaming data using tf_faces.data.tbgan.{type(dataset).__name__}...")
    for line in dataset.describe():
        print(line)
    print("Constructing networks...", flush=True)
    joined = () if cluster is None else (cluster,)
    system = TbganSystem(config, strategy, dataset, *joined)
    for name, network in (("G", system.generator), ("D", system.discriminator)):
        print()
        for line in system.layer_table(name, network):
            print(line)
        print(flush=True)
    print("Building TensorFlow graph...")
    print("Setting up snapshot image grid...", flush=True)
    system.set_up_grid()
    return system


class TbganSystem(loop.System):
    """TBGAN as the training loop sees it.

    Attributes:
      generator, discriminator, average: G, D and Gs.
      schedule: what holds when.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        strategy: tf.distribute.Strategy,
        dataset,
        cluster: machine.Cluster | None = None,
    ):
        """Makes networks and optimizers.

        Args:
          config: resolved configuration.
          strategy: one replica a device.
          dataset: `TfrecordDataset` or `SyntheticDataset`.
          cluster: the processes that share a MultiWorkerMirroredStrategy.

        Raises:
          InputError: if configuration and data set contradict each other.
        """
        self.config = config
        self.strategy = strategy
        self.dataset = dataset
        self._workers = workers.Workers(cluster, strategy)
        self.schedule = make_schedule(config, dataset.resolution_log2)
        self.seed = int(config.random_seed)
        if config.train.mirror_augment:
            data.require_mirror_allowed(dataset.num_channels)
        common = {
            "num_channels": dataset.num_channels,
            "resolution": dataset.resolution,
            "label_size": dataset.label_size,
        }
        with strategy.scope():
            generator_config = networks.GeneratorConfig.from_dict(
                {**common, **_network_options(config.G)}
            )
            self.generator = networks.Generator(generator_config)
            self.average = networks.Generator(generator_config)
            self.discriminator = networks.Discriminator(
                networks.DiscriminatorConfig.from_dict(
                    {**common, **_network_options(config.D)}
                )
            )
            average.copy(self.average, self.generator)
            self.generator_optimizer = adam.Adam(
                self.generator.trainables_by_name(), "TrainG", **config.G_opt.to_dict()
            )
            self.discriminator_optimizer = adam.Adam(
                self.discriminator.trainables_by_name(),
                "TrainD",
                **config.D_opt.to_dict(),
            )
            self._beyond = beyond.Beyond(config, dataset, self.schedule)
        self._generator_options = tbgan_step.LossOptions(**config.G_loss.to_dict())
        self._discriminator_options = tbgan_step.LossOptions(**config.D_loss.to_dict())
        # What the last iteration worked with; the first one resets the optimizers.
        self._values: schedules.ScheduleValues | None = None
        self._former_level: float | None = None
        self._index = 0
        self._reader: _Reader | None = None
        self._steps: dict[tuple, Any] = {}
        self._names: dict[bool, tuple[str, ...]] = {}
        self._sheets: sheets.Sheets | None = None
        self._graph: tf.Graph | None = None
        self._graph_taken = False
        self._all_labels = tf.constant(dataset.labels)

    # --- state ----------------------------------------------------------------------

    def variables(self) -> dict[str, dict[str, Any]]:
        """All TensorFlow state by group; network groups use the original names."""
        return {
            "G": self.generator.variables_by_name(),
            "D": self.discriminator.variables_by_name(),
            "Gs": self.average.variables_by_name(),
            "TrainG": checkpoints.named_variables(self.generator_optimizer),
            "TrainD": checkpoints.named_variables(self.discriminator_optimizer),
            **self._beyond.variables(),
        }

    def host_state(self) -> dict[str, Any]:
        """Data position and the level of detail that the optimizers last saw."""
        return {
            "data": self.dataset.state(self._index),
            "former_level": self._former_level,
        }

    def restore_host_state(self, state: Mapping[str, Any]) -> None:
        """Takes back `host_state`."""
        self._index = self.dataset.index_from_state(state["data"])
        self._former_level = state["former_level"]
        self._reader = None

    def workers(self) -> workers.Workers:
        """The processes that train these networks together."""
        return self._workers

    # --- iterations -----------------------------------------------------------------

    def iterate(self, progress: loop.Progress) -> loop.Iteration:
        """Trains on `minibatch_repeats` minibatches (times `D_repeats`)."""
        train = self.config.train
        values = self._values = self.schedule.at(progress.images)
        self._reset_optimizers(values.level_of_detail)
        floor = math.floor(values.level_of_detail)
        fading = values.level_of_detail != floor
        fraction = tf.constant(values.level_of_detail - floor, tf.float32)
        repeats = train.minibatch_repeats * train.D_repeats
        measurements = []
        for repeat in range(repeats):
            images, labels = self._next_minibatch(floor, values.minibatch)
            with_generator = (repeat + 1) % train.D_repeats == 0
            step = self._step(floor, fading, values.minibatch, with_generator)
            arguments = (
                images,
                labels,
                tf.constant(self._seed_of(progress, repeat), tf.int32),
                fraction,
                tf.constant(values.generator_learning_rate, tf.float32),
                tf.constant(values.discriminator_learning_rate, tf.float32),
            )
            arguments += self._beyond.smoothing(
                progress.images + repeat * values.minibatch, values.minibatch
            )
            if train.save_tf_graph and not self._graph_taken:
                self._graph_taken = True
                self._graph = step.get_concrete_function(*arguments).graph
            measurements += self._measurements(
                values.minibatch, with_generator, step(*arguments)
            )
        return loop.Iteration(repeats * values.minibatch, measurements)

    def _reset_optimizers(self, level_of_detail: float) -> None:
        """Resets both optimizers when the resolutions in play change."""
        former, self._former_level = self._former_level, level_of_detail
        changed = former is None or (
            math.floor(former) != math.floor(level_of_detail)
            or math.ceil(former) != math.ceil(level_of_detail)
        )
        if changed and self.config.train.reset_opt_for_new_lod:
            self.generator_optimizer.reset()
            self.discriminator_optimizer.reset()

    def _seed_of(self, progress: loop.Progress, repeat: int) -> tuple[int, int]:
        """Returns the seed of one step; another attempt draws other numbers."""
        counters = (progress.restores, progress.iterations, repeat)
        return seeding.derive(self.seed, "step", *counters)

    def _step(self, floor: int, fading: bool, minibatch: int, with_generator: bool):
        """Returns the compiled step of one phase and minibatch size."""
        key = (floor, fading, minibatch, with_generator)
        if key not in self._steps:
            function = self._make_step(floor, fading, minibatch, with_generator)
            self._steps[key] = tf.function(
                function, jit_compile=bool(self.config.xla), autograph=False
            )
        return self._steps[key]

    def _make_step(
        self, floor: int, fading: bool, minibatch: int, with_generator: bool
    ):
        config, strategy = self.config, self.strategy
        replicas = strategy.num_replicas_in_sync
        mirror = bool(config.train.mirror_augment)
        compiled = bool(config.xla)
        extras = self._beyond.extras(floor, fading, minibatch, replicas)

        def replica_step(
            images,
            labels,
            seed,
            fraction,
            generator_rate,
            rate,
            smoothing=config.train.G_smoothing,
        ):
            level = networks.LevelOfDetail(floor, fraction if fading else None)
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group

            def mine(values):
                return distribution.rows_of_replica(values, replica, replicas)

            drawn = tbgan_step.RandomInputs(
                *(
                    mine(values)
                    for values in tbgan_step.random_inputs(
                        seed,
                        minibatch,
                        self.generator.config.latent_size,
                        self._all_labels,
                        compiled,
                    )
                )
            )
            flips = None
            if mirror:
                # A stream of its own: the others do not depend on this option.
                flip_seed = tf.random.fold_in(seed, 1, alg="philox")
                flips = mine(random_numbers.uniform([minibatch], flip_seed, compiled))
            reals = data.process_reals(
                images,
                level if fading else float(floor),
                flips,
                self.dataset.dynamic_range,
                config.train.drange_net,
            )
            measured = tbgan_step.discriminator_step(
                self.generator,
                self.discriminator,
                self.average,
                self.discriminator_optimizer,
                reals,
                labels,
                drawn.discriminator_latents,
                drawn.mixing,
                level,
                rate,
                self._discriminator_options,
                smoothing,
                *extras(seed, mine, 0),
            )
            if with_generator:
                measured |= tbgan_step.generator_step(
                    self.generator,
                    self.discriminator,
                    self.generator_optimizer,
                    drawn.generator_latents,
                    drawn.generator_labels,
                    level,
                    generator_rate,
                    self._generator_options,
                    *extras(seed, mine, 1),
                )
            # The order of names is fixed by the first trace.
            self._names[with_generator] = tuple(measured)
            values = tf.stack(
                [tf.cast(value, tf.float32) for value in measured.values()]
            )
            if self._workers.count > 1:
                context = tf.distribute.get_replica_context()
                values = context.all_reduce(tf.distribute.ReduceOp.MEAN, values)
            return values

        def step(*arguments):
            values = strategy.run(replica_step, arguments)
            if self._workers.count > 1:
                return distribution.first_replica(strategy, values)
            return strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)

        return step

    def _measurements(self, minibatch: int, with_generator: bool, values):
        """Splits a step's numbers: losses count by sample, the others by step."""
        names = self._names[with_generator]
        overflows = {
            optimizer.overflow_tag: optimizer.name
            for optimizer in (self.discriminator_optimizer, self.generator_optimizer)
            if optimizer.overflow_tag in names
        }
        return [loop.Measurements(names, values, float(minibatch), overflows)]

    def _next_minibatch(self, floor: int, minibatch: int):
        reader = self._reader
        if reader is None or (reader.floor, reader.minibatch) != (floor, minibatch):
            reader = self._reader = _Reader(
                self.dataset, self.strategy, floor, minibatch, self._index
            )
        self._index += minibatch
        return reader.next()

    # --- what the loop asks for every tick ------------------------------------------

    def tick_images(self, progress: loop.Progress) -> float:
        """Length of the tick by the schedule of its last iteration."""
        assert self._values is not None
        return self._values.tick_kimg * 1000

    def status_fields(self, progress: loop.Progress) -> list[str]:
        """The fields `lod` and `minibatch`."""
        assert self._values is not None
        return [
            f"lod {self._values.level_of_detail:<5.2f}",
            f"minibatch {self._values.minibatch:<4d}",
        ]

    def tick_scalars(self, progress: loop.Progress) -> dict[str, float]:
        """`Progress/lod` and `Progress/minibatch`."""
        assert self._values is not None
        return {
            "Progress/lod": self._values.level_of_detail,
            "Progress/minibatch": float(self._values.minibatch),
        }

    def histograms(self) -> dict[str, np.ndarray]:
        """Weights of G and D, if `save_weight_histograms` is on."""
        if not self.config.train.save_weight_histograms:
            return {}
        found = {}
        for network, model in (("G", self.generator), ("D", self.discriminator)):
            for name, variable in model.variables_by_name().items():
                scope, _, kind = name.rpartition("/")
                if scope:
                    tag = f"{network}_{kind}/{scope.replace('/', '_')}"
                    found[tag] = variable.numpy()
        return found

    def graph(self) -> tf.Graph | None:
        """The graph of a training step, once, if `save_tf_graph` is on."""
        graph, self._graph = self._graph, None
        return graph

    def overflow_expected(self) -> bool:
        """True with dynamic loss scaling, which looks for the largest scale."""
        config = self.config
        return config.G_opt.use_loss_scaling or config.D_opt.use_loss_scaling

    def write_results(
        self, run: runs.RunFolder, progress: loop.Progress
    ) -> dict[str, pathlib.Path]:
        """Writes reals.png (at the start) and fakes%06d.png, with _shp and _nor."""
        assert self._sheets is not None, "set_up_grid comes first"
        written = {}
        if progress.images == 0:
            written |= self._sheets.save_reals(run.path)
            builtin_data.keep_uv_dictionary(self.config, run.path)
        # Before training the level of detail is 0, as in the original.
        level = self._values.level_of_detail if self._values else 0.0
        return written | self._sheets.save_fakes(run.path, progress.images, level)

    def set_up_grid(self) -> None:
        """Chooses what the sheets of pictures show."""
        self._sheets = sheets.Sheets(self.config, self.dataset, self.average)

    def layer_table(self, name: str, network) -> list[str]:
        """Returns the lines of a network's table in log.txt."""
        rows, total = network.layer_rows()
        return logging.layer_table(name, rows, total)


class _Reader:
    """Minibatches of one resolution and size, from one position on."""

    def __init__(self, dataset, strategy, floor: int, minibatch: int, index: int):
        self.floor = floor
        self.minibatch = minibatch
        self._dataset = dataset
        self._strategy = strategy
        self._iterator = iter(dataset.pipeline(floor, minibatch, index))

    def next(self):
        """Returns (images, labels), split over the replicas."""
        with self._dataset.named_errors():
            return distribution.split(self._strategy, next(self._iterator))


def _network_options(options: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the options of one network; 0 stands for "take the default"."""
    values = options.to_dict()
    if values.get("latent_size") == 0:
        values["latent_size"] = None
    return values
