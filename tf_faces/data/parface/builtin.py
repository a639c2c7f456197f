"""Rendered faces of the built-in face model as a data set: for trials without files.

Landmarks and depths are exact.  Identities, expressions, poses and lights of face i are
a function of the seed and i.
"""

import numpy as np

from tf_faces.core import pictures, seeding
from tf_faces.data import posed_faces
from tf_faces.data.parface import annotations, crops
from tf_faces.data.parface.sets import Face, FaceSet
from tf_faces.morphable import io
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.viz import painter as painting

_PIECE = 32


def draw(count: int, seed: int = 0, size: int = 256, model: str = "builtin") -> FaceSet:
    """Renders faces in memory.

    Args:
      count: faces.
      seed: of everything.
      size: side of the pictures.
      model: a face model with 68 landmarks, as `tf_faces.morphable.io.load` opens it.
    """
    loaded = io.load(model)
    painter = painting.Painter(loaded)
    options = posed_faces.PictureOptions(
        size=size, yaw=40, pitch=20, roll=15, seed=seed, maps=False
    )
    faces = []
    for start in range(0, count, _PIECE):
        numbers = np.arange(start, min(start + _PIECE, count))
        drawn = _coefficients(loaded, seed, numbers)
        shots = posed_faces.draw_shots(loaded, options, numbers)
        rendering = posed_faces.take_pictures(painter, drawn, shots, size)
        images = pictures.to_bytes(rendering.images)
        for row, number in enumerate(numbers):
            points = rendering.vertices[row, loaded.landmarks68].astype(np.float32)
            box = crops.extend_box(annotations.box_of(points), top=0.05, bottom=0.10)
            name = f"builtin{number:05d}"
            faces.append(Face(name, images[row], box, points[:, :2], points))
    return FaceSet("builtin", faces)


def _coefficients(model, seed: int, numbers: np.ndarray) -> FaceCoefficients:
    drawn = {"shape": [], "expression": [], "texture": []}
    for number in numbers:
        rng = seeding.numpy_generator(seed, "builtin faces", int(number))
        drawn["shape"].append(model.sample_shape(rng, 1)[0])
        drawn["expression"].append(model.sample_expression(rng, 1)[0])
        drawn["texture"].append(rng.standard_normal(model.texture_count))
    return FaceCoefficients(**{name: np.stack(rows) for name, rows in drawn.items()})
