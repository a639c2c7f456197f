"""Safe reading of untrusted files and atomic writing of results.

Reading never executes what a file asks for: pickles go through an allow-list, .npz
files are opened without object arrays, .mat files are read by name and checked.
Writing goes to a hidden temporary name in the same folder and is renamed when whole,
so that nothing half-written ever bears a final name.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import pathlib
import pickle
import secrets
import shutil
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError

PathLike = str | os.PathLike

# Largest pickle or archive member that is read unless the caller says otherwise.
DEFAULT_MAXIMUM_BYTES = 8 << 30


# --- writing -----------------------------------------------------------------------


def _temporary_name(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{path.name}.incomplete-{secrets.token_hex(4)}")


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[pathlib.Path]:
    """Yields a temporary path; renames it to `path` if the block ends well.

    The folder is made if needed.  If the block raises (Ctrl-C included), the
    temporary file is removed and `path` keeps its former content.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    try:
        yield temporary
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
      InputError: if `path` exists already.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise InputError(f"{path} exists already; expected a name that is free.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: PathLike, content: bytes) -> None:
    """Writes `content` to `path` atomically."""
    with atomic_path(path) as temporary:
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
        (np.savez_compressed if compress else np.savez)(stream, **arrays)


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
        raise InputError(f"{path}: found a folder, expected a {what}.")
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


def read_json(path: PathLike) -> Any:
    """Reads a JSON file.

    Raises:
      FormatError: if the file is not JSON.
    """
    path = require_file(path)
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not a JSON file ({error}).") from error


def load_npz(
    path: PathLike, names: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Reads arrays of an .npz file; object arrays are refused.

    Args:
      path: the file.
      names: the arrays wanted, all of them when None.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, holds objects, or lacks a name.
    """
    path = require_file(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise FormatError(f"{path}: found a single array, expected .npz.")
            wanted = archive.files if names is None else list(names)
            missing = [name for name in wanted if name not in archive.files]
            if missing:
                raise FormatError(
                    f"{path}: lacks the array {missing[0]!r}; found {archive.files}."
                )
            return {name: archive[name] for name in wanted}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: not a readable .npz file ({error}).") from error
    except (zlib.error, NotImplementedError, MemoryError, SyntaxError) as error:
        raise FormatError(f"{path}: not a readable .npz file ({error}).") from error


def load_npy(path: PathLike) -> np.ndarray:
    """Reads one .npy array; object arrays are refused.

    Raises:
      FormatError: if the file is damaged or holds objects.
    """
    path = require_file(path)
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, MemoryError, SyntaxError) as error:
        raise FormatError(f"{path}: not a readable .npy file ({error}).") from error
    if not isinstance(array, np.ndarray):
        raise FormatError(f"{path}: found an archive, expected one .npy array.")
    return array


def load_mat(path: PathLike, names: Collection[str] | None = None) -> dict[str, Any]:
    """Reads variables of a MATLAB file (versions 4 to 7.2).

    Args:
      path: the file.
      names: variables wanted; those that the file lacks are simply absent.

    Raises:
      FormatError: if the file cannot be decoded, or is version 7.3 (HDF5).
    """
    import scipy.io  # Here: SciPy's readers are needed by few programs.

    path = require_file(path)
    try:
        found = scipy.io.loadmat(
            str(path), variable_names=list(names) if names is not None else None
        )
    except NotImplementedError as error:
        raise FormatError(f"{path}: a version 7.3 MATLAB file, read it as HDF5.") from error
    except Exception as error:  # The reader fails in many ways on damaged bytes.
        raise FormatError(
            f"{path}: not a readable MATLAB file ({type(error).__name__}: {error})."
        ) from error
    return {name: value for name, value in found.items() if not name.startswith("__")}


# --- pickles -----------------------------------------------------------------------


@dataclasses.dataclass
class PickledObject:
    """Inert stand-in for an instance of a class that is never imported.

    Attributes:
      class_name: "module.name" as the pickle gives it.
      arguments: positional arguments of construction.
      state: what the pickle would have put into the instance (usually a dict).
    """

    class_name: str = ""
    arguments: tuple = ()
    state: Any = None


def _stand_in(module: str, name: str) -> type:
    class StandIn(PickledObject):
        def __init__(self, *arguments, **keywords):
            super().__init__(f"{module}.{name}", (*arguments, *keywords.values()))

        def __setstate__(self, state):
            self.class_name = f"{module}.{name}"
            self.state = state

    return StandIn


class _NdarrayMarker:
    """Takes the place of numpy.ndarray so that a pickle cannot construct one freely."""


def _reconstruct(subtype, shape, dtype):
    del shape, dtype  # Both are overwritten by the state that follows.
    if subtype is not _NdarrayMarker:
        raise ForbiddenPickleError("a pickle rebuilds an array subclass.")
    return np.empty((0,), np.int8)


def _from_buffer(buffer, dtype, shape, order):
    array = np.frombuffer(buffer, dtype=np.dtype(dtype)).copy()
    return array.reshape(shape, order=order)


def _scalar(dtype, content=None):
    dtype = np.dtype(dtype)
    if dtype.hasobject or not isinstance(content, bytes | str):
        raise ForbiddenPickleError("a pickle holds a scalar of type object.")
    if isinstance(content, str):  # Python 2 strings under encoding latin1.
        content = content.encode("latin1")
    return np.frombuffer(content, dtype=dtype, count=1)[0]


def _safe_globals() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _NdarrayMarker,
        ("numpy", "dtype"): np.dtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _latin1_encode,
        ("builtins", "set"): set,
        ("builtins", "frozenset"): frozenset,
        ("builtins", "bytearray"): bytearray,
        ("builtins", "complex"): complex,
        ("builtins", "slice"): slice,
        ("__builtin__", "set"): set,
        ("__builtin__", "frozenset"): frozenset,
        ("__builtin__", "complex"): complex,
    }
    for core in ("numpy.core", "numpy._core"):
        allowed[(f"{core}.multiarray", "_reconstruct")] = _reconstruct
        allowed[(f"{core}.multiarray", "scalar")] = _scalar
        allowed[(f"{core}.numeric", "_frombuffer")] = _from_buffer
    return allowed


def _latin1_encode(text, encoding="latin1"):
    if encoding not in ("latin1", "latin-1"):
        raise ForbiddenPickleError(f"a pickle asks for the codec {encoding!r}.")
    return text.encode("latin1")


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, stream, source, stand_ins, extra_globals):
        super().__init__(stream, encoding="latin1")
        self._source = source
        self._stand_ins = {tuple(entry) for entry in stand_ins}
        self._globals = _safe_globals() | dict(extra_globals)

    def find_class(self, module, name):
        if (module, name) in self._globals:
            return self._globals[(module, name)]
        if (module, name) in self._stand_ins:
            return _stand_in(module, name)
        raise ForbiddenPickleError(
            f"{self._source}: the pickle asks for the global {module}.{name}, which is "
            "not on the allow-list; expected arrays, numbers, strings and containers."
        )

    def persistent_load(self, pid):
        raise ForbiddenPickleError(
            f"{self._source}: the pickle refers to an outside object {pid!r}."
        )


def loads_pickle(
    content: bytes,
    source: str,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
) -> Any:
    """Unpickles bytes through the allow-list; see `load_pickle`."""
    try:
        return _RestrictedUnpickler(
            io.BytesIO(content), source, stand_ins, extra_globals or {}
        ).load()
    except ForbiddenPickleError as error:
        if str(error).startswith(source):
            raise
        raise ForbiddenPickleError(f"{source}: {error}") from error
    except Exception as error:  # Damaged pickles fail in every imaginable way.
        raise FormatError(
            f"{source}: not a readable pickle ({type(error).__name__}: {error})."
        ) from error


def load_pickle(
    path: PathLike,
    *,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
    maximum_bytes: int = DEFAULT_MAXIMUM_BYTES,
) -> Any:
    """Reads a pickle without executing anything that it asks for.

    NumPy arrays, dtypes, scalars and plain containers are rebuilt; everything else
    is refused unless the caller names it.  Gzip-compressed pickles (`.pkl.gz`) are
    inflated up to `maximum_bytes`.

    Args:
      path: the file.
      stand_ins: (module, class name) pairs that are replaced by `PickledObject`.
      extra_globals: (module, name) -> harmless callable, for formats that need one.
      maximum_bytes: refuse larger content.

    Returns:
      The object; strings of Python 2 pickles are decoded as latin1.

    Raises:
      InputError: if the file is missing or larger than `maximum_bytes`.
      ForbiddenPickleError: if a global outside the allow-list is asked for.
      FormatError: if the file is damaged.
    """
    path = require_file(path, "pickle")
    if path.stat().st_size > maximum_bytes:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes, expected at most {maximum_bytes}."
        )
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                content = stream.read(maximum_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path}: damaged gzip data ({error}).") from error
        if len(content) > maximum_bytes:
            raise InputError(f"{path}: inflates to more than {maximum_bytes} bytes.")
    return loads_pickle(content, str(path), stand_ins, extra_globals)


def load_pickled_array(path: PathLike, maximum_bytes: int = 1 << 30) -> np.ndarray:
    """Reads a pickle that holds one numeric array.

    Raises:
      FormatError: if it holds anything else.
    """
    value = load_pickle(path, maximum_bytes=maximum_bytes)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise FormatError(
            f"{path}: found {type(value).__name__}, expected one numeric array."
        )
    return value


# --- caches ------------------------------------------------------------------------


def cache_directory() -> pathlib.Path:
    """Returns the folder for rebuilt data: $TF_FACES_CACHE, else the user's cache."""
    override = os.environ.get("TF_FACES_CACHE")
    if override:
        return pathlib.Path(override)
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "tf_faces"
