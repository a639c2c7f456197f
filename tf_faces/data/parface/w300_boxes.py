"""Boxes of 300-W: `Bounding Boxes/bounding_boxes_*.mat` beside its pictures.

A file holds cells (or one array) of structs with `imgName`, `bb_detector` and
`bb_ground_truth`, boxes (left, top, right, bottom).  Names are those of pictures in
whatever folder, spelling and format: what is converted keeps its name, not its suffix.
"""

import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_faces.core import folders, matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import annotations

_FOLDER = "Bounding Boxes"
_BLANKS = re.compile(r"[ _-]")
# LFPW counts the pictures of its training and of its test set from 1 alike: a file that
# names another part or set than the picture's folders do is about other pictures.
_PARTS = (("train", "test"), ("afw", "helen", "ibug", "lfpw", "300w"))


class Boxes:
    """The boxes of all files that are there, by the pictures' names.

    Args:
      root: folder of 300-W, with `images` and `Bounding Boxes`.
      column: "bb_ground_truth" or "bb_detector".

    Raises:
      FormatError: if a file is not one of boxes.
    """

    def __init__(self, root: pathlib.Path, column: str):
        self._root = root
        self._column = column
        self._known: dict[str, list[tuple[pathlib.Path, str, np.ndarray]]] = {}
        for path in _files_of(root):
            for name, box in _boxes_of_file(path, column):
                self._known.setdefault(_key(name), []).append((path, name, box))

    def of_picture(self, picture: pathlib.Path) -> np.ndarray | None:
        """The box float64 [4] of a picture; None without any.

        Raises:
          FormatError: if it has different ones.
          InputError: if the detector's are wanted, and it has none.
        """
        about = " ".join(picture.relative_to(self._root / "images").parts[:-1])
        known = self._known.get(_key(picture.name), [])
        known = [one for one in known if not _contradict(one[0].stem, about)]
        for form in (folders.one_form, _stem):
            known = [
                one for one in known if form(one[1]) == form(picture.name)
            ] or known
        if len({box.tobytes() for _, _, box in known}) > 1:
            raise FormatError(
                f"{known[0][0]}: {picture.name!r} has several boxes, here and in "
                f"{known[-1][0].name}, expected one."
            )
        if known:
            return known[0][2]
        if self._column == "bb_detector":
            raise InputError(
                f"{picture}: has no box of a detector, expected it in "
                f"{_FOLDER}/bounding_boxes_*.mat of {self._root}."
            )
        return None

    def report(self, pictures_without: Sequence[pathlib.Path]) -> None:
        """Tells on standard error how many pictures the files have no box of."""
        if pictures_without and self._known:
            print(
                f"{self._root}: {len(pictures_without)} pictures have no box in "
                f"{_FOLDER} (the first is {pictures_without[0].name}); those of their "
                "landmarks are taken.",
                file=sys.stderr,
            )


def _stem(name: str) -> str:
    return folders.one_form(pictures.bare_name(name))


def _key(name: str) -> str:
    return _stem(name).casefold()


def _named(text: str, choices: Sequence[str]) -> set[str]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {one for one in choices if any(word.startswith(one) for word in words)}


def _contradict(stem: str, about: str) -> bool:
    """Whether a file names one part of 300-W, and a picture's folders another."""
    for choices in _PARTS:
        said, wanted = _named(stem, choices), _named(about, choices)
        if said and wanted and not said & wanted:
            return True
    return False


def _files_of(root: pathlib.Path) -> list[pathlib.Path]:
    def is_named_so(name: str) -> bool:
        return _BLANKS.sub("", name).lower().startswith("boundingboxes")

    is_mat = folders.has_suffix(".mat")
    found: list[pathlib.Path] = []
    for place in sorted(path for path in root.iterdir() if path.is_dir()):
        if is_named_so(place.name):
            listing = folders.list_files(
                place, lambda name: is_mat(name) and is_named_so(name), deep=False
            )
            found += listing.paths
    return found


def _boxes_of_file(path: pathlib.Path, column: str) -> Iterator[tuple[str, np.ndarray]]:
    cells = matlab_files.load(path, ["bounding_boxes"]).get("bounding_boxes")
    if cells is None:
        raise FormatError(f"{path}: lacks 'bounding_boxes'.")
    for row, entry in enumerate(_structs(path, column, cells)):
        name = _only(entry["imgName"])
        text = str(name.reshape(-1)[0]) if _is_text(name) else name.tolist()
        text = annotations.file_name(path, row, text, "imgName")
        values = _only(entry[column])
        if values.dtype.kind not in "iuf":
            raise FormatError(
                f"{path}, record {row}: {column} holds {values.dtype}, expected four "
                "numbers."
            )
        yield (
            pathlib.PurePosixPath(text).name,
            annotations.box(path, row, np.squeeze(values), column),
        )


def _structs(path: pathlib.Path, column: str, value: Any) -> Iterator[Any]:
    """The structs of cells, of cells in cells, or of an array of structs."""
    value = np.asarray(value)
    if {"imgName", column} <= set(value.dtype.names or ()):
        yield from value.reshape(-1)
        return
    if value.dtype.kind != "O" or not value.ndim:
        raise FormatError(
            f"{path}: its cells are not of 300-W, expected imgName and {column} in "
            "each."
        )
    for cell in value.reshape(-1):
        yield from _structs(path, column, cell)


def _only(value: Any) -> np.ndarray:
    """What a cell of one value holds, and the cells in it."""
    value = np.asarray(value)
    while value.dtype == object and value.size == 1 and value.ndim:
        value = np.asarray(value.reshape(-1)[0])
    return value


def _is_text(value: np.ndarray) -> bool:
    return value.dtype.kind == "U" and value.size == 1
