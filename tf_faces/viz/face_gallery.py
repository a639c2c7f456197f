"""A folder of faces: mesh files, previews, a contact sheet, a page that turns them.

<name>.obj, .mtl, .png   <name>.ply   <name>.glb   one set a face, as asked for
previews/<name>.png      front and sides
faces.png                all previews on one sheet
faces.html               the page
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tqdm

from tf_faces.core import files
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.viz import html_viewer, pictures, previews

FORMATS = ("obj", "ply", "glb")
SHEET = "faces.png"
PAGE = "faces.html"
# A page with more faces than this is too large to open with pleasure.
MAXIMUM_PAGE_FACES = 24


@dataclasses.dataclass(frozen=True)
class Entry:
    """One face of the gallery.

    Attributes:
      name: stem of its files, a plain file name.
      mesh: the face.
      morph_targets: expression name -> offsets [V, 3]; sliders on the page and morph
        targets of the .glb.
    """

    name: str
    mesh: Mesh
    morph_targets: Mapping[str, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Gallery:
    """What was written.

    Attributes:
      meshes: all mesh files and what lies beside them.
      previews: a picture a face.
      sheet: all pictures on one.
      page: the viewer, or None if it was not asked for.
    """

    meshes: tuple[pathlib.Path, ...]
    previews: tuple[pathlib.Path, ...]
    sheet: pathlib.Path
    page: pathlib.Path | None


def write(
    directory: files.PathLike,
    entries: Iterable[Entry],
    *,
    formats: Sequence[str] = FORMATS,
    yaws: Sequence[float] = previews.FRONT_AND_SIDES,
    size: int = 384,
    page: bool = True,
    title: str = "Faces",
    unit: str | None = None,
    total: int | None = None,
    progress: bool = True,
) -> Gallery:
    """Writes faces as they come, then the sheet and the page.

    Args:
      directory: made if absent; files of the same names are replaced.
      entries: the faces; may be a generator.
      formats: of FORMATS.
      yaws: directions of the previews, in degrees.
      size: side of a preview in pixels.
      page: write the viewer, with the first MAXIMUM_PAGE_FACES faces.
      title: of the page.
      unit: of the OBJ and PLY files; None keeps that of the meshes.
      total: number of entries, for the progress bar.
      progress: show one.

    Raises:
      InputError: for an unknown format, an unusable name, no entry at all, or a unit
        where that of a mesh is not known.
    """
    for name in formats:
        if name not in FORMATS:
            raise InputError(
                f"formats: found {name!r}, expected some of {', '.join(FORMATS)}."
            )
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    meshes: list[pathlib.Path] = []
    drawn: list[pathlib.Path] = []
    views: list[np.ndarray] = []
    items: list[html_viewer.Item] = []
    bar = tqdm.tqdm(entries, total=total, desc="Faces", disable=not progress, unit="")
    for entry in bar:
        if not entry.name or pathlib.Path(entry.name).name != entry.name:
            raise InputError(f"name: found {entry.name!r}, expected a file name.")
        for suffix in formats:
            path = directory / f"{entry.name}.{suffix}"
            if suffix == "glb":
                meshes += mesh_files.write_glb(path, entry.mesh, entry.morph_targets)
            else:
                meshes += mesh_files.write_mesh(path, entry.mesh, unit)
        view = previews.render_views(entry.mesh, yaws, size=size)
        drawn.append(
            picture_files.write(directory / "previews" / f"{entry.name}.png", view)
        )
        views.append(view)
        if page and len(items) < MAXIMUM_PAGE_FACES:
            items.append(html_viewer.Item(entry.mesh, entry.name, entry.morph_targets))
    if not views:
        raise InputError("entries: found no face, expected at least one.")
    sheet = pictures.contact_sheet(views, columns=min(2, len(views)))
    return Gallery(
        meshes=tuple(dict.fromkeys(meshes)),
        previews=tuple(drawn),
        sheet=picture_files.write(directory / SHEET, sheet),
        page=(html_viewer.write_page(directory / PAGE, items, title) if page else None),
    )
