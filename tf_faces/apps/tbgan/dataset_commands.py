"""The commands of dataset_tool, each a function of its options."""

import argparse
import os
from collections.abc import Callable, Iterable

from tf_faces.apps import arguments
from tf_faces.core import machine

# Everything else is imported by the command that needs it: --help is instant, and no
# command but make_uv_set with a GPU-rendered model ever loads TensorFlow.


def _progress(iterable: Iterable, total: int, what: str) -> Iterable:
    from tf_faces.core import progress

    return progress.bar(total, what, iterable=iterable)


# --- creating -------------------------------------------------------------------------


# The options that each way of writing a set has of its own.
FORMS = {"records": ("processes", "num_tasks"), "beam": ("beam_options",)}
# Files and folders that the commands read.
_SOURCES = (
    *("texture_dir", "shape_dir", "normals_dir", "image_dir", "pickle_dir"),
    *("second_texture_dir", "second_shape_dir", "second_normals_dir"),
    *("hdf5_filename", "lmdb_dir", "celeba_dir", "delta_dir"),
)


def _write(options: argparse.Namespace, make_samples: Callable) -> None:
    """Checks the destination first, then lists the samples, then writes them."""
    from tf_faces.data.record_sets import folder, writer

    folder.check_destination(options.tfrecord_dir, options.overwrite)
    fill = None
    if options.form == "beam":
        from tf_faces.data.record_sets import beam

        fill = beam.Filling((options.beam_options or "").split(), progress=True)
    manifest = writer.write_record_set(
        options.tfrecord_dir,
        make_samples(),
        processes=options.processes,
        overwrite=options.overwrite,
        progress=True,
        fill=fill,
    )
    channels, height, width = manifest.shape
    labels = f", {manifest.labels.shape[1]} label values" if manifest.labels else ""
    print(
        f"{options.tfrecord_dir}: {manifest.count} images of {channels} x {height} x "
        f"{width} {manifest.data_type}{labels}."
    )


def prepare(options: argparse.Namespace) -> None:
    """Checks the way of writing; makes sources absolute for workers elsewhere.

    Raises:
      InputError: for an option of another way.
    """
    if not hasattr(options, "beam_options"):
        return
    arguments.refuse_other_forms(options, FORMS)
    for name in _SOURCES if options.form == "beam" else ():
        if getattr(options, name, None):
            setattr(options, name, os.path.abspath(getattr(options, name)))


def create_from_pkl_img_norm(options: argparse.Namespace) -> None:
    from tf_faces.core.errors import InputError
    from tf_faces.data.record_sets import coupled

    source = coupled.CoupledSource(
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
        second = coupled.CoupledSource(
            *folders, options.second_labels, options.second_paths
        )
    elif options.second_labels or options.second_paths:
        raise InputError(
            "--second_labels and --second_paths belong to --second_texture_dir, "
            "--second_shape_dir and --second_normals_dir, which are missing."
        )
    _write(
        options,
        lambda: coupled.from_pkl_img_norm(source, second, options.shuffle),
    )


# What `make_uv_set` makes of a model where nothing else is asked for.
_OF_A_MODEL = {"count": 1000, "seed": 0, "chart": "whole", "expressions_per_subject": 1}


def _model_options(options: argparse.Namespace) -> dict:
    given = {name: getattr(options, name) for name in _OF_A_MODEL}
    return {
        "resolution": options.resolution,
        **_OF_A_MODEL,
        **{name: value for name, value in given.items() if value is not None},
    }


def create_from_meshes(options: argparse.Namespace) -> None:
    from tf_faces.core.errors import InputError
    from tf_faces.data.record_sets import coupled

    if (options.mesh_dir is None) == (options.model is None):
        found = "neither" if options.model is None else "both"
        raise InputError(
            f"found {found} of a folder of meshes and --model, expected one of them."
        )
    if options.model is None:
        lonely = [name for name in _OF_A_MODEL if getattr(options, name) is not None]
        if lonely:
            raise InputError(f"--{lonely[0]}: found without --model, expected with it.")
    elif options.labels or options.paths:
        raise InputError(
            "--labels and --paths belong to a folder of meshes; faces of --model bring "
            "their own."
        )
    maps = options.maps or f"{options.tfrecord_dir.rstrip(os.sep)}-maps"
    _write(
        options,
        lambda: coupled.from_pkl_img_norm(
            _make_maps(options, maps), shuffle=options.shuffle
        ),
    )
    print(f"{maps}: the UV maps of it, kept.")


def _make_maps(options: argparse.Namespace, maps: str):
    """Makes the UV set of meshes or a model; returns it as a `CoupledSource`."""
    from tf_faces.data.record_sets import coupled

    labels, paths = options.labels, options.paths
    processes = options.processes or machine.processors()
    if options.model is not None:
        from tf_faces.data import uv_sets

        uv_sets.make_uv_set(
            maps, options.model, processes=processes, **_model_options(options)
        )
        labels, paths = (os.path.join(maps, f"{n}.pkl") for n in ("labels", "paths"))
    else:
        from tf_faces.data import mesh_uv_sets

        if labels and paths:
            # Before minutes of work.
            coupled.load_labels(labels, paths)
        mesh_uv_sets.make_mesh_set(
            maps, options.mesh_dir, options.resolution, processes=processes
        )
    folders = [os.path.join(maps, name) for name in ("texture", "shape", "normals")]
    return coupled.CoupledSource(*folders, labels, paths)


def create_from_pkl_img(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import coupled

    _write(
        options,
        lambda: coupled.from_pkl_img(
            options.image_dir, options.pickle_dir, options.shuffle
        ),
    )


def create_from_pkl(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import coupled

    _write(options, lambda: coupled.from_pkl(options.image_dir, options.shuffle))


def create_from_images(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(
        options,
        lambda: pictures.from_images(options.image_dir, options.shuffle),
    )


def create_from_hdf5(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(
        options,
        lambda: pictures.from_hdf5(options.hdf5_filename, options.shuffle),
    )


def create_mnist(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(options, lambda: pictures.mnist(options.mnist_dir))


def create_mnistrgb(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(
        options,
        lambda: pictures.mnistrgb(
            options.mnist_dir, options.num_images, options.random_seed
        ),
    )


def create_cifar10(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(options, lambda: pictures.cifar10(options.cifar10_dir))


def create_cifar100(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(options, lambda: pictures.cifar100(options.cifar100_dir))


def create_svhn(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(options, lambda: pictures.svhn(options.svhn_dir))


def create_lsun(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(
        options,
        lambda: pictures.lsun(options.lmdb_dir, options.resolution, options.max_images),
    )


def create_celeba(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import pictures

    _write(
        options,
        lambda: pictures.celeba(options.celeba_dir, options.cx, options.cy),
    )


def create_celebahq(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import celebahq

    if options.num_tasks is not None:
        wanted = options.processes or machine.processors()
        options.processes = min(wanted, options.num_tasks)
    _write(
        options,
        lambda: celebahq.samples(
            options.celeba_dir,
            options.delta_dir,
            without_deltas=options.without_deltas,
            image_list=options.image_list,
        ),
    )
    if options.without_deltas:
        print(
            f"{options.tfrecord_dir}: made without deltas; not the pictures of "
            "CelebA-HQ, which have more details."
        )


def make_uv_set(options: argparse.Namespace) -> None:
    from tf_faces.data import uv_sets

    directory = uv_sets.make_uv_set(
        options.directory,
        options.model,
        processes=options.processes or machine.processors(),
        **_model_options(options),
    )
    print(
        f"{directory}: {_model_options(options)['count']} samples of "
        f"{options.resolution} x {options.resolution}."
    )


# --- looking --------------------------------------------------------------------------


def display(options: argparse.Namespace) -> None:
    from tf_faces.apps.tbgan import dataset_display
    from tf_faces.core import folders, pictures
    from tf_faces.data.record_sets import inspection, reader

    if options.output is not None:
        folders.require_free_file(options.output, overwrite=options.overwrite)
    record_set = reader.RecordSet(options.tfrecord_dir)
    if options.output is not None:
        sheet = inspection.contact_sheet(record_set, options.start, options.count)
        pictures.write(options.output, sheet)
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
                dataset_display.terminal_picture(inspection.side_by_side(image)),
                flush=True,
            )


def extract(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import inspection, reader

    record_set = reader.RecordSet(options.tfrecord_dir)
    count = inspection.extract(
        record_set, options.output_dir, options.arrays, _progress, options.overwrite
    )
    print(f"{options.output_dir}: extracted {count} images.")


def compare(options: argparse.Namespace) -> int:
    from tf_faces.data.record_sets import inspection, reader

    first = reader.RecordSet(options.tfrecord_dir_a)
    second = reader.RecordSet(options.tfrecord_dir_b)
    outcome = inspection.compare(first, second, options.ignore_labels, _progress)
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
    print("The sets are equal." if outcome.equal else "The sets differ.")
    return 0 if outcome.equal else 1


def verify(options: argparse.Namespace) -> None:
    from tf_faces.data.record_sets import (
        inspection,
        reader,
    )
    from tf_faces.data.record_sets import (
        manifest as record_manifest,
    )

    record_set = reader.RecordSet(options.tfrecord_dir)
    inspection.verify(record_set, _progress)
    remark = "as in its manifest"
    if record_set.manifest is None:
        remark = f"without {record_manifest.FILE_NAME}"
        if options.write_manifest:
            manifest = inspection.make_manifest(record_set)
            record_manifest.write(record_set.directory, manifest)
            remark = f"{record_manifest.FILE_NAME} written"
    print(
        f"{options.tfrecord_dir}: whole, {record_set.count} images of "
        f"{list(record_set.shape)} {record_set.dtype}, {record_set.label_size} label "
        f"values, {len(record_set.paths)} resolutions, {remark}."
    )
