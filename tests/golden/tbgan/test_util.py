"""Meshes, OBJ/MTL files and interpolation latents of TBGAN's util_scripts.py."""

import json
import pathlib
import re
import sys

import numpy as np
import pytest

from tests.golden import drawing, processes
from tests.golden.tbgan import networks as tbgan_networks
from tf_faces.core import pickles
from tf_faces.data import images
from tf_faces.geometry.mesh_files import obj
from tf_faces.models import tbgan as networks
from tf_faces.morphable import uv_dictionary
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import maps as tbgan_maps
from tf_faces.pipelines.tbgan import pictures

LATENTS_ROW = r"latents_row(\d+)"


def chart(folder):
    return uv_dictionary.load(drawing.beside(folder, "512_UV_dict.pkl"))


@pytest.mark.golden("tbgan", "util/512_UV_dict.pkl", "util/uv_dict.npz")
def test_uv_dictionary(recording):
    with np.load(drawing.beside(recording.parent, "uv_dict.npz")) as expected:
        loaded = chart(recording.parent)
        assert set(expected.files) <= {"tcoords", "tcoords_pixel_scaled", "trilist"}
        for name in expected.files:
            np.testing.assert_array_equal(getattr(loaded, name), expected[name])


@pytest.mark.golden("tbgan", "util/uv_to_mesh.npz")
def test_uv_to_mesh(recording):
    short = drawing.recording_set(recording.parent.parent)["short"]
    row = np.arange(512, dtype=np.float64)[:, None]
    column = np.arange(512, dtype=np.float64)[None]
    waves = [
        np.sin(0.01 * (c + 1) * row) + np.cos(0.013 * (c + 1) * column)
        for c in range(3)
    ]
    noise = drawing.normal(f"{short}_uv/noise", (3, 512, 512))
    shape = np.stack(waves).astype(np.float32) + np.float32(0.1) * noise
    maps = np.zeros((512, 512, 9), np.float32)
    maps[..., 3:6] = np.moveaxis(shape, 0, -1)
    pipeline = tbgan.TbganPipeline(
        lambda latents, labels: maps[None],
        latent_size=1,
        label_size=0,
        resolution=512,
        channels=9,
        dictionary=chart(recording.parent),
    )
    with np.load(recording) as expected:
        for key, smoothing in (("points", None), ("points_unsmoothed", 0)):
            mesh = pipeline.mesh(maps, smoothing=smoothing, bilinear=False)
            np.testing.assert_allclose(
                mesh.vertices, expected[key], rtol=1e-6, atol=1e-6
            )
            np.testing.assert_array_equal(mesh.triangles, expected["trilist"])


@pytest.mark.golden("tbgan", "util/000000.obj.txt")
def test_obj(recording, tmp_path):
    loaded = chart(recording.parent)
    with np.load(drawing.beside(recording.parent, "vertices.npz")) as stored:
        vertices = stored["vertices"][0]
    path = obj.write_obj_arrays(
        tmp_path / recording.name.removesuffix(".txt"),
        vertices,
        loaded.trilist,
        style=obj.TBGAN,
        texture=np.zeros((4, 4, 3), np.uint8),
        texture_coordinates=loaded.tcoords,
    )[-1]
    assert path.read_bytes() == recording.read_bytes()


@pytest.mark.golden("tbgan", "util/000000.mtl.txt")
def test_mtl(recording, tmp_path):
    name = recording.name.removesuffix(".mtl.txt")
    _, path, _ = obj.write_obj_arrays(
        tmp_path / f"{name}.obj",
        np.eye(3),
        [[0, 1, 2]],
        style=obj.TBGAN,
        texture=np.zeros((4, 4, 3)),
        texture_coordinates=np.eye(3)[:, :2],
    )
    assert path.read_bytes() == recording.read_bytes()


def only(pattern, names):
    """The one name that has a form."""
    (found,) = [match for match in (re.fullmatch(pattern, n) for n in names) if match]
    return found


@pytest.mark.golden("tbgan", "util/interp_latents.npz")
def test_interpolation_latents(recording):
    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    with np.load(recording) as expected:
        first = only(r"a_(\d+)x(\d+)x(\d+)_seed(\d+)_sub", expected.files)
        frames, grid, size, seed = map(int, first.groups())
        walk = tbgan_maps.interpolation_inputs(frames, grid, size, 0.1 * 30, seed)
        np.testing.assert_allclose(
            walk[::15, 0, ::40], expected[first.string], **tolerance
        )
        labels = expected["a_labels"]
        np.testing.assert_allclose(
            walk[:, 0, size - labels.shape[1] :], labels, **tolerance
        )
        second = only(r"b_(\d+)x(\d+)x(\d+)", expected.files)
        frames, grid, size = map(int, second.groups())
        walk = tbgan_maps.interpolation_inputs(
            frames, grid, size, 30, int(expected["b_seed"])
        )
        np.testing.assert_allclose(
            walk[::6, :, ::16], expected[second.string], **tolerance
        )


def recorded_generator(folder):
    """The network behind the animation and the fakes, with the weights drawn."""
    short = drawing.recording_set(folder.parent)["short"]
    with np.load(drawing.beside(folder, "interpolation.npz")) as stored:
        options = json.loads(str(stored["config"]))
    generator = networks.Generator(networks.GeneratorConfig.from_dict(options))
    tbgan_networks.fill(generator, f"{short}_u1/Gs", True)
    return generator


def save_fake_images(recording, path) -> None:
    """Writes `latents` [N, S] up to the recorded row and its `maps` [H, W, C]."""
    with np.load(recording) as stored:
        number = int(only(LATENTS_ROW, stored.files)[1])
        seed, lod = int(stored["random_seed"]), float(stored["lod"])
    generator = recorded_generator(pathlib.Path(recording).parent)
    random = np.random.RandomState(seed)
    latents = random.randn(number + 1, generator.config.latent_size).astype(np.float32)
    labels = np.zeros((1, generator.config.label_size), np.float32)
    (maps,) = np.asarray(generator(latents[[number]], labels, lod))
    np.savez(path, latents=latents, maps=maps)


@pytest.mark.golden("tbgan", "util/fake_images.npz")
def test_fake_images(recording, tmp_path):
    """generate_fake_images: no labels, one random stream over all images."""
    with np.load(recording) as stored:
        expected = dict(stored)
    found = only(LATENTS_ROW, expected)
    latents_key, number = found.string, int(found[1])
    assert set(expected) == {
        *("shp_sub", "nor_sub", "tex_sub", "shp_dtype", "random_seed", "lod"),
        latents_key,
    }
    drawing.beside(recording.parent, "interpolation.npz")
    made = tmp_path / "made.npz"
    # One pixel with a small norm is more than a thousandth of the recorded part of a
    # map, so all processors must sum alike: by the instructions that each has.
    processes.run(__name__, recording, made, ONEDNN_MAX_CPU_ISA="SSE41")
    with np.load(made) as stored:
        latents, maps = stored["latents"], stored["maps"]
    np.testing.assert_array_equal(latents[number], expected[latents_key])
    texture, shape, normals = images.split_modalities(maps)
    for key, found in (("shp_sub", shape), ("nor_sub", normals)):
        assert str(found.dtype) == str(expected["shp_dtype"])
        step = found.shape[0] // expected[key].shape[-1]
        difference = np.abs(np.moveaxis(found[::step, ::step], -1, 0) - expected[key])
        assert difference.max() < 3e-4 and np.quantile(difference, 0.999) < 6e-5
    picture = images.to_uint8(texture, (-1, 1))
    step = len(picture) // len(expected["tex_sub"])
    difference = picture[::step, ::step].astype(int) - expected["tex_sub"]
    # Values near one half are rounded to either side of it.
    assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 1e-2


@pytest.fixture(scope="module")
def interpolated(golden_directory):
    """The faces of the recorded animation, made again from latents and weights."""
    folder = golden_directory / "tbgan" / "util"
    generator = recorded_generator(folder)
    with np.load(drawing.beside(folder, "interpolation.npz")) as stored:
        expected = dict(stored)
    pipeline = tbgan.TbganPipeline.from_generator(
        generator, float(expected["lod"]), dictionary=chart(folder)
    )
    rate = int(expected["mp4_fps"])
    walk = tbgan_maps.interpolation_inputs(
        round(float(expected["duration_sec"]) * rate),
        1,
        pipeline.latent_size + pipeline.label_size,
        float(expected["smoothing_sec"]) * rate,
        int(expected["random_seed"]),
    )[:, 0]
    latents, logits = np.split(walk, [pipeline.latent_size], axis=1)
    labels = tbgan_maps.softmax(logits) * tbgan_maps.TEST_SCRIPT_LABEL_WEIGHTS
    return (
        expected,
        latents,
        labels,
        list(pipeline.faces(latents, labels, bilinear=False)),
    )


@pytest.mark.golden("tbgan", "util/interpolation.npz")
def test_interpolation(recording, interpolated):
    expected, latents, labels, faces = interpolated
    np.testing.assert_allclose(latents, expected["latents"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(labels, expected["labels"], rtol=1e-5, atol=1e-6)
    maps = np.stack([np.moveaxis(face.maps, -1, 0) for face in faces])
    step = maps.shape[-1] // expected["images_sub"].shape[-1]
    difference = np.abs(maps[:, :, ::step, ::step] - expected["images_sub"])
    # Pixel norms of few channels divide by small numbers at some pixels.
    assert difference.max() < 3e-4 and np.quantile(difference, 0.999) < 6e-5
    for name, of in (("mean", np.mean), ("std", np.std)):
        np.testing.assert_allclose(
            of(maps, axis=(2, 3), dtype=np.float64),
            expected[f"image_channel_{name}"],
            atol=1e-5,
        )


@pytest.mark.golden("tbgan", "util/vertices.npz")
def test_interpolation_vertices(recording, interpolated):
    with np.load(recording) as stored:
        expected = stored["vertices"]
    vertices = np.stack([face.mesh.vertices for face in interpolated[-1]])
    np.testing.assert_allclose(vertices, expected, atol=3e-4)


@pytest.mark.golden("tbgan", "util/fake_files.json")
def test_fake_files(recording, tmp_path):
    """Each fake's texture, shape and normals have the original's names."""
    pipeline = tbgan.TbganPipeline(
        lambda latents, labels: np.zeros((len(latents), 8, 8, 9), np.float32),
        latent_size=1, label_size=0, resolution=8, channels=9,
    )  # fmt: skip
    expected = set(json.loads(recording.read_text())) - {"_done.txt", "config.txt"}
    count = len(expected) // 3
    made = pictures.write_fakes(
        pipeline, tmp_path, np.zeros((count, 1)), np.zeros((count, 0)), prefix="x"
    )
    assert len(list(made)) == count
    assert {path.name for path in tmp_path.iterdir()} == expected


@pytest.mark.golden("tbgan", "util/files.json")
def test_interpolation_files(recording, interpolated, tmp_path):
    """Each face's mesh, material and texture have the original's names."""
    dictionary = chart(recording.parent)
    written = set()
    for number, face in enumerate(interpolated[-1]):
        paths = obj.write_obj_arrays(
            tmp_path / f"{number:06d}.obj",
            face.mesh.vertices,
            dictionary.trilist,
            style=obj.TBGAN,
            texture=face.texture,
            texture_coordinates=dictionary.tcoords,
        )
        written |= {path.name for path in paths} | {f"{number:06d}_nor.png"}
    # What a folder of results holds besides.
    others = {"_done.txt", "config.txt", "lsfm_params.pkl"}
    assert sorted(written | others) == json.loads(recording.read_text())


@pytest.mark.golden("tbgan", "util/pngs_sub.npz")
def test_interpolation_pictures(recording, interpolated):
    face = interpolated[-1][0]
    with np.load(recording) as expected:
        for name, picture in (
            ("texture", face.texture),
            ("normals", tbgan_maps.normals_image(face.maps)),
        ):
            assert picture.shape == tuple(expected[f"{name}_shape"])
            recorded = expected[name].astype(int)
            step = len(picture) // len(recorded)
            difference = np.abs(picture[::step, ::step].astype(int) - recorded)
            # Values near a whole number are truncated to either side of it.
            assert difference.max() <= 1 and (difference > 0).mean() < 1e-2
            np.testing.assert_allclose(
                picture.mean(axis=(0, 1)), expected[f"{name}_mean"], atol=1e-2
            )


def test_the_pickle_is_read_without_running_it(golden_directory):
    path = drawing.beside(golden_directory / "tbgan" / "util", "512_UV_dict.pkl")
    with pytest.raises(pickles.ForbiddenPickleError):
        pickles.load_pickle(path)


if __name__ == "__main__":
    save_fake_images(*sys.argv[1:])
