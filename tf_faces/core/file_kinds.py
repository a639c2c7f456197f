"""What a file that cannot be read is instead, in words that say what to do.

Downloads fail in few ways: a log-in page is saved under the name of the data, Git LFS
leaves a pointer, a transfer in text mode changes the line ends, a copy is cut short.
The first bytes tell most of them.
"""

import codecs
import pathlib
import re

from tf_faces.core.errors import FormatError

_AGAIN = "download or copy it again"
# Looked at: first and last bytes of a file.
_HEAD = 4096
_TAIL = 1 << 16
_END_OF_ZIP = b"PK\x05\x06"
_SUFFIX = re.compile(r"the suffix (\.\w+)")

# (pattern of the first bytes, what it is, what to do).
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (
        rb"version https://git-lfs\.github\.com/spec/",
        "a Git LFS pointer in place of the file",
        "run `git lfs pull` in its repository",
    ),
    (
        rb"[./\w]*/annex/objects/",
        "a git-annex pointer in place of the file",
        "run `git annex get` in its repository",
    ),
    (
        rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?<(!doctype\s+html|html|head|body|!--|error)",
        "a web page or a server's answer in place of the file",
        "download it again, in a browser that is logged in where the site asks for it",
    ),
    (
        rb"(\xef\xbb\xbf)?\s*<(\?xml|annotations?\b|dataset\b)",
        "an XML document",
        "export it in another form, or download it again if a server put it there",
    ),
    (
        rb"(?s)MATLAB 7\.3|.{124}(\x00\x02IM|\x02\x00MI)",
        "a version 7.3 MATLAB file",
        "save it again in MATLAB with the option '-v7', or rewrite it with h5py",
    ),
    (
        # A program may keep bytes of its own before.
        rb"(?s)(.{512}|.{1024}|.{2048})?\x89HDF\r\n\x1a\n",
        "an HDF5 file",
        "give it the suffix .h5 if it is a Basel Face Model of 2017 or later",
    ),
    (rb"\x00{64}", "nothing but zeros at its begin", _AGAIN),
    (rb"\x1f\x8b", "gzip-compressed data", "unpack it first (gunzip)"),
    (rb"BZh[1-9]", "bzip2-compressed data", "unpack it first (bunzip2)"),
    (rb"\xfd7zXZ\x00", "xz-compressed data", "unpack it first (unxz)"),
    (
        rb"(?s)\x5d\x00\x00..(\xff{8}|.{4}\x00{4})",
        "lzma-compressed data",
        "unpack it first (unlzma)",
    ),
    (rb"\x28\xb5\x2f\xfd", "zstd-compressed data", "unpack it first (unzstd)"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (rb"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
    (rb"(?s).{257}ustar", "a tar archive", "unpack it first (tar -xf)"),
    (
        rb"PK\x03\x04|PK\x05\x06",
        "a ZIP archive (such as .npz, or a packed folder)",
        "unpack it, or give it the suffix .npz if it is one",
    ),
    (rb"MATLAB [45]\.0", "a MATLAB file", "give it the suffix .mat"),
    (rb"\x93NUMPY", "a single NumPy array", "give it the suffix .npy"),
    (rb"\x80[\x02-\x05]", "a pickle", "give it the suffix .pkl"),
    (rb"%PDF|\x89PNG|\xff\xd8\xff|GIF8", "a document or picture", _AGAIN),
)


def kind(head: bytes) -> tuple[str, str] | None:
    """What the first bytes of a file say it is, and what to do; None if nothing."""
    for pattern, what, advice in _KINDS:
        if re.match(pattern, head, re.IGNORECASE):
            return what, advice
    return None


def lost_binary_mode(content: bytes) -> bool:
    """Whether all line feeds follow a carriage return, as after a transfer as text."""
    count = content.count(b"\n")
    return count > 1 and content.count(b"\r\n") == count


def _became_text(head: bytes) -> bool:
    """Whether binary data was decoded and saved as UTF-8 text.

    Programs put U+FFFD for bytes that are no text, or two bytes for one; of binary data
    itself hardly any is UTF-8.
    """
    if head.count("\N{REPLACEMENT CHARACTER}".encode()) > 2:
        return True
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    beyond = sum(letter > "\x7f" for letter in text)
    return beyond > 2 and any(letter < "\x09" for letter in text)


def unreadable(
    source,
    expected: str,
    reason: str = "",
    *,
    own: tuple[str, ...] = (),
    content: bytes | None = None,
) -> FormatError:
    """The error for a file that is not what it should be.

    Args:
      source: path of the file, or what else to call it if `content` is given.
      expected: e.g. "a MATLAB file".
      reason: what the reader found wrong, in words; told where the bytes themselves
        say nothing better.
      own: beginnings of the descriptions in `_KINDS` that are no surprise here, such
        as "a ZIP archive" for .npz.
      content: the bytes; read from the file when None.
    """
    if content is None:
        content = _ends(pathlib.Path(source))
    if not content:
        return FormatError(f"{source}: an empty file, expected {expected}; {_AGAIN}.")
    found = kind(content[:_HEAD])
    if found is not None and not (own and found[0].startswith(own)):
        what, advice = found
        suffix = _SUFFIX.search(advice)
        if suffix is not None and str(source).lower().endswith(suffix[1]):
            # It has that suffix, and is not what is wanted here.
            return FormatError(f"{source}: found {what}, expected {expected}.")
        return FormatError(f"{source}: found {what}, expected {expected}; {advice}.")
    if _became_text(content[:_HEAD]):
        return FormatError(
            f"{source}: its bytes were saved as text, expected {expected}; {_AGAIN}, "
            "in binary mode."
        )
    if lost_binary_mode(content):
        return FormatError(
            f"{source}: line ends changed by a transfer in text mode (CR LF), expected "
            f"{expected}; {_AGAIN}, in binary mode."
        )
    if content.startswith(b"PK\x03\x04") and _END_OF_ZIP not in content[-_TAIL:]:
        reason = "it ends too early"
    reason = reason or "it is damaged or of another kind"
    return FormatError(
        f"{source}: not {expected} ({reason}); {_AGAIN} if it should be."
    )


def _ends(path: pathlib.Path) -> bytes:
    """First and last bytes of a file."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
        stream.seek(max(size - _TAIL, len(head)))
        return head + stream.read()
