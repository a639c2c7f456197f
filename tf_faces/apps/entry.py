"""How every program of the package starts and ends.

A program is a function of its arguments that returns an exit status (None means 0).
`run` calls it and turns what goes wrong into one sentence on standard error:

| what happened                                        | exit status |
|------------------------------------------------------|-------------|
| it worked                                            | 0           |
| a failure of the work (full disk, diverged training) | 1           |
| wrong input, file or flag                            | 2           |
| another process of the training went away            | 75          |
| stopped by Ctrl-C without a clean save               | 130         |
| stopped by SIGTERM or Ctrl-C after a clean save      | 143         |

Tracebacks are shown when the environment variable TF_FACES_TRACEBACK is set to 1.

The three lines of a tool:

    from tf_faces.apps import export
    if __name__ == "__main__":
        raise SystemExit(export.main())

with, in `tf_faces.apps.export`,

    def main(arguments: Sequence[str] | None = None) -> int:
        return entry.run(_main, arguments)
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from tf_faces.core import tensorflow_start
from tf_faces.core.errors import TfFacesError

Program = Callable[[list[str]], int | None]

INTERRUPTED = 130

# What is wrong with a name or a place that was given.
_WRONG_PLACES = {
    errno.EEXIST: "is there already, expected a free name",
    errno.ENOTDIR: "found a file in the place of a folder",
    errno.EISDIR: "found a folder, expected a file",
    errno.ENAMETOOLONG: "found a name that is too long for a file",
    errno.ELOOP: "found a link that leads to itself",
    errno.ENOENT: "no such file or folder, and none can be made there",
    errno.EACCES: "found no permission, expected a place that may be used",
    errno.EPERM: "found no permission, expected a place that may be used",
    errno.EROFS: "found a disk that is read only, expected another place",
}


def run(program: Program, arguments: Sequence[str] | None = None) -> int:
    """Calls `program` and returns its exit status; never raises an `Exception`.

    Args:
      program: takes the list of arguments (without the program's name).
      arguments: None takes those of the process.

    Returns:
      The exit status of the table above.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    tensorflow_start.prepare()
    try:
        return program(arguments) or 0
    except SystemExit as stop:  # argparse ends --help this way.
        if isinstance(stop.code, str):
            return _report(stop.code, 1)
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _report("Interrupted.", INTERRUPTED)
    except TfFacesError as error:
        return _report(str(error), error.exit_status)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nobody is left to tell.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 1
    except OSError as error:
        return _report(*_describe_os_error(error))
    except MemoryError:
        return _report("Out of memory.", 1)
    except Exception as error:  # A mistake of ours: still one sentence.
        return _report(
            f"Unexpected {type(error).__name__}: {error} "
            "(TF_FACES_TRACEBACK=1 shows where).",
            1,
        )


def _describe_os_error(error: OSError) -> tuple[str, int]:
    """Sentence and exit status: places that cannot be used are wrong input."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"{where}no space left on the disk; nothing half-written was kept.", 1
    if where and error.errno in _WRONG_PLACES:
        return f"{where}{_WRONG_PLACES[error.errno]}.", 2
    return f"{where}{error.strerror or error}.", 1


def _report(message: str, status: int) -> int:
    if os.environ.get("TF_FACES_TRACEBACK") == "1":
        traceback.print_exc()
    print("Error: " + " ".join(message.split()), file=sys.stderr, flush=True)
    return status
