"""Paths, links and names that the documents mention exist; texts kept twice agree."""

import importlib
import re

import pytest

from tests.docs import pages
from tf_faces.core import stems
from tf_faces.morphable import open_models

ROOT = pages.ROOT
DOCUMENTS = [name for name in pages.documents() if name.endswith(".md")]
# Folders of the repository: what begins with one of them is a path in it.
FOLDERS = ("tf_faces", "tests", "docs", "configs", "tools", "benchmarks")
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_NAME = re.compile(r"`(tf_faces(?:\.\w+)+)`")


def paths(text: str):
    """Paths of the repository in inline code, with <stem> and NAME as they are."""
    for code in _CODE.findall(text):
        if re.fullmatch(rf"({'|'.join(FOLDERS)})(/[\w.<>/-]+)?", code):
            yield code
        elif code in ("train.py", "setup.py", "conftest.py", "pyproject.toml"):
            yield code


def exists(path: str) -> bool:
    """Whether a path is there, for at least one system, and around a new NAME."""
    if "<stem>" in path:
        stemmed = [path.replace("<stem>", stem) for stem in stems.STEMS]
        return any(exists(one) or exists(one.removesuffix(".py")) for one in stemmed)
    if "NAME" in path:
        return exists(path[: path.index("NAME")].rstrip("/"))
    place = ROOT / path
    return place.exists() or place.with_suffix(".py").is_file()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_exist(name):
    text = (ROOT / name).read_text()
    missing = sorted({path for path in paths(text) if not exists(path)})
    assert not missing


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found = [link for link in _LINK.findall(text) if not link.startswith("http")]
    missing = [link for link in found if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", DOCUMENTS)
def test_names_exist(name):
    for dotted in set(_NAME.findall((ROOT / name).read_text())):
        try:
            importlib.import_module(dotted)
        except ModuleNotFoundError:
            module, _, attribute = dotted.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), dotted


def test_names_of_the_table_of_model_files_exist():
    text = (ROOT / "docs/systems/morphable.md").read_text()
    found = set(re.findall(r"`(formats(?:\.\w+)+)\.(\w+)`", text))
    assert len(found) > 10
    for module, function in found:
        loaded = importlib.import_module(f"tf_faces.morphable.{module}")
        assert callable(getattr(loaded, function)), f"{module}.{function}"


def test_every_picture_is_shown():
    shown = "".join((ROOT / name).read_text() for name in DOCUMENTS)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name}" in shown, picture.name
        assert picture.stat().st_size < 2_000_000


def test_every_page_is_linked():
    text = "".join((ROOT / name).read_text() for name in DOCUMENTS)
    for page in ROOT.glob("docs/**/*.md"):
        assert f"{page.name})" in text or f"{page.name}#" in text, page


def test_instructions_are_those_of_the_program():
    page = (ROOT / "docs/data.md").read_text()
    for text in (*open_models.INSTRUCTIONS.values(), open_models.PLACES):
        assert f"```text\n{text}```" in page


def test_the_search_for_paths_finds_them():
    text = "`tf_faces/no.py`, `tests/golden/<stem>`, `train.py`, `tf_faces.core`, `a/b`"
    assert list(paths(text)) == ["tf_faces/no.py", "tests/golden/<stem>", "train.py"]
    assert not exists("tf_faces/no.py") and exists("tests/golden/<stem>")
    assert not exists("tf_faces/<stem>/no.py") and exists("tf_faces/losses/NAME.py")
    assert not exists("tf_faces/nothing/NAME.py")
