"""`tf-faces tbgan`: every command on a tiny run, and what they refuse."""

import json
import pickle
import re

import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_training
from tests.convert.test_tbgan import state, write
from tf_faces.apps import main
from tf_faces.apps.tbgan import generate, options
from tf_faces.core import files, pictures
from tf_faces.models import tbgan as networks
from tf_faces.training import checkpoints

SIZES = {"fmap_base": 32, "fmap_max": 4, "lod_sep": 3}
STATUS = (
    "tick {0:<5d} kimg {0:<8.1f} lod 1.00  minibatch 16   time {1:<12s} "
    "sec/tick 1.0     sec/kimg 1.00    maintenance 0.0\n"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two snapshots, its record set, sheets and log."""
    results = tmp_path_factory.mktemp("results")
    data = tiny_training.make_data(results / "data" / "maps", count=24, resolution=16)
    folder = results / "000-pgan-maps"
    config = {
        "model": "tbgan",
        "G": {**SIZES, "latent_size": 0},
        "data_dir": str(data.parent),
        "dataset": {
            "tfrecord_dir": "maps",
            "max_label_size": "full",
            "dynamic_range": [-1, 1],
        },
        "train": {"mirror_augment": False},
    }
    tf.keras.utils.set_random_seed(5)
    for images in (8000, 16000):
        generator = networks.Generator(
            networks.GeneratorConfig(
                num_channels=9, resolution=16, label_size=7, **SIZES
            )
        )
        checkpoints.save(
            folder / "snapshots",
            images,
            variables={"Gs": generator.variables_by_name()},
            state={},
            configuration=config,
        )
    files.write_json(folder / "config.json", config)
    for number, level in ((0, 40), (8, 120), (16, 200)):
        pictures.write(
            folder / f"fakes{number:06d}.png", np.full((90, 120, 3), level, np.uint8)
        )
    (folder / "log.txt").write_text(
        "Training...\n" + STATUS.format(8, "10s") + STATUS.format(16, "1m 40s")
    )
    return folder


def call(*arguments, status=0):
    assert options.main([str(argument) for argument in arguments]) == status


def test_evaluate(run, capsys):
    call("evaluate", run, "--images", 16, "--minibatch", 8, "--log", "metric-a.txt")
    printed = capsys.readouterr().out
    lines = (run / "metric-a.txt").read_text().splitlines()
    assert "Dataset shape = [9, 16, 16]" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("Snapshot"))
    assert [line.split()[0] for line in lines[start + 2 : -1]] == [
        "Reals", "Reals2", "16", "8",
    ]  # fmt: skip
    assert all(line in printed for line in lines)
    stored = [
        json.loads(line) for line in (run / "metric-a.jsonl").read_text().splitlines()
    ]
    assert [record["images"] for record in stored] == [None, None, 16000, 8000]
    column = lines[start].split().index("SWDx1e3_avg_shape")
    for record, line in zip(stored, lines[start + 2 :], strict=False):
        assert line.split()[column] == f"{record['SWDx1e3_avg_shape']:.4f}"

    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(run))
    events.Reload()
    scalars = events.Scalars("Metrics/SWDx1e3_avg_shape")
    assert [scalar.step for scalar in scalars] == [8000, 16000]
    assert scalars[0].value == pytest.approx(stored[3]["SWDx1e3_avg_shape"], rel=1e-5)
    again = ("evaluate", run, "--images", 16, "--minibatch", 8, "--every", 2,
             "--metrics", "swd", "--log", "metric-a.txt")  # fmt: skip
    call(*again, status=2)
    assert "metric-a.txt: exists already" in capsys.readouterr().err
    call(*again, "--overwrite")
    assert "\n8 " not in (run / "metric-a.txt").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--metrics", "fid"], "lacks --inception_weights"),
        (["--metrics", "psnr"], "found psnr"),
        (["--log", "../a.txt"], "--log"),
        (["--log", "config.json"], "--log"),
        (["--log", "log.txt"], "--log=log.txt: .* holds another file"),
        (["--log", "stats.txt"], "--log=stats.txt: .* holds another file"),
        (["--seed", str(1 << 32)], "expected 0 to 4294967295"),
        (["--data", "nowhere"], "nowhere"),
        (["--images", "7"], "even numbers"),
    ],
)
def test_evaluate_refuses(run, more, message, capsys):
    (run / "stats.jsonl").write_text("{}\n")
    before = {path: path.read_bytes() for path in run.glob("*.*") if path.is_file()}
    call("evaluate", run, *more, status=2)
    assert re.search(message, capsys.readouterr().err)
    assert before == {x: x.read_bytes() for x in run.glob("*.*") if x.is_file()}


def test_fake_images(run, tmp_path):
    output = tmp_path / "fakes"
    call("fake-images", run, "--num_pngs", 3, "--output", output, "--png_prefix", "x",
         "--minibatch_size", 2)  # fmt: skip
    assert sorted(path.name for path in output.iterdir()) == sorted(
        f"x00000{n}{end}" for n in range(3) for end in (".png", "_shp.pkl", "_nor.pkl")
    )
    shape = pickle.loads((output / "x000002_shp.pkl").read_bytes())
    assert shape.shape == (3, 16, 16) and shape.dtype == np.float32
    # One stream of random numbers, whatever the minibatch.
    more = tmp_path / "more"
    call("fake-images", run, "--num_pngs", 3, "--output", more)
    again = pickle.loads((more / "000002_shp.pkl").read_bytes())
    np.testing.assert_allclose(shape, again, atol=3e-4)
    call("fake-images", run, "--output", output, status=2)


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("fake-images", ["--png_prefix", "../x"], "expected no folder"),
        ("fake-images", ["--seeds", "0-3", "--grid_size", "3,2"], "multiple of the 6"),
        ("fake-images", ["--image_zoom", "10000"], "at most 67108864"),
        (
            "interpolation-video",
            ["--grid_size", "999,999", "--duration_sec", "0.1"],
            "at most 67108864",
        ),
        (
            "fake-images",
            ["--label", "1", "--label_weight", "1e39"],
            "expected -1e+06 to 1e+06",
        ),
        ("interpolation-images", ["--label_weights", "nan,1,1,1,1,1,1"], "finite num"),
        ("interpolation-images", ["--duration_sec", "1e9"], "at most 1000000"),
        ("interpolation-video", ["--duration_sec", "1e9"], "at most 1000000"),
        ("training-video", ["--duration_sec", "1e9"], "at most 1000000"),
    ],
)
def test_pictures_are_refused(run, tmp_path, command, more, message, capsys):
    if "images" in command:
        more = [*more, "--output", tmp_path / "fakes"]
    call(command, run, *more, status=2)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("**/*.png"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mp4", "config.json"], "exists already"),
        (["--mp4", "config.json", "--overwrite"], "ends in .mp4"),
        (["--mp4", "a.mp4", "--mp4_codec", "nothing"], "codec 'nothing'"),
        (["--mp4", "a.mp4", "--mp4_bitrate", "much"], "bitrate 'much'"),
    ],
)
def test_videos_are_refused(run, tmp_path, more, message, capsys):
    pytest.importorskip("imageio_ffmpeg")
    more[1] = tmp_path / more[1]
    (tmp_path / "config.json").write_text("{}")
    call("training-video", run, "--duration_sec", 0.2, *more, status=2)
    assert message in capsys.readouterr().err
    call("dimension-video", run, "--duration_sec", 0.1, *more, status=2)
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == "{}"


def test_videos_of_the_newest_run_that_trained_one(run, tmp_path, capsys):
    call("training-video", "newest", "--result_dir", tmp_path, status=2)
    assert "found no run of tbgan" in capsys.readouterr().err


def test_zoom_of_single_faces(run, tmp_path):
    for zoom in (1, 3):
        call("fake-images", run, "--seeds", 2, "--image_zoom", zoom, "--output",
             tmp_path / str(zoom))  # fmt: skip
    plain, large = (pictures.read(tmp_path / n / "000000.png") for n in "13")
    np.testing.assert_array_equal(large, plain.repeat(3, axis=0).repeat(3, axis=1))


def test_grids_and_seeds(run, tmp_path):
    grids = tmp_path / "grids"
    call("fake-images", run, "--seeds", "3-5,7", "--label", "happy", "--grid_size",
         "2,1", "--modality", "all", "--image_zoom", 2, "--output", grids)  # fmt: skip
    assert [path.name for path in sorted(grids.iterdir())] == [
        "000000.png", "000001.png",
    ]  # fmt: skip
    first = pictures.read(grids / "000000.png")
    assert first.shape == (32, 2 * 3 * 32, 3)
    alone = tmp_path / "alone"
    call("fake-images", run, "--seeds", "7", "--label", "1", "--modality", "all",
         "--output", alone)  # fmt: skip
    second = pictures.read(grids / "000001.png")[::2, 96::2]
    difference = second.astype(int) - pictures.read(alone / "000000.png")
    assert np.abs(difference).max() <= 1


def test_truncation(run, tmp_path):
    plain, cut = tmp_path / "plain", tmp_path / "cut"
    call("fake-images", run, "--seeds", 1, "--output", plain)
    call("fake-images", run, "--seeds", 1, "--truncation", 0.2, "--output", cut)
    assert (plain / "000000.png").read_bytes() != (cut / "000000.png").read_bytes()


def test_interpolation_images(run, tmp_path):
    output = tmp_path / "walk"
    call("interpolation-images", run, "--duration_sec", 0.3, "--output", output,
         "--uv_dictionary", "grid", "--minibatch_size", 4)  # fmt: skip
    names = {path.name for path in output.iterdir()}
    # Nine frames, of which the last fills no minibatch.
    assert names == {"lsfm_params.pkl"} | {
        f"00000{n}{end}"
        for n in range(8)
        for end in (".obj", ".mtl", ".png", "_nor.png")
    }
    lines = (output / "000003.obj").read_text().splitlines()
    assert lines[0] == "mtllib 000003.mtl"
    assert sum(line.startswith("v ") for line in lines) == 256
    call("interpolation-images", run, "--duration_sec", 0.1, "--output",
         tmp_path / "short", "--uv_dictionary", "grid", status=2)  # fmt: skip
    call("interpolation-images", run, "--duration_sec", 0.1, "--output",
         tmp_path / "all", "--uv_dictionary", "grid", "--all_frames", "--subpixel",
         "--label_weights", "1,1,1,1,1,1,2")  # fmt: skip
    assert (tmp_path / "all" / "000002.obj").is_file()


def frames(path):
    import imageio_ffmpeg

    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, [
        np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader
    ]


def test_videos(run, tmp_path, capsys):
    path = tmp_path / "a.mp4"
    call("interpolation-video", run, "--duration_sec", 0.5, "--mp4_fps", 10, "--mp4",
         path, "--grid_size", "2,1", "--image_zoom", 4, "--mp4_codec",
         "mpeg4")  # fmt: skip
    meta, shown = frames(path)
    assert meta["codec"] == "mpeg4" and meta["size"] == (128, 64) and len(shown) == 5
    path = tmp_path / "b.mp4"
    call("dimension-video", run, "--duration_sec", 0.4, "--mp4_fps", 10, "--mp4", path,
         "--dim", 3, "--image_zoom", 2)  # fmt: skip
    meta, shown = frames(path)
    assert meta["codec"] == "h264" and len(shown) == 4
    call("dimension-video", run, "--mp4", path, status=2)
    assert "b.mp4: exists already" in capsys.readouterr().err
    call("dimension-video", run, "--dim", 12, "--mp4", path, "--overwrite", status=2)
    assert "exists already" not in capsys.readouterr().err


def test_expression_sheet(run, tmp_path, capsys):
    path = tmp_path / "sheet.png"
    asked = ["expression-sheet", run, "--uv_dictionary", "grid", "--size", 12,
             "--label_weight", 9, "--output", path]  # fmt: skip
    call(*asked, "--seeds", "3,5")
    sheet = pictures.read(path)
    assert sheet.shape == (2 * 32 + 4, 7 * 16 + 4, 3)
    call(*asked, "--seeds", "5", status=2)
    assert "exists already" in capsys.readouterr().err
    call(*asked, "--seeds", "5", "--overwrite")
    # A face is the same in any company, up to what a minibatch rounds.
    again = pictures.read(path)[:16].astype(int)
    assert np.abs(again - sheet[32:48]).max() <= 8
    # Seven labels, seven pictures.
    cells = {again[4:, 4 + 16 * n : 16 + 16 * n].tobytes() for n in range(7)}
    assert len(cells) == 7


def test_turntable(run, tmp_path):
    path = tmp_path / "turn.mp4"
    call("turntable", run, "--uv_dictionary", "grid", "--size", 32, "--seeds", "1-2",
         "--duration_sec", 0.4, "--mp4_fps", 10, "--mp4_codec", "mpeg4", "--mp4",
         path)  # fmt: skip
    meta, shown = frames(path)
    assert meta["codec"] == "mpeg4" and meta["size"] == (64, 32) and len(shown) == 4
    call("turntable", run, "--duration_sec", 0, "--mp4", path, status=2)


def test_training_video(run, tmp_path):
    path = tmp_path / "train.mp4"
    call("training-video", run, "--duration_sec", 2, "--mp4_fps", 10, "--mp4", path,
         "--time_warp", 1)  # fmt: skip
    _, shown = frames(path)
    levels = [frame[:20].mean() for frame in shown]
    assert len(levels) == 20
    # The sheet of 10 s until 100 s of training are reached, which the end would be.
    np.testing.assert_allclose(levels, 120, atol=3)
    # The texts along the lower border.
    assert shown[5][70:].max() > 200
    call("training-video", run, "--modality", "shape", status=2)


def test_project_and_nearest(run, tmp_path, capsys):
    output = tmp_path / "projected"
    call("project", run, "--records", "1-2", "--steps", 3, "--learning_rates",
         "0.1,0.01", "--output", output, "--fit_labels")  # fmt: skip
    with np.load(output / "projection.npz") as found:
        assert found["records"].tolist() == [1, 2]
        assert found["latents"].shape == (2, 12) and found["history"].shape == (6, 2)
        assert (found["history"].min(axis=0) < found["history"][0]).all()
    assert pictures.read(output / "000002.png").shape == (32, 48, 3)
    call("project", run, "--records", "24", "--output", tmp_path / "p", status=2)
    assert "expected 0 to 23" in capsys.readouterr().err
    output = tmp_path / "nearest"
    call("nearest", run, "--count", 2, "--neighbours", 3, "--output", output)
    rows = (output / "nearest.csv").read_text().splitlines()
    assert len(rows) == 7
    far = [float(row.split(",")[3]) for row in rows[1:4]]
    assert far == sorted(far)
    assert pictures.read(output / "000001.png").shape == (16, 64, 3)
    call("nearest", run, "--neighbours", 25, "--output", tmp_path / "n", status=2)


def test_import_weights_and_use(tmp_path, capsys):
    path = write(
        tmp_path / "network-snapshot-000002.pkl",
        [state(scope) for scope in ("G", "D", "Gs")],
    )
    call("import", path, tmp_path / "run")
    call("weights", tmp_path / "run", tmp_path / "Gs.npz")
    call("weights", tmp_path / "run", tmp_path / "Gs.npz", status=2)
    call("weights", tmp_path / "run", tmp_path / "Gs.npz", "--overwrite")
    assert re.search(r"\d+ variables", capsys.readouterr().out)
    with np.load(tmp_path / "Gs.npz") as arrays:
        assert arrays["lod"] == 0.5 and "4x4/Dense/weight" in arrays.files
    call("fake-images", tmp_path / "run", "--output", tmp_path / "fakes")
    assert pictures.read(tmp_path / "fakes" / "000000.png").shape == (8, 8, 3)
    # Three channels make no mesh, but pictures.
    assert generate.main([str(tmp_path / "run"), "--output", str(tmp_path / "g")]) == 0
    assert pictures.read(tmp_path / "g" / "faces.png").ndim == 3
    call("evaluate", tmp_path / "run", status=2)
    assert "names no record set" in capsys.readouterr().err


def test_wrong_values(run, tmp_path, capsys):
    for arguments, message in (
        (["fake-images", run, "--seeds", "5-3"], "first-last"),
        (["fake-images", run, "--label", "glad"], "happy"),
        (["fake-images", run, "--label", "7"], "0 to 6"),
        (["fake-images", run, "--truncation", "0"], "at least 0.01"),
        (["fake-images", run, "--grid_size", "3"], "columns,rows"),
        (["fake-images", run, "--grid_size", "99999,99999"], "they make pictures of"),
        (["fake-images", run, "--image_shrink", "3"], "--image_shrink: found 3"),
        (["fake-images", run, "--png_prefix", "a" * 300], "at most 200 bytes"),
        (["fake-images", run, "--label_weight", "2"], "without --label"),
        (["fake-images", run, "--seeds", "1", "--num_pngs", "2"], "with --seeds"),
        (["interpolation-video", run, "--smoothing_sec", "1e300"], "0 to 3600"),
        (["interpolation-video", run, "--duration_sec", "0"], "one frame"),
        (["projekt", run], "did you mean project"),
        (["project", run, "--minibatch_size", "2"], "Unknown option --minibatch_size"),
        (["interpolation-images", run, "--label_weights", "a"], "finite numbers"),
    ):
        more = [] if "video" in arguments[0] or arguments[0] == "projekt" else [
            "--output", tmp_path / "nothing"]  # fmt: skip
        call(*arguments, *more, status=2)
        assert message in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


def test_program_is_listed():
    assert "tbgan" in main.programs()


def test_the_run_by_its_place_or_by_name(run, tmp_path, capsys):
    call("weights", "--run", run, tmp_path / "a.npz")
    call("weights", run, tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as one, np.load(tmp_path / "b.npz") as other:
        assert one.files == other.files
    call("evaluate", "--metrics", "swd", status=2)
    assert "run: found none, expected one run" in capsys.readouterr().err
    call("evaluate", run, "--run=open", status=2)
    assert f"run: found {run} and --run=open" in capsys.readouterr().err
