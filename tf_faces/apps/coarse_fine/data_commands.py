"""Commands about training sets, and sample-test, which needs none."""

import argparse
import pathlib
import time

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.core import files, folders, pictures, texts
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.data.coarse_fine import fetching, labels, lists, packed, preparation
from tf_faces.data.coarse_fine import pictures as grey_pictures

_LONGEST_TIMEOUT = 86400
# What they are where they are not given.
_OF_RANDOM_LABELS = {"constant_share": 0.7, "seed": 0}
# Options that the pictures and labels of a set depend on.
_RECIPE = (
    *("lists", "images", "true_parameters", "face_model", "image_size", "seed"),
    *("constant_share", "digits"),
)


def fetch(options: argparse.Namespace) -> None:
    """Fetches a manifest's files; fails if one could not be had."""
    text = texts.read(options.manifest, "a manifest")
    entries = fetching.parse_manifest(text, str(options.manifest))
    if not 0 < options.timeout <= _LONGEST_TIMEOUT:
        raise InputError(
            f"--timeout: found {options.timeout}, expected above 0 and at most "
            f"{_LONGEST_TIMEOUT} seconds."
        )
    outcome = fetching.fetch_all(
        entries,
        options.output,
        maximum_bytes=options.maximum_megabytes << 20,
        timeout=options.timeout,
    )
    for name, why in outcome.failed.items():
        print(f"{name}: {why}")
    print(
        f"{options.output}: {outcome.fetched} fetched, {outcome.present} there "
        f"already, {len(outcome.failed)} failed."
    )
    if outcome.failed:
        raise TfFacesError(
            f"{len(outcome.failed)} of {len(entries)} files could not be fetched; the "
            "same command tries them again."
        )


def manifest(options: argparse.Namespace) -> None:
    """Writes a manifest of VGGFace's lists."""
    folders.require_free_file(options.output, overwrite=options.overwrite)
    found = preparation.vggface_lists(options.lists)
    if options.subject is not None:
        if options.subject not in found:
            raise InputError(
                f"--subject: found {options.subject!r}, expected one of the "
                f"{len(found)} lists of {options.lists}."
            )
        found = {options.subject: found[options.subject]}
    lines = [
        f"{face.url} {subject}/{face.number}.jpg\n"
        for subject, faces in found.items()
        for face in faces
    ]
    files.write_text(options.output, "".join(lines))
    print(f"{options.output}: {len(lines)} files of {len(found)} subjects.")


def prepare(options: argparse.Namespace) -> None:
    """Writes pictures, labels and the list of a training set."""
    from tf_faces.morphable import raw_form

    counts = preparation.Counts()
    given = {options.lists is not None, options.images is not None}
    from_lists = options.true_parameters is None
    if given != {from_lists}:
        raise InputError(
            "--lists and --images, or --true_parameters: expected exactly one of these "
            "sources."
        )
    if not from_lists:
        told = "with --true_parameters, whose labels are not random"
        options_of.refuse_given(options, tuple(_OF_RANDOM_LABELS), told)
    options_of.settle(options, **_OF_RANDOM_LABELS)
    if options.image_size < 16 or options.image_size % 4:
        raise InputError(
            f"--image_size: found {options.image_size}, expected a multiple of 4 of at "
            "least 16."
        )
    model = raw_form.load(options.face_model)
    if from_lists:
        samples = preparation.vggface_samples(
            options.lists,
            options.images,
            model,
            options.image_size,
            seed=options.seed,
            constant_share=options.constant_share,
            counts=counts,
        )
    else:
        samples = preparation.true_samples(
            options.true_parameters, model, options.image_size, counts=counts
        )
    recipe = {name: getattr(options, name) for name in _RECIPE}
    preparation.write(
        options.output, samples, model, counts, recipe, digits=options.digits
    )
    left = ", ".join(f"{number} {why}" for why, number in counts.left_out.items())
    print(f"{options.output}: {counts.written} pictures; left out: {left or 'none'}.")
    if from_lists:
        print("Their labels are random, as the original's: they teach no face.")


def split(options: argparse.Namespace) -> None:
    """Writes the three lists."""
    counts = lists.write_split(options.folder, options.seed)
    print(
        f"{options.folder}: "
        + ", ".join(f"{number} {part}" for part, number in counts.items())
    )


def pack(options: argparse.Namespace) -> None:
    """Writes train.tfrecord, val.tfrecord and test.tfrecord."""
    output = options.output or options.folder
    for part, number in packed.pack(options.folder, output).items():
        print(f"{pathlib.Path(output) / packed.file_name(part)}: {number} pictures")


def mean(options: argparse.Namespace) -> None:
    """Writes mean_im.png and an empty file that the mean names."""
    picture, value = grey_pictures.mean_picture(options.folder)
    folder = pathlib.Path(options.folder)
    pictures.write(folder / "mean_im.png", pictures.levels_to_bytes(picture))
    files.write_text(folder / f"mean_val_{value:.3f}", "")
    print(f"mean: {value:.3f}, --config.data.grey_mean={value:.3f} subtracts it.")


def sample_test(options: argparse.Namespace) -> None:
    """Draws a random frontal face, and writes what the original's demo writes."""
    from tf_faces.geometry import cameras
    from tf_faces.morphable import raw_form
    from tf_faces.morphable.formats import bfm
    from tf_faces.ops import render_depth
    from tf_faces.ops.render_depth import pictures as demo

    folders.require_free_folder(options.output, overwrite=options.overwrite)
    model = raw_form.load(options.face_model)
    size = options.image_size
    rng = np.random.RandomState(options.seed)
    pose, shape, expression = labels.random_parameters(
        model.shape_count, model.expression_count, size, rng, constant_share=1.0
    )
    vertices = cameras.project_pose(
        model.vertices(shape, expression), np.float32(pose), size
    )
    begun = time.perf_counter()
    drawn = render_depth.rasterize(
        np.asarray(vertices, np.float32)[np.newaxis],
        model.triangles,
        size,
        size,
        attributes=np.concatenate(
            [bfm.vertex_code(model), model.colors()], axis=-1, dtype=np.float32
        )[np.newaxis],
        mode="flat",
        implementation=options.implementation,
    )
    depth = drawn.depth.numpy()[0]
    seconds = time.perf_counter() - begun
    codes, albedo = np.split(drawn.attributes.numpy()[0], 2, axis=-1)
    unit = demo.unit_normals_to_viewer(drawn.normals.numpy()[0])
    folder = pathlib.Path(options.output)
    for name, picture in (
        ("pncc", demo.coordinate_picture(codes)),
        ("depthimg", demo.depth_picture(depth)),
        ("normalimg", demo.normal_picture(unit)),
        ("albedoimg", demo.albedo_picture(albedo)),
        ("maskimg", demo.masked_picture(albedo, depth)),
    ):
        pictures.write(folder / f"test_{name}.png", picture)
    covered = float((drawn.triangle_id.numpy() >= 0).mean())
    print(
        f"{folder}: {model.vertex_count} vertices, {len(model.triangles)} triangles, "
        f"{covered:.0%} of {size} x {size} pixels covered, {1000 * seconds:.1f} ms."
    )
