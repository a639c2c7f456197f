"""Tells what lies in the files beside a face model, and in those that are no model.

`describe` knows lists of vertices, vertex codes, charts, whitenings, anchors,
landmark embeddings, texture spaces, UV dictionaries and vertex numbers.
"""

import pathlib
from collections.abc import Callable

import numpy as np

from tf_faces.core import files, matlab_files, pickles
from tf_faces.core.errors import InputError
from tf_faces.morphable import uv_dictionary
from tf_faces.morphable.formats import (
    arrays,
    bfm,
    ddfa,
    folders,
    lsfm,
    model_information,
    vertex_codes,
    whitening,
)
from tf_faces.morphable.formats.flame import companions as flame_companions

ReadStorage = Callable[[bytes], np.ndarray]


def _codes(path: pathlib.Path) -> str:
    return f"vertex codes (PNCC) of {len(vertex_codes.load(path))} vertices"


def _anchors(path: pathlib.Path) -> str:
    anchors = ddfa.load_anchors(path)
    return (
        f"{len(anchors.mean)} anchors with {anchors.shape_basis.shape[2]} identity and "
        f"{anchors.expression_basis.shape[2]} expression modes"
    )


def _dictionary(path: pathlib.Path) -> str:
    found = uv_dictionary.load(path)
    return (
        f"UV dictionary of {len(found.tcoords)} vertices and {len(found.trilist)} "
        f"triangles for maps of {found.resolution} x {found.resolution}"
    )


def _of_mat(path: pathlib.Path) -> str | None:
    found = matlab_files.names(path)
    if {"model", "mu_shape", "shapeMU"} & found:
        return None
    if "vertex_code" in found:
        return _codes(path)
    if "UV" in found:
        chart = bfm.load_bfm_chart(path, None)
        return f"texture coordinates of {len(chart)} vertices"
    return model_information.load(path).describe()


def _of_npz(path: pathlib.Path) -> str | None:
    found = set(arrays.npz_names(path))
    if "tex_dir" in found:
        return flame_companions.load_texture(path).describe()
    if "tcoords_pixel_scaled" in found:
        return _dictionary(path)
    return None


def _of_npy(path: pathlib.Path, read_storage: ReadStorage | None) -> str | None:
    if flame_companions.is_landmark_embedding(path):
        embedding = flame_companions.load_landmark_embedding(path, read_storage)
        return embedding.describe()
    array = files.load_npy(path)
    if array.ndim == 2 and array.shape[0] == 3 and array.dtype.kind == "f":
        return _codes(path)
    sizes = " x ".join(str(size) for size in array.shape)
    return f"array of {sizes} {array.dtype}"


def _of_pickle(path: pathlib.Path) -> str | None:
    content = pickles.read_content(path)
    if b"w_shp" in content or b"shapedirs" in content:
        return None
    if b"mu_filter" in content:
        return _anchors(path)
    if b"tcoords_pixel_scaled" in content:
        return _dictionary(path)
    if b"TriMesh" in content:
        return None
    stored = pickles.loads_pickle(content, str(path))
    if isinstance(stored, dict):
        return whitening.load_whitening(path).describe()
    if isinstance(stored, np.ndarray) and stored.ndim == 2 and 3 in stored.shape:
        return f"triangles: {stored.size // 3}"
    count = len(lsfm.load_landmark_ids(path))
    return f"numbers of {count} vertices"


def describe(
    path: files.PathLike, read_storage: ReadStorage | None = None
) -> str | None:
    """What a file holds that is no face model, in plain text; None for the others.

    Args:
      path: any file.
      read_storage: see `formats.flame.companions.load_landmark_embedding`.

    Raises:
      FormatError: if the file is damaged, or nothing that is known.
    """
    path = files.require_file(path)
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return _of_mat(path)
    if suffix == ".npz":
        return _of_npz(path)
    if suffix == ".npy":
        return _of_npy(path, read_storage)
    if suffix == ".pkl":
        return _of_pickle(path)
    return None


_NAMES = (
    *model_information.FILE_NAMES,
    *("BFM_UV.mat", "vertex_code.mat", "pncc_code.mat", "pncc_code.npy"),
    *("param_whitening.pkl", "Model_PAF.pkl", "tri.pkl", "indices.npy"),
    *("ncc_code.npy", "param_mean_std_62d_120x120.pkl", "landmark_embedding.npy"),
    *("FLAME_texture.npz", lsfm.LANDMARK_IDS, "512_UV_dict.pkl"),
)


def beside(
    model_path: files.PathLike, read_storage: ReadStorage | None = None
) -> list[tuple[str, str]]:
    """Names and contents of the known files beside a model.

    Args:
      model_path: file or folder of the model.

    Returns:
      (file name, what it holds); for a damaged file the reason.
    """
    model_path = pathlib.Path(model_path)
    folder = model_path if model_path.is_dir() else model_path.parent
    rows = []
    for name in _NAMES:
        path = folders.find(folder, name)
        if path is None or path == model_path:
            continue
        try:
            if name in model_information.FILE_NAMES:
                text = ", ".join(model_information.stored_names(path))
            else:
                text = describe(path, read_storage) or "a face model"
        except InputError as error:
            text = f"damaged: {error}"
        rows.append((path.name, "; ".join(text.splitlines())))
    return rows
