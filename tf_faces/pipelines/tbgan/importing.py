"""Snapshots of the originals become runs of ours."""

import dataclasses
import pathlib

from tf_faces.convert import tbgan as weights
from tf_faces.core import files
from tf_faces.core.errors import InputError


def images_shown(path: files.PathLike) -> int:
    """Images shown, by the number of thousands that a file's name ends with; else 0."""
    digits = pathlib.Path(path).stem.rpartition("-")[2]
    return int(digits) * 1000 if digits.isdecimal() and len(digits) < 10 else 0


def import_snapshot(
    path: files.PathLike, folder: files.PathLike, label_softmax: bool | None = None
) -> pathlib.Path:
    """Writes a snapshot of the originals as one of ours.

    It holds no optimizers, as the original's does not: it can be sampled, exported and
    evaluated, not resumed.

    Args:
      path: the pickle.
      folder: run folder, made if it is absent.
      label_softmax: whether the losses took a softmax of the labels; None takes what
        TBGAN did (yes) and the Progressive GAN (no).

    Returns:
      The folder of the snapshot.

    Raises:
      InputError, FormatError: see `convert.tbgan.read_snapshot`; also if the run folder
        holds this snapshot already.
    """
    from tf_faces.training import checkpoints

    stored = weights.read_snapshot(path)
    images = images_shown(path)
    snapshots = pathlib.Path(folder) / "snapshots"
    if (snapshots / f"snapshot-{images:09d}").exists():
        raise InputError(f"{snapshots}: holds a snapshot of {images} images already.")
    if label_softmax is None:
        label_softmax = not stored["Gs"].single_trunk
    built = {scope: network.build() for scope, network in stored.items()}
    configuration = {
        "model": "tbgan",
        "G_loss": {"label_softmax": label_softmax},
        "dataset": {},
        **{
            scope: dataclasses.asdict(built[name].config)
            for scope, name in (("G", "Gs"), ("D", "D"))
            if name in built
        },
    }
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    written = checkpoints.save(
        snapshots,
        images,
        variables={
            scope: network.variables_by_name() for scope, network in built.items()
        },
        state={"imported_from": pathlib.Path(path).name},
        configuration=configuration,
    )
    if not (pathlib.Path(folder) / "config.json").exists():
        files.write_json(pathlib.Path(folder) / "config.json", configuration)
    return written
