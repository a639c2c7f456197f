"""The run, snapshot or export that a program's options name; says which was taken."""

import pathlib

from tf_faces.apps.export import report_choice


def find(source: str, result_directory: str) -> pathlib.Path:
    """The folder of a TBGAN.

    Raises:
      InputError: if there is none, or it is another system's.
    """
    from tf_faces.pipelines import opening

    found = opening.find(source, result_directory, ["tbgan"])
    report_choice(source, found)
    return found.path


def open_pipeline(
    source: str,
    result_directory: str,
    snapshot: int | None,
    dictionary: str | None = None,
):
    """The pipeline of a TBGAN, and its folder; see `pipelines.tbgan.open_run`."""
    from tf_faces.pipelines import tbgan

    folder = find(source, result_directory)
    return tbgan.open_run(folder, snapshot=snapshot, dictionary=dictionary), folder
