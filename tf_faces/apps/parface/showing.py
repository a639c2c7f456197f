"""Demos, annotation and the report of asymmetry: pictures in, files out."""

import argparse
import csv
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.core import files, folders, pictures
from tf_faces.core.errors import InputError
from tf_faces.data import landmark_files
from tf_faces.data.parface import crops
from tf_faces.metrics import parface_asymmetry
from tf_faces.training.parface import sheets

# The demo of 98 landmarks takes this part of a picture for the face.
_DEMO_SHARE = 0.65


def found_pictures(sources: Sequence[str]) -> list[pathlib.Path]:
    """The pictures that are named, and those of named folders in order.

    Raises:
      InputError: if one is missing, or there is none at all.
    """
    found = []
    for source in sources:
        path = pathlib.Path(source)
        if path.is_dir():
            found += pictures.list_folder(path)
        else:
            found.append(files.require_file(path, "picture"))
    return found


def _require_different(targets: Sequence[pathlib.Path]) -> None:
    """Refuses two pictures whose results would have one name."""
    twice = [path for path in targets if targets.count(path) > 1]
    if twice:
        raise InputError(
            f"two pictures are called {twice[0].stem!r}, expected names that differ: "
            f"the results of both would be {twice[0]}."
        )


def _opened(options: argparse.Namespace):
    from tf_faces.pipelines import parface

    return parface.open_run(
        options.model, activation=options.activation, normalized=options.normalize
    )


def demo(options: argparse.Namespace, paths: list[pathlib.Path], name: str) -> None:
    """Draws what is found in every picture, and writes the points."""
    folder = pathlib.Path(options.output)
    _require_different([folder / path.stem for path in paths])
    opened = _opened(options)
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        picture = pictures.read(path)
        box = options.box
        if name == "demo" and box is None:
            whole = (0, 0, picture.shape[1], picture.shape[0])
            box = crops.scale_box(whole, _DEMO_SHARE)
        found = opened.detect(
            picture,
            box,
            spatial=name == "demo_3d",
            subpixel=bool(options.subpixel),
            exact=True,
            middle=name == "demo_3d",
        )
        plane = found.crop_landmarks[:, :2]
        tiles = [
            found.crop,
            found.reconstruction,
            sheets.heatmaps(found.crop, found.heatmaps),
            sheets.with_landmarks(found.reconstruction, None, plane),
            sheets.with_landmarks(found.crop, None, plane),
        ]
        sheet = sheets.pictures.contact_sheet(tiles, len(tiles), gap=2)
        pictures.write(folder / f"{path.stem}_{name}.png", sheet)
        whole = sheets.with_landmarks(picture, None, found.landmarks)
        pictures.write(folder / f"{path.stem}_landmarks.png", whole)
        _write_points(folder / f"{path.stem}.csv", found.landmarks, found.scores)
        if name == "demo_3d":
            _plot_in_space(folder / f"{path.stem}_3d.png", found.landmarks)
        good = int((found.scores > 0.8).sum())
        print(f"{path}: {good} of {len(found.scores)} landmarks are certain")
    print(f"Pictures: {folder}")


def _write_points(path: pathlib.Path, landmarks, scores) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["x", "y", "z"][: landmarks.shape[1]] + ["score"])
    for point, score in zip(landmarks, scores, strict=True):
        writer.writerow([f"{value:.3f}" for value in (*point, score)])
    files.write_text(path, text.getvalue())


def _plot_in_space(path: pathlib.Path, landmarks: np.ndarray) -> None:
    try:
        from matplotlib import figure
    except ImportError:
        print(f"matplotlib is not installed: no {path.name}.")
        return
    centred = landmarks - landmarks.mean(axis=0)
    drawing = figure.Figure(figsize=(4, 4))
    axes = drawing.add_subplot(projection="3d")
    axes.scatter(centred[:, 0], centred[:, 2], -centred[:, 1], s=6)
    axes.set_box_aspect(np.ptp(centred[:, [0, 2, 1]], axis=0) + 1e-6)
    axes.set_xlabel("x")
    axes.set_ylabel("depth")
    axes.set_zlabel("up")
    axes.view_init(elev=10, azim=60)
    with files.atomic_path(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)


def _cut(options: argparse.Namespace) -> dict[str, bool]:
    """A given box is cut with surroundings as in training, a whole picture as it is."""
    whole = options.box is None
    return {
        "subpixel": bool(options.subpixel),
        "exact": whole,
        "middle": not whole,
    }


def annotate(options: argparse.Namespace, paths: list[pathlib.Path]) -> None:
    """Writes a .pts file for every picture.

    Raises:
      InputError: if one is there already.
    """
    targets = []
    for path in paths:
        folder = pathlib.Path(options.output) if options.output else path.parent
        target = folder / f"{path.stem}.pts"
        if target.exists():
            raise InputError(f"{target}: exists already, expected a free name.")
        targets.append(target)
    _require_different(targets)
    opened = _opened(options)
    for path, target in zip(paths, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        found = opened.detect(pictures.read(path), options.box, **_cut(options))
        files.write_text(target, pts_text(found.landmarks))
        print(target)


def pts_text(landmarks: np.ndarray) -> str:
    """The text of a .pts file; its pixels count from 1."""
    lines = ["version: 1", f"n_points: {len(landmarks)}", "{"]
    lines += [f"{x + 1:.3f} {y + 1:.3f}" for x, y in np.asarray(landmarks)[:, :2]]
    return "\n".join([*lines, "}"]) + "\n"


def asymmetry(
    options: argparse.Namespace, paths: list[pathlib.Path], folder: pathlib.Path
) -> None:
    """Measures every face; the pictures of a folder are frames in order."""
    opened = _opened(options) if options.model else None
    rows = []
    for path in paths:
        if opened is not None:
            picture = pictures.read(path)
            found = opened.detect(picture, options.box, **_cut(options))
            landmarks = found.landmarks
        else:
            points = folders.beside(path, ".pts") or path.with_suffix(".pts")
            landmarks = landmark_files.read_landmarks(points)
        rows.append(parface_asymmetry.measure(landmarks).row())
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["picture", *rows[0]])
    writer.writeheader()
    for path, row in zip(paths, rows, strict=True):
        rounded = {name: f"{value:.4f}" for name, value in row.items()}
        writer.writerow({"picture": path.name, **rounded})
    files.write_text(folder / "asymmetry.csv", text.getvalue())
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    spread = {name: float(np.std([row[name] for row in rows])) for name in rows[0]}
    files.write_json(
        folder / "asymmetry.json", {"faces": len(rows), "mean": mean, "std": spread}
    )
    print("percent of the outer eye corners' distance, mean and deviation over faces")
    for name in parface_asymmetry.REGIONS:
        key = f"asymmetry_{name}"
        print(f"{name:<6} {mean[key]:>7.2f} {spread[key]:>7.2f}")
    _plot_over_time(folder / "asymmetry.png", rows)
    print(f"Report: {folder}")


def _plot_over_time(path: pathlib.Path, rows: list[dict[str, float]]) -> None:
    try:
        from matplotlib import figure
    except ImportError:
        print(f"matplotlib is not installed: no {path.name}.")
        return
    drawing = figure.Figure(figsize=(7, 6), layout="constrained")
    upper, lower = drawing.subplots(2, 1, sharex=True)
    marker = "o" if len(rows) == 1 else None
    for name in parface_asymmetry.REGIONS:
        values = [row[f"asymmetry_{name}"] for row in rows]
        upper.plot(values, label=name, marker=marker)
    for name in ("eye_opening", "brow_height", "mouth_reach", "mouth_height"):
        values = [row[f"{name}_left_minus_right"] for row in rows]
        lower.plot(values, label=name.replace("_", " "), marker=marker)
    upper.set_ylabel("asymmetry, percent")
    lower.set_ylabel("left minus right, percent")
    lower.set_xlabel("picture")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=4)
    with files.atomic_path(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)
