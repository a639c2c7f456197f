"""The files of demo.py and the pictures of demo_texture.py, from prepared maps."""

import dataclasses
import re

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.golden import drawing
from tf_faces.data.prnet import layout
from tf_faces.geometry import warping
from tf_faces.pipelines.prnet import face as faces
from tf_faces.pipelines.prnet import results, texture_editing

pytestmark = pytest.mark.golden("prnet", "demo*.npz")

VERTEX_STRIDE, TRIANGLE_STRIDE = 397, 997
# Single border pixels of the depth may flip: the original saw 1 of 18200.
FLIPPED_PIXELS = 3
RUNS = {
    "full": results.Options(
        mat=True, landmarks=True, pose=True, depth=True, image=True
    ),
    "front": results.Options(frontal=True),
    "tex": results.Options(texture=True),
    "mask": results.Options(texture=True, masked=True),
    "box": results.Options(mesh=False, landmarks=True),
    "square": results.Options(mesh=False, landmarks=True),
}


@pytest.fixture
def uv_folder(data_directory):
    return drawing.beside(data_directory, "prnet") / "uv-data"


@pytest.fixture
def uv_layout(uv_folder):
    return layout.load_layout(uv_folder)


def make_face(arrays, uv_layout, prefix, image):
    moved = uv_layout.canonical - [0.0, 250.0, 80.0]
    scale, rotation, translation = (arrays[f"{prefix}_{part}"] for part in "sRt")
    vertices = scale * moved @ rotation.T + translation
    return faces.Face(uv_layout.to_map(vertices), uv_layout, image.shape[:2])


def parse_obj(path):
    lines = {"v": [], "vt": [], "f": []}
    other = []
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind in lines:
            lines[kind].append([float(x) for x in re.split(r"[ /]", rest)])
        else:
            other.append(line)
    return {kind: np.array(rows) for kind, rows in lines.items()}, other


def check_obj(arrays, prefix, path):
    parsed, other = parse_obj(path)
    sampled = parsed["v"][::VERTEX_STRIDE]
    np.testing.assert_allclose(sampled, arrays[f"{prefix}_obj_v_s"], atol=1e-9)
    np.testing.assert_allclose(
        parsed["v"].mean(axis=0), arrays[f"{prefix}_obj_v_mean"], atol=1e-9
    )
    counts = [len(parsed[kind]) for kind in ("v", "vt", "f")]
    np.testing.assert_array_equal(counts, arrays[f"{prefix}_obj_counts"])
    corners = parsed["f"] if not counts[1] else parsed["f"][:, ::2]
    np.testing.assert_array_equal(
        corners[::TRIANGLE_STRIDE], arrays[f"{prefix}_obj_f_s"]
    )
    if counts[1]:
        np.testing.assert_allclose(
            parsed["vt"][::VERTEX_STRIDE], arrays[f"{prefix}_obj_vt_s"], atol=1e-12
        )
    # The original names its files by full paths; here they may move together.
    expected = [str(line) for line in arrays[f"{prefix}_obj_other"]]
    assert other == [line.replace("@DIR@/", "") for line in expected]


def check_texture(arrays, prefix, path, texture):
    expected = arrays[f"{prefix}_texture_png"]
    found = np.asarray(Image.open(path))
    assert found.shape == expected.shape
    different = found != expected
    levels = 255 * texture[different]
    # Exact ties at one half may be rounded either way, nothing else may differ.
    np.testing.assert_allclose(levels - np.floor(levels), 0.5, rtol=0, atol=1e-9)
    assert different.mean() < 2e-3


@pytest.mark.parametrize("prefix", RUNS)
def test_files(arrays, uv_layout, tmp_path, prefix):
    if f"{prefix}_files" not in arrays:
        pytest.skip(f"no run {prefix} in the recording")
    image = arrays["square_image" if prefix == "square" else "image"]
    name = {"square": "sq"}.get(prefix, "face")
    face = make_face(arrays, uv_layout, "pose", image)
    options = RUNS[prefix]
    if f"{prefix}_texture_png" in arrays:
        size = len(arrays[f"{prefix}_texture_png"])
        options = dataclasses.replace(options, texture_size=size)
    results.write_demo(tmp_path, name, face, image, options)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted(str(file) for file in arrays[f"{prefix}_files"])
    for key, value in arrays.items():
        if key.startswith(f"{prefix}_txt_"):
            path = tmp_path / f"{key[len(prefix) + 5 :]}.txt"
            np.testing.assert_allclose(np.loadtxt(path), value, atol=1e-9)
    if f"{prefix}_obj_v_s" in arrays:
        check_obj(arrays, prefix, tmp_path / f"{name}.obj")
    if f"{prefix}_texture_png" in arrays:
        texture = results.texture_of(face, image, options)
        check_texture(arrays, prefix, tmp_path / f"{name}_texture.png", texture)
    if prefix == "full":
        check_full(arrays, tmp_path)


def check_full(arrays, folder):
    depth = scipy.io.loadmat(folder / "face_depth.mat")["depth"]
    assert depth.dtype == np.float64
    difference = np.abs(depth - arrays["full_depth"])
    assert (difference > 1e-4).sum() <= FLIPPED_PIXELS
    mesh = scipy.io.loadmat(folder / "face_mesh.mat")
    shapes = [mesh[key].shape for key in ("vertices", "colors", "triangles")]
    np.testing.assert_array_equal(shapes, arrays["full_mat_shapes"])
    for key, stored in (("vertices", "full_mat_v_s"), ("colors", "full_mat_c_s")):
        np.testing.assert_allclose(
            mesh[key][::VERTEX_STRIDE], arrays[stored], atol=1e-9
        )
    picture = np.asarray(Image.open(folder / "face.jpg"))
    np.testing.assert_allclose(
        picture.mean(axis=(0, 1)), arrays["full_image_jpg_mean"], atol=0.06
    )
    shown = np.asarray(Image.open(folder / "face_depth.jpg"))[::2, ::2].astype(int)
    difference = np.abs(shown - arrays["full_depth_jpg_s2"])
    assert difference.max() <= 32 and difference.mean() < 0.5


def test_box_of_the_whole_picture(arrays):
    height, width = arrays["image"].shape[:2]
    box = [0, width - 1, 0, height - 1]
    np.testing.assert_array_equal(arrays["box_info_passed"], box)


def test_what_the_original_feeds_of_square_pictures(arrays):
    # Divided by 255 twice: a mistake of the original that the pipeline does not make.
    image = arrays["square_image"] / 255.0
    given = warping.resize_bilinear(image, (256, 256)) / 255.0
    np.testing.assert_allclose(
        given[::16, ::16], arrays["square_net_input_s16"], atol=1e-12
    )
    np.testing.assert_allclose(given.max(), arrays["square_net_input_max"], atol=1e-12)


def test_textures_and_eyes(arrays, uv_layout, uv_folder):
    image = arrays["image"] / 255.0
    face = make_face(arrays, uv_layout, "pose", image)
    for key, interpolation in (
        ("remap_nearest", "nearest"),
        ("remap_linear", "bilinear"),
    ):
        found = face.texture(image, interpolation=interpolation)[::3, ::3]
        np.testing.assert_allclose(found, arrays[key], atol=1e-6)
    np.testing.assert_array_equal(
        np.packbits(eyes_of(uv_folder)), arrays["eye_mask_packed"]
    )


def eyes_of(uv_folder):
    paths = (uv_folder / "uv_face.png", uv_folder / "uv_face_eyes.png")
    pictures = [np.asarray(Image.open(path)) for path in paths]
    return texture_editing.changed_pixels(*pictures)


@pytest.mark.parametrize("mode", [0, 1])
def test_texture_editing(arrays, uv_layout, uv_folder, mode):
    image, other = arrays["image"], arrays["ref_image"]
    face = make_face(arrays, uv_layout, "pose", image)
    reference = make_face(arrays, uv_layout, "ref_pose", other)
    texture = reference.texture(other / 255.0, interpolation="nearest")
    if mode == 0:
        own = face.texture(image / 255.0, interpolation="nearest")
        texture = np.where(eyes_of(uv_folder)[..., None], texture, own)
    composed, mask = texture_editing.compose(image, face, texture)
    np.testing.assert_array_equal(
        (composed * 255).astype(np.uint8), arrays[f"swap{mode}_new_image_u8"]
    )
    np.testing.assert_array_equal(np.packbits(mask), arrays[f"swap{mode}_mask_packed"])
    np.testing.assert_array_equal(
        np.unique(mask * np.uint8(255)), arrays[f"swap{mode}_mask_value"]
    )
    center = texture_editing.blend_center(mask)
    np.testing.assert_array_equal(center, arrays[f"swap{mode}_center"])
    edited = texture_editing.edit(image, face, texture)
    difference = np.abs(edited.astype(int) - arrays[f"swap{mode}_output_u8"])
    # The same equation with another treatment of the mask's rim, where this synthetic
    # picture's colours jump: the result drifts by a few levels behind the rim.
    assert difference.mean() < 4.0 and np.median(difference) <= 2
