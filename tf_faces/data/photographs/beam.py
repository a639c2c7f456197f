"""The making of record sets as an Apache Beam pipeline, for sets of many machines.

The files equal those of `records.write_records`, byte by byte.  Needs the extra `beam`
(apache-beam); the workers need this package and a folder that all of them reach.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tf_faces.core import errors, files
from tf_faces.data.photographs import records, sets
from tf_faces.data.photographs.settings import Settings


def write_shard(shard: int, directory: str, described: Mapping[str, Any]) -> int:
    """Writes one shard, unless it is there; returns how many photographs."""
    path = pathlib.Path(directory) / records.shard_name(shard, described["shards"])
    if path.is_file():
        return 0
    with records.writing(pathlib.Path(directory), described) as write:
        return write(shard)


def write_records(
    directory: files.PathLike,
    settings: Settings,
    count: int,
    names: Sequence[str],
    *,
    seed: int = 0,
    shards: int | None = None,
    resolution: int = 256,
    options: Sequence[str] = (),
) -> None:
    """Writes a set by Beam, a shard a task.

    Args:
      directory, settings, count, names, seed, shards, resolution: see
        `records.write_records`.
      options: of the Beam pipeline, e.g. ("--direct_running_mode=multi_processing",
        "--direct_num_workers=2").

    Raises:
      MissingDependencyError: without apache-beam.
      InputError: if another set is there, or for a bad argument.
    """
    try:
        import apache_beam as beam
        from apache_beam.options import pipeline_options
    except ImportError as error:
        raise errors.missing_dependency(
            "apache-beam", "beam", "Making photographs by a Beam pipeline"
        ) from error
    sets.require_count(count, None)
    described = records.describe(
        settings, count, names, seed=seed, shards=shards, resolution=resolution
    )
    directory = sets.prepare(directory, described, ())
    with beam.Pipeline(
        options=pipeline_options.PipelineOptions(list(options))
    ) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create(range(described["shards"]))
            | "Spread" >> beam.Reshuffle()
            | "Draw" >> beam.Map(write_shard, str(directory), described)
        )
    records.write_manifest(directory, described["shards"])
