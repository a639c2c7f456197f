"""Pictures of generated faces as meshes: every expression of one identity; turning."""

from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable import expressions
from tf_faces.pipelines.tbgan.sampler import TbganPipeline
from tf_faces.viz import pictures, previews


def require_meshes(pipeline: TbganPipeline) -> None:
    """Checks that faces of a pipeline can be drawn as meshes.

    Raises:
      InputError: if the network makes no shape maps, or their chart is not known.
    """
    if pipeline.channels < 6:
        raise InputError(
            f"{pipeline.source}: found maps of {pipeline.channels} channels, expected "
            "texture and shape, at least 6."
        )
    if pipeline.dictionary is None:
        raise InputError(
            f"{pipeline.source}: has no UV dictionary, expected --uv_dictionary."
        )


def expression_names(pipeline: TbganPipeline) -> tuple[str, ...]:
    """What the expression labels are called, in their order.

    Raises:
      InputError: if the network has no labels.
    """
    if not pipeline.label_size:
        raise InputError(
            f"{pipeline.source}: found a network without expression labels, expected "
            "one that was trained with them."
        )
    if pipeline.label_size == len(expressions.BASIC_EXPRESSIONS):
        return expressions.BASIC_EXPRESSIONS
    return tuple(f"expression {number}" for number in range(pipeline.label_size))


def expression_meshes(
    pipeline: TbganPipeline,
    latents: np.ndarray,
    weight: float = 1.0,
    minibatch: int = 8,
    **mesh_options,
) -> Iterator[list[Mesh]]:
    """Yields one identity after the other, each under every expression.

    Args:
      pipeline: the generator, with shape maps, chart and labels.
      latents: [N, Z], one row an identity.
      weight: factor of the labels as fed.
      minibatch: faces made at once.
      **mesh_options: of `TbganPipeline.mesh`.

    Yields:
      L meshes, in the order of `expression_names`.
    """
    require_meshes(pipeline)
    count = len(expression_names(pipeline))
    fed = pipeline.labels_for(np.eye(count, dtype=np.float32), weight)
    faces = pipeline.faces(
        np.repeat(latents, count, axis=0),
        np.tile(fed, (len(latents), 1)),
        minibatch=minibatch,
        **mesh_options,
    )
    row: list[Mesh] = []
    for face in faces:
        row.append(face.mesh)
        if len(row) == count:
            yield row
            row = []


def expression_row(meshes: Sequence[Mesh], **options) -> list[np.ndarray]:
    """Pictures of one identity, all at one scale: uint8 [size, size, 3] each.

    Args:
      meshes: the identity under every expression.
      **options: of `previews.render`.
    """
    frame = previews.Frame.around(*meshes)
    return [previews.render(mesh, frame=frame, **options) for mesh in meshes]


def turning(
    meshes: Sequence[Mesh], frames: int, swing: float | None = None, **options
) -> Iterator[np.ndarray]:
    """Yields the frames of faces that turn, side by side at one scale.

    Args:
      meshes: the faces.
      frames: of one turn.
      swing: degrees to each side; None turns all the way round.
      **options: of `previews.turntable`.
    """
    frame = previews.Frame.around(*meshes)
    views = [
        previews.turntable(mesh, frames, swing=swing, frame=frame, **options)
        for mesh in meshes
    ]
    for shown in zip(*views, strict=True):
        yield pictures.contact_sheet(shown, columns=len(shown), gap=0)
