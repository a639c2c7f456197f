"""Programs for trained TBGANs: measures, pictures, videos, old snapshots."""

import argparse
import functools
import importlib
import os
from collections.abc import Sequence

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core.errors import InputError

# Everything else is imported by the command that needs it: --help is instant.

_EPILOG = """\
examples:
  tf-faces tbgan evaluate newest --metrics swd,msssim --images 2000
      every snapshot of the newest run, beside a second sample of the real maps
  tf-faces tbgan fake-images newest --seeds=0-7 --label happy --output fakes
      eight faces under one expression: textures as PNG, shapes and normals as arrays
  tf-faces tbgan interpolation-video newest --grid_size 3,2 --duration_sec 10
      six faces that drift, as MP4
  tf-faces tbgan expression-sheet newest --seeds 0-3
      the same four faces under each of the seven expressions, rendered
  tf-faces tbgan turntable newest --label happy --mp4 turning.mp4
      a face that turns round, as MP4
  tf-faces tbgan interpolation-images newest --output walk
      the original's test.py: a textured mesh for each of 144 frames
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
    if hasattr(options, "named_run"):
        options.run = _one_run(options)
    module, name = options.function
    package = __name__.rpartition(".")[0]
    return getattr(importlib.import_module(f"{package}.{module}"), name)(options)


def _one_run(options: argparse.Namespace) -> str:
    """The run, which may be given by its place or by name."""
    given = [run for run in (options.run, options.named_run) if run is not None]
    if len(given) == 1:
        return given[0]
    found = " and --run=".join(given) if given else "none"
    raise InputError(
        f"run: found {found}, expected one run: a folder, a number, or newest; see "
        f"tf-faces tbgan {options.command} --help."
    )


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_evaluate,
        _add_fake_images,
        _add_interpolation_images,
        _add_interpolation_video,
        _add_dimension_video,
        _add_training_video,
        _add_expression_sheet,
        _add_turntable,
        _add_project,
        _add_nearest,
        _add_import,
        _add_weights,
    ):
        add(commands)
    return parser


def _add_run(parser, what: str = "run (folder, number, or newest)") -> None:
    parser.add_argument("run", nargs="?", help=what)
    parser.add_argument("--run", dest="named_run", metavar="RUN", help="the same")
    parser.add_argument("--result_dir", default="results", help="where runs lie")


def _add_evaluate(commands) -> None:
    parser = options_of.add_command(
        commands,
        "evaluate",
        "measures the real maps, then every snapshot of a run, the newest first",
        ("evaluating", "run"),
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
    add("--seed", type=options_of.seed, default=1000, help="of all random numbers")
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
    options_of.add_overwrite_of_file(parser, "--log, if an evaluation wrote it")


def _add_import(commands) -> None:
    parser = options_of.add_command(
        commands,
        "import",
        "makes a run of a network-snapshot-*.pkl of TBGAN or the Progressive GAN",
        ("old_snapshots", "import_snapshot"),
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
    parser = options_of.add_command(
        commands,
        "weights",
        "writes the weights of one network by the original's names",
        ("old_snapshots", "write_weights"),
    )
    _add_run(parser)
    add = parser.add_argument
    add("output", help="the .npz file")
    options_of.add_overwrite_of_file(parser, "output")
    add("--network", choices=("G", "D", "Gs"), default="Gs", help="which")
    add("--snapshot", type=options_of.index, help="images shown; newest if absent")


_SECONDS = options_of.between(0, 3600)
# Bytes of a file's name; more come behind.
_LONGEST_PREFIX = 200
_TRUNCATION = "draw components of latents beyond this again"

# --- pictures and videos ------------------------------------------------------------


def _grid_size(text: str) -> tuple[int, int]:
    """Reads "columns,rows"."""
    parts = options_of.names(text.strip("[]"))
    if len(parts) != 2:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected columns,rows")
    return options_of.count(parts[0]), options_of.count(parts[1])


def _seeds(text: str) -> list[int]:
    """Reads "0-31" or "1,5,7-9"."""
    found: list[int] = []
    for part in options_of.names(text):
        low, dash, high = part.partition("-")
        first = options_of.seed(low)
        last = options_of.seed(high) if dash else first
        if last < first or last - first >= 1_000_000:
            raise argparse.ArgumentTypeError(
                f"found {part!r}, expected first-last, as in 0-31"
            )
        found.extend(range(first, last + 1))
    if not found:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seeds, as in 0-31")
    return found


def _prefix(text: str) -> str:
    """Reads the beginning of names of files, which must stay in their folder."""
    if set(text) & set("/\\\0"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected no folder in it")
    if len(os.fsencode(text)) > _LONGEST_PREFIX:
        raise argparse.ArgumentTypeError(
            f"found {text[:40]!r}..., expected at most {_LONGEST_PREFIX} bytes"
        )
    return text


def _add_source(parser, random_seed: bool = True, minibatch: bool = True) -> None:
    _add_run(
        parser,
        "run (folder, number, or newest), snapshot folder, SavedModel, or open: the "
        "weights that come with the package",
    )
    parser.add_argument(
        "--snapshot", type=options_of.index, help="images shown; newest if absent"
    )
    if minibatch:
        parser.add_argument(
            "--minibatch_size", type=options_of.count, default=8, help="faces at once"
        )
    if random_seed:
        parser.add_argument(
            "--random_seed", type=options_of.seed, default=1000, help="of the latents"
        )


def _add_label(parser) -> None:
    parser.add_argument(
        "--label", help="expression, by number or name (happy, ...); zeros if absent"
    )
    parser.add_argument(
        "--label_weight", type=options_of.factor, default=1.0, help="its factor"
    )


def _add_output(parser, default: str) -> None:
    parser.add_argument("--output", default=default, help="folder")
    options_of.add_overwrite(parser)


def _add_video(parser, duration: float) -> None:
    add = parser.add_argument
    add("--mp4", help="file; named after the run if absent")
    options_of.add_overwrite_of_file(parser, "--mp4")
    add("--duration_sec", type=options_of.finite, default=duration, help="length")
    add("--mp4_fps", type=options_of.count, default=30, help="frames a second")
    add("--mp4_codec", default="libx264", help="of ffmpeg, such as libx265")
    add("--mp4_bitrate", help="such as 16M; constant quality if absent")


def _add_appearance(parser) -> None:
    add = parser.add_argument
    add("--grid_size", type=_grid_size, default=(1, 1), help="columns,rows")
    add(
        "--modality",
        choices=("texture", "shape", "normals", "all"),
        default="texture",
        help="of coupled maps",
    )
    add("--image_zoom", type=options_of.count, default=1, help="pixels of a pixel")
    add("--image_shrink", type=options_of.count, default=1, help="means of n x n")


def _add_fake_images(commands) -> None:
    parser = options_of.add_command(
        commands,
        "fake-images",
        "writes generated textures as PNG, shapes and normals as pickled arrays; or "
        "grids of pictures",
        ("picture_programs", "fake_images"),
    )
    _add_source(parser)
    _add_appearance(parser)
    _add_label(parser)
    _add_output(parser, "fakes")
    add = parser.add_argument
    add("--num_pngs", type=options_of.count, help="faces, or grids, default 1")
    add("--seeds", type=_seeds, help="a face of each of these seeds, such as 0-31")
    add("--truncation", type=options_of.finite, help=_TRUNCATION)
    add("--png_prefix", type=_prefix, default="", help="of file names")


def _add_interpolation_images(commands) -> None:
    parser = options_of.add_command(
        commands,
        "interpolation-images",
        "the original's test.py: a walk through faces and expressions, a textured mesh "
        "for each frame",
        ("picture_programs", "interpolation_images"),
    )
    _add_source(parser)
    _add_output(parser, "interpolation")
    add = parser.add_argument
    add("--duration_sec", type=options_of.finite, default=5.0, help="at 30 frames")
    add("--smoothing_sec", type=_SECONDS, default=0.1, help="of the walk")
    add("--uv_dictionary", help="512_UV_dict.pkl or uv_dictionary.npz, or grid")
    add(
        "--label_weights",
        type=options_of.names,
        help="factors of the expressions (10,10,10,10,5,3,10 for seven, else 1)",
    )
    add(
        "--subpixel",
        action="store_true",
        help="look shapes up between pixels and cut the rim, as `generate` does",
    )
    add(
        "--all_frames",
        action="store_true",
        help="also the last frames, which fill no minibatch; the original drops them",
    )


def _add_interpolation_video(commands) -> None:
    parser = options_of.add_command(
        commands,
        "interpolation-video",
        "faces that drift through the latents and come back, as MP4",
        ("picture_programs", "interpolation_video"),
    )
    _add_source(parser)
    _add_appearance(parser)
    _add_label(parser)
    _add_video(parser, 60.0)
    parser.add_argument(
        "--smoothing_sec", type=_SECONDS, default=1.0, help="of the walk"
    )


def _add_dimension_video(commands) -> None:
    parser = options_of.add_command(
        commands,
        "dimension-video",
        "one component of the latents from -4 to 4, as MP4",
        ("picture_programs", "dimension_video"),
    )
    _add_source(parser)
    _add_appearance(parser)
    _add_label(parser)
    _add_video(parser, 60.0)
    parser.add_argument("--dim", type=options_of.index, default=0, help="the component")


def _add_training_video(commands) -> None:
    parser = options_of.add_command(
        commands,
        "training-video",
        "the sheets of fakes as training went on, as MP4",
        ("picture_programs", "training_video"),
    )
    _add_run(parser)
    _add_video(parser, 20.0)
    parser.add_argument(
        "--time_warp", type=options_of.between(0, 100), default=1.5, help="1 is even"
    )
    parser.add_argument(
        "--modality",
        choices=("texture", "shape", "normals"),
        default="texture",
        help="of coupled maps",
    )


def _add_rendering(parser, seeds: str, size: int) -> None:
    """Which faces, and how their meshes are drawn."""
    add = parser.add_argument
    add("--seeds", type=_seeds, default=seeds, help="faces, such as 0-3")
    add("--truncation", type=options_of.finite, help=_TRUNCATION)
    add("--uv_dictionary", help="as of `tf-faces generate`; the run's own if absent")
    add("--size", type=options_of.side, default=size, help="pixels of a face")
    add(
        "--appearance",
        choices=("textured", "shaded", "normals", "depth"),
        default="textured",
        help="what is drawn",
    )


def _add_expression_sheet(commands) -> None:
    parser = options_of.add_command(
        commands,
        "expression-sheet",
        "rendered faces: a row for each identity, the same latents under every "
        "expression",
        ("picture_programs", "expression_sheet"),
    )
    _add_source(parser, random_seed=False)
    _add_rendering(parser, "0-3", 192)
    add = parser.add_argument
    add(
        "--label_weight",
        type=options_of.factor,
        default=1.0,
        help="factor of the labels; more than 1 strengthens expressions",
    )
    add("--yaw", type=options_of.degrees, default=0.0, help="degrees")
    add("--output", default="expressions.png", help="picture file")
    options_of.add_overwrite_of_file(parser, "--output")


def _add_turntable(commands) -> None:
    parser = options_of.add_command(
        commands,
        "turntable",
        "generated faces that turn round, as MP4",
        ("picture_programs", "turntable"),
    )
    _add_source(parser, random_seed=False)
    _add_rendering(parser, "0", 512)
    _add_label(parser)
    _add_video(parser, 4.0)
    parser.add_argument(
        "--swing",
        type=options_of.degrees,
        help="turn so many degrees to each side and back, not all the way round",
    )
    parser.add_argument("--pitch", type=options_of.degrees, default=0.0, help="degrees")


def _add_project(commands) -> None:
    parser = options_of.add_command(
        commands,
        "project",
        "finds the latents of real maps: the original's fit_real_images",
        ("projecting", "project"),
    )
    # All latents are fitted together.
    _add_source(parser, minibatch=False)
    _add_output(parser, "projected")
    add = parser.add_argument
    add("--data", help="record set; the run's own if absent")
    add("--records", type=_seeds, default="0-3", help="numbers in the set, such as 0-3")
    add("--steps", type=options_of.count, default=500, help="at each learning rate")
    add(
        "--learning_rates",
        type=options_of.names,
        default="0.1,0.01,0.001",
        help="one after the other",
    )
    options_of.add_switch(parser, "fit_labels", "fit the expression labels as well")


def _add_nearest(commands) -> None:
    parser = options_of.add_command(
        commands,
        "nearest",
        "the training maps most like each fake, beside it: invented or remembered?",
        ("projecting", "nearest"),
    )
    _add_source(parser)
    _add_output(parser, "nearest")
    add = parser.add_argument
    add("--data", help="record set; the run's own if absent")
    add("--count", type=options_of.count, default=8, help="fakes")
    add("--neighbours", type=options_of.count, default=4, help="of each fake")
