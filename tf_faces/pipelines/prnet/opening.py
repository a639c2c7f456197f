"""Opens what a training left behind."""

import pathlib

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.data.prnet import layout as layouts
from tf_faces.models import prnet
from tf_faces.models.prnet import inference
from tf_faces.pipelines.detectors import Detector
from tf_faces.pipelines.prnet.reconstruction import Reconstructor
from tf_faces.training import checkpoints
from tf_faces.training.prnet import system as training


def recognises(directory: files.PathLike) -> bool:
    """Whether a folder has a snapshot of a position map network."""
    found = pathlib.Path(directory) / "snapshots"
    return any(found.glob(f"*/{training.GROUP}.npz"))


def open_run(
    folder: files.PathLike, *, detector: Detector | None = None
) -> Reconstructor:
    """Opens the newest snapshot of a run folder, with the layout of its maps.

    Args:
      folder: of the run.
      detector: finds faces where neither box nor landmarks are given.

    Raises:
      InputError: if there is no snapshot, or the layout is missing.
      FormatError: if a file is damaged.
    """
    folder = files.require_directory(folder, "run folder")
    snapshot = checkpoints.load_newest(folder / "snapshots")
    if snapshot is None:
        raise InputError(f"{folder}: holds no snapshot yet, expected a trained run.")
    from tf_faces.configs import prnet as presets

    config = presets.PRESETS.from_json(snapshot.configuration)
    network = prnet.create(training.network_config(config))
    checkpoints.assign_arrays(
        network.variables_by_name(),
        snapshot.arrays(training.GROUP),
        str(snapshot.path),
    )
    layout = layouts.read_layout(folder / training.LAYOUT)
    return Reconstructor(inference.fold(network), layout, detector)
