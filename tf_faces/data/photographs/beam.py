"""The making of record sets as an Apache Beam pipeline, for sets of many machines.

The files equal those of `records.write_records`, byte by byte.  Needs the extra `beam`
(apache-beam); the workers need this package and a folder that all of them reach.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tf_faces.core import files
from tf_faces.data import beam_pipelines
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
      InputError: if another set is there, for a bad argument or option of Beam.
    """
    pipeline = beam_pipelines.Pipeline(options, "Making photographs by a Beam pipeline")
    sets.require_count(count, None)
    described = records.describe(
        settings, count, names, seed=seed, shards=shards, resolution=resolution
    )
    directory = sets.prepare(directory, described, ())
    shards = range(described["shards"])
    pipeline.run(write_shard, (str(directory), described), shards, directory)
    records.write_manifest(directory, described["shards"])
