"""Sources of uint8 training images: folders of pictures and well-known archives.

Each function returns samples in the order in which the originals wrote them, with
one-hot labels where the archive has classes.  CelebA-HQ has a module of its own,
`celebahq`.

Reference: dataset_tool.py of the Progressive GAN code.
"""

import dataclasses
import gzip
import io
import pathlib
import zlib
from typing import Any

import numpy as np

from tf_faces.core import errors, file_kinds, files, folders, hdf5_files, pickles
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data.record_sets import writer

_MNIST_IMAGES = "train-images-idx3-ubyte.gz"
_MNIST_LABELS = "train-labels-idx1-ubyte.gz"
_MNIST_LARGEST = 1 << 28  # Bytes when inflated; the real file has 47 MB.


def _one_hot(classes: np.ndarray) -> np.ndarray:
    classes = classes.astype(np.int64)
    return np.eye(classes.max() + 1, dtype=np.float32)[classes]


@dataclasses.dataclass(frozen=True)
class _TakeImage:
    """Loads image number `item` of an array [n, C, H, W]."""

    images: np.ndarray

    def __call__(self, item: int) -> np.ndarray:
        return self.images[item]


def _from_array(
    array: np.ndarray, labels: np.ndarray | None, shuffle: bool, what: str
) -> writer.Samples:
    if labels is not None and len(labels) != len(array):
        raise FormatError(
            f"{what}: {len(labels)} labels for {len(array)} images, expected as many."
        )
    samples = writer.Samples(
        range(len(array)), _TakeImage(np.ascontiguousarray(array)), (1, 3), labels
    )
    return samples.in_order(writer.shuffled_order(len(array), shuffle))


# --- folders of pictures ------------------------------------------------------------


def load_picture(path: str) -> np.ndarray:
    """Reads a picture as uint8 [1 or 3, H, W]."""
    picture = picture_files.read(path, None)
    return picture[np.newaxis] if picture.ndim == 2 else picture.transpose(2, 0, 1)


def from_images(directory: files.PathLike, shuffle: bool = True) -> writer.Samples:
    """Returns all pictures of a folder and its sub-folders; RGB or grey, no labels.

    They are sorted by name.  What does not count (`core.folders`), and files of other
    kinds, are counted in a line on standard error.
    """
    listing = folders.list_files(directory, picture_files.is_picture, count_others=True)
    if not listing.paths:
        raise InputError(listing.nothing("pictures"))
    listing.report()
    paths = [str(path) for path in listing.paths]
    samples = writer.Samples(paths, load_picture, (1, 3))
    return samples.in_order(writer.shuffled_order(len(paths), shuffle))


@dataclasses.dataclass(frozen=True)
class _CropCeleba:
    """Cuts 128 x 128 pixels around (cx, cy) out of an aligned CelebA picture."""

    cx: int
    cy: int

    def __call__(self, path: str) -> np.ndarray:
        picture = load_picture(path)
        if picture.shape != (3, 218, 178):
            raise InputError(
                f"{path}: a picture of shape {list(picture.shape)}, expected "
                "[3, 218, 178]."
            )
        return picture[:, self.cy - 64 : self.cy + 64, self.cx - 64 : self.cx + 64]


def celeba(directory: files.PathLike, cx: int = 89, cy: int = 121) -> writer.Samples:
    """Returns the pictures of `img_align_celeba_png`, cropped to 128 x 128."""
    if not (64 <= cx <= 178 - 64 and 64 <= cy <= 218 - 64):
        raise InputError(
            f"--cx {cx} --cy {cy}: the crop leaves the picture, expected cx from 64 to "
            "114 and cy from 64 to 154."
        )
    listing = folders.list_files(
        pathlib.Path(directory) / "img_align_celeba_png",
        folders.has_suffix(".png"),
        deep=False,
        count_others=True,
    )
    if not listing.paths:
        raise InputError(listing.nothing("*.png files"))
    listing.report()
    paths = [str(path) for path in listing.paths]
    samples = writer.Samples(paths, _CropCeleba(cx, cy), (3,))
    return samples.in_order(writer.shuffled_order(len(paths)))


# --- MNIST --------------------------------------------------------------------------


def _inflate(path: pathlib.Path) -> bytes:
    files.require_file(path)
    try:
        with gzip.open(path) as stream:
            content = stream.read(_MNIST_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise file_kinds.unreadable(
            path,
            "gzip-compressed data",
            "it is damaged or ends too early",
            own=("gzip",),
        ) from error
    if len(content) > _MNIST_LARGEST:
        raise FormatError(f"{path}: inflates to more than {_MNIST_LARGEST} bytes.")
    return content


def _mnist_digits(directory: files.PathLike) -> np.ndarray:
    """Returns [n, 1, 32, 32] uint8: the digits with 2 rows and columns of zeros."""
    path = pathlib.Path(directory) / _MNIST_IMAGES
    pixels = np.frombuffer(_inflate(path), np.uint8)[16:]
    if not len(pixels) or len(pixels) % (28 * 28):
        raise FormatError(
            f"{path}: {len(pixels)} pixels, expected a multiple of 28 x 28."
        )
    return np.pad(pixels.reshape(-1, 1, 28, 28), ((0, 0), (0, 0), (2, 2), (2, 2)))


def mnist(directory: files.PathLike) -> writer.Samples:
    """Returns the MNIST digits, padded to 32 x 32, shuffled, with one-hot labels."""
    path = pathlib.Path(directory) / _MNIST_LABELS
    labels = np.frombuffer(_inflate(path), np.uint8)[8:]
    if not len(labels) or labels.max() > 9:
        raise FormatError(f"{path}: expected labels from 0 to 9.")
    return _from_array(_mnist_digits(directory), _one_hot(labels), True, str(path))


@dataclasses.dataclass(frozen=True)
class _StackDigits:
    digits: np.ndarray

    def __call__(self, item: tuple[int, int, int]) -> np.ndarray:
        return self.digits[list(item), 0]


def mnistrgb(
    directory: files.PathLike, num_images: int = 1_000_000, random_seed: int = 123
) -> writer.Samples:
    """Returns images whose three channels are random MNIST digits; no labels."""
    if num_images < 1:
        raise InputError(f"--num_images: found {num_images}, expected at least 1.")
    digits = _mnist_digits(directory)
    generator = np.random.RandomState(random_seed)
    items = generator.randint(len(digits), size=(num_images, 3))
    return writer.Samples(list(map(tuple, items.tolist())), _StackDigits(digits), (3,))


# --- CIFAR, SVHN ----------------------------------------------------------------------


def _pickled(
    path: pathlib.Path, keys: tuple[Any, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Reads images [n, 3, 32, 32] and classes [n] of one archive file."""
    content = pickles.load_pickle(path)
    try:
        pixels, classes = np.asarray(content[keys[0]]), np.asarray(content[keys[1]])
        pixels = pixels.reshape(-1, 3, 32, 32)
        classes = classes.reshape(-1)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: expected images {keys[0]!r} of 3 x 32 x 32 and classes "
            f"{keys[1]!r} ({in_words(error)})."
        ) from error
    if pixels.dtype != np.uint8 or classes.dtype.kind not in "iu":
        raise FormatError(
            f"{path}: images of {pixels.dtype} and classes of {classes.dtype}, "
            "expected uint8 and integers."
        )
    if len(pixels) != len(classes) or not len(classes) or classes.min() < 0:
        raise FormatError(
            f"{path}: {len(pixels)} images and {len(classes)} classes, expected as "
            "many, and classes from 0 on."
        )
    return pixels, classes


def _from_pickles(paths: list[pathlib.Path], keys: tuple[Any, Any]) -> writer.Samples:
    parts = [_pickled(path, keys) for path in paths]
    pixels = np.concatenate([part[0] for part in parts])
    classes = np.concatenate([part[1] for part in parts])
    return _from_array(pixels, _one_hot(classes), True, str(paths[0].parent))


def cifar10(directory: files.PathLike) -> writer.Samples:
    """Returns CIFAR-10 (files data_batch_1 to 5), shuffled, with one-hot labels."""
    folder = pathlib.Path(directory)
    paths = [folder / f"data_batch_{number}" for number in range(1, 6)]
    return _from_pickles(paths, ("data", "labels"))


def cifar100(directory: files.PathLike) -> writer.Samples:
    """Returns CIFAR-100 (file train, fine labels), shuffled, with one-hot labels."""
    return _from_pickles([pathlib.Path(directory) / "train"], ("data", "fine_labels"))


def svhn(directory: files.PathLike) -> writer.Samples:
    """Returns SVHN (files train_1.pkl to 3), shuffled, with one-hot labels."""
    folder = pathlib.Path(directory)
    paths = [folder / f"train_{number}.pkl" for number in range(1, 4)]
    return _from_pickles(paths, (0, 1))


# --- LSUN -----------------------------------------------------------------------------


class _LsunPicture:
    """Loads a picture of an LMDB database by key, cropped and resized."""

    def __init__(self, directory: str, resolution: int):
        self._directory = directory
        self._resolution = resolution
        self._environment: Any = None  # Opened by each process for itself.

    def __getstate__(self):
        return {**self.__dict__, "_environment": None}

    def __call__(self, key: bytes) -> np.ndarray | None:
        from PIL import Image

        if self._environment is None:
            self._environment = _open_lmdb(self._directory)
        with self._environment.begin() as transaction:
            content = transaction.get(key)
        try:
            picture = Image.fromarray(picture_files.read(io.BytesIO(content)))
        except InputError:
            return None  # As in the original: unreadable images are left out.
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.crop((left, top, left + side, top + side))
        size = (self._resolution, self._resolution)
        resized = square.resize(size, Image.Resampling.LANCZOS)
        return np.asarray(resized).transpose(2, 0, 1)


def _open_lmdb(directory: str):
    try:
        import lmdb
    except ImportError as error:
        raise errors.missing_dependency(
            "lmdb", "lsun", "Reading an LSUN database"
        ) from error
    files.require_directory(directory, "LMDB database")
    try:
        return lmdb.open(directory, readonly=True, lock=False)
    except lmdb.Error as error:
        raise FormatError(
            f"{directory}: not an LMDB database, or a damaged one; download it again."
        ) from error


def lsun(
    directory: files.PathLike, resolution: int = 256, max_images: int | None = None
) -> writer.Samples:
    """Returns the pictures of an LSUN database in its order; no labels.

    The central square of each is resized with Lanczos' filter.
    """
    environment = _open_lmdb(str(directory))
    try:
        with environment.begin() as transaction:
            keys = list(transaction.cursor().iternext(keys=True, values=False))
    finally:
        environment.close()
    load = _LsunPicture(str(directory), resolution)
    return writer.Samples(keys[:max_images], load, (3,))


# --- HDF5 -----------------------------------------------------------------------------


class _Hdf5Image:
    """Loads image number `item` of a data set in an HDF5 file."""

    def __init__(self, path: str, name: str):
        self._path = path
        self._name = name
        self._array: Any = None  # Opened by each process for itself.

    def __getstate__(self):
        return {**self.__dict__, "_array": None}

    def __call__(self, item: int) -> np.ndarray:
        import h5py

        if self._array is None:
            self._array = h5py.File(self._path, "r")[self._name]
        try:
            return self._array[item]
        except Exception as error:  # Of the libraries that unpack; many kinds.
            raise FormatError(
                f"{self._path}: image {item} of {self._name} is damaged."
            ) from error


def from_hdf5(path: files.PathLike, shuffle: bool = True) -> writer.Samples:
    """Returns the images of a legacy HDF5 archive.

    Among the data sets whose name starts with `data` the one with the largest last
    axis is taken; labels come from `<base>-labels.npy` if that file exists.
    """
    path = pathlib.Path(path)
    candidates = {}
    with hdf5_files.opened(path, "HDF5 file") as archive:
        for name in archive:
            if not name.startswith("data"):
                continue
            found = hdf5_files.data_set(archive, name, path)
            if found is not None and found.ndim == 4 and found.dtype == np.uint8:
                candidates[name] = found.shape
    if not candidates:
        raise FormatError(
            f"{path}: found no data set 'data*' of uint8 [images, C, H, W]."
        )
    largest = max(shape[3] for shape in candidates.values())
    name, *others = (x for x, shape in candidates.items() if shape[3] == largest)
    if others:
        raise FormatError(
            f"{path}: {name} and {others[0]} hold images of the same size, expected "
            "one data set of each."
        )
    count = candidates[name][0]
    labels = None
    label_path = path.with_name(path.stem + "-labels.npy")
    if label_path.is_file():
        labels = files.load_npy(label_path)
        if labels.ndim != 2 or len(labels) != count:
            raise FormatError(
                f"{label_path}: an array of shape {list(labels.shape)}, expected "
                f"[{count}, label size]."
            )
    samples = writer.Samples(range(count), _Hdf5Image(str(path), name), (1, 3), labels)
    return samples.in_order(writer.shuffled_order(count, shuffle))
