"""What keeps Pillow a safe and quiet decoder: the kinds it may try, silence, and names
for the files that it would only call unknown.
"""

import contextlib
import ctypes
import logging
import threading
import warnings
from typing import BinaryIO

from PIL import Image

from tf_faces.core import file_kinds
from tf_faces.core.errors import FormatError

# What Pillow may try: the kinds in which photographs and textures come.  TGA has no
# signature and is tried last.
READ_KINDS = (
    "PNG",
    "JPEG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "PPM",
    "JPEG2000",
    "AVIF",
    "ICO",
    "PSD",
    "QOI",
    "DDS",
    "PCX",
    "SGI",
    "TGA",
)


def opened(stream: BinaryIO) -> Image.Image:
    """Opens a picture of a kind of READ_KINDS; its pixels are not decoded yet."""
    Image.init()
    return Image.open(
        stream, formats=[kind for kind in READ_KINDS if kind in Image.OPEN]
    )


# --- files that are no pictures ------------------------------------------------------

# Of pictures and documents, which `file_kinds` knows as well.
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"%PDF", b"<", b"\0\0\0\0")


def refuse_other_files(stream: BinaryIO, name: str) -> None:
    """Says what a file is that Pillow would only call unknown."""
    stream.seek(0)
    head = stream.read(1024)
    stream.seek(0)
    if not head:
        raise FormatError(f"{name}: not a readable picture: the file is empty.")
    if head.startswith(b"version https://git-lfs"):
        raise FormatError(
            f"{name}: not a readable picture: found a Git LFS pointer in its place; "
            "fetch the picture with 'git lfs pull'."
        )
    general = None if head.startswith(_SIGNATURES) else file_kinds.kind(head)
    if general is not None:
        what, advice = general
        raise FormatError(f"{name}: not a readable picture: found {what}; {advice}.")
    found = _other_kind(head)
    if found is not None:
        raise FormatError(
            f"{name}: not a readable picture: found {found}, which is not decoded "
            "here; save it as PNG or JPEG first."
        )


def _other_kind(head: bytes) -> str | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<") and b"<svg" in text:
        return "an SVG drawing"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if head.startswith(b"%PDF"):
        return "a PDF document"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "a PostScript drawing"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "a JPEG XL picture"
    if head.startswith(b"\x76\x2f\x31\x01"):
        return "an OpenEXR picture"
    if head[12:16] == b"CgBI":
        return "a PNG in the form of iPhone programs"
    if head.startswith(b"\xabKTX "):
        return "a compressed texture (KTX)"
    if head.startswith((b"gimp xcf", b"II\xbc\x01")):
        return "a GIMP or JPEG XR picture"
    if head.startswith((b"#?RADIANCE", b"#?RGBE")):
        return "a Radiance picture"
    if head[4:8] != b"ftyp":
        return None
    brands = head[8 : max(int.from_bytes(head[:4], "big"), 12)]
    if b"avif" in brands or b"avis" in brands:
        Image.init()
        return None if "AVIF" in Image.OPEN else "an AVIF picture"
    if any(brand in brands for brand in (b"hei", b"hevc", b"hevx", b"mif1", b"msf1")):
        return "a HEIC photo"
    return "a camera's raw file" if brands.startswith(b"crx") else "a video"


# --- silence -------------------------------------------------------------------------


class _Quiet(threading.local):
    """Keeps Pillow's warnings off the terminal while this thread reads a picture.

    `warnings.catch_warnings` would change what all threads see, and in overlapping
    threads restore the wrong state; this is one lasting filter instead, which asks the
    thread.  What matters is reported by `read`; the rest concerns notes in the file.
    """

    active = False

    def __enter__(self) -> None:
        with _lock:
            if warnings.filters[:1] != [_WARNING_FILTER]:  # Others have come before.
                while _WARNING_FILTER in warnings.filters:
                    warnings.filters.remove(_WARNING_FILTER)
                warnings.filters.insert(0, _WARNING_FILTER)
        self.active = True

    def __exit__(self, *_: object) -> None:
        self.active = False

    def match(self, module: str) -> bool:
        """Stands for the pattern of modules in a filter of `warnings`."""
        return self.active and module.startswith("PIL.")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a log record passes."""
        return not self.active


_lock = threading.Lock()
quiet = _Quiet()
_WARNING_FILTER = ("ignore", None, Warning, quiet, 0)
logging.getLogger("PIL.TiffImagePlugin").addFilter(quiet)


def _silence_libtiff() -> None:
    """Stops the C library from printing; Pillow raises what went wrong."""
    with contextlib.suppress(OSError, AttributeError):  # Linked in another way.
        library = ctypes.CDLL(Image.core.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


_silence_libtiff()
