"""`tf-faces tbgan`: generated pictures, animated and rendered meshes, videos."""

import argparse
import pathlib

import numpy as np

from tf_faces.apps import arguments as options_of
from tf_faces.apps.tbgan import sources
from tf_faces.core import folders, pictures, progress
from tf_faces.core import texts as text_files
from tf_faces.core.errors import InputError

# The networks compute in float32, and square what they are fed.
_MOST_WEIGHT = 1e15


def open_source(options: argparse.Namespace, dictionary: str | None = None):
    """The pipeline that the options name, and its folder."""
    return sources.open_pipeline(
        options.run, options.result_dir, options.snapshot, dictionary
    )


def _new_folder(options: argparse.Namespace) -> pathlib.Path:
    """Makes the folder of results, once everything else is known to be right."""
    folder = pathlib.Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_faces(options: argparse.Namespace, pipeline) -> None:
    """Finds wrong options of grids and labels before faces are made."""
    from tf_faces.pipelines.tbgan import pictures as making

    if options.label is None and options.label_weight != 1:
        raise InputError("--label_weight: found without --label, expected with it.")
    if hasattr(options, "grid_size"):
        making.require_grid(
            pipeline,
            options.grid_size,
            options.modality,
            options.image_zoom,
            options.image_shrink,
        )


def fake_images(options: argparse.Namespace) -> None:
    """Single faces, or grids of pictures."""
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    pipeline, _ = open_source(options)
    from tf_faces.pipelines.tbgan import pictures as making

    columns, rows = options.grid_size
    cells = columns * rows
    _check_faces(options, pipeline)
    if options.seeds is not None:
        options_of.refuse_given(options, ("num_pngs",), "with --seeds, which says it")
        if len(options.seeds) % cells:
            raise InputError(
                f"--seeds: found {len(options.seeds)}, expected a multiple of the "
                f"{cells} cells of --grid_size."
            )
        latents = making.latents_of_seeds(pipeline, options.seeds, options.truncation)
    else:
        random = np.random.RandomState(options.random_seed)
        shape = ((options.num_pngs or 1) * cells, pipeline.latent_size)
        latents = making.truncated(random, shape, options.truncation)
    labels = making.labels_for(
        pipeline, len(latents), options.label, options.label_weight
    )
    folder = _new_folder(options)
    is_plain = options.image_shrink == options.image_zoom == 1
    if cells == 1 and is_plain and options.modality == "texture":
        made = making.write_fakes(
            pipeline,
            folder,
            latents,
            labels,
            prefix=options.png_prefix,
            minibatch=options.minibatch_size,
        )
        for _ in progress.bar(len(latents), "face", iterable=made):
            pass
    else:
        frames = making.frames_of(
            pipeline,
            latents[: len(latents) // cells * cells].reshape(
                -1, cells, latents.shape[1]
            ),
            labels[:cells],
            (columns, rows),
            options.minibatch_size,
            modality=options.modality,
            zoom=options.image_zoom,
            shrink=options.image_shrink,
        )
        total = len(latents) // cells
        for number, frame in enumerate(progress.bar(total, "grid", iterable=frames)):
            pictures.write(folder / f"{options.png_prefix}{number:06d}.png", frame)
    print(f"Written: {folder}")


def interpolation_images(options: argparse.Namespace) -> None:
    """The original's test script."""
    from tf_faces.pipelines.tbgan import maps
    from tf_faces.pipelines.tbgan import pictures as making
    from tf_faces.pipelines.tbgan.training_video import frame_count

    frames = frame_count(options.duration_sec, 30)
    weights = _label_weights(options.label_weights)
    if frames < options.minibatch_size and not options.all_frames:
        raise InputError(
            f"--duration_sec: found {options.duration_sec:g} ({frames} frames), "
            f"expected at least {options.minibatch_size} frames, or --all_frames."
        )
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    pipeline, _ = open_source(options, options.uv_dictionary)
    if weights is None:
        usual = maps.TEST_SCRIPT_LABEL_WEIGHTS
        weights = usual if pipeline.label_size == len(usual) else (1.0,)
    elif len(weights) not in (1, pipeline.label_size):
        raise InputError(
            f"--label_weights: found {len(weights)}, expected {pipeline.label_size}."
        )
    mesh_options = {} if options.subpixel else {"bilinear": False}
    if pipeline.dictionary is None:
        raise InputError(
            f"{pipeline.source}: has no UV dictionary, expected --uv_dictionary."
        )
    folder = _new_folder(options)
    made = making.write_animated_meshes(
        pipeline,
        folder,
        frames=frames,
        smoothing_frames=options.smoothing_sec * 30,
        seed=options.random_seed,
        minibatch=options.minibatch_size,
        label_weights=weights,
        all_frames=options.all_frames,
        **mesh_options,
    )
    count = sum(1 for _ in progress.bar(frames, "frame", iterable=made))
    print(f"Written: {count} meshes in {folder}")


def _label_weights(texts: list[str] | None) -> tuple[float, ...] | None:
    if texts is None:
        return None
    try:
        weights = tuple(text_files.numbers(texts).tolist())
        if not all(abs(weight) < _MOST_WEIGHT for weight in weights):
            raise ValueError("not finite in the networks' numbers")
        return weights
    except ValueError as error:
        raise InputError(
            f"--label_weights: found {','.join(texts)!r}, expected finite numbers."
        ) from error


def interpolation_video(options: argparse.Namespace) -> None:
    """Faces that drift."""
    from tf_faces.pipelines.tbgan import pictures as making
    from tf_faces.pipelines.tbgan.training_video import frame_count

    frames = frame_count(options.duration_sec, options.mp4_fps)
    pipeline, folder = open_source(options)
    target = _free_video(options, f"{folder.name}-lerp.mp4")
    _check_faces(options, pipeline)
    latents = making.walk(
        pipeline,
        frames,
        options.grid_size[0] * options.grid_size[1],
        options.smoothing_sec * options.mp4_fps,
        options.random_seed,
    )
    _write_walk(options, pipeline, latents, target)


def dimension_video(options: argparse.Namespace) -> None:
    """One component of the latents."""
    from tf_faces.pipelines.tbgan import pictures as making
    from tf_faces.pipelines.tbgan.training_video import frame_count

    frames = frame_count(options.duration_sec, options.mp4_fps)
    pipeline, folder = open_source(options)
    target = _free_video(options, f"{folder.name}-dim{options.dim}.mp4")
    _check_faces(options, pipeline)
    cells = options.grid_size[0] * options.grid_size[1]
    latents = making.along_dimension(
        pipeline, frames, cells, options.dim, options.random_seed
    )
    _write_walk(options, pipeline, latents, target)


def _write_walk(options, pipeline, latents, target: pathlib.Path) -> None:
    from tf_faces.pipelines.tbgan import pictures as making

    labels = making.labels_for(
        pipeline, latents.shape[1], options.label, options.label_weight
    )
    frames = making.frames_of(
        pipeline,
        latents,
        labels,
        options.grid_size,
        options.minibatch_size,
        modality=options.modality,
        zoom=options.image_zoom,
        shrink=options.image_shrink,
    )
    _write_video(options, frames, len(latents), target)


def _free_video(options: argparse.Namespace, name: str) -> pathlib.Path:
    """The file of --mp4, or one of this name, which may be written.

    Raises:
      InputError: if it exists and --overwrite is not given.
    """
    return folders.require_free_file(options.mp4 or name, overwrite=options.overwrite)


def _write_video(options, frames, total: int, target: pathlib.Path) -> None:
    from tf_faces.viz import videos

    path = videos.write_video(
        target,
        progress.bar(total, "frame", iterable=frames),
        frames_per_second=options.mp4_fps,
        codec=options.mp4_codec,
        bitrate=options.mp4_bitrate,
    )
    print(f"Written: {path}")


def _identities(options, pipeline) -> np.ndarray:
    """Latents [N, Z] of --seeds."""
    from tf_faces.pipelines.tbgan import pictures as making

    return making.latents_of_seeds(pipeline, options.seeds, options.truncation)


def expression_sheet(options: argparse.Namespace) -> None:
    """Rendered faces: a row an identity, a column an expression."""
    folders.require_free_file(options.output, overwrite=options.overwrite)
    pipeline, _ = open_source(options, options.uv_dictionary)
    from tf_faces.pipelines.tbgan import rendering
    from tf_faces.viz import pictures as sheets

    rendering.require_meshes(pipeline)
    names = rendering.expression_names(pipeline)
    pixels = len(options.seeds) * len(names) * options.size**2
    if pixels > pictures.MAXIMUM_PIXELS:
        raise InputError(
            f"--seeds, --size: they make a sheet of {pixels} pixels, expected at most "
            f"{pictures.MAXIMUM_PIXELS}."
        )
    latents = _identities(options, pipeline)
    made = rendering.expression_meshes(
        pipeline, latents, options.label_weight, options.minibatch_size
    )
    cells, captions = [], []
    rows = progress.bar(len(latents), "face", iterable=made)
    for seed, meshes in zip(options.seeds, rows, strict=True):
        cells += rendering.expression_row(
            meshes, yaw=options.yaw, size=options.size, appearance=options.appearance
        )
        captions += [f"{seed}: {name}" for name in names]
    sheet = sheets.contact_sheet(cells, columns=len(names), captions=captions)
    print(f"Written: {pictures.write(options.output, sheet)}")


def turntable(options: argparse.Namespace) -> None:
    """Faces that turn."""
    from tf_faces.pipelines.tbgan import pictures as making
    from tf_faces.pipelines.tbgan.training_video import frame_count

    frames = frame_count(options.duration_sec, options.mp4_fps)
    pipeline, folder = open_source(options, options.uv_dictionary)
    target = _free_video(options, f"{folder.name}-turntable.mp4")
    from tf_faces.pipelines.tbgan import rendering

    rendering.require_meshes(pipeline)
    _check_faces(options, pipeline)
    latents = _identities(options, pipeline)
    labels = making.labels_for(
        pipeline, len(latents), options.label, options.label_weight
    )
    faces = pipeline.faces(latents, labels, minibatch=options.minibatch_size)
    shown = rendering.turning(
        [face.mesh for face in faces],
        frames,
        options.swing,
        pitch=options.pitch,
        size=options.size,
        appearance=options.appearance,
    )
    _write_video(options, shown, frames, target)


def training_video(options: argparse.Namespace) -> None:
    """The sheets of fakes as training went on."""
    from tf_faces.data import images
    from tf_faces.pipelines.tbgan import training_video as making

    run = sources.find(options.run, options.result_dir)
    target = _free_video(options, f"{run.name}-train.mp4")
    suffix = images.MODALITY_SUFFIXES[images.MODALITIES.index(options.modality)]
    found = making.moments(run, suffix)
    frames = making.frames(
        found, options.duration_sec, options.mp4_fps, options.time_warp
    )
    total = round(options.duration_sec * options.mp4_fps)
    _write_video(options, frames, total, target)
