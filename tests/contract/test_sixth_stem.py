"""A system more costs its own files and one line, nothing else.

A copy of the package gets the files of `sixth_stem/` and the line in `core/stems.py`;
then the contract's own tests run over the newcomer.
"""

import pathlib
import shutil
import subprocess
import sys

import pytest

from tests import tiny_training

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEWCOMER = pathlib.Path(__file__).parent / "sixth_stem"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the package and of the tests that a newcomer must pass."""
    root = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "sixth_stem", "*sixth*")
    shutil.copytree(ROOT / "tf_faces", root / "tf_faces", ignore=ignored)
    before = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    shutil.copytree(NEWCOMER, root, dirs_exist_ok=True, ignore=ignored)
    added = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    assert added - before and all("toy" in str(path) for path in added - before)
    path = root / "tf_faces" / "core" / "stems.py"
    lines = path.read_text().splitlines()
    lines.insert(lines.index("STEMS = (") + 1, '    "toy",')
    path.write_text("\n".join(lines) + "\n")
    for name in ("contract", "__init__.py", "tiny_training.py"):
        source, target = ROOT / "tests" / name, root / "tests" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    return root


def run(house, *arguments) -> str:
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=house,
        env=tiny_training.environment(PYTHONPATH=str(house)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-2000:]
    return finished.stdout


def test_the_newcomer_shows_itself(house):
    text = run(house, "-m", "tf_faces", "train", "--help")
    assert "presets of toy:\n  line, smoke\nmodifiers of toy:\n  steep" in text
    assert "--model {toy," in text
    assert "systems that train: toy, " in run(house, "-m", "tf_faces", "--help")


def test_the_newcomer_keeps_the_contract(house):
    text = run(house, "-m", "pytest", "-q", "tests/contract", "-k", "toy", "-rA")
    for name in ("toy-line", "toy-smoke", "toy-line+steep", "LineConfig"):
        assert f"{name}] " in text or f"{name}]\n" in text, text
    assert "PASSED tests/contract/test_training.py" in text
    assert "skipped" not in text.splitlines()[-1]
