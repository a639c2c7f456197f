"""`tf-faces` and `python -m tf_faces`."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from tests import tiny_training
from tf_faces import version
from tf_faces.apps import main
from tf_faces.core import pictures


def test_help_lists_every_program(capsys):
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert main.main(words) == 0
        text = capsys.readouterr().out
        for name, (module, summary) in main.programs().items():
            assert f"  {name} " in text and summary in text
            assert callable(importlib.import_module(module).main)


def test_version(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tf_faces {version.__version__}\n"


def test_a_program_is_called_by_its_name(capsys):
    assert main.main(["generate", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: tf-faces generate ")
    assert main.main(["generate", "--colour"]) == 2
    assert "see tf-faces generate --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "hint"), [("trian", "train"), ("face_model", "face-model")]
)
def test_a_wrong_name_gets_a_hint(capsys, name, hint):
    assert main.main([name]) == 2
    assert f"did you mean {hint}?" in capsys.readouterr().err


def test_imports_of_a_program_are_interrupted_in_silence(monkeypatch, capsys):
    def interrupt(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(main.importlib, "import_module", interrupt)
    assert main.main(["photo", "a.jpg"]) == 130
    assert capsys.readouterr().err == "Error: Interrupted.\n"


def test_module_and_scripts_work_from_anywhere(tmp_path):
    calls = [[sys.executable, "-m", "tf_faces", "--version"]]
    for script in ("train.py", "tools/export.py", "tools/face_model.py"):
        calls.append([sys.executable, str(tiny_training.ROOT / script), "--help"])
    for call in calls:
        finished = subprocess.run(
            call,
            cwd=tmp_path,
            env=tiny_training.environment(PYTHONPATH=str(tiny_training.ROOT)),
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0 and finished.stderr == "", finished.stderr


def test_scripts_of_an_uninstalled_clone(tmp_path):
    """tools/*.py find the package of their own clone, without PYTHONPATH."""
    environment = tiny_training.environment()
    environment.pop("PYTHONPATH", None)
    for script in ("train.py", "tools/generate.py"):
        finished = subprocess.run(
            [sys.executable, str(tiny_training.ROOT / script), "--help"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--data_dir=records --config.dataset.dynamic_range=[-1,1]", "contradicts"),
        ("--data_dir=records --config.dataset.dtype=float32", "values of type uint8"),
        ("--data_dir=records --config.dataset.resolution=64", "to the set's 8"),
        (
            "--data_dir=records --modifiers=onmodel --config.surface.model=absent",
            "absent: no such face model",
        ),
        ("--preset=demo --config.dataset.build_model=absent", "absent: no such face"),
        ("--model=prnet --preset=smoke --config.face_model=absent", "absent: no such"),
    ],
)
def test_data_are_looked_at_before_tensorflow(
    tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pictures.write(tmp_path / "pictures/a.png", picture)
    assert main.main("dataset create_from_images records pictures".split()) == 0
    capsys.readouterr()
    assert main.main(["train", "--preset=v2-1gpu", *arguments.split()]) == 2
    shown = capsys.readouterr()
    assert sentence in shown.err and "Initializing" not in shown.out
    assert not (tmp_path / "results").exists()


def test_no_program_brings_tensorflow_along():
    lines = [
        "import importlib, sys",
        "from tf_faces.apps import main",
        "for module, _ in main.programs().values():",
        "    importlib.import_module(module)",
        "    found = [name for name in sys.modules if name.startswith('tensorflow')]",
        "    assert not found, (module, found[:3])",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
