"""Opens what training or export left behind, whichever system it belongs to.

Every system with a pipeline has in `tf_faces.pipelines.<stem>`

- `recognises(folder)`: whether a folder holds weights of it, a run's or others;
- `open_run(folder, **options)`: the pipeline of a run folder or such a folder.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from tf_faces.core import files, runs, stems
from tf_faces.core.errors import InputError
from tf_faces.pipelines import shipped


@dataclasses.dataclass(frozen=True)
class Source:
    """A folder that a pipeline can be made of.

    Attributes:
      path: the folder.
      stem: its system.
      passed_over: with "newest", why newer runs were not taken, a sentence each.
    """

    path: pathlib.Path
    stem: str
    passed_over: tuple[str, ...] = ()


def find(
    source: files.PathLike = "newest",
    result_directory: files.PathLike = "results",
    models: Sequence[str] | None = None,
) -> Source:
    """Finds a run or weights, and says whose they are.

    Args:
      source: a folder, the number of a run, "newest" for the newest run that has
        weights, or "open" for the weights that come with the package.
      result_directory: where runs lie.
      models: systems that may be found; None takes all that have a pipeline.

    Raises:
      InputError: if nothing is there, or it is another system's.
    """
    known = stems.with_stage("pipelines")
    models = known if models is None else tuple(models)
    if str(source) == "newest":
        run, passed = runs.newest_usable(result_directory, models, _recognises)
        return Source(run.path, str(run.model), tuple(passed))
    if str(source) == shipped.OPEN:
        usable = [stem for stem in models if "" in shipped.kinds(stem)]
        if len(usable) != 1:
            raise InputError(
                f"{shipped.OPEN}: found weights of "
                f"{' and '.join(usable) or 'no system'} in the package, expected those "
                "of one; name a run or a folder."
            )
        return Source(shipped.folder(usable[0]), usable[0])
    path = runs.RunFolder.locate(result_directory, str(source)).path
    stem = runs.RunFolder(path).model
    if stem is None:
        stem = next((stem for stem in known if _recognises(stem, path)), None)
    if stem is None:
        raise InputError(
            f"{path}: found neither config.json nor weights of a known system, "
            f"expected a run or weights of {' or '.join(models)}."
        )
    if stem not in models:
        raise InputError(
            f"{path}: found a run of {stem!r}, expected one of {', '.join(models)}."
        )
    return Source(path, stem)


def _recognises(stem: str, folder: pathlib.Path) -> bool:
    return stems.stage("pipelines", stem).recognises(folder)


def open_run(
    source: files.PathLike = "newest",
    *,
    result_directory: files.PathLike = "results",
    **options: Any,
) -> Any:
    """Opens the pipeline of a run, of weights or of an export.

    Args:
      source: see `find`.
      result_directory: where runs lie.
      **options: of the system's own `open_run`, such as `snapshot` or `epoch`.

    Returns:
      `pipelines.tbgan.TbganPipeline`, `pipelines.face_manifold.FaceManifold`, ...

    Raises:
      InputError: if there is nothing to open, or an option is not the system's.
    """
    found = find(source, result_directory)
    return stems.stage("pipelines", found.stem).open_run(found.path, **options)
