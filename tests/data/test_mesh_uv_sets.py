"""Registered meshes as coupled UV sets and record sets; what is refused."""

import numpy as np
import pytest

from tests.data import coupled_source
from tf_faces.apps.tbgan import dataset_tool
from tf_faces.core import pickles, pictures
from tf_faces.core.errors import InputError
from tf_faces.data import mesh_uv_sets, uv_sets
from tf_faces.data.record_sets import reader
from tf_faces.geometry import mesh_files
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable import uv_dictionary

SIDE = 9


def relief(height, **changes):
    """A square relief with its chart; red grows along u, green along v."""
    places = np.linspace(0, 1, SIDE)
    u, v = (part.ravel() for part in np.meshgrid(places, places))
    bump = np.sin(np.pi * u) * np.sin(np.pi * v)
    number = np.arange(SIDE**2).reshape(SIDE, SIDE)
    a, b, c, d = (
        number[low, left].ravel()
        for low in (slice(-1), slice(1, None))
        for left in (slice(-1), slice(1, None))
    )
    levels = np.rint(np.linspace(0, 255, 128)).astype(np.uint8)
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[..., 0], picture[..., 1] = levels, levels[::-1, None]
    return Mesh(
        **{
            "vertices": np.stack([80 * u, 60 * v, height * bump + 5], axis=1),
            "triangles": np.concatenate(
                [np.stack([a, b, d], 1), np.stack([a, d, c], 1)]
            ),
            "texture_coordinates": np.stack([u, v], axis=1),
            "texture": picture,
            "unit": "mm",
            **changes,
        }
    )


@pytest.fixture
def meshes(tmp_path):
    folder = tmp_path / "meshes"
    for number in range(5):
        mesh_files.write_mesh(folder / f"scan.{number}.obj", relief(10.0 * number))
    return folder


def made(folder, key):
    return (
        pictures.read(folder / "texture" / f"{key}.png"),
        *(
            pickles.load_pickled_array(folder / name / f"{key}.pkl")
            for name in ("shape", "normals")
        ),
    )


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".npz"  # Zip archives hold the time.
    }


def make(folder, meshes, **options):
    return mesh_uv_sets.make_mesh_set(
        folder, meshes, 32, show_progress=False, **options
    )


def test_maps_become_the_meshes_again(meshes, tmp_path):
    folder = make(tmp_path / "maps", meshes)
    dictionary = uv_dictionary.load(folder / "uv_dictionary.npz")
    assert dictionary.unit == "mm" and dictionary.tmask.all()
    # One chart vertex a vertex, sorted alike: there are no seams.
    np.testing.assert_allclose(dictionary.neutral, relief(20.0).vertices, atol=1e-5)
    for number in range(5):
        texture, shape, normals = made(folder, f"scan.{number}")
        assert np.abs(shape).max() <= 1 + 1e-6
        back = dictionary.vertices(shape)
        # Edges lie between pixels, which are 2.6 wide and cut them off.
        np.testing.assert_allclose(back, relief(10.0 * number).vertices, atol=0.5)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-5)
        # Of x, y and the slopes of the bump at a quarter of both, rows from the top.
        slope = 10.0 * number * np.pi / 2
        expected = np.array([-slope / 80, -slope / 60, 1])
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(normals[:, 23, 8], expected, atol=0.05)
        np.testing.assert_allclose(texture[16, :, 0], np.linspace(0, 255, 32), atol=5)
        np.testing.assert_allclose(texture[:, 16, 1], np.linspace(255, 0, 32), atol=5)


def test_vertex_colours_and_seams(tmp_path):
    mesh = relief(0.0, texture=None)
    colors = np.stack([mesh.texture_coordinates[:, 0]] * 3, axis=1)
    # Two charts side by side, cut where u is a half.
    left = mesh.triangles[(mesh.vertices[mesh.triangles, 0] <= 40).all(axis=1)]
    right = mesh.triangles[(mesh.vertices[mesh.triangles, 0] >= 40).all(axis=1)]
    places = np.asarray(mesh.texture_coordinates)
    shrunk = places * (0.9, 1)
    cut = relief(
        0.0,
        texture=None,
        vertex_colors=colors,
        triangles=np.concatenate([left, right]),
        texture_coordinates=np.concatenate([shrunk, shrunk + (0.1, 0)]),
        texture_triangles=np.concatenate([left, right + SIDE**2]),
    )
    mesh_files.write_mesh(tmp_path / "meshes" / "a.obj", cut)
    folder = make(tmp_path / "maps", tmp_path / "meshes")
    texture, shape, normals = made(folder, "a")
    np.testing.assert_allclose(texture[5, [0, -1]], [[0] * 3, [255] * 3])
    # The seam's two sides hold the same places, and the surface is flat across it.
    np.testing.assert_allclose(normals[2], 1, atol=1e-5)
    dictionary = uv_dictionary.load(folder / "uv_dictionary.npz")
    assert len(dictionary.tcoords) == SIDE**2 + SIDE
    found = dictionary.vertices(shape)
    assert len(np.unique(np.rint(found).astype(int), axis=0)) == SIDE**2


def test_processes_and_interruptions_do_not_matter(tmp_path, monkeypatch):
    meshes = tmp_path / "meshes"
    for number in range(20):
        mesh_files.write_mesh(meshes / f"{number:02d}.glb", relief(number))
    whole = make(tmp_path / "whole", meshes, processes=2)
    original, calls = uv_sets._write_batch, []

    def stop_at_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    folder = tmp_path / "maps"
    monkeypatch.setattr(uv_sets, "_write_batch", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        make(folder, meshes)
    monkeypatch.setattr(uv_sets, "_write_batch", original)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "shape").iterdir()}
    assert len(kept) == 16 and not (folder / "uv_set.json").exists()
    make(folder, meshes)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert content(folder) == content(whole)
    # Other meshes under the same names are another set.
    mesh_files.write_mesh(meshes / "07.glb", relief(70))
    with pytest.raises(InputError, match="differs in content"):
        make(folder, meshes)


WRONG = {
    "another topology": (
        {"triangles": relief(0).triangles[::-1]},
        "expected the topology of",
    ),
    "no chart": (
        {"texture_coordinates": None, "texture": None},
        "no texture coordinates",
    ),
    "another chart": (
        {"texture_coordinates": relief(0).texture_coordinates * np.float32(0.5)},
        "texture coordinates differ",
    ),
    "no picture": ({"texture": None}, "no texture picture"),
    "another unit": ({"unit": "m"}, "found the unit m, expected mm"),
}


def refused(capsys, *arguments):
    assert dataset_tool.main([str(argument) for argument in arguments]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("Error: ")
    return message


@pytest.mark.parametrize("name", WRONG)
def test_meshes_that_do_not_fit_are_named(meshes, tmp_path, capsys, name):
    changes, expected = WRONG[name]
    mesh_files.write_mesh(meshes / "scan.3.obj", relief(1.0, **changes))
    if name == "no picture":
        (meshes / "scan.3.png").unlink()
    records = tmp_path / "records"
    message = refused(capsys, "create_from_meshes", records, meshes)
    assert expected in message and "scan.3.obj" in message
    assert not records.exists() and not (tmp_path / "records-maps").exists()


def test_other_wrong_input(meshes, tmp_path, capsys):
    records = tmp_path / "records"
    for arguments, expected in (
        ([], "found neither of a folder of meshes and --model"),
        ([meshes, "--model", "builtin"], "found both"),
        ([meshes, "--seed", 1], "--seed: found without --model"),
        (["--model", "builtin:tiny", "--labels", "x"], "--labels and --paths belong"),
        ([meshes, "--labels", tmp_path / "no.npy", "--paths", "x"], "no.npy"),
        ([tmp_path / "nowhere"], "nowhere"),
    ):
        message = refused(capsys, "create_from_meshes", records, *arguments)
        assert expected in message
    path = meshes / "scan.0.obj"
    lines = path.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("v "))
    lines[first] = "v nan 0 0"
    path.write_text("\n".join(lines))
    message = refused(capsys, "create_from_meshes", records, meshes)
    assert "scan.0.obj" in message
    assert not records.exists() and not (tmp_path / "records-maps").exists()


def test_record_set_of_meshes(meshes, tmp_path):
    labels = np.eye(7, dtype=np.float32)[:5]
    coupled_source.write_pickle(tmp_path / "labels.pkl", labels)
    names = [f"scan.{number}" for number in range(5)]
    coupled_source.write_pickle(tmp_path / "paths.pkl", names)
    records, maps = tmp_path / "records", tmp_path / "kept"
    arguments = ["create_from_meshes", records, meshes, "--resolution", 32, "--maps",
                 maps, "--shuffle", 0, "--labels", tmp_path / "labels.pkl", "--paths",
                 tmp_path / "paths.pkl", "--processes", 1]  # fmt: skip
    assert dataset_tool.main([str(argument) for argument in arguments]) == 0
    found = reader.RecordSet(records)
    assert (found.count, found.shape) == (5, (9, 32, 32))
    np.testing.assert_array_equal(found.labels, labels)
    with found.open(0) as opened:
        image = found.checked_image(opened, 3)
    texture, shape, normals = made(maps, "scan.3")
    np.testing.assert_array_equal(image[3:], np.concatenate([shape, normals]))
    colors = np.moveaxis(texture, -1, 0) / 127.5 - 1
    np.testing.assert_allclose(image[:3], colors, atol=1e-6)
    assert (records / "uv_dictionary.npz").is_file()


def test_record_set_of_a_model(tmp_path):
    model = ["--model", "builtin:tiny", "--count", "3", "--resolution", "32"]
    records = tmp_path / "records"
    assert dataset_tool.main(
        ["create_from_meshes", str(records), *model, "--processes", "1"]
    ) == 0  # fmt: skip
    parts = [str(tmp_path / "uv" / name) for name in ("texture", "shape", "normals")]
    assert dataset_tool.main(["make_uv_set", str(tmp_path / "uv"), *model]) == 0
    again = ["create_from_pkl_img_norm", str(tmp_path / "again"), *parts, "--labels",
             str(tmp_path / "uv" / "labels.pkl"), "--paths",
             str(tmp_path / "uv" / "paths.pkl")]  # fmt: skip
    assert dataset_tool.main(again) == 0
    assert dataset_tool.main(["compare", str(records), str(tmp_path / "again")]) == 0
