"""dataset_tool: makes, shows, compares and checks TFRecord sets of training images."""

import argparse
import functools
from collections.abc import Callable, Sequence
from typing import Any

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.apps.tbgan import dataset_commands
from tf_faces.core import machine

_EPILOG = """\
examples:
  # A coupled UV set of 200 built-in faces, and the TFRecords that TBGAN trains on:
  tf-faces dataset make_uv_set uv --model builtin --count 200 --resolution 64
  tf-faces dataset create_from_pkl_img_norm records/faces64 uv/texture uv/shape \\
      uv/normals --labels uv/labels.pkl --paths uv/paths.pkl
  tf-faces dataset verify records/faces64
  tf-faces dataset display records/faces64 --output sheet.png

  # Registered meshes, with their pictures beside them, in one go:
  tf-faces dataset create_from_meshes records/scans scans/ --resolution 64

  # Any folder of square pictures, for a plain Progressive GAN:
  tf-faces dataset create_from_images records/cats pictures/

A record set appears under its name only when it is whole.
"""


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program; returns its exit status."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _main(arguments: list[str], prog: str | None = None) -> int | None:
    if not arguments:
        arguments = ["--help"]
    options = _parser(prog).parse_args(arguments)
    dataset_commands.prepare(options)
    machine.keep_freed_memory()
    return options.function(options)


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 0 or 1")
    return text == "1"


_MODEL = {
    "metavar": "builtin|ict|makehuman|FILE",
    "help": "morphable model (default: builtin)",
}
_CHART = (
    "all skin of the model, or the front of the face, which then fills most of the "
    "maps (default: whole)"
)


def _add_resolution(command: options_of.ArgumentParser) -> None:
    command.add_argument(
        "--resolution",
        type=options_of.whole,
        choices=(32, 64, 128, 256, 512),
        default=64,
        help="side of the maps (default: 64)",
    )


def _add_model_options(command: Any) -> None:
    """How many faces of a model, and which; all None where they are not given."""
    add = command.add_argument
    add("--count", type=options_of.count, help="samples (default: 1000)")
    add("--chart", choices=("whole", "face"), help=_CHART)
    add("--seed", type=options_of.seed, help="of the set (default: 0)")
    add(
        "--expressions_per_subject",
        type=options_of.count,
        help="samples that share an identity (default: 1)",
    )


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description="Makes, shows, compares and checks TFRecord sets of training "
        "images.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Callable, text: str) -> options_of.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    def add_create(
        name: str, function: Callable, text: str, *sources: tuple[str, str]
    ) -> options_of.ArgumentParser:
        command = add(name, function, text)
        command.add_argument("tfrecord_dir", help="new record set to be created")
        for source, source_help in sources:
            command.add_argument(source, help=source_help)
        command.add_argument(
            "--processes",
            type=options_of.count,
            help="processes that prepare images (default: the processors, fewer for "
            "small sets)",
        )
        command.add_argument(
            "--overwrite", action="store_true", help="replace an existing record set"
        )
        command.set_defaults(form="records")
        return command

    def add_beam(command: options_of.ArgumentParser) -> None:
        """For sources that are files, which workers elsewhere can read, too."""
        command.add_argument(
            "--form",
            choices=tuple(dataset_commands.FORMS),
            default="records",
            help="records: written by processes of this machine; beam: the same files "
            "by an Apache Beam pipeline, whose workers reach all folders under the "
            "same names (pip install 'tf_faces[beam]', in an environment of its own; "
            "default: records)",
        )
        command.add_argument("--beam_options", help="of the Beam pipeline, in one word")

    def add_shuffle(command: options_of.ArgumentParser) -> None:
        command.add_argument(
            "--shuffle",
            type=_switch,
            default=True,
            metavar="0|1",
            help="write in the original's shuffled order (default: 1)",
        )

    command = add(
        "display",
        dataset_commands.display,
        "Show images: in a window, the terminal, or a picture file.",
    )
    command.add_argument("tfrecord_dir", help="record set")
    command.add_argument(
        "--start", type=options_of.index, default=0, help="first image"
    )
    command.add_argument(
        "--count", type=options_of.count, default=16, help="how many (default 16)"
    )
    command.add_argument("--output", help="write a contact sheet (.png, .jpg) instead")
    options_of.add_overwrite_of_file(command, "--output")
    command.add_argument(
        "--terminal", action="store_true", help="use the terminal, never a window"
    )

    command = add(
        "extract",
        dataset_commands.extract,
        "Write every image as img00000000.png and so on.",
    )
    command.add_argument("tfrecord_dir", help="record set")
    command.add_argument("output_dir", help="folder for the pictures")
    command.add_argument(
        "--arrays", action="store_true", help="write float data exactly as .pkl, too"
    )
    command.add_argument(
        "--overwrite", action="store_true", help="replace what was extracted before"
    )

    command = add(
        "compare",
        dataset_commands.compare,
        "Compare two record sets; exit status 1 if they differ.",
    )
    command.add_argument("tfrecord_dir_a", help="first record set")
    command.add_argument("tfrecord_dir_b", help="second record set")
    command.add_argument(
        "--ignore_labels",
        type=_switch,
        default=False,
        metavar="0|1",
        help="compare images only (default: 0)",
    )

    command = add(
        "verify",
        dataset_commands.verify,
        "Check every record, checksum, size and label of a set.",
    )
    command.add_argument("tfrecord_dir", help="record set")
    command.add_argument(
        "--write_manifest",
        action="store_true",
        help="add manifest.json to a set that has none",
    )

    command = add_create(
        "create_from_pkl_img_norm",
        dataset_commands.create_from_pkl_img_norm,
        "Coupled UV maps of 9 channels: texture, shape, normals; paired by base name.",
        ("texture_dir", "textures, <key>.png, RGB"),
        ("shape_dir", "shape maps, <key>.pkl, arrays [3, R, R]"),
        ("normals_dir", "normals maps, <key>.pkl, arrays [3, R, R]"),
    )
    add_shuffle(command)
    add_beam(command)
    command.add_argument("--labels", help=".pkl or .npy array [n, label size]")
    command.add_argument("--paths", help=".pkl list of the n keys of --labels")
    second = command.add_argument_group(
        "second part",
        "Another data set, with one sub-folder a subject: the part of "
        "the key before the first dot.",
    )
    second.add_argument("--second_texture_dir", help="<subject>/<key>.png")
    second.add_argument("--second_shape_dir", help="<subject>/<key>.pkl")
    second.add_argument("--second_normals_dir", help="<subject>/<key>.pkl")
    second.add_argument("--second_labels", help="as --labels")
    second.add_argument("--second_paths", help="as --paths")

    command = add_create(
        "create_from_pkl_img",
        dataset_commands.create_from_pkl_img,
        "Coupled UV maps of 6 channels: texture, shape; paired by base name.",
        ("image_dir", "textures, <key>.png, RGB"),
        ("pickle_dir", "shape maps, <key>.pkl, arrays [3, R, R]"),
    )
    add_shuffle(command)
    add_beam(command)

    command = add_create(
        "create_from_pkl",
        dataset_commands.create_from_pkl,
        "Float maps of 1 or 3 channels.",
        ("image_dir", "folder of .pkl arrays [C, R, R]"),
    )
    add_shuffle(command)
    add_beam(command)

    command = add_create(
        "create_from_meshes",
        dataset_commands.create_from_meshes,
        "Coupled UV maps of 9 channels from registered meshes, or from a morphable "
        "model.",
    )
    command.add_argument(
        "mesh_dir",
        nargs="?",
        help="folder of .obj, .ply or .glb files of one topology and one chart, with "
        "texture pictures or vertex colours",
    )
    add_shuffle(command)
    _add_resolution(command)
    command.add_argument(
        "--maps",
        help="folder for the UV maps; kept, so that an interrupted run goes on where "
        "it was (default: the record set's name and -maps)",
    )
    command.add_argument("--labels", help=".pkl or .npy array [n, label size]")
    command.add_argument(
        "--paths", help=".pkl list of the n names of meshes, without suffix"
    )
    faces = command.add_argument_group(
        "faces of a model", "Random faces with expression labels, instead of mesh_dir."
    )
    faces.add_argument("--model", metavar=_MODEL["metavar"], help="morphable model")
    _add_model_options(faces)

    command = add_create(
        "create_from_images",
        dataset_commands.create_from_images,
        "A folder of square pictures, RGB or grey.",
        ("image_dir", "folder of pictures"),
    )
    add_shuffle(command)
    add_beam(command)

    command = add_create(
        "create_from_hdf5",
        dataset_commands.create_from_hdf5,
        "A legacy HDF5 archive.",
        ("hdf5_filename", "HDF5 file"),
    )
    add_shuffle(command)
    add_beam(command)

    add_create(
        "create_mnist",
        dataset_commands.create_mnist,
        "MNIST digits, 32 x 32 grey, with labels.",
        ("mnist_dir", "folder of train-images-idx3-ubyte.gz"),
    )
    command = add_create(
        "create_mnistrgb",
        dataset_commands.create_mnistrgb,
        "Three random MNIST digits as one RGB picture.",
        ("mnist_dir", "folder of train-images-idx3-ubyte.gz"),
    )
    command.add_argument("--num_images", type=options_of.count, default=1_000_000)
    command.add_argument("--random_seed", type=options_of.seed, default=123)
    add_create(
        "create_cifar10",
        dataset_commands.create_cifar10,
        "CIFAR-10, with labels.",
        ("cifar10_dir", "folder of data_batch_1 ... 5"),
    )
    add_create(
        "create_cifar100",
        dataset_commands.create_cifar100,
        "CIFAR-100, with labels.",
        ("cifar100_dir", "folder of the file train"),
    )
    add_create(
        "create_svhn",
        dataset_commands.create_svhn,
        "SVHN, with labels.",
        ("svhn_dir", "folder of train_1.pkl ... 3"),
    )
    command = add_create(
        "create_lsun",
        dataset_commands.create_lsun,
        "One LSUN category, cropped and resized.",
        ("lmdb_dir", "LMDB database"),
    )
    command.add_argument("--resolution", type=options_of.count, default=256)
    command.add_argument("--max_images", type=options_of.count)
    add_beam(command)
    command = add_create(
        "create_celeba",
        dataset_commands.create_celeba,
        "Aligned CelebA, 128 x 128.",
        ("celeba_dir", "folder of img_align_celeba_png"),
    )
    command.add_argument(
        "--cx", type=options_of.index, default=89, help="centre column"
    )
    command.add_argument("--cy", type=options_of.index, default=121, help="centre row")
    add_beam(command)

    command = add_create(
        "create_celebahq",
        dataset_commands.create_celebahq,
        "CelebA-HQ, 1024 x 1024: upright faces of CelebA's pictures in the wild.",
        ("celeba_dir", "folder of img_celeba and Anno/list_landmarks_celeba.txt"),
    )
    command.add_argument(
        "delta_dir",
        nargs="?",
        help="folder of image_list.txt and delta*.zip (pip install "
        "'tf_faces[celebahq]')",
    )
    command.add_argument(
        "--without_deltas",
        action="store_true",
        help="write the upright pictures as they are, without CelebA-HQ's details and "
        "without comparing their MD5; needs no delta*.zip",
    )
    command.add_argument(
        "--image_list",
        help="which pictures: a list with the columns idx and orig_file, such as "
        "CelebAMask-HQ's CelebA-HQ-to-CelebA-mapping.txt (default: image_list.txt of "
        "delta_dir)",
    )
    command.add_argument(
        "--num_threads",
        dest="processes",
        type=options_of.count,
        help="the original's name of --processes",
    )
    command.add_argument(
        "--num_tasks",
        type=options_of.count,
        help="most images in work at a time, an upper limit of --processes (default: "
        "no limit)",
    )
    add_beam(command)

    command = add(
        "make_uv_set",
        dataset_commands.make_uv_set,
        "Make coupled UV maps from a morphable model: input of "
        "create_from_pkl_img_norm.",
    )
    command.add_argument("directory", help="folder of the new set")
    command.add_argument("--model", default="builtin", **_MODEL)
    _add_resolution(command)
    _add_model_options(command)
    command.add_argument("--processes", type=options_of.count)
    return parser
