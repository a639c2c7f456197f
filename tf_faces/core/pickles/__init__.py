"""Reading pickles without executing what they ask for.

Arrays, scalars and plain containers are rebuilt by `core.pickle_rebuilding`.
Everything else is refused by name, or, where the caller asks for it, replaced by an
inert `PickledObject`.  A damaged file is told from a forbidden one.
"""

import gzip
import io
import pickle
import pickletools
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tf_faces.core import file_kinds, files
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError
from tf_faces.core.pickles import rebuilding as pickle_rebuilding
from tf_faces.core.pickles.rebuilding import PickledObject

__all__ = [
    "PickledObject",
    "load_pickle",
    "load_pickled_array",
    "load_pickled_table",
    "loads_object_array",
    "loads_pickle",
    "read_content",
]

# Largest pickle that is read unless the caller says otherwise.
DEFAULT_MAXIMUM_BYTES = 8 << 30

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_STOP, _STRING = ".", "S"
# Beginnings of data that joblib compressed, and where else its name stands.
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_HEAD = 1 << 16
_JOBLIB = re.compile(rb"joblib\.numpy_pickle")
_NAME = re.compile(r"[^\W\d][\w.<>]*")
# In the messages of Python's unpickler about content that stops too early.
_ENDS_EARLY = ("truncated", "exhausted", "remain", "ran out of input", "not enough")


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, stream, stand_ins, extra_globals, persistent_load=None):
        super().__init__(stream, encoding="latin1")
        self._outside_object = persistent_load
        self._stand_ins = {tuple(entry) for entry in stand_ins}
        self._packages = tuple(x for x, name in self._stand_ins if name == "*")
        self._globals = pickle_rebuilding.safe_globals() | dict(extra_globals)

    def find_class(self, module, name):
        if not (_NAME.fullmatch(module) and _NAME.fullmatch(name)):
            raise FormatError(f"it names the impossible class {module!r} {name!r}")
        if (module, name) in self._globals:
            return self._globals[(module, name)]
        if (module, name) in self._stand_ins or any(
            module == package or module.startswith(f"{package}.")
            for package in self._packages
        ):
            return pickle_rebuilding.stand_in(module, name)
        raise ForbiddenPickleError(
            f"the pickle asks for the global {module}.{name}, which is not on the "
            "allow-list; expected arrays, numbers, strings and containers."
        )

    def persistent_load(self, pid):
        if self._outside_object is not None:
            return self._outside_object(pid)
        raise ForbiddenPickleError(f"the pickle refers to an outside object {pid!r}.")


def _check_memo(content: bytes) -> None:
    """Refuses memo indices that would make the unpickler allocate without bound."""
    stream = io.BytesIO(content)
    code = ""
    while code != _STOP:
        position = stream.tell()
        code = stream.read(1).decode("latin1")
        if code not in _OPCODES:
            raise FormatError(
                f"an unknown instruction at byte {position}"
                if code
                else "it ends too early"
            )
        argument = None
        if code == _STRING:  # The module's own reader takes ASCII only.
            stream.readline()
        elif _OPCODES[code].arg is not None:
            argument = _OPCODES[code].arg.reader(stream)
        if "PUT" in _OPCODES[code].name and int(argument) > len(content):
            raise FormatError(f"memo index {argument} at byte {position}")


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, FormatError):
        return text.removesuffix(".")
    if isinstance(error, EOFError) or any(word in text for word in _ENDS_EARLY):
        return "it ends too early"
    if "out-of-band" in text:
        return "its arrays were kept outside of it, as buffers of protocol 5"
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return "its instructions are damaged"


def loads_pickle(
    content: bytes,
    source: str,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
    persistent_load: Callable[[Any], Any] | None = None,
) -> Any:
    """Unpickles bytes through the allow-list; see `load_pickle`.

    `persistent_load` receives the persistent ids (references to data outside of the
    pickle, as in PyTorch's checkpoints) and returns what stands for them.
    """
    try:
        _check_memo(content)
        unpickler = _RestrictedUnpickler(
            io.BytesIO(content), stand_ins, extra_globals or {}, persistent_load
        )
        return pickle_rebuilding.finish(unpickler.load())
    except Exception as error:  # Damaged pickles fail in every imaginable way.
        if content.startswith(_ZLIB) or _JOBLIB.search(content[:_HEAD]):
            raise FormatError(
                f"{source}: found what joblib writes, expected a readable pickle; load "
                "it with joblib and save it again with pickle or numpy.savez."
            ) from error
        if isinstance(error, ForbiddenPickleError):
            raise ForbiddenPickleError(f"{source}: {error}") from error
        raise file_kinds.unreadable(
            source,
            "a readable pickle",
            _reason(error),
            own=("a pickle",),
            content=content,
        ) from error


def read_content(
    path: files.PathLike, maximum_bytes: int = DEFAULT_MAXIMUM_BYTES
) -> bytes:
    """Bytes of a pickle, inflated where they are gzip-compressed (`.pkl.gz`).

    Raises:
      InputError: if the file is missing or its content larger than `maximum_bytes`.
      FormatError: if the compressed data is damaged.
    """
    path = files.require_file(path, "pickle")
    if path.stat().st_size > maximum_bytes:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes, expected at most {maximum_bytes}."
        )
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            content = stream.read(maximum_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise file_kinds.unreadable(
            path,
            "a readable pickle",
            "its gzip-compressed data is damaged or ends too early",
            own=("gzip",),
        ) from error
    if len(content) > maximum_bytes:
        raise InputError(f"{path}: inflates to more than {maximum_bytes} bytes.")
    return content


def load_pickle(
    path: files.PathLike,
    *,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
    maximum_bytes: int = DEFAULT_MAXIMUM_BYTES,
) -> Any:
    """Reads a pickle without executing anything that it asks for.

    NumPy arrays, dtypes, scalars, plain containers and file names are rebuilt;
    everything else is refused unless the caller names it.  Gzip-compressed pickles
    (`.pkl.gz`) are inflated up to `maximum_bytes`.

    Args:
      path: the file.
      stand_ins: (module, class name) pairs that are replaced by `PickledObject`; the
        name "*" stands for every class of a package.
      extra_globals: (module, name) -> harmless callable, for formats that need one.
      maximum_bytes: refuse larger content.

    Returns:
      The object; strings of Python 2 pickles are decoded as latin1.

    Raises:
      InputError: if the file is missing or larger than `maximum_bytes`.
      ForbiddenPickleError: if a global outside the allow-list is asked for.
      FormatError: if the file is damaged.
    """
    content = read_content(path, maximum_bytes)
    return loads_pickle(content, str(path), stand_ins, extra_globals)


def loads_object_array(
    content: bytes,
    source: str,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
) -> Any:
    """Reads the bytes of an .npy file of objects through the allow-list.

    Returns:
      What `numpy.load(path, allow_pickle=True)` gives; its only item for one object.

    Raises:
      FormatError: if the file is damaged or not one of objects.
      ForbiddenPickleError: if it asks for anything but arrays and containers.
    """
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        _, _, dtype = read_header(stream)
    except Exception as error:  # Headers are parsed as Python text.
        raise file_kinds.unreadable(
            source,
            "a readable .npy file",
            own=("a single NumPy array",),
            content=content,
        ) from error
    if dtype != np.dtype(object):
        raise FormatError(f"{source}: an array of {dtype}, expected objects.")
    value = loads_pickle(content[stream.tell() :], source, stand_ins, extra_globals)
    if isinstance(value, np.ndarray) and value.dtype.hasobject and value.size == 1:
        value = value.reshape(-1)[0]
    return value


def load_pickled_array(
    path: files.PathLike, maximum_bytes: int = 1 << 30
) -> np.ndarray:
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


def load_pickled_table(
    path: files.PathLike, *, stand_ins: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Reads a pickled dict; keys that Python 2 wrote as bytes become texts.

    The attributes of one stand-in count as a dict.

    Raises:
      FormatError: if it holds anything else.
    """
    stored = load_pickle(path, stand_ins=stand_ins)
    if isinstance(stored, PickledObject):
        stored = stored.attributes
    if not isinstance(stored, dict):
        raise FormatError(f"{path}: holds {type(stored).__name__}, expected a dict.")
    return {
        key.decode("latin1") if isinstance(key, bytes) else key: value
        for key, value in stored.items()
    }
