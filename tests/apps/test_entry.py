"""One sentence and an exit status for everything that goes wrong."""

import errno
import os
import sys

import pytest

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core.errors import InputError, Terminated, TfFacesError


def raising(error):
    def program(arguments):
        raise error

    return program


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (InputError("a.png: found 3 channels, expected 1."), 2, "a.png: found 3"),
        (TfFacesError("the loss\n  diverged."), 1, "the loss diverged."),
        (Terminated("Stopped by SIGTERM."), 143, "Stopped by SIGTERM."),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x/y"), 1, "x/y: no space"),
        (FileExistsError(17, "File exists", "z"), 2, "z: is there already"),
        (NotADirectoryError(20, "Not a directory", "z/a"), 2, "z/a: found a file in"),
        (IsADirectoryError(21, "Is a directory", "z"), 2, "z: found a folder"),
        (
            PermissionError(errno.EACCES, "Permission denied", "z"),
            2,
            "z: found no perm",
        ),
        (OSError(errno.EROFS, "Read-only", "z"), 2, "z: found a disk that is read"),
        (OSError(errno.ELOOP, "Too many", "z"), 2, "z: found a link that leads to i"),
        (FileNotFoundError(errno.ENOENT, "No such", "z"), 2, "z: no such file"),
        (OSError(errno.EIO, "Input/output error", "z"), 1, "z: Input/output error"),
        (
            OSError(errno.ENAMETOOLONG, "too long", "z"),
            2,
            "z: found a name",
        ),
        (MemoryError(), 1, "Out of memory."),
        (ZeroDivisionError("division by zero"), 1, "Unexpected ZeroDivisionError"),
        (SystemExit("told so"), 1, "told so"),
    ],
)
def test_errors(capsys, error, status, sentence):
    assert entry.run(raising(error), []) == status
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.startswith(f"Error: {sentence}")
    assert seen.err.count("\n") == 1
    assert "Traceback" not in seen.err


def test_traceback_on_request(capsys, monkeypatch):
    monkeypatch.setenv("TF_FACES_TRACEBACK", "1")
    assert entry.run(raising(InputError("wrong.")), []) == 2
    assert "Traceback" in capsys.readouterr().err


def test_success_and_arguments(monkeypatch):
    seen = []
    assert entry.run(lambda arguments: seen.append(arguments), ["a"]) == 0
    assert entry.run(lambda arguments: 3, []) == 3
    monkeypatch.setattr(sys, "argv", ["tool", "b", "c"])
    entry.run(lambda arguments: seen.append(arguments))
    assert seen == [["a"], ["b", "c"]]


def test_a_reader_that_has_gone_is_no_news(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert entry.run(raising(BrokenPipeError()), []) == 1
    assert capsys.readouterr().err == ""


def test_parser_mistakes_are_sentences(capsys):
    def program(arguments):
        parser = options_of.ArgumentParser(prog="tool")
        parser.add_argument("--count", type=int)
        parser.parse_args(arguments)

    assert entry.run(program, ["--count", "many"]) == 2
    assert "--count" in capsys.readouterr().err
    assert entry.run(program, ["--help"]) == 0
