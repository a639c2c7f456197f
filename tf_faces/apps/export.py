"""Writes trained networks: a SavedModel for serving, of standard operations only, or
their weights alone in half precision, to be passed on."""

import argparse
import functools
import os
import pathlib
import sys
from collections.abc import Sequence

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core import files, folders, stems
from tf_faces.core.errors import InputError

FORMS = ("saved_model", "weights")
_EPILOG = """\
examples:
  tf-faces export newest
      the newest run in results/ that can be exported, as exports/SYSTEM/1 (2, 3, ...)
"""


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    epilog = _EPILOG
    for stem in stems.with_stage("apps", "export"):
        epilog += stems.stage("apps", stem, "export").EXAMPLES
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=f"{epilog}\ndocs/serving.md tells how to call it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", help="run (folder, number, or newest), snapshot, or weights folder"
    )
    parser.add_argument(
        "--form",
        choices=FORMS,
        default=FORMS[0],
        help="a SavedModel, or weights: a run folder without what only training needs "
        "(%(default)s)",
    )
    parser.add_argument(
        "--output",
        help="folder of versions (exports/ and the system's name); of weights, the "
        "new folder itself (weights/ and the system's name)",
    )
    parser.add_argument(
        "--result_dir", default="results", help="where runs lie (%(default)s)"
    )
    parser.add_argument(
        "--no_warmup", action="store_true", help="no warm-up requests for the server"
    )
    # Which options are whose: they are None where they are not given.
    owners: dict[str, list[str]] = {}
    for stem in stems.with_stage("apps", "export"):
        group = parser.add_argument_group(stem)
        before = len(parser._actions)
        stems.stage("apps", stem, "export").add_options(group)
        for action in parser._actions[before:]:
            owners.setdefault(action.dest, []).append(stem)
    parser.set_defaults(owners=owners)
    return parser


def _main(arguments: list[str], prog: str | None = None) -> int:
    options = _parser(prog).parse_args(arguments)
    if options.form == "weights":
        told = "with --form weights, expected --form saved_model"
        options_of.refuse_given(options, ("no_warmup", *options.owners), told)
    default = "weights" if options.form == "weights" else "exports"
    folders.place_for_results(options.output or default)
    from tf_faces.pipelines import opening

    models = stems.with_stage("apps", "export")
    found = opening.find(options.source, options.result_dir, models)
    for name, owners in options.owners.items():
        if found.stem not in owners and getattr(options, name) is not None:
            raise InputError(
                f"--{name}: found with {options.source}, a run of {found.stem}; "
                f"expected with {' or '.join(owners)} only."
            )
    report_choice(options.source, found)
    if options.form == "weights":
        print(f"Weights: {write_weights(found.path, found.stem, options)}")
        return 0
    _require_own_versions(_place(options, found.stem), found.stem)
    path = export(found.path, found.stem, options)
    print(f"SavedModel: {path}")
    print(f"Look at it: saved_model_cli show --dir {path} --all")
    return 0


def _place(options: argparse.Namespace, stem: str) -> pathlib.Path:
    return pathlib.Path(options.output or f"exports/{stem}")


def _require_own_versions(directory: pathlib.Path, stem: str) -> None:
    """Refuses a folder where a server would find other things than exports of a system.

    Raises:
      InputError: naming what is there.
    """
    if not directory.is_dir():
        return
    names = [name for name in os.listdir(directory) if not folders.is_hidden(name)]
    versions = sorted((name for name in names if name.isdecimal()), key=int)
    if names and not versions:
        raise InputError(
            f"{directory}: found other results ({min(names)}, ...), expected a new or "
            f"empty folder, or exports of {stem}."
        )
    for version in versions:
        card = directory / version / "assets.extra/model_card.json"
        system = files.read_json(card).get("system") if card.is_file() else None
        if system != stem:
            raise InputError(
                f"{directory / version}: found an export of {system or 'others'}, "
                f"expected a folder with exports of {stem} only (--output)."
            )


def report_choice(source: str, found) -> None:
    """Names the run that "newest" stands for, and why newer ones were not taken."""
    if source == "newest":
        for sentence in found.passed_over:
            print(f"Passed over: {sentence}.", file=sys.stderr)
        print(f"Newest run: {found.path}", flush=True)


def export(
    folder: pathlib.Path, stem: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the SavedModel of a folder by the program's options."""
    return stems.stage("apps", stem, "export").export(
        folder, _place(options, stem), options
    )


def write_weights(
    folder: pathlib.Path, stem: str, options: argparse.Namespace
) -> pathlib.Path:
    """Writes the weights of a run folder by the program's options.

    Raises:
      InputError: if the system's weights have no such form.
    """
    part = stems.stage("apps", stem, "export")
    if not hasattr(part, "write_weights"):
        raise InputError(
            f"--form=weights: found a run of {stem}, whose weights have no such form."
        )
    return part.write_weights(folder, options.output or f"weights/{stem}")
