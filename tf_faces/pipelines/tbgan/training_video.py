"""A video of a training: the sheets of fakes as time went by.

Reference: generate_training_video of util_scripts.py, Progressive GAN code (which sheet
is shown when, sizes, texts).
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError

LARGEST = (1920, 1080)
TIME_WARP = 1.5
# More than nine hours at 30 a second.
MOST_FRAMES = 1_000_000
_STATUS = re.compile(
    r"^tick\s+\d+\s+kimg\s+(?P<kimg>[\d.]+)\s+lod\s+(?P<lod>[\d.]+)\s.*"
    r"time\s+(?P<time>(?:\d+[dhms]\s?)+)"
)
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclasses.dataclass(frozen=True)
class Moment:
    """One sheet of a training.

    Attributes:
      seconds: of training before it.
      kimg: thousands of images shown.
      level_of_detail: at that time.
      sheet: the picture file.
    """

    seconds: float
    kimg: float
    level_of_detail: float
    sheet: pathlib.Path


def parse_time(text: str) -> int:
    """Seconds of "Ns", "Mm SSs", "Hh MMm SSs" or "Dd HHh MMm"."""
    return sum(int(part[:-1]) * _SECONDS[part[-1]] for part in text.split())


def moments(run: files.PathLike, suffix: str = "") -> list[Moment]:
    """The sheets of a run with their times, from its log.

    Args:
      run: run folder.
      suffix: "" for textures, "_shp", "_nor".

    Raises:
      InputError: if no sheet is left.
    """
    run = files.require_directory(run, "run folder")
    log = files.require_file(run / "log.txt", "log of the run")
    found: dict[pathlib.Path, Moment] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = _STATUS.match(line)
        if match is None:
            continue
        kimg = float(match["kimg"])
        sheet = run / f"fakes{int(kimg):06d}{suffix}.png"
        if sheet.is_file():
            # Ticks shorter than a thousand images share a sheet: the last one's.
            found[sheet] = Moment(
                parse_time(match["time"]), kimg, float(match["lod"]), sheet
            )
    if not found:
        raise InputError(
            f"{run}: found no fakes*{suffix}.png that its log.txt tells of."
        )
    return list(found.values())


def shown_at(
    time: float, duration: float, all_moments: list[Moment], warp: float = TIME_WARP
) -> Moment:
    """The sheet at a time of the video: the last one not later in training.

    Args:
      time: seconds of the video.
      duration: of the whole video.
      all_moments: in the order of training.
      warp: time runs faster towards the end with more than 1.
    """
    reached = (time / duration) ** warp * all_moments[-1].seconds
    shown = all_moments[0]
    for moment in all_moments:
        if moment.seconds > reached:
            break
        shown = moment
    return shown


def _fitted(picture: np.ndarray) -> np.ndarray:
    """Halved until it fits on a screen."""
    from PIL import Image

    image = Image.fromarray(picture)
    while image.width > LARGEST[0] or image.height > LARGEST[1]:
        image = image.reduce(2)
    return np.asarray(image)


def _captioned(picture: np.ndarray, moment: Moment) -> np.ndarray:
    """With level of detail, time and images shown along the lower border."""
    from PIL import Image, ImageDraw, ImageFont

    from tf_faces.training import logging

    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    size = max(image.height // 30, 8)
    font = ImageFont.load_default(size)
    texts = (
        ("ls", size, f"lod {moment.level_of_detail:.2f}"),
        ("ms", image.width // 2, logging.format_time(moment.seconds)),
        ("rs", image.width - size, f"{moment.kimg:.0f} kimg"),
    )
    for anchor, left, text in texts:
        draw.text(
            (left, image.height - size // 2),
            text,
            fill=(255, 255, 255),
            font=font,
            anchor=anchor,
            stroke_width=max(size // 8, 1),
            stroke_fill=(0, 0, 0),
        )
    return np.asarray(image)


def frame_count(seconds: float, frames_per_second: float) -> int:
    """Frames of a video; at least one, at most `MOST_FRAMES`."""
    count = int(np.rint(seconds * frames_per_second))
    if not 1 <= count <= MOST_FRAMES:
        raise InputError(
            f"--duration_sec: found {seconds:g} at {frames_per_second:g} frames a "
            f"second, expected at least one frame and at most {MOST_FRAMES}."
        )
    return count


def frames(
    all_moments: list[Moment],
    duration: float,
    frames_per_second: float,
    warp: float = TIME_WARP,
) -> Iterator[np.ndarray]:
    """Yields uint8 [H, W, 3], all of the size of the first sheet."""
    count = frame_count(duration, frames_per_second)
    drawn: tuple[Moment, np.ndarray] | None = None
    shape = None
    for number in range(count):
        moment = shown_at(number / frames_per_second, duration, all_moments, warp)
        if drawn is None or drawn[0] != moment:
            picture = _captioned(_fitted(pictures.read(moment.sheet)), moment)
            drawn = (moment, picture)
        shape = drawn[1].shape if shape is None else shape
        if drawn[1].shape != shape:
            raise InputError(
                f"{moment.sheet}: has another size than the first sheet of its run."
            )
        yield drawn[1]
