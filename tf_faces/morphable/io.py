"""Finds the right reader for a morphable model file, folder or name.

model = io.load("builtin")            # or builtin:tiny, builtin:full
model = io.load("ict"); io.load("makehuman")
model = io.load("path/to/BFM.mat")
"""

import os
import pathlib

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import (
    bfm2017_files,
    bfm_files,
    ddfa_files,
    ict_files,
    makehuman_files,
    native_files,
    pickled_files,
    reduction,
    surrey_files,
    synthetic,
)
from tf_faces.morphable.model import MorphableModel

# Where the open models lie below a data folder.
OPEN_MODELS = {
    "ict": "ict_facekit/ict_facekit.npz",
    "makehuman": "makehuman_head/makehuman_head.npz",
}
# Layouts that `save` writes, by name.
SAVED_LAYOUTS = (
    *("native", "bfm", "bfm2009", "bfm2017", "3ddfa", "coarse_fine", "3ddfa_v2"),
    "flame",
)
# Files by which a folder is recognised, in this order.
_FOLDER_MARKS = (
    *("BFM.mat", "Model_Shape.mat", "01_MorphableModel.mat", "ict_facekit.npz"),
    *("makehuman_head.npz", "generic_neutral_mesh.obj"),
)

save_bfm = bfm_files.save_bfm


def data_folders() -> list[pathlib.Path]:
    """Folders searched for the open models: $TF_FACES_DATA, then data, shared/data."""
    override = os.environ.get("TF_FACES_DATA")
    if override:
        return [pathlib.Path(override)]
    return [pathlib.Path(name) for name in ("data", "shared/data", "../shared/data")]


def find_open_model(name: str) -> pathlib.Path:
    """Returns the file of "ict" or "makehuman".

    Raises:
      InputError: if no data folder has it.
    """
    for folder in data_folders():
        path = folder / OPEN_MODELS[name]
        if path.is_file():
            return path
    searched = ", ".join(str(folder) for folder in data_folders())
    raise InputError(
        f"model {name!r}: no {OPEN_MODELS[name]} in {searched}; set TF_FACES_DATA to "
        "the folder that holds it, or give the path of the file."
    )


def load(path_or_name: files.PathLike) -> MorphableModel:
    """Loads a model by name, file or folder.

    Args:
      path_or_name: "builtin" (size default), "builtin:tiny|default|full", "ict",
        "makehuman", or a path.  Files are recognised by suffix and content, folders
        by the files in them.

    Raises:
      InputError: if nothing is there.
      FormatError: if the file is damaged or of no known layout.
    """
    name = os.fspath(path_or_name)
    if name == "builtin":
        return synthetic.build("default")
    if name.startswith("builtin:"):
        return synthetic.build(name.removeprefix("builtin:"))
    if name in OPEN_MODELS:
        return load(find_open_model(name))
    path = pathlib.Path(name)
    if path.is_dir():
        for mark in _FOLDER_MARKS:
            if (path / mark).is_file():
                is_obj = mark == "generic_neutral_mesh.obj"
                return ict_files.load_folder(path) if is_obj else load(path / mark)
        raise FormatError(
            f"{path}: a folder without a face model; expected one of {_FOLDER_MARKS}."
        )
    files.require_file(path, "face model (file, folder, builtin, ict or makehuman)")
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return _load_mat(path)
    if suffix == ".npz":
        return _load_npz(path)
    if suffix in (".h5", ".hdf5"):
        return bfm2017_files.load_bfm2017(path)
    if suffix == ".pkl":
        return _load_pickle(path)
    if suffix == ".bin":
        return surrey_files.load(path)
    raise FormatError(
        f"{path}: suffix {suffix!r}, expected .mat, .npz, .h5, .pkl, .bin or a folder."
    )


def save(path: files.PathLike, model: MorphableModel, layout: str = "native") -> None:
    """Writes a model in one of `SAVED_LAYOUTS`.

    "3ddfa" and "coarse_fine" take a folder, the others a file.  In BFM's layouts the
    identity of models without orthonormal columns (ICT, MakeHuman, FLAME) is rewritten
    as principal components (`reduction`); the law of the faces stays.

    Raises:
      InputError: for another layout, or what the layout needs and the model lacks.
    """
    if layout not in SAVED_LAYOUTS:
        raise InputError(f"layout must be one of {SAVED_LAYOUTS}. Received: {layout!r}")
    if layout in ("native", "flame"):
        writer = (
            native_files.save if layout == "native" else pickled_files.save_flame_npz
        )
        writer(path, model)
        return
    if model.identity_law is not None or (
        model.coefficient_kind == "unit" and layout != "bfm2017" and model.shape_count
    ):
        # In the layout's unit first: the columns shall be orthonormal there.
        unit = "mm" if layout == "bfm2017" else "um"
        model = reduction.principal_components(model.to_unit(unit), 199)
    if layout == "bfm":
        bfm_files.save_bfm(path, model)
        bfm_files.save_bfm_companions(pathlib.Path(path).parent, model)
    elif layout == "bfm2009":
        bfm_files.save_bfm2009(path, model)
    elif layout == "bfm2017":
        bfm2017_files.save_bfm2017(path, model)
    elif layout == "3ddfa_v2":
        ddfa_files.save_3ddfa_v2(path, model)
    else:
        bfm_files.save_model_shape(path, model, system=layout)


def opaque_part(model: MorphableModel) -> MorphableModel:
    """Returns the model without parts that are transparent (lashes, tear film)."""
    return model.without_regions(
        (*ict_files.TRANSPARENT_PARTS, *makehuman_files.TRANSPARENT_PARTS)
    )


def _variables(path: pathlib.Path) -> set[str]:
    import scipy.io

    try:
        return {name for name, _, _ in scipy.io.whosmat(str(path))}
    except NotImplementedError as error:
        raise FormatError(f"{path}: a version 7.3 MATLAB file.") from error
    except Exception as error:  # The reader fails in many ways on damaged bytes.
        raise FormatError(f"{path}: not a readable MATLAB file ({error}).") from error


def _load_mat(path: pathlib.Path) -> MorphableModel:
    found = _variables(path)
    if "model" in found:
        return bfm_files.load_bfm(path)
    if {"shapeMU", "tl"} <= found:
        return bfm_files.load_bfm2009(path)
    if "mu_shape" in found:
        return bfm_files.load_model_shape(path)
    raise FormatError(
        f"{path}: holds {sorted(found)}, expected 'model' (face3d), 'shapeMU' and 'tl' "
        "(BFM2009) or 'mu_shape' (3DDFA, CoarseNet)."
    )


def _npz_names(path: pathlib.Path) -> list[str]:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: not a readable .npz file ({error}).") from error


def _load_npz(path: pathlib.Path) -> MorphableModel:
    names = set(_npz_names(path))
    if native_files.is_native(names):
        return native_files.load(path)
    if {"neutral", "identity_deltas"} <= names:
        return ict_files.load_npz(path)
    if {"macro_deltas", "target_deltas"} <= names:
        return makehuman_files.load(path)
    if {"v_template", "shapedirs"} <= names:
        return pickled_files.load_flame(path)
    raise FormatError(
        f"{path}: holds {sorted(names)[:8]}, none of the known layouts of face models."
    )


def _load_pickle(path: pathlib.Path) -> MorphableModel:
    """3DDFA_V2, FLAME or a menpo mesh, told apart by the names in the pickle."""
    head = path.read_bytes()
    if b"w_shp" in head:
        return ddfa_files.load_3ddfa_v2(path)
    if b"shapedirs" in head:
        return pickled_files.load_flame(path)
    return pickled_files.load_lsfm_mean(path)
