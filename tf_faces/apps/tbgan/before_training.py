"""What of TBGAN's training data is looked at before TensorFlow starts."""

import pathlib

import ml_collections

from tf_faces.data.record_sets import inspection, reader


def check(config: ml_collections.ConfigDict) -> None:
    """Opens the record set, where there is one already, as the training will.

    Raises:
      InputError: if options of `config.dataset` do not fit the records.
      FormatError: if files are missing, damaged, or contradict each other.
    """
    options = config.dataset
    folder = pathlib.Path(config.data_dir) / options.tfrecord_dir
    if options.kind != "tfrecord" or not folder.is_dir():
        return
    record_set = reader.RecordSet(
        folder,
        resolution=options.resolution or None,
        max_label_size=options.max_label_size,
        dtype=options.dtype or None,
    )
    inspection.require_range(
        record_set, options.dynamic_range or inspection.value_range(record_set.dtype)
    )
