"""What the writer of videos hands to ffmpeg, and what ffmpeg makes of it."""

import subprocess
import sys

import numpy as np
import pytest

from tf_faces.core.errors import InputError, MissingDependencyError
from tf_faces.viz import videos

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def frame(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def handed(monkeypatch):
    """What the writer is asked and sent; its file holds one byte a frame."""
    found = {"frames": [], "closed": False}

    def write_frames(path, size, **options):
        found.update(path=path, size=size, options=options)

        def writer():
            with open(path, "wb") as stream:
                try:
                    while True:
                        found["frames"].append((yield))
                        stream.write(b"f")
                finally:
                    found["closed"] = True

        return writer()

    monkeypatch.setattr(imageio_ffmpeg, "write_frames", write_frames)
    return found


def test_frames_are_handed_on_in_order(handed, tmp_path):
    path = tmp_path / "a.mp4"
    frames = [frame(4, 6, value) for value in (1, 2, 3)]
    given = videos.write_video(
        str(path), iter(frames), frames_per_second=12, codec="mpeg4", bitrate="2M"
    )
    assert given == path and path.read_bytes() == b"fff"
    assert handed["frames"] == [value.tobytes() for value in frames]
    assert handed["size"] == (6, 4) and handed["closed"]
    assert handed["options"] == {
        "fps": 12, "codec": "mpeg4", "bitrate": "2M", "pix_fmt_out": "yuv420p",
        "macro_block_size": 2, "output_params": ["-f", "mp4"],
        "ffmpeg_log_level": "quiet",
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_usual_options(handed, tmp_path):
    videos.write_video(tmp_path / "a.mp4", [frame(2, 2, 0)])
    options = handed["options"]
    assert (options["fps"], options["codec"]) == (30, "libx264")
    assert options["bitrate"] is None


def test_odd_sides_are_made_even_by_their_last_row_and_column(handed, tmp_path):
    odd = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    videos.write_video(tmp_path / "a.mp4", [odd])
    assert handed["size"] == (6, 4)
    found = np.frombuffer(handed["frames"][0], np.uint8).reshape(4, 6, 3)
    np.testing.assert_array_equal(found[:3, :5], odd)
    np.testing.assert_array_equal(found[3], found[2])
    np.testing.assert_array_equal(found[:, 5], found[:, 4])


def test_frames_of_another_size_leave_nothing_behind(handed, tmp_path):
    with pytest.raises(InputError, match=r"shape \(4, 6, 3\). Received: \(4, 8, 3\)"):
        videos.write_video(tmp_path / "a.mp4", [frame(4, 6, 0), frame(4, 8, 0)])
    assert handed["closed"] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 6, 3)), np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.int8),
    ],
)  # fmt: skip
def test_frames_that_are_none(handed, tmp_path, wrong):
    with pytest.raises(InputError, match=r"a frame must be uint8 \[H, W, 3\]"):
        videos.write_video(tmp_path / "a.mp4", [wrong])
    with pytest.raises(InputError, match="frames must not be empty"):
        videos.write_video(tmp_path / "a.mp4", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e9])
def test_rates_that_are_none(tmp_path, rate):
    with pytest.raises(InputError, match="frames a second, expected above 0"):
        videos.write_video(tmp_path / "a.mp4", [frame(2, 2, 0)], frames_per_second=rate)
    assert not list(tmp_path.iterdir())


def test_a_codec_that_is_none_is_told_once(tmp_path, capfd):
    with pytest.raises(InputError, match="does not encode with codec 'no'"):
        videos.write_video(tmp_path / "a.mp4", [frame(2, 2, 0)], codec="no")
    assert not list(tmp_path.iterdir()) and capfd.readouterr().err == ""


def test_videos_of_telephones_and_browsers(tmp_path, caplog):
    """Turned by a note, as EXIF turns photographs; without a rate."""
    videos.write_video(tmp_path / "a.mp4", [frame(16, 32, 9)] * 3)
    program = imageio_ffmpeg.get_ffmpeg_exe()
    for name, before, after in (
        ("turned.mp4", ["-display_rotation", "90"], ["-c", "copy"]),
        ("any.mp4", ["-r", "1000"], []),
    ):
        arguments = ["-i", tmp_path / "a.mp4", *after, tmp_path / name]
        subprocess.run([program, "-v", "quiet", *before, *arguments], check=True)
    rate, frames = videos.read_video(tmp_path / "turned.mp4")
    assert (rate, next(frames).shape) == (30, (32, 16, 3)) and not caplog.records
    frames.close()
    rate, frames = videos.read_video(tmp_path / "any.mp4")
    assert rate == 25 and len(list(frames)) >= 1


def test_without_imageio_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingDependencyError, match="Writing videos.*imageio-ffmpeg"):
        videos.write_video(tmp_path / "a.mp4", [frame(2, 2, 0)])


def test_a_video_holds_its_frames(tmp_path):
    shown = [frame(33, 47, value) for value in (0, 128, 255)]
    path = videos.write_video(tmp_path / "a.mp4", shown, frames_per_second=10)
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    assert facts["source_size"] == (48, 34) and facts["fps"] == 10
    assert facts["pix_fmt"].startswith("yuv420p")
    found = [np.frombuffer(data, np.uint8).mean() for data in reader]
    np.testing.assert_allclose(found, [0, 128, 255], atol=4)
