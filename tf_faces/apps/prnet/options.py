"""The command line of PRNet's programs."""

import argparse
import os
from collections.abc import Sequence

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.configs.prnet import NETWORKS
from tf_faces.core import texts

_EXAMPLES = """\
examples:
  tf-faces prnet run-basics -i TestImages/AFLW2000 \\
      --weights Data/net-data/256_256_resfcn256_weight
  tf-faces prnet demo -i photographs -o results --all
  tf-faces prnet demo-texture -i a.jpg -r b.jpg -o c.jpg --mode 1
"""

# The switches of demo.py: name, default, help.
_SWITCHES = (
    ("is3d", True, "write a mesh, .obj"),
    ("isMat", False, "write the mesh as _mesh.mat"),
    ("isKpt", False, "write 68 landmarks, _kpt.txt"),
    ("isPose", False, "write _pose.txt (yaw, pitch, roll) and _camera_matrix.txt"),
    ("isShow", False, "write drawings: _sparse.jpg, _dense.jpg, _pose.jpg"),
    ("isImage", False, "write the picture, .jpg"),
    ("isFront", False, "turn the mesh of .obj to the front"),
    ("isDepth", False, "write _depth.jpg and _depth.mat"),
    ("isTexture", False, "a texture in the place of vertex colours"),
    ("isMask", False, "make what the picture does not show black in the texture"),
    ("visibility", False, "write _visibility.png and _kpt_visibility.txt"),
    ("glb", False, "write .glb with a texture"),
    ("sheet", False, "write all results in one picture, _sheet.png"),
    ("all", False, "write every kind of file but what --isTexture adds"),
)


def _angles(text: str) -> tuple[float, ...]:
    """Degrees separated by commas."""
    try:
        found = tuple(texts.numbers(part for part in text.split(",") if part).tolist())
    except ValueError:
        found = (float("nan"),)
    if not all(-360 <= angle <= 360 for angle in found):
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected degrees separated by commas"
        )
    return found


def _add_network(parser):
    group = parser.add_argument_group("network and faces")
    group.add_argument(
        "--weights",
        help="checkpoint of PRNet, a run folder of ours, a Keras file (.h5) of a port, "
        "or 'random' to try the program; default 'open', those that come with the "
        "package",
    )
    group.add_argument(
        "--network",
        choices=list(NETWORKS),
        help="with --weights random (resfcn256)",
    )
    group.add_argument(
        "--uv_data",
        help="PRNet's folder of UV data (Data/uv-data); a run brings a layout of its "
        "own",
    )
    group.add_argument(
        "--detector",
        metavar="{none,mtcnn,dlib,mediapipe,PACKAGE:FUNCTION}",
        help="finds faces (mtcnn) where no .mat, .pts or .npy file with 68 points "
        "lies beside a picture; without one the face fills the picture; "
        "PACKAGE:FUNCTION takes a picture [H, W, 3] of bytes and returns boxes left, "
        "top, right, bottom",
    )
    group.add_argument("--detector_weights", help="of dlib's or MediaPipe's detector")


def _add_gpu(parser):
    parser.add_argument(
        "--gpu",
        metavar="NUMBER",
        help="sees this GPU alone, -1 none (CUDA_VISIBLE_DEVICES)",
    )


def _folders(parser, output):
    parser.add_argument(
        "-i",
        "--input_dir",
        "--inputDir",
        default="TestImages/",
        help="folder of pictures",
    )
    parser.add_argument(
        "-o", "--output_dir", "--outputDir", default=output, help="folder of results"
    )


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    """The parser of all commands."""
    parser = options_of.ArgumentParser(
        prog=prog,
        description="PRNet: faces in three dimensions from single photographs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, text):
        return commands.add_parser(
            name,
            help=text,
            description=text,
            formatter_class=options_of.DefaultsFormatter,
        )

    basics = command("run-basics", "landmarks, mesh and .mat of pictures")
    _folders(basics, "TestImages/AFLW2000_results")
    options_of.add_overwrite(basics)
    _add_network(basics)

    demo = command("demo", "all results of the pictures of a folder")
    _folders(demo, "TestImages/results")
    options_of.add_overwrite(demo)
    for name, default, text in _SWITCHES:
        demo.add_argument(
            f"--{name}",
            type=options_of.boolean,
            nargs="?",
            const=True,
            default=default,
            metavar="BOOL",
            help=text,
        )
    demo.add_argument(
        "--texture_size", type=options_of.side, help="side of the texture (256)"
    )
    demo.add_argument(
        "--isDlib",
        type=options_of.boolean,
        metavar="BOOL",
        help="the original's spelling: true for --detector dlib with its file in "
        "Data/net-data, false for --detector none",
    )
    _add_gpu(demo)
    _add_network(demo)

    texture = command("demo-texture", "other eyes or another face in a picture")
    texture.add_argument("-i", "--image_path", required=True, help="picture to edit")
    texture.add_argument(
        "-r",
        "--ref_path",
        required=True,
        help="picture of the other face, or several separated by commas: their mean",
    )
    texture.add_argument("-o", "--output_path", required=True, help="result")
    options_of.add_overwrite_of_file(texture, "--output_path")
    texture.add_argument(
        "--mode",
        type=options_of.whole,
        default=1,
        choices=[0, 1],
        help="0 replaces eyes (or --region), 1 the whole face",
    )
    texture.add_argument(
        "--region", help="mask picture in the map, white where to edit"
    )
    texture.add_argument(
        "--match_colors", action="store_true", help="give it the face's own colours"
    )
    texture.add_argument(
        "--no_blend", action="store_true", help="paint without Poisson blending"
    )
    _add_gpu(texture)
    _add_network(texture)

    view = command("view", "an HTML page with the meshes over their pictures")
    view.add_argument("-i", "--input_dir", required=True, help="folder of pictures")
    view.add_argument("-o", "--output", default="faces.html", help="the page")
    options_of.add_overwrite_of_file(view, "--output")
    _add_network(view)

    video = command("video", "landmarks or meshes over a video or a folder of frames")
    video.add_argument(
        "-i", "--input", required=True, help="video file, or folder of frames"
    )
    video.add_argument("-o", "--output", required=True, help="video, .mp4")
    options_of.add_overwrite_of_file(video, "--output")
    video.add_argument(
        "--draw",
        choices=["landmarks", "vertices", "pose", "depth"],
        default="landmarks",
        help="what is shown over the frames",
    )
    video.add_argument(
        "--kpt_dir", help="also write landmarks here, FRAME_kpt.txt for each frame"
    )
    video.add_argument(
        "--frames_per_second",
        type=options_of.finite,
        help="of the output; default the input's",
    )
    _add_network(video)

    maps = command("generate-posmaps", "ground truth maps of 300W-LP or AFLW2000-3D")
    maps.add_argument("-i", "--input_dir", required=True, help="of .jpg and .mat files")
    maps.add_argument("-o", "--output_dir", required=True, help="folder of the pairs")
    maps.add_argument("--model", required=True, help="face model of the .mat files")
    maps.add_argument("--uv_chart", help="BFM_UV.mat, where the model has no chart")
    maps.add_argument("--resolution", type=options_of.count, default=256, help="sides")
    maps.add_argument("--seed", type=options_of.seed, default=0, help="of the crops")
    maps.add_argument(
        "--angles",
        type=_angles,
        default=(),
        help="also turned by these degrees, separated by commas, counter-clockwise: "
        "--angles=-30,30; their names end in _angle_30",
    )
    maps.add_argument(
        "--form",
        choices=["files", "records"],
        default="files",
        help="files with trainDataLabel.txt, or TFRecord files with a manifest",
    )
    maps.add_argument("--shards", type=options_of.count, help="files of records")
    maps.add_argument(
        "--processes", type=options_of.count, help="that work; default one a core"
    )

    measure = command("evaluate", "NME of AFLW2000-3D, by yaw")
    measure.add_argument("-i", "--input_dir", help="AFLW2000-3D's folder")
    measure.add_argument(
        "--predictions",
        help="measure NAME_kpt.txt or NAME.txt (and NAME_mesh.mat), or maps NAME.npy, "
        "of this folder instead",
    )
    measure.add_argument(
        "--lists", help="folder of AFLW2000-3D's lists, in the place of its .mat files"
    )
    measure.add_argument(
        "--reannotated", action="store_true", help="of the lists, the corrected points"
    )
    measure.add_argument(
        "--yaw",
        choices=["fitted", "aflw"],
        help="of the lists, by the fitted pose (default) or by AFLW's labels",
    )
    measure.add_argument(
        "--model", help="face model of the .mat files, for dense errors"
    )
    measure.add_argument("--uv_chart", help="BFM_UV.mat, where the model has no chart")
    measure.add_argument(
        "--no_reconstruction",
        action="store_true",
        help="leave out iterative closest points",
    )
    measure.add_argument("-o", "--output", help="JSON file of all errors")
    measure.add_argument("--csv", help="table of all errors")
    measure.add_argument("--plot", help="picture of the cumulative errors")
    options_of.add_overwrite_of_file(measure, "--output, --csv and --plot")
    _add_network(measure)

    check = command("check-weights", "what a checkpoint holds")
    check.add_argument("weights_path", help="prefix or file of the checkpoint")
    check.add_argument(
        "-o", "--output", help="write the network's variables alone here"
    )
    options_of.add_overwrite_of_file(check, "--output")
    return parser


def _run(arguments: list[str], prog: str | None) -> int | None:
    options = _parser(prog).parse_args(arguments)
    if getattr(options, "gpu", None) is not None:
        # TensorFlow reads it when it begins.
        os.environ["CUDA_VISIBLE_DEVICES"] = options.gpu
    # Here: --help needs no TensorFlow.
    from tf_faces.apps.prnet import ground_truth, programs

    return {
        "generate-posmaps": ground_truth.generate_posmaps,
        "evaluate": ground_truth.evaluate,
        "run-basics": programs.run_basics,
        "demo": programs.demo,
        "demo-texture": programs.demo_texture,
        "view": programs.view,
        "video": programs.video,
        "check-weights": programs.check,
    }[options.command](options)


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program; returns its exit status."""
    return entry.run(lambda given: _run(given, prog), arguments)
