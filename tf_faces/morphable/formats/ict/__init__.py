"""ICT-FaceKit (light): the .npz of this project's data folder and the OBJ original.

Centimetres, counter-clockwise, coefficients of kind "unit": identity modes already
multiplied by their deviations, expression blend shapes for weights in 0..1.

Source: ICT-VGL/ICT-FaceKit commit da5f95a6 (MIT), folder FaceXModel; Li et al.,
"Learning Formation of Physically-Based Face Attributes", CVPR 2020.
"""

import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError
from tf_faces.geometry.mesh_files import obj_reading
from tf_faces.morphable import painting
from tf_faces.morphable.formats import arrays, folders
from tf_faces.morphable.model import MorphableModel

# Groups of the mesh and their half-open vertex ranges, in file order.
VERTEX_RANGES = {
    "face": (0, 9409),
    "head_and_neck": (9409, 11248),
    "mouth_socket": (11248, 13294),
    "eye_socket_left": (13294, 13678),
    "eye_socket_right": (13678, 14062),
    "gums_and_tongue": (14062, 17039),
    "teeth": (17039, 21451),
    "eyeball_left": (21451, 23021),
    "eyeball_right": (23021, 24591),
    "lacrimal_fluid_left": (24591, 24795),
    "lacrimal_fluid_right": (24795, 24999),
    "eye_blend_left": (24999, 25023),
    "eye_blend_right": (25023, 25047),
    "eye_occlusion_left": (25047, 25199),
    "eye_occlusion_right": (25199, 25351),
    "eyelashes_left": (25351, 26035),
    "eyelashes_right": (26035, 26719),
}

NEUTRAL_MESH = "generic_neutral_mesh.obj"
_LICENCE = "MIT, Copyright (c) 2020 USC Institute for Creative Technologies"
_SOURCE = "ICT-VGL/ICT-FaceKit commit da5f95a6, FaceXModel"
# Arrays that make the model; the published file has lists of polygons and vertices too.
_ARRAYS = (
    *("neutral", "identity_deltas", "expression_deltas", "expression_names"),
    *("triangles", "triangles_uv", "uv", "landmarks68"),
)
_COLORS = {
    "mouth_socket": painting.MOUTH,
    "gums_and_tongue": (170.0, 80.0, 80.0),
    "teeth": painting.TEETH,
}


def split_polygons(polygons: np.ndarray) -> np.ndarray:
    """Quads (0,1,2,3) to (0,1,2), (0,2,3); a fourth entry of -1 marks a triangle."""
    quads = polygons[:, 3] >= 0
    pairs = np.stack([polygons[:, [0, 1, 2]], polygons[:, [0, 2, 3]]], axis=1)
    keep = np.stack([np.ones(len(polygons), bool), quads], axis=1)
    return pairs[keep].astype(np.int32)


def _assemble(neutral, identity, expressions, names, triangles, uv, corners, landmarks):
    regions, names_of_regions = None, ()
    texture = {}
    if len(neutral) == 26719:
        names_of_regions = tuple(VERTEX_RANGES)
        regions = np.empty(len(neutral), np.int32)
        for number, (begin, end) in enumerate(VERTEX_RANGES.values()):
            regions[begin:end] = number
        if landmarks is not None:
            skin = np.arange(len(neutral)) < VERTEX_RANGES["head_and_neck"][1]
            mean, basis, deviations = painting.paint(neutral, landmarks, skin)
            for part, (begin, end) in VERTEX_RANGES.items():
                if part in _COLORS:
                    mean[begin:end] = _COLORS[part]
                elif part.startswith("eyeball"):
                    mean[begin:end] = painting.eye_colors(neutral[begin:end])
            texture = {
                "texture_mean": mean,
                "texture_basis": basis,
                "texture_deviations": deviations,
            }
    return MorphableModel(
        mean=neutral,
        triangles=triangles,
        shape_basis=np.moveaxis(identity, 0, -1),
        expression_basis=np.moveaxis(expressions, 0, -1),
        expression_names=names,
        expression_range=(0.0, 1.0),
        landmarks68=landmarks,
        texture_coordinates=uv,
        texture_triangles=corners,
        unit="cm",
        winding="ccw",
        coefficient_kind="unit",
        region_names=names_of_regions,
        vertex_regions=regions,
        name="ICT-FaceKit (light)",
        source=_SOURCE,
        licence=_LICENCE,
        **texture,
    )


def load_npz(path: files.PathLike) -> MorphableModel:
    """Reads `ict_facekit.npz`; colours are painted, the model has no texture.

    Raises:
      FormatError: naming what is absent or mis-shaped.
    """
    found = files.load_npz(path, _ARRAYS)
    arrays.require_all_numbers(path, found, ["expression_names"])
    with arrays.agreeing(path):
        return _assemble(
            found["neutral"],
            found["identity_deltas"],
            found["expression_deltas"],
            arrays.texts(found["expression_names"]),
            found["triangles"],
            found["uv"],
            found["triangles_uv"],
            found["landmarks68"],
        )


def _read_mesh(path: pathlib.Path):
    """Vertices, uv, polygons and uv polygons ([p, 4], -1 fills) of an OBJ file."""
    found = obj_reading.read_polygons(path)
    if not np.isin(found.sizes, (3, 4)).all():
        raise FormatError(
            f"{path}: found polygons of {found.sizes.min()} to {found.sizes.max()} "
            "corners, expected 3 or 4."
        )
    if (found.texture_widths < 2).any():
        raise FormatError(f"{path}: found a 'vt' line of 1 number, expected 2.")
    table = np.full((2, len(found.sizes), 4), -1, np.int32)
    table[:, np.arange(4) < found.sizes[:, None]] = found.corners.T
    polygons, polygons_uv = table
    uv = found.texture_coordinates.astype(np.float32)
    if (found.corners[:, 1] < 0).any():
        uv, polygons_uv = uv[:0], polygons_uv[:0]
    return _vertices(path, found.vertices), uv, polygons, polygons_uv


def _vertices(path: pathlib.Path, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        vertices = values.astype(np.float32)
    if not np.isfinite(vertices).all():
        raise FormatError(f"{path}: holds vertices that are not finite.")
    return vertices


def load_folder(folder: files.PathLike) -> MorphableModel:
    """Reads the OBJ original: generic_neutral_mesh.obj, identity###.obj, expressions.

    Expressions are all other .obj files, in the order of `vertex_indices.json` where
    it lists them, else by name.  The landmarks are those that it lists, else come from
    the shipped set, if the number of vertices is that of the published mesh.

    Raises:
      FormatError: if a file differs in its number of vertices.
    """
    from tf_faces.morphable import landmark_sets

    folder = files.require_directory(folder)
    neutral_path = folders.find(folder, NEUTRAL_MESH) or folder / NEUTRAL_MESH
    neutral, uv, polygons, polygons_uv = _read_mesh(neutral_path)
    meshes = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".obj")
    identity_paths = [x for x in meshes if x.stem.lower().startswith("identity")]
    others = {
        path.stem: path
        for path in meshes
        if path != neutral_path and path not in identity_paths
    }
    order = sorted(others)
    shipped = landmark_sets.load("ict_facekit")
    landmarks = shipped.vertices if shipped.vertex_count == len(neutral) else None
    listing = folders.find(folder, "vertex_indices.json")
    if listing is not None:
        stored = files.read_json(listing)
        stored = stored if isinstance(stored, dict) else {}
        listed = stored.get("expressions")
        if isinstance(listed, list):
            texts = [name for name in listed if isinstance(name, str)]
            known = [name for name in dict.fromkeys(texts) if name in others]
            order = known + [name for name in order if name not in known]
        marks = stored.get("landmarks68")
        if marks is not None:
            landmarks = _listed_landmarks(listing, marks, len(neutral))

    def deltas(paths):
        rows = np.zeros((len(paths), *neutral.shape), np.float32)
        for row, path in zip(rows, paths, strict=True):
            vertices = _vertices(path, obj_reading.read_vertices(path))
            if vertices.shape != neutral.shape:
                raise FormatError(
                    f"{path}: {len(vertices)} vertices, expected the {len(neutral)} "
                    f"of {neutral_path.name}."
                )
            row[:] = vertices - neutral
        return rows

    has_chart = len(polygons_uv) == len(polygons) and len(uv)
    with arrays.agreeing(neutral_path):
        return _assemble(
            neutral,
            deltas(identity_paths),
            deltas([others[name] for name in order]),
            tuple(order),
            split_polygons(polygons),
            uv if has_chart else None,
            split_polygons(polygons_uv) if has_chart else None,
            landmarks,
        )


def _listed_landmarks(path, marks, vertex_count: int) -> np.ndarray:
    if (
        not isinstance(marks, list)
        or len(marks) != 68
        or not all(type(x) is int and 0 <= x < vertex_count for x in marks)
    ):
        raise FormatError(
            f"{path}: 'landmarks68' holds no 68 vertices from 0 to {vertex_count - 1}."
        )
    return np.array(marks, np.int32)
