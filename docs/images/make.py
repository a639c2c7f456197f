"""Makes the pictures of faces on these pages, beside this file.

    python docs/images/make.py face_builtin face_ict face_makehuman uv_sets
    python docs/images/make.py demo results/000-pgan-demo_faces_64-preset-demo
    python docs/images/make.py makehuman results/001-pgan-makehuman
    python docs/images/make.py distances results/001-pgan-makehuman
    python docs/images/make.py precision results/000-pgan-demo results/003-pgan-demo
    python docs/images/make.py prnet results/002-prnet-paper-records-half_128-quick

The first line needs the open models (docs/data.md) for what is named after them.  The
others take the folder of a finished training, `tf-faces train --preset demo` and that
of configs/makehuman_faces.py, and show what it made itself: the sheet of its meshes
(`faces/faces.png`) in half the size, and the first of its newest generated maps.
`distances` draws how near the snapshots of a run came to the real maps, after
`tf-faces tbgan evaluate`; `precision` takes runs in float32 and in bfloat16.  The last
line takes a run of configs/prnet_half_128.py and shows what it made of held-out faces,
and how its loss and errors fell.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image

import tf_faces
from tf_faces.core import pictures
from tf_faces.data import uv_samples
from tf_faces.morphable import expressions, io, textured_heads, uv_dictionary
from tf_faces.morphable.formats import makehuman
from tf_faces.pipelines.tbgan import TbganPipeline
from tf_faces.viz import previews

FOLDER = pathlib.Path(__file__).parent
# For each row: seed of the identity (None: the mean), skin, expression.
_ROWS = {
    "builtin": ((None, 0, "happy"), (8, 0, "surprise")),
    "ict": ((None, 0, "happy"), (5, 0, "surprise")),
    "makehuman": ((0, 1, "happy"), (4, 4, "surprise"), (2, 11, "sad")),
}
_VIEW = 220


def _mesh(model, seed, skin, expression):
    shape = texture = None
    if seed is not None:
        random = np.random.default_rng(seed)
        shape = model.sample_shape(random, 1)[0]
        texture = model.sample_texture(random, 1)[0]
    coefficients = expressions.parse_expression(model, expression)
    if model.texture_pictures:
        picture = makehuman.load_skin(model.texture_pictures[skin])
        return textured_heads.textured_mesh(model, picture, shape, coefficients)
    visible = io.opaque_part(model)
    return textured_heads.finished(visible, visible.mesh(shape, coefficients, texture))


def face(name: str) -> np.ndarray:
    """Rows of an identity at rest, from the front and the side, and with a mood."""
    model = tf_faces.load_face_model(name)
    rows = []
    for seed, skin, mood in _ROWS[name.partition(":")[0]]:
        views = [
            previews.render_views(_mesh(model, seed, skin, text), yaws, size=_VIEW)
            for text, yaws in (("neutral", (0, 80)), (mood, (0, 35)))
        ]
        rows.append(np.concatenate(views, axis=1))
    return np.concatenate(rows)


def uv_sets(names=("builtin", "ict", "makehuman"), resolution: int = 128) -> np.ndarray:
    """Columns of maps on both charts of each model: texture, shape, normals, mesh."""
    columns = []
    for name in names:
        model = tf_faces.load_face_model(name)
        for chart in ("whole", "face"):
            sampler = uv_samples.Sampler(model, resolution, 0, chart)
            texture, shape, normals = sampler.make([(5, 0)])[0]
            maps = [2.0 * texture / 255 - 1, *(np.moveaxis((shape, normals), 1, -1))]
            maps = np.concatenate(maps, axis=-1).astype(np.float32)
            pipeline = TbganPipeline(
                lambda latents, labels: None,
                latent_size=1,
                label_size=0,
                resolution=resolution,
                channels=9,
                dictionary=sampler.dictionary(),
            )
            column = [
                pictures.to_bytes((part + 1) / 2) for part in np.split(maps, 3, -1)
            ]
            mesh = pipeline.mesh(maps)
            column.append(previews.render(mesh, yaw=25, size=resolution))
            columns.append(np.concatenate(column))
    return np.concatenate(columns, axis=1)


def generated(run: pathlib.Path, rows: int, columns: int) -> np.ndarray:
    """The first maps of a run's newest sheets: texture, shape, normals side by side."""
    newest = max(path for path in run.glob("fakes*.png") if "_" not in path.stem)
    sheets = [
        pictures.read(newest.with_name(f"{newest.stem}{part}.png"))
        for part in ("", "_shp", "_nor")
    ]
    side = uv_dictionary.load(run / "uv_dictionary.npz").resolution
    return np.concatenate(
        [sheet[: rows * side, : columns * side] for sheet in sheets], axis=1
    )


def meshes(run: pathlib.Path) -> np.ndarray:
    """The sheet that the training ended with, in half the size."""
    with Image.open(run / "faces" / "faces.png") as picture:
        return np.asarray(picture.convert("RGB").reduce(2))


def curves(run: pathlib.Path) -> np.ndarray:
    """Loss and errors of held-out faces over thousands of pictures."""
    from matplotlib import figure
    from matplotlib.backends import backend_agg

    lines = (run / "stats.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    kimg = [line["images"] / 1000 for line in told]
    made = figure.Figure(figsize=(8, 3), dpi=100, layout="constrained")
    left, right = made.subplots(1, 2)
    left.plot(kimg, [line["Loss/position_map"] for line in told], label="loss")
    left.set_yscale("log")
    for name, label in (("nme_2d", "2D"), ("nme_3d", "3D"), ("dense_2d", "dense 2D")):
        errors = [line[f"Validation/{name}"] for line in told]
        right.plot(kimg, errors, label=f"NME {label}, %")
    right.axhline(4, color="grey", linewidth=0.8)
    right.set_ylim(0, 24)
    for axes in (left, right):
        axes.set_xlabel("thousands of pictures")
        axes.legend()
    canvas = backend_agg.FigureCanvasAgg(made)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def distances(run: pathlib.Path) -> np.ndarray:
    """Sliced Wasserstein distance of each modality over thousands of pictures."""
    from matplotlib import figure
    from matplotlib.backends import backend_agg

    lines = (run / "metric-evaluation.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    floor = next(line for line in told if line["pass"] == "Reals2")
    passes = [line for line in told if not line["pass"].startswith("Reals")]
    passes.sort(key=lambda line: line["images"])
    kimg = [line["images"] / 1000 for line in passes]
    made = figure.Figure(figsize=(6, 3.2), dpi=100, layout="constrained")
    axes = made.subplots()
    for number, modality in enumerate(("texture", "shape", "normals", "joint")):
        name = f"SWDx1e3_64_{modality}"
        color = f"C{number}"
        axes.plot(kimg, [line[name] for line in passes], color=color, label=modality)
        axes.axhline(floor[name], color=color, linewidth=0.8, linestyle="dotted")
    axes.set_yscale("log")
    axes.set_xlabel("thousands of pictures")
    axes.set_ylabel("distance x 1000, patches of 64 x 64")
    axes.legend()
    canvas = backend_agg.FigureCanvasAgg(made)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def main(arguments) -> None:
    if arguments[:1] == ["distances"]:
        made = {"makehuman_distances": distances(pathlib.Path(arguments[1]))}
    elif arguments[:1] == ["precision"]:
        runs = [pathlib.Path(argument) for argument in arguments[1:]]
        rows = [generated(run, 2, 6) for run in runs]
        made = {"tbgan_precision": np.concatenate(rows, axis=0)}
    elif arguments[:1] == ["prnet"]:
        run = pathlib.Path(arguments[1])
        newest = max(run.glob("predictions-*.png"))
        made = {
            "prnet_held_out.jpg": pictures.read(newest),
            "prnet_curves": curves(run),
        }
    elif arguments[:1] in (["demo"], ["makehuman"]):
        name, run = arguments[0], pathlib.Path(arguments[1])
        made = {f"{name}_faces": meshes(run), f"{name}_fakes": generated(run, 4, 6)}
    else:
        made = {
            name: uv_sets() if name == "uv_sets" else face(name.removeprefix("face_"))
            for name in arguments
        }
    for name, picture in made.items():
        path = FOLDER / (name if "." in name else f"{name}.png")
        print(pictures.write(path, picture, quality=85))


if __name__ == "__main__":
    main(sys.argv[1:])
