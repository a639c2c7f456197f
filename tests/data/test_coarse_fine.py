"""CoarseNet's training sets: lists, labels, drawn faces, preparation."""

import numpy as np
import pytest
import scipy.io

from tests import tiny_coarse_fine
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.coarse_fine import lists, preparation, synthetic
from tf_faces.data.coarse_fine import pictures as grey_pictures
from tf_faces.geometry import cameras, cropping, normals


def drawn_faces(stream="train", **changes):
    options = synthetic.SyntheticOptions(**{
        **{"size": 48, "shape_count": 3, "expression_count": 2},
        **changes,
    })  # fmt: skip
    return synthetic.SyntheticFaces(tiny_coarse_fine.model(), options, 7, stream)


def test_drawn_faces_are_a_function_of_their_number():
    faces = drawn_faces()
    together = faces.draw([3, 4])
    alone = faces.draw([4])
    np.testing.assert_array_equal(together.images[1], alone.images[0])
    np.testing.assert_array_equal(together.parameters[1], alone.parameters[0])
    other = drawn_faces("validation").draw([4])
    assert np.abs(other.parameters - alone.parameters).max() > 0.01


def test_drawn_depth_and_shading_belong_to_the_parameters():
    faces = drawn_faces(wrinkles=0.01, yaw=20.0, pitch=5.0)
    drawn = faces.draw(range(2))
    model = faces.model
    vertices = cameras.project_pose(
        model.vertices(drawn.parameters[:, 7:10], drawn.parameters[:, 10:]),
        drawn.parameters[:, :7],
        48,
    )
    assert drawn.depth.max() <= np.asarray(vertices)[..., 2].max() + 1e-3
    assert not drawn.depth[~drawn.mask].any()
    heights = (drawn.detailed_depth - drawn.depth)[..., 0]
    assert 0.05 < np.abs(heights[drawn.mask[..., 0]]).max() < 4
    # The normals that the light falls on are those of the depth.
    sign = faces._sign
    outward = sign * -normals.vertex_normals(np.asarray(vertices), model.triangles)
    facing = outward[..., 2] > 0.5
    assert facing.mean() > 0.3
    bent = synthetic._slopes(np.float32([[[0, 0, 1]] * 4] * 4), np.zeros((4, 4)))
    np.testing.assert_allclose(bent, [[[0, 0, 1]] * 4] * 4)
    ramp = np.tile(np.arange(4.0), (4, 1))
    tilted = synthetic._slopes(np.float32([[[0, 0, 1]] * 4] * 4), ramp)
    expected = normals.depth_normals(ramp, y_up=False)
    np.testing.assert_allclose(tilted, expected, atol=1e-6)


def test_labels_on_disk(tmp_path):
    values = np.array([0.5, -3e4, 9.87654e-4])
    path = tmp_path / "label.txt"
    grey_pictures.write_label(path, values)
    np.testing.assert_allclose(
        grey_pictures.read_label(path, 3), [0.5, -3e4, 0.000988], atol=1e-12
    )
    grey_pictures.write_label(path, values, digits=9)
    np.testing.assert_allclose(grey_pictures.read_label(path, 3), values, rtol=1e-8)
    for text, sentence in (
        ("1\n2\n", "found 2 numbers, expected 3"),
        ("1\n2\nx\n", "not a list of numbers .found 'x'"),
        ("1\n2\n1_0\n", "not a list of numbers .found '1_0'"),
        ("1\n2\nnan\n", "not finite"),
        ("1\n2\n1e39\n", "too large"),
    ):
        path.write_text(text)
        with pytest.raises(FormatError, match=sentence):
            grey_pictures.read_label(path, 3)


def test_lists_stay_inside(tmp_path):
    path = tmp_path / "train_list.txt"
    path.write_text("a/1.txt\n../../etc/passwd\n")
    with pytest.raises(FormatError, match="inside of the data set"):
        lists.read(path)
    path.write_text("a/1.txt\n\nb/2.txt\n")
    with pytest.raises(FormatError, match="line 2 is empty"):
        lists.read(path)
    path.write_text("a/1.txt\n\n \n")
    assert lists.read(path) == ["a/1.txt"]
    (tmp_path / "filelist.txt").write_text("a/1.txt\nb/2.txt\na/1.txt\n")
    with pytest.raises(InputError, match="names 'a/1.txt' twice"):
        lists.write_split(tmp_path)
    (tmp_path / "filelist.txt").write_text("")
    with pytest.raises(InputError):
        lists.write_split(tmp_path)


def noise(tmp_path, name, shape=(60, 80, 3)):
    path = tmp_path / name
    rng = np.random.default_rng(0)
    pictures.write(path, rng.integers(0, 256, shape).astype(np.uint8))
    return path


def test_vggface_is_prepared_split_and_averaged(tmp_path):
    model = tiny_coarse_fine.model().truncate(shape=3, expression=2)
    line = "{:08d} http://localhost/a.jpg {} 1.0 3.5 1\n"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/Someone.txt").write_text(
        line.format(1, "10 10 50.7 40")
        + line.format(2, "-5 -5 500 500")
        + line.format(3, "70 20 70 40")
        + line.format(4, "10 10 50 40")
    )
    for number in (1, 2, 3):
        noise(tmp_path, f"images/Someone/{number:08d}.jpg")
    counts = preparation.Counts()
    samples = preparation.vggface_samples(
        tmp_path / "lists", tmp_path / "images", model, 32, counts=counts
    )
    preparation.write(tmp_path / "set", samples, model, counts, {"seed": 0})
    assert counts.written == 2
    assert counts.left_out == {"box outside": 1, "not there": 1}
    for kind in ("face_images", "pnccs", "mask_images"):
        found = pictures.read(tmp_path / f"set/{kind}/Someone/00000001.jpg")
        assert found.shape == (32, 32, 3)
    label = tmp_path / "set/labels/Someone/00000001.txt"
    parameters = grey_pictures.read_label(label, 12)
    other = grey_pictures.read_label(label.with_name("00000002.txt"), 12)
    assert (0 <= parameters[7:10]).all() and np.abs(parameters - other).max() > 1
    assert lists.write_split(tmp_path / "set") == {"train": 1, "val": 0, "test": 1}
    picture, mean = grey_pictures.mean_picture(tmp_path / "set")
    assert picture.shape == (32, 32) and 60 < mean < 190
    part = grey_pictures.LabelledPictures(tmp_path / "set", "train", 32, 12)
    images, labels = part.batch([0])
    assert images.shape == (1, 32, 32, 1) and labels.shape == (1, 12)
    with pytest.raises(FormatError, match="expected 48 x 48"):
        grey_pictures.LabelledPictures(tmp_path / "set", "train", 48, 12).batch([0])
    for text, sentence in (
        ("1 url 2 3 x 4\n", "line 1"),
        ("1 url 2 3 4_0 4\n", "line 1"),
        ("1 url 2 3 5 6\n" * 2 + "1 url 2 3 5 7\n", "line 3 lists 1 again"),
    ):
        (tmp_path / "lists/Someone.txt").write_text(text)
        with pytest.raises(FormatError, match=sentence):
            preparation.vggface_lists(tmp_path / "lists")


def test_true_parameters_follow_the_crop(tmp_path):
    model = tiny_coarse_fine.model().truncate(shape=3, expression=2)
    height = 120
    pose = np.array([0.1, -0.3, 0.05, 70.0, 62.0, -5.0, 4e-4])
    shape, expression = np.array([5e4, 0, -2e4]), np.array([0.5, -0.5])
    noise(tmp_path, "AFLW/image1.jpg", (height, 130, 3))
    scipy.io.savemat(
        tmp_path / "AFLW/image1.mat",
        {
            "Pose_Para": pose[None],
            "Shape_Para": shape[:, None],
            "Exp_Para": expression[:, None],
        },
    )
    counts = preparation.Counts()
    (sample,) = preparation.true_samples(tmp_path / "AFLW", model, 64, counts=counts)
    assert sample.name == "AFLW/image1"
    vertices = model.vertices(shape, expression).astype(np.float64)
    in_photograph = cameras.project_pose(vertices, pose, height)
    points = in_photograph[model.landmarks68, :2]
    box = cropping.box_of_points(points)
    side = preparation.TRUE_CROP * max(box[1] - box[0], box[3] - box[2])
    middle = ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2)
    crop = cropping.SquareCrop(middle, side, 64)
    expected = cropping.positions_to_crop(in_photograph[:, :2], crop.matrix)
    found = cameras.project_pose(vertices, sample.parameters[:7], 64)
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-6)
    scipy.io.savemat(tmp_path / "AFLW/image1.mat", {"Pose_Para": pose[None]})
    with pytest.raises(FormatError, match="Shape_Para"):
        list(preparation.true_samples(tmp_path / "AFLW", model, 64, counts=counts))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture with a .mat"):
        list(preparation.true_samples(tmp_path / "empty", model, 64, counts=counts))


def test_sources_by_the_rule_of_the_house(tmp_path, capsys):
    model = tiny_coarse_fine.model().truncate(shape=3, expression=2)
    noise(tmp_path, "faces/a.jpg").rename(tmp_path / "faces/a.JPG")
    noise(tmp_path, "faces/b.png")
    noise(tmp_path, "faces/alone.jpg")
    noise(tmp_path, "faces/masks/a.png")
    pose = np.array([[0.1, 0.2, 0.0, 40.0, 40.0, 0.0, 2e-4]])
    known = {"Pose_Para": pose, "Shape_Para": np.zeros(3), "Exp_Para": np.zeros(2)}
    for name in ("a.mat", "b.MAT", "._a.mat"):
        scipy.io.savemat(tmp_path / "faces" / name, known, appendmat=False)
    counts = preparation.Counts()
    found = preparation.true_samples(tmp_path / "faces", model, 32, counts=counts)
    assert [sample.name for sample in found] == ["faces/a", "faces/b"]
    told = capsys.readouterr().err
    assert "1 of 3 pictures have no .mat file" in told and "1 hidden" in told
    line = "00000001 http://localhost/a.jpg 10 10 50 40 1.0 3.5 1\n"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/S.TXT").write_text(f"\ufeff{line}")
    (tmp_path / "lists/._S.TXT").write_bytes(b"\0\5\x16\7")
    noise(tmp_path, "images/S/00000001.jpg").rename(tmp_path / "images/S/00000001.JPG")
    (sample,) = preparation.vggface_samples(
        tmp_path / "lists", tmp_path / "images", model, 32, counts=counts
    )
    assert sample.name == "S/00000001" and not counts.left_out


def test_another_set_is_not_mixed_in(tmp_path):
    model = tiny_coarse_fine.model().truncate(shape=3, expression=2)
    picture = np.zeros((32, 32, 3), np.uint8)
    parameters = np.array([0, 0, 0, 16.0, 16.0, 0, 1e-4, 0, 0, 0, 0, 0])

    def write(**recipe):
        samples = iter([preparation.Sample("S/1", picture, parameters)])
        counts = preparation.Counts()
        preparation.write(tmp_path / "set", samples, model, counts, recipe)
        return counts.written

    assert write(seed=0) == write(seed=0) == 1
    with pytest.raises(InputError, match="made with other seed"):
        write(seed=1)


def test_lists_and_labels_with_a_mark_of_byte_order(tmp_path):
    (tmp_path / "list.txt").write_text("\ufeffS/1.txt\r\n", "utf-8")
    assert lists.read(tmp_path / "list.txt") == ["S/1.txt"]
    (tmp_path / "1.txt").write_text("\ufeff1\r\n2\r\n", "utf-8")
    assert grey_pictures.read_label(tmp_path / "1.txt", 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "sentence"), [({"yaw": 100.0}, "yaw"), ({"wrinkles": -1.0}, "wrinkles")]
)
def test_impossible_options(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        drawn_faces(**changes)
