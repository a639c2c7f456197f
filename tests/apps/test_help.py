"""docs/help/*.txt are the help texts of the programs, each with its commands.

After a change of a help text: `python -m tests.apps.test_help` writes them anew.
"""

import argparse
import contextlib
import importlib
import io
import os
import pathlib
import sys
from unittest import mock

import pytest

from tf_faces.apps import main

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "help"
PROGRAMS = sorted(main.programs())


def commands(parser: argparse.ArgumentParser) -> list[str]:
    kind = argparse._SubParsersAction
    return [
        name
        for action in parser._actions
        if isinstance(action, kind)
        for name in action.choices
    ]


def printed(arguments: list[str]) -> str:
    """What `tf-faces ARGUMENTS` prints."""
    text = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "88"}),
        contextlib.redirect_stdout(text),
    ):
        assert main.main(arguments) == 0
    line = f"$ tf-faces {' '.join(arguments)}"
    return f"{line}\n\n{text.getvalue().strip()}\n"


def help_text(program: str) -> str:
    """What `PROGRAM --help` prints, then `PROGRAM COMMAND --help` for all of them."""
    module = importlib.import_module(main.programs()[program][0])
    calls = [[program, "--help"]]
    calls += [[program, name, "--help"] for name in commands(module._parser())]
    return "\n\n".join(printed(call) for call in calls)


def texts() -> dict[str, str]:
    """{name of the file: what it holds}."""
    found = {name.replace("-", "_"): help_text(name) for name in PROGRAMS}
    return {"tf_faces": printed(["--help"]), **found}


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="argparse prints it otherwise")
def test_help_is_documented():
    written = {path.stem: path.read_text() for path in FOLDER.glob("*.txt")}
    expected = texts()
    assert set(written) == set(expected)
    for name, text in expected.items():
        assert written[name] == text, (
            f"{name}.txt is out of date; run `python -m tests.apps.test_help`."
        )


@pytest.mark.parametrize("tool", sorted((ROOT / "tools").glob("*.py")))
def test_every_tool_is_a_program(tool):
    """tools/*.py call the programs that `tf-faces` has, under the former names."""
    source = tool.read_text()
    modules = [module for module, _ in main.programs().values()]
    # Systems that do not train yet are not in the list of systems; theirs count too.
    for folder in (ROOT / "tf_faces" / "apps").glob("*/__init__.py"):
        package = f"tf_faces.apps.{folder.parent.name}"
        listed = importlib.import_module(package).PROGRAMS.values()
        modules += [f"{package}.{module}" for module, _ in listed]
    assert any(
        f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}" in source
        for module in modules
    )


if __name__ == "__main__":
    for path in FOLDER.glob("*.txt"):
        path.unlink()
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / f"{name}.txt").write_text(text)
