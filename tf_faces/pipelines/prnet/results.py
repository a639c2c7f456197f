"""The files that PRNet's programs write for a face, in their own formats.

The original's colour look-up moves vertices outside of the picture to its border, in
place.  What its `demo.py` writes after that shows it: the mesh's .mat, depth, pose and
camera matrix are those of the clamped vertices.  So it is here.
"""

import dataclasses
import io
import pathlib

import numpy as np
import scipy.io

from tf_faces.core import files, pictures
from tf_faces.geometry import mesh_files, uv
from tf_faces.geometry.mesh_files import obj
from tf_faces.pipelines.prnet import drawing
from tf_faces.pipelines.prnet.face import Face, depth_image, estimate_pose

# Of the original's JPEG files.
_QUALITY = 75


@dataclasses.dataclass(frozen=True)
class Options:
    """Which files `write_demo` writes; the fields are the options of `demo.py`.

    Attributes:
      mesh: `.obj`.
      mat: `_mesh.mat`.
      landmarks: `_kpt.txt`.
      pose: `_pose.txt` and `_camera_matrix.txt`.
      image: `.jpg`, the picture.
      frontal: turn the mesh of the .obj to the front.
      depth: `_depth.jpg` and `_depth.mat`.
      texture: a texture in the place of vertex colours: `.obj`, `.mtl`, `_texture.png`.
      masked: make the texture's invisible part black.
      texture_size: side of the texture.
      drawings: `_sparse.jpg`, `_dense.jpg`, `_pose.jpg`.
      visibility: `_visibility.png`, the visible part of the map, and
        `_kpt_visibility.txt`.
      glb: `.glb`, with a texture.
      sheet: `_sheet.png`, all results in one picture.
    """

    mesh: bool = True
    mat: bool = False
    landmarks: bool = False
    pose: bool = False
    image: bool = False
    frontal: bool = False
    depth: bool = False
    texture: bool = False
    masked: bool = False
    texture_size: int = 256
    drawings: bool = False
    visibility: bool = False
    glb: bool = False
    sheet: bool = False


def write_text_table(path: files.PathLike, values: np.ndarray) -> pathlib.Path:
    """Writes numbers as the original's text files: a row a line, `%.18e`."""
    stream = io.StringIO()
    np.savetxt(stream, values)
    files.write_text(path, stream.getvalue())
    return pathlib.Path(path)


def write_mat(path: files.PathLike, arrays: dict) -> pathlib.Path:
    """Writes a MATLAB 5 file, uncompressed, as the original does."""
    stream = io.BytesIO()
    scipy.io.savemat(stream, arrays)
    files.write_bytes(path, stream.getvalue())
    return pathlib.Path(path)


def texture_of(face: Face, image: np.ndarray, options: Options) -> np.ndarray:
    """The texture, floats of 0..1, [size, size, 3]."""
    mask = face.visible_map() if options.masked else None
    return face.texture(image / 255.0, options.texture_size, mask=mask)


def write_demo(
    folder: files.PathLike, name: str, face: Face, image: np.ndarray, options: Options
) -> list[pathlib.Path]:
    """Writes what `demo.py` writes for one face.

    Args:
      folder: of the files.
      name: what they begin with.
      face: of `image`.
      image: uint8 [H, W, 3].
      options: which files.

    Returns:
      The files written.
    """
    stem = pathlib.Path(folder) / name
    height, width = face.image_size

    def path(end):
        return stem.with_name(stem.name + end)

    written = []
    if options.image:
        written.append(pictures.write(path(".jpg"), image, quality=_QUALITY))
    # Colours of the picture in 0..1: looking them up moves the vertices for all below.
    vertices, colors = face.clamped_vertices, None
    if options.mat or (options.mesh and not options.texture):
        colors = face.colors(image / 255.0)
    if options.mesh:
        written += _write_mesh(path(".obj"), face, image, colors, options)
    if options.depth:
        depth = depth_image(vertices, face.triangles, height, width)
        # Two drawings in the original; the first with z as a part of its maximum.
        highest = vertices[:, 2].max()
        shown = depth / highest if highest > 0 else depth
        grey = np.clip(shown, 0, 1)
        written.append(pictures.write(path("_depth.jpg"), grey, quality=_QUALITY))
        written.append(write_mat(path("_depth.mat"), {"depth": depth}))
    if options.mat:
        arrays = {"vertices": vertices, "colors": colors, "triangles": face.triangles}
        written.append(write_mat(path("_mesh.mat"), arrays))
    if options.landmarks:
        written.append(write_text_table(path("_kpt.txt"), face.landmarks))
    pose = estimate_pose(vertices, face.layout.canonical)
    if options.pose:
        written.append(write_text_table(path("_pose.txt"), pose.angles))
        written.append(
            write_text_table(path("_camera_matrix.txt"), pose.camera_original)
        )
    if options.drawings:
        for end, drawn in (
            ("_sparse.jpg", drawing.plot_landmarks(image, face.landmarks)),
            ("_dense.jpg", drawing.plot_vertices(image, vertices)),
            ("_pose.jpg", _pose_drawing(image, face, pose)),
        ):
            written.append(pictures.write(path(end), drawn, quality=_QUALITY))
    if options.visibility:
        shown = face.visible_map().astype(np.uint8) * 255
        written.append(pictures.write(path("_visibility.png"), shown))
        visible = face.landmark_visibility.astype(np.float64)
        written.append(write_text_table(path("_kpt_visibility.txt"), visible))
    if options.glb:
        texture = pictures.to_bytes(texture_of(face, image, options))
        mesh = face.mesh(image, texture, name)
        written += mesh_files.write_mesh(path(".glb"), mesh)
    if options.sheet:
        written.append(pictures.write(path("_sheet.png"), overlay_sheet(face, image)))
    return written


def _pose_drawing(image, face, pose):
    return drawing.plot_pose_box(image, pose.camera_original, face.landmarks)


def _write_mesh(path, face, image, colors, options):
    vertices = face.frontal() if options.frontal else face.vertices.copy()
    vertices[:, 1] = face.image_size[0] - 1 - vertices[:, 1]
    if not options.texture:
        return obj.write_obj_arrays(
            path, vertices, face.triangles, style=obj.PRNET, colors=colors
        )
    coordinates = uv.prnet_texture_coordinates(
        face.layout.pixels, face.layout.resolution
    )
    return obj.write_obj_arrays(
        path,
        vertices,
        face.triangles,
        style=obj.PRNET,
        texture=texture_of(face, image, options),
        texture_coordinates=coordinates,
    )


def write_basics(
    folder: files.PathLike, name: str, face: Face, image: np.ndarray
) -> list[pathlib.Path]:
    """Writes what `run_basics.py` writes: `.txt`, `.obj` and `_mesh.mat`.

    y points down in all of them, vertices are clamped, colours are 0..255.
    """
    stem = pathlib.Path(folder) / name
    colors = face.colors(image)
    vertices = face.clamped_vertices
    written = [write_text_table(stem.with_name(f"{name}.txt"), face.landmarks)]
    written += obj.write_obj_arrays(
        stem.with_name(f"{name}.obj"),
        vertices,
        face.triangles,
        style=obj.PRNET,
        colors=colors,
    )
    arrays = {"vertices": vertices, "colors": colors, "triangles": face.triangles}
    return [*written, write_mat(stem.with_name(f"{name}_mesh.mat"), arrays)]


def overlay_sheet(face: Face, image: np.ndarray) -> np.ndarray:
    """All results of a face beside each other, uint8 [H, 7 W, 3].

    From the left: picture, landmarks, vertices, pose, depth, texture, and what of the
    texture the picture shows.
    """
    height, width = face.image_size
    depth = face.depth()
    seen = depth[depth != 0]
    grey = np.zeros((height, width), np.uint8)
    if len(seen):
        scale = max(float(seen.max() - seen.min()), 1e-9)
        levels = 255 * (depth - seen.min()) / scale
        grey = pictures.levels_to_bytes(np.where(depth != 0, levels, 0).clip(0, 255))
    side = min(height, width)
    textures = np.zeros((2, height, width, 3), np.uint8)
    for place, mask in zip(textures, (None, face.visible_map()), strict=True):
        place[:side, :side] = pictures.to_bytes(
            face.texture(image / 255.0, side, mask=mask)
        )
    return np.concatenate(
        [
            image,
            drawing.plot_landmarks(image, face.landmarks),
            drawing.plot_vertices(image, face.vertices),
            _pose_drawing(image, face, face.pose),
            np.repeat(grey[..., None], 3, axis=-1),
            *textures,
        ],
        axis=1,
    )
