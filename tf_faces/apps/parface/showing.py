"""Demos, annotation and the report of asymmetry: pictures in, files out."""

import argparse
import csv
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.apps import inputs
from tf_faces.core import files, folders, pictures
from tf_faces.core.errors import InputError
from tf_faces.data import landmark_files
from tf_faces.data.parface import crops, landmark_sets, preparing
from tf_faces.metrics import parface_asymmetry
from tf_faces.models.parface.heatmaps import GOOD_SCORE
from tf_faces.training.parface import sheets
from tf_faces.viz import videos

# The demo of 98 landmarks takes this part of a picture for the face.
_DEMO_SHARE = 0.65
# Asymmetry is measured on 68 of these.
_POINTS_OF_WFLW = 98


def _require_different(targets: Sequence[pathlib.Path]) -> None:
    """Refuses two pictures whose results would have one name."""
    twice = [path for path in targets if targets.count(path) > 1]
    if twice:
        raise InputError(
            f"two pictures are called {twice[0].stem!r}, expected names that differ: "
            f"the results of both would be {twice[0]}."
        )


def opened_model(options: argparse.Namespace):
    """The networks of `--model`."""
    from tf_faces.pipelines import parface, shipped

    return parface.open_run(
        shipped.resolve(options.model, "parface"),
        activation=options.activation,
        normalized=options.normalize,
    )


def demo(options: argparse.Namespace, paths: list[pathlib.Path], name: str) -> None:
    """Draws what is found in every picture or video, and writes the points."""
    folder = pathlib.Path(options.output)
    _require_different([folder / path.stem for path in paths])
    opened = opened_model(options)
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        rate, frames = inputs.frames_of(path)
        if rate is None:
            _demo_of_picture(options, opened, name, folder, next(frames))
        else:
            _demo_of_video(options, opened, name, folder, path, frames, rate)
    print(f"Results: {folder}")


def _detected(options: argparse.Namespace, opened, name: str, picture: np.ndarray):
    box = options.box
    if name == "demo" and box is None:
        whole = (0, 0, picture.shape[1], picture.shape[0])
        box = crops.scale_box(whole, _DEMO_SHARE)
    return opened.detect(
        picture,
        box,
        spatial=name == "demo_3d",
        decoding=options.decoding,
        exact=True,
        middle=name == "demo_3d",
    )


def _demo_of_picture(options, opened, name, folder, frame: inputs.Frame) -> None:
    path = frame.path
    found = _detected(options, opened, name, frame.picture)
    pictures.write(folder / f"{path.stem}_{name}.png", _sheet(found))
    whole = sheets.pictures.with_landmarks(frame.picture, None, found.landmarks)
    pictures.write(folder / f"{path.stem}_landmarks.png", whole)
    write_points(folder / f"{path.stem}.csv", found.landmarks, found.scores)
    if name == "demo_3d":
        _plot_in_space(folder / f"{path.stem}_3d.png", found.landmarks)
    good = int((found.scores > GOOD_SCORE).sum())
    print(f"{path}: {good} of {len(found.scores)} landmarks are certain")


def _sheet(found) -> np.ndarray:
    """Crop, reconstruction, heat maps and landmarks beside each other."""
    plane = found.crop_landmarks[:, :2]
    tiles = [
        found.crop,
        found.reconstruction,
        sheets.heatmaps(found.crop, found.heatmaps),
        sheets.pictures.with_landmarks(found.reconstruction, None, plane),
        sheets.pictures.with_landmarks(found.crop, None, plane),
    ]
    return sheets.pictures.contact_sheet(tiles, len(tiles), gap=2)


def _demo_of_video(options, opened, name, folder, path, frames, rate: float) -> None:
    """A video of the sheets, and all points with their seconds in one table."""
    rows, scores = [], []

    def drawn():
        for frame in frames:
            found = _detected(options, opened, name, frame.picture)
            scores.append(found.scores)
            points = np.column_stack([found.landmarks, found.scores])
            for number, values in enumerate(points):
                rounded = [f"{value:.3f}" for value in values]
                rows.append([f"{frame.second:.3f}", number, *rounded])
            yield _sheet(found)

    target = folder / f"{path.stem}_{name}.mp4"
    videos.write_video(target, drawn(), frames_per_second=rate)
    text = io.StringIO()
    writer = csv.writer(text)
    columns = ["x", "y", "z"][: 3 if name == "demo_3d" else 2]
    writer.writerow(["second", "landmark", *columns, "score"])
    writer.writerows(rows)
    files.write_text(folder / f"{path.stem}.csv", text.getvalue())
    together = np.concatenate(scores)
    good = int((together > GOOD_SCORE).sum())
    print(
        f"{path}: {good} of {len(together)} landmarks in {len(scores)} frames are "
        "certain"
    )


def write_points(path: pathlib.Path, landmarks, scores) -> None:
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
        "decoding": options.decoding,
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
    opened = opened_model(options)
    for path, target in zip(paths, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        found = opened.detect(pictures.read(path), options.box, **_cut(options))
        files.write_text(target, preparing.pts_text(found.landmarks))
        print(target)


def asymmetry(
    options: argparse.Namespace, paths: list[pathlib.Path], folder: pathlib.Path
) -> None:
    """Measures every face; pictures of a folder and frames of a video are in order.

    Raises:
      InputError: for a video without a model, or a picture without landmarks.
    """
    rows, names, seconds = [], [], []
    for name, second, landmarks in _landmarks_of(options, paths):
        rows.append(parface_asymmetry.measure(landmarks).row())
        names.append(name)
        seconds.append(second)
    if not rows:
        raise InputError(f"{paths[0]}: found no frame, expected a video of faces.")
    timed = None not in seconds
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    columns = ["picture", "second"] if timed else ["picture"]
    writer = csv.DictWriter(text, [*columns, *rows[0]])
    writer.writeheader()
    for name, second, row in zip(names, seconds, rows, strict=True):
        named = {"picture": name, **({"second": f"{second:.3f}"} if timed else {})}
        rounded = {name: f"{value:.4f}" for name, value in row.items()}
        writer.writerow({**named, **rounded})
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
    one_video = timed and len(paths) == 1
    _plot_over_time(folder / "asymmetry.png", rows, seconds if one_video else None)
    print(f"Report: {folder}")


def _landmarks_of(options: argparse.Namespace, paths: list[pathlib.Path]):
    """Yields name, second or None, and landmarks of every face."""
    if options.model:
        opened = opened_model(options)
        for frame in inputs.frames(paths):
            found = opened.detect(frame.picture, options.box, **_cut(options))
            points = found.landmarks
            if len(points) == _POINTS_OF_WFLW:
                points = landmark_sets.to_68(points)
            yield frame.name, frame.second, points
        return
    for path in paths:
        if inputs.is_video(path):
            raise InputError(f"--model: not given, expected for the video {path}.")
    for path in paths:
        points = folders.beside(path, ".pts") or path.with_suffix(".pts")
        yield path.name, None, landmark_files.read_landmarks(points)


def _plot_over_time(
    path: pathlib.Path, rows: list[dict[str, float]], seconds: list[float] | None
) -> None:
    """Curves over the seconds of one video, else over pictures."""
    try:
        from matplotlib import figure
    except ImportError:
        print(f"matplotlib is not installed: no {path.name}.")
        return
    drawing = figure.Figure(figsize=(7, 6), layout="constrained")
    upper, lower = drawing.subplots(2, 1, sharex=True)
    marker = "o" if len(rows) == 1 else None
    places = seconds or range(len(rows))
    for name in parface_asymmetry.REGIONS:
        values = [row[f"asymmetry_{name}"] for row in rows]
        upper.plot(places, values, label=name, marker=marker)
    for name in ("eye_opening", "brow_height", "mouth_reach", "mouth_height"):
        values = [row[f"{name}_left_minus_right"] for row in rows]
        lower.plot(places, values, label=name.replace("_", " "), marker=marker)
    upper.set_ylabel("asymmetry, percent")
    lower.set_ylabel("left minus right, percent")
    lower.set_xlabel("picture" if seconds is None else "seconds")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, ncols=4)
    with files.atomic_path(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)
