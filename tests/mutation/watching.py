"""Which statements every test runs, and how long it takes.

The statements of a copy of the package are marked: each one enters its number into a
set before it runs.  That costs nothing where other packages work, reaches functions
that TensorFlow traces, and child processes, which write their numbers to a file.
"""

import ast
import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Iterable, Mapping

import pytest

MARKS_MODULE = "statement_marks.py"
_MARKS_SOURCE = '''\
"""Numbers of the statements that were run."""

import atexit
import os

seen = set()
_process = os.getpid()


def _write():
    path = os.environ.get("STATEMENT_MARKS_FILE")
    if path and os.getpid() != int(os.environ["STATEMENT_MARKS_PARENT"]):
        with open(path, "a") as stream:
            stream.write("".join(f"{number}\\n" for number in sorted(seen)))


atexit.register(_write)
'''
# Programs that run by themselves cannot import the package.
_TAKE_MARKS = """\
try:
    from tf_faces import statement_marks as _statement_marks
except ImportError:
    import importlib.util as _import_util
    _specification = _import_util.spec_from_file_location("statement_marks", {!r})
    _statement_marks = _import_util.module_from_spec(_specification)
    _specification.loader.exec_module(_statement_marks)
"""


@dataclasses.dataclass
class TestRecord:
    """One fast test that passes.

    Attributes:
      test: its pytest name.
      seconds: of the processor, child processes included, shared fixtures left out.
      statements: {file: numbers of the lines where statements begin}.
    """

    __test__ = False  # Not a test itself.

    test: str
    seconds: float
    statements: dict[str, set[int]]

    @property
    def file(self) -> str:
        """The test's file."""
        return self.test.partition("::")[0]


def save(records: Iterable[TestRecord], path: pathlib.Path) -> None:
    """Writes records as JSON lines."""
    with open(path, "w", encoding="utf-8") as stream:
        for record in records:
            value = dataclasses.asdict(record)
            value["statements"] = {
                name: sorted(lines) for name, lines in record.statements.items()
            }
            stream.write(json.dumps(value) + "\n")


def load(path: pathlib.Path) -> list[TestRecord]:
    """Reads what `save` wrote."""
    records = []
    for line in path.read_text("utf-8").splitlines():
        value = json.loads(line)
        value["statements"] = {
            name: set(lines) for name, lines in value["statements"].items()
        }
        records.append(TestRecord(**value))
    return records


# --- marks -------------------------------------------------------------------------


def mark(root: pathlib.Path, paths: Iterable[str]) -> dict[int, tuple[str, int]]:
    """Marks all statements of files in a copy of the tree.

    Returns:
      {number: (file, line)}.
    """
    numbers: dict[int, tuple[str, int]] = {}
    take_marks = _TAKE_MARKS.format(str(root / "tf_faces" / MARKS_MODULE))
    for path in paths:
        tree = ast.parse((root / path).read_bytes())
        _Marker(path, numbers).visit(tree)
        place = _first_free_place(tree)
        tree.body[place:place] = ast.parse(take_marks).body
        ast.fix_missing_locations(tree)
        (root / path).write_text(ast.unparse(tree), encoding="utf-8")
    (root / "tf_faces" / MARKS_MODULE).write_text(_MARKS_SOURCE, encoding="utf-8")
    return numbers


def _first_free_place(tree: ast.Module) -> int:
    """Behind the documentation and imports from __future__."""
    place = 0
    for index, node in enumerate(tree.body):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not (is_text or is_future):
            break
        place = index + 1
    return place


class _Marker(ast.NodeVisitor):
    def __init__(self, path: str, numbers: dict[int, tuple[str, int]]):
        self.path = path
        self.numbers = numbers

    def _marked(self, body: list[ast.stmt]) -> list[ast.stmt]:
        marked: list[ast.stmt] = []
        for index, statement in enumerate(body):
            is_text = (
                index == 0
                and isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
            )
            if not is_text:
                number = len(self.numbers)
                self.numbers[number] = (self.path, statement.lineno)
                marked += ast.parse(f"_statement_marks.seen.add({number})").body
            marked.append(statement)
        return marked

    def _inside(self, node) -> None:
        self.generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if body:
                setattr(node, name, self._marked(body))

    visit_FunctionDef = visit_AsyncFunctionDef = _inside
    visit_For = visit_While = visit_If = visit_With = visit_ExceptHandler = _inside
    visit_Try = visit_match_case = _inside


# --- the plugin --------------------------------------------------------------------


class Watcher:
    """A pytest plugin that notes what every test runs.

    What a shared fixture runs belongs to every test that uses it.
    """

    def __init__(
        self, numbers: Mapping[int, tuple[str, int]], child_marks: pathlib.Path
    ):
        self.records: list[TestRecord] = []
        self.failed: list[str] = []
        self._numbers = numbers
        self._child_marks = child_marks
        self._of_fixtures: dict[int, set[int]] = {}
        self._fixture_seconds = 0.0
        self._outcomes: set[str] = set()
        os.environ["STATEMENT_MARKS_FILE"] = str(child_marks)
        os.environ["STATEMENT_MARKS_PARENT"] = str(os.getpid())

    def _seen(self) -> set[int]:
        from tf_faces import statement_marks

        return statement_marks.seen

    def _take(self) -> set[int]:
        """Returns what was run since the last look, in children too."""
        seen = self._seen()
        taken = set(seen)
        seen.clear()
        if self._child_marks.exists():
            taken |= set(map(int, self._child_marks.read_text().split()))
            self._child_marks.unlink()
        return taken

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function":
            yield
            return
        before, began = self._take(), _processor_seconds()
        yield
        self._of_fixtures[id(fixturedef)] = self._take()
        self._fixture_seconds += _processor_seconds() - began
        self._seen().update(before)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        self._take()
        self._outcomes = set()
        self._fixture_seconds = 0.0
        began = _processor_seconds()
        yield
        seconds = _processor_seconds() - began - self._fixture_seconds
        numbers = self._take()
        for definitions in item._fixtureinfo.name2fixturedefs.values():
            for definition in definitions:
                numbers |= self._of_fixtures.get(id(definition), set())
        if "failed" in self._outcomes:
            self.failed.append(item.nodeid)
        elif "skipped" not in self._outcomes:
            statements: dict[str, set[int]] = {}
            for number in numbers:
                path, line = self._numbers[number]
                statements.setdefault(path, set()).add(line)
            self.records.append(TestRecord(item.nodeid, seconds, statements))

    def pytest_runtest_logreport(self, report):
        self._outcomes.add(report.outcome)


def _processor_seconds() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system
