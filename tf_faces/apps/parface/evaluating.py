"""Evaluation of a model or of stored predictions: lines, tables, the curve."""

import argparse
import csv
import dataclasses
import io
import pathlib

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import heatmaps, sets
from tf_faces.data.parface.samples import Mixture, Preparation
from tf_faces.metrics import parface as metrics
from tf_faces.metrics import parface_asymmetry, parface_pictures

# Points within the outline; those of the outline are put where it is seen.
_INNER = slice(17, None)
# Pixels of a side at which reconstructions are compared with pictures.
LIKENESS_SIDE = 64


def run(options: argparse.Namespace) -> None:
    """Evaluates as the program's options say."""
    spatial = bool(options.eval_3d)
    if spatial and options.use_predicted is False and not options.use_groundtruth:
        raise InputError(
            "--use_predicted: found false without --use_groundtruth, expected one of "
            "them: depths are read from heat maps."
        )
    likeness = None
    if options.predictions is not None:
        names, truth, found, size = _stored(options, spatial)
    else:
        names, truth, found, size, likeness = _of_model(options, spatial)
    if spatial and (truth.shape[-1] != 3 or found.shape[-1] != 3):
        raise InputError(
            "--eval_3d: found landmarks without depths, expected x, y and depth."
        )
    result = metrics.evaluate(truth, found, options.ocular_norm, size, spatial)
    for line in result.lines():
        print(line)
    if likeness is not None:
        print(
            f"Reconstructions: {likeness['recognised']} of {len(names)} are nearest to "
            f"their own picture at {LIKENESS_SIDE} pixels, "
            f"{likeness['difference']:.2f} of 255 levels off."
        )
    asymmetry, groups = None, {}
    if options.by_asymmetry is not None:
        asymmetry = _asymmetries(truth)
        groups = _grouped(options, asymmetry, truth, found, size, spatial)
        for line in _table(groups):
            print(line)
    if options.output:
        _write(
            pathlib.Path(options.output),
            options, names, truth, found, size, result, asymmetry, groups, likeness,
        )  # fmt: skip


def _asymmetries(truth: np.ndarray) -> np.ndarray:
    """Of every face, from its true landmarks in space: [N]."""
    if truth.shape[1:] != (68, 3):
        raise InputError(
            f"--by_asymmetry: found true landmarks of shape {list(truth.shape)}, "
            "expected 68 with depths."
        )
    return np.array([parface_asymmetry.in_space(one) for one in truth])


def _grouped(options, asymmetry, truth, found, size, spatial):
    """{group: its numbers}, those that have faces."""
    above = asymmetry > options.by_asymmetry
    return {
        name: metrics.evaluate(
            truth[chosen], found[chosen], options.ocular_norm, size, spatial
        )
        for name, chosen in (("symmetric", ~above), ("asymmetric", above))
        if chosen.any()
    }


def _table(groups: dict[str, metrics.Evaluation]) -> list[str]:
    """One line a group."""
    lines = [
        f"{'faces':<11} {'count':>6} {'NME':>7} {'FR@10':>7} {'AUC':>7} {'GTE':>7} "
        f"{'NME_3D':>7}"
    ]
    for name, one in groups.items():
        gte, nme_3d = (
            "-" if value is None else f"{value:.3f}" for value in (one.gte, one.nme_3d)
        )
        lines.append(
            f"{name:<11} {one.count:>6d} {one.nme:>7.3f} {one.failure_rate:>7.3f} "
            f"{one.auc:>7.4f} {gte:>7} {nme_3d:>7}"
        )
    return lines


def _faces(options: argparse.Namespace) -> sets.FaceSet:
    if not options.dataset or not options.root:
        lacking = ""
        if options.predictions is not None:
            lacking = f", as {options.predictions} lacks the array truth"
        raise InputError(f"--dataset and --root: not given, expected both{lacking}.")
    request = sets.Request(
        root=pathlib.Path(options.root),
        annotations=pathlib.Path(options.annotations) if options.annotations else None,
        test_split=options.test_split,
        crop_source=options.crop_source,
    )
    found = sets.open_set(options.dataset, request, options.st or 0, options.val_count)
    if not found.has_landmarks:
        raise InputError(f"--dataset={options.dataset}: has no landmarks.")
    return found


def _stored(options: argparse.Namespace, spatial: bool):
    path = files.require_file(options.predictions, "file of predictions")
    arrays = files.load_npz(path)
    if "landmarks" not in arrays:
        raise FormatError(
            f"{path}: lacks 'landmarks', found {', '.join(arrays) or 'none'}."
        )
    found = _points(path, arrays["landmarks"], "landmarks")
    if "truth" in arrays:
        told = f"with {path}, which has the truth, expected one of them"
        names = ("dataset", "root", "annotations", "val_count", "st")
        options_of.refuse_given(options, names, told)
        truth = _points(path, arrays["truth"], "truth")
        names = [str(index) for index in range(len(truth))]
    else:
        faces = _faces(options)
        if spatial and not faces.has_depths:
            raise InputError(f"--eval_3d: {options.dataset} has no depths.")
        kind = "landmarks_3d" if spatial else "landmarks"
        truth = np.stack(
            [
                _with_depths(getattr(face, kind), face.landmarks_3d, faces)
                for face in faces.faces
            ]
        )
        names = [face.name for face in faces.faces]
    if truth.shape[:2] != found.shape[:2]:
        raise InputError(
            f"{path}: landmarks of shape {list(found.shape)}, expected "
            f"{list(truth.shape[:2])} as the truth."
        )
    return names, truth, found, options.input_size


def _with_depths(points: np.ndarray, in_space, faces: sets.FaceSet) -> np.ndarray:
    """Points with the depths that a set has: asymmetry is measured in space also where
    errors are not."""
    if not faces.has_depths:
        return points
    return np.concatenate([points[..., :2], in_space[..., 2:]], axis=-1)


def _points(path, values: np.ndarray, name: str) -> np.ndarray:
    right = values.ndim == 3 and values.shape[-1] in (2, 3) and len(values)
    if not right or values.dtype.kind not in "fiu":
        raise FormatError(
            f"{path}: {name} has shape {list(values.shape)} of {values.dtype}, "
            "expected [N, K, 2 or 3] of numbers."
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise FormatError(f"{path}: {name} is not finite.")
    return values


def _of_model(options: argparse.Namespace, spatial: bool):
    from tf_faces.apps.parface import showing
    from tf_faces.training.parface import loading

    opened = showing.opened_model(options)
    config = opened.networks.config
    faces = _faces(options)
    if faces.num_landmarks != config.num_landmarks:
        raise InputError(
            f"--dataset={options.dataset}: has {faces.num_landmarks} landmarks, "
            f"expected {config.num_landmarks} as {options.model}."
        )
    if spatial and not faces.has_depths:
        raise InputError(f"--eval_3d: {options.dataset} has no depths.")
    preparation = Preparation(
        size=config.input_size,
        crop_source=options.crop_source,
        align=bool(options.align),
        normalized=config.normalized,
    )
    truth, found, names = [], [], []
    seen, drawn = [], []
    kind = "landmarks_3d" if spatial else "landmarks"
    batches = loading.in_order(Mixture([faces]), preparation, options.batchsize)
    for samples in batches:
        batch = loading.stack(samples)
        result = opened.detect_crops(
            batch["image"],
            spatial=spatial,
            # Evaluation smooths in space as well.
            smooth=True,
            decoding=options.decoding,
            maps=_true_maps(options, batch, config.input_size) if spatial else None,
            wanted=(kind, *(["reconstructions"] if options.reconstructions else [])),
        )
        if options.reconstructions:
            seen.append(parface_pictures.displayed(batch["image"], False))
            drawn.append(
                parface_pictures.displayed(result["reconstructions"], config.normalized)
            )
        truth.append(_with_depths(batch[kind], batch["landmarks_3d"], faces))
        found.append(result[kind])
        names += [sample.name for sample in samples]
    likeness = None
    if options.reconstructions:
        likeness = _likeness(np.concatenate(seen), np.concatenate(drawn))
    both = np.concatenate(truth), np.concatenate(found)
    return names, *both, config.input_size, likeness


def _true_maps(options: argparse.Namespace, batch, size: int) -> np.ndarray | None:
    """Heat maps [N, 128, 128, 68] of the true landmarks, where they are asked for."""
    if not options.use_groundtruth:
        return None
    plane = batch["landmarks_3d"][..., :2]
    return np.stack([heatmaps.create(one, size, options.sigma) for one in plane])


def _likeness(pictures: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    recognised = parface_pictures.recognised(pictures, drawn, LIKENESS_SIDE)
    difference = np.abs(pictures.astype(np.float32) - drawn).mean()
    return {"recognised": int(recognised.sum()), "difference": float(difference)}


def _write(
    folder, options, names, truth, found, size, result, asymmetry, groups, likeness
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    errors = metrics.landmark_errors(truth, found, options.ocular_norm, size)
    columns = {"name": names, "nme": errors.mean(axis=1), "largest": errors.max(axis=1)}
    if result.gte is not None:
        columns["gte"] = metrics.ground_truth_errors(truth, found).mean(axis=1)
    if asymmetry is not None:
        columns["asymmetry"] = asymmetry
    inner = None
    if errors.shape[1] == 68:
        inner = float(errors[:, _INNER].mean())
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    files.write_text(folder / "errors.csv", text.getvalue())
    thresholds, shares = metrics.cumulative_errors(errors)
    files.write_json(
        folder / "summary.json",
        {
            **dataclasses.asdict(result),
            "ocular_norm": options.ocular_norm,
            "nme_without_outline": inner,
            "reconstructions": likeness,
            "by_asymmetry": {k: dataclasses.asdict(v) for k, v in groups.items()},
            "thresholds": thresholds.tolist(),
            "shares": shares.tolist(),
        },
    )
    files.write_npz(folder / "predictions.npz", True, truth=truth, landmarks=found)
    _plot(folder / "curve.png", thresholds, shares, result)
    print(f"Tables and curve: {folder}")


def _plot(path: pathlib.Path, thresholds, shares, result) -> None:
    try:
        from matplotlib import figure
    except ImportError:
        print("matplotlib is not installed: no curve.png.")
        return
    drawing = figure.Figure(figsize=(5, 4), layout="constrained")
    axes = drawing.add_subplot()
    axes.plot(thresholds, 100 * shares)
    axes.set_xlabel("mean error of a face, percent")
    axes.set_ylabel("faces within, percent")
    axes.set_title(f"{result.count} faces, NME {result.nme:.2f}, AUC {result.auc:.3f}")
    axes.set_xlim(0, thresholds[-1])
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    with files.atomic_path(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)
