"""Videos, in and out, through the ffmpeg that the package imageio-ffmpeg carries."""

import logging
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, missing_dependency

MOST_FRAMES_PER_SECOND = 1000
_USUAL_RATE = 25


def write_video(
    path: files.PathLike,
    frames: Iterable[np.ndarray],
    *,
    frames_per_second: float = 30,
    codec: str = "libx264",
    bitrate: str | None = None,
) -> pathlib.Path:
    """Writes frames as .mp4 (yuv420p), atomically.

    Args:
      path: the file.
      frames: uint8 [H, W, 3] each; an odd last row or column is repeated.
      frames_per_second: the rate.
      codec: of ffmpeg.
      bitrate: such as "16M"; None lets the codec aim at constant quality.

    Raises:
      InputError: if the name does not end in .mp4, the rate is not above 0, there are
        no frames, they differ in size, or ffmpeg does not take the codec or bitrate.
      MissingDependencyError: without imageio-ffmpeg.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise missing_dependency("imageio-ffmpeg", "video", "Writing videos") from error
    path = pathlib.Path(path)
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: expected a name that ends in .mp4.")
    if not 0 < frames_per_second <= MOST_FRAMES_PER_SECOND:
        raise InputError(
            f"{path}: found {frames_per_second:g} frames a second, expected above 0 "
            f"and at most {MOST_FRAMES_PER_SECOND}."
        )
    if path.is_dir():
        raise InputError(f"{path}: found a folder, expected the name of a video.")
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise InputError("frames must not be empty. Received: 0 frames")
    first = _even(first)
    height, width = first.shape[:2]
    refusal = InputError(
        f"{path}: ffmpeg does not encode with codec {codec!r}, bitrate {bitrate!r} and "
        f"{frames_per_second:g} frames a second at {width} x {height}; expected a "
        "codec for MP4, such as libx264."
    )
    with files.atomic_path(path) as temporary:
        writer = imageio_ffmpeg.write_frames(
            str(temporary),
            (width, height),
            fps=frames_per_second,
            codec=codec,
            bitrate=bitrate,
            pix_fmt_out="yuv420p",
            macro_block_size=2,
            # The temporary name has no suffix that ffmpeg would know.
            output_params=["-f", "mp4"],
            # What went wrong is told below.
            ffmpeg_log_level="quiet",
        )
        try:
            writer.send(None)
            writer.send(first.tobytes())
            for frame in iterator:
                frame = _even(frame)
                if frame.shape != first.shape:
                    raise InputError(
                        f"frames must have the shape {first.shape}. "
                        f"Received: {frame.shape}"
                    )
                writer.send(frame.tobytes())
        except OSError as error:  # ffmpeg ended; its whole report is the message.
            raise refusal from error
        finally:
            writer.close()
        # Few frames fit into the pipe, whether or not ffmpeg reads them.
        if not temporary.is_file() or not temporary.stat().st_size:
            raise refusal
    return path


def read_video(
    path: files.PathLike,
) -> tuple[float, Iterator[np.ndarray]]:
    """Frames a second of a video, and its frames, uint8 [H, W, 3] each, one by one.

    They are turned as players show them.  A video without a rate of its own gives 25 a
    second.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is no video that ffmpeg can read.
      MissingDependencyError: without imageio-ffmpeg.
    """
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise missing_dependency("imageio-ffmpeg", "video", "Reading videos") from error
    path = files.require_file(path, "video")
    # It would tell of every video of a telephone that it was turned.
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
    reader = imageio_ffmpeg.read_frames(str(path))
    try:
        described = next(reader)
        if not described["fps"]:  # Recorded with frames of any length.
            reader.close()
            rate = ["-r", str(_USUAL_RATE)]
            reader = imageio_ffmpeg.read_frames(str(path), output_params=rate)
            described = next(reader) | {"fps": _USUAL_RATE}
    except (OSError, RuntimeError, StopIteration) as error:
        raise FormatError(
            f"{path}: not a video that can be read; download or copy it again if it "
            "should be."
        ) from error
    width, height = described["size"]

    def frames():
        try:
            for content in reader:
                yield np.frombuffer(content, np.uint8).reshape(height, width, 3)
        except RuntimeError as error:
            text = " ".join(str(error).split())[:120]
            raise FormatError(f"{path}: its frames end in damage ({text}).") from error
        finally:
            reader.close()

    return float(described["fps"]), frames()


def _even(frame: np.ndarray) -> np.ndarray:
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
        raise InputError(
            "a frame must be uint8 [H, W, 3]. "
            f"Received: {frame.dtype} {list(frame.shape)}"
        )
    odd = [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)]
    return np.ascontiguousarray(np.pad(frame, odd, mode="edge"))
