"""Faces of photographs in three dimensions, with weights that come with the package.

Faces are looked for, every system whose weights are here sees each of them, and all
that is found lies in one folder: meshes, textures, landmarks, poses, depth, a sheet of
pictures for every face, and one page with the faces to turn.
"""

import argparse
import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core import files, folders, stems
from tf_faces.core.errors import InputError

_EPILOG = """\
examples:
  tf-faces photo portrait.jpg
      all results of every face in the picture, in the folder photo
  tf-faces photo holiday group.png --output found
      of the pictures of a folder, and of one more
  tf-faces photo speech.mp4
      a video with the landmarks drawn, and a table of them
"""
PAGE = "faces.html"
# Side of the pictures on a sheet.
TILE = 256
# How much wider than a face's box its pictures on the sheet are.
_ROUND_A_FACE = 1.5
_COLUMNS = 4
_DETECTOR = "mtcnn"


@dataclasses.dataclass(frozen=True)
class Seen:
    """What one system made of a face.

    Attributes:
      landmarks: float32 [68, 2 or 3] in pixels of the photograph.
      tiles: () -> {caption: uint8 [h, w, 3]}, pictures for the sheet; one as large as
        the photograph is cut to the face.
      write: (folder, name) -> files written there, their names beginning with `name`.
      item: () -> `viz.html_viewer.Item` for the page; None where there is none.
    """

    landmarks: np.ndarray
    tiles: Callable[[], dict[str, np.ndarray]]
    write: Callable[[pathlib.Path, str], list[pathlib.Path]]
    item: Callable[[], Any] | None = None


# What `open_part(folder)` of `tf_faces.apps.<stem>.photo` returns: (picture uint8
# [H, W, 3], box (left, top, right, bottom) about the landmarks, landmarks of a system
# before it or None, name) -> Seen.
Part = Callable[[np.ndarray, Sequence[float], np.ndarray | None, str], Seen]


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="picture, folder of pictures, or video",
    )
    parser.add_argument(
        "--output", default="photo", help="folder of the results (%(default)s)"
    )
    parser.add_argument(
        "--detector",
        metavar="{mtcnn,dlib,mediapipe,PACKAGE:FUNCTION}",
        help=f"finds the faces ({_DETECTOR})",
    )
    parser.add_argument("--detector_weights", help="of dlib's or MediaPipe's detector")
    parser.add_argument(
        "--box",
        nargs=4,
        type=options_of.finite,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="of the one face in every picture; nothing is looked for",
    )
    options_of.add_overwrite(parser)
    return parser


def _main(arguments: list[str], prog: str | None = None) -> int:
    options = _parser(prog).parse_args(arguments)
    from tf_faces.apps import inputs

    folders.require_free_folder(options.output, overwrite=options.overwrite)
    paths = inputs.find(options.pictures)
    if not paths:
        raise InputError(
            f"{', '.join(options.pictures)}: found no picture, expected some."
        )
    folders.by_name(paths)
    find = finder(options)
    looker = Looker(open_parts(), find)
    output = pathlib.Path(options.output)
    status = inputs.for_each(paths, lambda path: looker.look_at(path, output))
    page = looker.write_page(output)
    if page is not None:
        print(f"Look at them: {page}")
    return status


def open_parts() -> dict[str, Part]:
    """The systems that see faces here, by stem, in order: those with weights.

    Raises:
      InputError: if there is none.
      FormatError: if weights are missing or were changed.
    """
    from tf_faces.pipelines import shipped

    stages = {
        stem: stems.stage("apps", stem, "photo")
        for stem in stems.with_stage("apps", "photo")
        if stem in shipped.with_weights()
    }
    if not stages:
        raise InputError("no weights come with this package, expected some.")
    # Those whose landmarks serve the others come first.
    return {
        stem: stages[stem].open_part(shipped.folder(stem))
        for stem in sorted(stages, key=lambda stem: stages[stem].RANK)
    }


def finder(options: argparse.Namespace):
    """(picture) -> boxes (left, top, right, bottom) about its faces' landmarks."""
    if options.box is not None:
        told = "with --box, which tells where the face is, expected one of them"
        options_of.refuse_given(options, ("detector", "detector_weights"), told)
        box = tuple(options.box)
        if box[0] >= box[2] or box[1] >= box[3]:
            raise InputError(
                f"--box: found {box}, expected left < right and top < bottom."
            )
        return lambda picture: [box]
    from tf_faces.geometry import cropping
    from tf_faces.pipelines import detectors

    detect = detectors.make_detector(
        options.detector or _DETECTOR, options.detector_weights
    )
    return lambda picture: [cropping.box_of_detection(box) for box in detect(picture)]


class Looker:
    """Sees faces and writes what was found.

    Args:
      parts: systems by stem.
      find: (picture) -> boxes of its faces.
    """

    def __init__(self, parts: dict[str, Part], find):
        self.parts = parts
        self.find = find
        self._items: list = []

    def look_at(self, path: pathlib.Path, output: pathlib.Path) -> None:
        """Sees the faces of a picture or video, and writes what was found.

        Raises:
          InputError: if there is no face, or the file cannot be read.
        """
        from tf_faces.apps import inputs

        rate, frames = inputs.frames_of(path)
        if rate is None:
            self._look_at_picture(path, next(frames).picture, output)
        else:
            with contextlib.closing(frames):
                self._look_at_video(path, frames, rate, output)

    def _boxes(self, picture: np.ndarray) -> list:
        return [tuple(float(number) for number in box) for box in self.find(picture)]

    def _seen(self, picture, box, name: str) -> dict[str, Seen]:
        found: dict[str, Seen] = {}
        landmarks = None
        for stem, part in self.parts.items():
            found[stem] = part(picture, box, landmarks, name)
            landmarks = found[stem].landmarks
        return found

    def _look_at_picture(self, path, picture, output) -> None:
        from tf_faces.core import pictures

        boxes = self._boxes(picture)
        if not boxes:
            raise InputError(f"{path}: no face was found.")
        for number, box in enumerate(boxes):
            name = path.stem if len(boxes) == 1 else f"{path.stem}_face{number}"
            found = self._seen(picture, box, name)
            for seen in found.values():
                seen.write(output, name)
                if seen.item is not None:
                    self._items.append(seen.item())
            pictures.write(output / f"{name}_sheet.png", sheet_of(picture, box, found))
            print(f"{output / name}: {', '.join(found)}", flush=True)

    def _look_at_video(self, path, frames, rate: float, output) -> None:
        from tf_faces.viz import pictures as shown_pictures
        from tf_faces.viz import videos

        rows: list[str] = []

        def drawn() -> Iterator[np.ndarray]:
            for frame in frames:
                shown = frame.picture
                for number, box in enumerate(self._boxes(frame.picture)):
                    for stem, seen in self._seen(frame.picture, box, "face").items():
                        shown = shown_pictures.with_landmarks(
                            shown, None, seen.landmarks
                        )
                        rows.extend(
                            f"{frame.second:.3f},{number},{stem},{index},"
                            f"{point[0]:.2f},{point[1]:.2f}"
                            for index, point in enumerate(seen.landmarks)
                        )
                yield shown

        videos.write_video(output / f"{path.stem}.mp4", drawn(), frames_per_second=rate)
        if not rows:
            raise InputError(f"{path}: no face was found in any frame.")
        head = "second,face,system,landmark,x,y"
        files.write_text(
            output / f"{path.stem}_landmarks.csv", "\n".join([head, *rows]) + "\n"
        )
        print(f"{output / path.stem}.mp4: {len(rows)} landmarks", flush=True)

    def write_page(self, output: pathlib.Path) -> pathlib.Path | None:
        """Writes the page with all meshes so far; None without any."""
        from tf_faces.viz import html_viewer

        if not self._items:
            return None
        return html_viewer.write_page(output / PAGE, self._items, "Faces")


def sheet_of(picture: np.ndarray, box, found: dict[str, Seen]) -> np.ndarray:
    """The face and what every system made of it in one picture.

    Args:
      picture: uint8 [H, W, 3].
      box: (left, top, right, bottom) of the face.
      found: by stem.
    """
    from tf_faces.core import pictures
    from tf_faces.geometry import cropping
    from tf_faces.viz import pictures as shown_pictures

    left, top, right, bottom = box
    side = _ROUND_A_FACE * max(right - left, bottom - top)
    crop = cropping.SquareCrop(((left + right) / 2, (top + bottom) / 2), side, TILE)
    tiles = {"photograph": picture}
    for seen in found.values():
        tiles.update(seen.tiles())
    shown = [
        pictures.to_bytes(crop.cut(tile / 255.0))
        if tile.shape == picture.shape
        else tile
        for tile in tiles.values()
    ]
    return shown_pictures.contact_sheet(
        shown, min(len(shown), _COLUMNS), captions=list(tiles), gap=4
    )
