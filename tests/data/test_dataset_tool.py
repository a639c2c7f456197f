"""dataset_tool: what it makes, what it refuses."""

import gzip
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from tests.data import coupled_source
from tf_faces.apps.tbgan import dataset_tool
from tf_faces.data.record_sets import coupled, frames, reader

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path):
    return coupled_source.write(tmp_path / "source")


def _refused(capsys, arguments, *words, status=2):
    """Runs the program; checks for one sentence on stderr that holds all words."""
    assert dataset_tool.main([str(argument) for argument in arguments]) == status
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("Error: ") and "Traceback" not in message
    for word in words:
        assert str(word) in message, message


# --- what it makes --------------------------------------------------------------------


def test_coupled_set(source, tmp_path, capsys):
    destination = tmp_path / "out" / "faces"
    assert dataset_tool.main(coupled_source.arguments(source, destination)) == 0
    assert "5 images of 9 x 16 x 16 float32, 7 label values" in capsys.readouterr().out
    assert sorted(os.listdir(destination)) == [
        "faces-r02.tfrecords",
        "faces-r03.tfrecords",
        "faces-r04.tfrecords",
        "faces-rxx.labels",
        "manifest.json",
    ]
    assert os.listdir(tmp_path / "out") == ["faces"]
    record_set = reader.RecordSet(destination)
    keys = np.array([f"face{number:03d}" for number in range(5)])
    order = np.arange(5)
    np.random.RandomState(123).shuffle(order)
    labels = pickle.loads((source / "labels.pkl").read_bytes())
    np.testing.assert_array_equal(record_set.labels, labels[order].astype(np.float32))
    for key, image in zip(keys[order], record_set.images(), strict=True):
        with PIL.Image.open(source / "texture" / f"{key}.png") as picture:
            texture = np.asarray(picture).transpose(2, 0, 1) / 127.5 - 1
        np.testing.assert_allclose(image[:3], texture, atol=1e-6)
        for part, name in ((image[3:6], "shape"), (image[6:], "normals")):
            stored = pickle.loads((source / name / f"{key}.pkl").read_bytes())
            np.testing.assert_array_equal(part, stored)


def test_same_bytes_with_more_processes(source, tmp_path):
    arguments = coupled_source.arguments(source, tmp_path / "a" / "faces")
    assert dataset_tool.main(arguments) == 0
    again = coupled_source.arguments(source, tmp_path / "b" / "faces")
    assert dataset_tool.main([*again, "--processes=3"]) == 0
    for path in (tmp_path / "a" / "faces").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "faces" / path.name).read_bytes()


def test_uv_dictionary_goes_along(source, tmp_path):
    (source / "uv_dictionary.npz").write_bytes(b"how maps become meshes")
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    for more in ([], ["--overwrite"]):
        assert dataset_tool.main([*arguments, *more]) == 0
        copied = tmp_path / "faces" / "uv_dictionary.npz"
        assert copied.read_bytes() == b"how maps become meshes"
    assert dataset_tool.main(["verify", str(tmp_path / "faces")]) == 0


def test_trailing_slash_keeps_the_name(source, tmp_path):
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    arguments[1] += "/"
    assert dataset_tool.main(arguments) == 0
    assert (tmp_path / "faces" / "faces-r04.tfrecords").is_file()


def test_labels_are_optional(source, tmp_path):
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    arguments = [a for a in arguments if not a.startswith(("--labels", "--paths"))]
    assert dataset_tool.main(arguments) == 0
    assert reader.RecordSet(tmp_path / "faces").label_size == 0


def test_pairing_is_by_name_and_compressed_pickles_are_read(source, tmp_path):
    plain = source / "shape" / "face001.pkl"
    packed = plain.with_suffix(".pkl.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    expected = pickle.loads(plain.read_bytes())
    plain.unlink()
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    assert dataset_tool.main([*arguments, "--shuffle=0"]) == 0
    images = list(reader.RecordSet(tmp_path / "faces").images())
    np.testing.assert_array_equal(images[1][3:6], expected)


def test_pictures_to_records_and_back(tmp_path, capsys):
    generator = np.random.default_rng(1)
    (tmp_path / "in").mkdir()
    for number in range(3):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    create = ["create_from_images", tmp_path / "set", tmp_path / "in", "--shuffle=0"]
    assert dataset_tool.main([*map(str, create), "--processes=1"]) == 0
    assert (
        dataset_tool.main(["extract", str(tmp_path / "set"), str(tmp_path / "x")]) == 0
    )
    for number in range(3):
        with (
            PIL.Image.open(tmp_path / "in" / f"{number}.png") as before,
            PIL.Image.open(tmp_path / "x" / f"img{number:08d}.png") as after,
        ):
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    capsys.readouterr()
    sheet = tmp_path / "sheet.png"
    assert (
        dataset_tool.main(["display", str(tmp_path / "set"), f"--output={sheet}"]) == 0
    )
    with PIL.Image.open(sheet) as picture:
        assert picture.size == (16, 16)
    assert dataset_tool.main(["display", str(tmp_path / "set"), "--terminal"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\u2580") == 3 * 8 * 4


def test_extracted_coupled_set_makes_the_same_set(source, tmp_path):
    first, second = tmp_path / "a" / "faces", tmp_path / "b" / "faces"
    assert dataset_tool.main(coupled_source.arguments(source, first)) == 0
    assert (
        dataset_tool.main(["extract", str(first), str(tmp_path / "x"), "--arrays"]) == 0
    )
    for folder, suffix in (("shape", "_shp"), ("normals", "_nor"), ("texture", "")):
        (tmp_path / "y" / folder).mkdir(parents=True)
        kind = ".png" if folder == "texture" else ".pkl"
        for number in range(5):
            found = tmp_path / "x" / f"img{number:08d}{suffix}{kind}"
            found.rename(tmp_path / "y" / folder / f"{number}{kind}")
    arguments = coupled_source.arguments(tmp_path / "y", second)[:5]
    assert dataset_tool.main([*arguments, "--shuffle=0"]) == 0
    largest = "faces-r04.tfrecords"
    assert (first / largest).read_bytes() == (second / largest).read_bytes()


def test_compare(source, tmp_path, capsys):
    first, second = tmp_path / "a", tmp_path / "b"
    assert dataset_tool.main(coupled_source.arguments(source, first)) == 0
    labels = pickle.loads((source / "labels.pkl").read_bytes())
    labels[0] += 1
    coupled_source.write_pickle(source / "labels.pkl", labels)
    coupled_source.write_map(source / "shape" / "face003.pkl", np.ones((3, 16, 16)))
    assert dataset_tool.main(coupled_source.arguments(source, second)) == 0
    capsys.readouterr()
    assert dataset_tool.main(["compare", str(first), str(second)]) == 1
    output = capsys.readouterr().out
    assert "Identical images: 4 / 5" in output and "Identical labels: 4 / 5" in output
    assert output.endswith("The sets differ.\n")
    assert output.count("Image ") == output.count("Label ") == 1
    assert dataset_tool.main(["compare", str(first), str(first)]) == 0
    output = capsys.readouterr().out
    assert "Identical images: 5 / 5" in output
    assert output.endswith("The sets are equal.\n")


def test_compare_sets_that_differ_in_one_respect(source, tmp_path, capsys):
    def make(name, *more):
        arguments = coupled_source.arguments(source, tmp_path / name)
        assert dataset_tool.main([*arguments, *more]) == 0
        return str(tmp_path / name)

    first = make("first")
    labels = pickle.loads((source / "labels.pkl").read_bytes())
    coupled_source.write_pickle(source / "labels.pkl", labels + 1)
    relabelled = make("relabelled")
    assert dataset_tool.main(["compare", first, relabelled]) == 1
    assert dataset_tool.main(["compare", first, relabelled, "--ignore_labels=1"]) == 0
    for folder, kind in (("texture", "png"), ("shape", "pkl"), ("normals", "pkl")):
        (source / folder / f"face004.{kind}").unlink()
    shorter = make("shorter", "--shuffle=0")
    longer = make("longer", "--shuffle=0")
    assert dataset_tool.main(["compare", shorter, longer]) == 0
    capsys.readouterr()
    shutil.rmtree(shorter)
    for folder, kind in (("texture", "png"), ("shape", "pkl"), ("normals", "pkl")):
        (source / folder / f"face003.{kind}").unlink()
    shorter = make("shorter", "--shuffle=0")
    assert dataset_tool.main(["compare", shorter, longer]) == 1
    output = capsys.readouterr().out
    assert "different lengths: 3 and 4 images" in output
    assert "Identical images: 3 / 3" in output and "The sets differ." in output


def test_second_part_leaves_out_what_has_no_label(source, tmp_path, capsys):
    second = coupled_source.write(tmp_path / "flat", count=3)
    nested = tmp_path / "nested"
    keys = ["7.1", "7.2", "8.1"]
    for folder, kind in (("texture", "png"), ("shape", "pkl"), ("normals", "pkl")):
        for number, key in enumerate(keys):
            target = nested / folder / key.split(".")[0] / f"{key}.{kind}"
            target.parent.mkdir(parents=True, exist_ok=True)
            (second / folder / f"face{number:03d}.{kind}").rename(target)
    coupled_source.write_pickle(tmp_path / "labels2.pkl", np.ones((2, 7)))
    coupled_source.write_pickle(tmp_path / "paths2.pkl", ["8.1", "7.1"])
    arguments = [
        *coupled_source.arguments(source, tmp_path / "faces"),
        f"--second_texture_dir={nested / 'texture'}",
        f"--second_shape_dir={nested / 'shape'}",
        f"--second_normals_dir={nested / 'normals'}",
        f"--second_labels={tmp_path / 'labels2.pkl'}",
        f"--second_paths={tmp_path / 'paths2.pkl'}",
        "--shuffle=0",
    ]
    assert dataset_tool.main(arguments) == 0
    assert "Left out 1 shape maps" in capsys.readouterr().err
    record_set = reader.RecordSet(tmp_path / "faces")
    assert record_set.count == 7
    expected = coupled.load_map(nested / "shape" / "8" / "8.1.pkl")
    np.testing.assert_array_equal(list(record_set.images())[6][3:6], expected)
    (nested / "normals" / "8" / "8.1.pkl").unlink()
    _refused(capsys, [*arguments, "--overwrite"], "8.1.pkl", "normals map")


# --- what it refuses ------------------------------------------------------------------


def test_missing_folder(source, tmp_path, capsys):
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    arguments[3] = str(tmp_path / "nowhere")
    _refused(capsys, arguments, tmp_path / "nowhere", "no such folder")
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize("folder", ["texture", "shape", "normals"])
def test_unpaired_file_is_named(source, tmp_path, capsys, folder):
    kind = "png" if folder == "texture" else "pkl"
    (source / folder / f"face002.{kind}").unlink()
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "face002", source / folder)
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("folder", ["shape", "normals"])
def test_wrong_size_is_named(source, tmp_path, capsys, folder, number):
    path = source / folder / f"face{number:03d}.pkl"
    coupled_source.write_map(path, np.zeros((3, 32, 32)))
    _refused(
        capsys,
        coupled_source.arguments(source, tmp_path / "faces"),
        f"face{number:03d}",
        "32 x 32",
        "16 x 16",
    )


def test_wrong_sample_size_is_named(source, tmp_path, capsys):
    other = coupled_source.write(tmp_path / "other", side=8)
    for folder, kind in (("texture", "png"), ("shape", "pkl"), ("normals", "pkl")):
        name = f"face003.{kind}"
        (source / folder / name).write_bytes((other / folder / name).read_bytes())
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    for processes in ("1", "2"):
        _refused(
            capsys,
            [*arguments, f"--processes={processes}"],
            "face003",
            "[9, 8, 8]",
            "[9, 16, 16]",
        )
    assert sorted(os.listdir(tmp_path)) == ["other", "source"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_named(source, tmp_path, capsys, value):
    bad = np.zeros((3, 16, 16))
    bad[1, 2, 3] = value
    coupled_source.write_map(source / "normals" / "face004.pkl", bad)
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "normals/face004.pkl", value, "[1, 2, 3]")


def test_resolution_not_a_power_of_two(tmp_path, capsys):
    source = coupled_source.write(tmp_path / "source", side=12)
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "resolution 12", "power of two")


def test_not_square(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    PIL.Image.new("RGB", (8, 16)).save(tmp_path / "in" / "a.png")
    arguments = ["create_from_images", tmp_path / "set", tmp_path / "in"]
    _refused(capsys, arguments, "a.png", "8 x 16 pixels", "square")


def test_forbidden_pickle_is_not_executed(source, tmp_path, capsys):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    coupled_source.write_pickle(source / "shape" / "face001.pkl", Attack())
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "shape/face001.pkl", "mkdir")
    assert not (tmp_path / "executed").exists()


def test_damaged_texture_is_named(source, tmp_path, capsys):
    path = source / "texture" / "face001.png"
    path.write_bytes(path.read_bytes()[:60])
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "face001.png", "not a readable picture")


def test_grey_texture_is_refused(source, tmp_path, capsys):
    PIL.Image.new("L", (16, 16)).save(source / "texture" / "face001.png")
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "face001.png", "mode 'L'", "RGB")


def test_labels_that_do_not_fit(source, tmp_path, capsys):
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments[:-3] + arguments[-2:], "--labels")
    coupled_source.write_pickle(source / "paths.pkl", ["face000", "face001"])
    _refused(capsys, arguments, "paths.pkl", "2 names", "5 rows")
    keys = ["face000", "x", "face002", "face003", "face004"]
    coupled_source.write_pickle(source / "paths.pkl", keys)
    _refused(capsys, arguments, "face001.png", "no label row")
    labels = np.zeros((5, 7))
    labels[2, 1] = np.nan
    coupled_source.write_pickle(source / "labels.pkl", labels)
    keys[1] = "face001"
    coupled_source.write_pickle(source / "paths.pkl", keys)
    _refused(capsys, arguments, "face002", "label", "NaN")


def test_destination_with_content(source, tmp_path, capsys):
    destination = tmp_path / "faces"
    arguments = coupled_source.arguments(source, destination)
    assert dataset_tool.main(arguments) == 0
    before = (destination / "faces-r04.tfrecords").read_bytes()
    _refused(capsys, arguments, destination, "not empty", "--overwrite")
    assert dataset_tool.main([*arguments, "--overwrite", "--shuffle=0"]) == 0
    assert (destination / "faces-r04.tfrecords").read_bytes() != before
    (destination / "thesis.txt").write_text("mine")
    _refused(capsys, [*arguments, "--overwrite"], "thesis.txt")
    assert (destination / "thesis.txt").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["faces", "source"]


def test_bad_flags(capsys):
    _refused(capsys, ["create_from_nothing", "a"], "create_from_nothing")
    _refused(capsys, ["create_from_images", "a", "b", "--shuffle=2"], "--shuffle")
    _refused(capsys, ["create_from_images", "a", "b", "--processes=0"], "--processes")
    _refused(capsys, ["display"], "tfrecord_dir")


def test_full_disk(source, tmp_path, capsys, monkeypatch):
    import errno

    def no_room(descriptor, content, position):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "faces-r04.tfrecords")

    monkeypatch.setattr(os, "pwritev", no_room)
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "no space left", status=1)
    assert os.listdir(tmp_path) == ["source"]


def test_disk_without_room_is_noticed_before_writing(
    source, tmp_path, capsys, monkeypatch
):
    import shutil

    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    _refused(capsys, arguments, "no space left", "100 free", status=1)
    assert os.listdir(tmp_path) == ["source"]


# --- verify ---------------------------------------------------------------------------


@pytest.fixture
def faces(source, tmp_path):
    assert dataset_tool.main(coupled_source.arguments(source, tmp_path / "faces")) == 0
    return tmp_path / "faces"


def test_verify_whole_set(faces, capsys):
    assert dataset_tool.main(["verify", str(faces)]) == 0
    assert "whole, 5 images" in capsys.readouterr().out


def test_verify_names_file_and_record(faces, capsys):
    path = faces / "faces-r03.tfrecords"
    content = bytearray(path.read_bytes())
    content[len(content) // 5 * 3 + 100] ^= 4
    path.write_bytes(content)
    _refused(capsys, ["verify", faces], "faces-r03.tfrecords, record 3", "checksum")


def test_verify_truncated(faces, capsys):
    path = faces / "faces-r04.tfrecords"
    path.write_bytes(path.read_bytes()[:-100])
    _refused(capsys, ["verify", faces], "faces-r04.tfrecords, record 4: truncated")


def test_verify_lost_record(faces, capsys):
    path = faces / "faces-r04.tfrecords"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 5 * 4])
    _refused(capsys, ["verify", faces], "faces-r04.tfrecords", "manifest.json says")
    (faces / "manifest.json").unlink()
    _refused(capsys, ["verify", faces], "faces-r04.tfrecords", "found 4 records")


def test_verify_exchanged_labels(faces, capsys):
    path = faces / "faces-rxx.labels"
    with open(path, "wb") as stream:
        np.save(stream, np.zeros((5, 7), np.float32))
    _refused(capsys, ["verify", faces], "faces-rxx.labels", "SHA-256")


def test_verify_foreign_small_images(faces, capsys):
    path = faces / "faces-r02.tfrecords"
    image = np.zeros((9, 4, 4), np.float32)
    frame = frames.encode_frame(frames.encode_image(image))
    path.write_bytes(frame + path.read_bytes()[len(frame) :])
    _refused(capsys, ["verify", faces], "faces-r02.tfrecords, record 0", "reduced")


def test_verify_missing_resolution(faces, capsys):
    (faces / "faces-r03.tfrecords").unlink()
    _refused(capsys, ["verify", faces], "faces-r03.tfrecords", "missing")
    (faces / "manifest.json").unlink()
    _refused(capsys, ["verify", faces], faces, "8 x 8")


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"format": "tf_faces record set", "version": 2}']
)
def test_verify_damaged_manifest(faces, capsys, content):
    (faces / "manifest.json").write_text(content)
    _refused(capsys, ["verify", faces], "manifest.json")


def test_manifest_cannot_point_elsewhere(faces, capsys):
    path = faces / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"][0]["file"] = "../../etc/passwd"
    path.write_text(json.dumps(manifest))
    _refused(capsys, ["verify", faces], "manifest.json", "damaged")


def test_manifest_for_a_set_without_one(faces, capsys):
    path = faces / "manifest.json"
    written = json.loads(path.read_text())
    path.unlink()
    assert dataset_tool.main(["verify", str(faces), "--write_manifest"]) == 0
    assert json.loads(path.read_text()) == written


def test_tool_starts_without_tensorflow(tmp_path):
    source = coupled_source.write(tmp_path / "source")
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    code = (
        "import sys\n"
        "from tf_faces.apps.tbgan import dataset_tool\n"
        f"status = dataset_tool.main({arguments!r})\n"
        f"status += dataset_tool.main(['verify', {str(tmp_path / 'faces')!r}])\n"
        "assert not {'tensorflow', 'keras', 'scipy'} & set(sys.modules)\n"
        "raise SystemExit(status)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
