"""Files that are something else say what, and what to do."""

import gzip
import pickle

import numpy as np
import pytest
import scipy.io

from tf_faces.core import file_kinds, files, matlab_files, pickles
from tf_faces.core.errors import FormatError

READERS = {
    "a.mat": (matlab_files.load, matlab_files.names),
    "a.npz": (files.load_npz,),
    "a.npy": (files.load_npy,),
    "a.pkl": (pickles.load_pickle,),
}
KINDS = {
    "empty": (b"", "an empty file"),
    "pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "git lfs pull",
    ),
    "annex": (b"../../.git/annex/objects/aa/bb/key", "git annex get"),
    "page": (b"\n<!DOCTYPE HTML><html><body>Log in</body></html>", "a web page"),
    "answer": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "a web page"),
    "boxes": (b"<?xml version='1.0'?>\n<dataset>\n<images>", "an XML document"),
    "zeros": (bytes(4096), "nothing but zeros"),
    "seven": (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7-Zip"),
    "tar": (b"name".ljust(257, b"\0") + b"ustar" + bytes(300), "tar -xf"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "a document or picture"),
    "words": (b"no such thing\n", "download or copy it again"),
}
# Words of libraries that tell a user nothing.
JARGON = ("Error:", "BadZip", "IndexError", "EOF", "zipfile", "allow_pickle", "b'")


def written(path):
    """A good file of each kind."""
    if path.suffix == ".mat":
        scipy.io.savemat(path, {"x": np.arange(300.0)}, do_compression=True)
    elif path.suffix == ".npz":
        np.savez_compressed(path, x=np.arange(300.0))
    elif path.suffix == ".npy":
        np.save(path, np.arange(300.0))
    else:
        path.write_bytes(pickle.dumps({"x": np.arange(300.0)}, 2))
    return path.read_bytes()


def refused(path, content, words):
    path.write_bytes(content)
    for read in READERS[path.name]:
        with pytest.raises(FormatError) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and message.endswith(".")
        assert words in message, message
        assert not any(word in message for word in JARGON), message


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_other_things_are_named(tmp_path, name, kind):
    content, words = KINDS[kind]
    refused(tmp_path / name, content, words)


@pytest.mark.parametrize("name", READERS)
def test_damage_is_told(tmp_path, name):
    path = tmp_path / name
    content = written(path)
    again = "download or copy it again"
    refused(path, content[: len(content) // 2], again)
    refused(path, content.decode("latin1").encode("utf-8"), "saved as text")
    refused(path, content.decode("utf-8", "replace").encode(), "saved as text")
    changed = (content + b"\n").replace(b"\n", b"\r\n") + b"\r\n"
    assert file_kinds.lost_binary_mode(changed)


def test_text_mode_of_a_text_pickle(tmp_path):
    """The names in it end with a carriage return, which is no forbidden class."""
    content = pickle.dumps({"x": np.arange(9.0)}, 0).replace(b"\n", b"\r\n")
    refused(tmp_path / "a.pkl", content, "line ends changed by a transfer in text mode")


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_cut_archives(tmp_path, cut):
    path = tmp_path / "a.npz"
    content = written(path)
    refused(path, content[: len(content) - 60 - cut], "it ends too early")
    packed = gzip.compress(pickle.dumps(np.arange(300)))
    refused(tmp_path / "a.pkl", packed[:-cut], "gzip-compressed data is damaged")


def test_compressed_things_are_to_be_unpacked(tmp_path):
    packed = gzip.compress(b"anything")
    for name in ("a.mat", "a.npz", "a.npy"):
        refused(tmp_path / name, packed, "gunzip")
    refused(tmp_path / "a.pkl", written(tmp_path / "a.npz"), "a ZIP archive")
    refused(tmp_path / "a.npz", written(tmp_path / "a.pkl"), "a pickle")
    for before in (0, 512, 1024):  # Bytes of a program's own.
        content = bytes(before) + b"\x89HDF\r\n\x1a\n" + bytes(600)
        refused(tmp_path / "a.mat", content, "an HDF5 file")


@pytest.mark.parametrize("words", [b"MATLAB 7.3 MAT-file", b"made by another program"])
def test_version_73_says_what_to_do(tmp_path, words):
    header = words.ljust(116) + bytes(8) + b"\x00\x02IM"
    content = header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(99)
    refused(tmp_path / "a.mat", content, "'-v7'")


def test_good_files_are_what_they_are(tmp_path):
    for name in READERS:
        head = written(tmp_path / name)[:4096]
        assert not file_kinds.lost_binary_mode(head)
        assert file_kinds.kind(head) is not None
    assert file_kinds.kind(b"some text") is None


@pytest.mark.parametrize(
    ("head", "what", "advice"),
    [
        (b"BZh9", "bzip2-compressed data", "bunzip2"),
        (b"\xfd7zXZ\0", "xz-compressed data", "unxz"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed data", "unzstd"),
        (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
        (b"PK\x05\x06", "a ZIP archive", ".npz"),
        (b"MATLAB 5.0", "a MATLAB file", ".mat"),
        (b"MATLAB 4.0", "a MATLAB file", ".mat"),
        (b"\x80\x05", "a pickle", ".pkl"),
        (b"%PDF", "a document or picture", "again"),
        (b"\xff\xd8\xff", "a document or picture", "again"),
        (b"GIF89a", "a document or picture", "again"),
        (b"\xef\xbb\xbf <HTML>", "a web page", "again"),
        (bytes(64), "nothing but zeros", "again"),
        (b"a" * 257 + b"ustar", "a tar archive", "tar -xf"),
        (b"\x1f\x8b", "gzip-compressed data", "gunzip"),
    ],
)
def test_first_bytes(head, what, advice):
    found = file_kinds.kind(head)
    assert found[0].startswith(what) and advice in found[1]


def test_files_saved_as_text():
    assert not file_kinds.lost_binary_mode(b"one\r\n")
    assert file_kinds.lost_binary_mode(b"one\r\ntwo\r\n")
    assert not file_kinds.lost_binary_mode(b"one\r\ntwo\n")
    for content, is_text in (
        (b"\xef\xbf\xbd" * 3, True),
        (b"\xef\xbf\xbd" * 2, False),
        ("\xe9\xe8\xea\x01".encode(), True),
        ("\xe9\xe8\x01".encode(), False),
        ("\xe9\xe8\xea\t".encode(), False),
        (b"\x01\xe9\xe8\xea", False),
    ):
        said = str(file_kinds.unreadable("x", "a table", content=content))
        assert said.startswith("x: ")
        assert ("saved as text" in said) is is_text, content
    damaged = str(file_kinds.unreadable("x", "a table", "too odd", content=b"abc"))
    assert damaged == (
        "x: not a table (too odd); download or copy it again if it should be."
    )


@pytest.mark.parametrize(("name", "has_advice"), [("a.NPZ", False), ("a.txt", True)])
def test_no_advice_that_was_followed(tmp_path, name, has_advice):
    (tmp_path / name).write_bytes(b"PK\x03\x04" + bytes(99))
    message = str(file_kinds.unreadable(tmp_path / name, "a list of points"))
    assert ("give it the suffix .npz" in message) == has_advice
    assert message.endswith("expected a list of points.") != has_advice
