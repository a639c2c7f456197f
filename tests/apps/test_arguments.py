"""The command-line language of all programs."""

import argparse

import pytest

from tf_faces.apps import arguments
from tf_faces.core.errors import InputError


def parser():
    made = arguments.ArgumentParser(prog="tool")
    made.add_argument("--data_dir")
    made.add_argument("-size", "--size", type=arguments.count, default=3)
    made.add_argument("--form", choices=("ply", "glb"))
    arguments.add_switch(made, "xla", "compile")
    return made


@pytest.mark.parametrize(
    "words",
    [
        ["--data_dir=a-b", "--size=4"],
        ["--data-dir=a-b", "-size", "4"],
        ["--data-dir", "a-b", "--size", "4"],
    ],
)
def test_hyphens_and_former_spellings_are_taken(words):
    found = parser().parse_args(words)
    assert (found.data_dir, found.size) == ("a-b", 4)


def test_files_of_options_that_are_none(tmp_path):
    for name, sentence in (
        ("absent", "absent: No such file"),
        ("folder", "folder: Is a directory"),
        ("wide", "no text in UTF-8"),
    ):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "wide").write_text("--size=9", "utf-16")
        with pytest.raises(InputError, match=f"--flagfile.*{sentence}"):
            parser().parse_args([f"--flagfile={tmp_path / name}"])
    with pytest.raises(InputError, match="--flagfile: found no name, expected a file"):
        parser().parse_args(["--flagfile"])


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (arguments.count, "1000000000000", "expected at most 1000000000"),
        (arguments.count, "1e3", "expected a whole number"),
        (arguments.count, "1_000", "expected a whole number"),
        (arguments.finite, "1_0", "expected a finite number"),
        (arguments.names, " ,", "expected names separated by commas"),
        (arguments.side, "0", "expected 1 to 16384"),
        (arguments.side, "1000000000000", "expected 1 to 16384"),
    ],
)
def test_sizes_that_no_machine_holds(kind, text, sentence):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}', {sentence}"):
        kind(text)


def test_options_from_a_file(tmp_path):
    path = tmp_path / "options.txt"
    path.write_text("# mine\n--data_dir=faces\n--size=9\n")
    found = parser().parse_args([f"--flagfile={path}", "--form=ply"])
    assert (found.data_dir, found.size, found.form) == ("faces", 9, "ply")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([], None),
        (["--xla"], True),
        (["--xla=false"], False),
        (["--noxla"], False),
        (["--xla", "--data_dir", "x"], True),
    ],
)
def test_switches_know_whether_they_were_given(words, value):
    assert parser().parse_args(words).xla is value


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--data_dri", "x"],
            r"Unknown option --data_dri \(did you mean --data_dir\?\)",
        ),
        (["--data-dri=x"], r"did you mean --data_dir\?"),
        (["--colour"], r"Unknown option --colour; see tool --help\."),
        (["--form", "plg"], r"expected one of ply, glb \(did you mean ply\?\)"),
        (["stray"], "Found the argument 'stray'"),
        (["--size", "0"], "--size: found '0', expected at least 1"),
        (["--size", "many"], "--size: found 'many', expected a whole number"),
        (["--xla=perhaps"], "found 'perhaps', expected true or false"),
        (["--data_dir"], "--data_dir: expected one argument"),
        (["--help=1"], "--help: found .1., expected no value"),
    ],
)
def test_mistakes_are_sentences(words, sentence):
    with pytest.raises(InputError, match=sentence):
        parser().parse_args(words)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--outptu=x"], r"Unknown option --outptu \(did you mean --output\?\)"),
        (["face", "--out-put", "x"], r"--out-put \(did you mean --output\?\)"),
        (["face", "--colour"], "The following arguments are required: --output"),
        (["--out", "x"], "The following arguments are required: INPUT"),
        (["--output", "x"], "The following arguments are required: INPUT"),
    ],
)
def test_a_misspelt_option_goes_before_the_missing_one(words, sentence):
    made = arguments.ArgumentParser(prog="tool")
    made.add_argument("input", metavar="INPUT")
    made.add_argument("--output", required=True)
    with pytest.raises(InputError, match=sentence):
        made.parse_args(words)


def test_subcommands_are_guarded_too():
    made = arguments.ArgumentParser(prog="tool")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("render").add_argument("--picture_size", type=int)
    assert made.parse_args(["render", "--picture-size=8"]).picture_size == 8
    with pytest.raises(InputError, match=r"did you mean render\?"):
        made.parse_args(["rendr"])
    with pytest.raises(InputError, match=r"did you mean --picture_size\?.*tool render"):
        made.parse_args(["render", "--picture_sise=8"])
    with pytest.raises(InputError, match="COMMAND"):
        made.parse_args([])


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (arguments.finite, {"-1.5": -1.5, "1e3": 1000.0}, ["nan", "inf", "x"]),
        (arguments.not_negative, {"0": 0.0}, ["-0.1", "nan"]),
        (arguments.share, {"0": 0.0, "1": 1.0, "0.5": 0.5}, ["-0.1", "1.1", "nan"]),
        (arguments.part, {"0.5": 0.5}, ["0", "1", "nan", "two"]),
        (arguments.whole, {"-3": -3}, ["1.5", "x", ""]),
        (arguments.count, {"1": 1}, ["0", "-1", "x"]),
        (arguments.index, {"0": 0}, ["-1", "x"]),
        (arguments.seed, {"4294967295": 2**32 - 1}, ["-1", "x", "4294967296"]),
        (arguments.boolean, {"Yes": True, "0": False}, ["", "2"]),
    ],
)
def test_types(kind, good, bad):
    for text, value in good.items():
        assert kind(text) == value
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            kind(text)


def test_names():
    assert arguments.names("obj, ply,,glb") == ["obj", "ply", "glb"]
