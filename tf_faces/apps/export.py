"""Writes a trained TBGAN as a SavedModel for serving, with standard operations only."""

import argparse
import textwrap
from collections.abc import Sequence

from tf_faces.apps import entry

_EXAMPLES = """
Examples:
  python tools/export.py newest --output exports/tbgan
      the newest run in results/, as exports/tbgan/1 (then 2, 3, ...)
  python tools/export.py results/003-pgan-faces --snapshot 40000 --output exports/tbgan
      a certain snapshot

docs/serving.md tells how to call it.
"""


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
    parser.add_argument("source", help="run (folder, number, or newest) or snapshot")
    parser.add_argument(
        "--output", default="exports/tbgan", help="folder of versions (%(default)s)"
    )
    parser.add_argument("--snapshot", type=int, help="images shown; newest if absent")
    parser.add_argument(
        "--result_dir", default="results", help="where runs lie (%(default)s)"
    )
    parser.add_argument("--uv_dictionary", help="stored with it, for meshes later")
    parser.add_argument(
        "--no_warmup", action="store_true", help="no warm-up requests for the server"
    )
    return parser


def _main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    from tf_faces.export import tbgan as export_tbgan
    from tf_faces.pipelines import tbgan

    pipeline = tbgan.open_pipeline(
        options.source,
        snapshot=options.snapshot,
        result_directory=options.result_dir,
        dictionary=options.uv_dictionary,
    )
    path = export_tbgan.export(pipeline, options.output, warmup=not options.no_warmup)
    print(f"SavedModel: {path}")
    print(f"Look at it: saved_model_cli show --dir {path} --all")
    return 0
