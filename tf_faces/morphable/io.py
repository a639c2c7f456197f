"""Finds the right reader for a morphable model file, folder or name.

model = io.load("builtin")            # or builtin:tiny, builtin:full
model = io.load("ict"); io.load("makehuman")
model = io.load("path/to/BFM.mat")

The layouts are those of `formats.table`.
"""

import os
import pathlib

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.morphable import builtin
from tf_faces.morphable.formats import bfm, model_information, table
from tf_faces.morphable.model import MorphableModel

# Where the open models lie below a data folder.
OPEN_MODELS = {
    "ict": "ict_facekit/ict_facekit.npz",
    "makehuman": "makehuman_head/makehuman_head.npz",
}
FORMATS = table.FORMATS
SAVED_LAYOUTS = tuple(name for name, layout in FORMATS.items() if layout.save)

save_bfm = bfm.save_bfm


_KIND = "face model (file, folder, builtin, ict or makehuman)"


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
        "the folder that holds it, or give the path of the file; tf-faces face-model "
        f"fetch_instructions {name} says where it comes from."
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
    name = os.fsdecode(path_or_name)
    if name == "builtin" or name.startswith("builtin:"):
        return builtin.build(name.partition(":")[2] or "default")
    path = find_open_model(name) if name in OPEN_MODELS else pathlib.Path(name)
    if _is_folder(path):
        layout, path = table.in_folder(path)
        if path.is_dir():
            return layout.load(path)
    files.require_file(path, _KIND)
    return table.of_file(path).load(path)


def _is_folder(path: pathlib.Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # A name too long, a folder that may not be entered.
        raise InputError(f"{str(path)[:200]}: {error.strerror}.") from error


def located(path_or_name: files.PathLike) -> pathlib.Path | None:
    """The file or folder that `load` reads for a name; None for the built-in face."""
    name = os.fsdecode(path_or_name)
    if name == "builtin" or name.startswith("builtin:"):
        return None
    path = find_open_model(name) if name in OPEN_MODELS else pathlib.Path(name)
    return table.in_folder(path)[1] if _is_folder(path) else path


def require(path_or_name: files.PathLike) -> None:
    """Checks that `load` would find something, without reading it.

    Raises:
      InputError: if nothing is there.
    """
    path = located(path_or_name)
    if path is not None and not path.is_dir():
        files.require_file(path, _KIND)


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
    source = None if original is None else located(original)
    return model_information.gathered(model, source)


def default_layout(suffix: str) -> str | None:
    """The layout meant by a suffix alone, in any case; None for an unknown one."""
    suffix = suffix.lower()
    return next((x.name for x in FORMATS.values() if suffix in x.suffixes), None)


def _check_target(path: pathlib.Path, layout: table.Format) -> None:
    if not layout.suffixes:
        if path.is_file():
            raise InputError(
                f"{path}: found a file, layout {layout.name!r} takes a folder."
            )
    elif path.is_dir():
        raise InputError(
            f"{path}: found a folder, layout {layout.name!r} takes a file."
        )
    elif path.suffix.lower() not in layout.suffixes:
        raise InputError(
            f"{path}: suffix {path.suffix!r}, layout {layout.name!r} takes "
            f"{' or '.join(layout.suffixes)}."
        )


def save(
    path: files.PathLike,
    model: MorphableModel,
    layout: str = "native",
    *,
    original: files.PathLike | None = None,
) -> None:
    """Writes a model in one of `SAVED_LAYOUTS`.

    Layouts without suffixes (see `FORMATS`) take a folder, the others a file.  In BFM's
    layouts the identity of models without orthonormal columns (ICT, MakeHuman, FLAME)
    is rewritten as principal components (`reduction`); the law of the faces stays.

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
    write = FORMATS[layout].save if layout in FORMATS else None
    if write is None:
        raise InputError(f"layout must be one of {SAVED_LAYOUTS}. Received: {layout!r}")
    path = pathlib.Path(path)
    _check_target(path, FORMATS[layout])
    source = None if original is None else located(original)
    write(path, model, source)


def opaque_part(model: MorphableModel) -> MorphableModel:
    """Returns the model without parts that are transparent (lashes, tear film)."""
    return model.opaque_part
