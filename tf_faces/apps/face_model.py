"""Looks at, converts, samples, renders and fits morphable face models.

MODEL is "builtin", "builtin:tiny", "builtin:full", "ict", "makehuman", or the path of a
model file or folder (BFM.mat, 01_MorphableModel.mat, Model_Shape.mat, BFM2017 .h5,
FLAME, 3DDFA_V2, Surrey, ICT, MakeHuman, or this package's .npz).  `render` and `view`
take a mesh file (.obj, .ply, .glb) as well.

Examples:
  tf-faces face-model info builtin --modes
      sizes, units, conventions, licence, what lies beside the file; --modes lists the
      names of the expressions
  tf-faces face-model info models/BFM_info.mat
      what a file holds that is no model: lists of vertices, vertex codes, whitening,
      landmark embedding, texture space, UV dictionary
  tf-faces face-model convert builtin models/BFM.mat
      the built-in face in face3d's layout, for any program that wants a BFM.mat
  tf-faces face-model convert ict head.glb
      the mean face as a mesh (.obj, .ply, .glb); --unit mm for an .obj in millimetres
  tf-faces face-model convert makehuman models/ --layout 3ddfa
      a folder with Model_Shape.mat and Model_Exp.mat; other layouts: see convert --help
  tf-faces face-model sample makehuman faces --count 5 --seed 1
      five random heads as meshes, with their coefficients
  tf-faces face-model render ict face.png --expression happy --yaw 0 35 80
      a picture from three sides; also --expression jawOpen=0.7,browInnerUp=1
  tf-faces face-model fit builtin points.pts --image photo.jpg --output fit
      pose, identity and expression from 68 landmarks
  tf-faces face-model view ict viewer.html
      a page with the face and a slider for every expression; opens offline
  tf-faces face-model view scan.obj viewer.html
      the same of a mesh file; a .glb brings its morph targets as sliders
  tf-faces face-model fetch_instructions
      where "ict" and "makehuman" come from, and how to make their files
"""

import argparse
import functools
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Sequence

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry
from tf_faces.core import files, folders, pictures, texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable import (
    expressions,
    fitting,
    io,
    open_models,
    textured_heads,
)
from tf_faces.morphable.formats import companions, makehuman
from tf_faces.morphable.model import MorphableModel


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, function, text):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=function)
        added.add_argument("model", metavar="MODEL")
        return added

    info = command("info", _info, "Print sizes, conventions and licence of a model.")
    info.add_argument("--modes", action="store_true", help="list expression names")

    convert = command("convert", _convert, "Write a model in another layout or a mesh.")
    convert.add_argument("output", type=pathlib.Path, help="file, or folder")
    options_of.add_overwrite_of_file(convert, "output")
    convert.add_argument(
        "--layout",
        choices=io.SAVED_LAYOUTS,
        help="default by suffix: .npz native, .mat bfm, .h5 bfm2017, .pkl 3ddfa_v2, "
        ".bin surrey",
    )
    options_of.add_mesh_unit(convert, "that of the model if absent")

    sample = command("sample", _sample, "Write random faces as meshes.")
    sample.add_argument("output", type=pathlib.Path, help="folder")
    options_of.add_overwrite(sample)
    sample.add_argument("--count", type=options_of.count, default=1)
    sample.add_argument("--seed", type=options_of.seed, default=0)
    sample.add_argument("--format", choices=[s[1:] for s in mesh_files.SUFFIXES],
                        default="obj")  # fmt: skip
    sample.add_argument("--scale", type=options_of.between(0, 1e5), default=1.0,
                        help="multiplies the deviations")  # fmt: skip
    sample.add_argument("--neutral", action="store_true", help="no expressions")
    options_of.add_mesh_unit(sample, "that of the model if absent")

    render = command("render", _render, "Draw a face or a mesh from several sides.")
    render.add_argument("output", type=pathlib.Path, help=".png")
    options_of.add_overwrite_of_file(render, "output")
    _face_options(render)
    render.add_argument(
        "--yaw", type=options_of.degrees, nargs="+", default=[0.0, 35.0, 80.0]
    )
    render.add_argument(
        "--size", type=options_of.side, default=384, help="pixels of one view"
    )
    render.add_argument("--shaded", action="store_true", help="grey clay, no colours")

    fit = command("fit", _fit, "Fit pose, identity and expression to landmarks.")
    fit.add_argument("landmarks", type=pathlib.Path,
                     help=".npy, .txt, .pts, .ljson or .mat, 68 points")  # fmt: skip
    fit.add_argument("--output", type=pathlib.Path, required=True, help="folder")
    options_of.add_overwrite(fit)
    fit.add_argument("--image", type=pathlib.Path, help="picture of the landmarks")
    fit.add_argument("--height", type=options_of.count,
                     help="of the picture, where none is given")  # fmt: skip
    fit.add_argument("--width", type=options_of.count)
    fit.add_argument("--iterations", type=options_of.times, default=4)
    options_of.add_mesh_unit(fit, "that of the model if absent")

    view = command(
        "view", _view, "Write a page that shows a model or a mesh, with sliders."
    )
    view.add_argument("output", type=pathlib.Path, help=".html")
    options_of.add_overwrite_of_file(view, "output")
    _face_options(view)

    text = "Say where the open models come from and how to make their files."
    fetch = commands.add_parser("fetch_instructions", help=text, description=text)
    fetch.set_defaults(function=_fetch_instructions)
    fetch.add_argument("model", nargs="?", choices=list(open_models.INSTRUCTIONS),
                       help="one of them; default all")  # fmt: skip
    return parser


def _face_options(parser) -> None:
    parser.add_argument(
        "--seed", type=options_of.seed, help="a random identity; default the mean"
    )
    parser.add_argument(
        "--expression",
        default="neutral",
        help=f"one of {', '.join(expressions.BASIC_EXPRESSIONS)}, or NAME=VALUE and "
        "NUMBER=VALUE of modes, separated by commas, which add up",
    )
    parser.add_argument(
        "--skin", help="skin picture: a path, or its number beside a MakeHuman head"
    )


def _main(arguments: list[str], prog: str | None = None) -> None:
    options = _parser(prog).parse_args(arguments)
    options.function(options)


# --- faces -------------------------------------------------------------------------


def _skin(model: MorphableModel, choice: str | None) -> np.ndarray | None:
    if choice is None:
        return None
    number = texts.natural_number(choice)
    if number is not None:
        if number >= len(model.texture_pictures):
            raise InputError(
                f"--skin {choice}: {model.name!r} has {len(model.texture_pictures)} "
                "skin pictures, counted from 0."
            )
        choice = model.texture_pictures[number]
    return makehuman.load_skin(choice)


def _face(
    model: MorphableModel, options, finish=textured_heads.finished
) -> tuple[Mesh, np.ndarray]:
    """The mesh that the options describe, and its identity coefficients.

    Meshes without a skin picture go through `finish(model, mesh)`.
    """
    shape = np.zeros(model.shape_count, np.float32)
    texture = None
    if options.seed is not None:
        rng = np.random.default_rng(options.seed)
        shape = model.sample_shape(rng, 1)[0]
        texture = model.sample_texture(rng, 1)[0]
    expression = expressions.parse_expression(model, options.expression)
    skin = _skin(model, options.skin)
    if skin is not None:
        return textured_heads.textured_mesh(model, skin, shape, expression), shape
    visible = io.opaque_part(model)
    mesh = visible.mesh(shape, expression, texture)
    return finish(visible, mesh), shape


def _read_mesh(options) -> tuple[Mesh, dict[str, np.ndarray]] | None:
    """The mesh and morph targets of the source, or None if it is no mesh file.

    What the file has and a mesh has not is one line each on standard error.
    """
    path = pathlib.Path(options.model)
    if path.suffix.lower() not in mesh_files.SUFFIXES or path.is_dir():
        return None
    for name in ("seed", "expression", "skin"):
        if getattr(options, name) not in (None, "neutral"):
            raise InputError(
                f"--{name}: {path} is a mesh, expected a face model for this option."
            )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = mesh_files.read_with_morph_targets(path)
    for warning in caught:
        print(f"Warning: {warning.message}", file=sys.stderr)
    if not len(content.mesh.triangles):
        raise FormatError(f"{path}: found no triangles, expected a mesh to show.")
    return content.mesh, content.morph_targets


# --- commands ----------------------------------------------------------------------


def _fetch_instructions(options) -> None:
    print(open_models.instructions(options.model), end="")


def _read_storage(content: bytes) -> np.ndarray:
    """The numbers of a PyTorch storage that is pickled within another file."""
    from tf_faces.convert import torch

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "storage"
        path.write_bytes(content)
        values = getattr(torch.read_checkpoint(path), "values", None)
    if not isinstance(values, np.ndarray):
        raise FormatError("a PyTorch storage without numbers")
    return values


def _info(options) -> None:
    path = io.located(options.model)
    if path is not None and path.is_file():
        text = companions.describe(path, _read_storage)
        if text is not None:
            if options.modes:
                raise InputError(f"--modes: {path} is no face model, but {text}.")
            print(text)
            return
    model = io.load(options.model)
    print(model.describe())
    beside = [] if path is None else companions.beside(path, _read_storage)
    for name, text in beside:
        print(f"{'beside it:':<23}{name}: {text}")
    if options.modes:
        names = model.expression_names or ()
        print("\n".join(names) if names else "The expression modes have no names.")


def _convert(options) -> None:
    output, layout = options.output, options.layout
    suffix = output.suffix.lower()
    if options.unit is not None and (layout or suffix not in (".obj", ".ply")):
        raise InputError(f"--unit: {output} is no OBJ or PLY file, expected one.")
    if not output.is_dir():
        folders.require_free_file(output, overwrite=options.overwrite)
    elif layout is not None:
        for name in io.FORMATS[layout].marks:
            folders.require_free_file(output / name, overwrite=options.overwrite)
    model = io.load(options.model)
    if layout is None:
        if suffix in mesh_files.SUFFIXES:
            visible = io.opaque_part(model)
            mesh = textured_heads.finished(visible, visible.mesh())
            mesh_files.write_mesh(output, mesh, options.unit)
            print(f"Wrote {output}")
            return
        layout = io.default_layout(suffix)
        if layout is None:
            known = dict.fromkeys(x for y in io.FORMATS.values() for x in y.suffixes)
            raise InputError(
                f"{output}: suffix {suffix!r}, expected one of "
                f"{[*known, *mesh_files.SUFFIXES]} or --layout."
            )
    io.save(output, model, layout, original=options.model)
    print(f"Wrote {output} ({layout}); licence of its content: {model.licence}")


def _sample(options) -> None:
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    if options.unit is not None and options.format == "glb":
        raise InputError("--unit: found --format glb, which is in metres.")
    model = io.load(options.model)
    visible = io.opaque_part(model)
    rng = np.random.default_rng(options.seed)
    shape = model.sample_shape(rng, options.count, options.scale)
    expression = model.sample_expression(rng, options.count, options.scale)
    texture = model.sample_texture(rng, options.count, options.scale)
    if options.neutral:
        expression = np.zeros_like(expression)
    for number in range(options.count):
        path = options.output / f"face{number:04d}.{options.format}"
        face = visible.mesh(shape[number], expression[number], texture[number])
        face = textured_heads.finished(visible, face)
        mesh_files.write_mesh(path, face, options.unit)
    coefficients = options.output / "coefficients.npz"
    files.write_npz(coefficients, shape=shape, expression=expression, texture=texture)
    print(f"Wrote {options.count} faces and {coefficients}")


def _render(options) -> None:
    from tf_faces.viz import previews

    folders.require_free_file(options.output, overwrite=options.overwrite)
    if (found := _read_mesh(options)) is not None:
        mesh, _ = found
    else:
        mesh, _ = _face(io.load(options.model), options)
    appearance = "shaded" if options.shaded else "auto"
    picture = previews.render_views(
        mesh, options.yaw, size=options.size, appearance=appearance
    )
    pictures.write(options.output, picture)
    print(f"Wrote {options.output}")


def _fit(options) -> None:
    if options.image is not None:
        told = "with --image, which has its own, expected one of them"
        options_of.refuse_given(options, ("height", "width"), told)
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    model = io.load(options.model)
    points = landmark_files.read_landmarks(options.landmarks)
    photograph = None
    if options.image is not None:
        photograph = pictures.read(options.image)
        height, width = photograph.shape[:2]
    elif options.height and options.width:
        height, width = options.height, options.width
    else:
        raise InputError("fit needs --image, or --height and --width.")
    fit = fitting.fit_points(
        model,
        fitting.centred_points(points, height, width),
        iterations=options.iterations,
    )
    pose = fitting.pose_of_fit(fit, height, width)
    output = options.output
    files.write_npz(
        output / "parameters.npz",
        pose=pose,
        shape=fit.shape,
        expression=fit.expression,
        scale=np.float64(fit.scale),
        rotation=fit.rotation,
        translation=fit.translation,
    )
    pitch, yaw, roll = fit.angles
    files.write_json(
        output / "parameters.json",
        {
            "model": model.name,
            "pitch_yaw_roll_degrees": [pitch, yaw, roll],
            "pose_3ddfa": pose.tolist(),
            "residual_pixels": fit.residual,
        },
    )
    mesh = io.opaque_part(model).mesh(fit.shape, fit.expression)
    mesh_files.write_mesh(output / "face.obj", mesh, options.unit)
    if photograph is not None:
        _write_overlay(output / "overlay.png", photograph, points, model, fit)
    print(
        f"Pitch {pitch:.1f}, yaw {yaw:.1f}, roll {roll:.1f} degrees; landmarks are "
        f"{fit.residual:.2f} pixels off (root mean square); wrote {output}"
    )


def _write_overlay(path, photograph, points, model, fit) -> None:
    """The photograph with its points (green) and those of the fit (red)."""
    from PIL import Image, ImageDraw

    height, width = photograph.shape[:2]
    seen = fit.project(
        model.vertices(
            fit.shape.astype(np.float32),
            fit.expression.astype(np.float32),
            indices=model.landmarks68,
        )
    )
    fitted = np.stack([seen[:, 0] + width / 2, height / 2 - 1 - seen[:, 1]], axis=1)
    picture = Image.fromarray(photograph)
    pen = ImageDraw.Draw(picture)
    radius = max(1.0, max(height, width) / 250)
    for group, color in ((points, (0, 220, 0)), (fitted, (230, 0, 0))):
        for x, y in group:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    pictures.write(path, np.asarray(picture))


def _view(options) -> None:
    from tf_faces.viz import html_viewer

    folders.require_free_file(options.output, overwrite=options.overwrite)
    if (found := _read_mesh(options)) is not None:
        mesh, morph_targets = found
        item = html_viewer.Item(mesh, mesh.name, morph_targets)
        html_viewer.write_page(options.output, [item], mesh.name)
        print(f"Wrote {options.output}")
        return
    model = io.load(options.model)
    # Sliders may open the mouth: the teeth stay.
    mesh, _ = _face(model, options, textured_heads.with_closed_neck)
    visible = io.opaque_part(model)
    morph_targets = {}
    names = visible.expression_names or [
        f"expression {i + 1}" for i in range(visible.expression_count)
    ]
    factor = (
        visible.expression_deviations
        if visible.expression_range is None or visible.coefficient_kind == "unit"
        else np.ones(visible.expression_count, np.float32)
    )
    for number, name in enumerate(names):
        morph_targets[name] = visible.expression_basis[:, :, number] * factor[number]
    if len(mesh.vertices) != visible.vertex_count:
        raise InputError("--skin: the page shows a model's vertex colours only.")
    item = html_viewer.Item(mesh, model.name, morph_targets)
    html_viewer.write_page(options.output, [item], model.name)
    print(f"Wrote {options.output}")
