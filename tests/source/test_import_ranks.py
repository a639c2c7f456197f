"""The walls of the house: imports follow the ranks, never up, never sideways; no system
imports another; shared programs name none; rooms stay small."""

import ast
import pathlib
import re

import pytest

from tf_faces.core import stems

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "tf_faces"
# In the order in which they carry each other; what stands together is one rank.
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
# The systems that are here or will move in.
STEMS = {"tbgan", "coarse_fine", "prnet", "face_manifold", "parface"}
MOST_FILES = 22


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


def stem_of(parts, known) -> str | None:
    """The system that a module below a room belongs to: its folder or its file."""
    return parts[1] if len(parts) > 1 and parts[1] in known else None


def violations(path: pathlib.Path, root: pathlib.Path, known=frozenset(STEMS)):
    parts = path.relative_to(root).with_suffix("").parts
    room = parts[0]
    if room not in RANKS:
        return  # The package itself: its front door.
    mine = stem_of(parts, known)
    for name, line in imported_names(path):
        pieces = name.split(".")
        if pieces[0] != root.name or len(pieces) < 2 or pieces[1] not in RANKS:
            continue
        other = pieces[1]
        theirs = stem_of(pieces[1:], known)
        if RANKS[other] > RANKS[room]:
            yield f"{path}:{line}: {room} imports upward from {name}"
        if other != room and RANKS[other] == RANKS[room]:
            yield f"{path}:{line}: {room} imports sideways from {name}"
        if theirs and mine and mine != theirs:
            yield f"{path}:{line}: {mine} imports another system, {theirs}"
        if theirs and not mine:
            yield f"{path}:{line}: shared {room} imports a system, {theirs}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_ranks(path):
    assert not list(violations(path, PACKAGE))


def test_every_room_has_a_rank():
    rooms = {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/**/*.py")}
    assert rooms <= set(RANKS)
    assert set(stems.STEMS) <= STEMS


def names_of_systems(path: pathlib.Path) -> list[str]:
    """Names of systems in a file, outside of words that only contain them."""
    return [
        stem
        for stem in sorted(STEMS)
        if re.search(rf"(?<![a-z]){stem.replace('_', '[ _-]?')}(?![a-z])",
                     path.read_text(), re.IGNORECASE)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "apps").glob("*.py")), ids=lambda path: path.name
)
def test_no_shared_program_names_a_system(path):
    assert not names_of_systems(path)


def test_rooms_stay_small():
    folders = {path.parent for path in modules()}
    full = {
        str(folder.relative_to(PACKAGE)): len(list(folder.glob("*.py")))
        for folder in folders
        if len(list(folder.glob("*.py"))) > MOST_FILES
    }
    assert not full


# --- the tests themselves -----------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    """Writes a module of an imaginary house and returns what is wrong with it."""

    def build(place: str, source: str) -> list[str]:
        root = tmp_path / "tf_faces"
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return list(violations(path, root))

    return build


def test_an_upward_import_is_found(house):
    assert house("core/bad.py", "from tf_faces.apps import train\n")
    assert house("viz/bad.py", "def f():\n    import tf_faces.data.images\n")
    assert house("data/bad.py", "from tf_faces import training\n")
    assert not house("apps/good.py", "from tf_faces.core import files\n")


def test_a_sideways_import_is_found(house):
    assert house("models/shared.py", "from tf_faces.data import images\n")
    assert house("losses/shared.py", "import tf_faces.metrics.diversity\n")
    assert not house("models/good.py", "from tf_faces.models import configuration\n")


@pytest.mark.parametrize("room", [room for rank in ORDER[2:] for room in rank])
def test_a_system_that_imports_another_is_found(house, room):
    for mine in (f"{room}/prnet.py", f"{room}/prnet/crop.py"):
        assert house(mine, f"from tf_faces.{room} import tbgan\n")
        assert house(mine, f"from tf_faces.{room}.tbgan.step import f\n")
        assert house(mine, f"import tf_faces.{room}.tbgan\n")
        assert not house(mine, f"from tf_faces.{room}.prnet import other\n")


def test_shared_code_that_imports_a_system_is_found(house):
    assert house("training/loop.py", "from tf_faces.training import parface\n")


def test_a_program_that_names_a_system_is_found(tmp_path):
    path = tmp_path / "train.py"
    path.write_text('DEFAULT = "tbgan"\n# Face Manifold\n# landmarks_face_manifolds\n')
    assert names_of_systems(path) == ["face_manifold", "tbgan"]
    path.write_text("from tf_faces.core import stems\n")
    assert not names_of_systems(path)
