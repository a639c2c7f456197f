"""The inventory of a record set: `manifest.json` beside the files.

The originals wrote no such file; sets without one are read all the same.  With it a
truncated or exchanged file is noticed at start-up (sizes) or by
`tf-faces dataset verify` (SHA-256).
"""

import dataclasses
import pathlib
import re
from typing import Any

from tf_faces.core import files
from tf_faces.core.errors import FormatError

FILE_NAME = "manifest.json"
FORMAT = "tf_faces record set"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a set.

    Attributes:
      file: name inside the folder.
      shape: of its images (channels, height, width) or of the label array.
      count: images or label rows.
      bytes: size of the file.
      sha256: hexadecimal.
    """

    file: str
    shape: tuple[int, ...]
    count: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a record set holds.

    Attributes:
      shape: channels, height, width at full resolution.
      data_type: "uint8" or "float32".
      count: number of images, equal in every resolution.
      shards: one a resolution, from the largest to 4 x 4.
      labels: the label file, None without labels.
    """

    shape: tuple[int, int, int]
    data_type: str
    count: int
    shards: tuple[Shard, ...]
    labels: Shard | None

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file as plain values."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}


def write(directory: pathlib.Path, manifest: Manifest) -> None:
    """Writes the manifest of a set atomically."""
    files.write_json(directory / FILE_NAME, manifest.to_json())


def read(directory: pathlib.Path) -> Manifest | None:
    """Reads the manifest of a set; None if there is none.

    Raises:
      FormatError: if the file does not describe a record set.
    """
    path = directory / FILE_NAME
    if not path.exists():
        return None
    value = files.read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError(f"{path}: found no {FORMAT!r} manifest in this file.")
    if value.get("version") != VERSION:
        raise FormatError(
            f"{path}: found version {value.get('version')!r}, expected {VERSION}."
        )
    try:
        labels = value["labels"]
        return Manifest(
            shape=_sizes(value["shape"]),  # type: ignore[arg-type]
            data_type=_text(value["data_type"], "uint8|float32"),
            count=_number(value["count"]),
            shards=tuple(_shard(entry) for entry in value["shards"]),
            labels=None if labels is None else _shard(labels),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: a damaged manifest ({_reason(error)}); write the records again."
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks the entry {error.args[0]!r}"
    if isinstance(error, TypeError):
        return "an entry is of another kind than expected"
    return f"an entry is of the wrong kind: {error}"  # In words of ours.


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(_number(size) for size in value)


def _text(value: Any, pattern: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f"{value!r} is not of the form {pattern}")
    return value


def _shard(value: Any) -> Shard:
    return Shard(
        # A name, not a path: nothing outside the folder can be meant.
        file=_text(value["file"], r"[^/\\\0]+"),
        shape=_sizes(value["shape"]),
        count=_number(value["count"]),
        bytes=_number(value["bytes"]),
        sha256=_text(value["sha256"], "[0-9a-f]{64}"),
    )


def check_sizes(directory: pathlib.Path, manifest: Manifest) -> None:
    """Compares presence and size of every file with the manifest.

    Raises:
      FormatError: naming the first file that is missing or differs.
    """
    listed = [*manifest.shards, *([manifest.labels] if manifest.labels else [])]
    for shard in listed:
        path = directory / shard.file
        if not path.is_file():
            raise FormatError(f"{path}: missing, but listed in {FILE_NAME}.")
        size = path.stat().st_size
        if size != shard.bytes:
            raise FormatError(
                f"{path}: found {size} bytes, {FILE_NAME} says {shard.bytes}; the "
                "file is truncated or another one."
            )
