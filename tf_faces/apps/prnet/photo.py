"""PRNet's part of `tf-faces photo`: mesh, texture, pose and depth."""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.apps.photo import TILE, Part, Seen
from tf_faces.core import pictures
from tf_faces.geometry import normals
from tf_faces.ops import render_depth
from tf_faces.pipelines import prnet as pipeline
from tf_faces.pipelines.prnet import drawing, results
from tf_faces.viz import html_viewer
from tf_faces.viz import pictures as shown_pictures

# Of the systems, the first: it finds faces from the boxes of detectors.
RANK = 0
# Every file but those that others hold as well.
_FILES = results.Options(
    texture=True, landmarks=True, pose=True, depth=True, visibility=True, glb=True
)
# How much of the photograph shows through the mesh.
_SHOWN_THROUGH = 0.25


def _shaded(picture: np.ndarray, face: pipeline.Face) -> np.ndarray:
    """The photograph with the mesh over it, grey, lit from the viewer's side."""
    height, width = picture.shape[:2]
    drawn = render_depth.rasterize(face.vertices, face.triangles, height, width)
    turned = normals.turn_to_viewer(drawn.normals).numpy()
    levels = 255 * np.clip(0.15 + 0.85 * turned[..., 2:], 0, 1)
    over = _SHOWN_THROUGH * picture + (1 - _SHOWN_THROUGH) * levels
    covered = (drawn.triangle_id.numpy() >= 0)[..., None]
    return np.where(covered, over, picture).astype(np.uint8)


def open_part(folder: pathlib.Path) -> Part:
    """Opens weights.

    Args:
      folder: of a run.
    """
    reconstructor = pipeline.open_run(folder)

    def look(
        picture: np.ndarray,
        box: Sequence[float],
        landmarks: np.ndarray | None,
        name: str,
    ) -> Seen:
        left, top, right, bottom = box
        (face,) = reconstructor.faces(picture, box=(left, right, top, bottom))

        @functools.cache
        def texture() -> np.ndarray:
            return pictures.to_bytes(face.texture(picture / 255.0, TILE))

        return Seen(
            face.landmarks,
            lambda: {
                "landmarks": drawing.plot_landmarks(picture, face.landmarks),
                "mesh": _shaded(picture, face),
                "depth": shown_pictures.depth_picture(face.depth()),
                "texture": texture(),
            },
            lambda output, stem: results.write_demo(
                output, stem, face, picture, _FILES
            ),
            lambda: html_viewer.Item(face.mesh(picture, texture(), name), name),
        )

    return look
