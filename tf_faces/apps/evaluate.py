"""Errors of a system's landmarks on photographs whose landmarks are known.

A face's error is the mean distance of its 68 points in the plane, divided by the root
of the area of the true points' box, in percent.  Where the face lies is told by the
true points, or looked for; a face that is not found counts with 100.  Brackets hold 95
of 100 bootstrap draws of the photographs.
"""

import argparse
import csv
import functools
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps import entry, photo
from tf_faces.core import files, folders, progress, stems

_EPILOG = """\
examples:
  tf-faces evaluate --model={system} --data AFLW2000
      the weights that come with the package, on a folder of .jpg and .mat files
  tf-faces evaluate --model={system} --weights results/006-{system} --data ibug \\
      --box detector
      a run of one's own on .pts files, faces found by the detector

--data: annotations.npz, or .mat, .pts, .ljson or .npy files beside the pictures
(docs/data_format.md).
"""
BOXES = ("truth", "detector")
# Percent: of a face that was not found, and where the curve ends.
LOST, LIMIT = 100.0, 10.0
# Beyond the jaw, which annotators move to the outline of a turned face.
_POINTS = {"all 68": slice(0, 68), "17-67": slice(17, 68)}


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Runs the program and returns its exit status (see `tf_faces.apps.entry`)."""
    return entry.run(functools.partial(_main, prog=prog), arguments)


def _parser(prog: str | None = None) -> options_of.ArgumentParser:
    parser = options_of.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG.format(system=_systems()[-1]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, choices=_systems(), help="system")
    parser.add_argument(
        "--weights",
        default="open",
        help="a run, or 'open': those that come with the package (%(default)s)",
    )
    parser.add_argument("--data", required=True, help="folder of photographs")
    parser.add_argument(
        "--box",
        dest="place",
        choices=BOXES,
        default=BOXES[0],
        help="where faces lie is told by the true points, or found (%(default)s)",
    )
    parser.add_argument("--detector", help="with --box detector (mtcnn)")
    parser.add_argument("--detector_weights", help="of dlib's or MediaPipe's detector")
    parser.add_argument("--count", type=options_of.count, help="at most so many faces")
    parser.add_argument(
        "--output", help="folder for errors.csv, summary.json and curve.png"
    )
    options_of.add_overwrite(parser)
    return parser


def _systems() -> tuple[str, ...]:
    return stems.with_stage("apps", "photo")


def _main(arguments: list[str], prog: str | None = None) -> int:
    options = _parser(prog).parse_args(arguments)
    if options.place == "truth":
        told = "with --box truth, expected --box detector"
        options_of.refuse_given(options, ("detector", "detector_weights"), told)
    if options.output is not None:
        folders.require_free_folder(options.output, overwrite=options.overwrite)
    from tf_faces.data import annotated_photographs
    from tf_faces.pipelines import shipped

    faces = annotated_photographs.read(options.data)[: options.count]
    find = None
    if options.place == "detector":
        options.box = None
        find = photo.finder(options)
    folder = files.require_directory(
        shipped.resolve(options.weights, options.model), "folder of weights"
    )
    part = stems.stage("apps", options.model, "photo").open_part(folder)
    errors, lost = measure(faces, part, find)
    summary = summarized(faces, errors, lost)
    print(f"{options.model}, {options.weights}, box: {options.place}; {options.data}")
    print(table(summary))
    if options.output is not None:
        _write(pathlib.Path(options.output), faces, errors, summary)
    return 0


def measure(faces, part: photo.Part, find=None) -> tuple[dict[str, np.ndarray], int]:
    """The errors of faces in percent.

    Args:
      faces: `data.annotated_photographs.Annotated`, at least one.
      part: the system that sees them.
      find: (picture) -> boxes of its faces; None takes the true ones.

    Returns:
      {points: float64 [N]}, and how many faces were not found.
    """
    from tf_faces.core import pictures
    from tf_faces.metrics import normalized_mean_error as nme

    found: dict[str, list[float]] = {name: [] for name in _POINTS}
    lost = 0
    with progress.bar(len(faces), "face", "Measuring") as bar:
        for face in faces:
            picture = pictures.read(face.path)
            box = face.box if find is None else nearest(find(picture), face.box)
            if box is None:
                lost += 1
            else:
                points = part(picture, box, None, face.path.stem).landmarks
                points = np.asarray(points, np.float64)[:, :2]
            length = nme.lengths(face.landmarks[np.newaxis])
            for name, chosen in _POINTS.items():
                error = LOST / 100
                if box is not None:
                    (error,) = nme.normalized_mean_error(
                        points[np.newaxis, chosen],
                        face.landmarks[np.newaxis, chosen],
                        length,
                    )
                found[name].append(100 * float(error))
            bar.update()
    return {name: np.array(values) for name, values in found.items()}, lost


def nearest(boxes, true: Sequence[float]) -> tuple[float, ...] | None:
    """The box that shares most with the true one; None where none shares anything.

    Args:
      boxes: (left, top, right, bottom) each.
      true: the same.
    """

    def area(box):
        return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)

    def shared(box):
        low = np.maximum(box[:2], true[:2])
        high = np.minimum(box[2:], true[2:])
        both = area((*low, *high))
        return both / (area(box) + area(true) - both)

    candidates = [tuple(float(value) for value in box) for box in boxes]
    best = max(candidates, key=shared, default=None)
    return best if best is not None and shared(best) > 0 else None


def summarized(faces, errors: dict[str, np.ndarray], lost: int) -> dict:
    """What is printed and written, as JSON values; all errors in percent."""
    from tf_faces.metrics import normalized_mean_error as nme

    groups = np.array([face.group for face in faces])
    yaws = [face.yaw for face in faces]
    summary: dict = {"faces": len(faces), "not_found": lost, "points": {}}
    for name, values in errors.items():
        row = {
            "mean": float(values.mean()),
            "interval": list(nme.confidence_interval(values, groups)),
            "median": float(np.median(values)),
            "auc": 100 * nme.area_under_curve(values, LIMIT),
            "failures": 100 * float((values > LIMIT).mean()),
        }
        if all(yaw is not None for yaw in yaws):
            turned = nme.by_yaw(values, yaws)
            row["by_yaw"] = [
                {"from": low, "to": high, "faces": count, "mean": mean}
                for low, high, count, mean in zip(
                    nme.YAW_EDGES[:-1], nme.YAW_EDGES[1:], turned.count, turned.mean,
                    strict=True,
                )
                if count
            ]  # fmt: skip
        summary["points"][name] = row
    return summary


def table(summary: dict) -> str:
    """A summary as a text of aligned columns."""
    first = next(iter(summary["points"].values()))
    turned = [f"{bin['from']:g}-{bin['to']:g}" for bin in first.get("by_yaw", ())]
    head = ["points", "mean", "interval", "median", f"AUC@{LIMIT:g}", f">{LIMIT:g}"]
    rows = [[*head, *(f"yaw {name}" for name in turned)]]
    for name, row in summary["points"].items():
        low, high = row["interval"]
        rows.append(
            [
                name,
                f"{row['mean']:.2f}",
                f"[{low:.2f}, {high:.2f}]",
                f"{row['median']:.2f}",
                f"{row['auc']:.1f}",
                f"{row['failures']:.1f}",
                *(f"{bin['mean']:.2f}" for bin in row.get("by_yaw", ())),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True))
        for row in rows
    ]
    faces, lost = summary["faces"], summary["not_found"]
    return "\n".join([f"{faces} faces, {lost} of them not found; percent", *lines])


def _write(folder: pathlib.Path, faces, errors, summary) -> None:
    from tf_faces.metrics import normalized_mean_error as nme
    from tf_faces.viz import curves

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "yaw", *errors])
    for row, face in enumerate(faces):
        yaw = "" if face.yaw is None else f"{face.yaw:.2f}"
        values = (f"{values[row]:.4f}" for values in errors.values())
        writer.writerow([face.path.name, yaw, *values])
    files.write_text(folder / "errors.csv", text.getvalue())
    files.write_json(folder / "summary.json", summary)
    places = np.linspace(0, LIMIT, 200)
    curves.save(
        folder / "curve.png",
        places,
        {
            f"{name} ({values.mean():.2f})": 100 * nme.cumulative(values, places)
            for name, values in errors.items()
        },
        x_label="normalised mean error, percent",
        y_label="faces, percent",
    )
    print(f"Written: {folder}")
