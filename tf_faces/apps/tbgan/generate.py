"""Makes faces with a trained TBGAN: meshes, pictures and a page that turns them.

A network without shape maps, such as a Progressive GAN of photographs, gives pictures.
"""

import argparse
import functools
import pathlib
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.apps.tbgan import sources
from tf_faces.core import files, folders, pictures, progress
from tf_faces.core.errors import InputError
from tf_faces.data import images
from tf_faces.geometry import mesh_files
from tf_faces.viz import face_gallery

_EXAMPLES = """
examples:
  tf-faces generate open --output faces
      eight faces of the network that comes with the package
  tf-faces generate newest --output faces
      eight faces of the newest run in results/: OBJ, PLY, GLB, previews, faces.html
  tf-faces generate results/003-pgan-faces --count 20 --seed 7 --formats glb
      twenty others, as GLB only
  tf-faces generate exports/tbgan --output faces --expressions
      of a SavedModel, with a slider for each expression label
  tf-faces generate 3 --output faces --label 2 --label_weight 10
      all under expression label 2, strengthened as in the original's test script
"""

# Texture and shape.
_LEAST_CHANNELS_OF_MESHES = 6
# Options that say nothing of pictures.
_OF_MESHES = (
    *("formats", "unit", "uv_dictionary", "smoothing", "nearest", "whole_chart"),
    *("expressions", "normals"),
)


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=textwrap.dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        help="run (folder, number, or newest), snapshot folder, SavedModel, or open: "
        "the weights that come with the package",
    )
    add = parser.add_argument
    add("--output", default="faces", help="folder (%(default)s)")
    options_of.add_overwrite(parser)
    add("--count", type=options_of.count, default=8, help="faces (%(default)s)")
    add("--seed", type=options_of.seed, default=0, help="(%(default)s)")
    add(
        "--formats",
        type=options_of.names,
        help="some of obj,ply,glb (all of them if absent)",
    )
    options_of.add_mesh_unit(parser, "that of the UV dictionary if absent")
    add("--snapshot", type=options_of.index, help="images shown; newest if absent")
    add("--result_dir", default="results", help="where runs lie (%(default)s)")
    add(
        "--uv_dictionary",
        help="uv_dictionary.npz or 512_UV_dict.pkl; 'grid' for a vertex a pixel; "
        "looked for in the run, then beside the training data if absent",
    )
    add(
        "--smoothing",
        type=options_of.finite,
        help="sigma in pixels of the shape smoothing, 0 for none (the run's own, or 3 "
        "at 512 and at least 1)",
    )
    add(
        "--nearest",
        action="store_true",
        help="take whole pixels of the shape map, as the original does",
    )
    add(
        "--whole_chart",
        action="store_true",
        help="smooth whole maps as they are, as the original does; otherwise what they "
        "add to the neutral face, and without their untrustworthy rim",
    )
    add(
        "--normals",
        action="store_true",
        help="normals of the normal map, at the vertices and as a texture, in place of "
        "those of the triangles",
    )
    add("--label", type=options_of.index, help="one expression label for all")
    add(
        "--label_weight",
        type=options_of.factor,
        default=1.0,
        help="factor (%(default)s)",
    )
    add(
        "--expressions",
        action="store_true",
        help="a slider (morph target) for each expression label",
    )
    add("--minibatch", type=options_of.count, default=8, help="(%(default)s)")
    return parser


def _main(arguments: list[str], prog: str | None = None) -> int:
    options = _parser(prog).parse_args(arguments)
    smoothing = options.smoothing
    if smoothing not in (None, 0) and not 0.1 <= smoothing < 1000:
        raise InputError(
            f"--smoothing: found {smoothing}, expected 0 (none) or 0.1 to 1000 pixels."
        )
    if options.expressions:
        told = "with --expressions, which shows all, expected one of them"
        options_of.refuse_given(options, ("label",), told)
    formats = options.formats or face_gallery.FORMATS
    if not {"obj", "ply"} & set(formats):
        told = "without obj or ply among --formats, expected one of them"
        options_of.refuse_given(options, ("unit",), told)
    for name in formats:
        if f".{name}" not in mesh_files.SUFFIXES:
            known = ", ".join(suffix[1:] for suffix in mesh_files.SUFFIXES)
            raise InputError(f"--formats: found {name!r}, expected some of {known}.")
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    pipeline, _ = sources.open_pipeline(
        options.source, options.result_dir, options.snapshot, options.uv_dictionary
    )
    if options.label is not None:
        _require_label(pipeline, options.label)
    drawn = {
        name: getattr(options, name)
        for name in ("count", "seed", "label", "label_weight", "minibatch")
    }
    if pipeline.channels < _LEAST_CHANNELS_OF_MESHES:
        told = f"with {pipeline.source}, which makes pictures, expected none"
        options_of.refuse_given(options, _OF_MESHES, told)
        write_pictures(pipeline, options.output, **drawn)
        return 0
    write_gallery(
        pipeline,
        options.output,
        **drawn,
        formats=formats,
        unit=options.unit,
        expressions=options.expressions,
        smoothing=options.smoothing,
        bilinear=not options.nearest,
        clean_rim=False if options.whole_chart else None,
        normals=options.normals,
    )
    return 0


def _require_label(pipeline, label: int) -> None:
    count = pipeline.label_size
    if not 0 <= label < count:
        expected = f"0 to {count - 1}" if count else "none: the network has no labels"
        raise InputError(f"--label: found {label}, expected {expected}.")


def write_gallery(
    pipeline,
    output: files.PathLike,
    *,
    count: int,
    seed: int = 0,
    formats: Sequence[str] = ("obj", "ply", "glb"),
    unit: str | None = None,
    minibatch: int = 8,
    **choices,
) -> None:
    """Writes faces of a pipeline as meshes, previews and a page, and says where.

    Args:
      pipeline: a `TbganPipeline` with a UV dictionary.
      output: folder.
      count: number of faces.
      seed: of latents and labels.
      formats: some of "obj", "ply", "glb".
      unit: of the OBJ and PLY files; None keeps that of the UV dictionary.
      minibatch: faces made at once.
      **choices: of `faces`.

    Raises:
      InputError: if the network has no shape maps or no UV dictionary.
    """
    if pipeline.channels < _LEAST_CHANNELS_OF_MESHES:
        raise InputError(
            f"{pipeline.source}: found maps of {pipeline.channels} channels, expected "
            "texture and shape, at least 6."
        )
    if pipeline.dictionary is None:
        raise InputError(
            f"{pipeline.source}: has no UV dictionary, expected --uv_dictionary."
        )
    _announce(pipeline, count)
    gallery = face_gallery.write(
        output,
        faces(pipeline, count, seed, minibatch=minibatch, **choices),
        formats=formats,
        title=f"TBGAN, {pathlib.Path(pipeline.source).name}",
        unit=unit,
        total=count,
    )
    print(f"Meshes:   {len(gallery.meshes)} files in {output}")
    print(f"Previews: {gallery.sheet}")
    print(f"Page:     {gallery.page}")


def write_pictures(
    pipeline,
    output: files.PathLike,
    *,
    count: int,
    seed: int = 0,
    label: int | None = None,
    label_weight: float = 1.0,
    minibatch: int = 8,
) -> None:
    """Writes face000000.png, ... and faces.png, all on one sheet, and says where.

    Args:
      pipeline: a `TbganPipeline` of pictures.
      output: folder.
      count: number of faces.
      seed: of latents and labels.
      label: one label for all; None draws.
      label_weight: factor of the labels as fed.
      minibatch: faces made at once.
    """
    from tf_faces.pipelines.tbgan import pictures as making

    _announce(pipeline, count)
    latents, labels = _drawn(pipeline, count, seed, label, label_weight)
    output = pathlib.Path(output)
    output.mkdir(parents=True, exist_ok=True)
    made = making.write_fakes(
        pipeline, output, latents, labels, prefix="face", minibatch=minibatch
    )
    made = list(progress.bar(count, "face", iterable=made))
    shown = np.stack([pictures.read(path) for path in made])
    pictures.write(output / face_gallery.SHEET, images.create_image_grid(shown))
    print(f"Pictures: {count} files in {output}")
    print(f"Sheet:    {output / face_gallery.SHEET}")


def _announce(pipeline, count: int) -> None:
    print(
        f"Making {count} faces of {pipeline.source} "
        f"({pipeline.resolution}x{pipeline.resolution}, level of detail "
        f"{pipeline.level_of_detail:g})...",
        flush=True,
    )


def _drawn(
    pipeline, count: int, seed: int, label: int | None, label_weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Latents [N, Z] and labels as fed [N, L]."""
    if label is None:
        stored = pipeline.random_labels(count, seed)
    else:
        _require_label(pipeline, label)
        stored = np.repeat(np.eye(pipeline.label_size)[[label]], count, 0)
    latents = pipeline.random_latents(count, seed)
    return latents, pipeline.labels_for(stored, label_weight)


def faces(
    pipeline,
    count: int,
    seed: int,
    *,
    label: int | None = None,
    label_weight: float = 1.0,
    expressions: bool = False,
    minibatch: int = 8,
    **mesh_options,
) -> Iterator[face_gallery.Entry]:
    """Yields the gallery's entries.

    Args:
      pipeline: a `TbganPipeline`.
      count, seed: faces, and seed of latents and labels.
      label: one expression label for all; None draws.
      label_weight: factor of the labels as fed.
      expressions: a morph target for each expression label.
      minibatch: faces made at once.
      **mesh_options: of `TbganPipeline.mesh`.
    """
    if expressions:
        for index, row in enumerate(pipeline.random_latents(count, seed)):
            face, targets = pipeline.expression_targets(
                row, label_weight, **mesh_options
            )
            yield face_gallery.Entry(f"face{index:04d}", face.mesh, targets)
        return
    latents, labels = _drawn(pipeline, count, seed, label, label_weight)
    for face in pipeline.faces(latents, labels, minibatch=minibatch, **mesh_options):
        yield face_gallery.Entry(face.mesh.name, face.mesh)
