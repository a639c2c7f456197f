"""Run folders: `results/NNN-description/` with everything that one training run wrote.

| file               | content                                                         |
|--------------------|-----------------------------------------------------------------|
| `config.json`      | the resolved configuration                                      |
| `config.txt`       | the same, one `name = value` line each, the original's format   |
| `environment.json` | versions, machine class, command line, seed                     |
| `log.txt`          | everything printed since the program started                    |
| `stats.jsonl`      | one JSON object a tick                                          |
| `snapshots/`       | complete training states (`tf_faces.training.checkpoints`)      |

The number is one more than the largest leading integer found in the result folder
(0 in an empty one), as in `misc.create_result_subdir` of the Progressive GAN code.
One process at a time may write into a run folder: `RunFolder.lock`.
"""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import platform
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TextIO

from tf_faces import version
from tf_faces.core import files, texts
from tf_faces.core.errors import FormatError, InputError, TfFacesError

_LEADING_NUMBER = re.compile(r"^(\d+)")


class RunFolder:
    """One run folder that exists.

    Attributes:
      path: the folder, as the user named it (`results/003-...`).
    """

    def __init__(self, path: files.PathLike):
        self.path = files.require_directory(path, "run folder")

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def create(cls, result_directory: files.PathLike, description: str) -> "RunFolder":
        """Makes the next numbered folder; two processes never get the same one."""
        result_directory = pathlib.Path(result_directory)
        result_directory.mkdir(parents=True, exist_ok=True)
        with _locked_directory(result_directory):
            number = 1 + max(_numbers(result_directory), default=-1)
            path = result_directory / f"{number:03d}-{description}"
            path.mkdir()
        return cls(path)

    @classmethod
    def locate(
        cls, result_directory: files.PathLike, run: str, description: str | None = None
    ) -> "RunFolder":
        """Finds an existing run.

        Args:
          result_directory: where runs lie.
          run: a path, a number ("3" or "003"), or "newest".
          description: with "newest", only runs with this description count.

        Raises:
          InputError: if no run, or more than one, matches.
        """
        if not run:
            raise InputError(
                "found an empty name, expected a run: a folder, a number, or newest."
            )
        result_directory = pathlib.Path(result_directory)
        if run != "newest" and pathlib.Path(run).is_dir():
            return cls(run)
        found = sorted(
            path
            for path in (
                result_directory.iterdir() if result_directory.is_dir() else ()
            )
            if path.is_dir() and _LEADING_NUMBER.match(path.name)
        )
        if run == "newest":
            if description is not None:
                found = [
                    path for path in found if path.name.partition("-")[2] == description
                ]
            if not found:
                wanted = f" of {description!r}" if description else ""
                raise InputError(f"{result_directory}: found no run{wanted} to resume.")
            return cls(max(found, key=lambda path: _number_of(path.name)))
        wanted_number = texts.natural_number(run)
        if wanted_number is None:
            if pathlib.Path(run).exists():
                raise InputError(f"{run}: found a file, expected a run folder.")
            raise InputError(f"{run}: no such run folder.")
        matching = [path for path in found if _number_of(path.name) == wanted_number]
        if len(matching) != 1:
            raise InputError(
                f"{result_directory}: found {len(matching)} runs with number {run}, "
                "expected exactly one."
            )
        return cls(matching[0])

    @property
    def model(self) -> str | None:
        """The system that the run trains, as its configuration says; None without."""
        if not (self.path / "config.json").is_file():
            return None
        return self.read_config().get("model")

    @property
    def snapshots(self) -> pathlib.Path:
        """The folder of complete training states (made by the first one)."""
        return self.path / "snapshots"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for this process until the block ends.

        Raises:
          TfFacesError: if another process holds it.
        """
        with open(self.path / ".lock", "a+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                stream.seek(0)
                holder = stream.read().strip() or "unknown"
                raise TfFacesError(
                    f"{self.path}: another process (id {holder}) is writing into this "
                    "run folder; expected to be the only one."
                ) from error
            stream.truncate(0)
            stream.write(f"{os.getpid()}\n")
            stream.flush()
            # The lock ends with the file's closing, also when the process is killed.
            yield

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes config.json and config.txt."""
        files.write_json(self.path / "config.json", config)
        files.write_text(self.path / "config.txt", config_text(config))

    def read_config(self) -> dict[str, Any]:
        """Reads config.json back.

        Raises:
          InputError: if it is missing or damaged.
        """
        config = files.read_json(self.path / "config.json")
        if not isinstance(config, dict):
            raise FormatError(
                f"{self.path / 'config.json'}: found {type(config).__name__}, expected "
                "a configuration."
            )
        return config

    def write_environment(self, extra: Mapping[str, Any]) -> None:
        """Writes environment.json: versions, machine class, command line, `extra`."""
        files.write_json(
            self.path / "environment.json",
            {**describe_environment(), **extra},
        )

    def append_stats(self, record: Mapping[str, Any]) -> None:
        """Appends one JSON line to stats.jsonl."""
        line = json.dumps(record, sort_keys=True) + "\n"
        with open(self.path / "stats.jsonl", "a", encoding="utf-8") as stream:
            stream.write(line)
            stream.flush()

    def read_stats(self) -> list[dict[str, Any]]:
        """Returns the whole lines of stats.jsonl (a line cut short is left out)."""
        path = self.path / "stats.jsonl"
        records = []
        if path.exists():
            for line in path.read_text("utf-8", errors="replace").splitlines():
                with contextlib.suppress(json.JSONDecodeError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        records.append(record)
        return records

    def rewind_stats(self, images: int) -> None:
        """Drops the lines of stats.jsonl that lie after `images` images."""
        stored = self.read_stats()
        kept = [record for record in stored if record.get("images", 0) <= images]
        files.write_text(
            self.path / "stats.jsonl",
            "".join(json.dumps(record, sort_keys=True) + "\n" for record in kept),
        )


def newest_usable(
    result_directory: files.PathLike,
    models: Collection[str],
    is_usable: Callable[[str, pathlib.Path], bool],
) -> tuple[RunFolder, list[str]]:
    """Finds the newest run of certain systems that has something to use.

    Args:
      result_directory: where runs lie.
      models: the systems.
      is_usable: (system, run folder) -> whether there are weights in it.

    Returns:
      The run, and for every newer one that was passed over a sentence why.

    Raises:
      InputError: if there is none, naming the runs that cannot be used.
    """
    passed = []
    result_directory = pathlib.Path(result_directory)
    if result_directory.is_dir():
        numbered = [path for path in result_directory.iterdir() if path.is_dir()]
        numbered = [path for path in numbered if _number_of(path.name) >= 0]
        for path in sorted(numbered, key=lambda path: -_number_of(path.name)):
            run = RunFolder(path)
            if run.model not in models:
                passed.append(f"{path} is a run of {run.model or 'an unknown system'}")
            elif not is_usable(str(run.model), path):
                passed.append(f"{path} holds no weights yet")
            else:
                return run, passed
    reasons = f" ({'; '.join(passed[:5])})" if passed else ""
    raise InputError(
        f"{result_directory}: found no run of {' or '.join(models)} with weights"
        f"{reasons}; tf-faces train makes one."
    )


@contextlib.contextmanager
def _locked_directory(path: pathlib.Path) -> Iterator[None]:
    """Lets one process at a time choose a number."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _number_of(name: str) -> int:
    found = _LEADING_NUMBER.match(name)
    return int(found.group(1)) if found else -1


def _numbers(folder: pathlib.Path) -> list[int]:
    return [
        _number_of(path.name)
        for path in folder.iterdir()
        if _LEADING_NUMBER.match(path.name)
    ]


def config_text(config: Mapping[str, Any]) -> str:
    """Returns one `name = value` line for every entry, sorted by name.

    The format of the Progressive GAN code's config.txt: values as `str` prints them.
    """
    return "".join(f"{name} = {config[name]}\n" for name in sorted(config))


def describe_environment() -> dict[str, Any]:
    """Returns versions, machine class and command line as plain JSON values."""
    from importlib import metadata

    packages = ("tensorflow", "keras", "numpy", "scipy", "Pillow", "ml-collections")
    versions: dict[str, str | None] = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "tf_faces": version.__version__,
        "python": platform.python_version(),
        "packages": versions,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
        },
        "command": list(sys.argv),
    }


class OutputLog:
    """Copies standard output and standard error into a log file.

    Text printed before the file is known is kept and written first, so that log.txt
    holds everything since the program started.

        with OutputLog() as log:
            print("Initializing TensorFlow...")
            log.open(run.path / "log.txt")
    """

    def __init__(self) -> None:
        self._early: io.StringIO | None = io.StringIO()
        self._stream: TextIO | None = None
        self._saved: tuple[TextIO, TextIO] | None = None

    def __enter__(self) -> "OutputLog":
        self._saved = (sys.stdout, sys.stderr)
        sys.stdout = _Tee(sys.stdout, self)  # type: ignore[assignment]
        sys.stderr = _Tee(sys.stderr, self)  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._saved is not None
        sys.stdout, sys.stderr = self._saved
        if self._stream is not None:
            self._stream.close()

    def open(self, path: files.PathLike) -> None:
        """Starts writing to `path` (appending), beginning with what came before."""
        assert self._early is not None, "the log is open already"
        self._stream = open(path, "a", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._stream.write(self._early.getvalue())
        self._stream.flush()
        self._early = None

    def write(self, text: str) -> None:
        """Adds text to the log only."""
        if self._stream is None:
            assert self._early is not None
            self._early.write(text)
        else:
            self._stream.write(text)
            self._stream.flush()


class _Tee:
    """A text stream that also writes to the log."""

    def __init__(self, stream: TextIO, log: OutputLog):
        self._stream = stream
        self._log = log

    def write(self, text: str) -> int:
        self._stream.write(text)
        # Progress bars redraw one line with carriage returns; a log keeps lines only.
        if not text.startswith("\r"):
            self._log.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
