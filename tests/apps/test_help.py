"""docs/help/*.txt are the help texts of the programs, each with its commands.

After a change of a help text: `python -m tests.apps.test_help` writes them anew.
"""

import argparse
import contextlib
import importlib
import inspect
import io
import os
import pathlib
import sys
from unittest import mock

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "help"
PROGRAMS = sorted(path.stem for path in (ROOT / "tools").glob("*.py"))


def commands(parser: argparse.ArgumentParser) -> list[str]:
    kind = argparse._SubParsersAction
    return [
        name
        for action in parser._actions
        if isinstance(action, kind)
        for name in action.choices
    ]


def application(program: str):
    """The module of `tf_faces.apps` that a tool calls."""
    if program == "train":
        return importlib.import_module("tf_faces.apps.train")
    tool = importlib.import_module(f"tools.{program}")
    (found,) = (value for value in vars(tool).values() if inspect.ismodule(value))
    return found


def help_text(program: str) -> str:
    """What `PROGRAM --help` prints, then `PROGRAM COMMAND --help` for all of them."""
    app = application(program)
    calls: list[list[str]] = [["--help"]]
    if hasattr(app, "_parser"):
        calls += [[name, "--help"] for name in commands(app._parser())]
    texts = []
    for call in calls:
        printed = io.StringIO()
        with (
            mock.patch.object(sys, "argv", [f"{program}.py"]),
            mock.patch.dict(os.environ, {"COLUMNS": "88"}),
            contextlib.redirect_stdout(printed),
            contextlib.suppress(SystemExit),
        ):
            assert not app.main(call)
        line = f"$ {program}.py {' '.join(call)}"
        texts.append(f"{line}\n\n{printed.getvalue().strip()}\n")
    return "\n\n".join(texts)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse prints it otherwise")
@pytest.mark.parametrize("program", [*PROGRAMS, "train"])
def test_help_is_documented(program):
    path = FOLDER / f"{program}.txt"
    assert path.is_file(), f"{path}: run `python -m tests.apps.test_help`."
    assert path.read_text() == help_text(program), (
        f"{path} is out of date; run `python -m tests.apps.test_help`."
    )


def test_no_text_without_a_program():
    assert {path.stem for path in FOLDER.glob("*")} == {*PROGRAMS, "train"}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in [*PROGRAMS, "train"]:
        (FOLDER / f"{name}.txt").write_text(help_text(name))
