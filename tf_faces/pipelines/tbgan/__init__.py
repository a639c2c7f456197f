"""Latents in, coupled maps and meshes out."""

from tf_faces.pipelines.tbgan.sampler import (
    TbganPipeline,
    card_fields,
    open_pipeline,
    open_run,
)
from tf_faces.pipelines.tbgan.sources import recognises

__all__ = [
    "TbganPipeline",
    "card_fields",
    "open_pipeline",
    "open_run",
    "recognises",
]
