"""Boxes, crops, augmentation of ParFace against what OpenCV made of them."""

import re

import numpy as np
import pytest

from tests.golden.parface import recordings
from tf_faces.data.parface import augmentation, crops, landmark_sets, occlusion

EXACT = 1e-9
LANDMARKS = 1e-4
RESIZED = 1  # Grey levels.
WARPED = 3

_EXTENSIONS = {
    "affectnet": (0.05, 0.25),
    "common": (0.05, 0.10),
    "menpo": (0.2, 0.12),
    "wflw": (0.0, 0.10),
}


def _picture(found, arrays, key, levels):
    recorded = arrays[f"{key}_s8"].astype(int)
    difference = np.abs(found[::8, ::8].astype(int) - recorded)
    assert difference.max() <= levels, (key, difference.max())
    recordings.assert_checksum(found, arrays[f"{key}_chk"], 2e-3, key)


@pytest.mark.golden("parface", "geometry*.npz")
def test_boxes(recording, arrays):
    size = int(arrays["boxes/crop_size"])
    assert crops.margin(size) == arrays["boxes/margin"]
    sizes = [size // 4, size // 2, size, size * 2]
    assert [crops.roi_size(one) for one in sizes] == list(arrays["boxes/diag"])
    kinds = [key.split("_")[1] for key in arrays if key.startswith("boxes/extend_")]
    assert kinds
    for index, box in enumerate(arrays["boxes/in"]):
        for kind in kinds:
            top, bottom = _EXTENSIONS[kind]
            np.testing.assert_array_equal(
                crops.extend_box(box, top=top, bottom=bottom),
                arrays[f"boxes/extend_{kind}"][index],
            )
        np.testing.assert_allclose(
            crops.square_of_box(box, size), arrays["boxes/roi"][index], rtol=1e-6
        )
        np.testing.assert_allclose(
            crops.scale_box(box, 0.65, 0.8), arrays["boxes/scale0.65"][index], rtol=1e-5
        )


def _crop_keys(arrays, pattern):
    found = [key for key in arrays if re.fullmatch(pattern, key)]
    assert found
    return [key.rpartition("/")[0] for key in found]


def _of_picture(arrays, key):
    picture = key.rpartition("/")[0]
    return arrays[f"{picture}/image"], arrays[f"{picture}/landmarks"]


def _corners(crop, arrays, key):
    np.testing.assert_array_equal(crop.top_left, arrays[f"{key}/tl"])
    np.testing.assert_array_equal(crop.bottom_right, arrays[f"{key}/br"])


@pytest.mark.golden("parface", "geometry*.npz")
def test_crops_by_landmarks(recording, arrays):
    size = int(arrays["boxes/crop_size"])
    for key in _crop_keys(arrays, r"crop/.*/lm\d+_align\d_out\d+/tl"):
        image, faces = _of_picture(arrays, key)
        index, align, output = map(int, re.findall(r"\d+", key.rpartition("/")[2]))
        crop = crops.crop_by_landmarks(faces[index], size, bool(align), output)
        _corners(crop, arrays, key)
        assert crop.face_scale == arrays[f"{key}/face_scale"]
        np.testing.assert_allclose(crop.centre, arrays[f"{key}/face_center"], rtol=1e-6)
        np.testing.assert_allclose(crop.angle, arrays[f"{key}/angle_x_deg"], rtol=1e-5)
        if f"{key}/M" in arrays:
            np.testing.assert_allclose(crop.rotation, arrays[f"{key}/M"], rtol=1e-5)
        _picture(crop.image(image), arrays, f"{key}/crop", WARPED if align else RESIZED)
        if f"{key}/crop" in arrays:
            difference = crop.image(image).astype(int) - arrays[f"{key}/crop"]
            assert np.abs(difference).max() <= RESIZED
        for name, points in (("lms2d", faces[index][:, :2]), ("lms3d", faces[index])):
            if f"{key}/{name}" in arrays:
                inside = crop.landmarks(points)
                np.testing.assert_allclose(
                    inside, arrays[f"{key}/{name}"], atol=LANDMARKS
                )
                back = crop.undo(inside)
                np.testing.assert_allclose(
                    back, arrays[f"{key}/{name}_inv"], atol=LANDMARKS
                )


@pytest.mark.golden("parface", "geometry*.npz")
def test_crops_by_boxes(recording, arrays):
    size = int(arrays["boxes/crop_size"])
    for key in _crop_keys(arrays, r"crop/.*/bb\d+_out\d+/bb"):
        image, faces = _of_picture(arrays, key)
        output = int(key.rpartition("out")[2])
        box = arrays[f"{key}/bb"]
        np.testing.assert_allclose(
            crops.square_of_box(box, size), arrays[f"{key}/roi"], rtol=1e-6
        )
        crop = crops.crop_by_box(box, size, output)
        _corners(crop, arrays, key)
        _picture(crop.image(image), arrays, f"{key}/black", RESIZED)
        if f"{key}/crop" in arrays:
            difference = crop.image(image).astype(int) - arrays[f"{key}/crop"]
            assert np.abs(difference).max() <= RESIZED
        found = [crop.landmarks(face) for face in faces]
        nearest = min(np.abs(one - arrays[f"{key}/lms3d"]).max() for one in found)
        assert nearest <= LANDMARKS
    for key in [name for name in arrays if name.endswith("/bbox_non_black")]:
        image = arrays[f"{key.rpartition('/')[0]}/image"]
        # The picture was put on black so that its corner lies there.
        left, top = arrays[key][:2]
        on_black = np.pad(image, ((top, 20), (left, 20), (0, 0)))
        np.testing.assert_array_equal(crops.not_black_box(on_black), arrays[key])


@pytest.mark.golden("parface", "geometry*.npz")
def test_flip_maps(recording, arrays):
    keys = [key for key in arrays if key.startswith("aug/flipmap/")]
    assert keys
    for key in keys:
        count = int(key.rpartition("/m")[2])
        np.testing.assert_array_equal(landmark_sets.mirror_map(count), arrays[key])


@pytest.mark.golden("parface", "geometry*.npz")
def test_single_changes(recording, arrays):
    image, landmarks = arrays["aug/image"], arrays["aug/landmarks3d"]
    side = len(image)
    for index, values in enumerate(arrays["aug/affine_params"]):
        degrees, x, y, scale_x, scale_y, shear = map(float, values)
        change = augmentation.Change(False, degrees, (x, y), (scale_x, scale_y), shear)
        matrix = augmentation.affine_matrix(change, side, side)
        key = f"aug/affine{index}"
        np.testing.assert_allclose(matrix, arrays[f"{key}/matrix"], atol=EXACT)
        moved = augmentation.apply_to_landmarks(landmarks, change, side)
        np.testing.assert_allclose(moved[:, :2], arrays[f"{key}/lms"], atol=LANDMARKS)
        found = augmentation.apply_to_image(image, change, side)
        _picture(found, arrays, f"{key}/image", WARPED)
    flip = augmentation.Change(flip=True)
    mirrored = augmentation.apply_to_image(image, flip, side)
    recordings.assert_checksum(mirrored, arrays["aug/flip/image_chk"], EXACT)
    flipped = augmentation.apply_to_landmarks(landmarks, flip, side)
    np.testing.assert_allclose(flipped, arrays["aug/flip/lms3d"], atol=LANDMARKS)
    np.testing.assert_allclose(flipped[:, :2], arrays["aug/flip/lms"], atol=LANDMARKS)
    pose = arrays["aug/flip/pose"]
    angles = augmentation.flip_pose(np.abs(pose))
    np.testing.assert_array_equal(np.abs(angles), np.abs(pose))
    np.testing.assert_array_equal(np.sign(angles), np.sign(pose))


@pytest.mark.golden("parface", "geometry*.npz")
def test_centre_crop(recording, arrays):
    image, landmarks = arrays["aug/image"], arrays["aug/landmarks3d"]
    size = int(arrays["boxes/crop_size"])
    plain = augmentation.Change()
    cut = augmentation.apply_to_image(image, plain, size)
    recordings.assert_checksum(cut, arrays["aug/center/image_chk"], 1e-9)
    points = augmentation.centre_crop(landmarks, len(image), size)
    np.testing.assert_allclose(points, arrays["aug/center/lms3d"], atol=LANDMARKS)
    np.testing.assert_allclose(points[:, :2], arrays["aug/center/lms"], atol=LANDMARKS)
    tensor = recordings.normalized(cut).transpose(2, 0, 1)
    np.testing.assert_allclose(
        tensor[:, ::8, ::8], arrays["aug/center/tensor_s8"], atol=1e-6
    )
    for plane, recorded in zip(tensor, arrays["aug/center/tensor_chk"], strict=True):
        recordings.assert_checksum(plane, recorded, 1e-5)


@pytest.mark.golden("parface", "geometry*.npz")
def test_random_pipelines(recording, arrays):
    image, landmarks = arrays["aug/image"], arrays["aug/landmarks3d"]
    side, size = len(image), int(arrays["boxes/crop_size"])
    keys = [key for key in arrays if re.fullmatch(r"aug/pipeline_daug\d/draws", key)]
    assert keys
    for draws_key in keys:
        key = draws_key.rpartition("/")[0]
        draws = iter(zip(arrays[draws_key], arrays[f"{key}/draw_kinds"], strict=True))

        def uniform(low, high, draws=draws):
            (wanted_low, wanted_high, value), kind = next(draws)
            assert kind == ("random" if (low, high) == (0.0, 1.0) else "uniform")
            assert (low, high) == pytest.approx((wanted_low, wanted_high))
            return float(value)

        change = augmentation.draw(int(key[-1]), side, uniform)
        assert next(draws, None) is None
        found = augmentation.apply_to_image(image, change, size)
        _picture(found, arrays, f"{key}/image", WARPED)
        points = augmentation.apply_to_landmarks(landmarks, change, side)
        points = augmentation.centre_crop(points, side, size)
        np.testing.assert_allclose(points, arrays[f"{key}/lms3d"], atol=LANDMARKS)
        np.testing.assert_allclose(points[:, :2], arrays[f"{key}/lms"], atol=LANDMARKS)


def _enlarged_bilinearly(image, side):
    """uint8 [side, side, 3], with the fixed-point numbers of OpenCV's resize."""
    place = (np.arange(side) + 0.5) * (len(image) / side) - 0.5
    first = np.floor(place).astype(int)
    second_weight = np.rint((place - first) * 2048).astype(int)[:, None]
    pairs = [(first.clip(0), 2048 - second_weight), (first + 1, second_weight)]
    pairs = [(at.clip(0, len(image) - 1), weight) for at, weight in pairs]
    wide = sum(image[:, at].astype(int) * weight for at, weight in pairs)
    tall = sum(((wide[at] >> 4) * weight[..., None]) >> 16 for at, weight in pairs)
    return ((tall + 2) >> 2).astype(np.uint8)


@pytest.mark.golden("parface", "geometry*.npz")
def test_occlusion(recording, arrays):
    size = int(arrays["boxes/crop_size"])
    side = size + int(arrays["boxes/margin"])
    draws = iter(arrays["occ/draws"].tolist())

    def integers(low, high):
        wanted_low, wanted_high, value = next(draws)
        assert (low, high) == (wanted_low, wanted_high)
        return value

    drawn = occlusion.draw(side, size, integers)
    assert next(draws, None) is None
    # This crop was enlarged bilinearly, its neighbours in the file bicubically.
    crop = _enlarged_bilinearly(arrays["crop/painting/image"], side)
    found = occlusion.apply_to_image(crop, drawn)
    shown = found[::8, ::8].astype(int)
    hidden = (found != crop).any(axis=-1)[::8, ::8]
    assert 100 < hidden.sum() < 0.1 * hidden.size
    recorded = arrays["occ/image_s8"].astype(int)
    np.testing.assert_array_equal(shown[~hidden], recorded[~hidden])
    assert np.abs(shown - recorded)[hidden].max() <= RESIZED
    recordings.assert_checksum(found, arrays["occ/image_chk"], 1e-5)
