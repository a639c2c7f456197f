"""Sources of coupled UV maps: textures as pictures, shape and normals as pickles.

Maps are float32 and already scaled to about [-1, 1] (normals: unit vectors); nothing
is normalised, smoothed or resized here.  Files belong together by base name.

Reference: `create_from_pkl`, `create_from_pkl_img` and `create_from_pkl_img_norm` of
dataset_tool.py in TBGAN, which paired unsorted listings and had the folders of the
second part and of the labels built in.
"""

import dataclasses
import functools
import pathlib
import sys

import numpy as np

from tf_faces.core import files, folders, pickles, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.record_sets import folder as record_folder
from tf_faces.data.record_sets import writer

TEXTURE_SUFFIXES = (".png",)
ARRAY_SUFFIXES = (".pkl", ".pkl.gz")


@dataclasses.dataclass(frozen=True)
class CoupledItem:
    """The files of one sample.

    Attributes:
      texture: picture, RGB.
      shape: pickled array [3, R, R].
      normals: pickled array [3, R, R], None for data without normals.
    """

    texture: str
    shape: str
    normals: str | None = None

    @property
    def name(self) -> str:
        """The words by which messages name the sample."""
        return self.shape


@dataclasses.dataclass(frozen=True)
class CoupledSource:
    """Folders of coupled maps and, optionally, their labels.

    Attributes:
      texture_directory: `<key>.png`.
      shape_directory: `<key>.pkl` (or `.pkl.gz`).
      normals_directory: likewise; None for data without normals.
      labels: pickled or .npy array [n, label size].
      paths: pickled list of n keys (base names without suffix), one a label row.
    """

    texture_directory: files.PathLike
    shape_directory: files.PathLike
    normals_directory: files.PathLike | None = None
    labels: files.PathLike | None = None
    paths: files.PathLike | None = None


# --- reading one sample ---------------------------------------------------------------


@functools.cache
def _texture_values() -> np.ndarray:
    """[256] the float32 value of each grey level: v (1/255) in float64, times 2 - 1."""
    unit = (np.arange(256) * (1.0 / 255)).astype(np.float32)
    return unit * np.float32(2) - np.float32(1)


def load_texture(path: files.PathLike) -> np.ndarray:
    """Reads an RGB picture as [3, H, W] float32 in [-1, 1].

    Raises:
      FormatError: if it is no picture, or a grey one.
    """
    picture = pictures.read(path, None)
    if picture.ndim == 2:
        raise FormatError(f"{path}: found a grey picture (mode 'L'), expected RGB.")
    # Turned as bytes, which are a quarter of the values.
    return _texture_values().take(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def load_map(path: files.PathLike, channels: tuple[int, ...] = (3,)) -> np.ndarray:
    """Reads a pickled map [C, H, W] as float32.

    Raises:
      FormatError: if the pickle holds another shape.
      InputError: if it holds a NaN or an infinite number.
    """
    array = pickles.load_pickled_array(path)
    if array.ndim != 3 or array.shape[0] not in channels:
        allowed = " or ".join(str(count) for count in channels)
        raise FormatError(
            f"{path}: an array of shape {list(array.shape)}, expected "
            f"[{allowed}, R, R]."
        )
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        place = [int(axis) for axis in np.argwhere(~np.isfinite(array))[0]]
        raise InputError(
            f"{path}: the map holds {array[tuple(place)]} at {place}, expected finite "
            "numbers."
        )
    return array


def load_coupled(item: CoupledItem) -> np.ndarray:
    """Reads one sample: [6 or 9, R, R] float32, texture, shape, (normals).

    Raises:
      InputError: naming the file, if one is missing, damaged or of another size.
    """
    shape = load_map(item.shape)
    _, height, width = shape.shape
    image = np.empty((6 if item.normals is None else 9, height, width), np.float32)
    image[3:6] = shape

    def put(place: int, path: str, part: np.ndarray) -> None:
        if part.shape != shape.shape:
            raise InputError(
                f"{path}: {part.shape[2]} x {part.shape[1]} pixels, expected "
                f"{width} x {height} as in {item.shape}."
            )
        image[place : place + 3] = part

    put(0, item.texture, load_texture(item.texture))
    if item.normals is not None:
        put(6, item.normals, load_map(item.normals))
    return image


# --- finding the samples ------------------------------------------------------------


def _files_by_key(
    directory: files.PathLike, suffixes: tuple[str, ...], by_subject: bool = False
) -> dict[str, str]:
    """Returns {key: path} of the files with a suffix, sorted by path.

    A key is the base name; with `by_subject` it is `<sub-folder>/<base name>`.
    """
    if not pathlib.Path(directory).exists():
        raise InputError(
            f"{directory}: no such folder; `tf-faces dataset make_uv_set NEW_FOLDER` "
            "makes textures, shapes and normals of built-in faces."
        )
    listing = folders.list_files(
        directory,
        folders.has_suffix(*suffixes),
        deep=by_subject,
        count_others=not by_subject,
    )
    listing.report()
    found: dict[str, str] = {}
    for path in sorted(map(str, listing.paths)):
        place = pathlib.PurePath(path).relative_to(listing.directory)
        if by_subject and len(place.parts) != 2:
            continue
        key = folders.base_name(place.as_posix(), *suffixes)
        _take(found, key, path)
    if not found:
        wanted = " or ".join("*" + suffix for suffix in suffixes)
        raise InputError(listing.nothing(f"{wanted} files"))
    return found


def _take(found: dict[str, str], key: str, path: str) -> None:
    if key in found:
        raise InputError(
            f"{path}: the base name {key!r} is taken by {found[key]}; expected one "
            "file each."
        )
    found[key] = path


def _require_pairs(
    first: dict[str, str], second: dict[str, str], directory: files.PathLike, what: str
) -> None:
    """Checks that every file of `first` has its partner in `second`."""
    lonely = [key for key in first if key not in second]
    if lonely:
        more = f" (nor for {len(lonely) - 1} other files)" if len(lonely) > 1 else ""
        raise InputError(
            f"{first[lonely[0]]}: found no {what} named {lonely[0]!r} in "
            f"{directory}{more}."
        )


def load_labels(
    labels: files.PathLike, paths: files.PathLike
) -> tuple[np.ndarray, list[str]]:
    """Reads label rows and the keys that they belong to.

    Args:
      labels: .npy or pickle of an array [n, label size].
      paths: pickle of a list of n keys.

    Raises:
      FormatError: if they have another form or do not belong together.
    """
    if str(labels).lower().endswith(".npy"):
        rows = files.load_npy(labels)
    else:
        rows = pickles.load_pickled_array(labels)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise FormatError(
            f"{labels}: an array of shape {list(rows.shape)}, expected "
            "[images, label size]."
        )
    keys = pickles.load_pickle(paths)
    if isinstance(keys, np.ndarray):
        keys = keys.tolist()
    if not isinstance(keys, list | tuple) or not all(isinstance(k, str) for k in keys):
        raise FormatError(f"{paths}: expected a list of base names.")
    if len(keys) != len(rows):
        raise FormatError(
            f"{paths}: {len(keys)} names, but {labels} has {len(rows)} rows."
        )
    with np.errstate(over="ignore"):  # Infinite ones are refused with their image.
        return rows.astype(np.float32), [str(key) for key in keys]


def _read_source_labels(
    source: CoupledSource,
) -> tuple[np.ndarray | None, dict[str, int]]:
    if (source.labels is None) != (source.paths is None):
        raise InputError(
            "Labels need both files, the array (--labels) and the list of base names "
            f"(--paths). Received: {source.labels}, {source.paths}"
        )
    if source.labels is None or source.paths is None:
        return None, {}
    rows, keys = load_labels(source.labels, source.paths)
    row_of: dict[str, int] = {}
    repeated = 0
    for row, key in enumerate(map(folders.one_form, keys)):
        # The first of equal names counts, as with the original's list search.
        first = row_of.setdefault(key, row)
        if not np.array_equal(rows[first], rows[row], equal_nan=True):
            raise FormatError(
                f"{source.paths}: the name {key!r} stands for the rows {first} and "
                f"{row} of {source.labels}, which differ; expected one row a name."
            )
        repeated += first != row
    if repeated:
        print(
            f"{source.paths}: {repeated} names are repeated, with the same labels.",
            file=sys.stderr,
        )
    return rows, row_of


def find_coupled(
    source: CoupledSource,
) -> tuple[list[CoupledItem], np.ndarray | None]:
    """Lists the samples of folders with one file a sample, sorted by texture path.

    Returns:
      The items, and their labels [n, label size] or None.

    Raises:
      InputError: naming the first file without partner or label.
    """
    textures = _files_by_key(source.texture_directory, TEXTURE_SUFFIXES)
    shapes = _files_by_key(source.shape_directory, ARRAY_SUFFIXES)
    _require_pairs(textures, shapes, source.shape_directory, "shape map")
    _require_pairs(shapes, textures, source.texture_directory, "texture")
    normals = None
    if source.normals_directory is not None:
        normals = _files_by_key(source.normals_directory, ARRAY_SUFFIXES)
        _require_pairs(textures, normals, source.normals_directory, "normals map")
        _require_pairs(normals, textures, source.texture_directory, "texture")
    items = [
        CoupledItem(path, shapes[key], normals[key] if normals else None)
        for key, path in textures.items()
    ]
    rows, row_of = _read_source_labels(source)
    if rows is None:
        return items, None
    for key, path in textures.items():
        if key not in row_of:
            raise InputError(f"{path}: {source.paths} has no label row for {key!r}.")
    return items, rows[[row_of[key] for key in textures]]


def find_coupled_by_subject(
    source: CoupledSource,
) -> tuple[list[CoupledItem], np.ndarray | None]:
    """Lists the samples of folders with one sub-folder a subject.

    Files are `<subject>/<subject>.<k>.png` and `.pkl`: the subject is the part of the
    base name before the first dot.  As in the original (3dMD part), shape maps that
    have no label row or no texture are left out; a note on standard error says how
    many.

    Returns:
      The items in the order of the shape maps, and their labels or None.

    Raises:
      InputError: if a normals map is missing, or nothing remains.
    """
    assert source.normals_directory is not None
    textures = _files_by_key(source.texture_directory, TEXTURE_SUFFIXES, True)
    normals = _files_by_key(source.normals_directory, ARRAY_SUFFIXES, True)
    shapes: dict[str, str] = {}
    found = _files_by_key(source.shape_directory, ARRAY_SUFFIXES, True)
    for place, path in found.items():
        _take(shapes, place.rpartition("/")[2], path)
    rows, row_of = _read_source_labels(source)
    items, chosen, left_out = [], [], []
    for key, path in shapes.items():
        place = f"{key.split('.')[0]}/{key}"
        if (rows is not None and key not in row_of) or place not in textures:
            left_out.append(path)
            continue
        if place not in normals:
            raise InputError(
                f"{path}: found no normals map named {place!r} in "
                f"{source.normals_directory}."
            )
        items.append(CoupledItem(textures[place], path, normals[place]))
        chosen.append(row_of.get(key, 0))
    if left_out:
        print(
            f"Left out {len(left_out)} shape maps without texture or label row, the "
            f"first is {left_out[0]}.",
            file=sys.stderr,
        )
    if not items:
        raise InputError(
            f"{source.shape_directory}: none of {len(shapes)} shape maps has a texture "
            f"in {source.texture_directory} and a label row."
        )
    return items, None if rows is None else rows[chosen]


# --- the commands -------------------------------------------------------------------


def from_pkl_img_norm(
    source: CoupledSource, second: CoupledSource | None = None, shuffle: bool = True
) -> writer.Samples:
    """Returns coupled samples of 9 channels: texture, shape, normals.

    Args:
      source: folders with one file a sample (the original's MeIn3D part).
      second: folders with one sub-folder a subject (the original's 3dMD part), put
        after the first part before shuffling.
      shuffle: use the original's shuffled order.

    Raises:
      InputError: naming unpaired files; if only one part has labels.
    """
    items, labels = find_coupled(source)
    if second is not None:
        more_items, more_labels = find_coupled_by_subject(second)
        if (labels is None) != (more_labels is None):
            raise InputError(
                "Both parts need labels, or neither: give --labels and --paths as "
                "well as --second_labels and --second_paths, or none of them."
            )
        items += more_items
        if labels is not None and more_labels is not None:
            if labels.shape[1] != more_labels.shape[1]:
                raise InputError(
                    f"{second.labels}: {more_labels.shape[1]} columns, expected "
                    f"{labels.shape[1]} as in {source.labels}."
                )
            labels = np.concatenate([labels, more_labels])
    samples = writer.Samples(items, load_coupled, (9,), labels, _companions(source))
    return samples.in_order(writer.shuffled_order(len(items), shuffle))


def _companions(source: CoupledSource) -> tuple[pathlib.Path, ...]:
    """The UV dictionary, where it lies beside the folder of shape maps."""
    path = pathlib.Path(source.shape_directory).absolute().parent
    path = path / record_folder.UV_DICTIONARY
    return (path,) if path.is_file() else ()


def from_pkl_img(
    texture_directory: files.PathLike,
    shape_directory: files.PathLike,
    shuffle: bool = True,
) -> writer.Samples:
    """Returns samples of 6 channels: texture, shape; paired by base name."""
    source = CoupledSource(texture_directory, shape_directory)
    items, _ = find_coupled(source)
    samples = writer.Samples(items, load_coupled, (6,), companions=_companions(source))
    return samples.in_order(writer.shuffled_order(len(items), shuffle))


def from_pkl(directory: files.PathLike, shuffle: bool = True) -> writer.Samples:
    """Returns samples of pickled arrays [1 or 3, R, R], sorted by name."""
    paths = list(_files_by_key(directory, ARRAY_SUFFIXES).values())
    load = functools.partial(load_map, channels=(1, 3))
    samples = writer.Samples(paths, load, (1, 3))
    return samples.in_order(writer.shuffled_order(len(paths), shuffle))
