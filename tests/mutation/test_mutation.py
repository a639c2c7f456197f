"""The tool itself: the mistakes it makes, the tests it chooses, what it writes down."""

import ast
import json
import subprocess
import sys
import textwrap

import pytest

from tests import tiny_training
from tests.mutation import (
    choosing,
    kernel_sites,
    known_mistakes,
    python_sites,
    results,
    watching,
)
from tests.mutation.rooms import ROOMS, Room
from tests.mutation.watching import TestRecord

SAMPLE = textwrap.dedent(
    '''
    """Text with 1 < 2."""
    import numpy as np

    ALLOWED = ("a", "b")

    @decorated(5)
    def work(values: "int < 3", shift=2, *, scale=-1.5):
        """Returns 7."""
        if values[0] not in ALLOWED and not shift:
            raise ValueError(f"found {values[0] + 1}")
        assert shift > 0
        print(shift - 1)
        low = np.clip(values, 0, shift)
        handle.flush()
        self.state = low.T
        total = np.sum(low, axis=1) + min(low, high)
        with lock:
            total -= values * scale
        return {"total": total, "low": low}
    '''
).encode()


def texts(find, source, name):
    found = find(name, source)
    return [
        (m.kind, *(part.strip() for part in m.lines(source)), m.applied(source))
        for m in found
    ]


def test_mistakes_in_python():
    found = texts(python_sites.find, SAMPLE, "a.py")
    changes = {(kind, after) for kind, _, after, _ in found}
    expected = {
        ("widened list", "if False and not shift:"),
        ("condition", "if values[0] not in ALLOWED or not shift:"),
        ("condition", "if values[0] not in ALLOWED and shift:"),
        ("constant", "if values[1] not in ALLOWED and not shift:"),
        ("dropped error", "pass"),
        ("forgotten call", "low = (values)"),
        ("swapped arguments", "low = np.clip(0, values, shift)"),
        ("dropped statement", "pass"),
        ("axes", "self.state = low"),
        ("dropped assignment", "pass"),
        ("other function", "total = np.mean(low, axis=1) + min(low, high)"),
        ("other function", "total = np.sum(low, axis=1) + max(low, high)"),
        ("forgotten call", "total = np.sum(low, axis=1) + (low)"),
        ("operator", "total = np.sum(low, axis=1) - min(low, high)"),
        ("constant", "total = np.sum(low, axis=2) + min(low, high)"),
        ("dropped keyword", "total = np.sum(low, ) + min(low, high)"),
        ("dropped context", "if True:"),
        ("operator", "total += values * scale"),
        ("operator", "total -= values / scale"),
        ("dropped entry", 'return {"low": low}'),
        ("dropped entry", 'return {"total": total}'),
        ("sign", 'def work(values: "int < 3", shift=2, *, scale=1.5):'),
        ("constant", 'def work(values: "int < 3", shift=3, *, scale=-1.5):'),
    }
    assert expected <= changes
    for _, before, after, whole in found:
        ast.parse(whole)
        assert before != after
        # Messages, documentation, annotations and decorators stay.
        for kept in (b"Returns 7", b"1 < 2", b"decorated(5)", b"int < 3"):
            assert kept in whole
        assert b"print(shift - 1)" in whole and b"assert shift > 0" in whole
        if b"raise" in whole:
            assert b"values[0] + 1" in whole


def test_mistakes_in_kernels():
    source = textwrap.dedent(
        """
        #include <vector>
        // if (a < b) c = 1;
        void work(const float* in, int n) {
          for (int i = 0; i < n; ++i) {
            if (in[i] >= 2.5f && !done) continue;
            total += std::min(in[i], limit) * 3;
          }
          Fail("a + b");
        }
        """
    ).encode()
    found = texts(kernel_sites.find, source, "a.cc")
    changes = {(kind, after) for kind, _, after, _ in found}
    assert {
        ("comparison", "for (int i = 0; i <= n; ++i) {"),
        ("constant", "for (int i = 1; i < n; ++i) {"),
        ("comparison", "if (in[i] > 2.5f && !done) continue;"),
        ("operator", "if (in[i] >= 2.5f || !done) continue;"),
        ("constant", "if (in[i] >= 3.5f && !done) continue;"),
        ("other function", "total += std::max(in[i], limit) * 3;"),
        ("operator", "total -= std::min(in[i], limit) * 3;"),
        ("operator", "total += std::min(in[i], limit) / 3;"),
        ("dropped statement", ";"),
    } <= changes
    for *_, whole in found:
        assert (
            b"// if (a < b) c = 1;" in whole
            and b'"a + b"' in whole
            or b"\n  ;" in whole
        )


def test_a_mistake_keeps_its_name_when_the_file_changes_elsewhere():
    first = python_sites.find("a.py", SAMPLE)
    changed = SAMPLE.replace(
        b"import numpy as np", b"import math\nimport numpy as np\n"
    )
    second = python_sites.find("a.py", changed)
    assert [m.key(SAMPLE) for m in first] == [m.key(changed) for m in second]
    keys = [m.key(SAMPLE) for m in first]
    assert len(set(keys)) == len(keys)


@pytest.fixture
def tree(tmp_path):
    """A package of two modules and their tests."""
    root = tmp_path / "checkout"
    for folder in ("tf_faces/toy", "tests/toy"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").touch()
        (root / folder).parent.joinpath("__init__.py").touch()
    (root / "tf_faces/toy/sums.py").write_text(
        "def double(x):\n    y = x * 2\n    return y\n\n\n"
        "def half(x):\n    return x / 2\n"
    )
    (root / "tf_faces/toy/limits.py").write_text(
        "def limit(x):\n    return max(x, 0)\n"
    )
    (root / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\npythonpath = ["."]\nmarkers = ["slow: slow"]\n'
    )
    (root / "tests/toy/test_sums.py").write_text(
        "import pytest\nfrom tf_faces.toy import sums\n\n"
        "def test_double():\n    assert sums.double(3) == 6\n\n"
        "@pytest.mark.slow\ndef test_half():\n    assert sums.half(3) == 1.5\n\n"
        "def test_broken():\n    assert False\n"
    )
    (root / "tests/toy/test_limits.py").write_text(
        "from tf_faces.toy import limits\n\n"
        "def test_limit():\n    assert limits.limit(-2) == 0\n"
    )
    return root


def test_the_choice_is_the_same_every_time_and_spreads_over_files(tree):
    room = Room(("toy/*.py",), ("toy",))
    few = choosing.choose(room, tree, 4, seed=3)
    many = choosing.choose(room, tree, 6, seed=3)
    assert many[:4] == few
    assert choosing.choose(room, tree, 4, seed=4) != few
    everything = choosing.choose(room, tree, 10**6, seed=3)
    assert len(everything) == len(set(everything)) > 6
    assert {m.path for m in everything} == {
        "tf_faces/toy/limits.py",
        "tf_faces/toy/sums.py",
    }
    only = choosing.choose(room, tree, 10**6, seed=3, only="sums")
    assert {m.path for m in only} == {"tf_faces/toy/sums.py"}


def test_tests_that_run_the_line_come_first_and_the_budget_holds():
    source = (
        b"def one():\n    return 1\n\n\ndef two():\n    return (2 +\n            3)\n"
    )
    mutation = next(m for m in python_sites.find("a.py", source) if m.line == 7)

    def record(name, seconds, *lines):
        return TestRecord(name, seconds, {"a.py": set(lines)} if lines else {})

    records = [
        record("elsewhere", 0.1),
        record("file", 0.1, 2),
        record("slow line", 9.0, 6),
        record("line", 3.0, 6),
    ]

    def chosen(budget):
        return [r.test for r in choosing.tests_for(mutation, source, records, budget)]

    assert chosen(100) == ["line", "slow line", "file"]
    assert chosen(4) == ["line", "file"]
    # One test is always run, and strangers where nobody enters the file.
    assert chosen(0) == ["line"]
    records = records[:1]
    assert chosen(4) == ["elsewhere"]


def test_marked_files_that_run_by_themselves_tell_their_lines(tree, tmp_path):
    numbers = watching.mark(tree, ["tf_faces/toy/sums.py"])
    path = tree / "tf_faces/toy/sums.py"
    path.write_text(path.read_text() + "\nprint(double(4))\n")
    marks = tmp_path / "marks.txt"
    process = subprocess.run(
        [sys.executable, "-I", "-S", str(path)],
        env={"STATEMENT_MARKS_FILE": str(marks), "STATEMENT_MARKS_PARENT": "0"},
        capture_output=True,
        text=True,
    )
    assert (process.stdout, process.stderr) == ("8\n", "")
    seen = {numbers[int(number)] for number in marks.read_text().split()}
    assert seen == {("tf_faces/toy/sums.py", line) for line in (2, 3)}


def test_files_of_tests_are_run_again_when_they_change(tree, tmp_path):
    def known():
        process = subprocess.run(
            [sys.executable, "-c", PLACE, str(tree), str(tmp_path / "work")],
            cwd=tiny_training.ROOT,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
        *_, last = process.stdout.splitlines()
        return json.loads(last), "failing without any mistake" in process.stdout

    limits, double = "tests/toy/test_limits.py::test_limit", "test_sums.py::test_double"
    assert known() == ([limits, f"tests/toy/{double}"], True)
    path = tree / "tests/toy/test_limits.py"
    path.write_text(path.read_text().replace("test_limit", "test_other_limit"))
    found, said = known()
    assert sorted(found) == [
        "tests/toy/test_limits.py::test_other_limit",
        f"tests/toy/{double}",
    ]
    assert not said
    path.unlink()
    assert known() == ([f"tests/toy/{double}"], False)


def test_records_of_tests_on_disk(tmp_path):
    records = [TestRecord("tests/a.py::b[c]", 1.5, {"x.py": {3, 1}})]
    watching.save(records, tmp_path / "tests.jsonl")
    found = watching.load(tmp_path / "tests.jsonl")
    assert found == records and found[0].file == "tests/a.py"


def test_the_table_counts_and_never_rounds_up():
    def record(number, status, how="failed"):
        return {
            "key": str(number), "room": "toy", "path": "a.py", "line": number,
            "kind": "sign", "difference": "-a\n+b", "status": status, "how": how,
            "tests": 3,
        }  # fmt: skip

    records = [record(n, "noticed") for n in range(18)]
    records += [record(18, "noticed", "time"), record(19, "survived", "passed")]
    records += [record(20, "survived", "passed")]
    lines = results.table(records, {"19": "rounding"})
    assert lines[2] == "| toy | 21 | 19 | 1 | 2 | 1 | 95.0% |"
    assert "  unobservable: rounding" in lines
    lines = results.table(records, {})
    assert lines[3] == "| all | 21 | 19 | 1 | 2 | 0 | 90.4% |"


def test_the_last_record_of_a_mistake_counts(tmp_path):
    path = tmp_path / "deep" / "results.jsonl"
    assert results.latest(path) == {}
    for status in ("survived", "noticed"):
        results.append(path, {"key": "a", "status": status})
    assert results.latest(path) == {"a": {"key": "a", "status": "noticed"}}


def test_known_mistakes_can_still_be_made():
    rooms = {mistake.room for mistake in known_mistakes.MISTAKES}
    found = [
        mutation
        for room in rooms
        for mutation in known_mistakes.mutations(room, tiny_training.ROOT)
    ]
    assert len(found) == len(known_mistakes.MISTAKES)
    for mutation in found:
        source = (tiny_training.ROOT / mutation.path).read_bytes()
        ast.parse(mutation.applied(source))


def test_every_room_has_files_and_tests():
    for room in ROOMS.values():
        assert room.files(tiny_training.ROOT)
        for name in room.tests:
            assert (tiny_training.ROOT / "tests" / name).exists(), name


def test_reasons_belong_to_mistakes_that_can_be_made():
    known = results.reasons()
    assert all(known.values())
    if results.UNOBSERVABLE.exists():
        lines = results.UNOBSERVABLE.read_text("utf-8").splitlines()
        assert len(known) == len(lines)
        assert all(set(json.loads(line)) == {"key", "reason"} for line in lines)


PLACE = """
import json, pathlib, sys
from tests.mutation.rooms import Room
from tests.mutation.workplace import Workplace

tree, folder = map(pathlib.Path, sys.argv[1:])
place = Workplace(tree, Room(("toy/*.py",), ("toy",)), folder, 30.0)
print(json.dumps([record.test for record in place.records]))
"""

PROGRAM = """
import json, pathlib, sys
from tests.mutation import python_sites
from tests.mutation.rooms import Room
from tests.mutation.workplace import Workplace

tree, folder = map(pathlib.Path, sys.argv[1:])
place = Workplace(tree, Room(("toy/*.py",), ("toy",)), folder, 30.0)
found = {"tests": [[r.test, r.statements] for r in place.records]}
for name in ("limits", "sums"):
    path = f"tf_faces/toy/{name}.py"
    for mutation in python_sites.find(path, (tree / path).read_bytes()):
        outcome, _ = place.attempt(mutation)
        found[f"{mutation.line} {mutation.kind}"] = [outcome.status, outcome.test]
print(json.dumps(found, default=sorted))
"""


def test_mistakes_are_made_in_a_copy_and_noticed_by_fast_tests(tree, tmp_path):
    before = {path: path.read_bytes() for path in tree.rglob("*.py")}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tree), str(tmp_path / "work")],
        cwd=tiny_training.ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert "failing without any mistake:\ntests/toy/test_sums.py::test_broken" in (
        process.stdout
    )
    found = json.loads(process.stdout.splitlines()[-1])
    assert found.pop("tests") == [
        ["tests/toy/test_limits.py::test_limit", {"tf_faces/toy/limits.py": [2]}],
        ["tests/toy/test_sums.py::test_double", {"tf_faces/toy/sums.py": [2, 3]}],
    ]
    limit, double = "tests/toy/test_limits.py::test_limit", "test_sums.py::test_double"
    assert found["2 other function"] == ["failed", limit]
    assert found["2 forgotten call"] == ["failed", limit]
    # Found in both files, the second time in sums.py.
    assert found["2 operator"] == ["failed", f"tests/toy/{double}"]
    assert found["2 constant"] == ["failed", f"tests/toy/{double}"]
    # Only a slow test looks at it.
    assert found["7 operator"] == ["passed", ""]
    assert {path: path.read_bytes() for path in tree.rglob("*.py")} == before
    assert not list(tree.rglob("__pycache__"))
