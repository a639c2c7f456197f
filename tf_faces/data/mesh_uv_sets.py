"""Coupled UV sets of registered meshes: one topology, one chart, a face a file.

The chart is that of the meshes' own texture coordinates, and the neutral face of the
UV dictionary is their mean, so that meshes from maps keep its fine forms.  Textures are
the meshes' pictures, or their vertex colours where the first mesh has no picture.
Vertices are taken as they are: whoever registered the meshes aligned them.
"""

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.core import files, folders, pictures, progress, workers
from tf_faces.core.errors import InputError
from tf_faces.data import uv_chart, uv_samples, uv_sets
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable.model import MorphableModel

# Changes whenever the same meshes would give other maps.
_REVISION = 1
# Meshes in a task: their sum is taken in one order, whatever the number of processes.
_BATCH = 8
# Texture coordinates written with few digits by one program and more by another.
_SAME_PLACE = 1e-4


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What a batch of meshes adds up to: sums and extremes of vertices, digests."""

    total: np.ndarray
    low: np.ndarray
    high: np.ndarray
    digests: list[str]


def _read(path: pathlib.Path, first: Mesh | None, first_path: pathlib.Path) -> Mesh:
    """Reads a mesh and checks it against the first one.

    Raises:
      InputError: naming the file, if it does not belong to the set.
    """
    mesh = mesh_files.read_mesh(path)
    if not len(mesh.triangles):
        raise InputError(f"{path}: found no triangles, expected a mesh of a face.")
    if mesh.texture_coordinates is None:
        raise InputError(
            f"{path}: found no texture coordinates, expected a mesh with a chart."
        )
    for what, values in (
        ("vertices", mesh.vertices),
        ("texture coordinates", mesh.texture_coordinates),
        ("vertex colours", mesh.vertex_colors),
    ):
        if values is not None and not np.isfinite(values).all():
            raise InputError(
                f"{path}: its {what} hold a NaN or an infinite number, expected finite "
                "ones."
            )
    if first is None:
        if mesh.texture is None and mesh.vertex_colors is None:
            raise InputError(
                f"{path}: found neither a texture picture nor vertex colours, expected "
                "one of them."
            )
        return mesh
    if len(mesh.vertices) != len(first.vertices) or not np.array_equal(
        mesh.triangles, first.triangles
    ):
        raise InputError(
            f"{path}: found {len(mesh.vertices)} vertices and {len(mesh.triangles)} "
            f"triangles, expected the topology of {first_path} "
            f"({len(first.vertices)} and {len(first.triangles)}, in the same order)."
        )
    places, expected = (
        np.asarray(one.texture_coordinates)[
            one.triangles if one.texture_triangles is None else one.texture_triangles
        ]
        for one in (mesh, first)
    )
    if np.abs(places - expected).max() > _SAME_PLACE:
        raise InputError(
            f"{path}: its texture coordinates differ from those of {first_path}, "
            "expected one chart for all meshes."
        )
    if mesh.unit != first.unit:
        raise InputError(
            f"{path}: found the unit {mesh.unit or 'unknown'}, expected "
            f"{first.unit or 'unknown'} as in {first_path}."
        )
    if first.texture is not None and mesh.texture is None:
        raise InputError(
            f"{path}: found no texture picture, expected one as {first_path} has."
        )
    if first.texture is None and mesh.vertex_colors is None:
        raise InputError(
            f"{path}: found no vertex colours, expected them as {first_path} has them."
        )
    return mesh


def _digest(mesh: Mesh) -> str:
    found = hashlib.sha256(np.ascontiguousarray(mesh.vertices).tobytes())
    for values in (mesh.vertex_colors, mesh.texture):
        if values is not None:
            found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


@contextlib.contextmanager
def _looking(first: Mesh, first_path: pathlib.Path):
    def look(paths) -> _Seen:
        meshes = [_read(path, first, first_path) for path in paths]
        points = np.stack([mesh.vertices for mesh in meshes]).astype(np.float64)
        return _Seen(
            points.sum(axis=0),
            points.min(axis=0),
            points.max(axis=0),
            [_digest(mesh) for mesh in meshes],
        )

    yield look


class MeshMapper(uv_samples.Mapper):
    """Makes the maps of meshes.

    Args:
      chart: of their mean.
      offset, scale: of the maps.
      first: the mesh that the others are checked against.
      first_path: its file.
    """

    def __init__(
        self,
        chart: uv_chart.Chart,
        offset: np.ndarray,
        scale: float,
        first: Mesh,
        first_path: pathlib.Path,
    ) -> None:
        super().__init__(chart, offset, scale, first.unit or "")
        self._first, self._first_path = first, first_path

    def make(self, items: Sequence[pathlib.Path]) -> list[tuple]:
        """Texture uint8 [R, R, 3], shape and normals float32 [3, R, R] of each file."""
        samples = []
        for path in items:
            mesh = _read(path, self._first, self._first_path)
            used = self.chart.model_vertices
            if self._first.texture is None:
                colors = np.asarray(mesh.vertex_colors, np.float32)[used] * 255
                texture = self.chart.to_map(colors)
            else:
                texture = uv_samples.picture_on_chart(mesh.texture, self.chart)
            samples.append(
                (pictures.levels_to_bytes(texture), *self.maps(mesh.vertices[used]))
            )
        return samples


def _mapper(
    first: Mesh, path: pathlib.Path, mean, low, high, resolution: int
) -> MeshMapper:
    """The mapper whose neutral face is the mean and whose maps stay in [-1, 1]."""
    chart = uv_chart.build_chart(
        MorphableModel(
            mean=mean.astype(np.float32),
            triangles=first.triangles,
            texture_coordinates=first.texture_coordinates,
            texture_triangles=first.texture_triangles,
            name=str(path),
            **({} if first.unit is None else {"unit": first.unit}),
        ),
        resolution,
    )
    offset, scale = uv_samples.neutral_place(chart.model)
    used = chart.model_vertices
    reach = np.maximum(high[used] - offset, offset - low[used]).max()
    scale = max(scale, float(reach))
    if not scale > 0:
        raise InputError(f"{path}: all vertices are in one place, expected a face.")
    return MeshMapper(chart, offset, scale, first, path)


def make_mesh_set(
    directory: files.PathLike,
    meshes: files.PathLike,
    resolution: int = 64,
    *,
    processes: int = 1,
    show_progress: bool = True,
) -> pathlib.Path:
    """Writes the coupled UV set of a folder of meshes, or completes one.

    All meshes are read and checked before anything is written.  Files are those of
    `uv_sets`, with the meshes' names as keys and without labels.

    Args:
      directory: the set's folder; made if needed.
      meshes: folder of .obj, .ply and .glb files of one topology.
      resolution: 32, 64, 128, 256 or 512.
      processes: number of worker processes.
      show_progress: draw progress bars.

    Returns:
      The folder.

    Raises:
      InputError: naming the file that does not fit; for a folder that holds another
        set.
      FormatError: if a file is damaged.
    """
    listing = folders.list_files(
        meshes, folders.has_suffix(*mesh_files.SUFFIXES), deep=False
    )
    if not listing.paths:
        wanted = ", ".join("*" + suffix for suffix in mesh_files.SUFFIXES)
        raise InputError(listing.nothing(f"{wanted} files"))
    paths = {key[1]: path for key, path in folders.by_name(listing.paths).items()}
    ordered = list(paths.values())
    first = _read(ordered[0], None, ordered[0])
    batches = [
        ordered[start : start + _BATCH] for start in range(0, len(ordered), _BATCH)
    ]
    seen: list[_Seen] = []
    with progress.bar(len(ordered), "mesh", "Meshes", shown=show_progress) as bar:

        def take(one: _Seen) -> None:
            seen.append(one)
            bar.update(len(one.digests))

        workers.run(
            _looking,
            (first, ordered[0]),
            batches,
            take,
            processes=processes,
            ordered=True,
        )
    digests = [digest for one in seen for digest in one.digests]
    content = hashlib.sha256()
    for key, digest in zip(paths, digests, strict=True):
        content.update(f"{key}\n{digest}\n".encode())
    for values in (
        first.triangles,
        first.texture_coordinates,
        first.texture_triangles,
    ):
        if values is not None:
            content.update(np.ascontiguousarray(values).tobytes())
    uv_sets.complete(
        directory,
        {
            "revision": _REVISION,
            "meshes": len(ordered),
            "vertices": len(first.vertices),
            "content": content.hexdigest(),
            "resolution": resolution,
            "unit": first.unit or "",
        },
        len(ordered),
        lambda: paths,
        lambda: _mapper(
            first,
            ordered[0],
            sum(one.total for one in seen) / len(ordered),
            np.min([one.low for one in seen], axis=0),
            np.max([one.high for one in seen], axis=0),
            resolution,
        ),
        processes=processes,
        show_progress=show_progress,
    )
    return pathlib.Path(directory)
