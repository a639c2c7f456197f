"""Pictures that claim too much, are damaged, are none, or come to several threads."""

import concurrent.futures
import io
import os
import pathlib
import warnings

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core import picture_samples as samples
from tests.core.test_pictures import deep_numbers, read, shown
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError, TfFacesError

# --- sizes --------------------------------------------------------------------------


@pytest.mark.parametrize("side", [9000, 12000, 30000])
def test_bomb_is_refused_before_decoding(tmp_path, side):
    (tmp_path / "a.png").write_bytes(samples.claiming_png(side, side))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"a\.png: .* pixels, expected at most 67"):
            pictures.read(tmp_path / "a.png")


def test_maximum_is_kept():
    content = samples.saved(samples.gradient(4, 5), "PNG")
    assert read(content, maximum_pixels=20).shape == (4, 5, 3)
    with pytest.raises(InputError, match="5 x 4 pixels, expected at most 19 in all"):
        read(content, maximum_pixels=19)
    deep = samples.deep_png(deep_numbers(3, 4, 5))
    with pytest.raises(InputError, match="5 x 4 pixels, expected at most 19 in all"):
        read(deep, maximum_pixels=19)


def test_icon_that_hides_its_size():
    inside = samples.saved(samples.gradient(90, 100), "PNG", "RGBA")
    entry = bytes([16, 16, 0, 0, 1, 0, 32, 0])
    place = len(inside).to_bytes(4, "little") + (22).to_bytes(4, "little")
    content = b"\0\0\1\0\1\0" + entry + place + inside
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="100 x 90 pixels, expected at most 1000"):
            read(content, maximum_pixels=1000)


# --- what is no picture -------------------------------------------------------------

_FTYP = b"\0\0\0\x18ftyp%s\0\0\0\0mif1%s"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "an SVG drawing.*PNG or JPEG"),
        (b"\xef\xbb\xbf <SVG/>", "an SVG drawing"),
        (b"<!DOCTYPE html><p>Not found", "a web page"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript drawing"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "a PostScript drawing"),
        (b"\xff\x0a\0\0", "a JPEG XL picture"),
        (b"\x76\x2f\x31\x01" + bytes(40), "an OpenEXR picture"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "a Radiance picture"),
        (_FTYP % (b"heic", b"heic"), "a HEIC photo.*PNG or JPEG"),
        (_FTYP % (b"mif1", b"heix"), "a HEIC photo"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera's raw file"),
        (_FTYP % (b"avif", b"miaf"), ""),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x04CgBI\x50\0\x20\x02", "a PNG in the form of iPh"),
        (b"\xabKTX 20\xbb\r\n\x1a\n", "KTX"),
        (b"gimp xcf v011\0", "a GIMP or JPEG XR picture"),
        (b"II\xbc\x01" + bytes(9), "a GIMP or JPEG XR picture"),
        (b"\x1f\x8b\x08\0" + bytes(9), "gzip-compressed data; unpack it first"),
        (b"PK\x03\x04" + bytes(9), "a ZIP archive"),
        (b"\x93NUMPY\x01\0", "a single NumPy array"),
        (b"../.git/annex/objects/a/b/c.png", "git annex get"),
        (b"no picture", "of a kind that is not decoded here, or damaged"),
        (bytes(2000), "of a kind that is not decoded here"),
        (b"\x89PNG\r\n\x1a\n", "of a kind that is not decoded here, or damaged"),
        (samples.claiming_png(64, 64), "truncated"),
        (samples.png(0, 5, 8, 2, b""), ""),
        (samples.png(1, 1, 8, 3, b"\0\0"), "its palette is missing"),
    ],
)
def test_what_is_no_picture(tmp_path, content, message):
    path = tmp_path / "ä b.JPG"
    path.write_bytes(content)
    with pytest.raises(
        FormatError, match=rf"ä b\.JPG: not a readable picture.*({message})"
    ) as raised:
        pictures.read(path)
    assert "Error" not in str(raised.value)


def test_avif_without_a_decoder(monkeypatch):
    PIL.Image.init()
    monkeypatch.delitem(PIL.Image.OPEN, "AVIF", raising=False)
    with pytest.raises(FormatError, match="an AVIF picture.*PNG or JPEG"):
        read(_FTYP % (b"avif", b"miaf"))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: no such picture"):
        pictures.read(tmp_path / "none.png")
    with pytest.raises(InputError, match="found a folder, expected a picture"):
        pictures.read(tmp_path)


def test_too_little_memory(monkeypatch):
    def fail(self):
        raise MemoryError

    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", fail)
    with pytest.raises(TfFacesError, match="a.bmp: too little memory") as caught:
        read(samples.saved(samples.gradient(), "BMP"), name="a.bmp")
    assert not isinstance(caught.value, InputError)


# --- hostile files, threads ---------------------------------------------------------

FILES = samples.valid_files()


@pytest.mark.parametrize("name", FILES)
def test_valid_files(name):
    found = read(FILES[name], 3)
    assert found.flags.writeable
    expected = shown(samples.gradient(), 6 if "turned" in name else 1)
    if name.startswith("deep"):
        expected = np.repeat(expected[..., :1], 3, axis=2)
    assert found.shape == expected.shape
    if ".RGB" in name or "deep" in name:
        # Palettes of GIF and the losses of JPEG and its like.
        assert np.abs(found.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("name", FILES)
def test_cut_files(name, capfd):
    content = FILES[name]
    for length in np.linspace(1, len(content) // 2, 12, dtype=int):
        with pytest.raises(FormatError, match="^cut: ") as caught:
            read(content[:length], name="cut")
        assert "\n" not in str(caught.value) and "<_io" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=300)
@given(
    name=st.sampled_from(sorted(FILES)),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8
    ),
    at_the_head=st.booleans(),
)
def test_damaged_files(name, changes, at_the_head):
    content = bytearray(FILES[name])
    reach = min(len(content), 120) if at_the_head else len(content)
    for place, value in changes:
        content[int(place * reach)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            picture = read(bytes(content), 3, maximum_pixels=10**6, name="bad")
        except TfFacesError as error:
            assert str(error).startswith("bad: ")
        else:
            assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_libtiff_prints_nothing(capfd):
    content = bytearray(FILES["deep<True.TIFF"])
    content[-40:] = b"\xff" * 40
    with pytest.raises(FormatError):
        read(bytes(content))
    assert capfd.readouterr() == ("", "")


def test_threads_and_open_files(tmp_path):
    paths = []
    for number, content in enumerate(FILES.values()):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(content)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(FILES["deep<True.TIFF"][:-40])
    expected = [pictures.read(path) for path in paths]
    before = list(warnings.filters), _open_files()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in [pool.map(pictures.read, paths) for _ in range(4)]:
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)
        failures = [pool.submit(pictures.read, damaged) for _ in range(20)]
        assert all(isinstance(one.exception(), FormatError) for one in failures)
    assert (list(warnings.filters), _open_files()) == before


def _open_files():
    folder = pathlib.Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0


def test_others_still_hear_pillow():
    read(FILES["deep.PNG"])
    with pytest.warns(PIL.Image.DecompressionBombWarning):
        PIL.Image.open(io.BytesIO(samples.claiming_png(12000, 12000)))
