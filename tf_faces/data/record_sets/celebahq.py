"""CelebA-HQ: faces of CelebA's pictures in the wild, upright, 1024 x 1024.

Files that are read:

    CELEBA/img_celeba/*.jpg                   the pictures as they were found
    CELEBA/Anno/list_landmarks_celeba.txt     five points each, pixels
    DELTAS/image_list.txt                     which pictures, MD5 before and after
    DELTAS/delta*.zip                         what was added to the aligned pictures

A delta is a member of a zip file whose name ends in the number (`idx`) of its picture:
a Fernet token whose key comes from the bytes of CelebA's JPEG, around bz2 of uint8
[3, R, R], which is added modulo 256.  MD5 is that of uint8 [3, R, R] in C order.

Reference: Karras and others, "Progressive Growing of GANs for Improved Quality,
Stability, and Variation", ICLR 2018, appendix on CelebA-HQ.
"""

import base64
import bz2
import dataclasses
import hashlib
import pathlib
import re
import zipfile
from collections.abc import Sequence

import numpy as np

from tf_faces.core import errors, file_kinds, files, folders, texts
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.record_sets import upright, writer

RESOLUTION = 1024
PICTURES = "img_celeba"
LANDMARKS = "Anno/list_landmarks_celeba.txt"
IMAGE_LIST = "image_list.txt"

_KEY_ROUNDS = 100_000
_KEY_BYTES = 32
_POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
_COORDINATES = tuple(f"{point}_{axis}" for point in _POINTS for axis in "xy")
_PLAIN_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_MD5 = re.compile("[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class Item:
    """What one image is made of.

    Attributes:
      picture: CelebA's JPEG.
      landmarks: x and y of both eyes, the nose and both corners of the mouth.
      md5: before the delta is added, and after; None without deltas.
      delta: zip file and member; None without deltas.
    """

    picture: str
    landmarks: tuple[float, ...]
    md5: tuple[str, str] | None = None
    delta: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        """The words by which messages name the image."""
        return self.picture


# --- deltas ---------------------------------------------------------------------------


def _fernet():
    try:
        from cryptography import fernet
    except ImportError as error:
        raise errors.missing_dependency(
            "cryptography", "celebahq", "Decrypting the deltas of CelebA-HQ"
        ) from error
    return fernet


def _damaged_zip(path: files.PathLike) -> FormatError:
    return file_kinds.unreadable(path, "a readable zip file", own=("a ZIP archive",))


def find_deltas(directory: files.PathLike) -> dict[int, tuple[str, str]]:
    """Returns zip file and member of every delta in a folder, by its number.

    Raises:
      InputError: if there are no such files.
      FormatError: if one is damaged, or two members have one number.
    """
    listing = folders.list_files(
        directory,
        lambda name: name.lower().startswith("delta") and name.lower().endswith(".zip"),
        deep=False,
    )
    if not listing.paths:
        raise InputError(listing.nothing("delta*.zip files"))
    found: dict[int, tuple[str, str]] = {}
    for path in listing.paths:
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except Exception as error:  # Damaged archives fail in many ways.
            raise _damaged_zip(path) from error
        for name in names:
            # A number is all that is taken of a name; nothing is unpacked to disk.
            digits = re.search(r"(\d+)\.\w+$", name, re.ASCII)
            number = texts.natural_number(digits[1]) if digits else None
            if number is None:
                continue
            if number in found:
                raise FormatError(
                    f"{path}: its member {name!r} has the number of "
                    f"{found[number][1]!r} in {found[number][0]}, expected one each."
                )
            found[number] = str(path), name
    return found


def read_delta(
    place: tuple[str, str], original: bytes, name: str, resolution: int
) -> np.ndarray:
    """Reads and decrypts a delta: uint8 [3, resolution, resolution].

    Args:
      place: zip file and member.
      original: bytes of CelebA's picture.
      name: of its file.
      resolution: side.

    Raises:
      MissingDependencyError: without the package cryptography.
      FormatError: if it is damaged, too large, or of another picture.
    """
    fernet = _fernet()
    path, member = place
    where = f"{path}, {member}"
    size = 3 * resolution**2
    # What cannot be packed, packed all the same and written with 6 bits a byte, takes
    # less.
    most = 2 * size + (1 << 16)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            token = stream.read(most + 1)
    except Exception as error:
        raise _damaged_zip(path) from error
    if len(token) > most:
        raise FormatError(f"{where}: more than {most} bytes, expected less.")
    key = hashlib.pbkdf2_hmac(
        "sha256", original, name.encode(), _KEY_ROUNDS, _KEY_BYTES
    )
    try:
        packed = fernet.Fernet(base64.urlsafe_b64encode(key)).decrypt(token)
    except fernet.InvalidToken as error:
        raise FormatError(
            f"{where}: {name} does not decrypt it; expected CelebA's own file, byte "
            "for byte, and the delta of its number."
        ) from error
    unpacking = bz2.BZ2Decompressor()
    try:
        content = unpacking.decompress(packed, size + 1)
    except OSError as error:
        raise FormatError(f"{where}: holds no bz2 data in its encryption.") from error
    if len(content) != size or not unpacking.eof:
        found = f"more than {size}" if len(content) > size else str(len(content))
        raise FormatError(f"{where}: found {found} bytes, expected {size}.")
    return np.frombuffer(content, np.uint8).reshape(3, resolution, resolution)


# --- one image ------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class LoadImage:
    """Makes the image of an item, uint8 [3, resolution, resolution]."""

    resolution: int

    def __call__(self, item: Item) -> np.ndarray:
        points = np.reshape(item.landmarks, (5, 2))
        picture = picture_files.read(item.picture)
        image = upright.cut_out(picture, points, self.resolution, item.picture)
        if item.md5 is None or item.delta is None:
            return image
        _require_md5(item.picture, image, item.md5[0], "its aligned pixels")
        path = pathlib.Path(item.picture)
        delta = read_delta(item.delta, path.read_bytes(), path.name, self.resolution)
        image = image + delta  # Modulo 256.
        _require_md5(item.picture, image, item.md5[1], "its pixels with their delta")
        return image


def _require_md5(where: str, image: np.ndarray, expected: str, what: str) -> None:
    found = hashlib.md5(np.ascontiguousarray(image), usedforsecurity=False).hexdigest()
    if found != expected:
        raise InputError(
            f"{where}: {what} have the MD5 {found}, {IMAGE_LIST} says {expected}; "
            "another JPEG decoder or Pillow than those of 2017 (libjpeg 8d, Pillow "
            "3.1.1) gives other pixels, and --without_deltas goes on without the "
            "deltas' details."
        )


# --- the lists ------------------------------------------------------------------------


def _table(path: pathlib.Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Reads columns of a list whose first line names them."""
    lines = [
        line.split() for line in texts.read(path, "a list of pictures").split("\n")
    ]
    lines = [line for line in lines if line]
    header = lines[0] if lines else []
    absent = [name for name in columns if name not in header]
    if absent:
        raise FormatError(
            f"{path}: its first line names no column {absent[0]!r}, expected "
            f"{', '.join(columns)}."
        )
    for number, line in enumerate(lines[1:], 1):
        if len(line) != len(header):
            raise FormatError(
                f"{path}: row {number} has {len(line)} entries, expected {len(header)} "
                "as in its first line."
            )
    return [dict(zip(header, line, strict=True)) for line in lines[1:]]


def read_image_list(
    path: pathlib.Path, with_md5: bool
) -> list[tuple[int, str, tuple[str, str] | None]]:
    """Reads which pictures there are: number, CelebA's file, MD5 before and after.

    Args:
      path: image_list.txt, or another list with the columns idx and orig_file.
      with_md5: read the columns proc_md5 and final_md5, too; else None in their place.

    Raises:
      FormatError: if it is another file.
    """
    sums = ("proc_md5", "final_md5")
    rows = _table(path, ("idx", "orig_file", *(sums if with_md5 else ())))
    found = []
    for row in rows:
        number, name = texts.natural_number(row["idx"]), row["orig_file"]
        if number is None:
            raise FormatError(f"{path}: found the idx {row['idx']!r}, expected digits.")
        if not _PLAIN_NAME.fullmatch(name):
            raise FormatError(
                f"{path}: found the orig_file {name!r}, expected a name as 000001.jpg."
            )
        md5 = (row[sums[0]], row[sums[1]]) if with_md5 else None
        for value in md5 or ():
            if not _MD5.fullmatch(value):
                raise FormatError(
                    f"{path}: found the MD5 {value!r}, expected 32 digits of 0-9a-f."
                )
        found.append((number, name, md5))
    if not found:
        raise InputError(f"{path}: lists no pictures, expected at least one.")
    numbers = {number for number, _, _ in found}
    if len(numbers) < len(found):
        raise FormatError(f"{path}: lists an idx twice, expected each once.")
    return found


def read_landmarks(path: pathlib.Path) -> dict[str, tuple[float, ...]]:
    """Reads CelebA's list of landmarks: {file: ten numbers, x and y of each point}.

    The first line is their number, the second names the columns, a row begins with the
    name of its picture.

    Raises:
      FormatError: if it is another file.
    """
    text = texts.read(path, "a list of landmarks")
    count, header, *rows = (line.split() for line in [*text.split("\n"), "", ""])
    rows = [row for row in rows if row]
    if len(count) != 1 or texts.natural_number(count[0]) != len(rows):
        raise FormatError(
            f"{path}: found {len(rows)} rows and {' '.join(count)[:40]!r} in its first "
            "line, expected their number there."
        )
    if tuple(header) != _COORDINATES:
        raise FormatError(
            f"{path}: found {' '.join(header)[:80]!r} in its second line, expected "
            f"{' '.join(_COORDINATES)}."
        )
    numbers = texts.number_rows(path, [row[1:] for row in rows], "a list of landmarks")
    if numbers.shape[1:] != (len(_COORDINATES),):
        raise FormatError(
            f"{path}: found {numbers.shape[1]} numbers a row, expected "
            f"{len(_COORDINATES)}."
        )
    names = [row[0] for row in rows]
    return dict(zip(names, map(tuple, numbers.tolist()), strict=True))


def samples(
    celeba_directory: files.PathLike,
    delta_directory: files.PathLike | None = None,
    *,
    without_deltas: bool = False,
    image_list: files.PathLike | None = None,
) -> writer.Samples:
    """Returns the pictures of CelebA-HQ, shuffled; no labels.

    Args:
      celeba_directory: folder of `img_celeba` and `Anno`.
      delta_directory: folder of the deltas and their list.
      without_deltas: the aligned pictures as they are, unchecked.
      image_list: which pictures; None for that of `delta_directory`.

    Raises:
      MissingDependencyError: without the package cryptography, where it is needed.
      InputError: naming what is missing.
      FormatError: naming a file that is another one.
    """
    if delta_directory is None and not without_deltas:
        raise InputError(
            "found no delta_dir, expected the folder of delta*.zip, or "
            "--without_deltas for the aligned pictures as they are."
        )
    if image_list is None:
        if delta_directory is None:
            raise InputError(
                "--without_deltas: found neither delta_dir nor --image_list, expected "
                f"one of them: {IMAGE_LIST} says which pictures there are."
            )
        image_list = pathlib.Path(delta_directory) / IMAGE_LIST
    image_list = pathlib.Path(image_list)
    root = files.require_directory(celeba_directory, "folder of CelebA")
    wanted = read_image_list(image_list, with_md5=not without_deltas)
    deltas: dict[int, tuple[str, str]] = {}
    if not without_deltas:
        assert delta_directory is not None
        _fernet()
        deltas = find_deltas(delta_directory)
    landmarks = read_landmarks(root / LANDMARKS)
    place = files.require_directory(root / PICTURES, "folder of pictures")
    items = []
    for number, name, md5 in wanted:
        if name not in landmarks:
            raise InputError(
                f"{root / LANDMARKS}: has no row for {name}, which {image_list} lists."
            )
        if not without_deltas and number not in deltas:
            raise InputError(
                f"{delta_directory}: found no delta of number {number}, which "
                f"{image_list} lists."
            )
        path = files.require_file(place / name, "picture")
        item = Item(str(path), landmarks[name], md5, deltas.get(number))
        items.append(item)
    found = writer.Samples(items, LoadImage(RESOLUTION), (3,))
    return found.in_order(writer.shuffled_order(len(items)))
