"""Training sets of corrupted faces: made on disk, or drawn while training.

On disk, a set has the original's tree, `dataset_shape/{train,test}/{noisy,labels}` and
`dataset_expression/...`, either as two `.npy` files a part (float64, the original's
form) or as shards `00000-of-00012.npz` of float32 rows with a manifest.  Both are
written piece by piece: no part is ever in memory as a whole.  Rows are raw units, face
by face, all copies of face 0 first; the last faces are the test part.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.core import file_kinds, files, folders, seeding
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data.face_manifold import samplers

FORMATS = ("shards", "npy")
ROLES = ("noisy", "labels")
PARTS = ("train", "test")
FOLDERS = {"shape": "dataset_shape", "expression": "dataset_expression"}
# The last 600 faces of the original are for testing, in both sets.
ORIGINAL_TEST_FACES = 600
ROWS_A_SHARD = 50_000
_MANIFEST = "manifest.json"
_FORMAT = "tf_faces face_manifold dataset 1"
_is_shard = re.compile(r"\d+-of-\d+\.npz").fullmatch


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a training set is made from faces.

    Attributes:
      group: "shape" or "expression".
      copies: corrupted copies of each face.
      sigma: deviation of the noise, raw.
      test_faces: how many of the last faces are for testing.
      seed: of the noise.
      original_draws: replay the original program's random streams (slow, one row at a
        time); `seed` is then what its global generators were seeded with.
    """

    group: str
    copies: int
    sigma: float
    test_faces: int = ORIGINAL_TEST_FACES
    seed: int = 0
    original_draws: bool = False

    def __post_init__(self) -> None:
        if self.group not in FOLDERS:
            raise InputError(
                f"group must be one of {', '.join(FOLDERS)}. Received: {self.group!r}"
            )
        if self.copies < 1:
            raise InputError(f"copies must be at least 1. Received: {self.copies}")
        if self.test_faces < 0:
            raise InputError(f"test_faces must be >= 0. Received: {self.test_faces}")

    def split(self, face_count: int) -> tuple[int, int]:
        """Returns how many of `face_count` faces are for training and for testing.

        Raises:
          InputError: if no face would be left for training.
        """
        if face_count <= self.test_faces:
            raise InputError(
                f"found {face_count} faces, expected more than the {self.test_faces} "
                "that are kept for testing; lower --test_faces."
            )
        return face_count - self.test_faces, self.test_faces


def original_recipe(
    group: str,
    copies: int | None = None,
    sigma: float | None = None,
    test_faces: int = ORIGINAL_TEST_FACES,
    seed: int = 0,
    original_draws: bool = False,
) -> Recipe:
    """The original's recipe for `group` (100 or 50 copies, noise 500000 or 2), changed
    where an argument says so; see `Recipe`."""
    if group not in FOLDERS:
        raise InputError(
            f"group must be one of {', '.join(FOLDERS)}. Received: {group!r}"
        )
    return Recipe(
        group,
        samplers.TRAINING_COPIES[group] if copies is None else copies,
        samplers.TRAINING_SIGMAS[group] if sigma is None else sigma,
        test_faces,
        seed,
        original_draws,
    )


def corrupted_rows(
    faces: np.ndarray, recipe: Recipe, rows_a_piece: int = 8192
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (noisy, labels) pieces [P, L] float64 in the order of the set.

    The same rows come whatever the size of the pieces.

    Args:
      faces: [N, L] raw coefficients, training and test faces alike.
      recipe: see `Recipe`.
      rows_a_piece: about how many rows come at once; a piece holds whole faces.
    """
    faces = np.asarray(faces, np.float64)
    draws = samplers.OriginalDraws(recipe.seed) if recipe.original_draws else None
    faces_a_piece = max(1, rows_a_piece // recipe.copies)
    for start in range(0, len(faces), faces_a_piece):
        part = faces[start : start + faces_a_piece]
        labels = np.repeat(part, recipe.copies, axis=0)
        if draws is not None:
            noisy = np.stack([draws.corrupt(row, recipe.sigma)[0] for row in labels])
        else:
            noisy = np.concatenate(
                [
                    samplers.corrupt(
                        # One stream a face: its copies do not depend on the others.
                        seeding.numpy_generator(
                            recipe.seed, f"corrupt-{recipe.group}", start + number
                        ),
                        np.repeat(face[None], recipe.copies, axis=0),
                        recipe.sigma,
                    )
                    for number, face in enumerate(part)
                ]
            )
        yield noisy, labels


def write_dataset(
    directory: files.PathLike,
    faces: np.ndarray,
    recipe: Recipe,
    *,
    form: str = "shards",
    names: Sequence[str] | None = None,
    rows_a_shard: int = ROWS_A_SHARD,
    progress: bool = False,
) -> pathlib.Path:
    """Writes one training set below `directory`.

    Args:
      directory: gets the folder `dataset_shape` or `dataset_expression`.
      faces: [N, L] raw coefficients; the last `recipe.test_faces` are for testing.
      recipe: see `Recipe`.
      form: "shards" or "npy".
      names: N names of the faces; kept in the manifest, so that the split can be told.
      rows_a_shard: rows of a shard.
      progress: show a bar.

    Returns:
      The folder that was made.

    Raises:
      InputError: if the folder exists, or there are too few faces.
    """
    if form not in FORMATS:
        raise InputError(f"form must be one of {FORMATS}. Received: {form!r}")
    train_count, test_count = recipe.split(len(faces))
    rows = {
        "train": train_count * recipe.copies,
        "test": test_count * recipe.copies,
    }
    length = int(np.shape(faces)[1])
    target = pathlib.Path(directory) / FOLDERS[recipe.group]
    with files.atomic_directory(target) as folder:
        manifest = {
            "format": _FORMAT,
            "form": form,
            "recipe": dataclasses.asdict(recipe),
            "length": length,
            "rows": rows,
            "names": None if names is None else list(names),
        }
        writer_type = _NpyWriter if form == "npy" else _ShardWriter
        with contextlib.ExitStack() as stack:
            bar = stack.enter_context(
                progress_bars.bar(
                    sum(rows.values()),
                    "row",
                    f"Corrupting {recipe.group}",
                    shown=progress,
                )
            )
            writers = {
                part: stack.enter_context(
                    contextlib.closing(
                        writer_type(folder / part, rows[part], length, rows_a_shard)
                    )
                )
                for part in PARTS
            }
            boundary = rows["train"]
            position = 0
            for noisy, labels in corrupted_rows(faces, recipe):
                cut = min(max(boundary - position, 0), len(noisy))
                writers["train"].add(noisy[:cut], labels[:cut])
                writers["test"].add(noisy[cut:], labels[cut:])
                position += len(noisy)
                bar.update(len(noisy))
        manifest["files"] = {
            str(path.relative_to(folder)): {
                "bytes": path.stat().st_size,
                "sha256": files.sha256(path),
            }
            for path in sorted(folder.rglob("*.np[yz]"))
        }
        files.write_json(folder / _MANIFEST, manifest)
    return target


class _NpyWriter:
    """Two growing float64 `.npy` files, the original's form."""

    def __init__(self, folder: pathlib.Path, rows: int, length: int, _: int):
        folder.mkdir()
        self._position = 0
        self._maps: dict[str, np.ndarray] = {}
        for role in ROLES:
            path = folder / f"{role}.npy"
            if rows:
                self._maps[role] = np.lib.format.open_memmap(
                    path, "w+", np.float64, (rows, length)
                )
            else:  # Nothing can be mapped.
                np.save(path, np.zeros((0, length)))

    def add(self, noisy: np.ndarray, labels: np.ndarray) -> None:
        if len(noisy):
            stop = self._position + len(noisy)
            for role, values in zip(ROLES, (noisy, labels), strict=True):
                self._maps[role][self._position : stop] = values
            self._position = stop

    def close(self) -> None:
        self._maps = {}  # Unmapping writes what is left.


class _ShardWriter:
    """Shards of float32 rows."""

    def __init__(self, folder: pathlib.Path, rows: int, length: int, size: int):
        del length
        folder.mkdir()
        self._folder = folder
        self._size = size
        self._total = -(-rows // size)
        self._number = 0
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._count = 0

    def add(self, noisy: np.ndarray, labels: np.ndarray) -> None:
        while len(noisy):
            room = self._size - self._count
            self._waiting.append(
                (noisy[:room].astype(np.float32), labels[:room].astype(np.float32))
            )
            self._count += len(noisy[:room])
            noisy, labels = noisy[room:], labels[room:]
            if self._count == self._size:
                self._flush()

    def _flush(self) -> None:
        arrays = {
            role: np.concatenate([pair[index] for pair in self._waiting])
            for index, role in enumerate(ROLES)
        }
        name = f"{self._number:05d}-of-{self._total:05d}.npz"
        files.write_npz(self._folder / name, compress=False, **arrays)
        self._number += 1
        self._waiting = []
        self._count = 0

    def close(self) -> None:
        if self._waiting:
            self._flush()


@dataclasses.dataclass(frozen=True)
class Pairs:
    """One part of a set, ready for training.

    Attributes:
      noisy: float [N, L], raw (a memory map where the file allows it).
      labels: float [N, L], raw.
    """

    noisy: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.noisy.ndim != 2 or self.noisy.shape != self.labels.shape:
            raise InputError(
                "noisy and labels must have the same shape [N, L]. Received: "
                f"{self.noisy.shape} and {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.noisy)

    def digest(self) -> str:
        """Returns a short text that tells different data apart (for resuming)."""
        rows = np.linspace(0, max(len(self) - 1, 0), 16).astype(int)
        content = hashlib.sha256(repr(self.noisy.shape).encode())
        for values in (self.noisy, self.labels):
            picked = values[rows] if len(self) else values
            content.update(np.ascontiguousarray(picked, np.float32).tobytes())
        return content.hexdigest()[:16]


def read_pairs(directory: files.PathLike, group: str, part: str) -> Pairs:
    """Reads one part of a set, in our form or as the original program wrote it.

    Args:
      directory: the folder around `dataset_shape` / `dataset_expression`, or that
        folder itself.
      group: "shape" or "expression".
      part: "train" or "test".

    Raises:
      InputError: if there is no such set.
      FormatError: if a file is damaged, missing, or disagrees with the manifest.
    """
    directory = files.require_directory(directory, "data set folder")
    if (directory / FOLDERS[group]).is_dir():
        directory = directory / FOLDERS[group]
    folder = directory / part
    if not folder.is_dir():
        raise InputError(
            f"{directory}: has no folder {FOLDERS[group]}/{part}; expected a data set "
            "of `tf-faces face-manifold generate-dataset`."
        )
    shards = folders.list_files(folder, _is_shard, deep=False).paths
    if shards:
        total = int(shards[0].stem.rpartition("-")[2])
        if len(shards) != total:
            raise FormatError(f"{folder}: found {len(shards)} of {total} shards.")
        parts = [files.load_npz(path, ROLES) for path in shards]
        arrays = [np.concatenate([part[role] for part in parts]) for role in ROLES]
    else:
        arrays = [_map_npy(folder / f"{role}.npy") for role in ROLES]
    for role, array in zip(ROLES, arrays, strict=True):
        if array.ndim != 2 or array.dtype.kind != "f" or array.shape != arrays[0].shape:
            raise FormatError(
                f"{folder}: found {role} of shape {list(array.shape)} and type "
                f"{array.dtype}, expected as many numbers [N, L] as in noisy."
            )
    if (directory / _MANIFEST).is_file():
        stored = _read_manifest(directory)
        expected = (stored.rows[part], stored.length)
        if arrays[0].shape != expected:
            raise FormatError(
                f"{folder}: found rows of shape {list(arrays[0].shape)}, expected "
                f"{list(expected)} as the manifest says."
            )
        if stored.group != group:
            raise FormatError(
                f"{directory}: a data set of {stored.group} coefficients, expected "
                f"{group}."
            )
    return Pairs(*arrays)


@dataclasses.dataclass(frozen=True)
class _Manifest:
    """What the manifest of a set says.

    Attributes:
      group: "shape" or "expression".
      length: numbers of a row.
      rows: {part: number of rows}.
      files: {name below the folder: (bytes, SHA-256)}.
    """

    group: str
    length: int
    rows: dict[str, int]
    files: dict[str, tuple[int, str]]


def _read_manifest(directory: pathlib.Path) -> _Manifest:
    path = directory / _MANIFEST
    stored = files.read_json(path)
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise FormatError(f"{path}: not the manifest of such a set.")
    try:
        listed = {
            str(name): (int(entry["bytes"]), str(entry["sha256"]))
            for name, entry in stored["files"].items()
        }
        if any(".." in pathlib.Path(name).parts or name[:1] == "/" for name in listed):
            raise ValueError("a file outside of the folder")
        return _Manifest(
            group=str(stored["recipe"]["group"]),
            length=int(stored["length"]),
            rows={part: int(stored["rows"][part]) for part in PARTS},
            files=listed,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: a damaged manifest ({in_words(error)}).") from error


def _map_npy(path: pathlib.Path) -> np.ndarray:
    path = files.require_file(path, "array")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise file_kinds.unreadable(
            path, "a readable .npy file", own=("a single NumPy array",)
        ) from error
    if values.ndim != 2 or values.dtype.kind != "f":
        raise FormatError(
            f"{path}: found shape {list(values.shape)} of {values.dtype}, expected "
            "numbers [N, L]."
        )
    return values


def verify(directory: files.PathLike) -> int:
    """Compares every file of a set with its manifest and returns their number.

    Raises:
      FormatError: for the first file that is missing or differs.
    """
    directory = files.require_directory(directory, "data set folder")
    listed = _read_manifest(directory).files
    for name, (size, digest) in listed.items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != size:
            raise FormatError(f"{path}: missing, or not {size} bytes long.")
        if files.sha256(path) != digest:
            raise FormatError(
                f"{path}: its content differs from the manifest's SHA-256."
            )
    return len(listed)


# --- drawn while training ------------------------------------------------------------


class FreshPairs:
    """Corrupted copies that are drawn anew in every epoch, nothing on disk.

    The rows of an epoch are a function of (seed, epoch, batch): a resumed run sees the
    same ones.

    Args:
      faces: [N, L] raw coefficients.
      sigma: deviation of the noise; a number, "ev" with `deviations`, or a pair
        (low, high) between which each batch's deviation is drawn, evenly in its
        logarithm.
      copies: how many copies of each face make one epoch.
      seed: of the noise and the order.
      deviations: [L], for sigma "ev".
    """

    def __init__(self, faces, sigma, copies: int = 1, seed: int = 0, deviations=None):
        self.faces = np.asarray(faces, np.float64)
        if self.faces.ndim != 2 or not len(self.faces):
            raise InputError(
                f"faces must have shape [N, L]. Received: {self.faces.shape}"
            )
        if isinstance(sigma, tuple) and not 0 < sigma[0] <= sigma[1]:
            raise InputError(f"sigma must be a rising pair. Received: {sigma}")
        self.sigma = sigma
        self.copies = copies
        self.seed = seed
        self.deviations = deviations

    def __len__(self) -> int:
        return len(self.faces) * self.copies

    def digest(self) -> str:
        """Returns a short text that tells different data apart (for resuming)."""
        text = json.dumps([self.sigma, self.copies, self.seed, self.faces.shape])
        content = hashlib.sha256(text.encode())
        content.update(self.faces.astype(np.float32).tobytes())
        return content.hexdigest()[:16]

    def batch(self, order: np.ndarray, epoch: int, number: int):
        """Returns (noisy, labels) float64 of one batch; `order` holds row numbers."""
        labels = self.faces[order // self.copies]
        rng = seeding.numpy_generator(self.seed, "fresh-noise", epoch, number)
        sigma = self.sigma
        if isinstance(sigma, tuple):
            sigma = float(np.exp(rng.uniform(np.log(sigma[0]), np.log(sigma[1]))))
        return samplers.corrupt(rng, labels, sigma, self.deviations), labels
