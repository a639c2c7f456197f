"""The table of layouts: for each how its files are known, read and written.

A new layout is a module of this folder with a `load` (and a `save`), and one `Format`
here.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable

from tf_faces.core import files, matlab_files, pickles
from tf_faces.core.errors import FormatError
from tf_faces.morphable import reduction
from tf_faces.morphable.formats import (
    arrays,
    bfm,
    bfm2017,
    ddfa,
    flame,
    folders,
    ict,
    lsfm,
    makehuman,
    model_information,
    native,
    surrey,
)
from tf_faces.morphable.formats.flame import rig as flame_rig
from tf_faces.morphable.formats.ict import writing as ict_writing
from tf_faces.morphable.formats.makehuman import (
    source as makehuman_source,
)
from tf_faces.morphable.formats.makehuman import (
    writing as makehuman_writing,
)
from tf_faces.morphable.model import MorphableModel

Source = pathlib.Path | None


Save = Callable[[pathlib.Path, MorphableModel, Source], None]


@dataclasses.dataclass(frozen=True)
class Format:
    """One layout of face models in files.

    Attributes:
      name: as `io.save` takes it.
      load: reads the file; the folder where `reads` is empty.
      save: writes a model to a path that fits; its third argument is the file or folder
        that the model was read from, or None.  None where it is only read.
      suffixes: of the file that is written; none where it is a folder.
      reads: suffixes of files that are read; none where it is a folder.
      holds: names that tell a file of the layout from others with its suffix:
        variables, arrays, words in a pickle.
      marks: names of files by which a folder is known.
    """

    name: str
    load: Callable[[pathlib.Path], MorphableModel]
    save: Save | None = None
    suffixes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    holds: frozenset[str] = frozenset()
    marks: tuple[str, ...] = ()


# --- writing -----------------------------------------------------------------------


def _bfm_form(model: MorphableModel, unit: str = "um") -> MorphableModel:
    """The model with orthonormal identities and raw coefficients, as BFM has them."""
    is_unit = model.coefficient_kind == "unit" and unit == "um" and model.shape_count
    if model.identity_law is None and not is_unit:
        return model
    # In the layout's unit first: the columns shall be orthonormal there.
    return reduction.principal_components(model.to_unit(unit), 199)


def _folder_of(source: Source) -> Source:
    return source if source is None or source.is_dir() else source.parent


def _together(write: Save, read_beside: Iterable[str], is_folder: bool) -> Save:
    """A writer of several files, which appear together or not at all.

    Args:
      write: writes them into the folder it is given, or beside the file.
      read_beside: see `folders.staged`.
      is_folder: whether the layout is a folder.
    """

    def save(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
        model = _bfm_form(model)
        folder = path if is_folder else path.parent
        with folders.staged(folder, read_beside, _folder_of(source)) as hidden:
            write(hidden if is_folder else hidden / path.name, model, source)

    return save


def _write_bfm(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    bfm.save_bfm(path, model)
    bfm.save_bfm_companions(path.parent, model)
    known = model_information.gathered(model, source)
    model_information.save_bfm_info(path.with_name("BFM_info.mat"), known)


def _save_bfm2009(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    model = _bfm_form(model)
    segments = model_information.gathered(model, source).vertex_segments
    bfm.save_bfm2009(path, model, segments)


def _save_bfm2017(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    bfm2017.save_bfm2017(path, _bfm_form(model, "mm"))


def _write_3ddfa(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    bfm.save_model_shape(path, model, system="3ddfa")
    known = model_information.gathered(model, source)
    triangles = model.with_winding("cw").triangles
    model_information.save_3ddfa(path, dataclasses.replace(known, triangles=triangles))


def _write_coarse_fine(
    path: pathlib.Path, model: MorphableModel, source: Source
) -> None:
    bfm.save_model_shape(path, model, system="coarse_fine")


def _write_train_configs(
    path: pathlib.Path, model: MorphableModel, source: Source
) -> None:
    stored = None
    if source is not None and folders.find(source, "w_shp_sim.npy"):
        stored = ddfa.load_train_configs(source)
    ddfa.save_train_configs(
        path,
        model,
        whitening=None if stored is None else stored.whitening,
        anchors=None if stored is None else stored.anchors,
    )


def _write_3ddfa_v2(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    companions = None
    if source is not None and "3DDFA_V2" in model.source:
        companions = ddfa.load_v2_companions(source.parent, model.vertex_count)
    ddfa.save_3ddfa_v2(path, model, companions)


def _save_flame(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    is_flame = source is not None and source.is_file() and model.name == "FLAME"
    rig = None
    if is_flame and "J_regressor" in flame.read_flame_arrays(source):
        rig = flame_rig.load(source).arrays()
    if model.identity_law or model.shape_count > flame.IDENTITY_COUNT:
        model = reduction.principal_components(model, flame.IDENTITY_COUNT)
    flame.save_flame_npz(path, model, rig)
    if is_flame and model.winding == "ccw":  # Else the corners' order has changed.
        embedding = folders.beside(source, "landmark_embedding.npy")
        copy = path.with_name("landmark_embedding.npy")
        if embedding is not None and not (copy.exists() and copy.samefile(embedding)):
            files.write_bytes(copy, embedding.read_bytes())


def _npz_with(source: Source, name: str) -> Source:
    """The source, if it is an .npz with such an array."""
    if source is None or source.suffix.lower() != ".npz" or not source.is_file():
        return None
    return source if name in arrays.npz_names(source) else None


def _save_ict(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    ict_writing.save_npz(path, model, _npz_with(source, "identity_deltas"))


def _save_ict_obj(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    ict_writing.save_folder(path, model, _npz_with(source, "identity_deltas"))


def _save_makehuman(path: pathlib.Path, model: MorphableModel, source: Source) -> None:
    if source is None or not makehuman_source.is_source(source):
        source = _npz_with(source, "target_deltas")
    makehuman_writing.save_npz(path, model, source)


# --- the table ---------------------------------------------------------------------


_LISTS = model_information.FILE_NAMES
_BESIDE_MODEL_SHAPE = (*bfm.EXPRESSION_FILES, *_LISTS)
# In the order in which files and folders are tried; of those that write a suffix, the
# first is meant where only the suffix is known.
_TABLE = (
    Format(
        "native",
        native.load,
        lambda path, model, source: native.save(path, model),
        suffixes=(".npz",),
        reads=(".npz",),
        holds=frozenset({native.MARK}),
    ),
    Format(
        "bfm",
        bfm.load_bfm,
        _together(_write_bfm, ("BFM_UV.mat", *_LISTS), is_folder=False),
        suffixes=(".mat",),
        reads=(".mat",),
        holds=frozenset({"model"}),
        marks=("BFM.mat",),
    ),
    Format(
        "coarse_fine",
        bfm.load_model_shape,
        _together(_write_coarse_fine, _BESIDE_MODEL_SHAPE, is_folder=True),
        reads=(".mat",),
        holds=frozenset({"mu_shape", "w_tex"}),
        marks=("Model_Shape.mat",),
    ),
    Format(
        "3ddfa",
        bfm.load_model_shape,
        _together(_write_3ddfa, _BESIDE_MODEL_SHAPE, is_folder=True),
        reads=(".mat",),
        holds=frozenset({"mu_shape"}),
        marks=("Model_Shape.mat",),
    ),
    Format(
        "bfm2009",
        bfm.load_bfm2009,
        _save_bfm2009,
        suffixes=(".mat",),
        reads=(".mat",),
        holds=frozenset({"shapeMU", "tl"}),
        marks=("01_MorphableModel.mat",),
    ),
    Format(
        "bfm2017",
        bfm2017.load_bfm2017,
        _save_bfm2017,
        suffixes=(".h5", ".hdf5"),
        reads=(".h5", ".hdf5"),
        marks=("model2017-1_bfm_nomouth.h5",),
    ),
    Format(
        "ict",
        ict.load_npz,
        _save_ict,
        suffixes=(".npz",),
        reads=(".npz",),
        holds=frozenset({"neutral", "identity_deltas"}),
        marks=("ict_facekit.npz",),
    ),
    Format(
        "makehuman",
        makehuman.load,
        _save_makehuman,
        suffixes=(".npz",),
        reads=(".npz",),
        holds=frozenset({"macro_deltas", "target_deltas"}),
        marks=("makehuman_head.npz",),
    ),
    Format(
        "3ddfa_v2",
        ddfa.load_3ddfa_v2,
        _together(_write_3ddfa_v2, ddfa.V2_COMPANIONS, is_folder=False),
        suffixes=(".pkl",),
        reads=(".pkl",),
        holds=frozenset({"w_shp"}),
        marks=("bfm_noneck_v3.pkl", "bfm_noneck_v3_slim.pkl"),
    ),
    Format(
        "surrey",
        surrey.load,
        lambda path, model, source: surrey.save(path, model),
        suffixes=(".bin",),
        reads=(".bin",),
        marks=("sfm_shape_3448.bin",),
    ),
    Format(
        "flame",
        flame.load_flame,
        _save_flame,
        suffixes=(".npz",),
        reads=(".pkl", ".npz"),
        holds=frozenset({"shapedirs"}),
        marks=("generic_model.pkl",),
    ),
    Format(
        "lsfm",
        lsfm.load_lsfm_mean,
        lambda path, model, source: lsfm.save_lsfm_mean(path, model),
        suffixes=(".pkl",),
        reads=(".pkl",),
        marks=(lsfm.MEAN_MESH,),
    ),
    Format(
        "3ddfa_train_configs",
        lambda folder: ddfa.load_train_configs(folder).model,
        _together(_write_train_configs, ddfa.TRAIN_CONFIGS_COMPANIONS, is_folder=True),
        marks=("w_shp_sim.npy",),
    ),
    Format("ict_obj", ict.load_folder, _save_ict_obj, marks=(ict.NEUTRAL_MESH,)),
    Format(
        "makehuman_source",
        makehuman_source.load,
        marks=(makehuman_source.BASE_MESH,),
    ),
)
FORMATS = {layout.name: layout for layout in _TABLE}


# --- recognising -------------------------------------------------------------------


def _words(path: pathlib.Path) -> set[str]:
    """Those names of the table that occur in a pickle; unpacking it takes longer."""
    content = pickles.read_content(path)
    names = {name for layout in _TABLE for name in layout.holds}
    return {name for name in names if name.encode() in content}


# Suffix -> the names in a file, where the suffix alone does not tell the layout.
_NAMES_IN: dict[str, Callable[[pathlib.Path], Iterable[str]]] = {
    ".mat": matlab_files.names,
    ".npz": arrays.npz_names,
    ".pkl": _words,
}


def in_folder(folder: pathlib.Path) -> tuple[Format, pathlib.Path]:
    """The layout of a folder, with the path to load: a file in it, or itself.

    Raises:
      FormatError: if it has none of the files by which folders are known.
    """
    for layout in _TABLE:
        for mark in layout.marks:
            found = folders.find(folder, mark)
            if found is not None:
                return layout, found if layout.reads else folder
    marks = dict.fromkeys(mark for layout in _TABLE for mark in layout.marks)
    raise FormatError(
        f"{folder}: a folder without a face model; expected one of {', '.join(marks)}."
    )


def _suffix(path: pathlib.Path) -> str:
    """The suffix that tells; that before .gz for pickles, which are inflated."""
    name = path.name.lower().removesuffix(".gz")
    return ".pkl" if name.endswith(".pkl") else path.suffix.lower()


def of_file(path: pathlib.Path) -> Format:
    """The layout of a file, by its suffix and the names in it.

    Raises:
      FormatError: if it is damaged or of no known layout.
    """
    suffix = _suffix(path)
    candidates = [layout for layout in _TABLE if suffix in layout.reads]
    if not candidates:
        known = dict.fromkeys(end for layout in _TABLE for end in layout.reads)
        raise FormatError(
            f"{path}: suffix {path.suffix!r}, expected {', '.join(known)} or a folder."
        )
    names = set(_NAMES_IN[suffix](path)) if suffix in _NAMES_IN else set()
    for layout in candidates:
        if layout.holds <= names:
            return layout
    expected = "; ".join(
        f"{', '.join(sorted(layout.holds))} ({layout.name})" for layout in candidates
    )
    raise FormatError(f"{path}: holds {sorted(names)[:8]}, expected {expected}.")
