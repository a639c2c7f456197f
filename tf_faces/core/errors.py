"""Errors that users see, and the exit status each one ends a program with.

A message is one sentence that names the file, record or flag, what was found and
what was expected.  Programs turn these into one line on standard error
(`tf_faces.apps.entry.run`); a traceback is shown only on request.
"""

import json


class TfFacesError(Exception):
    """A failure of the work itself (full disk, diverged training): exit status 1."""

    exit_status = 1


class InputError(TfFacesError, ValueError):
    """A wrong file, record, flag or argument: exit status 2."""

    exit_status = 2


class FormatError(InputError):
    """A file or record whose content is not what its format promises."""


class ForbiddenPickleError(FormatError):
    """A pickle that asks for a class or function outside the allow-list."""


class MissingDependencyError(TfFacesError, ImportError):
    """An optional package is absent; the message holds the command that brings it."""


class TwoValuesError(ValueError):
    """A JSON object that gives several values to one name.

    Attributes:
      name: the first such name.
    """

    def __init__(self, name: str):
        super().__init__(f"several values of {name!r}")
        self.name = name


class Terminated(TfFacesError):
    """Stopped by SIGTERM or SIGINT after a clean save: exit status 143."""

    exit_status = 143


class WorkerLost(TfFacesError):
    """Another process that trains with this one went away: exit status 75, try again.

    Attributes:
      run: the run folder that the chief goes on with; None before there is one, and in
        other processes.
    """

    exit_status = 75
    run = None


def in_words(error: Exception) -> str:
    """What is wrong with content that made `error`, without a library's own terms.

    For values that a file should hold: KeyError is an entry that is absent, an error of
    JSON a place in the text, anything else an entry of another kind.
    """
    if isinstance(error, json.JSONDecodeError):
        return f"at line {error.lineno}, column {error.colno}"
    if isinstance(error, TwoValuesError):
        return f"it gives {error.name[:40]!r} several values, expected one"
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    if isinstance(error, OverflowError):
        return "a number is too large"
    if isinstance(error, KeyError) and error.args:
        return f"it lacks {error.args[0]!r}"
    return "an entry is of another kind than expected"


def missing_dependency(
    package: str, extra: str, purpose: str
) -> MissingDependencyError:
    """Returns the error for an absent optional `package` of the extra `extra`."""
    return MissingDependencyError(
        f"{purpose} needs the package {package!r}, which is not installed: "
        f"pip install 'tf_faces[{extra}]'."
    )
