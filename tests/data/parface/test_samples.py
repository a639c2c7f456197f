"""Data sets, mixtures and samples of ParFace without files of the original."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import augmentation, builtin, crops, heatmaps, sets, tars
from tf_faces.data.parface.samples import Mixture, Preparation, crop_of, prepare


def _faces(count, landmarks=68, name="a"):
    rng = np.random.default_rng(5)
    points = rng.uniform(30, 90, (landmarks, 3)).astype(np.float32)
    picture = rng.integers(0, 256, (120, 130, 3), np.uint8)
    face = sets.Face(name, picture, np.array([30, 30, 90, 90]), points[:, :2], points)
    return sets.FaceSet(name, [face] * count, landmarks)


def test_a_sample_without_augmentation():
    face = _faces(1).faces[0]
    sample = prepare(face, Preparation(128), 68)
    assert sample.image.shape == (128, 128, 3)
    offset = (crops.roi_size(128) - 128) // 2
    back = sample.landmarks + offset
    np.testing.assert_allclose(sample.crop.undo(back), face.landmarks, atol=1e-3)
    np.testing.assert_allclose(sample.landmarks_3d[:, :2], sample.landmarks)


def test_flipping_twice_gives_the_face_back():
    face = _faces(1).faces[0]
    once = augmentation.flip_landmarks(face.landmarks, 130)
    np.testing.assert_allclose(
        augmentation.flip_landmarks(once, 130), face.landmarks, rtol=1e-5
    )


def test_level_zero_only_flips():
    draws = iter([0.7])
    change = augmentation.draw(0, 182, lambda low, high: next(draws))
    assert change == augmentation.Change(flip=False)
    with pytest.raises(InputError, match="daug: found 8"):
        augmentation.draw(8, 182, lambda low, high: low)


def test_boxes_grow_on_each_side_by_parts_of_their_size():
    parts = {"left": 0.5, "top": 0.25, "right": 0.1, "bottom": 0.75}
    grown = crops.extend_box((10, 20, 50, 100), **parts)
    np.testing.assert_array_equal(grown, [-10, 0, 54, 160])
    assert grown.dtype.kind == "i"
    np.testing.assert_array_equal(crops.extend_box((50, 100, 10, 20), **parts), grown)
    np.testing.assert_array_equal(crops.extend_box((0.6, -0.6, 9.9, 9.9)), [0, 0, 9, 9])
    np.testing.assert_allclose(crops.scale_box((0, 0, 10, 20), 2.0), [-5, -10, 15, 30])
    np.testing.assert_allclose(
        crops.scale_box((0, 0, 10, 20), 0.5, 2.0), [2.5, -10, 7.5, 30]
    )


@pytest.mark.parametrize("landmarks", [5, 19])
def test_no_crop_by_landmarks_without_a_chin(landmarks):
    face = _faces(1, landmarks).faces[0]
    with pytest.raises(InputError, match="have no chin"):
        prepare(face, Preparation(128, "lm_ground_truth"), landmarks)


def test_aligning_needs_landmarks():
    with pytest.raises(InputError, match="align"):
        Preparation(align=True)


def test_floor_moves_no_peak():
    point = np.array([[10.2, 90.4]])
    faithful = heatmaps.create(point, 128)[..., 0]
    fixed = heatmaps.create(point, 128, faithful=False)[..., 0]
    assert np.unravel_index(faithful.argmax(), (128, 128)) == (90, 11)
    assert np.unravel_index(fixed.argmax(), (128, 128)) == (90, 10)


def test_mixtures_by_weight():
    mixture = Mixture([_faces(30), _faces(10, name="b")], [1.0, 1.0], seed=2)
    order = mixture.order(0)
    assert len(order) == 40 and sorted(set(order)) != list(range(40))
    share = np.mean([mixture.faces[index].name == "b" for index in order])
    assert 0.25 < share < 0.75
    np.testing.assert_array_equal(order, mixture.order(0))
    assert not np.array_equal(order, mixture.order(1))
    plain = Mixture([_faces(30), _faces(10, name="b")], seed=2)
    assert sorted(plain.order(3)) == list(range(40))
    assert len(Mixture([_faces(30)], limit=7)) == 7


def test_limited_mixtures_are_drawn_by_weight_too():
    both = [_faces(30), _faces(10, name="b")]
    mixture = Mixture(both, [1.0, 1.0], 12, seed=2)
    plain = Mixture(both, None, 12, seed=2)
    assert len(mixture) == 12 and mixture.faces == plain.faces
    names = [mixture.faces[row].name for n in range(50) for row in mixture.order(n)]
    assert len(names) == 600 and 0.4 < names.count("b") / 600 < 0.6
    with pytest.raises(InputError, match="train_count_multi: found 1, which leaves no"):
        Mixture([_faces(3), _faces(3)], [1.0, 1.0], 1)


def test_mixtures_that_do_not_fit():
    with pytest.raises(InputError, match="one number"):
        Mixture([_faces(3), _faces(3, 19)])
    with pytest.raises(InputError, match="dataset_weights"):
        Mixture([_faces(3)], [1.0, 2.0])


def test_folders_of_annotated_photographs(tmp_path):
    points = np.random.default_rng(6).uniform(20, 80, (68, 2))
    pictures.write(tmp_path / "one.png", np.full((100, 100, 3), 90, np.uint8))
    lines = [f"{x + 1} {y + 1}" for x, y in points]
    text = "version: 1\nn_points: 68\n{\n" + "\n".join(lines) + "\n}\n"
    (tmp_path / "one.pts").write_text(text)
    found = sets.open_set("photographs", sets.Request(tmp_path))
    assert [face.name for face in found.faces] == ["one.png"]
    np.testing.assert_allclose(found.faces[0].landmarks, points, rtol=1e-4)
    (tmp_path / "two.pts").write_text(text)
    with pytest.raises(InputError, match="two.pts: no picture"):
        sets.open_set("photographs", sets.Request(tmp_path))


@pytest.mark.parametrize("box", [(5, 6, 9, 11), (9, 6, 12, 6), (5, 5, 5, 5)])
def test_boxes_too_small_for_a_face_give_the_whole_picture(box):
    picture = np.full((50, 70, 3), 90, np.uint8)
    face = sets.Face("a", picture, np.array(box))
    found = crop_of(face, Preparation(size=128), picture)
    assert [*found.top_left, *found.bottom_right] == [0, 0, 69, 49]
    assert found.output == 182
    # The square about it has ten pixels and more.
    face = sets.Face("a", picture, np.array((5, 6, 9, 14)))
    found = crop_of(face, Preparation(size=128), picture)
    assert [*found.top_left, *found.bottom_right] == [1, 4, 12, 15]


def test_wrong_sets(tmp_path):
    request = sets.Request(tmp_path)
    with pytest.raises(InputError, match="dataset: found 'faces'"):
        sets.open_set("faces", request)
    with pytest.raises(InputError, match="celeba_annotations.csv: no such"):
        sets.open_set("celeba", request)
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "celeba_annotations.csv").write_text("image_path,x1\na,1\n")
    with pytest.raises(FormatError, match="lacks the column 'y1'"):
        sets.open_set("celeba", request)
    (tmp_path / "csv" / "celeba_annotations.csv").write_text(
        "image_path,x1,y1,x2,y2\na.png,1,2,3,inf\n"
    )
    with pytest.raises(FormatError, match="record 0: box is not finite"):
        sets.open_set("celeba", request)
    (tmp_path / "csv" / "300wLP_anno_tr.json").write_text("[1, 2]")
    with pytest.raises(FormatError, match="a list of records"):
        sets.open_set("wlp300", request)
    (tmp_path / "all.tar").write_bytes(b"no tar at all")
    with pytest.raises(FormatError, match="not a tar file"):
        tars.read(tmp_path / "all.tar")


def test_rendered_faces_are_functions_of_their_numbers():
    many = builtin.draw(34, seed=2, size=32, model="builtin:tiny")
    one = builtin.draw(1, seed=2, size=32, model="builtin:tiny")
    assert [face.name for face in many.faces[:2]] == ["builtin00000", "builtin00001"]
    assert len(many.faces) == 34 and many.faces[33].name == "builtin00033"
    alone, among = one.faces[0], many.faces[0]
    assert np.abs(alone.picture.astype(int) - among.picture).mean() < 0.1
    np.testing.assert_allclose(alone.landmarks, among.landmarks, atol=1e-4)
    for face in (many.faces[0], many.faces[33]):
        assert face.picture.shape == (32, 32, 3) and face.picture.dtype == np.uint8
        points = face.landmarks_3d
        np.testing.assert_array_equal(points[:, :2], face.landmarks)
        left, top, right, bottom = face.box
        height = np.ptp(points[:, 1])
        assert (
            abs(left - points[:, 0].min()) < 2 and abs(right - points[:, 0].max()) < 2
        )
        assert 0 < points[:, 1].min() - top < 0.05 * height + 2
        assert 0 < bottom - points[:, 1].max() < 0.1 * height + 2
    assert (many.faces[0].picture != many.faces[33].picture).any()


def write_tar(path, **members):
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("__", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_samples_of_a_tar_file(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    path = tmp_path / "faces.tar"
    write_tar(
        path,
        a__face_image__png=stream.getvalue(),
        a__bbox__txt=b"1, 2, 3, 4",
        a__lmk2d__txt=b"5 6\n7 8",
        b__bbox__txt=b"1 2 3 4.5",
    )
    samples = tars.read(path)
    assert list(samples) == ["a", "b"]
    np.testing.assert_array_equal(samples["a"].numbers["bbox"], [1, 2, 3, 4])
    np.testing.assert_array_equal(samples["a"].numbers["lmk2d"], [[5, 6], [7, 8]])
    assert samples["a"].numbers["bbox"].dtype == np.float32
    np.testing.assert_array_equal(tars.picture(samples, "a", path).read(), picture)
    for key in ("b", "c"):
        with pytest.raises(InputError, match=f"no picture of the sample '{key}'"):
            tars.picture(samples, key, path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a__bbox__txt", b"1 2 3", "holds 3 numbers"),
        ("a__bbox__txt", b"1 2 3 nan", "holds 4 numbers"),
        ("a__lmk2d__txt", b"1 2 3", "holds 3 numbers"),
        ("a__lmk2d__txt", b"", "holds 0 numbers"),
        ("a__lmk2d__txt", b"1 x", "numbers"),
        ("a__lmk2d__txt", b"1 1_0", "something else than numbers"),
        ("a__sound__wav", b"", "expected <sample>.<element>.<extension>"),
        ("bbox__txt", b"1 2 3 4", "expected <sample>.<element>.<extension>"),
    ],
)
def test_wrong_members_of_a_tar_file(tmp_path, name, content, sentence):
    write_tar(tmp_path / "faces.tar", **{name: content})
    with pytest.raises(FormatError, match=sentence):
        tars.read(tmp_path / "faces.tar")


def test_endless_members_are_not_read(tmp_path):
    entry = tarfile.TarInfo("a.rgb.png")
    entry.size = (1 << 28) + 1
    with open(tmp_path / "faces.tar", "wb") as stream:
        stream.write(entry.tobuf())
        stream.truncate(entry.size + 2048)  # Sparse.
    with pytest.raises(FormatError, match="'a.rgb.png' has 268435457 bytes"):
        tars.read(tmp_path / "faces.tar")


@pytest.mark.parametrize("second", ["a.bbox.txt", "a/BBOX.csv", "./a.bbox.txt"])
def test_an_element_of_a_sample_twice(tmp_path, second):
    with tarfile.open(tmp_path / "faces.tar", "w") as archive:
        for name in ("a.bbox.txt", second):
            entry = tarfile.TarInfo(name)
            entry.size = 7
            archive.addfile(entry, io.BytesIO(b"1 2 3 4"))
    with pytest.raises(FormatError, match="is the second bbox of the sample 'a'"):
        tars.read(tmp_path / "faces.tar")


def test_members_with_holes_are_refused(tmp_path):
    entry = tarfile.TarInfo("a.rgb.png")
    entry.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "faces.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(FormatError, match="'a.rgb.png' is stored with holes"):
        tars.read(tmp_path / "faces.tar")


def test_spoilt_heads_of_a_tar_file(tmp_path):
    path = tmp_path / "faces.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("\u00e9.bbox.txt")
        entry.size = 7
        archive.addfile(entry, io.BytesIO(b"1 2 3 4"))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in range(0, 1700, 3):
        spoilt = bytearray(whole)
        spoilt[place] ^= int(rng.integers(1, 256))
        path.write_bytes(spoilt)
        try:
            tars.read(path)
        except FormatError as error:
            refused += "faces.tar" in str(error)
    assert refused > 20
