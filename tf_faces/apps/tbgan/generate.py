"""Makes faces with a trained TBGAN: meshes, pictures and a page that turns them."""

import argparse
import pathlib
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.apps import entry
from tf_faces.core.errors import InputError
from tf_faces.viz import face_gallery

_EXAMPLES = """
Examples:
  python tools/generate.py newest --output faces
      eight faces of the newest run in results/: OBJ, PLY, GLB, previews, faces.html
  python tools/generate.py results/003-pgan-faces --count 20 --seed 7 --formats glb
      twenty others, as GLB only
  python tools/generate.py exports/tbgan --output faces --expressions
      of a SavedModel, with a slider for each expression label
  python tools/generate.py 3 --output faces --label 2 --label_weight 10
      all under expression label 2, strengthened as in the original's test script
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(_main, arguments)


def _parser() -> entry.ArgumentParser:
    parser = entry.ArgumentParser(
        prog="generate.py",
        description=__doc__,
        epilog=textwrap.dedent(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", help="run (folder, number, or newest), snapshot folder, or SavedModel"
    )
    parser.add_argument("--output", default="faces", help="folder (%(default)s)")
    parser.add_argument("--count", type=int, default=8, help="faces (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument(
        "--formats", default="obj,ply,glb", help="some of obj,ply,glb (%(default)s)"
    )
    parser.add_argument("--snapshot", type=int, help="images shown; newest if absent")
    parser.add_argument(
        "--result_dir", default="results", help="where runs lie (%(default)s)"
    )
    parser.add_argument(
        "--uv_dictionary",
        help="uv_dictionary.npz or 512_UV_dict.pkl; 'grid' for a vertex a pixel; "
        "looked for beside the training data if absent",
    )
    parser.add_argument(
        "--smoothing",
        type=float,
        help="sigma in pixels of the shape smoothing, 0 for none (3 at 512, least 1)",
    )
    parser.add_argument(
        "--nearest",
        action="store_true",
        help="take whole pixels of the shape map, as the original does",
    )
    parser.add_argument("--label", type=int, help="one expression label for all")
    parser.add_argument(
        "--label_weight", type=float, default=1.0, help="factor (%(default)s)"
    )
    parser.add_argument(
        "--expressions",
        action="store_true",
        help="a slider (morph target) for each expression label",
    )
    parser.add_argument("--minibatch", type=int, default=8, help="(%(default)s)")
    return parser


def _main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    if options.count < 1:
        raise InputError(f"--count: found {options.count}, expected at least 1.")
    if options.minibatch < 1:
        raise InputError(
            f"--minibatch: found {options.minibatch}, expected at least 1."
        )
    if options.smoothing is not None and not 0 <= options.smoothing < 1000:
        raise InputError(
            f"--smoothing: found {options.smoothing}, expected 0 to 1000 pixels."
        )
    formats = [name for name in options.formats.split(",") if name]
    from tf_faces.pipelines import tbgan

    pipeline = tbgan.open_pipeline(
        options.source,
        snapshot=options.snapshot,
        result_directory=options.result_dir,
        dictionary=options.uv_dictionary,
    )
    if pipeline.dictionary is None or pipeline.channels < 6:
        raise InputError(
            f"{pipeline.source}: found {pipeline.channels} channels and no UV "
            "dictionary, expected shape maps and --uv_dictionary."
        )
    print(
        f"Making {options.count} faces of {pipeline.source} "
        f"({pipeline.resolution}x{pipeline.resolution}, level of detail "
        f"{pipeline.level_of_detail:g})...",
        flush=True,
    )
    gallery = face_gallery.write(
        options.output,
        faces(pipeline, options),
        formats=formats,
        title=f"TBGAN, {pathlib.Path(pipeline.source).name}",
        total=options.count,
    )
    print(f"Meshes:   {len(gallery.meshes)} files in {options.output}")
    print(f"Previews: {gallery.sheet}")
    print(f"Page:     {gallery.page}")
    return 0


def faces(pipeline, options) -> Iterator[face_gallery.Entry]:
    """Yields the gallery's entries; `options` are the program's."""
    mesh_options = {"smoothing": options.smoothing, "bilinear": not options.nearest}
    if options.expressions:
        latents = pipeline.random_latents(options.count, options.seed)
        for index, row in enumerate(latents):
            face, targets = pipeline.expression_targets(
                row, options.label_weight, **mesh_options
            )
            yield face_gallery.Entry(f"face{index:04d}", face.mesh, targets)
        return
    stored = None
    if options.label is not None:
        if not 0 <= options.label < pipeline.label_size:
            raise InputError(
                f"--label: found {options.label}, expected 0 to "
                f"{pipeline.label_size - 1}."
            )
        stored = np.repeat(
            np.eye(pipeline.label_size)[[options.label]], options.count, 0
        )
    else:
        stored = pipeline.random_labels(options.count, options.seed)
    generated = pipeline.faces(
        pipeline.random_latents(options.count, options.seed),
        pipeline.labels_for(stored, options.label_weight),
        minibatch=options.minibatch,
        **mesh_options,
    )
    for face in generated:
        yield face_gallery.Entry(face.mesh.name, face.mesh)
