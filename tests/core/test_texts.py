"""Text files as editors, spreadsheets and failed downloads leave them."""

import numpy as np
import pytest

from tf_faces.core import texts
from tf_faces.core.errors import FormatError, InputError

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, end):
    text = end.join(["# é", "", "1 2.5", "-3e1\t.5 # note"])
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert texts.read(tmp_path / "a.txt", "a list") == text
    found = texts.read_numbers(tmp_path / "a.txt", "a table")
    np.testing.assert_array_equal(found, [[1, 2.5], [-30, 0.5]])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!DOCTYPE html><html>", "found a web page.* expected a list"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"\x1f\x8b" + bytes(30), "gunzip"),
        (b"\xff\xfe1", r"not text in UTF-16 \(byte 2\), expected a list"),
        (b"1\n\xe9\n", r"not text in UTF-8 \(byte 2\), expected a list"),
        (b"1\n\0\0\n", "found bytes 0, expected a list as text"),
    ],
)
def test_no_text(tmp_path, content, sentence):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(FormatError, match=f"a.txt.*{sentence}"):
        texts.read(tmp_path / "a.txt", "a list")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"1 2\n3 x\n", "not a table .found 'x', expected numbers"),
        (b"1,5 2\n", "found '1,5', expected numbers; write decimal points"),
        (b"1_0 2\n", "found '1_0'"),
        (b"1 2\n3\n", "lines of 1 and of 2 numbers"),
        (b"", "holds no numbers, expected a table"),
        (b"# nothing\n\n", "holds no numbers, expected a table"),
    ],
)
def test_no_numbers(tmp_path, content, sentence, recwarn):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(FormatError, match=f"a.txt.*{sentence}"):
        texts.read_numbers(tmp_path / "a.txt", "a table")
    assert not recwarn.list


def test_notes_in_another_encoding_and_no_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"# \xe9\n1\n")
    assert texts.read_numbers(tmp_path / "a.txt", "a table").tolist() == [[1]]
    with pytest.raises(InputError, match="b.txt: no such table"):
        texts.read(tmp_path / "b.txt", "a table")


@pytest.mark.parametrize("word", ["1_0", "\uff11\uff10", "\u0661", "", "x", "1e"])
def test_words_that_only_python_takes_for_numbers(word):
    with pytest.raises(ValueError):
        texts.numbers(["1", word])
    with pytest.raises(ValueError):
        texts.whole_number(word)
    assert texts.natural_number(word) is None


def test_words_that_are_numbers():
    found = texts.numbers(["10", "-.5e1", "inf"])
    np.testing.assert_array_equal(found, [10, -5, np.inf])
    assert found.dtype == np.float64 and texts.numbers([]).shape == (0,)
    assert (texts.whole_number("-3"), texts.natural_number("03")) == (-3, 3)
    # Python refuses to read so many digits.
    assert (
        texts.natural_number("9" * 5000) is None and texts.natural_number("-1") is None
    )
