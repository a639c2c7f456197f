"""PyTorch's checkpoint files, read and written without PyTorch.

Two formats: the legacy one (before 1.6: five pickles, then raw storages) and the zip
archive.  Both are read through the restricted unpickler: a file can name storages,
tensors and containers, nothing else, and no view reaches outside of its storage.
"""

import contextlib
import dataclasses
import io
import lzma
import math
import pathlib
import pickletools
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_faces.core import file_kinds, files, pickles
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.core.pickles.writing import Build, Call, Global, Persistent

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
_HEADER_PICKLES = 5
# What zipfile raises for damaged archives.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(NotImplementedError, OSError, EOFError, IndexError, OverflowError),
)
_TYPE_SIZES = {"short": 2, "int": 4, "long": 4}

# Storage class -> (dtype of the raw values, dtype of the array that is returned).
_STORAGES = {
    "FloatStorage": ("<f4", "<f4"),
    "DoubleStorage": ("<f8", "<f8"),
    "HalfStorage": ("<f2", "<f2"),
    "BFloat16Storage": ("<u2", "<f4"),
    "LongStorage": ("<i8", "<i8"),
    "IntStorage": ("<i4", "<i4"),
    "ShortStorage": ("<i2", "<i2"),
    "CharStorage": ("i1", "i1"),
    "ByteStorage": ("u1", "u1"),
    "BoolStorage": ("?", "?"),
}


class _StorageType:
    """Takes the place of a storage class; cannot be called."""

    def __init__(self, name: str):
        self.name = name
        self.raw, self.result = (np.dtype(code) for code in _STORAGES[name])

    def __call__(self, *_):
        raise FormatError(f"the checkpoint constructs a {self.name} directly")


class _Storage:
    """A storage that the pickle refers to; its values come later."""

    def __init__(self, kind: _StorageType, key: str, count: int):
        self.kind = kind
        self.key = key
        self.count = count
        self.values: np.ndarray | None = None

    def take(self, content: bytes) -> None:
        expected = self.count * self.kind.raw.itemsize
        if len(content) != expected:
            raise FormatError(
                f"storage {self.key!r} has {len(content)} bytes, expected {expected}"
            )
        values = np.frombuffer(content, self.kind.raw)
        if self.kind.name == "BFloat16Storage":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        self.values = values


@dataclasses.dataclass
class _Tensor:
    """A view of a storage, checked when the values are there."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        assert self.storage.values is not None
        if math.prod(self.size) == 0:
            return np.zeros(self.size, self.storage.kind.result)
        last = self.offset + sum(
            (size - 1) * stride
            for size, stride in zip(self.size, self.stride, strict=True)
        )
        if not 0 <= self.offset <= last < self.storage.count:
            raise FormatError(
                f"a tensor of shape {self.size} reaches element {last} of storage "
                f"{self.storage.key!r}, which has {self.storage.count}"
            )
        if math.prod(self.size) > max(self.storage.count, 1):
            raise FormatError(
                f"a tensor of shape {self.size} repeats the {self.storage.count} "
                f"elements of storage {self.storage.key!r}"
            )
        item = self.storage.values.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            self.storage.values[self.offset :],
            self.size,
            [stride * item for stride in self.stride],
            writeable=False,
        )
        return view.astype(self.storage.kind.result)


def _rebuild_tensor(storage, offset, size, stride, *_):
    """`torch._utils._rebuild_tensor_v2`, without the tensor."""
    if not isinstance(storage, _Storage):
        raise FormatError("a tensor without storage")
    size, stride = tuple(size), tuple(stride)
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 32:
        raise FormatError(f"a tensor with shape {size} and strides {stride}")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise FormatError(f"a tensor with shape {size} and strides {stride}")
    return _Tensor(storage, offset, size, stride)


def _rebuild_parameter(tensor, *_):
    """`torch._utils._rebuild_parameter`: a parameter is its tensor."""
    return tensor


class _OrderedDict(OrderedDict):
    """An ordered dictionary whose attributes (`_metadata`) are dropped."""

    def __setstate__(self, state):
        del state


def _allowed_globals() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("torch", name): _StorageType(name) for name in _STORAGES
    }
    allowed[("torch._utils", "_rebuild_tensor_v2")] = _rebuild_tensor
    allowed[("torch._utils", "_rebuild_tensor")] = _rebuild_tensor
    allowed[("torch._utils", "_rebuild_parameter")] = _rebuild_parameter
    allowed[("collections", "OrderedDict")] = _OrderedDict
    return allowed


class _Archive:
    """The storages that one pickle refers to."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}

    def find(self, identity: Any) -> _Storage:
        """`persistent_load`: ('storage', class, key, location, count[, view])."""
        if not (isinstance(identity, tuple) and len(identity) in (5, 6)):
            raise FormatError(
                f"a reference {identity!r} to something else than storage"
            )
        tag, kind, key, _, count = identity[:5]
        if tag != "storage" or not isinstance(kind, _StorageType):
            raise FormatError(
                f"a reference {identity!r} to something else than storage"
            )
        if len(identity) == 6 and identity[5] is not None:
            raise FormatError(f"storage {key!r} is a view of another one")
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise FormatError(f"storage {key!r} with {count!r} elements")
        storage = self.storages.setdefault(key, _Storage(kind, key, count))
        if storage.kind is not kind or storage.count != count:
            raise FormatError(f"storage {key!r} is described in two ways")
        return storage


class _Unpacking:
    """Replaces tensors in nested containers by arrays.

    A few bytes can name one container or storage any number of times: containers are
    unpacked once, and tensors are counted.
    """

    def __init__(self, maximum_bytes: int):
        self._left = maximum_bytes
        self._known: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        if not isinstance(value, _Tensor | dict | list | tuple):
            return value
        if id(value) not in self._known:
            self._known[id(value)] = self._unpacked(value)
        return self._known[id(value)]

    def _unpacked(self, value: Any) -> Any:
        if isinstance(value, _Tensor):
            array = value.array()  # At most as large as its storage.
            self._left -= array.nbytes
            if self._left < 0:
                raise FormatError("its tensors repeat each other beyond all bounds")
            return array
        if isinstance(value, dict):
            return OrderedDict((key, self.of(item)) for key, item in value.items())
        return type(value)(self.of(item) for item in value)


def _split_pickles(content: bytes, path: pathlib.Path) -> tuple[list[bytes], int]:
    """Returns the first five pickles of a legacy file and where they end."""
    pieces = []
    stream = io.BytesIO(content)
    for _ in range(_HEADER_PICKLES):
        start = stream.tell()
        try:
            for _ in pickletools.genops(stream):
                pass  # Leaves the stream behind the pickle's last instruction.
        except Exception as error:  # Damaged bytes fail in every imaginable way.
            raise file_kinds.unreadable(
                path, "a PyTorch checkpoint", content=content
            ) from error
        pieces.append(content[start : stream.tell()])
    return pieces, stream.tell()


def _read_legacy(path: pathlib.Path, content: bytes, maximum_bytes: int) -> Any:
    pieces, position = _split_pickles(content, path)
    source = str(path)
    archive = _Archive()
    magic, version = (pickles.loads_pickle(piece, source) for piece in pieces[:2])
    if magic != LEGACY_MAGIC or version != LEGACY_VERSION:
        raise FormatError(f"{path}: not a PyTorch checkpoint (wrong magic number).")
    system = pickles.loads_pickle(pieces[2], source)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise FormatError(f"{path}: a big-endian checkpoint, expected little-endian.")
    value = pickles.loads_pickle(
        pieces[3],
        source,
        extra_globals=_allowed_globals(),
        persistent_load=archive.find,
    )
    keys = pickles.loads_pickle(pieces[4], source)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(archive.storages):
        raise FormatError(f"{path}: the list of storages differs from those in use.")
    for key in keys:
        storage = archive.storages[key]
        header = content[position : position + 8]
        if len(header) < 8 or struct.unpack("<q", header)[0] != storage.count:
            raise FormatError(
                f"{path}: storage {key!r} is cut short or has another length."
            )
        position += 8
        size = storage.count * storage.kind.raw.itemsize
        storage.take(content[position : position + size])
        position += size
    if position != len(content):
        raise FormatError(f"{path}: {len(content) - position} bytes are left over.")
    return _Unpacking(maximum_bytes).of(value)


def _read_zip(path: pathlib.Path, maximum_bytes: int) -> Any:
    with zipfile.ZipFile(path) as archive:
        listed = archive.infolist()
        sizes = {entry.filename: entry.file_size for entry in listed}
        if len(sizes) < len(listed):
            raise FormatError(f"{path}: a zip file that holds a name twice.")
        if any(entry.flag_bits & 1 for entry in listed):
            raise FormatError(
                f"{path}: encrypted, expected a zip file without a password."
            )
        if sum(sizes.values()) > maximum_bytes:
            raise InputError(
                f"{path}: inflates to {sum(sizes.values())} bytes, expected at most "
                f"{maximum_bytes}."
            )
        found = [name for name in sizes if name.rpartition("/")[2] == "data.pkl"]
        if len(found) != 1:
            raise FormatError(
                f"{path}: a zip file {'with more' if found else 'without'} data.pkl, "
                "expected PyTorch's, with one."
            )
        root = found[0].removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in sizes and archive.read(order).strip() != b"little":
            raise FormatError(
                f"{path}: a big-endian checkpoint, expected little-endian."
            )
        storages = _Archive()
        value = pickles.loads_pickle(
            archive.read(found[0]),
            str(path),
            extra_globals=_allowed_globals(),
            persistent_load=storages.find,
        )
        for key, storage in storages.storages.items():
            name = f"{root}data/{key}"
            if name not in sizes:
                raise FormatError(f"{path}: lacks the storage {name!r}.")
            storage.take(archive.read(name))
        return _Unpacking(maximum_bytes).of(value)


def read_checkpoint(path: files.PathLike, maximum_bytes: int = 8 << 30) -> Any:
    """Reads a file of `torch.save`, legacy or zip, without executing anything.

    Args:
      path: the file (`.pkl`, `.pth`, `.pt`, `.tar`: the content decides).
      maximum_bytes: refuse larger content.

    Returns:
      What was saved, with NumPy arrays in the place of tensors and `OrderedDict` for
      every dictionary: usually {name: array}, or a nest of containers around it.

    Raises:
      InputError: if the file is missing or larger than `maximum_bytes`.
      ForbiddenPickleError: if it asks for anything but tensors and containers.
      FormatError: if it is damaged or not a PyTorch checkpoint.
    """
    path = files.require_file(path, "PyTorch checkpoint")
    size = path.stat().st_size
    if size > maximum_bytes:
        raise InputError(f"{path}: {size} bytes, expected at most {maximum_bytes}.")
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path, maximum_bytes)
        return _read_legacy(path, path.read_bytes(), maximum_bytes)
    except _ZIP_ERRORS as error:
        raise file_kinds.unreadable(
            path, "a readable PyTorch checkpoint", own=("a ZIP archive",)
        ) from error
    except FormatError as error:
        if str(error).startswith(str(path)):
            raise
        raise FormatError(f"{path}: {error}.") from error
    except (KeyError, TypeError, ValueError, RecursionError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise FormatError(
            f"{path}: a damaged checkpoint ({in_words(error)})."
        ) from error


def read_state_dict(path: files.PathLike) -> "OrderedDict[str, np.ndarray]":
    """Reads the named tensors of a checkpoint.

    A checkpoint that keeps them under `state_dict` or `model` is unpacked.

    Raises:
      FormatError: if there is no dictionary of tensors in it.
    """
    value = read_checkpoint(path)
    while isinstance(value, dict):
        inner = [value.get(name) for name in ("state_dict", "model")]
        found = next((one for one in inner if isinstance(one, dict)), None)
        if found is None:
            break
        value = found
    if not isinstance(value, dict) or not value:
        raise FormatError(f"{path}: holds no dictionary of tensors.")
    for name, array in value.items():
        if not isinstance(name, str):
            raise FormatError(f"{path}: a tensor is called {name!r}, expected a text.")
        if not isinstance(array, np.ndarray):
            raise FormatError(
                f"{path}: {name!r} is a {type(array).__name__}, expected a tensor."
            )
    return OrderedDict(value)


# --- writing -----------------------------------------------------------------------


def _describe(
    arrays: Mapping[str, np.ndarray], legacy: bool
) -> tuple[OrderedDict, dict[str, bytes]]:
    described: OrderedDict[str, Any] = OrderedDict()
    storages = {}
    for number, (name, array) in enumerate(arrays.items()):
        array = np.asarray(array, np.float32, order="C")
        key = str(number)
        storages[key] = array.tobytes()
        identity: tuple = (
            "storage",
            Global("torch", "FloatStorage"),
            key,
            "cpu",
            array.size,
        )
        if legacy:
            identity = (*identity, None)
        stride = tuple(step // array.itemsize for step in array.strides)
        described[name] = Call(
            Global("torch._utils", "_rebuild_tensor_v2"),
            (
                Persistent(identity),
                0,
                array.shape,
                stride,
                False,
                OrderedDict(),
            ),
        )
    return described, storages


def write_state_dict(
    path: files.PathLike, arrays: Mapping[str, np.ndarray], legacy: bool = False
) -> None:
    """Writes {name: float32 array} as `torch.save` of a state_dict does, atomically.

    Args:
      path: the file.
      arrays: the tensors, in order.
      legacy: the format before 1.6 (which every PyTorch reads) instead of zip.
    """
    described, storages = _describe(arrays, legacy)
    versions = OrderedDict([("", {"version": 1})])
    value = Build(described, {"_metadata": versions})
    if legacy:
        keys = sorted(storages)
        system = {
            "protocol_version": LEGACY_VERSION,
            "little_endian": True,
            "type_sizes": _TYPE_SIZES,
        }
        parts = [
            pickle_writing.dumps(piece)
            for piece in (LEGACY_MAGIC, LEGACY_VERSION, system, value, keys)
        ]
        for key in keys:
            parts.append(struct.pack("<q", len(storages[key]) // 4))
            parts.append(storages[key])
        files.write_bytes(path, b"".join(parts))
        return
    root = pathlib.Path(path).stem
    with contextlib.ExitStack() as stack:
        temporary = stack.enter_context(files.atomic_path(path))
        archive = stack.enter_context(zipfile.ZipFile(temporary, "w"))
        archive.writestr(f"{root}/data.pkl", pickle_writing.dumps(value))
        archive.writestr(f"{root}/byteorder", b"little")
        for key, content in storages.items():
            archive.writestr(f"{root}/data/{key}", content)
        archive.writestr(f"{root}/version", b"3\n")
