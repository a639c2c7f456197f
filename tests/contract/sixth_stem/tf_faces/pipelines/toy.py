"""Numbers in, numbers on the line out."""

import pathlib

from tf_faces.models.toy import line
from tf_faces.models.toy.config import LineConfig

from tf_faces.core.errors import InputError
from tf_faces.training import checkpoints


def recognises(directory):
    """Whether a folder has a snapshot of a line."""
    return any((pathlib.Path(directory) / "snapshots").glob("*/line.npz"))


def open_run(folder):
    """The line of the newest snapshot."""
    snapshot = checkpoints.load_newest(pathlib.Path(folder) / "snapshots")
    if snapshot is None:
        raise InputError(f"{folder}: holds no snapshot yet.")
    config = LineConfig.from_dict(snapshot.configuration["network"])
    found = line.Line(config)
    found.build((None, config.width))
    variables = {v.path: v for v in found.variables}
    checkpoints.assign_arrays(variables, snapshot.arrays("line"), str(snapshot.path))
    return found
