"""Every command and every Python block that the documents print, run in order.

One folder is shared by all: the README's commands fill it as a newcomer's would, the
other pages go on in it.  `commands` says what is run for each printed command.
"""

import contextlib
import io
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests import tiny_training
from tests.apps.face_manifold_commands import save_mat
from tests.data.test_mesh_uv_sets import relief
from tests.docs import commands, pages
from tests.morphable.test_open_heads import ict_arrays, write_obj
from tf_faces.apps import main
from tf_faces.convert import face_manifold as weights
from tf_faces.core import pictures
from tf_faces.geometry import mesh_files
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.morphable import builtin
from tf_faces.morphable.coefficients import FaceCoefficients

# Smaller numbers for Python blocks, beside `commands` for the shell's.
FASTER_PYTHON = (
    ('"builtin"', '"builtin:tiny"'),
    ('build("default")', 'build("tiny")'),
    ("size=240", "size=48"),
    ("size=200", "size=40"),
)
TABLES = (commands.AS_PRINTED, commands.FASTER, commands.NOT_RUN)


def printed_commands() -> set[str]:
    return {
        item.text
        for name in pages.documents()
        for item in pages.items(name)
        if item.kind == "command"
    }


def test_every_printed_command_is_in_one_table():
    known = [command for table in TABLES for command in table]
    assert len(known) == len(set(known)), "in two tables"
    unknown = sorted(printed_commands() - set(known))
    assert not unknown, f"add to tests/docs/commands.py: {unknown}"
    gone = sorted(set(known) - printed_commands())
    assert not gone, f"not printed any more: {gone}"
    assert not [printed for printed, run in commands.FASTER.items() if printed == run]


class Workspace:
    """The folder in which the documents' commands are run."""

    def __init__(self, folder):
        self.folder = folder
        self.done: set[str] = set()
        self.pages: set[str] = set()

    def prepare(self):
        """What pages presuppose: a user's own files, and files from elsewhere."""
        folder = self.folder
        rng = np.random.default_rng(0)
        (folder / "pictures").mkdir()
        for number in range(3):
            noise = rng.integers(0, 255, (16, 16, 3), np.uint8)
            pictures.write(folder / "pictures" / f"cat{number}.png", noise)
        (folder / "my_recipe.py").write_text(
            "from tf_faces.core import configuration\n\n\ndef get_config():\n"
            '    return configuration.recipe("tbgan", "smoke", {"random_seed": 2})\n'
        )
        face = builtin.build("tiny")
        marks = face.vertices(indices=face.landmarks68)[:, :2] * 0.0005
        points = np.stack([50 + marks[:, 0], 50 - marks[:, 1]], axis=1) + 1
        lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
        (folder / "points.pts").write_text(f"version: 1\n{{\n{lines}\n}}\n")
        pictures.write(folder / "photo.jpg", np.full((100, 100, 3), 90, np.uint8))
        mesh_files.write_mesh(folder / "scan.obj", face.mesh())
        for number in range(3):
            scan = relief(10.0 + number)
            mesh_files.write_mesh(folder / "scans" / f"{number}.obj", scan)
        fitted = FaceCoefficients(
            rng.standard_normal((12, 199)) * 3e4, rng.standard_normal((12, 29)) * 0.4
        )
        (folder / "AFLW2000_AND_300W").mkdir()
        for row in range(12):
            save_mat(folder / f"AFLW2000_AND_300W/{row:02d}.mat", fitted, row)
        for group, length in (("shape", 199), ("expression", 29)):
            denoiser = denoisers.Denoiser(DenoiserConfig(group, length, 1e4))
            place = folder / "trained_models" / group
            place.mkdir(parents=True)
            weights.save(place / "epoch_10.pkl", denoiser)
            if group == "shape":
                weights.save(folder / "epoch_10.pkl", denoiser)
        heads = folder / "ICT-FaceKit" / "FaceXModel"
        heads.mkdir(parents=True)
        arrays = ict_arrays()
        write_obj(heads / "generic_neutral_mesh.obj", arrays["neutral"])
        write_obj(heads / "identity000.obj", arrays["neutral"] + 1)
        write_obj(heads / "jawOpen.obj", arrays["neutral"] - 1)
        marks = '{"expressions": ["jawOpen"], "landmarks68": [%s]}'
        listed = marks % ", ".join(["1"] * 68)
        (heads / "vertex_indices.json").write_text(listed)

    def places(self) -> dict[str, str]:
        """What stands for {names} in the variants."""
        runs = sorted((self.folder / "results").glob("*-pgan-*"))
        manifolds = sorted((self.folder / "manifold").glob("*-both-builtin"))
        found = {"repository": str(pages.ROOT)}
        if runs:
            found["tbgan"] = str(runs[0].relative_to(self.folder))
            newest = max((runs[0] / "snapshots").glob("snapshot-*"))
            found["images"] = str(int(newest.name.rpartition("-")[2]))
        if manifolds:
            found["manifold"] = str(manifolds[0].relative_to(self.folder))
        return found

    def run_page(self, name: str) -> None:
        """Runs all that a page prints, once."""
        if name in self.pages:
            return
        namespace = {"__name__": "documents"}
        for item in pages.items(name):
            where = f"{name}:{item.line}"
            if item.kind == "python":
                self.run_python(item, where, namespace)
            elif item.text not in commands.NOT_RUN:
                variant = commands.FASTER.get(item.text, item.text)
                self.run_command(variant.format(**self.places()), where)
        self.pages.add(name)

    def run_python(self, item: pages.Item, where: str, namespace: dict) -> None:
        text = item.text
        for slow, fast in FASTER_PYTHON:
            text = text.replace(slow, fast)
        with contextlib.chdir(self.folder):
            exec(compile("\n" * (item.line - 1) + text, where, "exec"), namespace)

    def run_command(self, command: str, where: str) -> None:
        if command in self.done:
            return
        written = command.replace("python -m tf_faces", "tf-faces")
        program, *arguments = shlex.split(written)
        assert program == "tf-faces", f"{where}: {command}"
        output, complaints = io.StringIO(), io.StringIO()
        if any(argument.startswith("--devices") for argument in arguments):
            # Devices are chosen once for a process.
            finished = subprocess.run(
                [sys.executable, "-m", "tf_faces", *arguments],
                cwd=self.folder,
                env=tiny_training.environment(PYTHONPATH=str(pages.ROOT)),
                capture_output=True,
                text=True,
                timeout=600,
            )
            status, said = finished.returncode, finished.stdout + finished.stderr
        else:
            with (
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(complaints),
            ):
                status = main.main(arguments)
            said = output.getvalue() + complaints.getvalue()
        assert status == 0, f"{where}: {command}\n{said[-3000:]}"
        self.done.add(command)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The folder after the README's commands."""
    made = Workspace(tmp_path_factory.mktemp("workspace"))
    made.prepare()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TF_FACES_DATA", raising=False)
        patch.setenv("TF_FACES_CACHE", os.environ.get("TF_FACES_CACHE", ""))
        made.run_page("README.md")
        yield made


def runnable() -> list[str]:
    return [
        name
        for name in pages.documents()
        if any(
            item.kind == "python" or item.text not in commands.NOT_RUN
            for item in pages.items(name)
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", runnable())
def test_page(workspace, name):
    workspace.run_page(name)


@pytest.mark.slow
def test_what_the_readme_leaves_behind(workspace):
    for place in (
        *("face.png", "face.html", "meshes/face0000.glb", "models/BFM.mat"),
        *("maps/uv_dictionary.npz", "datasets/mine/manifest.json", "sheet.png"),
        *("generated/faces.html", "exports/tbgan/1/saved_model.pb"),
        *("labelled/synthetic/synthetic_000001.jpg", "fit/overlay.png"),
    ):
        assert (workspace.folder / place).is_file(), place


# --- the parser itself ---------------------------------------------------------------

PAGE = """
Some `tf-faces train --help` and `other words`, `pip install .`.

```sh
tf-faces a --b \\
    c d    # remark
e && tf-faces f
```

```text
not this
  git clone x
```

```python
print("tf-faces a")
```

| a | `tf-faces g` |
"""


def test_commands_of_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(PAGE)
    found = pages.items("page.md")
    assert [item.text for item in found if item.kind == "command"] == [
        *("tf-faces train --help", "pip install .", "tf-faces a --b c d", "e"),
        *("tf-faces f", "git clone x", "tf-faces g"),
    ]
    assert [item.text for item in found if item.kind == "python"] == [
        'print("tf-faces a")\n'
    ]
    (tmp_path / "help.txt").write_text(
        "$ tf-faces a --help\n\nusage: tf-faces a [-h]\n\nexamples:\n"
        "  tf-faces a b\n      words of tf-faces a\n  # remark\n"
    )
    assert [item.text for item in pages.items("help.txt")] == ["tf-faces a b"]
