"""A single mistake in a source file, and what tells it from all others."""

import dataclasses
import difflib
import hashlib
import pathlib


@dataclasses.dataclass(frozen=True)
class Mutation:
    """Replaces one piece of one file.

    Attributes:
      path: the file, relative to the tree's root, with slashes.
      kind: the kind of mistake ("comparison", "dropped statement", ...).
      start, end: the piece, in bytes.
      replacement: what takes its place.
      line: number of the line where the piece begins, from 1.
    """

    path: str
    kind: str
    start: int
    end: int
    replacement: bytes
    line: int

    def applied(self, source: bytes) -> bytes:
        """Returns the file with the mistake."""
        return source[: self.start] + self.replacement + source[self.end :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """Returns the touched lines before and after."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        last = len(source) if last < 0 else last
        before = source[first:last]
        after = source[first : self.start] + self.replacement + source[self.end : last]
        return before.decode(), after.decode()

    def key(self, source: bytes) -> str:
        """Names the mistake: the same after changes elsewhere in the file."""
        before, after = self.lines(source)
        # Equal lines of one file are told apart by their order.
        nth = source[: self.start].decode().count(before)
        text = "\0".join([self.path, self.kind, before, after, str(nth)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def difference(self, source: bytes) -> str:
        """Returns the changed lines, `-` before and `+` after."""
        before, after = (text.splitlines() for text in self.lines(source))
        shown = difflib.unified_diff(before, after, n=0, lineterm="")
        return "\n".join(
            line for line in shown if not line.startswith(("---", "+++", "@@"))
        )


def read(root: pathlib.Path, path: str) -> bytes:
    """Returns the bytes of a file of the tree."""
    return (root / path).read_bytes()
