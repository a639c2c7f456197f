"""`tf-faces tbgan project` and `nearest`: real maps beside generated ones."""

import argparse
import itertools
import pathlib

import numpy as np

from tf_faces.apps.tbgan import picture_programs
from tf_faces.core import files, folders, pictures
from tf_faces.core import texts as text_files
from tf_faces.core.errors import InputError
from tf_faces.data import images

_RANGE = (-1, 1)


def _records(options: argparse.Namespace, folder: pathlib.Path):
    from tf_faces.data import tbgan as data
    from tf_faces.pipelines.tbgan import sources

    if options.data is None and not (folder / "config.json").is_file():
        raise InputError(
            f"{folder}: is no run folder with its data, expected --data FOLDER."
        )
    return data.TfrecordDataset(
        sources.find_records(folder, options.data), max_label_size="full", shuffle_mb=0
    )


def _real_maps(dataset, pipeline, count: int | None = None):
    """Yields the set's maps [R, R, C] in the network's range, in the order of files."""
    if dataset.num_channels != pipeline.channels:
        raise InputError(
            f"{dataset.directory}: has {dataset.num_channels} channels, expected "
            f"{pipeline.channels} as {pipeline.source}."
        )
    level = int(np.log2(dataset.resolution // pipeline.resolution))
    if pipeline.resolution << max(level, 0) != dataset.resolution:
        raise InputError(
            f"{dataset.directory}: has {dataset.resolution} pixels a side, expected at "
            f"least {pipeline.resolution} as {pipeline.source}."
        )
    for image in itertools.islice(dataset.images(level), count):
        yield images.adjust_dynamic_range(
            np.moveaxis(image, 0, -1), dataset.dynamic_range, _RANGE
        )


def _beside(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """All modalities of two maps, one above the other, as uint8 [2 R, n R, 3]."""
    rows = [
        np.concatenate(images.split_modalities(part), axis=1) for part in (upper, lower)
    ]
    sheet = images.to_uint8(np.concatenate(rows), _RANGE)
    return sheet.repeat(3, axis=-1) if sheet.shape[-1] == 1 else sheet


def project(options: argparse.Namespace) -> None:
    """Fits latents and writes them with pictures of targets and results."""
    rates = _learning_rates(options.learning_rates)
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    pipeline, folder = picture_programs.open_source(options)
    from tf_faces.pipelines.tbgan import projection

    dataset = _records(options, folder)
    wanted = set(options.records)
    if max(wanted) >= dataset.count:
        raise InputError(
            f"--records: found {max(wanted)}, expected 0 to {dataset.count - 1}."
        )
    maps = _real_maps(dataset, pipeline, max(wanted) + 1)
    targets = {number: one for number, one in enumerate(maps) if number in wanted}
    stored = dataset.labels[list(targets)]
    labels = (
        pipeline.labels_for(stored)
        if dataset.label_size == pipeline.label_size
        else None
    )
    found = projection.project(
        pipeline,
        np.stack(list(targets.values())),
        steps=options.steps,
        learning_rates=rates,
        labels=labels,
        fit_labels=bool(options.fit_labels),
        seed=options.random_seed,
    )
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    for row, (number, target) in enumerate(targets.items()):
        pictures.write(output / f"{number:06d}.png", _beside(target, found.maps[row]))
        print(f"record {number}: mean squared error {found.errors[row]:.5f}")
    files.write_npz(
        output / "projection.npz",
        records=np.array(list(targets)),
        latents=found.latents,
        labels=found.labels,
        errors=found.errors,
        history=found.history,
    )
    print(f"Written: {output} (targets above results), projection.npz")


def _learning_rates(texts: list[str]) -> list[float]:
    try:
        rates = text_files.numbers(texts).tolist()
    except ValueError:
        rates = []
    if not rates or not all(np.isfinite(rates)) or min(rates) <= 0:
        raise InputError(
            f"--learning_rates: found {','.join(texts)!r}, expected positive numbers."
        )
    return rates


def nearest(options: argparse.Namespace) -> None:
    """Writes each fake with the training maps most like it."""
    folders.require_free_folder(options.output, overwrite=options.overwrite)
    pipeline, folder = picture_programs.open_source(options)
    from tf_faces.pipelines.tbgan import projection

    dataset = _records(options, folder)
    latents = np.random.RandomState(options.random_seed).randn(
        options.count, pipeline.latent_size
    )
    labels = pipeline.labels_for(
        pipeline.random_labels(options.count, options.random_seed)
    )
    fakes = np.stack(list(pipeline.maps(latents, labels, options.minibatch_size)))
    order, distances = projection.nearest_reals(
        fakes, _real_maps(dataset, pipeline), options.neighbours
    )
    wanted = set(order.ravel().tolist())
    shown = {
        number: image
        for number, image in enumerate(_real_maps(dataset, pipeline))
        if number in wanted
    }
    output = pathlib.Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    lines = ["fake,neighbour,record,root_mean_square"]
    for number, (row, numbers, far) in enumerate(
        zip(fakes, order.tolist(), distances, strict=True)
    ):
        # The fake first, then its neighbours, textures only.
        cells = np.stack([row, *(shown[other] for other in numbers)])
        textures = images.split_modalities(cells)[0]
        pictures.write(
            output / f"{number:06d}.png",
            images.create_image_grid(
                images.to_uint8(textures, _RANGE), (len(cells), 1)
            ),
        )
        lines += [
            f"{number},{place},{other},{value:.5f}"
            for place, (other, value) in enumerate(zip(numbers, far, strict=True), 1)
        ]
    files.write_text(output / "nearest.csv", "\n".join(lines) + "\n")
    print(f"Written: {output} (the fake, then its neighbours), nearest.csv")
