"""The program tools/photographs.py."""

import pytest

from tf_faces.apps import photographs
from tf_faces.core import pictures

_TINY = ["--model", "builtin:tiny", "--size", "32"]


@pytest.fixture(autouse=True)
def _no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_FACES_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_make_and_verify(tmp_path, capsys):
    folder = str(tmp_path / "set")
    made = ["make", folder, "--count", "2", "--processes", "1", *_TINY]
    assert photographs.main([*made, "--maps=false"]) == 0
    assert "2 photographs written, 2 in all" in capsys.readouterr().out
    assert photographs.main([*made, "--maps=false"]) == 0
    assert "0 photographs written, 2 in all" in capsys.readouterr().out
    assert photographs.main(["verify", folder]) == 0
    assert "2 photographs, all as they should be" in capsys.readouterr().out
    (tmp_path / "set/photographs/photograph_00000001.jpg").write_bytes(b"")
    assert photographs.main(["verify", folder]) == 2
    assert "photograph_00000001.jpg" in capsys.readouterr().err


def test_inspect_with_truth(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    chosen = ["inspect", str(sheet), "--count", "2", "--truth", *_TINY]
    assert photographs.main(chosen) == 0
    assert pictures.read(sheet).shape == (64, 128, 3)
    capsys.readouterr()
    assert photographs.main(chosen) == 2
    assert "sheet.png: exists already" in capsys.readouterr().err
    sheet.write_bytes(b"mine")
    assert photographs.main([*chosen, "--overwrite"]) == 0
    assert pictures.read(sheet).shape == (64, 128, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make", "set", "--size", "8"], "size must lie in 16..4096. Received: 8."),
        (["make", "set", "--hair", "2"], "hair must lie in 0..1"),
        (["make", "set", "--form", "zip"], "folder, records, beam"),
        (["make", "set", "--fields=pose"], "--fields: found with --form folder, exp"),
        (["make", "set", "--shards=2"], "expected --form records or beam"),
        (["make", "set", "--form=records", "--maps=false"], "--maps: found with"),
        (["make", "set", "--form=beam", "--processes=1"], "--processes: found with"),
        (["make", "set", "--form=records", "--chart=8"], "expected position_map among"),
        (["make", "set", "--form=records", "--fields=,"], "--fields: found ','"),
        (["make", "set", "--gaze=1_0"], "--gaze: found '1_0', expected a finite"),
        (["verify", "nowhere"], "nowhere/set.json"),
        (["make", "set", "--model", "nobody"], "nobody"),
        (["fit", "nowhere", "labels.npz", "set"], "nowhere"),
    ],
)
def test_mistakes_end_as_one_sentence(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert photographs.main(arguments) == 2
    error = capsys.readouterr().err
    assert message.rstrip(".") in error and error.count("\n") == 1
    assert not (tmp_path / "set").exists()
