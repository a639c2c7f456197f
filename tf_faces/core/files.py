"""Safe reading of untrusted files and atomic writing of results.

Reading never executes what a file asks for: .npz files are opened without object
arrays, .mat files are read by name and checked; pickles have `core.pickles`.
Writing goes to a hidden temporary name in the same folder and is renamed when whole,
so that nothing half-written ever bears a final name.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tf_faces.core import file_kinds
from tf_faces.core.errors import FormatError, InputError, TwoValuesError, in_words

PathLike = str | os.PathLike

# Largest array of an .npz file: a file of few bytes may claim any size.
MAXIMUM_ARRAY_BYTES = 8 << 30
# Of the 255 bytes of a file's name, without what a temporary one has besides.
_LONGEST_PART = 200
# Floats reach 1e308.
_MOST_DIGITS = 300


# --- writing -----------------------------------------------------------------------


def temporary_name(path: pathlib.Path) -> pathlib.Path:
    """A free hidden name beside `path`, no longer than file systems take."""
    name = path.name.encode("utf-8", "surrogateescape")[:_LONGEST_PART]
    begin = name.decode("utf-8", "ignore")
    return path.with_name(f".{begin}.incomplete-{secrets.token_hex(4)}")


def _make_folder(folder: pathlib.Path) -> None:
    for place in (folder, *folder.parents):
        if place.is_dir():
            break
        if os.path.lexists(place):
            what = "a file" if place.exists() else "a link that leads nowhere"
            raise InputError(f"{place}: found {what}, expected a folder.")
    folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def named(path: pathlib.Path, temporary: pathlib.Path) -> Iterator[None]:
    """Errors about the temporary name speak of the final one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and str(error.filename) == str(temporary):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_path(path: PathLike, durable: bool = True) -> Iterator[pathlib.Path]:
    """Yields a temporary path; renames it to `path` if the block ends well.

    The folder is made if needed.  If the block raises (Ctrl-C included), the
    temporary file is removed and `path` keeps its former content.

    Args:
      path: the final name.
      durable: wait until the content is on the disk, so that even a crash of the
        machine leaves no empty file; too slow for thousands of small files that can be
        made again.

    Raises:
      InputError: if `path` is empty, a folder or a device, or a file is in the place of
        a folder.
    """
    path = pathlib.Path(path)
    if not path.name or path.is_dir():
        raise InputError(f"{path}: found a folder, expected the name of a file.")
    if path.exists() and not path.is_file():
        # It would be replaced, for all programs.
        raise InputError(f"{path}: found a device or pipe, expected a file's name.")
    _make_folder(path.parent)
    temporary = temporary_name(path)
    try:
        with named(path, temporary):
            yield temporary
            if durable:
                with open(temporary, "rb") as written:
                    os.fsync(written.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


@contextlib.contextmanager
def atomic_directory(path: PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary folder; renames it to `path` if the block ends well.

    Raises:
      InputError: if `path` exists already, or a file is in the place of a folder.
    """
    path = pathlib.Path(path)
    if path.exists() or not path.name:
        raise InputError(f"{path} exists already; expected a name that is free.")
    _make_folder(path.parent)
    temporary = temporary_name(path)
    with named(path, temporary):
        temporary.mkdir()
    try:
        with named(path, temporary):
            yield temporary
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: PathLike, content: bytes, durable: bool = True) -> None:
    """Writes `content` to `path` atomically; `durable` as in `atomic_path`."""
    with atomic_path(path, durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: PathLike, content: str) -> None:
    """Writes `content` to `path` atomically, as UTF-8."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_npz(path: PathLike, compress: bool = True, **arrays: np.ndarray) -> None:
    """Writes arrays as .npz atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        save: Callable[..., None] = np.savez_compressed if compress else np.savez
        save(stream, **arrays)


def halved(values: np.ndarray, source: str) -> np.ndarray:
    """float32 values as float16, for small files; others as they are.

    Raises:
      FormatError: if one is too large, or not finite.
    """
    values = np.asarray(values)
    if values.dtype != np.float32:
        return values
    largest = float(np.finfo(np.float16).max)
    if not (np.abs(values) <= largest).all():
        raise FormatError(
            f"{source}: holds {float(np.abs(values).max()):g}, expected numbers of at "
            f"most {largest:g} for half precision."
        )
    return values.astype(np.float16)


def sha256(path: PathLike) -> str:
    """Returns the SHA-256 of a file in hexadecimal, read in blocks."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --- reading -----------------------------------------------------------------------


def require_file(path: PathLike, what: str = "file") -> pathlib.Path:
    """Returns `path` as a Path.

    Raises:
      InputError: if it is not an existing regular file.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such {what}.")
    if not path.is_file():
        found = "a folder" if path.is_dir() else "a device or pipe"
        raise InputError(f"{path}: found {found}, expected a {what}.")
    return path


def require_directory(path: PathLike, what: str = "folder") -> pathlib.Path:
    """Returns `path` as a Path.

    Raises:
      InputError: if it is not an existing folder.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such {what}.")
    if not path.is_dir():
        raise InputError(f"{path}: found a file, expected a {what}.")
    return path


def parse_json(
    content: str | bytes, converted: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Reads JSON whose whole numbers all have a place among the floats.

    Args:
      content: the text.
      converted: makes of each object what is to stand in its place.

    Raises:
      ValueError, OverflowError, RecursionError: `errors.in_words` has words for each;
        `errors.TwoValuesError` is among them.
    """

    def of_pairs(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) < len(pairs):
            for name, value in pairs:
                if found[name] != value:
                    raise TwoValuesError(name)
        return found if converted is None else converted(found)

    return json.loads(content, parse_int=_whole_number, object_pairs_hook=of_pairs)


def _whole_number(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise OverflowError(digits[:_MOST_DIGITS])
    return int(digits)


def read_json(path: PathLike) -> Any:
    """Reads a JSON file.

    Raises:
      FormatError: if the file is not JSON.
    """
    path = require_file(path)
    try:
        return parse_json(path.read_bytes())  # UTF-8, UTF-16 or UTF-32.
    except UnicodeDecodeError as error:
        raise file_kinds.unreadable(path, "a JSON file", "it is no text") from error
    except (ValueError, OverflowError, RecursionError) as error:
        raise FormatError(f"{path}: not a JSON file ({in_words(error)}).") from error


def npz_members(path: PathLike) -> dict[str, int]:
    """Names of the arrays in an .npz file with their sizes in bytes, unpacked.

    Raises:
      InputError: if the file is missing.
      FormatError: if it cannot be opened, is encrypted or holds a name twice.
    """
    path = require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except Exception as error:  # Damaged archives fail in many ways.
        raise file_kinds.unreadable(
            path, "a readable .npz file", own=("a ZIP archive",)
        ) from error
    sizes: dict[str, int] = {}
    for member in listed:
        name = member.filename.removesuffix(".npy")
        if member.flag_bits & 1:
            raise FormatError(
                f"{path}: its array {name!r} is encrypted, expected an .npz file "
                "without a password."
            )
        if name in sizes:
            raise FormatError(
                f"{path}: holds {name!r} more than once, expected each array once."
            )
        sizes[name] = member.file_size
    return sizes


def load_npz(
    path: PathLike,
    names: Iterable[str] | None = None,
    optional: Iterable[str] = (),
) -> dict[str, np.ndarray]:
    """Reads arrays of an .npz file; object arrays are refused.

    Args:
      path: the file.
      names: the arrays wanted, all of them when None.
      optional: arrays wanted besides if they are there.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, holds objects, or lacks a name.
    """
    sizes = npz_members(path)
    path, reason = pathlib.Path(path), ""
    if names is None:
        # Some systems add notes of their own when they pack.
        wanted = [name for name in sizes if not name.startswith("__MACOSX/")]
    else:
        wanted = list(names)
        missing = [name for name in wanted if name not in sizes]
        if missing:
            raise FormatError(
                f"{path}: lacks the array {missing[0]!r}; found {list(sizes)}."
            )
        wanted += [name for name in optional if name in sizes]
    for name in wanted:
        if sizes[name] > MAXIMUM_ARRAY_BYTES:
            raise FormatError(
                f"{path}: its array {name!r} unpacks to {sizes[name]} bytes, expected "
                f"at most {MAXIMUM_ARRAY_BYTES}."
            )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {}
            for name in wanted:
                reason = f"its array {name!r} is damaged"
                arrays[name] = archive[name]
                if not isinstance(arrays[name], np.ndarray):
                    raise FormatError(f"{path}: the member {name!r} is not an array.")
            return arrays
    except InputError:
        raise
    except Exception as error:  # NumPy reads headers as Python text.
        _refuse_objects(path, f"its array {name!r} ", error)
        raise file_kinds.unreadable(
            path, "a readable .npz file", reason, own=("a ZIP archive",)
        ) from error


def _refuse_objects(path: pathlib.Path, what: str, error: Exception) -> None:
    if "Object arrays" in str(error):
        raise FormatError(
            f"{path}: {what}holds Python objects, expected numbers or texts; save it "
            "again as such (numpy.array(..., float) or str)."
        ) from error


def load_npy(path: PathLike) -> np.ndarray:
    """Reads one .npy array; object arrays are refused.

    Raises:
      FormatError: if the file is damaged or holds objects.
    """
    path = require_file(path)
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy reads headers as Python text.
        _refuse_objects(path, "", error)
        raise file_kinds.unreadable(
            path, "a readable .npy file", own=("a single NumPy array",)
        ) from error
    if not isinstance(array, np.ndarray):
        raise FormatError(f"{path}: found an archive, expected one .npy array.")
    return array


# --- caches ------------------------------------------------------------------------


def cache_directory() -> pathlib.Path:
    """Returns the folder for rebuilt data: $TF_FACES_CACHE, else the user's cache."""
    override = os.environ.get("TF_FACES_CACHE")
    if override:
        return pathlib.Path(override)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "tf_faces"
