"""Work in pieces as an Apache Beam pipeline, for sets that take a cluster to make.

Needs the extra `beam` (apache-beam, best in an environment of its own).  Beam's workers
need this package and a folder that all of them reach under one name: work writes its
results there, and nothing large travels through the pipeline.
"""

import contextlib
import io
import pathlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tf_faces.core import errors, files
from tf_faces.core.errors import InputError, TfFacesError

# Called as `work(piece, *arguments)`, perhaps again after a failure, perhaps by two
# workers at once: what it writes is whole or not there.
Work = Callable[..., object]


def attempt(
    numbered: tuple[int, Any], work: Work, arguments: tuple[Any, ...], complaints: str
) -> None:
    """Does one piece of work on a worker.

    What is wrong with the input is written down: raised, it would be tried again, and
    come back as a traceback.  Pieces that come after it are left undone.

    Args:
      numbered: number of the piece, and the piece.
      work, arguments: see `Pipeline.run`.
      complaints: folder of what was wrong.
    """
    number, piece = numbered
    place = pathlib.Path(complaints)
    if next(place.glob("*.json"), None) is not None:
        return
    try:
        work(piece, *arguments)
    except TfFacesError as error:
        found = {"message": str(error), "exit_status": error.exit_status}
        files.write_json(place / f"{number}.json", found)


def raise_first(complaints: pathlib.Path) -> None:
    """Raises what `attempt` wrote down, of several the piece of the lowest number."""
    found = sorted(complaints.glob("*.json"), key=lambda path: int(path.stem))
    if found:
        first = files.read_json(found[0])
        wrong_input = first["exit_status"] == InputError.exit_status
        raise (InputError if wrong_input else TfFacesError)(first["message"])


class Pipeline:
    """A pipeline that was not run yet.

    Args:
      options: of Beam, e.g. ("--direct_running_mode=multi_processing",
        "--direct_num_workers=2").
      purpose: what needs Beam, for the message without it.

    Raises:
      MissingDependencyError: without apache-beam.
      InputError: for an option that Beam refuses.
    """

    def __init__(self, options: Sequence[str], purpose: str):
        try:
            import apache_beam as beam
            from apache_beam.options import pipeline_options
        except ImportError as error:
            raise errors.missing_dependency("apache-beam", "beam", purpose) from error
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told):
                chosen = pipeline_options.PipelineOptions(list(options))
                chosen.get_all_options()  # Else each is read when it is needed.
                self._pipeline = beam.Pipeline(options=chosen)
        except ValueError as error:
            raise InputError(f"--beam_options: {error}") from error
        except SystemExit as stop:  # Of argparse; its last line says what is wrong.
            reason = told.getvalue().strip().rpartition("error: ")[2]
            raise InputError(f"--beam_options: {reason}.") from stop

    def run(
        self,
        work: Work,
        arguments: tuple[Any, ...],
        pieces: Iterable[Any],
        directory: pathlib.Path,
    ) -> None:
        """Does all pieces of some work, each on any worker.

        Args:
          work: a function of a module, called as `work(piece, *arguments)`.
          arguments: picklable.
          pieces: likewise; numbers, names of files, ...
          directory: place of the results; a hidden folder beside it holds what went
            wrong, as long as the pipeline runs.

        Raises:
          InputError, TfFacesError: what `work` raised of these kinds.
        """
        import apache_beam as beam

        complaints = files.temporary_name(directory)
        complaints.mkdir(parents=True)
        try:
            with self._pipeline as pipeline:
                _ = (
                    pipeline
                    | "Pieces" >> beam.Create(list(enumerate(pieces)))
                    | "Spread" >> beam.Reshuffle()
                    | "Work" >> beam.Map(attempt, work, arguments, str(complaints))
                )
            raise_first(complaints)
        finally:
            shutil.rmtree(complaints, ignore_errors=True)
