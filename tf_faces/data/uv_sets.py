"""Coupled UV sets: texture, shape and normals of many faces on one square chart.

What a set's folder holds, in the input layout of the TFRecord exporter of coupled data
(`create_from_pkl_img_norm`):

    texture/<key>.png    uint8 RGB [R, R]
    shape/<key>.pkl      pickled float32 [3, R, R]: (x, y, z) about in [-1, 1]
    normals/<key>.pkl    pickled float32 [3, R, R]: unit vectors, out of the face
    labels.pkl           pickled float32 [n, 7]: weights of the seven expressions of
                         `morphable.expressions.BASIC_EXPRESSIONS`; probabilities,
                         every row sums to one (not logits)
    paths.pkl            pickled list of the n keys, in the order of the labels
    uv_dictionary.npz    how maps become meshes again, see
                         `morphable.uv_dictionary`
    uv_set.json          what the set was made of; written last, so its presence
                         says that the set is whole

Keys are `face000012.3`: subject, then the number of its expression.  Every sample
depends on seed and key alone, so sets are equal for any number of processes and a
stopped run continues where it was.  Row 0 of a map is the top of the head.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import pickle

import numpy as np
import scipy.sparse
import tqdm

from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError
from tf_faces.data import uv_chart
from tf_faces.morphable import expressions, io, painting
from tf_faces.morphable.formats import makehuman
from tf_faces.morphable.model import MorphableModel
from tf_faces.morphable.uv_dictionary import UvDictionary

# Changes whenever the same arguments would give other samples.
_REVISION = 3
_BATCH = 16
# Multiplications up to which BLAS leaves a product to one thread (OpenBLAS: 2^18).
_UNSPLIT_PRODUCT = 200_000
_INCOMPLETE = "uv_set.incomplete.json"
_COMPLETE = "uv_set.json"
# The neutral face fills this share of [-1, 1]; identities need the rest.
_NEUTRAL_EXTENT = 0.8


# --- textures ----------------------------------------------------------------------


def _smooth_noise(rng, count, knots, resolution):
    """Smooth random fields of about unit size: float32 [count, R, R]."""
    place = np.linspace(0, knots - 1, resolution)[:, None] - np.arange(knots)
    weight = np.exp(-0.5 * (place / 0.6) ** 2)
    weight = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    coarse = rng.standard_normal((count, knots, knots)).astype(np.float32) * 1.8
    return weight @ coarse @ weight.T


def _resampled_skins(paths, chart: uv_chart.Chart) -> np.ndarray:
    """The skin pictures on the chart: float32 [skins, R, R, 3]."""
    from PIL import Image

    side = makehuman.SKIN_HEIGHT
    margin = (makehuman.SKIN_WIDTH - side) // 2
    # Averaged down to about the map's resolution first, so that nothing aliases.
    reduced = min(side, chart.resolution * 5 // 4)
    coordinates = chart.picture_coordinates.reshape(-1, 2)
    result = []
    for path in paths:
        square = Image.fromarray(makehuman.load_skin(path)[:, margin : margin + side])
        square = square.resize((reduced, reduced), Image.Resampling.BOX)
        colors = makehuman.sample_picture(np.asarray(square), coordinates)
        result.append(colors.reshape(chart.resolution, chart.resolution, 3))
    return np.stack(result).astype(np.float32)


def _similar_skins(skins: np.ndarray, count: int = 4) -> np.ndarray:
    """For each skin itself and those most like it: int [skins, count].

    Mixed skins of one tone and hair look like skin; others look like paint.
    """
    small = skins[:, ::4, ::4].reshape(len(skins), -1)
    distance = np.abs(small[:, None] - small[None]).mean(axis=2)
    return np.argsort(distance, axis=1, kind="stable")[:, :count]


def _paint_eyes(texture, layers, rng):
    """Blends eyes with an iris of random colour into a texture [R, R, 3]."""
    if not layers.any():
        return texture
    brown, other = np.float32(painting.IRIS), np.float32((105, 130, 140))
    iris = brown + rng.random() ** 2 * (other - brown) + rng.normal(0, 8, 3)
    colors = np.stack([painting.SCLERA, iris, painting.PUPIL]).astype(np.float32)
    coverage = layers.sum(axis=0)[..., None]
    return texture * (1 - coverage) + np.einsum("krc,kd->rcd", layers, colors)


# --- samples -----------------------------------------------------------------------


class Sampler:
    """Makes samples of one model at one resolution.

    Args:
      model: any morphable model.
      resolution: 32, 64, 128, 256 or 512.
      seed: of the whole set.
    """

    def __init__(self, model: MorphableModel, resolution: int, seed: int) -> None:
        self.chart = uv_chart.build_chart(model, resolution)
        self.seed = seed
        part = self.chart.model
        low, high = part.bounding_box()
        self.offset = ((low + high) / 2).astype(np.float64)
        self.scale = float((high - low).max() / 2 / _NEUTRAL_EXTENT)
        self._basic = expressions.basic_expressions(part)
        self._skins, self._partners = None, None
        if model.texture_pictures:
            self._skins = _resampled_skins(model.texture_pictures, self.chart)
            self._partners = _similar_skins(self._skins)
        # Triangles at the model's own vertices, which seams do not cut.
        self._triangles = self.chart.vertex_of_coordinate[self.chart.triangles]
        corner = np.arange(3 * len(self._triangles)) // 3
        self._incidence = scipy.sparse.csr_matrix(
            (np.ones(len(corner), np.float32), (self._triangles.reshape(-1), corner)),
            shape=(part.vertex_count, len(self._triangles)),
        )

    def dictionary(self) -> UvDictionary:
        """The chart for turning maps into meshes."""
        chart = self.chart
        return UvDictionary(
            tcoords=chart.coordinates.astype(np.float64),
            tcoords_pixel_scaled=chart.pixel_coordinates,
            trilist=chart.triangles,
            tmask=chart.covered,
            hidden=chart.hidden,
            resolution=chart.resolution,
            scale=self.scale,
            offset=self.offset,
            unit=chart.model.unit,
        )

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit vertex normals [n, 3], out of the face, weighted by area."""
        corner = vertices[self._triangles]
        face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        return _unit(self._incidence @ face)

    def draw(self, subject: int, variant: int):
        """Coefficients and label of one sample: (shape, expression, label [7], rng)."""
        model = self.chart.model
        identity = np.random.default_rng([self.seed, subject])
        shape = model.sample_shape(identity, 1, 0.9)[0]
        rng = np.random.default_rng([self.seed, subject, variant + 1])
        # One expression leads; the softness of the label is the mixture itself.
        leading = rng.integers(len(self._basic))
        weights = 0.25 * rng.dirichlet(np.full(len(self._basic), 0.4))
        weights[leading] += 1.0
        weights *= rng.uniform(0.75, 1.0) / weights.sum()
        weights[0] += 1.0 - weights.sum()
        expression = expressions.mix(self._basic, weights[None])[0]
        if model.expression_range is not None:
            expression = expression + 0.1 * model.sample_expression(rng, 1)[0]
            expression = np.clip(expression, *model.expression_range)
        return (
            shape,
            expression.astype(np.float32),
            weights.astype(np.float32),
            identity,
        )

    def _texture(self, colors, rng, eye_rng):
        """One texture [R, R, 3], uint8."""
        if self._skins is None:
            texture = self.chart.to_map(colors)
        else:
            first = rng.integers(len(self._skins))
            second = rng.choice(self._partners[first])
            blend = _smooth_noise(rng, 1, 4, self.chart.resolution)[0]
            blend = 1 / (1 + np.exp(-4 * blend - 2 * rng.standard_normal()))
            texture = self._skins[first] + blend[..., None] * (
                self._skins[second] - self._skins[first]
            )
            gain = rng.normal(1, 0.06) * rng.normal(1, 0.03, 3)
            texture = texture * gain.astype(np.float32)
        texture = _paint_eyes(texture, self.chart.eye_layers, eye_rng)
        return pictures.levels_to_bytes(texture)

    def make(self, pairs) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Makes samples for (subject, variant) pairs.

        Returns:
          For each: texture uint8 [R, R, 3], shape and normals float32 [3, R, R].
        """
        model, resolution = self.chart.model, self.chart.resolution
        drawn = [self.draw(subject, variant) for subject, variant in pairs]
        vertices = model.neutral + _combine(model, "shape", [row[0] for row in drawn])
        vertices += _combine(model, "expression", [row[1] for row in drawn])
        colors = [None] * len(drawn)
        if self._skins is None:
            textures = [model.sample_texture(row[3], 1, 0.9)[0] for row in drawn]
            colors = model.colors() + _combine(model, "texture", textures)
        offset = self.offset.astype(np.float32)
        samples = []
        for row, points, color in zip(drawn, vertices, colors, strict=True):
            placed = (points - offset) / np.float32(self.scale)
            values = np.concatenate([placed, self.normals(points)], axis=1)
            image = self.chart.to_map(values.astype(np.float32))
            normals = _unit(image[..., 3:].reshape(-1, 3)).reshape(image[..., 3:].shape)
            texture = self._texture(color, row[3], row[3])
            samples.append(
                (
                    texture,
                    np.ascontiguousarray(np.moveaxis(image[..., :3], -1, 0)),
                    np.ascontiguousarray(np.moveaxis(normals, -1, 0)),
                )
            )
            if samples[-1][1].shape != (3, resolution, resolution):
                raise InputError("the chart and the model disagree in size.")
        return samples


def _combine(model: MorphableModel, kind: str, coefficients) -> np.ndarray:
    """Sums of modes for up to 16 samples: rows of [k] -> float32 [N, n, 3].

    Equal to the model's own, and bit for bit the same for any number of threads and
    any company of a sample in its batch: BLAS adds in another order when it splits a
    product among threads or meets another number of columns, so products are kept
    too small to be split and all have 16 columns.
    """
    basis = getattr(model, f"{kind}_basis")
    count, modes = len(coefficients), basis.shape[2]
    if not modes:
        return np.zeros((count, *basis.shape[:2]), np.float32)
    columns = np.zeros((modes, _BATCH), np.float32)
    columns[:, :count] = np.stack(coefficients, axis=1)
    if model.coefficient_kind == "unit":
        columns *= getattr(model, f"{kind}_deviations")[:, None]
    flat = basis.reshape(-1, modes)
    rows = max(_UNSPLIT_PRODUCT // (_BATCH * modes), 1)
    whole = len(flat) // rows * rows
    stacked = flat[:whole].reshape(-1, rows, modes) @ columns
    result = np.concatenate([stacked.reshape(whole, _BATCH), flat[whole:] @ columns])
    return np.ascontiguousarray(result.T[:count]).reshape(count, *basis.shape[:2])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, 3] of length one; those of no length become +z."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12)
    return np.where(length > 1e-12, unit, np.array((0, 0, 1), np.float32)).astype(
        np.float32
    )


# --- writing -----------------------------------------------------------------------


def _file_names(directory: str, key: str) -> tuple[str, str, str]:
    return (
        os.path.join(directory, "texture", f"{key}.png"),
        os.path.join(directory, "shape", f"{key}.pkl"),
        os.path.join(directory, "normals", f"{key}.pkl"),
    )


def _is_whole(names: tuple[str, str, str], resolution: int) -> bool:
    try:
        sizes = [os.path.getsize(name) for name in names]
        with open(names[0], "rb") as stream:
            stream.seek(-8, os.SEEK_END)
            ending = stream.read()
    except OSError:
        return False
    # The last eight bytes of a whole PNG are its IEND chunk.
    return ending[:4] == b"IEND" and min(sizes[1:]) > 12 * resolution**2


def _key(subject: int, variant: int) -> str:
    return f"face{subject:06d}.{variant}"


# One sampler in each worker process, made by the pool's initializer.
_worker_sampler: Sampler | None = None


def _start_worker(model, resolution, seed):
    global _worker_sampler
    _worker_sampler = Sampler(model, resolution, seed)


def _write_batch(directory, pairs, sampler: Sampler | None = None) -> int:
    sampler = sampler or _worker_sampler
    assert sampler is not None, "_start_worker comes first"
    wanted = [
        pair
        for pair in pairs
        if not _is_whole(_file_names(directory, _key(*pair)), sampler.chart.resolution)
    ]
    if wanted:
        for pair, sample in zip(wanted, sampler.make(wanted), strict=True):
            contents = (
                pictures.encode(sample[0], compress_level=4),
                pickle.dumps(sample[1], protocol=4),
                pickle.dumps(sample[2], protocol=4),
            )
            names = _file_names(directory, _key(*pair))
            for name, content in zip(names, contents, strict=True):
                # What a crash of the machine cuts short is made again (`_is_whole`).
                files.write_bytes(name, content, durable=False)
    return len(pairs)


def _run_batches(directory, batches, sampler, model, processes, progress):
    if processes == 1:
        for batch in batches:
            progress.update(_write_batch(directory, batch, sampler))
        return
    # Spawned, not forked: a fork of a process with TensorFlow's threads can hang.
    # One thread each, or the workers' matrix products would fight over the cores.
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    saved = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        pool = concurrent.futures.ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),
            _start_worker,
            (model, sampler.chart.resolution, sampler.seed),
        )
        try:
            jobs = [pool.submit(_write_batch, directory, batch) for batch in batches]
            for job in concurrent.futures.as_completed(jobs):
                progress.update(job.result())
        finally:
            pool.shutdown(cancel_futures=True)
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def make_uv_set(
    directory: files.PathLike,
    model: MorphableModel | files.PathLike,
    count: int,
    resolution: int,
    seed: int = 0,
    *,
    expressions_per_subject: int = 1,
    processes: int = 1,
    show_progress: bool = True,
) -> pathlib.Path:
    """Writes a coupled UV set, or completes one that was stopped.

    Args:
      directory: the set's folder; made if needed.
      model: a model, or what `morphable.io.load` takes ("builtin", "ict",
        "makehuman", a file).  Textures mix the model's skin pictures where it has
        them (MakeHuman), else they are its vertex colours.
      count: number of samples.
      resolution: 32, 64, 128, 256 or 512.
      seed: same seed, same samples.
      expressions_per_subject: consecutive samples that share an identity.
      processes: number of worker processes.
      show_progress: draw a progress bar.

    Returns:
      The folder.

    Raises:
      InputError: for bad numbers, or a folder that holds another set.
    """
    for name, value in (
        ("count", count),
        ("expressions_per_subject", expressions_per_subject),
        ("processes", processes),
    ):
        if value < 1:
            raise InputError(f"{name} must be at least 1. Received: {value}")
    if seed < 0:
        raise InputError(f"seed must not be negative. Received: {seed}")
    directory = pathlib.Path(directory)
    if not isinstance(model, MorphableModel):
        model = io.load(model)
    description = {
        "revision": _REVISION,
        "model": model.name,
        "vertices": model.vertex_count,
        "licence": model.licence,
        "pictures": len(model.texture_pictures),
        "count": count,
        "resolution": resolution,
        "seed": seed,
        "expressions_per_subject": expressions_per_subject,
        "expressions": list(expressions.BASIC_EXPRESSIONS),
        "labels": "probabilities",
        "unit": model.unit,
    }
    if _begin(directory, description):
        return directory
    sampler = Sampler(model, resolution, seed)
    pairs = [divmod(number, expressions_per_subject) for number in range(count)]
    batches = [pairs[i : i + _BATCH] for i in range(0, count, _BATCH)]
    for name in ("texture", "shape", "normals"):
        (directory / name).mkdir(exist_ok=True)
    with tqdm.tqdm(
        total=count, unit="face", desc="UV set", disable=not show_progress
    ) as progress:
        _run_batches(os.fspath(directory), batches, sampler, model, processes, progress)
    sampler.dictionary().save(directory / "uv_dictionary.npz")
    labels = np.stack([sampler.draw(*pair)[2] for pair in pairs])
    files.write_bytes(directory / "labels.pkl", pickle.dumps(labels, protocol=4))
    keys = [_key(*pair) for pair in pairs]
    files.write_bytes(directory / "paths.pkl", pickle.dumps(keys, protocol=4))
    files.write_json(directory / _COMPLETE, description)
    (directory / _INCOMPLETE).unlink()
    return directory


def _begin(directory: pathlib.Path, description: dict) -> bool:
    """Opens the folder; True if the wanted set is complete already."""
    for name in (_COMPLETE, _INCOMPLETE):
        path = directory / name
        if not path.is_file():
            continue
        found = files.read_json(path)
        if found != json.loads(json.dumps(description)):
            different = [
                key
                for key in description
                if not isinstance(found, dict) or found.get(key) != description[key]
            ]
            raise InputError(
                f"{path}: the folder holds another UV set (it differs in "
                f"{', '.join(different) or 'its description'}); expected an empty "
                "folder or the same arguments."
            )
        return name == _COMPLETE
    if directory.exists() and any(directory.iterdir()):
        raise InputError(f"{directory}: the folder is not empty and holds no UV set.")
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(directory / _INCOMPLETE, description)
    return False
