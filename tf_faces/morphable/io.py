"""Finds the right reader for a morphable model file, folder or name.

model = io.load("builtin")            # or builtin:tiny, builtin:full
model = io.load("ict"); io.load("makehuman")
model = io.load("path/to/BFM.mat")
"""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Iterator

from tf_faces.core import files, matlab_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import builtin, reduction
from tf_faces.morphable.formats import (
    arrays,
    bfm,
    bfm2017,
    ddfa,
    flame,
    flame_rig,
    ict,
    ict_writing,
    lsfm,
    makehuman,
    makehuman_writing,
    model_information,
    native,
    surrey,
)
from tf_faces.morphable.model import MorphableModel

# Where the open models lie below a data folder.
OPEN_MODELS = {
    "ict": "ict_facekit/ict_facekit.npz",
    "makehuman": "makehuman_head/makehuman_head.npz",
}
# Layouts that `save` writes, with the suffixes of their files; none means a folder.
LAYOUT_SUFFIXES: dict[str, tuple[str, ...]] = {
    "native": (".npz",),
    "bfm": (".mat",),
    "bfm2009": (".mat",),
    "bfm2017": (".h5", ".hdf5"),
    "3ddfa": (),
    "3ddfa_train_configs": (),
    "3ddfa_v2": (".pkl",),
    "coarse_fine": (),
    "flame": (".npz",),
    "surrey": (".bin",),
    "lsfm": (".pkl",),
    "ict": (".npz",),
    "ict_obj": (),
    "makehuman": (".npz",),
}
SAVED_LAYOUTS = tuple(LAYOUT_SUFFIXES)
# Layouts of BFM's family: orthonormal identities with deviations, raw coefficients.
_BFM_LAYOUTS = (
    *("bfm", "bfm2009", "bfm2017", "3ddfa", "3ddfa_train_configs", "3ddfa_v2"),
    "coarse_fine",
)
_FLAME_IDENTITY_COUNT = 300
# Files that are read with those of a layout, where they lie beside them.
_READ_BESIDE = {
    "bfm": ("BFM_UV.mat", *model_information.FILE_NAMES),
    "3ddfa": (*bfm.EXPRESSION_FILES, *model_information.FILE_NAMES),
    "coarse_fine": (*bfm.EXPRESSION_FILES, *model_information.FILE_NAMES),
    "3ddfa_train_configs": ddfa.TRAIN_CONFIGS_COMPANIONS,
    "3ddfa_v2": ddfa.V2_COMPANIONS,
}
# Files by which a folder is recognised, in this order.
_FOLDER_MARKS = (
    *("BFM.mat", "Model_Shape.mat", "01_MorphableModel.mat", "ict_facekit.npz"),
    *("makehuman_head.npz", "bfm_noneck_v3.pkl", "bfm_noneck_v3_slim.pkl"),
    *("sfm_shape_3448.bin", "generic_model.pkl", lsfm.MEAN_MESH),
)

save_bfm = bfm.save_bfm


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
        return builtin.build("default")
    if name.startswith("builtin:"):
        return builtin.build(name.removeprefix("builtin:"))
    if name in OPEN_MODELS:
        return load(find_open_model(name))
    path = pathlib.Path(name)
    if path.is_dir():
        for mark in _FOLDER_MARKS:
            if (path / mark).is_file():
                return load(path / mark)
        for mark, reader in _FOLDER_READERS.items():
            if (path / mark).is_file():
                return reader(path)
        expected = ", ".join((*_FOLDER_MARKS, *_FOLDER_READERS))
        raise FormatError(
            f"{path}: a folder without a face model; expected one of {expected}."
        )
    files.require_file(path, "face model (file, folder, builtin, ict or makehuman)")
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return _load_mat(path)
    if suffix == ".npz":
        return _load_npz(path)
    if suffix in (".h5", ".hdf5"):
        return bfm2017.load_bfm2017(path)
    if suffix == ".pkl":
        return _load_pickle(path)
    if suffix == ".bin":
        return surrey.load(path)
    raise FormatError(
        f"{path}: suffix {suffix!r}, expected .mat, .npz, .h5, .pkl, .bin or a folder."
    )


def _load_train_configs(folder: pathlib.Path) -> MorphableModel:
    return ddfa.load_train_configs(folder).model


_FOLDER_READERS = {
    "w_shp_sim.npy": _load_train_configs,
    "generic_neutral_mesh.obj": ict.load_folder,
}


def located(path_or_name: files.PathLike) -> pathlib.Path | None:
    """The file or folder that `load` reads for a name; None for the built-in face."""
    name = os.fspath(path_or_name)
    if name == "builtin" or name.startswith("builtin:"):
        return None
    path = find_open_model(name) if name in OPEN_MODELS else pathlib.Path(name)
    if path.is_dir():
        marks = (mark for mark in _FOLDER_MARKS if (path / mark).is_file())
        return path / next(marks, "")
    return path


def information(
    model: MorphableModel, original: files.PathLike | None = None
) -> model_information.ModelInformation:
    """Symmetry, segments, contours of a model: read, computed, or unknown.

    Args:
      model: any.
      original: file or folder it was read from; the lists beside it come first, what
        they lack is computed as far as the model tells it.

    Raises:
      FormatError: if a file of lists is damaged or of another model.
    """
    computed = model_information.of_model(model, builtin.segments(model))
    path = None if original is None else located(original)
    if path is None:
        return computed
    folder = path if path.is_dir() else path.parent
    found = model_information.of_folder(folder, model)
    if found is None and path.name == "01_MorphableModel.mat":
        count, triangles = model.vertex_count, len(model.triangles)
        if "segbin" in matlab_files.names(path):
            found = model_information.load(
                path, vertex_count=count, triangle_count=triangles
            )
    return computed if found is None else found.joined(computed)


def _check_target(path: pathlib.Path, layout: str) -> None:
    suffixes = LAYOUT_SUFFIXES[layout]
    if not suffixes:
        if path.is_file():
            raise InputError(f"{path}: found a file, layout {layout!r} takes a folder.")
    elif path.is_dir():
        raise InputError(f"{path}: found a folder, layout {layout!r} takes a file.")
    elif path.suffix.lower() not in suffixes:
        raise InputError(
            f"{path}: suffix {path.suffix!r}, layout {layout!r} takes "
            f"{' or '.join(suffixes)}."
        )


def save(
    path: files.PathLike,
    model: MorphableModel,
    layout: str = "native",
    *,
    original: files.PathLike | None = None,
) -> None:
    """Writes a model in one of `SAVED_LAYOUTS`.

    Layouts without suffix in `LAYOUT_SUFFIXES` take a folder, the others a file.  In
    BFM's layouts the identity of models without orthonormal columns (ICT, MakeHuman,
    FLAME) is rewritten as principal components (`reduction`); the law of the faces
    stays.

    Args:
      path: the file or folder.
      model: what is written.
      layout: one of `SAVED_LAYOUTS`.
      original: file, folder or name that the model was read from.  What lies there
        beyond the model (lists of vertices, whitening, joints, polygons) goes along
        where the layout has a place for it.

    Raises:
      InputError: for another layout or a path that does not fit it, and for what the
        layout needs and the model lacks.
      FormatError: if a file beside the original is damaged.
    """
    if layout not in SAVED_LAYOUTS:
        raise InputError(f"layout must be one of {SAVED_LAYOUTS}. Received: {layout!r}")
    path = pathlib.Path(path)
    _check_target(path, layout)
    source = None if original is None else located(original)
    if layout in _BFM_LAYOUTS:
        _save_bfm_family(path, model, layout, source)
    elif layout == "native":
        native.save(path, model)
    elif layout == "flame":
        _save_flame(path, model, source)
    elif layout == "surrey":
        surrey.save(path, model)
    elif layout == "lsfm":
        lsfm.save_lsfm_mean(path, model)
    elif layout == "makehuman":
        makehuman_writing.save_npz(path, model, _npz_with(source, "target_deltas"))
    else:
        writer = ict_writing.save_npz if layout == "ict" else ict_writing.save_folder
        writer(path, model, _npz_with(source, "identity_deltas"))


def _npz_with(source: pathlib.Path | None, name: str) -> pathlib.Path | None:
    """The source, if it is an .npz with such an array."""
    if source is None or source.suffix.lower() != ".npz" or not source.is_file():
        return None
    return source if name in arrays.npz_names(source) else None


def _save_flame(path: pathlib.Path, model: MorphableModel, source) -> None:
    is_flame = source is not None and source.is_file() and model.name == "FLAME"
    rig = None
    if is_flame and "J_regressor" in flame.read_flame_arrays(source):
        rig = flame_rig.load(source).arrays()
    if model.identity_law or model.shape_count > _FLAME_IDENTITY_COUNT:
        model = reduction.principal_components(model, _FLAME_IDENTITY_COUNT)
    flame.save_flame_npz(path, model, rig)
    if is_flame and model.winding == "ccw":  # Else the corners' order has changed.
        embedding = source.with_name("landmark_embedding.npy")
        copy = path.with_name(embedding.name)
        if embedding.is_file() and not (copy.exists() and copy.samefile(embedding)):
            files.write_bytes(copy, embedding.read_bytes())


def _save_bfm_family(
    path: pathlib.Path,
    model: MorphableModel,
    layout: str,
    source: pathlib.Path | None,
) -> None:
    if model.identity_law is not None or (
        model.coefficient_kind == "unit" and layout != "bfm2017" and model.shape_count
    ):
        # In the layout's unit first: the columns shall be orthonormal there.
        unit = "mm" if layout == "bfm2017" else "um"
        model = reduction.principal_components(model.to_unit(unit), 199)
    if layout == "bfm2017":
        bfm2017.save_bfm2017(path, model)
        return
    if layout == "bfm2009":
        segments = information(model, source).vertex_segments
        bfm.save_bfm2009(path, model, segments)
        return
    folder = path.parent if LAYOUT_SUFFIXES[layout] else path
    source_folder = source
    if source is not None and not source.is_dir():
        source_folder = source.parent
    with _staged(folder, _READ_BESIDE[layout], source_folder) as staged:
        target = staged / path.name if LAYOUT_SUFFIXES[layout] else staged
        _write_bfm_family(target, model, layout, source)


def _write_bfm_family(path, model, layout, source) -> None:
    if layout == "bfm":
        bfm.save_bfm(path, model)
        bfm.save_bfm_companions(path.parent, model)
        model_information.save_bfm_info(
            path.with_name("BFM_info.mat"), information(model, source)
        )
    elif layout == "3ddfa":
        bfm.save_model_shape(path, model, system="3ddfa")
        known = information(model, source)
        triangles = model.with_winding("cw").triangles
        model_information.save_3ddfa(
            path, dataclasses.replace(known, triangles=triangles)
        )
    elif layout == "3ddfa_train_configs":
        stored = None
        if source is not None and (source / "w_shp_sim.npy").is_file():
            stored = ddfa.load_train_configs(source)
        ddfa.save_train_configs(
            path,
            model,
            whitening=None if stored is None else stored.whitening,
            anchors=None if stored is None else stored.anchors,
        )
    elif layout == "3ddfa_v2":
        companions = None
        if source is not None and "3DDFA_V2" in model.source:
            companions = ddfa.load_v2_companions(source.parent, model.vertex_count)
        ddfa.save_3ddfa_v2(path, model, companions)
    else:
        bfm.save_model_shape(path, model, system=layout)


@contextlib.contextmanager
def _staged(folder: pathlib.Path, beside, source_folder) -> Iterator[pathlib.Path]:
    """Yields a hidden folder whose files move into `folder` when all are written.

    Raises:
      InputError: if `folder` has one of the files `beside` from elsewhere, which would
        be read as if it belonged to the new ones.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".incomplete-") as name:
            staged = pathlib.Path(name)
            yield staged
            written = sorted(path.name for path in staged.iterdir())
            if source_folder is None or not folder.samefile(source_folder):
                for left in beside:
                    if left not in written and (folder / left).exists():
                        raise InputError(
                            f"{folder / left} belongs to another model and would be "
                            "read with this one; expected a folder without it."
                        )
            for file in written:
                os.replace(staged / file, folder / file)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def opaque_part(model: MorphableModel) -> MorphableModel:
    """Returns the model without parts that are transparent (lashes, tear film)."""
    return model.without_regions((*ict.TRANSPARENT_PARTS, *makehuman.TRANSPARENT_PARTS))


def _load_mat(path: pathlib.Path) -> MorphableModel:
    found = matlab_files.names(path)
    if "model" in found:
        return bfm.load_bfm(path)
    if {"shapeMU", "tl"} <= found:
        return bfm.load_bfm2009(path)
    if "mu_shape" in found:
        return bfm.load_model_shape(path)
    raise FormatError(
        f"{path}: holds {sorted(found)}, expected 'model' (face3d), 'shapeMU' and 'tl' "
        "(BFM2009) or 'mu_shape' (3DDFA, CoarseNet)."
    )


def _load_npz(path: pathlib.Path) -> MorphableModel:
    names = set(arrays.npz_names(path))
    if native.is_native(names):
        return native.load(path)
    if {"neutral", "identity_deltas"} <= names:
        return ict.load_npz(path)
    if {"macro_deltas", "target_deltas"} <= names:
        return makehuman.load(path)
    if {"v_template", "shapedirs"} <= names:
        return flame.load_flame(path)
    raise FormatError(
        f"{path}: holds {sorted(names)[:8]}, none of the known layouts of face models."
    )


def _load_pickle(path: pathlib.Path) -> MorphableModel:
    """3DDFA_V2, FLAME or a menpo mesh, told apart by the names in the pickle."""
    head = path.read_bytes()
    if b"w_shp" in head:
        return ddfa.load_3ddfa_v2(path)
    if b"shapedirs" in head:
        return flame.load_flame(path)
    return lsfm.load_lsfm_mean(path)
