"""Devices and replicas: one replica a device, through tf.distribute.

Rules that every step function follows (Keras 3 on TensorFlow):

- variables are made inside `strategy.scope()`;
- losses are divided by the *global* minibatch: an optimizer inside `strategy.run` sums
  gradients over replicas by itself;
- random numbers are drawn for the global minibatch with a stateless op and every
  replica takes its own rows (`rows_of_replica`), so that results do not depend on the
  number of devices;
- the minibatch-stddev groups of the discriminator are formed within a replica, as in
  the original, where every GPU had its own.

On several machines (`make_multi_worker_strategy`) every process runs the same program
on the same data set; what they agree on otherwise is in `training.workers`.
"""

import tensorflow as tf

from tf_faces.core import machine
from tf_faces.core.errors import InputError


def make_strategy(devices: str, wanted: int, preset: str) -> tf.distribute.Strategy:
    """Returns the strategy for `--devices`.

    Must be called before TensorFlow has run its first op where it splits the processor.

    Args:
      devices: "auto", "gpu:N" or "cpu:N".  "auto" takes as many GPUs as the preset
        wants; on a machine without any GPU, the processor as one device.
      wanted: devices that the configuration wants (`num_gpus`).
      preset: the preset's name, for messages.

    Returns:
      The default strategy for one device, else a MirroredStrategy.

    Raises:
      InputError: if there are fewer devices than wanted, or `devices` is malformed.
    """
    gpus = tf.config.list_physical_devices("GPU")
    asked = machine.parse_devices(devices)
    if asked is None:
        if not gpus and wanted == 1:
            return tf.distribute.get_strategy()
        kind, count = "gpu", wanted
    else:
        kind, count = asked
        if count < wanted:
            raise InputError(
                f"--devices={devices}: the preset {preset} wants {wanted} devices, "
                f"found {count}; expected --devices={kind}:{wanted}, or "
                f"--config.num_gpus={count} for another division of the minibatch."
            )
    if kind == "cpu":
        return _processor_strategy(count)
    if len(gpus) < count:
        raise InputError(
            f"--devices={devices}: the preset {preset} wants {count} devices, found "
            f"{len(gpus)} GPUs; expected --devices=cpu:{count} to split the processor "
            f"into {count} logical devices, or --config.num_gpus={max(len(gpus), 1)}."
        )
    tf.config.set_visible_devices(gpus[:count], "GPU")
    for gpu in gpus[:count]:
        tf.config.experimental.set_memory_growth(gpu, True)
    if count == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(count)])


def require_strategy(name: str, strategy: tf.distribute.Strategy) -> None:
    """Checks that devices and `--strategy` say the same.

    Args:
      name: "auto", "none" (one device) or "mirrored" (several).
      strategy: of `make_strategy`.

    Raises:
      InputError: if they do not.
    """
    replicas = strategy.num_replicas_in_sync
    if name == "none" and replicas > 1:
        raise InputError(
            f"--strategy=none: found {replicas} devices, expected one; --devices=cpu:1 "
            "or gpu:1 with --config.num_gpus=1, or --strategy=mirrored."
        )
    if name == "mirrored" and replicas == 1:
        raise InputError(
            "--strategy=mirrored: found one device, expected several; --devices=cpu:N "
            "or gpu:N, or --strategy=none."
        )


def make_multi_worker_strategy(
    devices: str, wanted: int, preset: str, cluster: machine.Cluster
) -> tf.distribute.Strategy:
    """Returns the strategy of one of several processes, TF_CONFIG being set.

    Waits until all processes are there.  Must be called before TensorFlow has run its
    first op.

    Args:
      devices: of each process: "auto" (as many GPUs as are needed, or the processor
        as one device), "gpu:N" or "cpu:1".
      wanted: devices that the configuration wants, over all processes.
      preset: the preset's name, for messages.
      cluster: of `machine.parse_cluster`.

    Raises:
      InputError: if this process has too few devices.
    """
    gpus = tf.config.list_physical_devices("GPU")
    share = -(-wanted // cluster.workers)
    asked = machine.parse_devices(devices)
    if asked is None:
        asked = ("cpu", 1) if not gpus and share == 1 else ("gpu", share)
    kind, count = asked
    if kind == "cpu" and count > 1:
        raise InputError(
            f"--devices={devices}: found {count} parts of a processor, expected cpu:1 "
            "with --strategy=multi_worker; start more processes instead."
        )
    if count * cluster.workers < wanted:
        raise InputError(
            f"--devices={devices}: the preset {preset} wants {wanted} devices, found "
            f"{count} in each of {cluster.workers} processes; expected "
            f"--devices={kind}:{share}, or --config.num_gpus={count * cluster.workers} "
            "for another division of the minibatch."
        )
    if kind == "gpu" and len(gpus) < count:
        raise InputError(
            f"--devices={devices}: the preset {preset} wants {count} devices in each "
            f"of {cluster.workers} processes, found {len(gpus)} GPUs; expected more "
            f"processes, or --config.num_gpus={max(len(gpus), 1) * cluster.workers}."
        )
    tf.config.set_visible_devices(gpus[:count] if kind == "gpu" else [], "GPU")
    for gpu in gpus[:count] if kind == "gpu" else []:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.distribute.MultiWorkerMirroredStrategy()


def _processor_strategy(count: int) -> tf.distribute.Strategy:
    processor = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:
        # TensorFlow is initialised already; good enough if the devices exist.
        present = len(tf.config.list_logical_devices("CPU"))
        if present < count:
            raise InputError(
                f"--devices=cpu:{count}: TensorFlow already has {present} logical "
                "devices, expected to be the first to start it in this process."
            ) from None
    if count == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])


def rows_of_replica(global_values: tf.Tensor, replica: tf.Tensor, replicas: int):
    """Returns the rows of a global minibatch that belong to one replica.

    Args:
      global_values: [N, ...] values of the global minibatch, the same everywhere.
      replica: scalar index of the replica.
      replicas: their number, a divisor of N.
    """
    if replicas == 1:
        return global_values
    rows = global_values.shape[0] // replicas
    return global_values[replica * rows : (replica + 1) * rows]


def split(strategy: tf.distribute.Strategy, values):
    """Splits the first axis of every tensor of a structure over the replicas."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return values

    def part(context):
        index = context.replica_id_in_sync_group
        return tf.nest.map_structure(
            lambda value: rows_of_replica(value, index, replicas), values
        )

    return strategy.experimental_distribute_values_from_function(part)


def local_variable(variable) -> tf.Variable:
    """Returns this replica's own tf.Variable of a Keras or distributed variable."""
    inner = getattr(variable, "value", variable)
    if callable(inner):  # A tf.Variable's `value` is a method.
        inner = variable
    if hasattr(inner, "_get"):  # A distributed variable: the component of this replica.
        return inner._get()
    return inner


def mean_over_replicas(values: list[tf.Tensor]) -> list[tf.Tensor]:
    """The means of tensors over all replicas, within a replica's step."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1 or not values:
        return values
    return list(context.all_reduce(tf.distribute.ReduceOp.MEAN, values))


def rows_of_all(values: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas one after another, within a replica's step."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return _with_dense_gradient(context.all_gather(values, axis=0))


@tf.custom_gradient
def _with_dense_gradient(values):
    """The values; devices cannot add up gradients of single rows, as gathers make."""
    return tf.identity(values), tf.convert_to_tensor


def first_replica(strategy: tf.distribute.Strategy, value):
    """Returns the value of the first replica."""
    return strategy.experimental_local_results(value)[0]
