"""Writes what a reconstruction has to show, and reads sets for evaluation."""

import pathlib

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.data import posed_faces
from tf_faces.geometry import mesh_files
from tf_faces.pipelines.coarse_fine.reconstructor import DetailedFace, Reconstructor
from tf_faces.viz import html_viewer
from tf_faces.viz import pictures as shown_pictures

MESH_SUFFIXES = (".obj", ".ply", ".glb")


def write_face(
    folder: files.PathLike,
    reconstructor: Reconstructor,
    face: DetailedFace,
    picture: np.ndarray,
    *,
    mesh_suffixes=MESH_SUFFIXES,
    page: bool = True,
) -> list[pathlib.Path]:
    """Writes one face.

    parameters.json; coarse and detailed meshes; coarse_depth.png and fine_depth.png (16
    bit, read by `posed_faces.depth_from_bytes`), depth.npz; normals.png; landmarks.txt
    (x y z a line, photograph pixels); overlay.png; sheet.png; viewer.html.

    Args:
      folder: made if absent.
      reconstructor: that made the face.
      face: of the photograph.
      picture: uint8 [H, W, 3], the photograph.
      mesh_suffixes: of the mesh files.
      page: write the viewer page.

    Returns:
      The files, in the order of writing.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def keep(path):
        written.append(path)
        return path

    shape, expression = reconstructor.coefficients(face)
    crop = face.crop
    files.write_json(
        keep(folder / "parameters.json"),
        {
            "pose": face.parameters[:7].tolist(),
            "shape": shape.tolist(),
            "expression": expression.tolist(),
            "passes": face.passes.tolist(),
            "crop": {"center": list(map(float, crop.center)), "size": float(crop.size)},
            "image_size": int(crop.resolution),
            "face_model": reconstructor.model.name,
        },
    )
    meshes = {
        "coarse": reconstructor.mesh(face),
        "detailed": reconstructor.detailed_mesh(face),
    }
    for name, mesh in meshes.items():
        for suffix in mesh_suffixes:
            written += mesh_files.write_mesh(folder / f"{name}{suffix}", mesh)
    for name in ("coarse_depth", "fine_depth"):
        stored = posed_faces.depth_to_bytes(getattr(face, name), face.mask)
        pictures.write(keep(folder / f"{name}.png"), stored)
    files.write_npz(
        keep(folder / "depth.npz"),
        coarse=face.coarse_depth,
        fine=face.fine_depth,
        mask=face.mask,
    )
    normal_picture = shown_pictures.normal_picture(face.normal_map, face.mask)
    pictures.write(keep(folder / "normals.png"), normal_picture)
    landmarks = reconstructor.landmarks(face)
    if landmarks is not None:
        text = "".join(f"{x:.3f} {y:.3f} {z:.3f}\n" for x, y, z in landmarks)
        files.write_text(keep(folder / "landmarks.txt"), text)
    pictures.write(keep(folder / "overlay.png"), overlay(picture, landmarks))
    pictures.write(keep(folder / "sheet.png"), sheet(face))
    if page:
        items = [
            html_viewer.Item(
                meshes["detailed"], caption="in its pose, with fine depth"
            ),
            html_viewer.Item(meshes["coarse"], caption="coarse, frontal"),
        ]
        keep(html_viewer.write_page(folder / "viewer.html", items, "Reconstruction"))
    return written


def overlay(picture: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray:
    """The photograph with the 68 points as green squares."""
    shown = picture.copy()
    if landmarks is None:
        return shown
    height, width = shown.shape[:2]
    reach = max(1, round(min(height, width) / 200))
    for x, y in np.rint(landmarks[:, :2]).astype(int):
        rows = slice(max(y - reach, 0), max(y + reach + 1, 0))
        columns = slice(max(x - reach, 0), max(x + reach + 1, 0))
        shown[rows, columns] = (0, 255, 0)
    return shown


def sheet(face: DetailedFace) -> np.ndarray:
    """Crop, codes, both depths on one scale, normals, side by side."""
    mask = face.mask
    both = np.concatenate([face.coarse_depth[mask], face.fine_depth[mask]])
    limits = {}
    if both.size:
        limits = {"nearest": float(both.max()), "farthest": float(both.min())}
    cells = [
        face.picture,
        pictures.to_bytes(face.codes),
        shown_pictures.depth_picture(face.coarse_depth, mask, **limits),
        shown_pictures.depth_picture(face.fine_depth, mask, **limits),
        shown_pictures.normal_picture(face.normal_map, mask),
    ]
    return shown_pictures.contact_sheet(cells, len(cells))
