"""Writes what use needs of a run, in half precision: weights that can be passed on.

The result is opened like the run it is of (`pipelines.opening`), and an export of it is
an export of the run.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.pipelines import shipped
from tf_faces.training import checkpoints

# Of every run folder.
CONFIGURATION = "config.json"


class _Stored:
    """An array as `checkpoints.save` takes variables."""

    def __init__(self, values: np.ndarray):
        self._values = values

    def numpy(self) -> np.ndarray:
        return self._values


def write_snapshot(
    run: files.PathLike,
    output: files.PathLike,
    groups: Sequence[str],
    beside: Sequence[str] = (),
    more: Callable[[pathlib.Path], None] | None = None,
) -> pathlib.Path:
    """Writes the newest snapshot's networks as a run folder of their own.

    Args:
      run: folder of a run.
      output: folder that is made.
      groups: of the snapshot, those that use needs.
      beside: further files of the run folder that use needs.
      more: writes what else use needs into the folder that it is given.

    Returns:
      `output`.

    Raises:
      InputError: if the run has no snapshot, or there is something at `output`.
      FormatError: if something is damaged or a weight too large.
    """
    run, output = pathlib.Path(run), pathlib.Path(output)
    snapshot = checkpoints.load_newest(run / "snapshots")
    if snapshot is None:
        raise InputError(f"{run}: holds no snapshot yet, expected a trained run.")
    with files.atomic_directory(output) as folder:
        variables = {
            group: {
                name: _Stored(
                    files.halved(values, f"{snapshot.path / group}.npz: {name}")
                )
                for name, values in snapshot.arrays(group).items()
            }
            for group in groups
        }
        checkpoints.save(
            folder / "snapshots",
            snapshot.images,
            variables=variables,
            state={},
            configuration=without_places(snapshot.configuration),
        )
        if more is not None:
            more(folder)
        finish(run, folder, beside)
    return output


def without_places(value: Any) -> Any:
    """JSON values; of paths from the root of the disk only the last part is kept."""
    if isinstance(value, Mapping):
        return {name: without_places(one) for name, one in value.items()}
    if isinstance(value, list):
        return [without_places(one) for one in value]
    if isinstance(value, str) and pathlib.PurePath(value).is_absolute():
        return pathlib.PurePath(value).name
    return value


def finish(run: pathlib.Path, folder: pathlib.Path, beside: Sequence[str] = ()) -> None:
    """Copies the configuration and further files of a run, and writes all digests."""
    configuration = files.read_json(run / CONFIGURATION)
    files.write_json(folder / CONFIGURATION, without_places(configuration))
    for name in beside:
        source = files.require_file(run / name, "file of the run")
        files.write_bytes(folder / name, source.read_bytes())
    files.write_json(folder / shipped.DIGESTS, shipped.digests_of(folder))
