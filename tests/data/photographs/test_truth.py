"""What the factory says is true of a photograph is true of it."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data import photographs
from tf_faces.data.photographs import heads, worn
from tf_faces.geometry import cameras, uv
from tf_faces.morphable import raw_form

MODELS = ("builtin:tiny", "ict", "makehuman")


def draw(model, index=0, **changes):
    changes = {"size": 64, "yaw": 50.0, "occluders": 0.0, **changes}
    return photographs.draw(photographs.Settings(model=model, **changes), 5, index)


def projected(matrix, vertices):
    """Homogeneous projection in float64."""
    found = np.c_[vertices.astype(np.float64), np.ones(len(vertices))] @ matrix.T
    return found[:, :2] / found[:, 2:]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("camera", ["weak", "perspective"])
def test_landmarks_are_projected_vertices(open_heads, model, camera):
    one = draw(model, camera=camera)
    found = photographs.fields(
        one, ("shape", "expression", "camera", "pose", "vertices", "landmarks")
    )
    loaded = raw_form.load(model)
    vertices = loaded.vertices(found["shape"], found["expression"])
    points = vertices[loaded.landmarks68]
    exact = projected(found["camera"].astype(np.float64), points)
    np.testing.assert_allclose(found["landmarks"][:, :2], exact, atol=1e-3)
    np.testing.assert_allclose(
        found["vertices"][loaded.landmarks68], found["landmarks"], atol=1e-3
    )
    pose = found["pose"].astype(np.float64)
    by_pose = np.asarray(cameras.project_pose(vertices.astype(np.float64), pose, 64))
    np.testing.assert_allclose(found["vertices"][:, 2], by_pose[:, 2], atol=1e-3)
    if camera == "weak":
        np.testing.assert_allclose(found["vertices"], by_pose, atol=1e-3)
    else:
        assert np.abs(found["vertices"] - by_pose)[loaded.landmarks68].max() > 0.05
        # The two agree where the head's centre is.
        middle = one.view.centre[None] * 1e4
        np.testing.assert_allclose(
            projected(found["camera"].astype(np.float64), middle),
            np.asarray(cameras.project_pose(middle, pose, 64))[:, :2],
            atol=1e-3,
        )


@pytest.mark.parametrize("model", MODELS)
def test_position_map_at_the_landmarks(open_heads, model):
    """A map read where the chart has the landmarks gives them."""
    one = draw(model, camera="perspective")
    resolution = 192
    chart = photographs.lay_out(one.head.model, resolution)
    found = photographs.fields(one, ("position_map", "landmarks"), chart)
    assert found["position_map"].shape == (resolution, resolution, 3)
    on_pixels = (chart.landmarks == np.rint(chart.landmarks)).all(axis=1)
    assert on_pixels.sum() > 60
    sampled = uv.sample_map(found["position_map"], chart.landmarks[on_pixels])
    np.testing.assert_allclose(sampled, found["landmarks"][on_pixels], atol=1e-3)
    # The chart is the model's own but for half a pixel at the landmarks.
    exact = photographs.lay_out(one.head.model, resolution, landmarks_on_pixels=False)
    moved = np.abs(chart.landmarks - exact.landmarks)
    assert np.nanmax(moved) <= 0.5 + 1e-4 and np.nanmedian(moved) > 0.1
    other = photographs.fields(one, ("position_map",), exact)["position_map"]
    changed = np.linalg.norm(found["position_map"] - other, axis=-1) > 1e-3
    assert 0 < changed.mean() < 0.1


@pytest.mark.parametrize("model", MODELS)
def test_finer_maps_miss_the_landmarks_by_less(open_heads, model):
    """Off the pixels' centres a map misses what is bent, by parts of its pixel."""
    one = draw(model, camera="perspective")
    errors = []
    for resolution in (128, 512):
        chart = photographs.lay_out(
            one.head.model, resolution, landmarks_on_pixels=False
        )
        found = photographs.fields(one, ("position_map", "landmarks"), chart)
        known = np.isfinite(chart.landmarks).all(axis=1)
        assert known.sum() > 60
        # Beside the chart's edges only what it covers counts.
        places = chart.landmarks[known]
        sampled = uv.sample_map(found["position_map"], places)
        sampled /= uv.sample_map(chart.covered[..., None].astype(np.float32), places)
        error = np.linalg.norm(sampled - found["landmarks"][known], axis=1)
        errors.append(np.median(error))
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.06


def test_a_chart_of_pixels_holds_the_vertices_exactly():
    model = raw_form.load("builtin:tiny")
    one = draw("builtin:tiny")
    chart = photographs.lay_out(model, 64, landmarks_on_pixels=False)
    found = photographs.fields(one, ("position_map", "vertices"), chart)
    flat = found["position_map"].reshape(-1, 3)
    # Where a pixel is all one vertex it holds that vertex.
    whole = chart.weights.max(axis=1) > 1 - 1e-6
    assert whole.any()
    corner = chart.weights[whole].argmax(axis=1)
    vertex = chart.vertices[whole][np.arange(whole.sum()), corner]
    np.testing.assert_allclose(flat[whole], found["vertices"][vertex], atol=1e-3)
    # And each landmark lies where its texture coordinate says.
    coordinates = model.texture_coordinates[model.landmarks68]
    expected = np.stack([coordinates[:, 0] * 63, 63 - coordinates[:, 1] * 63], axis=-1)
    np.testing.assert_allclose(chart.landmarks, expected, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_mask_labels_and_visibility_agree(open_heads, model):
    seen = hidden = 0
    for index in range(4):
        one = draw(model, index, occluders=1.0, yaw=90.0)
        found = photographs.fields(
            one,
            ("mask", "surface", "labels", "landmarks", "landmarks_visible", "depth"),
        )
        mask, labels = found["mask"] > 0, found["labels"]
        assert not mask[found["surface"] == 0].any()
        assert not mask[one.occluded > 0.5].any()
        in_the_way = [heads.LABEL[x] for x in ("hair", "glasses", "occluder")]
        assert not mask[np.isin(labels, in_the_way) & (one.hidden > 0.5)].any()
        assert (found["depth"][found["surface"] == 0] == 0).all()
        points = found["landmarks"]
        for number in np.flatnonzero(found["landmarks_visible"]):
            column, row = np.rint(points[number, :2]).astype(int)
            # Within the mask, or at its edge.
            around = mask[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            assert around.any()
            seen += 1
        hidden += int((found["landmarks_visible"] == 0).sum())
    assert seen and hidden


def nearest_hits(origins, directions, corners):
    """Distances [r] along rays to triangles [t, 3, 3], by Moeller and Trumbore."""
    first, along, across = (
        corners[:, 0],
        corners[:, 1] - corners[:, 0],
        corners[:, 2] - corners[:, 0],
    )
    distances = np.full(len(origins), np.inf)
    for number, (origin, direction) in enumerate(zip(origins, directions, strict=True)):
        normal = np.cross(direction, across)
        determinant = (along * normal).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = origin - first
            u = (offset * normal).sum(axis=1) / determinant
            other = np.cross(offset, along)
            v = other @ direction / determinant
            t = (across * other).sum(axis=1) / determinant
        hit = (np.abs(determinant) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1)
        if hit.any():
            distances[number] = t[hit].min()
    return distances


@pytest.mark.parametrize("camera", ["weak", "perspective"])
@pytest.mark.parametrize("model", ["makehuman", "builtin:tiny"])
def test_depth_against_rays(open_heads, model, camera):
    """A ray caster finds the surface where the depth map has it."""
    one = draw(model, yaw=40.0, camera=camera)
    found = photographs.fields(
        one, ("shape", "expression", "pose", "camera", "depth", "surface")
    )
    loaded = raw_form.load(model)
    solid = loaded.opaque_part
    vertices = solid.vertices(found["shape"], found["expression"]) / 1e4
    corners = vertices[solid.full_triangles].astype(np.float64)
    rows, columns = np.nonzero(found["surface"])
    chosen = np.random.default_rng(0).choice(len(rows), 60, replace=False)
    rows, columns = rows[chosen], columns[chosen]
    matrix = found["camera"].astype(np.float64)
    matrix[:, :3] *= 1e4
    rotation = one.view.rotation
    if camera == "weak":
        backwards = rotation[2]
        start = np.stack([columns, rows], -1) - matrix[:2, 3]
        origins = start @ np.linalg.pinv(matrix[:2, :3]).T + 100 * backwards
        directions = np.tile(-backwards, (len(rows), 1))
    else:
        eye = -np.linalg.solve(matrix[:, :3], matrix[:, 3])
        origins = np.tile(eye, (len(rows), 1))
        directions = np.linalg.solve(
            matrix[:, :3], np.stack([columns, rows, np.ones(len(rows))])
        ).T
    along = nearest_hits(origins, directions, corners)
    assert np.isfinite(along).mean() > 0.95  # Rays may slip through along edges.
    hit = np.isfinite(along)
    points = origins[hit] + along[hit, None] * directions[hit]
    pose = found["pose"].astype(np.float64)
    expected = pose[6] * 1e4 * points @ rotation[2] + pose[5]
    extent = np.ptp(vertices, axis=0).max() * pose[6] * 1e4
    error = np.abs(expected - found["depth"][rows, columns][hit])
    assert error.max() < 1e-3 * extent


def test_normals_point_to_the_camera_and_fit_the_depth(no_data):
    one = draw("builtin:tiny", yaw=10.0, camera="weak")
    found = photographs.fields(one, ("normals", "depth", "mask"))
    mask = found["mask"] > 0
    inner = mask[1:-1, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2]
    inner &= mask[2:, 1:-1] & mask[:-2, 1:-1]
    depth, normal = found["depth"], found["normals"][1:-1, 1:-1]
    slope = np.stack(
        [
            (depth[1:-1, :-2] - depth[1:-1, 2:]) / 2,
            (depth[2:, 1:-1] - depth[:-2, 1:-1]) / 2,
            np.ones_like(depth[1:-1, 1:-1]),
        ],
        axis=-1,
    )
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
    agreement = (slope * normal).sum(axis=-1)[inner]
    assert np.median(agreement) > 0.98
    lengths = np.linalg.norm(found["normals"][mask], axis=-1)
    np.testing.assert_allclose(lengths, 1, atol=1e-4)


def test_coarse_parameters_repeat_the_others(no_data):
    one = draw("builtin:tiny")
    found = photographs.fields(
        one, ("coarse_parameters", "pose", "shape", "expression")
    )
    assert found["coarse_parameters"].shape == (235,)
    expected = np.concatenate([found["pose"], found["shape"], found["expression"]])
    np.testing.assert_array_equal(found["coarse_parameters"], expected)


@pytest.mark.parametrize(("model", "length"), [("ict", 259), ("makehuman", 0)])
def test_coarse_parameters_hold_every_coefficient(open_heads, model, length):
    one = draw(model, expression=1.0)
    found = photographs.fields(
        one, ("coarse_parameters", "pose", "shape", "expression")
    )
    numbers, shape = found["coarse_parameters"], found["shape"]
    start = 7 + max(199, len(shape))
    assert len(numbers) == start + max(29, len(found["expression"]))
    assert not length or len(numbers) == length
    np.testing.assert_array_equal(numbers[:7], found["pose"])
    np.testing.assert_array_equal(numbers[7:][: len(shape)], shape)
    assert not numbers[7 + len(shape) : start].any()
    found_there = numbers[start:][: len(found["expression"])]
    np.testing.assert_array_equal(found_there, found["expression"])
    assert found_there.any()


def test_fields_that_cannot_be_had_are_refused(open_heads):
    one = draw("ict")
    with pytest.raises(InputError, match="needs a chart"):
        photographs.fields(one, ("position_map",))
    with pytest.raises(InputError, match="field must be one of .*'colour'"):
        photographs.fields(one, ("colour",))


def test_albedo_and_labels_are_of_the_drawn_head(open_heads):
    one = draw("ict", hair=0.0, yaw=10.0, pitch=5.0, roll=5.0)
    found = photographs.fields(one, ("albedo", "labels", "surface"))
    named = {heads.LABELS[number] for number in np.unique(found["labels"])}
    assert {"background", "skin", "eye", "neck"} <= named
    skin = found["labels"] == heads.LABEL["skin"]
    assert (found["albedo"][skin].min(axis=-1) > 0).all()
    assert (found["albedo"][found["labels"] == 0] == 0).all()
    assert worn.WORN == ("hair", "glasses", "eyebrows", "eyelashes")
