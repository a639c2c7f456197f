"""CoarseNet's and FineNet's part of `tf-faces photo`: parameters and detailed depth."""

import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.apps.photo import TILE, Part, Seen
from tf_faces.core import files, pictures
from tf_faces.data import posed_faces
from tf_faces.geometry import cropping, mesh_files
from tf_faces.pipelines import coarse_fine as pipeline
from tf_faces.viz import html_viewer
from tf_faces.viz import pictures as shown_pictures

# After a system whose landmarks say where the face lies.
RANK = 2
# Faces after which a graph is worth its making.
_UNCOMPILED = 20


def open_part(folder: pathlib.Path) -> Part:
    """Opens weights.

    Args:
      folder: of a run.
    """
    reconstructor = pipeline.open_run(folder, uncompiled=_UNCOMPILED)

    def look(
        picture: np.ndarray,
        box: Sequence[float],
        landmarks: np.ndarray | None,
        name: str,
    ) -> Seen:
        left, top, right, bottom = box
        of_face = (left, right, top, bottom)
        if landmarks is not None:
            of_face = cropping.box_of_points(landmarks[:, :2])
        face = reconstructor.reconstruct(picture, of_face)
        mesh = reconstructor.detailed_mesh(face).replace(name=name)

        def write(output: pathlib.Path, stem: str) -> list[pathlib.Path]:
            shape, expression = reconstructor.coefficients(face)
            values = output / f"{stem}_parameters.json"
            files.write_json(
                values,
                {
                    "pose": face.parameters[:7].tolist(),
                    "shape": shape.tolist(),
                    "expression": expression.tolist(),
                    "face_model": reconstructor.model.name,
                },
            )
            depth = output / f"{stem}_fine_depth.png"
            stored = posed_faces.depth_to_bytes(face.fine_depth, face.mask)
            pictures.write(depth, stored)
            detailed = output / f"{stem}_detailed.ply"
            return [values, depth, *mesh_files.write_mesh(detailed, mesh)]

        found = reconstructor.landmarks(face)

        def tiles() -> dict[str, np.ndarray]:
            shown = shown_pictures.normal_picture(face.normal_map, face.mask)
            times = max(TILE // len(shown), 1)
            shown = shown.repeat(times, axis=0).repeat(times, axis=1)
            if found is None:
                return {"fine normals": shown}
            marked = shown_pictures.with_landmarks(picture, None, found)
            return {"landmarks of the model": marked, "fine normals": shown}

        return Seen(
            found,
            tiles,
            write,
            lambda: html_viewer.Item(mesh, f"{name}, fine depth"),
        )

    return look
