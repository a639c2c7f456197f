"""The programs generate.py and export.py through their own command lines."""

import json

import numpy as np
import PIL.Image
import pytest

from tf_faces.apps import export
from tf_faces.apps.tbgan import generate, sources
from tf_faces.core.errors import InputError
from tf_faces.geometry import mesh_files
from tf_faces.models import tbgan as networks
from tf_faces.training import checkpoints

OPTIONS = {"fmap_base": 32, "fmap_max": 4, "lod_sep": 4}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    generator = networks.Generator(
        networks.GeneratorConfig(num_channels=9, resolution=32, label_size=7, **OPTIONS)
    )
    checkpoints.save(
        folder / "000-pgan-tiny" / "snapshots",
        images=100,
        variables={"Gs": generator.variables_by_name()},
        state={},
        configuration={"G": {**OPTIONS, "latent_size": 0}, "data_dir": str(folder)},
    )
    return folder / "000-pgan-tiny"


def test_generate(run_folder, tmp_path, capsys):
    output = tmp_path / "faces"
    status = generate.main(
        [str(run_folder), "--output", str(output), "--count", "2", "--uv_dictionary",
         "grid", "--seed", "4"]
    )  # fmt: skip
    assert status == 0
    printed = capsys.readouterr().out
    assert str(output / "faces.html") in printed
    for name in ("face0000", "face0001"):
        meshes = [
            mesh_files.read_mesh(output / f"{name}{suffix}")
            for suffix in mesh_files.SUFFIXES
        ]
        for mesh in meshes:
            assert len(mesh.vertices) == 1024 and mesh.texture.shape == (32, 32, 3)
        assert (output / "previews" / f"{name}.png").is_file()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_of_photographs_gives_pictures(tmp_path, capsys, channels):
    generator = networks.Generator(
        networks.GeneratorConfig(num_channels=channels, resolution=8, **OPTIONS)
    )
    run = checkpoints.save(
        tmp_path / "snapshots",
        images=100,
        variables={"Gs": generator.variables_by_name()},
        state={},
        configuration={"G": {**OPTIONS, "latent_size": 0}},
    )
    output = tmp_path / "faces"
    arguments = [str(run), "--output", str(output)]
    refused = (["--formats", "glb"], ["--nearest"], ["--normals"], ["--expressions"])
    for option in refused:
        assert generate.main([*arguments, *option]) == 2
        assert f"{option[0]}: found with {run}" in capsys.readouterr().err
    assert generate.main([*arguments, "--count", "3"]) == 0
    assert str(output / "faces.png") in capsys.readouterr().out
    sheet, *made = [
        np.asarray(PIL.Image.open(output / f"{name}.png").convert("RGB"))
        for name in ("faces", "face000000", "face000001", "face000002")
    ]
    np.testing.assert_array_equal(sheet[8:, :8], made[2])
    assert not np.array_equal(made[0], made[1])
    with pytest.raises(InputError, match=f"found maps of {channels} channels"):
        generate.write_gallery(
            sources.open_pipeline(str(run), "", None)[0], output, count=1
        )


def test_generate_expressions_and_label(run_folder, tmp_path):
    common = [str(run_folder), "--uv_dictionary", "grid", "--count", "1"]
    moving, still = tmp_path / "moving", tmp_path / "still"
    assert (
        generate.main(
            [*common, "--output", str(moving), "--formats", "glb", "--expressions"]
        )
        == 0
    )
    targets = mesh_files.read_glb(moving / "face0000.glb").morph_targets
    assert len(targets) == 7 and not (moving / "face0000.obj").exists()
    arguments = [*common, "--formats", "glb", "--label", "3", "--nearest"]
    assert generate.main([*arguments, "--output", str(still)]) == 0
    rest = mesh_files.read_glb(moving / "face0000.glb").mesh
    face = mesh_files.read_mesh(still / "face0000.glb")
    np.testing.assert_allclose(
        rest.vertices + targets["expression 3"], face.vertices, atol=3e-4
    )


def test_export_then_generate_from_it(run_folder, tmp_path, capsys):
    exports = tmp_path / "exports"
    arguments = [str(run_folder), "--output", str(exports), "--uv_dictionary", "grid"]
    assert export.main(arguments) == 0
    assert str(exports / "1") in capsys.readouterr().out
    card = json.loads((exports / "1/assets.extra/model_card.json").read_text())
    assert card["system"] == "tbgan"
    output = tmp_path / "faces"
    assert (
        generate.main(
            [str(exports), "--output", str(output), "--count", "1", "--formats", "ply"]
        )
        == 0
    )
    assert (output / "face0000.ply").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "--uv_dictionary"),
        (["{run}", "--uv_dictionary", "absent.npz"], "absent.npz"),
        (["{run}", "--uv_dictionary", "grid", "--label", "7"], "expected 0 to 6"),
        (["{run}", "--uv_dictionary", "grid", "--formats", "stl"], "found 'stl'"),
        (["{run}", "--count", "0"], "--count"),
        (["{run}", "--minibatch", "0"], "--minibatch"),
        (["{run}", "--smoothing", "nan"], "--smoothing"),
        (["{run}", "--smoothing", "1e-9"], "expected 0 (none) or 0.1 to 1000"),
        (["{run}", "--expressions", "--label", "1"], "--label: found with --expressi"),
        (["{run}", "--formats", "glb", "--unit", "mm"], "--unit: found without obj"),
        (["{run}", "--snapshot", "5"], "snapshot-000000005"),
        (
            ["{run}/snapshots/snapshot-000000100", "--snapshot", "100"],
            "snapshot-000000100: found one snapshot, expected a run",
        ),
        (["{run}", "--colour"], "--help"),
        (["nowhere"], "nowhere"),
        ([], "source"),
    ],
)
def test_wrong_use_is_one_sentence(run_folder, tmp_path, capsys, arguments, message):
    filled = [word.format(run=run_folder) for word in arguments]
    output = tmp_path / "faces"
    assert generate.main([*filled, "--output", str(output)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: ") and message in error
    assert not output.exists() or not any(output.iterdir())


@pytest.mark.parametrize(
    "option", [["--no_warmup"], ["--session", "3"], ["--uv_dictionary", "grid"]]
)
def test_weights_refuse_what_only_saved_models_have(
    run_folder, tmp_path, capsys, option
):
    output = tmp_path / "weights"
    arguments = [str(run_folder), "--form=weights", f"--output={output}", *option]
    assert export.main(arguments) == 2
    error = capsys.readouterr().err
    told = "found with --form weights, expected --form saved_model"
    assert f"{option[0]}: {told}" in error and not output.exists()


@pytest.mark.parametrize(
    ("there", "content", "message"),
    [
        ("notes.txt", "mine", "found other results (notes.txt, ...)"),
        ("2/saved_model.pb", "", "2: found an export of others"),
        ("1/assets.extra/model_card.json", '{"system": "prnet"}', "an export of prnet"),
    ],
)
def test_exports_do_not_mix(run_folder, tmp_path, capsys, there, content, message):
    path = tmp_path / there
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    names = sorted(tmp_path.rglob("*"))
    arguments = [str(run_folder), "--output", str(tmp_path), "--uv_dictionary", "grid"]
    assert export.main(arguments) == 2
    assert message in capsys.readouterr().err and sorted(tmp_path.rglob("*")) == names


@pytest.mark.parametrize("program", [generate, export])
def test_help_has_examples(program, capsys):
    assert program.main(["--help"]) == 0
    assert "examples:" in capsys.readouterr().out


def test_a_file_in_the_place_of_results(tmp_path, capsys):
    from tf_faces.apps import train

    (tmp_path / "file").write_text("mine")
    arguments = ["--preset", "smoke", f"--result_dir={tmp_path / 'file'}"]
    assert train.main(arguments) == 2
    assert "found a file, expected a folder for results" in capsys.readouterr().err
    assert export.main(["newest", f"--output={tmp_path / 'file/sub'}"]) == 2
    assert "found a file, expected a folder for results" in capsys.readouterr().err
