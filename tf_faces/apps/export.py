"""Writes trained networks as a SavedModel for serving, with standard operations only.

Knows runs of TBGAN and of Face Manifold; a folder with `shape/` or `expression/` holds
weights of the latter, the original's included.
"""

import argparse
import pathlib
import textwrap
from collections.abc import Sequence

from tf_faces.apps import entry
from tf_faces.core.errors import InputError

_EXAMPLES = """
Examples:
  python tools/export.py newest
      the newest run in results/, as exports/tbgan/1 (then 2, 3, ...)
  python tools/export.py results/003-pgan-faces --snapshot 40000 --output exports/tbgan
      a certain snapshot
  python tools/export.py results/004-face_manifold-both --face_model builtin
      denoisers, random faces and their vertices, as exports/face_manifold/1

docs/serving.md tells how to call it.
"""

# Options that only one system has; None if not given.
_OWN = {
    "tbgan": ("snapshot", "uv_dictionary"),
    "face_manifold": ("epoch", "face_model", "shape_unit", "exp_unit"),
}
_GROUPS = {"shape": "shape_unit", "expression": "exp_unit"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(_main, arguments)


def _parser() -> entry.ArgumentParser:
    parser = entry.ArgumentParser(
        prog="export.py",
        description=__doc__,
        epilog=textwrap.dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", help="run (folder, number, or newest), snapshot, or weights folder"
    )
    parser.add_argument(
        "--output", help="folder of versions (exports/ and the system's name)"
    )
    parser.add_argument(
        "--result_dir", default="results", help="where runs lie (%(default)s)"
    )
    parser.add_argument(
        "--no_warmup", action="store_true", help="no warm-up requests for the server"
    )
    group = parser.add_argument_group("tbgan")
    group.add_argument("--snapshot", type=int, help="images shown; newest if absent")
    group.add_argument("--uv_dictionary", help="stored with it, for meshes later")
    group = parser.add_argument_group("face_manifold")
    group.add_argument(
        "--epoch", help="number, final or best (final; epoch 10 of the original's)"
    )
    group.add_argument(
        "--face_model",
        help="adds signatures for random faces and for vertices: builtin, ict, a "
        "file such as BFM.mat",
    )
    for name, of in (("shape", "shape"), ("exp", "expression")):
        group.add_argument(
            f"--{name}_unit",
            type=float,
            help=f"unit of the {of} coefficients, for PyTorch files",
        )
    return parser


def _main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    folder, system = _find(options)
    for other, own in _OWN.items():
        for name in own:
            if other != system and getattr(options, name) is not None:
                raise InputError(
                    f"--{name}: found with {options.source}, a run of {system}; "
                    f"expected with {other} only."
                )
    output = options.output or f"exports/{system}"
    write = {"tbgan": _export_tbgan, "face_manifold": _export_face_manifold}[system]
    path = write(options, folder, output)
    print(f"SavedModel: {path}")
    print(f"Look at it: saved_model_cli show --dir {path} --all")
    return 0


def _find(options: argparse.Namespace) -> tuple[pathlib.Path, str]:
    """Which folder is meant, and which system's it is."""
    from tf_faces.core import runs

    run = runs.RunFolder.locate(options.result_dir, options.source)
    if (run.path / "config.json").is_file():
        system = run.read_config().get("model", "tbgan")
        if system not in _OWN:
            raise InputError(
                f"{run.path}: found a run of {system!r}, expected one of "
                f"{', '.join(_OWN)}."
            )
        return run.path, system
    is_weights = any((run.path / group).is_dir() for group in _GROUPS)
    return run.path, "face_manifold" if is_weights else "tbgan"


def _export_tbgan(options, folder, output) -> pathlib.Path:
    from tf_faces.export import tbgan as export_tbgan
    from tf_faces.pipelines import tbgan

    pipeline = tbgan.open_pipeline(
        str(folder),
        snapshot=options.snapshot,
        dictionary=options.uv_dictionary,
    )
    return export_tbgan.export(pipeline, output, warmup=not options.no_warmup)


def _export_face_manifold(options, folder, output) -> pathlib.Path:
    from tf_faces.apps.face_manifold import common
    from tf_faces.convert import face_manifold as weights
    from tf_faces.export import face_manifold as export_face_manifold
    from tf_faces.morphable import raw_form
    from tf_faces.pipelines import face_manifold

    model = raw_form.load(options.face_model) if options.face_model else None
    lengths = common.model_lengths(model) if model is not None else {}
    found = {
        group: common.load_denoiser(
            weights.find(folder, group, options.epoch),
            group,
            getattr(options, unit),
            lengths.get(group),
        )
        for group, unit in _GROUPS.items()
        if (folder / group).is_dir()
    }
    return export_face_manifold.export(
        face_manifold.FaceManifold(**found),
        output,
        model=model,
        warmup=not options.no_warmup,
    )
