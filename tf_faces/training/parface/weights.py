"""Weights that a stage begins with and leaves behind: sessions and snapshots.

A run keeps, beside the complete state that the loop resumes from, the networks after
every `save_freq` epochs: `RUN/session/00050/parface.npz` and `meta.json`, as the
original's `snapshots/<session>/00050`.  Another stage goes on from such a folder under
other options; the optimisers begin anew, as in the original.
"""

import dataclasses
import pathlib
import re

import numpy as np

from tf_faces.convert import parface as convert
from tf_faces.convert import torch
from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.models.parface.networks import ParFaceNetworks

FOLDER = "session"
NAME = "parface.npz"
META = "meta.json"


@dataclasses.dataclass(frozen=True)
class Past:
    """What was trained before.

    Attributes:
      epoch, iterations: so far.
      seconds: of training.
    """

    epoch: int = 0
    iterations: int = 0
    seconds: float = 0.0


def find(source: str, results: str = "results") -> pathlib.Path:
    """Returns the weights file that `source` names.

    Args:
      source: a file, a folder RUN/session/00050, a run folder (its newest), a folder
        of runs (the newest of them that has some), a snapshot folder of the original,
        or as the original's README has it SESSION/00050.
      results: folder of the runs among which a session is looked for by its name.

    Raises:
      InputError: if there is none.
    """
    path = pathlib.Path(source)
    if path.is_file():
        return path
    for name in (NAME, convert.ORIGINAL_NAME):
        if (path / name).is_file():
            return path / name
    inner = path if path.name == FOLDER else path / FOLDER
    for folder, pattern in ((inner, ""), (path, f"[0-9]*-*/{FOLDER}/")):
        found = sorted(folder.glob(f"{pattern}*/{NAME}"))
        if found:
            return found[-1]
    of_session = _of_session(path, pathlib.Path(results))
    if of_session is not None:
        return of_session
    raise InputError(
        f"{source}: holds no weights of ParFace, expected an .npz, a folder "
        f"RUN/{FOLDER}/00050, SESSION/00050 of a run in {results}, or a snapshot with "
        f"{convert.ORIGINAL_NAME}."
    )


def _of_session(path: pathlib.Path, results: pathlib.Path) -> pathlib.Path | None:
    """The epoch `path.name` of the newest run called `path.parent` that has it."""
    session, epoch = str(path.parent), path.name
    if not epoch.isdigit() or not results.is_dir():
        return None
    numbered = re.compile(rf"[0-9]+-{re.escape(session)}")
    runs = [one for one in results.iterdir() if numbered.fullmatch(one.name)]
    found = (one / FOLDER / epoch / NAME for one in sorted(runs, reverse=True))
    return next((file for file in found if file.is_file()), None)


def past_of(path: pathlib.Path) -> Past:
    """Reads `meta.json` beside weights; a beginning where there is none.

    Raises:
      FormatError: if it is damaged.
    """
    meta = path.parent / META
    if not meta.is_file():
        return Past()
    values = files.read_json(meta)
    try:
        return Past(
            int(values["epoch"]),
            int(values.get("total_iter", 0)),
            float(values.get("total_time", 0.0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{meta}: no description of a snapshot ({in_words(error)})."
        ) from error


def restore(networks: ParFaceNetworks, source: str, results: str = "results") -> Past:
    """Fills the networks; parts and shapes that differ keep their initial values.

    Args:
      networks: what is filled.
      source, results: see `find`.

    Raises:
      InputError: if there are no weights, or they are for another size of pictures.
    """
    path = find(source, results)
    config, tensors = convert.read(path)
    for name in ("input_size", "latent_size", "width"):
        if getattr(config, name) != getattr(networks.config, name):
            raise InputError(
                f"resume: {path} has {name} {getattr(config, name)}, expected "
                f"{getattr(networks.config, name)} of this configuration."
            )
    left = convert.assign(networks, tensors, str(path), lenient=True)
    if left:
        print(f"{path}: {len(left)} tensors keep their initial values ({left[0]} ...)")
    return past_of(path)


def save(folder: pathlib.Path, networks: ParFaceNetworks, past: Past) -> pathlib.Path:
    """Writes the networks after an epoch, and returns the file."""
    place = folder / FOLDER / f"{past.epoch:05d}"
    place.mkdir(parents=True, exist_ok=True)
    convert.save(place / NAME, networks)
    config = networks.config
    files.write_json(
        place / META,
        {
            "epoch": past.epoch,
            "total_iter": past.iterations,
            "total_images": 0,
            "total_time": past.seconds,
            "best_score": 999,
            "input_size": config.input_size,
            "output_size": config.input_size,
            "z_dim": config.latent_size,
            "num_landmarks": config.num_landmarks,
        },
    )
    return place / NAME


def load_resnet(networks: ParFaceNetworks, path: str) -> int:
    """Fills encoder and depth head from torchvision's resnet18; counts the tensors.

    As in the original all tensors of the same name and shape are taken; the rest keeps
    its initial values.

    Raises:
      InputError: if nothing fits.
    """
    tensors = torch.read_state_dict(path)
    taken = 0
    variables = [
        *networks.encoder.named_tensors().items(),
        *networks.depth_head.named_tensors().items(),
    ]
    for name, variable in variables:
        value = tensors.get(name)
        if value is None:
            continue
        turned = convert.from_original(np.asarray(value))
        if turned.shape == tuple(variable.shape):
            variable.assign(turned.astype(np.float32))
            taken += 1
    if not taken:
        raise InputError(f"resnet_weights: {path} holds no tensor of the encoder.")
    return taken
