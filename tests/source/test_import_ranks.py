"""Imports inside the package follow the ranks of the house: never up, never sideways
between the members of a rank that must not know each other."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "tf_faces"
# In the order in which they carry each other; a pair of brackets is one rank.
ORDER = (
    ("version",),
    ("core",),
    ("configs",),
    ("ops",),
    ("geometry",),
    ("morphable", "layers"),
    ("viz",),
    ("data", "models", "losses", "metrics"),
    ("convert",),
    ("training",),
    ("pipelines",),
    ("export",),
    ("apps",),
)
RANKS = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
STRANGERS = {"data", "models", "losses", "metrics"}
STEMS = {"tbgan", "coarse_fine", "prnet", "face_manifold", "parface"}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imported_names(path: pathlib.Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.module, node.lineno
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def violations(path: pathlib.Path, root: pathlib.Path):
    parts = path.relative_to(root).with_suffix("").parts
    room = parts[0]
    if room == "__init__":
        return
    for name, line in imported_names(path):
        pieces = name.split(".")
        if pieces[0] != root.name or len(pieces) < 2 or pieces[1] not in RANKS:
            continue
        other = pieces[1]
        if RANKS[other] > RANKS[room]:
            yield f"{path}:{line}: {room} imports upward from {name}"
        if other != room and {room, other} <= STRANGERS:
            yield f"{path}:{line}: {room} imports sideways from {name}"
        if room == other == "models" and len(pieces) > 2:
            mine, theirs = parts[1], pieces[2]
            if mine in STEMS and theirs in STEMS and mine != theirs:
                yield f"{path}:{line}: {mine} imports another system, {theirs}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_ranks(path):
    assert not list(violations(path, PACKAGE))


def test_every_room_has_a_rank():
    rooms = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name[0] != "_"}
    assert rooms <= set(RANKS)


def test_an_upward_import_is_found(tmp_path):
    root = tmp_path / "tf_faces"
    (root / "core").mkdir(parents=True)
    bad = root / "core" / "bad.py"
    bad.write_text("from tf_faces.apps import train\n")
    assert list(violations(bad, root))


def test_a_sideways_import_is_found(tmp_path):
    root = tmp_path / "tf_faces"
    (root / "models" / "prnet").mkdir(parents=True)
    bad = root / "models" / "prnet" / "bad.py"
    bad.write_text(
        "from tf_faces.data import records\nimport tf_faces.models.tbgan.config\n"
    )
    assert len(list(violations(bad, root))) >= 2
