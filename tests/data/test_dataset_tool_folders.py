"""dataset_tool: odd sources, and destinations that hold something already."""

import os
import pathlib
import subprocess
import sys
import unicodedata

import numpy as np
import PIL.Image
import pytest

from tests.data import coupled_source
from tf_faces.apps.tbgan import dataset_tool
from tf_faces.data.record_sets import reader

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path):
    return coupled_source.write(tmp_path / "source")


@pytest.fixture
def pictures(tmp_path):
    generator = np.random.default_rng(1)
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / "pictures" / f"{number}.png")
    return tmp_path / "pictures"


def run(*arguments):
    return dataset_tool.main([str(argument) for argument in arguments])


def refused(capsys, arguments, *words, status=2):
    """One sentence on stderr that holds all words."""
    capsys.readouterr()
    assert run(*arguments) == status
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("Error: ")
    for word in words:
        assert str(word) in message, message


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- sources --------------------------------------------------------------------------


def test_hidden_capital_and_linked_sources(source, tmp_path, capsys):
    plain = tmp_path / "plain" / "faces"
    assert run(*coupled_source.arguments(source, plain)) == 0
    (source / "texture" / "face001.png").rename(source / "texture" / "face001.PNG")
    (source / "shape" / "face002.pkl").rename(source / "shape" / "face002.PKL")
    (source / "texture" / "._face001.png").write_bytes(b"of a desktop")
    (source / "texture" / ".DS_Store").write_bytes(b"of a desktop")
    (source / "shape" / "notes.txt").write_text("mine")
    (source / "normals").rename(tmp_path / "elsewhere")
    (source / "normals").symlink_to(tmp_path / "elsewhere")
    capsys.readouterr()
    odd = tmp_path / "odd" / "faces"
    assert run(*coupled_source.arguments(source, odd)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert f"{source}/texture: 2 entries were left out: 2 hidden." in lines
    assert f"{source}/shape: 1 entry was left out: 1 of another kind." in lines
    assert content(odd) == content(plain)


def test_accents_pair_whatever_their_form(source, tmp_path):
    """As after a copy from a Mac, whose names are taken apart."""
    for folder, kind, form in (
        ("texture", "png", "NFD"),
        ("shape", "pkl", "NFC"),
        ("normals", "pkl", "NFD"),
    ):
        name = unicodedata.normalize(form, f"Zoé.{kind}")
        (source / folder / f"face001.{kind}").rename(source / folder / name)
    keys = [f"face{number:03d}" for number in range(5)]
    keys[1] = unicodedata.normalize("NFD", "Zoé")
    coupled_source.write_pickle(source / "paths.pkl", keys)
    assert run(*coupled_source.arguments(source, tmp_path / "faces")) == 0
    assert reader.RecordSet(tmp_path / "faces").count == 5


def test_a_name_with_two_files(source, tmp_path, capsys):
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    plain = source / "shape" / "face001.pkl"
    plain.with_suffix(".PKL").write_bytes(plain.read_bytes())
    refused(capsys, arguments, "face001.pkl", "same name as 'face001.PKL'")
    plain.with_suffix(".PKL").rename(plain.with_suffix(".pkl.gz"))
    refused(capsys, arguments, "face001.pkl.gz", "base name 'face001' is taken")


def test_label_rows_of_one_name(source, tmp_path, capsys):
    arguments = coupled_source.arguments(source, tmp_path / "faces")
    keys = [f"face{number:03d}" for number in range(5)]
    labels = np.eye(7)[:5]
    coupled_source.write_pickle(source / "paths.pkl", [*keys, "face002", "face003"])
    coupled_source.write_pickle(
        source / "labels.pkl", np.concatenate([labels, labels[2:4]])
    )
    assert run(*arguments) == 0
    assert "paths.pkl: 2 names are repeated" in capsys.readouterr().err
    labels = np.concatenate([labels, labels[2:3], labels[2:3]])
    coupled_source.write_pickle(source / "labels.pkl", labels)
    refused(
        capsys,
        [*arguments, "--overwrite"],
        *("paths.pkl", "'face003'", "rows 3 and 6", "labels.pkl", "differ"),
    )


def test_folders_of_pictures(pictures, tmp_path, capsys):
    plain, odd = tmp_path / "a" / "set", tmp_path / "b" / "set"
    assert run("create_from_images", plain, pictures, "--processes=1") == 0
    assert capsys.readouterr().err == ""
    (pictures / "2.png").rename(pictures / "2.PNG")
    (pictures / "Thumbs.db").write_bytes(b"of a desktop")
    (pictures / ".ipynb_checkpoints").mkdir()
    (pictures / ".ipynb_checkpoints" / "1.png").write_bytes(b"not whole")
    (pictures / "readme.txt").write_text("mine")
    (pictures / "gone.png").symlink_to("nowhere.png")
    (pictures / "sub").mkdir()
    (pictures / "3.png").rename(pictures / "sub" / "3.png")
    assert run("create_from_images", odd, pictures, "--processes=1") == 0
    assert (
        f"{pictures}: 4 entries were left out: 1 broken or unreadable, 2 hidden, 1 of "
        "another kind." in capsys.readouterr().err
    )
    assert content(plain) == content(odd)
    (pictures / "1.png").write_bytes(b"not whole")
    refused(capsys, ["create_from_images", tmp_path / "c", pictures], "1.png")


def test_folders_without_pictures(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    command = ["create_from_images", tmp_path / "set", tmp_path / "in"]
    refused(capsys, command, tmp_path / "in", "found no pictures")
    (tmp_path / "in" / "._1.png").write_bytes(b"of a desktop")
    (tmp_path / "in" / "a.txt").write_text("mine")
    refused(capsys, command, "found no pictures", "1 hidden, 1 of another kind")


# --- destinations ---------------------------------------------------------------------


@pytest.fixture
def records(pictures, tmp_path):
    assert run("create_from_images", tmp_path / "set", pictures, "--processes=1") == 0
    return tmp_path / "set"


def test_extract_replaces_only_what_it_wrote(records, tmp_path, capsys):
    target = tmp_path / "out"
    (target).mkdir()
    assert run("extract", records, target) == 0
    assert len(content(target)) == 4
    refused(capsys, ["extract", records, target], target, "not empty", "--overwrite")
    # What a longer set left there does not stay among the pictures of this one.
    (target / "img00000009.png").write_bytes(b"of another set")
    before = content(target)
    assert run("extract", records, target, "--overwrite") == 0
    after = content(target)
    assert sorted(after) == [f"img{number:08d}.png" for number in range(4)]
    assert all(before[name] == after[name] for name in after)
    (target / "thesis.txt").write_text("mine")
    refused(capsys, ["extract", records, target, "--overwrite"], "thesis.txt")
    assert (target / "thesis.txt").read_text() == "mine"
    refused(capsys, ["extract", records, records], records, "not empty")
    refused(
        capsys, ["extract", records, records, "--overwrite"], "would delete", "manifest"
    )
    (tmp_path / "file").write_text("mine")
    refused(capsys, ["extract", records, tmp_path / "file"], "found a file")


def test_an_extraction_that_fails_leaves_nothing(records, tmp_path, capsys):
    path = records / "set-r03.tfrecords"
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 1
    path.write_bytes(damaged)
    refused(capsys, ["extract", records, tmp_path / "out"], "record 3")
    assert sorted(os.listdir(tmp_path)) == ["pictures", "set"]


def test_sheets_are_not_overwritten(records, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"mine")
    command = ["display", records, "--output", sheet]
    refused(capsys, command, sheet, "exists already", "--overwrite")
    assert sheet.read_bytes() == b"mine"
    assert run(*command, "--overwrite") == 0
    assert sheet.read_bytes() != b"mine"
    refused(capsys, ["display", records, "--output", tmp_path / "a.xyz"], "'.xyz'")


def test_a_destination_that_is_a_link(pictures, tmp_path):
    """What the link leads to is written; the link stays."""
    (tmp_path / "disk" / "big").mkdir(parents=True)
    (tmp_path / "set").symlink_to("disk/big")
    command = ["create_from_images", tmp_path / "set", pictures, "--processes=1"]
    for more in ([], ["--overwrite"]):
        assert run(*command, *more) == 0
        assert (tmp_path / "set").is_symlink()
        assert (tmp_path / "disk/big/set-r03.tfrecords").is_file()
        assert os.listdir(tmp_path / "disk") == ["big"]
    assert run("verify", tmp_path / "set") == 0
    (tmp_path / "later").symlink_to("disk/later")
    assert run("create_from_images", tmp_path / "later", pictures) == 0
    assert (tmp_path / "disk/later/later-r03.tfrecords").is_file()


@pytest.mark.parametrize("name", [".hidden", "a b", "[x]", "-x", "{dataset}", "a.b"])
def test_destinations_of_odd_names(pictures, tmp_path, name):
    destination = f"{tmp_path}/{name}"
    assert run("create_from_images", destination, pictures, "--processes=1") == 0
    assert run("verify", destination) == 0


def test_files_in_the_way(pictures, tmp_path, capsys):
    for command in (["create_from_images", pictures / "0.png" / "x", pictures],
                    ["make_uv_set", pictures / "0.png" / "x"]):  # fmt: skip
        refused(capsys, command, pictures / "0.png", "found a file")
    refused(capsys, ["create_from_images", "", pictures], "an empty name")


# --- what is wrong is found first -----------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["make_uv_set", "out", "--model=nonsense"], ["nonsense: no such face model"]),
        (["make_uv_set", "out", "--model=builtin:huge"], ["'huge'"]),
        (["make_uv_set", "out", "--count=0"], ["--count", "'0'"]),
        (["make_uv_set", "out", "--seed=-1"], ["--seed", "'-1'"]),
        (["make_uv_set", "out", "--resolution=48"], ["--resolution", "48"]),
        (["make_uv_set", "out", "--processes=many"], ["--processes", "'many'"]),
        (["make_uv_set", "file"], ["file: found a file"]),
        (["make_uv_set", "full"], ["full: the folder is not empty"]),
        (["create_from_images", "out", "none"], ["none: no such folder"]),
        (["create_from_images", "full", "none"], ["full: the folder is not empty"]),
        (
            ["create_from_pkl_img_norm", "out", "none/a", "none/b", "none/c"],
            ["none/a: no such folder", "make_uv_set"],
        ),
        (["create_from_pkl", "out", "none"], ["none: no such folder"]),
        (["create_lsun", "out", "none"], ["none: no such LMDB database"]),
        (["create_mnist", "out", "none"], ["none/train-", "no such file"]),
        (["create_from_hdf5", "out", "none.h5"], ["none.h5: no such HDF5 file"]),
        (["create_celeba", "out", "none", "--cx=5"], ["--cx 5"]),
        (["create_mnistrgb", "out", "none", "--num_images=-3"], ["--num_images"]),
        (["extract", "none", "out"], ["none: no such record set", "tf-faces dataset"]),
        (["extract", "full", "out"], ["full: found no *.tfrecords files"]),
        (["compare", "none", "none"], ["none: no such record set"]),
        (["verify", "file"], ["file: found a file, expected a record set"]),
        (["display", "none", "--output=file"], ["file: exists already"]),
        (["display", "none", "--start=-1"], ["--start", "'-1'"]),
    ],
)
def test_wrong_values_create_nothing(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    refused(capsys, arguments, *words)
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]
    assert os.listdir(tmp_path / "full") == ["thesis.txt"]


def test_wrong_values_do_not_wait_for_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "from tf_faces.apps.tbgan import dataset_tool\n"
        "for model in ('nonsense', 'nonsense.mat', 'builtin:huge'):\n"
        "    assert dataset_tool.main(['make_uv_set', 'out', '--model', model]) == 2\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True
    )
    assert os.listdir(tmp_path) == []


def test_a_uv_set_larger_than_the_disk(tmp_path, capsys):
    command = ["make_uv_set", tmp_path / "deep" / "out", "--count=1000000000"]
    refused(capsys, command, "no space left", "nothing was written", status=1)
    assert os.listdir(tmp_path) == []
