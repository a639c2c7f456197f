"""Small coupled UV sets for tests, in the layout that the exporter reads."""

import pathlib
import pickle

import numpy as np
import PIL.Image


def write(
    folder: pathlib.Path, count: int = 5, side: int = 16, labels: bool = True
) -> pathlib.Path:
    """Writes texture/, shape/, normals/ and label pickles; returns the folder."""
    generator = np.random.default_rng(5)
    for name in ("texture", "shape", "normals"):
        (folder / name).mkdir(parents=True)
    keys = [f"face{number:03d}" for number in range(count)]
    for key in keys:
        pixels = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "texture" / f"{key}.png")
        for name in ("shape", "normals"):
            write_map(
                folder / name / f"{key}.pkl", generator.normal(0, 0.4, (3, side, side))
            )
    if labels:
        write_pickle(folder / "labels.pkl", generator.normal(size=(count, 7)))
        write_pickle(folder / "paths.pkl", keys)
    return folder


def write_pickle(path: pathlib.Path, value) -> None:
    path.write_bytes(pickle.dumps(value))


def write_map(path: pathlib.Path, array: np.ndarray) -> None:
    write_pickle(path, array.astype(np.float32))


def arguments(folder: pathlib.Path, destination: pathlib.Path) -> list[str]:
    """Returns the command line that exports a set."""
    return [
        "create_from_pkl_img_norm",
        str(destination),
        str(folder / "texture"),
        str(folder / "shape"),
        str(folder / "normals"),
        f"--labels={folder / 'labels.pkl'}",
        f"--paths={folder / 'paths.pkl'}",
        "--processes=1",
    ]
