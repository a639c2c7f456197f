"""A fresh environment with the `test` extra has every package that tests import."""

import ast
import pathlib
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Distributions whose packages bear another name.
NAMES = {
    "Pillow": "PIL",
    "absl-py": "absl",
    "google-crc32c": "google_crc32c",
    "imageio-ffmpeg": "imageio_ffmpeg",
    "ml-collections": "ml_collections",
    "scikit-learn": "sklearn",
    "tensorflow-graphics": "tensorflow_graphics",
}
OURS = {"tests", "tf_faces", "benchmarks", "tools", "setup", "train"}


def packages(requirements) -> set[str]:
    names = (Requirement(text).name for text in requirements)
    return {NAMES.get(name, name) for name in names}


def imported_at_once(source: str) -> set[str]:
    """Packages that the module cannot be imported without."""
    found = set()
    waiting = list(ast.parse(source).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
        elif isinstance(node, (ast.If, ast.ClassDef, ast.With)):
            waiting += node.body
    return found - OURS - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [("tf_faces", ()), ("tools", ()), ("benchmarks", ()), ("tests", ("test",))],
)
def test_imports_are_declared(folder, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = packages(project["dependencies"])
    for extra in extras:
        declared |= packages(project["optional-dependencies"][extra])
    # Comes with pytest.
    declared |= {"packaging"} if "test" in extras else set()
    for path in sorted((ROOT / folder).rglob("*.py")):
        missing = imported_at_once(path.read_text()) - declared
        assert not missing, f"{path.relative_to(ROOT)} imports {sorted(missing)}"


def test_what_is_imported_at_once():
    source = "import a.b\nfrom c import d\nimport os\ndef f():\n    import e\n"
    assert imported_at_once(source) == {"a", "c"}
