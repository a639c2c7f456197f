"""The data set of a TBGAN configuration: found or made, and opened."""

import ml_collections

from tf_faces.configs import tbgan as configs
from tf_faces.data import tbgan as data
from tf_faces.training.tbgan import builtin_data


def prepare_data(config: ml_collections.ConfigDict, dry_run: bool = False) -> bool:
    """Makes the data set that a demonstration preset brings along, if it is absent.

    Returns:
      Whether the data set is there now; False only under `dry_run`.
    """
    if config.dataset.build_count == 0 or builtin_data.is_built(config):
        return True
    if dry_run:
        print(
            f"The data set {config.data_dir}/{config.dataset.tfrecord_dir} is not "
            f"there yet: {config.dataset.build_count} faces would be made."
        )
        return False
    builtin_data.build(config)
    return True


def open_dataset(config: ml_collections.ConfigDict):
    """Opens the data set of a configuration.

    Type and range of the values, where the configuration leaves them open, are those
    of the records, and written into it.

    Raises:
      InputError: if it is missing or does not fit the configuration.
    """
    configs.check_dataset(config)
    dataset = _open_dataset(config)
    if not config.dataset.dtype:
        config.dataset.dtype = str(dataset.dtype)
    if not config.dataset.dynamic_range:
        config.dataset.dynamic_range = [
            int(value) if value.is_integer() else value
            for value in dataset.dynamic_range
        ]
    return dataset


def _open_dataset(config: ml_collections.ConfigDict):
    options = config.dataset
    if options.kind == "synthetic":
        return data.SyntheticDataset(
            options.resolution,
            options.num_channels,
            dtype=options.dtype or "float32",
            dynamic_range=options.dynamic_range,
        )
    return data.TfrecordDataset(
        configs.require_data(config),
        resolution=options.resolution or None,
        max_label_size=options.max_label_size,
        dtype=options.dtype or None,
        dynamic_range=options.dynamic_range,
        shuffle_mb=options.shuffle_mb,
        prefetch_mb=options.prefetch_mb,
        seed=config.random_seed,
    )
