"""Text files: their encodings, what they are instead, tables of numbers in them."""

import codecs
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tf_faces.core import file_kinds, files
from tf_faces.core.errors import FormatError

# The mark of UTF-16 begins that of UTF-32.
_MARKS = (
    ((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), "utf-32"),
    ((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE), "utf-16"),
)
_NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf(inity)?)",
    re.IGNORECASE | re.ASCII,
)
# Floats reach 1e308.
_MOST_DIGITS = 300
_DECIMAL_COMMA = re.compile(r"\d,\d")


def read(path: files.PathLike, expected: str, *, lenient: bool = False) -> str:
    """Reads text: UTF-8, or what its byte order mark says; the mark is cut off.

    Args:
      path: the file.
      expected: e.g. "a list of pictures".
      lenient: takes bytes that are no UTF-8 for unknown letters; for notes beside
        numbers, not for names.

    Raises:
      InputError: if there is no such file.
      FormatError: if it holds something else, in words that say what.
    """
    path = files.require_file(path, expected.partition(" ")[2])
    content = path.read_bytes()
    encoding = "utf-8-sig"
    for marks, name in _MARKS:
        if content.startswith(marks):
            encoding = name
            break
    else:
        if file_kinds.kind(content[:4096]) is not None:
            raise file_kinds.unreadable(path, expected, content=content)
    try:
        text = content.decode(encoding, errors="replace" if lenient else "strict")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path}: not text in {encoding.removesuffix('-sig').upper()} (byte "
            f"{error.start}), expected {expected}; "
            "save it as UTF-8."
        ) from error
    if "\0" in text:
        raise FormatError(f"{path}: found bytes 0, expected {expected} as text.")
    return text


def is_number(word: str) -> bool:
    """Whether a word is a number, "nan" and "inf" included."""
    return _NUMBER.fullmatch(word) is not None


def numbers(words: Iterable[str]) -> np.ndarray:
    """float64 [N] of words, without what only Python takes for numbers (1_0, digits of
    other scripts).

    Raises:
      ValueError: if a word is no number.
    """
    words = list(words)
    joined = "".join(words)
    if "_" in joined or not joined.isascii():
        raise ValueError("letters that no number has")
    return np.fromiter(map(float, words), np.float64, len(words))


def require_plain(values: Any) -> None:
    """Checks nested lists of what NumPy takes for numbers: no truth values, and no
    texts but those of `numbers`.

    Raises:
      ValueError: if there is one.
    """
    if isinstance(values, list | tuple):
        for value in values:
            require_plain(value)
    elif isinstance(values, bool):
        raise ValueError("a truth value")
    elif isinstance(values, str):
        numbers([values])


def whole_number(word: str) -> int:
    """The whole number that a word is, as `numbers` reads it.

    Raises:
      ValueError: if it is none, or has thousands of digits.
    """
    if "_" in word or not word.isascii():
        raise ValueError("letters that no number has")
    return int(word)


def natural_number(word: str) -> int | None:
    """The number that digits are; None of anything else, or of thousands of them."""
    is_number = word.isascii() and word.isdecimal() and len(word) <= _MOST_DIGITS
    return int(word) if is_number else None


def number_rows(source, rows: Sequence[Sequence[str]], expected: str) -> np.ndarray:
    """float64 [N, K] of words; [0, 0] of no rows.

    Args:
      source: for messages.
      rows: the words of each line.
      expected: e.g. "a list of points".

    Raises:
      FormatError: if a word is no number, or lines have several lengths.
    """
    for words in rows:
        for word in words:
            if not is_number(word):
                advice = ""
                if _DECIMAL_COMMA.search(word):
                    advice = "; write decimal points, and blanks between numbers"
                raise FormatError(
                    f"{source}: not {expected} (found {word[:40]!r}, expected "
                    f"numbers{advice})."
                )
    lengths = sorted({len(words) for words in rows})
    if len(lengths) > 1:
        raise FormatError(
            f"{source}: not {expected} (found lines of {lengths[0]} and of "
            f"{lengths[-1]} numbers, expected as many in each)."
        )
    if not rows:
        return np.zeros((0, 0))
    return np.array([[float(word) for word in words] for words in rows], np.float64)


def read_numbers(path: files.PathLike, expected: str) -> np.ndarray:
    """Reads a table of numbers between blanks, notes behind "#": float64 [N, K].

    Args:
      path: the file.
      expected: e.g. "a table of numbers".

    Raises:
      InputError: if there is no such file.
      FormatError: if it holds anything else, or nothing.
    """
    text = read(path, expected, lenient=True)
    rows = [line.partition("#")[0].split() for line in text.splitlines()]
    found = number_rows(path, [words for words in rows if words], expected)
    if not found.size:
        raise FormatError(f"{path}: holds no numbers, expected {expected}.")
    return found
