"""Tar files of samples: members named `<sample>.<element>.<extension>`.

Elements are `rgb` or `face_image` (picture), `bbox` (four numbers) and `lmk2d` (two
numbers a landmark); a slash in a member's name counts as a dot.  Hidden members do not
count.
"""

import dataclasses
import io
import pathlib
import tarfile

import numpy as np

from tf_faces.core import file_kinds, files, folders, pictures, texts
from tf_faces.core.errors import FormatError, InputError

PICTURES = ("rgb", "face_image")
NUMBERS = ("bbox", "lmk2d")
_LARGEST = 1 << 28
_SEPARATORS = str.maketrans(dict.fromkeys(",;[]()", " "))


@dataclasses.dataclass(frozen=True)
class Member:
    """A picture in a tar file.

    Attributes:
      archive: the tar file.
      offset, size: where its bytes are.
      name: of the member, for messages.
    """

    archive: pathlib.Path
    offset: int
    size: int
    name: str

    def read_bytes(self) -> bytes:
        """Reads the member's content."""
        with open(self.archive, "rb") as stream:
            stream.seek(self.offset)
            return stream.read(self.size)

    def read(self) -> np.ndarray:
        """Decodes the picture.

        Raises:
          FormatError: if it is none.
        """
        name = f"{self.archive}:{self.name}"
        return pictures.read(io.BytesIO(self.read_bytes()), name=name)


@dataclasses.dataclass
class Sample:
    """What one sample of a tar file holds.

    Attributes:
      picture: its member; None where it has none.
      numbers: {"bbox": [4], "lmk2d": [K, 2]}, those that are there.
    """

    picture: Member | None = None
    numbers: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


def read(path: pathlib.Path) -> dict[str, Sample]:
    """Lists the samples of a tar file by their keys, in the order of the file.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is no tar file or a member has another kind of name.
    """
    path = files.require_file(path, "tar file")
    samples: dict[str, Sample] = {}
    seen: set[tuple[str, str]] = set()
    try:
        with tarfile.open(path, "r:") as archive:
            for entry in archive:
                if not entry.isfile() or _is_hidden(entry.name):
                    continue
                _add(path, archive, entry, samples, seen)
    except FormatError:
        raise
    except Exception as error:  # Damaged heads fail in many ways.
        raise file_kinds.unreadable(
            path,
            "a tar file",
            "it is damaged or ends too early",
            own=("a tar archive",),
        ) from error
    return samples


def _is_hidden(name: str) -> bool:
    parts = pathlib.PurePosixPath(name).parts
    return any(folders.is_hidden(part) for part in parts)


def _add(path, archive, entry, samples, seen: set[tuple[str, str]]) -> None:
    plain = pathlib.PurePosixPath(entry.name).as_posix()
    parts = plain.replace("/", ".").rsplit(".", 2)
    if len(parts) != 3 or parts[1].lower() not in PICTURES + NUMBERS:
        raise FormatError(
            f"{path}: a member {entry.name!r}, expected <sample>.<element>.<extension> "
            f"with one of the elements {', '.join(PICTURES + NUMBERS)}."
        )
    key, element = parts[0], parts[1].lower()
    if entry.size > _LARGEST:
        raise FormatError(f"{path}: {entry.name!r} has {entry.size} bytes.")
    if entry.issparse():
        raise FormatError(
            f"{path}: {entry.name!r} is stored with holes, expected a tar file made "
            "without --sparse."
        )
    sample = samples.setdefault(key, Sample())
    if (key, element) in seen:
        raise FormatError(
            f"{path}: {entry.name!r} is the second {element} of the sample {key!r}, "
            "expected one."
        )
    seen.add((key, element))
    if element in PICTURES:
        sample.picture = Member(path, entry.offset_data, entry.size, entry.name)
        return
    stream = archive.extractfile(entry)
    text = stream.read().decode("utf-8-sig", errors="replace").translate(_SEPARATORS)
    try:
        with np.errstate(over="ignore"):  # Refused below.
            values = texts.numbers(text.split()).astype(np.float32)
    except ValueError as error:
        raise FormatError(
            f"{path}: {entry.name!r} holds something else than numbers."
        ) from error
    right = len(values) == 4 if element == "bbox" else len(values) % 2 == 0
    if not right or not len(values) or not np.isfinite(values).all():
        raise FormatError(f"{path}: {entry.name!r} holds {len(values)} numbers.")
    sample.numbers[element] = values if element == "bbox" else values.reshape(-1, 2)


def key_of(samples: dict[str, Sample], name: str, suffixes: int) -> str:
    """The sample that a file's name means.

    Args:
      samples: of `read`.
      name: of a picture.
      suffixes: at most so many are cut off, two if the first is an element (.rgb.png);
        what is a sample's key with fewer is taken first, for names with dots.
    """
    parts = name.split(".")
    if suffixes == 2 and not (len(parts) > 2 and parts[-2].lower() in PICTURES):
        suffixes = 1
    keys = [name.rsplit(".", count)[0] for count in range(suffixes + 1)]
    return next((key for key in keys if key in samples), keys[-1])


def picture(samples: dict[str, Sample], key: str, path: pathlib.Path) -> Member:
    """The picture of a sample.

    Raises:
      InputError: if there is none.
    """
    sample = samples.get(key)
    if sample is None or sample.picture is None:
        raise InputError(f"{path}: holds no picture of the sample {key!r}.")
    return sample.picture
