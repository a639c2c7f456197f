"""create_celebahq on a tiny folder in CelebA's layout."""

import base64
import bz2
import hashlib
import shutil
import sys
import zipfile

import numpy as np
import PIL.Image
import pytest

from tf_faces.apps.tbgan import dataset_tool
from tf_faces.core.errors import InputError
from tf_faces.data.record_sets import celebahq, reader, upright

SIDE = 16
HEADER = (
    "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y "
    "leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
)
UPRIGHT = np.array([(-3, -3), (3, -3), (0, 0), (-2, 3), (2, 3)], float)


def marks(scale, angle, center):
    """Landmarks [5, 2] of an upright face, turned."""
    turn = np.exp(1j * angle) * scale
    found = (UPRIGHT[:, 0] + 1j * UPRIGHT[:, 1]) * turn + complex(*center)
    return np.stack([found.real, found.imag], axis=1)


# --- geometry -------------------------------------------------------------------------


def gradient(height, width):
    """A picture whose red tells the column and whose green tells the row."""
    row, column = np.mgrid[:height, :width]
    levels = [255 * column / (width - 1), 255 * row / (height - 1), 0 * row + 128]
    return np.rint(np.stack(levels, axis=-1)).astype(np.uint8)


def places(landmarks, resolution):
    """Complex [R, R]: where each pixel of the upright face comes from."""
    left, right, _, *mouth = landmarks[:, 0] + 1j * landmarks[:, 1]
    eyes, lips = (left + right) / 2, sum(mouth) / 2
    axis = (right - left) - 1j * (lips - eyes)
    axis *= max(2 * abs(right - left), 1.8 * abs(lips - eyes)) / abs(axis)
    steps = (2 * np.arange(resolution) + 1) / resolution - 1
    return eyes + 0.1 * (lips - eyes) + axis * (steps + 1j * steps[:, np.newaxis])


@pytest.mark.parametrize(
    ("size", "scale", "angle", "resolution"),
    [
        ((200, 240), 5.0, 0.2, 64),  # As large as needed.
        ((840, 910), 20.0, -0.5, 32),  # Shrunk to a seventh.
        ((40, 50), 1.0, 2.5, 64),  # Enlarged.
    ],
)
def test_the_square_of_a_face_comes_out_upright(size, scale, angle, resolution):
    height, width = size
    landmarks = marks(scale, angle, (width / 2, height / 2))
    image = upright.cut_out(gradient(height, width), landmarks, resolution)
    place = places(landmarks, resolution)
    expected = [255 * place.real / (width - 1), 255 * place.imag / (height - 1)]
    # Pillow's bilinear filter cuts off what is behind the point.
    difference = image[:2] + 0.5 - expected
    assert image.shape == (3, resolution, resolution) and image.dtype == np.uint8
    assert abs(difference.mean(axis=(1, 2))).max() < 0.15
    assert abs(difference).max() < 3
    assert (image[2] == 128).all()


def test_a_square_that_leaves_the_picture_is_continued():
    height, width, resolution = 80, 90, 64
    landmarks = marks(5.0, 0.1, (70, 30))
    place = places(landmarks, resolution)
    plain = np.full((height, width, 3), 77, np.uint8)
    np.testing.assert_array_equal(upright.cut_out(plain, landmarks, resolution), 77)
    picture = gradient(height, width)
    picture[:, :, 2] = np.arange(width) // 4 % 2 * 255  # Stripes.
    image = upright.cut_out(picture, landmarks, resolution).astype(float)
    beyond = np.maximum(place.real - (width - 1), -place.imag)
    inside = (beyond < -25) & (place.imag < height - 26) & (place.real > 25)
    expected = 255 * place.real / (width - 1)
    assert inside.sum() > 200 and abs(image[0] + 0.5 - expected)[inside].max() < 3
    # Real pixels stay up to the edge: stripes of full contrast.
    near = (beyond < -1) & (beyond > -8) & (place.imag < height - 2)
    assert near.sum() > 100 and np.ptp(image[2][near]) > 230
    # Mirrored at the right edge, where it is brightest, and blurred.
    outside = beyond > 12
    assert outside.sum() > 200
    assert image[2][outside].std() < 0.25 * image[2][inside].std()
    assert image[0][:, -1].max() < 250


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        (np.full((5, 2), 20.0), "make a square of 0.0 pixels, expected at least 4"),
        (marks(4, 0, (1e6, 5)), "lie outside of 50 x 40 pixels"),
        (np.full((5, 2), np.nan), "lie outside of 50 x 40 pixels"),
        (marks(1, 0, (95, 75)), "the face's square lies outside of the picture"),
    ],
)
def test_landmarks_of_another_picture(landmarks, message):
    with pytest.raises(InputError, match=f"^x.jpg: .*{message}"):
        upright.cut_out(gradient(40, 50), landmarks, 64, "x.jpg")


# --- the command ----------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """CelebA's layout with four pictures, of which CelebA-HQ lists three."""
    monkeypatch.setattr(celebahq, "RESOLUTION", SIDE)
    monkeypatch.setattr(celebahq, "_KEY_ROUNDS", 3)
    place = tmp_path / "celeba" / "img_celeba"
    place.mkdir(parents=True)
    generator = np.random.default_rng(3)
    rows = ["4", HEADER]
    for number in range(1, 5):
        pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(place / f"{number:06d}.jpg", quality=95)
        points = np.rint(marks(3, number, (25, 20))).astype(int).ravel()
        rows.append(f"{number:06d}.jpg  {' '.join(map(str, points))}")
    (tmp_path / "celeba" / "Anno").mkdir()
    (tmp_path / "celeba" / celebahq.LANDMARKS).write_text("\n".join(rows) + "\n")
    return tmp_path


LISTED = {0: "000003.jpg", 1: "000001.jpg", 7: "000004.jpg"}


def aligned(folder, name):
    with PIL.Image.open(folder / "celeba" / "img_celeba" / name) as picture:
        pixels = np.asarray(picture)
    number = int(name.split(".")[0])
    points = np.rint(marks(3, number, (25, 20)))
    return upright.cut_out(pixels, points, SIDE)


def write_list(folder, name="list.txt", md5=None):
    rows = ["idx orig_idx orig_file" + (" proc_md5 final_md5" if md5 else "")]
    for number, file in LISTED.items():
        sums = f" {md5[number][0]} {md5[number][1]}" if md5 else ""
        rows.append(f"{number} {int(file[:6]) - 1} {file}{sums}")
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder / name


def shuffled(images):
    order = np.arange(len(images))
    np.random.RandomState(123).shuffle(order)
    return np.stack(images)[order]


def run(folder, *arguments, status=0):
    command = ["create_celebahq", folder / "set", folder / "celeba", *arguments]
    assert dataset_tool.main([*map(str, command), "--num_threads=1"]) == status


def refused(capsys, folder, *arguments, message):
    run(folder, *arguments, status=2)
    assert message in capsys.readouterr().err
    assert not (folder / "set").exists()


def test_without_deltas(folder, capsys):
    arguments = ["--without_deltas", f"--image_list={write_list(folder)}"]
    run(folder, *arguments, "--num_tasks=5")
    assert "made without deltas" in capsys.readouterr().out
    found = reader.RecordSet(folder / "set")
    expected = shuffled([aligned(folder, name) for name in LISTED.values()])
    np.testing.assert_array_equal(np.stack(list(found.images())), expected)
    assert found.shape == (3, SIDE, SIDE) and found.label_size == 0
    assert dataset_tool.main(["verify", str(folder / "set")]) == 0


def pack(content, original, name):
    """The delta file's bytes, by the library's own key derivation."""
    from cryptography import fernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf import pbkdf2

    derivation = pbkdf2.PBKDF2HMAC(hashes.SHA256(), 32, name.encode(), 3)
    key = base64.urlsafe_b64encode(derivation.derive(original))
    return fernet.Fernet(key).encrypt(bz2.compress(content))


@pytest.fixture
def deltas(folder):
    """Deltas in two zip files beside their list; the finished pictures by number."""
    pytest.importorskip("cryptography")
    place = folder / "deltas"
    place.mkdir()
    generator = np.random.default_rng(4)
    finished, md5 = {}, {}
    for number, name in LISTED.items():
        processed = aligned(folder, name)
        finished[number] = generator.integers(0, 256, processed.shape, dtype=np.uint8)
        original = (folder / "celeba" / "img_celeba" / name).read_bytes()
        content = (finished[number] - processed).tobytes()
        write_delta(folder, number, pack(content, original, name))
        sums = [hashlib.md5(x.tobytes()) for x in (processed, finished[number])]
        md5[number] = [one.hexdigest() for one in sums]
    write_list(place, "image_list.txt", md5)
    return finished


def write_delta(folder, number, content):
    path = folder / "deltas" / f"deltas{number - number % 5:05d}.zip"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"delta{number:05d}.dat", content)


def test_with_deltas(folder, deltas):
    run(folder, folder / "deltas")
    images = np.stack(list(reader.RecordSet(folder / "set").images()))
    np.testing.assert_array_equal(images, shuffled(list(deltas.values())))


def test_another_decoder_is_noticed(folder, deltas, capsys):
    path = folder / "deltas" / "image_list.txt"
    text = path.read_text()
    for column, what in ((3, "its aligned pixels"), (4, "its pixels with their delta")):
        digest = text.splitlines()[2].split()[column]
        path.write_text(text.replace(digest, "0" * 32))
        refused(capsys, folder, folder / "deltas", message="000001.jpg: " + what)
    run(folder, folder / "deltas", "--without_deltas")


def test_the_sentence_of_another_decoder(folder):
    image = np.zeros((3, 4, 4), np.uint8)
    with pytest.raises(InputError) as raised:
        celebahq._require_md5("a.jpg", image, "0" * 32, "its aligned pixels")
    assert hashlib.md5(bytes(48)).hexdigest() in str(raised.value)
    assert "another JPEG decoder or Pillow than those of 2017" in str(raised.value)
    assert "--without_deltas" in str(raised.value)


def bomb(folder):
    original = (folder / "celeba" / "img_celeba" / "000001.jpg").read_bytes()
    return pack(bytes(50 << 20), original, "000001.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda _: b"no token", "000001.jpg does not decrypt it"),
        (lambda _: bytes(1 << 20), "more than 67072 bytes"),
        (bomb, "found more than 768 bytes, expected 768"),
    ],
)
def test_hostile_deltas(folder, deltas, capsys, content, message):
    (folder / "deltas" / "deltas00000.zip").unlink()
    original = (folder / "celeba" / "img_celeba" / "000003.jpg").read_bytes()
    write_delta(folder, 0, pack(bytes(768), original, "000003.jpg"))
    write_delta(folder, 1, content(folder))
    # The images before it have other sums now.
    items = celebahq.samples(folder / "celeba", folder / "deltas").items
    (item,) = (one for one in items if one.picture.endswith("000001.jpg"))
    with pytest.raises(InputError, match=message):
        celebahq.LoadImage(SIDE)(item)


def test_deltas_that_are_not_all_there(folder, deltas, capsys):
    shutil.copy(folder / "deltas/deltas00005.zip", folder / "deltas/delta_more.zip")
    message = "has the number of 'delta00007.dat'"
    refused(capsys, folder, folder / "deltas", message=message)
    for path in folder.glob("deltas/delta*5.zip"):
        path.write_bytes(b"PK\3\4 damaged")
    (folder / "deltas/delta_more.zip").unlink()
    refused(capsys, folder, folder / "deltas", message="not a readable zip file")
    (folder / "deltas/deltas00005.zip").unlink()
    refused(capsys, folder, folder / "deltas", message="found no delta of number 7")


def test_without_cryptography_a_sentence_says_what_to_install(
    folder, capsys, monkeypatch
):
    (folder / "deltas").mkdir()
    write_list(folder / "deltas", "image_list.txt", {n: ["0" * 32] * 2 for n in LISTED})
    monkeypatch.setitem(sys.modules, "cryptography", None)
    run(folder, folder / "deltas", status=1)
    assert "pip install 'tf_faces[celebahq]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list.txt", "orig_file", "file", "names no column 'orig_file'"),
        ("list.txt", "000001.jpg", "../000001.jpg", "expected a name as 000001.jpg"),
        ("list.txt", "7 3", "x 3", "found the idx 'x', expected digits"),
        ("list.txt", "7 3", "1 3", "lists an idx twice"),
        ("list.txt", "7 3", "7", "row 3 has 2 entries, expected 3"),
        ("list.txt", "000004", "000005", "has no row for 000005.jpg"),
        (f"celeba/{celebahq.LANDMARKS}", "4\nlefteye", "5\nlefteye", "found 4 rows"),
        (f"celeba/{celebahq.LANDMARKS}", "nose_x", "x", "in its second line, expected"),
        (f"celeba/{celebahq.LANDMARKS}", "jpg  ", "jpg 1 ", "11 numbers a row"),
    ],
)
def test_lists_of_another_form(folder, capsys, file, old, new, message):
    arguments = ["--without_deltas", f"--image_list={write_list(folder)}"]
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    refused(capsys, folder, *arguments, message=message)


def test_what_is_missing(folder, capsys):
    refused(capsys, folder, message="found no delta_dir, expected the folder")
    refused(capsys, folder, "--without_deltas", message="found neither delta_dir nor")
    listed = ["--without_deltas", f"--image_list={write_list(folder)}"]
    (folder / "celeba/img_celeba/000004.jpg").unlink()
    refused(capsys, folder, *listed, message="000004.jpg: no such picture")
