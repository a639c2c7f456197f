"""tf-faces: three-dimensional faces in TensorFlow.

usage: tf-faces PROGRAM ...
       tf-faces PROGRAM --help
"""

import importlib
from collections.abc import Sequence

from tf_faces import version
from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core import stems

# Programs that serve every system: their module and what they do.
_SHARED = {
    "photo": (
        "tf_faces.apps.photo",
        "faces of photographs in three dimensions, with open weights",
    ),
    "train": ("tf_faces.apps.train", "trains a system by a preset or a recipe"),
    "evaluate": (
        "tf_faces.apps.evaluate",
        "errors of landmarks on photographs whose landmarks are known",
    ),
    "export": (
        "tf_faces.apps.export",
        "writes trained networks: a SavedModel, or weights to pass on",
    ),
    "face-model": (
        "tf_faces.apps.face_model",
        "inspects, converts, samples, renders, fits, views face models",
    ),
    "photographs": (
        "tf_faces.apps.photographs",
        "makes photographs of faces with exact truth, fits real ones",
    ),
}


def programs() -> dict[str, tuple[str, str]]:
    """Returns {name: (module, what it does)}: the shared ones, then each system's."""
    found = dict(_SHARED)
    for stem in stems.with_stage("apps"):
        for name, (module, text) in stems.stage("apps", stem).PROGRAMS.items():
            found[name] = (f"tf_faces.apps.{stem}.{module}", text)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `tf-faces`; returns the exit status of the program that it names."""
    # A program's imports are interrupted like its work.
    return entry.run(_main, arguments)


def _main(arguments: list[str]) -> int | None:
    known = programs()
    if arguments and arguments[0] in known:
        module = importlib.import_module(known[arguments[0]][0])
        return module.main(arguments[1:], prog=f"tf-faces {arguments[0]}")
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help_text(known))
    elif arguments[0] in ("--version", "version"):
        print(f"tf_faces {version.__version__}")
    else:
        options_of.refuse_choice("PROGRAM", arguments[0], list(known), "tf-faces")
    return None


def _help_text(known: dict[str, tuple[str, str]]) -> str:
    lines = [__doc__.strip(), "", "programs:"]
    lines += [f"  {name:<15}{text}" for name, (_, text) in known.items()]
    lines += [
        "",
        f"systems that train: {', '.join(stems.with_stage('training'))}",
        "first use: tf-faces train --help",
    ]
    return "\n".join(lines)
