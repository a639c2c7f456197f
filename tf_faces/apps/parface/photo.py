"""ParFace's part of `tf-faces photo`: landmarks with depths, also of uneven faces."""

import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.apps.parface import showing
from tf_faces.apps.photo import Part, Seen
from tf_faces.data.parface import annotations, crops, sets
from tf_faces.pipelines import parface as pipeline
from tf_faces.viz import pictures as shown_pictures

# After a system whose landmarks say where the face lies.
RANK = 1


def open_part(folder: pathlib.Path) -> Part:
    """Opens weights.

    Args:
      folder: of a run.
    """
    opened = pipeline.open_run(folder)

    def look(
        picture: np.ndarray,
        box: Sequence[float],
        landmarks: np.ndarray | None,
        name: str,
    ) -> Seen:
        if landmarks is not None:
            box = annotations.box_of(landmarks)
        wide = crops.extend_box(box, **sets.DETECTOR)
        found = opened.detect(picture, wide, spatial=True)

        def tiles() -> dict[str, np.ndarray]:
            marked = shown_pictures.with_landmarks(picture, None, found.landmarks)
            return {"landmarks of uneven faces": marked}

        def write(output: pathlib.Path, stem: str) -> list[pathlib.Path]:
            path = output / f"{stem}_points.csv"
            showing.write_points(path, found.landmarks, found.scores)
            return [path]

        return Seen(found.landmarks, tiles, write)

    return look
