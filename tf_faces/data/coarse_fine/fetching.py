"""Fetches files from addresses of the user's own choosing, resumably.

Nothing is known here of any server; a manifest says what comes from where:

    https://.../face.jpg  Subject/00000001.jpg  [SHA-256]

one file a line, its hash if it is known.  What is there already is not fetched again;
a part that was fetched before an interruption is gone on with.
"""

import contextlib
import dataclasses
import hashlib
import http.client
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request

from tf_faces.core import files, folders
from tf_faces.core.errors import FormatError, InputError

_PIECE = 1 << 16
_HASH = re.compile(r"[0-9a-f]{64}")
_PART = ".part"
# UnicodeError: hosts that are no names.
_FETCH_ERRORS = (
    *(urllib.error.URLError, http.client.HTTPException, OSError, UnicodeError),
)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file: address, path below the folder, SHA-256 or None."""

    url: str
    path: str
    sha256: str | None = None


@dataclasses.dataclass
class Outcome:
    """What became of a manifest: fetched, there already, {path: why not}."""

    fetched: int = 0
    present: int = 0
    failed: dict[str, str] = dataclasses.field(default_factory=dict)


def parse_manifest(text: str, source: str) -> list[Entry]:
    """Reads a manifest.

    Raises:
      FormatError: naming the line that is wrong, or contradicts an earlier one.
    """
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or line.lstrip().startswith("#"):
            continue
        if len(words) not in (2, 3):
            raise FormatError(
                f"{source}: line {number} has {len(words)} words, expected address, "
                "path and perhaps a SHA-256."
            )
        url, path = words[:2]
        if not _is_address(url):
            raise FormatError(
                f"{source}: line {number} has the address {url[:80]!r}, expected one "
                "of http or https, other letters than those of ASCII as %XX."
            )
        pure = pathlib.PurePosixPath(folders.one_form(path))
        is_outside = pure.is_absolute() or ".." in pure.parts or "\\" in path
        # "." is the folder itself.
        if is_outside or not pure.name or path.endswith("/"):
            raise FormatError(
                f"{source}: line {number} has the path {path!r}, expected one below "
                "the output folder."
            )
        expected = words[2].lower() if len(words) == 3 else None
        if expected is not None and not _HASH.fullmatch(expected):
            raise FormatError(
                f"{source}: line {number} has the hash {words[2][:80]!r}, expected 64 "
                "hexadecimal digits."
            )
        path = pure.as_posix()
        entry = Entry(url, path, expected)
        if entries.setdefault(path, entry) != entry:
            raise FormatError(
                f"{source}: line {number} has the path {path!r} again with another "
                "address or hash, expected each path once."
            )
    for path in entries:
        for above in pathlib.PurePosixPath(path).parents:
            if above.as_posix() in entries:
                raise FormatError(
                    f"{source}: has {above} as a file, and as the folder of {path!r}, "
                    "expected one of them."
                )
    if not entries:
        raise InputError(f"{source}: names no file, expected a line a file.")
    return list(entries.values())


def _is_address(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:  # Brackets that are not closed, ports that are no number.
        return False
    return url.isascii() and parts.scheme in ("http", "https") and bool(parts.hostname)


def fetch_all(
    entries: list[Entry],
    folder: files.PathLike,
    *,
    maximum_bytes: int = 50 << 20,
    timeout: float = 10.0,
) -> Outcome:
    """Fetches what is not there yet; failures are told, not raised.

    Args:
      entries: of the manifest.
      folder: where the files go.
      maximum_bytes: of one file; larger ones are refused.
      timeout: seconds without any data.
    """
    outcome = Outcome()
    for entry in entries:
        target = pathlib.Path(folder) / entry.path
        try:
            if target.is_file():
                if entry.sha256 is None or files.sha256(target) == entry.sha256:
                    outcome.present += 1
                    continue
                raise InputError(
                    "the file there has another SHA-256 than the manifest says"
                )
            fetch(entry, target, maximum_bytes=maximum_bytes, timeout=timeout)
            outcome.fetched += 1
        except (FormatError, InputError) as error:
            outcome.failed[entry.path] = str(error)
        except _FETCH_ERRORS as error:
            outcome.failed[entry.path] = f"{entry.url}: {error}"
    return outcome


def fetch(
    entry: Entry,
    target: pathlib.Path,
    *,
    maximum_bytes: int,
    timeout: float,
) -> None:
    """Fetches one file, going on with a part that is there.

    Raises:
      InputError: if it is larger than allowed.
      FormatError: if its hash is another one; the part is removed then.
      OSError: of the connection; the part stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + _PART)
    begun = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(entry.url)
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not begun:
            raise
        # Nothing follows what is there: it is whole, or of another file.
        error.close()
    else:
        with contextlib.closing(response):
            _receive(response, part, begun, entry, maximum_bytes)
    _finish(part, target, entry)


def _receive(response, part, begun, entry, maximum_bytes) -> None:
    # A server that does not know ranges sends everything again.
    resumed = begun and response.status == 206
    size = begun if resumed else 0
    announced = response.headers.get("Content-Length")
    if announced is not None and announced.isdecimal():
        _check_size(size + int(announced), entry, maximum_bytes)
    expected = size + int(announced) if (announced or "").isdecimal() else None
    with open(part, "ab" if resumed else "wb") as stream:
        while piece := response.read(_PIECE):
            size += len(piece)
            _check_size(size, entry, maximum_bytes)
            stream.write(piece)
    if expected is not None and size < expected:
        raise OSError(f"the connection ended after {size} of {expected} bytes")


def _check_size(size: int, entry: Entry, maximum_bytes: int) -> None:
    if size > maximum_bytes:
        raise InputError(
            f"{entry.url}: has {size} bytes or more, expected at most {maximum_bytes}."
        )


def _finish(part: pathlib.Path, target: pathlib.Path, entry: Entry) -> None:
    if entry.sha256 is not None:
        found = hashlib.sha256(part.read_bytes()).hexdigest()
        if found != entry.sha256:
            part.unlink()
            raise FormatError(
                f"{entry.url}: has the SHA-256 {found}, expected {entry.sha256}."
            )
    part.replace(target)
