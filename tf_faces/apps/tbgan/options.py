"""Programs for trained TBGANs: measures, pictures, videos, old snapshots."""

import argparse
import functools
import importlib
from collections.abc import Sequence

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry

# Everything else is imported by the command that needs it: --help is instant.

_EPILOG = """\
examples:
  tf-faces tbgan evaluate newest --metrics swd,msssim --images 2000
      every snapshot of the newest run, beside a second sample of the real maps
  tf-faces tbgan import network-snapshot-013600.pkl results/032-tbgan
      a snapshot of the original code becomes a run for all programs
  tf-faces tbgan weights newest Gs.npz
      weights by the original's names
"""


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program; returns its exit status."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _main(arguments: list[str], prog: str | None = None) -> int | None:
    if not arguments:
        arguments = ["--help"]
    options = _parser(prog).parse_args(arguments)
    module, name = options.function
    package = __name__.rpartition(".")[0]
    return getattr(importlib.import_module(f"{package}.{module}"), name)(options)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_evaluate, _add_import, _add_weights):
        add(commands)
    return parser


def _command(commands, name: str, text: str, module: str, function: str):
    parser = commands.add_parser(
        name, help=text, description=text, formatter_class=options_of.DefaultsFormatter
    )
    parser.set_defaults(function=(module, function))
    return parser


def _add_run(parser, what: str = "run (folder, number, or newest)") -> None:
    parser.add_argument("run", help=what)
    parser.add_argument("--result_dir", default="results", help="where runs lie")


def _add_evaluate(commands) -> None:
    parser = _command(
        commands,
        "evaluate",
        "measures the real maps, then every snapshot of a run, the newest first",
        "evaluating",
        "run",
    )
    _add_run(parser)
    add = parser.add_argument
    add(
        "--metrics",
        type=options_of.names,
        default="swd,msssim",
        help="some of swd, msssim, fid, is, kid, pr (precision and recall)",
    )
    add("--images", type=options_of.count, default=10000, help="pictures a pass")
    add("--passes", type=options_of.count, default=2, help="over the real pictures")
    add("--minibatch", type=options_of.count, help="as the original if absent")
    add("--seed", type=options_of.index, default=1000, help="of all random numbers")
    add("--every", type=options_of.count, default=1, help="every n-th snapshot")
    add("--data", help="record set; the run's own if absent")
    add(
        "--features",
        default="inception-2015",
        help="network for fid, is, kid and pr: inception-2015, a name of "
        "keras.applications, or random",
    )
    add(
        "--inception_weights",
        help="file of its weights: classify_image_graph_def.pb, or .h5",
    )
    add("--log", default="metric-evaluation.txt", help="file in the run folder")


def _add_import(commands) -> None:
    parser = _command(
        commands,
        "import",
        "makes a run of a network-snapshot-*.pkl of TBGAN or the Progressive GAN",
        "old_snapshots",
        "import_snapshot",
    )
    add = parser.add_argument
    add("snapshot", help="the pickle; nothing in it is executed")
    add("run", help="run folder, made if it is absent")
    options_of.add_switch(
        parser,
        "label_softmax",
        "its losses took a softmax of the labels (TBGAN: yes, Progressive GAN: no)",
    )


def _add_weights(commands) -> None:
    parser = _command(
        commands,
        "weights",
        "writes the weights of one network by the original's names",
        "old_snapshots",
        "write_weights",
    )
    _add_run(parser)
    add = parser.add_argument
    add("output", help="the .npz file")
    add("--network", choices=("G", "D", "Gs"), default="Gs", help="which")
    add("--snapshot", type=options_of.index, help="images shown; newest if absent")
