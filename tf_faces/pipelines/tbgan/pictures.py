"""Pictures and frames of a trained generator: fakes, walks, one latent at a time.

Random numbers come from NumPy's legacy generator, as in the original.

Reference: generate_fake_images, generate_interpolation_video,
generate_interpolation_video_bydim of util_scripts.py, TBGAN and Progressive GAN code.
"""

import pathlib
import pickle
from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.core import files, pictures, texts
from tf_faces.core.errors import InputError
from tf_faces.data import images
from tf_faces.morphable import expressions
from tf_faces.pipelines.tbgan import maps
from tf_faces.pipelines.tbgan.sampler import TbganPipeline

_RANGE = (-1, 1)
# The largest component that the walk along one latent reaches, before scaling.
_REACH = 4.0
_PICKLE_PROTOCOL = 2


# --- latents and labels -------------------------------------------------------------


def truncated(
    random: np.random.RandomState, shape: Sequence[int], limit: float | None
) -> np.ndarray:
    """Standard normal float32 values; those beyond the limit are drawn again.

    Args:
      random: draws them.
      shape: of the result.
      limit: largest absolute value; None for no limit.
    """
    drawn = random.randn(*shape)
    if limit is not None:
        if limit < 0.01:
            raise InputError(f"--truncation: found {limit}, expected at least 0.01.")
        while (beyond := np.abs(drawn) > limit).any():
            drawn[beyond] = random.randn(int(beyond.sum()))
    return drawn.astype(np.float32)


def latents_of_seeds(
    pipeline: TbganPipeline, seeds: Sequence[int], limit: float | None = None
) -> np.ndarray:
    """Latents [len(seeds), Z], each drawn from a seed of its own."""
    rows = [
        truncated(np.random.RandomState(seed), (pipeline.latent_size,), limit)
        for seed in seeds
    ]
    return np.array(rows, np.float32).reshape(len(seeds), pipeline.latent_size)


def label_number(pipeline: TbganPipeline, label: str) -> int:
    """The number of an expression, given as number or by name.

    Raises:
      InputError: if the network has no such label.
    """
    names = expressions.BASIC_EXPRESSIONS
    number = texts.natural_number(label)
    if number is None and label in names and pipeline.label_size == len(names):
        number = list(names).index(label)
    if number is None:
        known = ", ".join(names) if pipeline.label_size == len(names) else "none"
        raise InputError(
            f"--label: found {label!r}, expected 0 to {pipeline.label_size - 1} or one "
            f"of these names: {known}."
        )
    if number >= pipeline.label_size:
        raise InputError(
            f"--label: found {label}, expected 0 to {pipeline.label_size - 1}."
        )
    return number


def labels_for(
    pipeline: TbganPipeline, count: int, label: str | None, weight: float = 1.0
) -> np.ndarray:
    """Labels as fed [count, L]: of one expression, or zeros as the original feeds."""
    if label is None:
        return np.zeros((count, pipeline.label_size), np.float32)
    stored = np.zeros((count, pipeline.label_size), np.float32)
    stored[:, label_number(pipeline, label)] = 1
    return pipeline.labels_for(stored, weight)


# --- fakes --------------------------------------------------------------------------


def write_fakes(
    pipeline: TbganPipeline,
    folder: files.PathLike,
    latents: np.ndarray,
    labels: np.ndarray,
    *,
    prefix: str = "",
    minibatch: int = 8,
    first: int = 0,
) -> Iterator[pathlib.Path]:
    """Writes one face after the other and yields its texture's file.

    Files are `<prefix>%06d.png` (texture) and, of coupled maps, `_shp.pkl` and
    `_nor.pkl`: pickled float32 [3, R, R], as the original writes them.

    Args:
      pipeline: the generator.
      folder: that exists.
      latents, labels: [N, Z], [N, L] as fed.
      prefix: of file names.
      minibatch: faces made at once.
      first: number of the first file.
    """
    folder = pathlib.Path(folder)
    made = pipeline.maps(latents, labels, minibatch)
    for number, face in enumerate(made, first):
        texture, *others = images.split_modalities(face)
        stem = f"{prefix}{number:06d}"
        for suffix, array in zip(images.MODALITY_SUFFIXES[1:], others, strict=False):
            content = np.ascontiguousarray(np.moveaxis(array, -1, 0), np.float32)
            files.write_bytes(
                folder / f"{stem}{suffix}.pkl",
                pickle.dumps(content, protocol=_PICKLE_PROTOCOL),
                durable=False,
            )
        picture = images.to_uint8(texture, _RANGE)
        pictures.write(folder / f"{stem}.png", picture)
        yield folder / f"{stem}.png"


def grid(
    made: np.ndarray,
    size: tuple[int, int] | None,
    modality: str = "texture",
    zoom: int = 1,
    shrink: int = 1,
) -> np.ndarray:
    """Maps side by side as a picture uint8 [H, W, 3].

    Args:
      made: [N, R, R, C].
      size: (columns, rows); None makes it about square.
      modality: "texture", "shape", "normals", or "all" beside each other.
      zoom: every pixel becomes zoom x zoom.
      shrink: means of shrink x shrink pixels.
    """
    parts = images.split_modalities(made)
    if modality != "all":
        parts = [parts[images.MODALITIES.index(modality)]]
    row = np.concatenate(parts, axis=2)
    if shrink > 1:
        row = images.shrunk(row, shrink)
    sheet = images.create_image_grid(images.to_uint8(row, _RANGE), size)
    if sheet.shape[-1] == 1:
        sheet = sheet.repeat(3, axis=-1)
    return sheet.repeat(zoom, axis=0).repeat(zoom, axis=1)


def require_grid(
    pipeline: TbganPipeline,
    size: tuple[int, int],
    modality: str = "texture",
    zoom: int = 1,
    shrink: int = 1,
) -> None:
    """Checks what `grid` can make, before faces are made for it.

    Args:
      pipeline: the generator.
      size, modality, zoom, shrink: of `grid`.

    Raises:
      InputError: for pictures larger than any, maps that the network has not, and sides
        that cannot be shrunk so.
    """
    names = images.MODALITIES[: max(1, pipeline.channels // 3)]
    if modality not in (*names, "all"):
        raise InputError(
            f"--modality: found {modality!r}, expected one of {', '.join(names)}, all."
        )
    side, rest = divmod(pipeline.resolution, shrink)
    if rest:
        raise InputError(
            f"--image_shrink: found {shrink}, expected a divisor of the pictures' side "
            f"{pipeline.resolution}."
        )
    pixels = size[0] * size[1] * (side * zoom) ** 2
    if modality == "all":
        pixels *= len(names)
    if pixels > pictures.MAXIMUM_PIXELS:
        raise InputError(
            f"--grid_size, --image_zoom: they make pictures of {pixels} pixels, "
            f"expected at most {pictures.MAXIMUM_PIXELS}."
        )


# --- frames -------------------------------------------------------------------------


def walk(
    pipeline: TbganPipeline,
    frames: int,
    cells: int,
    smoothing_frames: float,
    seed: int,
) -> np.ndarray:
    """Latents [frames, cells, Z] that drift and come back to where they began."""
    return maps.interpolation_inputs(
        frames, cells, pipeline.latent_size, smoothing_frames, seed
    )


def along_dimension(
    pipeline: TbganPipeline, frames: int, cells: int, dimension: int, seed: int
) -> np.ndarray:
    """Latents [frames, cells, Z] of which one component goes from -4 to 4.

    Raises:
      InputError: if there is no such component.
    """
    if not 0 <= dimension < pipeline.latent_size:
        raise InputError(
            f"--dim: found {dimension}, expected 0 to {pipeline.latent_size - 1}."
        )
    drawn = np.random.RandomState(seed).randn(1, cells, pipeline.latent_size)
    latents = np.repeat(drawn.astype(np.float32), frames, axis=0)
    latents[:, :, dimension] = np.linspace(-_REACH, _REACH, frames)[:, None]
    return latents / np.sqrt(np.mean(np.square(latents)))


def frames_of(
    pipeline: TbganPipeline,
    latents: np.ndarray,
    labels: np.ndarray,
    size: tuple[int, int],
    minibatch: int = 8,
    **appearance,
) -> Iterator[np.ndarray]:
    """Yields a picture of the grid for each frame.

    Args:
      pipeline: the generator.
      latents: [F, N, Z].
      labels: [N, L] as fed, the same in every frame.
      size: (columns, rows) of the grid of N cells.
      minibatch: faces made at once.
      **appearance: of `grid`.
    """
    require_grid(pipeline, size, **appearance)
    cells = latents.shape[1]
    made = pipeline.maps(
        latents.reshape(-1, latents.shape[-1]),
        np.tile(labels, (len(latents), 1)),
        minibatch,
    )
    frame = []
    for face in made:
        frame.append(face)
        if len(frame) == cells:
            yield grid(np.stack(frame), size, **appearance)
            frame = []


# --- the original's test script -----------------------------------------------------


def write_animated_meshes(
    pipeline: TbganPipeline,
    folder: files.PathLike,
    *,
    frames: int,
    smoothing_frames: float,
    seed: int,
    minibatch: int = 8,
    label_weights: Sequence[float] | float = maps.TEST_SCRIPT_LABEL_WEIGHTS,
    all_frames: bool = False,
    **mesh_options,
) -> Iterator[pathlib.Path]:
    """Writes a mesh with texture and normals for each frame, and yields its file.

    Files are those of generate_interpolation_images: `%06d.obj`, `.mtl`, `.png` and
    `_nor.png`, and `lsfm_params.pkl`, an empty list.

    Args:
      pipeline: the generator, with a UV dictionary.
      folder: that exists.
      frames, smoothing_frames, seed: of the walk through latents and label logits.
      minibatch: faces made at once.
      label_weights: factors of the probabilities, as the test script has them.
      all_frames: also the last ones that fill no minibatch, which the original drops.
      **mesh_options: of `TbganPipeline.mesh`.
    """
    from tf_faces.geometry.mesh_files import obj

    folder = pathlib.Path(folder)
    joined = maps.interpolation_inputs(
        frames, 1, pipeline.latent_size + pipeline.label_size, smoothing_frames, seed
    )[:, 0]
    latents, logits = np.split(joined, [pipeline.latent_size], axis=1)
    labels = logits
    if pipeline.label_size:
        factors = np.broadcast_to(label_weights, pipeline.label_size)
        labels = (maps.softmax(logits) * factors).astype(np.float32)
    if not all_frames:
        kept = frames // minibatch * minibatch
        latents, labels = latents[:kept], labels[:kept]
    chart = pipeline.dictionary
    if chart is None:
        raise InputError(
            f"{pipeline.source}: lacks a UV dictionary, expected --uv_dictionary."
        )
    files.write_bytes(folder / "lsfm_params.pkl", pickle.dumps([], protocol=2))
    faces = pipeline.faces(latents, labels, minibatch=minibatch, **mesh_options)
    for number, face in enumerate(faces):
        path = obj.write_obj_arrays(
            folder / f"{number:06d}.obj",
            face.mesh.vertices,
            face.mesh.triangles,
            style=obj.TBGAN,
            texture=face.texture,
            texture_coordinates=chart.tcoords,
        )[-1]
        if pipeline.channels >= 9:
            pictures.write(
                folder / f"{number:06d}_nor.png", maps.normals_image(face.maps)
            )
        yield path
