"""Wavefront .mtl: which picture a material shows, and how it is laid on."""

import dataclasses
import pathlib
import re

from tf_faces.core import texts
from tf_faces.core.errors import FormatError
from tf_faces.geometry.mesh_files import neighbours

MAXIMUM_BYTES = 16 << 20
# Names and their options that are longer are cut.
MAXIMUM_LINE_BYTES = 4096

# Number of arguments of the options that may stand before the name of a picture.
_ARGUMENTS = {
    b"-blendu": 1,
    b"-blendv": 1,
    b"-bm": 1,
    b"-boost": 1,
    b"-cc": 1,
    b"-clamp": 1,
    b"-imfchan": 1,
    b"-mm": 2,
    b"-texres": 1,
    b"-type": 1,
}
# These take one to three numbers.
_VECTORS = (b"-o", b"-s", b"-t")
_WORD = re.compile(rb"\S+")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of a material.

    Attributes:
      path: the file, in the folder of the mesh.
      scale, offset: u and v of the picture are u * scale[0] + offset[0], v * scale[1] +
        offset[1].
    """

    path: pathlib.Path
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


def text_lines(path: pathlib.Path, content: bytes) -> list[bytes]:
    """The lines of an .obj or .mtl file, ended by LF, CR or both, leading blanks gone.

    Raises:
      FormatError: for UTF-16 or UTF-32, and bytes that are no text.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FormatError(
            f"{path}: found text in UTF-16 or UTF-32, expected UTF-8 or plain ASCII."
        )
    if b"\0" in content:
        raise FormatError(
            f"{path}: found zero bytes (UTF-16 or no text at all), expected text in "
            "UTF-8 or plain ASCII."
        )
    # Files that were put together have byte order marks inside as well.
    content = content.replace(b"\xef\xbb\xbf", b"")
    return [line.lstrip() for line in content.splitlines()]


def without_comment(name: bytes) -> list[bytes]:
    """What a name may be: all of it, or what stands before a "#" behind a blank."""
    found = re.search(rb"\s#", name)
    return [name] if found is None else [name, name[: found.start()]]


def read_library(path: pathlib.Path) -> dict[bytes, bytes | None]:
    """Reads what stands behind `map_Kd` in each material; None where it does not.

    What stands before the first `newmtl` belongs to a material without a name.

    Raises:
      FormatError: if it is no text, or larger than any list of materials.
    """
    size = path.stat().st_size
    if size > MAXIMUM_BYTES:
        raise FormatError(f"{path}: {size} bytes, expected at most {MAXIMUM_BYTES}.")
    found: dict[bytes, bytes | None] = {}
    current = b""
    for line in text_lines(path, path.read_bytes()):
        word, value = [*line.split(maxsplit=1), b"", b""][:2]
        value = value.strip()
        if word.lower() == b"newmtl":
            current = value
            found.setdefault(current, None)
        elif word.lower() == b"map_kd" and value:
            if found.get(current) not in (None, value):
                shown = current.decode("utf-8", "replace")
                told = f"gives the material {shown!r} several pictures; the last counts"
                neighbours.warn(path, f"{told}.")
            found[current] = value
    return found


def find_picture(
    path: pathlib.Path, value: bytes, missing: list[str]
) -> Picture | None:
    """The picture of a map_Kd statement, or None if there is no such file.

    Args:
      path: the mesh file, beside which the picture is looked for.
      value: what stands behind map_Kd.
      missing: the name is added if there is no such file.
    """
    value = value[:MAXIMUM_LINE_BYTES]
    picture = neighbours.find(path, without_comment(value))
    if picture is not None:
        return Picture(picture)
    options, name = _split_options(value)
    names = without_comment(name)
    if name.startswith(b"-"):
        # An option that is not known, with as many arguments as it may have.
        for word in list(_WORD.finditer(name))[1:]:
            names += without_comment(name[word.start() :])
    picture = neighbours.find(path, names)
    if picture is None:
        missing.append(names[0].decode("utf-8", "replace"))
        return None
    if options.get(b"-mm", [0.0, 1.0]) != [0.0, 1.0]:
        neighbours.warn(path, "the option -mm of map_Kd is left aside.")
    return Picture(
        picture,
        _pair(options.get(b"-s", []), 1.0),
        _pair(options.get(b"-o", []), 0.0),
    )


def _pair(numbers: list[float], default: float) -> tuple[float, float]:
    first, second, *_ = [*numbers, default, default][:2]
    return first, second


def _split_options(value: bytes) -> tuple[dict[bytes, list[float]], bytes]:
    """Options with their numbers, and the name behind them, inner blanks kept."""
    options: dict[bytes, list[float]] = {}
    words = list(_WORD.finditer(value))
    position = 0
    while position < len(words) - 1:
        word = words[position].group().lower()
        if word in _VECTORS:
            end = position + 1
            # The last word is the name, whatever it looks like.
            while end < min(position + 4, len(words) - 1) and _is_number(words[end]):
                end += 1
        elif word in _ARGUMENTS:
            end = min(position + 1 + _ARGUMENTS[word], len(words) - 1)
        else:
            break
        options[word] = [
            float(argument.group())
            for argument in words[position + 1 : end]
            if _is_number(argument)
        ]
        position = end
    return options, value[words[position].start() :]


def _is_number(word: re.Match) -> bool:
    try:
        return abs(texts.numbers([word.group().decode("latin-1")])[0]) < 1e30
    except ValueError:
        return False
