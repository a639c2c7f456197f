"""Recipes: files that name a preset and its differences."""

import pathlib

import pytest

from tf_faces.apps import train
from tf_faces.core import configuration
from tf_faces.core.errors import InputError

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda p: p.stem)
def test_recipes_of_the_repository(path):
    config = configuration.read_recipe(path)
    assert config.is_locked
    source = path.read_text()
    assert f"--config=configs/{path.name}" in source
    documents = [*FOLDER.parent.glob("docs/**/*.md"), FOLDER.parent / "README.md"]
    assert any(f"configs/{path.name}" in text.read_text() for text in documents)


def write(folder, body):
    path = folder / "mine.py"
    path.write_text(f"from tf_faces.core import configuration\n{body}\n")
    return path


def test_a_recipe_trains_with_further_differences(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(
        tmp_path,
        "def get_config():\n"
        "    changes = {'train.total_kimg': 0.5, 'sched.G_lrate_dict': {8: 0.25}}\n"
        "    return configuration.recipe('tbgan', 'smoke', changes, name='mine')",
    )
    config = configuration.read_recipe(path)
    assert (config.desc, config.model) == ("mine", "tbgan")
    assert config.sched.G_lrate_dict.to_dict() == {8: 0.25}
    arguments = [f"--config={path}", "--config.random_seed=3", "--dry_run"]
    assert train.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "random_seed: 3" in shown and "total_kimg: 0.5" in shown


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("x = 1", "found no function get_config"),
        ("def get_config(): return 3", "returned int"),
        ("def get_config(): raise ValueError('oh')", "the recipe failed.*oh"),
        ("raise SystemExit(3)", "the recipe failed .SystemExit: 3"),
        *(
            (
                "def get_config():\n"
                f"    return configuration.recipe('tbgan', 'smoke', {{{change}}})",
                sentence,
            )
            for change, sentence in (
                ("'train.total_kimg': 'x'", "train.total_kimg is 'x', expected a num"),
                ("'train': 3", "lacks 'train|train is 3, expected a group of"),
                ("'desc': 5", "desc is 5, expected a text"),
            )
        ),
        (
            "import ml_collections\n"
            "def get_config(): return ml_collections.ConfigDict({'model': 'tbgan'})",
            "lacks ",
        ),
        ("import no_such_module", "the recipe failed.*no_such_module"),
        ("def get_config(: pass", "the recipe failed.*SyntaxError"),
        ("def get_config(): return configuration.recipe('x', 'y')", "found 'x'"),
        (
            "def get_config():\n"
            "    return configuration.recipe('tbgan', 'smoke', {'a.b': 1})",
            "unknown configuration name 'a'",
        ),
    ],
)
def test_wrong_recipes_are_named(tmp_path, body, sentence):
    with pytest.raises(InputError, match=sentence):
        configuration.read_recipe(write(tmp_path, body))


def test_wrong_uses_are_named(tmp_path, capsys):
    path = write(
        tmp_path,
        "def get_config(): return configuration.recipe('tbgan', 'smoke')",
    )
    for arguments, word in (
        ([f"--config={tmp_path / 'none.py'}"], "none.py"),
        ([f"--config={path}", "--preset=smoke"], "a recipe names its preset"),
        ([f"--config={path}", "--model=face_manifold"], "trains tbgan"),
    ):
        assert train.main(arguments) == 2
        assert word in capsys.readouterr().err
