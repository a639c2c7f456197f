"""Pictures, folders of them and videos that the programs are given."""

import contextlib
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tf_faces.core import files, pictures, progress
from tf_faces.core.errors import InputError
from tf_faces.viz import videos

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm")


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One picture, or one of a video.

    Attributes:
      name: of the picture's file, or the video's and the frame's number.
      path: the file.
      picture: uint8 [H, W, 3].
      second: since the video began; None for pictures.
    """

    name: str
    path: pathlib.Path
    picture: np.ndarray
    second: float | None = None


def is_video(path: pathlib.Path) -> bool:
    """Whether a file's name is that of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def find(sources: Sequence[str], allow_videos: bool = True) -> list[pathlib.Path]:
    """The files that are named, and the pictures of named folders in order.

    Raises:
      InputError: if one is missing, or a video where none is wanted.
    """
    found = []
    for source in sources:
        path = pathlib.Path(source)
        if path.is_dir():
            found += pictures.list_folder(path)
            continue
        if is_video(path) and not allow_videos:
            raise InputError(f"{path}: found a video, expected pictures.")
        found.append(files.require_file(path, "picture"))
    return found


def frames_of(path: pathlib.Path) -> tuple[float | None, Iterator[Frame]]:
    """Frames a second (None for a picture), and the frames of one file.

    Raises:
      InputError, FormatError: if it is missing or damaged.
    """
    if not is_video(path):
        return None, iter([Frame(path.name, path, pictures.read(path))])
    rate, contents = videos.read_video(path)

    def numbered():
        with contextlib.closing(contents):
            for number, picture in enumerate(contents):
                yield Frame(f"{path.name}#{number:05d}", path, picture, number / rate)

    return rate, numbered()


def frames(paths: Sequence[pathlib.Path], shown: bool = True) -> Iterator[Frame]:
    """All frames of some files, with a bar on standard error.

    Raises:
      InputError, FormatError: as `frames_of`.
    """
    total = None if any(map(is_video, paths)) else len(paths)
    with progress.bar(total, "face", "Looking", shown=shown) as bar:
        for path in paths:
            for frame in frames_of(path)[1]:
                yield frame
                bar.update()


def for_each(
    paths: Iterable[pathlib.Path], work: Callable[[pathlib.Path], None]
) -> int:
    """Calls `work` for each picture; bad ones are listed at the end.

    Returns:
      The exit status: 0, or 2 if a picture was bad.
    """
    failed = []
    done = 0
    for path in paths:
        try:
            work(path)
            done += 1
        except InputError as error:
            message = str(error)
            failed.append(message if str(path) in message else f"{path}: {message}")
    print(f"{done} pictures done.", flush=True)
    return report_failures(failed)


def report_failures(failed: list[str], what: str = "pictures") -> int:
    """Lists what was bad; returns the exit status, 0 if nothing was."""
    if not failed:
        return 0
    print(f"Error: {len(failed)} {what} failed:", file=sys.stderr)
    for message in failed:
        print(f"  {message}", file=sys.stderr, flush=True)
    return InputError.exit_status
