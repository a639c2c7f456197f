"""dataset_tool: makes, shows, compares and checks TFRecord sets of training images."""

import argparse
from collections.abc import Callable, Iterable, Sequence

from tf_faces.apps import entry
from tf_faces.core import machine

# Everything else is imported by the command that needs it: --help is instant, and no
# command but make_uv_set with a GPU-rendered model ever loads TensorFlow.

_EPILOG = """\
examples:
  # A coupled UV set of 200 built-in faces, and the TFRecords that TBGAN trains on:
  dataset_tool.py make_uv_set uv --model builtin --count 200 --resolution 64
  dataset_tool.py create_from_pkl_img_norm records/faces64 uv/texture uv/shape \\
      uv/normals --labels uv/labels.pkl --paths uv/paths.pkl
  dataset_tool.py verify records/faces64
  dataset_tool.py display records/faces64 --output sheet.png

  # Any folder of square pictures, for a plain Progressive GAN:
  dataset_tool.py create_from_images records/cats pictures/

A record set appears under its name only when it is whole.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    return entry.run(_main, arguments)


def _main(arguments: list[str]) -> int | None:
    if not arguments:
        arguments = ["--help"]
    options = _parser().parse_args(arguments)
    return options.function(options)


def _progress(iterable: Iterable, total: int, what: str) -> Iterable:
    import tqdm

    return tqdm.tqdm(iterable, total=total, unit=what, dynamic_ncols=True)


# --- creating -------------------------------------------------------------------------


def _write(options: argparse.Namespace, make_samples: Callable) -> None:
    """Checks the destination first, then lists the samples, then writes them."""
    from tf_faces.data import dataset_folder, dataset_writer

    dataset_folder.check_destination(options.tfrecord_dir, options.overwrite)
    manifest = dataset_writer.write_record_set(
        options.tfrecord_dir,
        make_samples(),
        processes=options.processes,
        overwrite=options.overwrite,
        progress=True,
    )
    channels, height, width = manifest.shape
    labels = f", {manifest.labels.shape[1]} label values" if manifest.labels else ""
    print(
        f"{options.tfrecord_dir}: {manifest.count} images of {channels} x {height} x "
        f"{width} {manifest.data_type}{labels}."
    )


def _create_from_pkl_img_norm(options: argparse.Namespace) -> None:
    from tf_faces.core.errors import InputError
    from tf_faces.data import dataset_coupled

    source = dataset_coupled.CoupledSource(
        options.texture_dir,
        options.shape_dir,
        options.normals_dir,
        options.labels,
        options.paths,
    )
    second = None
    folders = (
        options.second_texture_dir,
        options.second_shape_dir,
        options.second_normals_dir,
    )
    if any(folders):
        if not all(folders):
            raise InputError(
                "The second part needs all of --second_texture_dir, --second_shape_dir "
                "and --second_normals_dir."
            )
        second = dataset_coupled.CoupledSource(
            *folders, options.second_labels, options.second_paths
        )
    elif options.second_labels or options.second_paths:
        raise InputError(
            "--second_labels and --second_paths belong to --second_texture_dir, "
            "--second_shape_dir and --second_normals_dir, which are missing."
        )
    _write(
        options,
        lambda: dataset_coupled.from_pkl_img_norm(source, second, options.shuffle),
    )


def _create_from_pkl_img(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_coupled

    _write(
        options,
        lambda: dataset_coupled.from_pkl_img(
            options.image_dir, options.pickle_dir, options.shuffle
        ),
    )


def _create_from_pkl(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_coupled

    _write(
        options, lambda: dataset_coupled.from_pkl(options.image_dir, options.shuffle)
    )


def _create_from_images(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(
        options,
        lambda: dataset_pictures.from_images(options.image_dir, options.shuffle),
    )


def _create_from_hdf5(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(
        options,
        lambda: dataset_pictures.from_hdf5(options.hdf5_filename, options.shuffle),
    )


def _create_mnist(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(options, lambda: dataset_pictures.mnist(options.mnist_dir))


def _create_mnistrgb(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(
        options,
        lambda: dataset_pictures.mnistrgb(
            options.mnist_dir, options.num_images, options.random_seed
        ),
    )


def _create_cifar10(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(options, lambda: dataset_pictures.cifar10(options.cifar10_dir))


def _create_cifar100(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(options, lambda: dataset_pictures.cifar100(options.cifar100_dir))


def _create_svhn(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(options, lambda: dataset_pictures.svhn(options.svhn_dir))


def _create_lsun(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(
        options,
        lambda: dataset_pictures.lsun(
            options.lmdb_dir, options.resolution, options.max_images
        ),
    )


def _create_celeba(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_pictures

    _write(
        options,
        lambda: dataset_pictures.celeba(options.celeba_dir, options.cx, options.cy),
    )


def _make_uv_set(options: argparse.Namespace) -> None:
    from tf_faces.data import uv_sets

    directory = uv_sets.make_uv_set(
        options.directory,
        options.model,
        options.count,
        options.resolution,
        options.seed,
        expressions_per_subject=options.expressions_per_subject,
        processes=options.processes or machine.processors(),
    )
    print(
        f"{directory}: {options.count} samples of {options.resolution} x "
        f"{options.resolution}."
    )


# --- looking --------------------------------------------------------------------------


def _display(options: argparse.Namespace) -> None:
    from tf_faces.apps import dataset_display
    from tf_faces.data import dataset_inspect, dataset_reader, images

    record_set = dataset_reader.RecordSet(options.tfrecord_dir)
    if options.output is not None:
        sheet = dataset_inspect.contact_sheet(record_set, options.start, options.count)
        images.save_image(sheet, options.output, (0, 255))
        print(f"{options.output}: images {options.start} and following.")
        return
    if not options.terminal and dataset_display.has_window():
        dataset_display.show_window(record_set, options.start)
        return
    # No window: the smallest picture that a terminal can still show well.
    level = max(0, record_set.resolution_log2 - 5)
    stop = min(options.start + options.count, record_set.count)
    with record_set.open(level) as opened:
        for number in range(options.start, stop):
            image = record_set.checked_image(opened, number)
            print(number, dataset_display.label_text(record_set.labels[number]))
            print(
                dataset_display.terminal_picture(dataset_inspect.side_by_side(image)),
                flush=True,
            )


def _extract(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_inspect, dataset_reader

    record_set = dataset_reader.RecordSet(options.tfrecord_dir)
    count = dataset_inspect.extract(
        record_set, options.output_dir, options.arrays, _progress
    )
    print(f"{options.output_dir}: extracted {count} images.")


def _compare(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_inspect, dataset_reader

    first = dataset_reader.RecordSet(options.tfrecord_dir_a)
    second = dataset_reader.RecordSet(options.tfrecord_dir_b)
    outcome = dataset_inspect.compare(first, second, options.ignore_labels, _progress)
    for number in outcome.different_images:
        print(f"Image {number} is different")
    for number in outcome.different_labels:
        print(f"Label {number} is different")
    if outcome.counts[0] != outcome.counts[1]:
        print(
            f"The sets have different lengths: {outcome.counts[0]} and "
            f"{outcome.counts[1]} images"
        )
    same = outcome.compared - len(outcome.different_images)
    print(f"Identical images: {same} / {outcome.compared}")
    if not options.ignore_labels:
        same = outcome.compared - len(outcome.different_labels)
        print(f"Identical labels: {same} / {outcome.compared}")


def _verify(options: argparse.Namespace) -> None:
    from tf_faces.data import dataset_inspect, dataset_manifest, dataset_reader

    record_set = dataset_reader.RecordSet(options.tfrecord_dir)
    dataset_inspect.verify(record_set, _progress)
    remark = "as in its manifest"
    if record_set.manifest is None:
        remark = f"without {dataset_manifest.FILE_NAME}"
        if options.write_manifest:
            manifest = dataset_inspect.make_manifest(record_set)
            dataset_manifest.write(record_set.directory, manifest)
            remark = f"{dataset_manifest.FILE_NAME} written"
    print(
        f"{options.tfrecord_dir}: whole, {record_set.count} images of "
        f"{list(record_set.shape)} {record_set.dtype}, {record_set.label_size} label "
        f"values, {len(record_set.paths)} resolutions, {remark}."
    )


# --- the command line -----------------------------------------------------------------


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 0 or 1")
    return text == "1"


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a positive number")
    return value


def _index(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 0 or more")
    return value


def _parser() -> entry.ArgumentParser:
    parser = entry.ArgumentParser(
        prog="dataset_tool.py",
        description="Makes, shows, compares and checks TFRecord sets of training "
        "images.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, function: Callable, text: str) -> entry.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(function=function)
        return command

    def add_create(
        name: str, function: Callable, text: str, *sources: tuple[str, str]
    ) -> entry.ArgumentParser:
        command = add(name, function, text)
        command.add_argument("tfrecord_dir", help="new record set to be created")
        for source, source_help in sources:
            command.add_argument(source, help=source_help)
        command.add_argument(
            "--processes",
            type=_count,
            help="processes that prepare images (default: the processors, fewer for "
            "small sets)",
        )
        command.add_argument(
            "--overwrite", action="store_true", help="replace an existing record set"
        )
        return command

    def add_shuffle(command: entry.ArgumentParser) -> None:
        command.add_argument(
            "--shuffle",
            type=_switch,
            default=True,
            metavar="0|1",
            help="write in the original's shuffled order (default: 1)",
        )

    command = add(
        "display",
        _display,
        "Show images: in a window, the terminal, or a picture file.",
    )
    command.add_argument("tfrecord_dir", help="record set")
    command.add_argument("--start", type=_index, default=0, help="first image")
    command.add_argument(
        "--count", type=_count, default=16, help="how many (default 16)"
    )
    command.add_argument("--output", help="write a contact sheet (.png, .jpg) instead")
    command.add_argument(
        "--terminal", action="store_true", help="use the terminal, never a window"
    )

    command = add(
        "extract", _extract, "Write every image as img00000000.png and so on."
    )
    command.add_argument("tfrecord_dir", help="record set")
    command.add_argument("output_dir", help="folder for the pictures")
    command.add_argument(
        "--arrays", action="store_true", help="write float data exactly as .pkl, too"
    )

    command = add("compare", _compare, "Compare two record sets.")
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
        "verify", _verify, "Check every record, checksum, size and label of a set."
    )
    command.add_argument("tfrecord_dir", help="record set")
    command.add_argument(
        "--write_manifest",
        action="store_true",
        help="add manifest.json to a set that has none",
    )

    command = add_create(
        "create_from_pkl_img_norm",
        _create_from_pkl_img_norm,
        "Coupled UV maps of 9 channels: texture, shape, normals; paired by base name.",
        ("texture_dir", "textures, <key>.png, RGB"),
        ("shape_dir", "shape maps, <key>.pkl, arrays [3, R, R]"),
        ("normals_dir", "normals maps, <key>.pkl, arrays [3, R, R]"),
    )
    add_shuffle(command)
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
        _create_from_pkl_img,
        "Coupled UV maps of 6 channels: texture, shape; paired by base name.",
        ("image_dir", "textures, <key>.png, RGB"),
        ("pickle_dir", "shape maps, <key>.pkl, arrays [3, R, R]"),
    )
    add_shuffle(command)

    command = add_create(
        "create_from_pkl",
        _create_from_pkl,
        "Float maps of 1 or 3 channels.",
        ("image_dir", "folder of .pkl arrays [C, R, R]"),
    )
    add_shuffle(command)

    command = add_create(
        "create_from_images",
        _create_from_images,
        "A folder of square pictures, RGB or grey.",
        ("image_dir", "folder of pictures"),
    )
    add_shuffle(command)

    command = add_create(
        "create_from_hdf5",
        _create_from_hdf5,
        "A legacy HDF5 archive.",
        ("hdf5_filename", "HDF5 file"),
    )
    add_shuffle(command)

    add_create(
        "create_mnist",
        _create_mnist,
        "MNIST digits, 32 x 32 grey, with labels.",
        ("mnist_dir", "folder of train-images-idx3-ubyte.gz"),
    )
    command = add_create(
        "create_mnistrgb",
        _create_mnistrgb,
        "Three random MNIST digits as one RGB picture.",
        ("mnist_dir", "folder of train-images-idx3-ubyte.gz"),
    )
    command.add_argument("--num_images", type=_count, default=1_000_000)
    command.add_argument("--random_seed", type=_index, default=123)
    add_create(
        "create_cifar10",
        _create_cifar10,
        "CIFAR-10, with labels.",
        ("cifar10_dir", "folder of data_batch_1 ... 5"),
    )
    add_create(
        "create_cifar100",
        _create_cifar100,
        "CIFAR-100, with labels.",
        ("cifar100_dir", "folder of the file train"),
    )
    add_create(
        "create_svhn",
        _create_svhn,
        "SVHN, with labels.",
        ("svhn_dir", "folder of train_1.pkl ... 3"),
    )
    command = add_create(
        "create_lsun",
        _create_lsun,
        "One LSUN category, cropped and resized.",
        ("lmdb_dir", "LMDB database"),
    )
    command.add_argument("--resolution", type=_count, default=256)
    command.add_argument("--max_images", type=_count)
    command = add_create(
        "create_celeba",
        _create_celeba,
        "Aligned CelebA, 128 x 128.",
        ("celeba_dir", "folder of img_align_celeba_png"),
    )
    command.add_argument("--cx", type=_index, default=89, help="centre column")
    command.add_argument("--cy", type=_index, default=121, help="centre row")

    command = add(
        "make_uv_set",
        _make_uv_set,
        "Make coupled UV maps from a morphable model: input of "
        "create_from_pkl_img_norm.",
    )
    command.add_argument("directory", help="folder of the new set")
    command.add_argument(
        "--model",
        default="builtin",
        metavar="builtin|ict|makehuman|FILE",
        help="morphable model (default: builtin)",
    )
    command.add_argument("--count", type=_count, default=1000, help="samples")
    command.add_argument(
        "--resolution",
        type=int,
        choices=(32, 64, 128, 256, 512),
        default=64,
        help="side of the maps (default: 64)",
    )
    command.add_argument("--seed", type=_index, default=0)
    command.add_argument(
        "--expressions_per_subject",
        type=_count,
        default=1,
        help="samples that share an identity (default: 1)",
    )
    command.add_argument("--processes", type=_count)
    return parser
