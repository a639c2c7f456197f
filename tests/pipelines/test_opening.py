"""Finding runs and weights, whichever system they belong to."""

import json

import pytest

from tf_faces.core import runs, stems
from tf_faces.core.errors import InputError
from tf_faces.pipelines import opening
from tf_faces.pipelines.tbgan import sources


@pytest.fixture
def results(tmp_path):
    """Runs of both systems, of which the newest has no weights."""
    for name, model in (("000-a", "face_manifold"), ("001-b", "tbgan"),
                        ("002-c", "tbgan")):  # fmt: skip
        (tmp_path / "results" / name).mkdir(parents=True)
        runs.RunFolder(tmp_path / "results" / name).write_config({"model": model})
    (tmp_path / "results/001-b/snapshots/snapshot-000000001").mkdir(parents=True)
    (tmp_path / "results/001-b/snapshots/snapshot-000000001/manifest.json").touch()
    return tmp_path / "results"


def test_the_newest_run_with_weights(results):
    found = opening.find("newest", results)
    assert (found.path, found.stem) == (results / "001-b", "tbgan")
    assert found.passed_over == (f"{results / '002-c'} holds no weights yet",)
    with pytest.raises(InputError, match="found no run of face_manifold with weights"):
        opening.find("newest", results, ["face_manifold"])


def test_runs_by_number_and_folder(results, monkeypatch):
    found = opening.find("0", results)
    assert (found.path, found.stem) == (results / "000-a", "face_manifold")
    assert found.passed_over == ()
    assert opening.find(results / "002-c").stem == "tbgan"
    with pytest.raises(
        InputError, match="found a run of 'face_manifold', expected one"
    ):
        opening.find("0", results, ["tbgan"])
    monkeypatch.chdir(results.parent)
    assert opening.find().path.name == "001-b"


def test_weights_without_a_configuration(tmp_path):
    (tmp_path / "export" / "3").mkdir(parents=True)
    with pytest.raises(InputError, match="neither config.json nor weights of a known"):
        opening.find(tmp_path / "export")
    (tmp_path / "export" / "3" / "saved_model.pb").touch()
    assert opening.find(tmp_path / "export").stem == "tbgan"


def test_the_systems_own_function_opens_it(results, monkeypatch):
    class Stage:
        @staticmethod
        def recognises(folder):
            return True

        @staticmethod
        def open_run(path, **options):
            return path, options

    asked = []
    monkeypatch.setattr(
        stems, "stage", lambda room, stem: asked.append((room, stem)) or Stage
    )
    found = opening.open_run("1", result_directory=results, snapshot=7)
    assert found == (results / "001-b", {"snapshot": 7})
    assert asked[-1] == ("pipelines", "tbgan")


# --- folders of TBGANs ---------------------------------------------------------------


def test_versions_of_an_export(tmp_path):
    for name in ("2", "10", "11", "new", "9"):
        (tmp_path / name).mkdir()
        if name != "11":
            (tmp_path / name / "saved_model.pb").touch()
    assert sources.newest_version(tmp_path) == tmp_path / "10"
    assert sources.newest_version(tmp_path / "new") == tmp_path / "new"
    assert sources.is_export(tmp_path) and not sources.is_export(tmp_path / "11")
    with pytest.raises(InputError, match="found no saved_model.pb"):
        sources.newest_version(tmp_path / "11")
    with pytest.raises(InputError, match="SavedModel folder"):
        sources.newest_version(tmp_path / "absent")


def test_what_is_a_tbgan(tmp_path):
    assert not sources.recognises(tmp_path)
    assert not sources.is_snapshot(tmp_path)
    (tmp_path / "snapshots" / "a").mkdir(parents=True)
    assert not sources.recognises(tmp_path)
    (tmp_path / "snapshots" / "a" / "manifest.json").write_text(json.dumps({}))
    assert sources.recognises(tmp_path)
    assert sources.recognises(tmp_path / "snapshots" / "a")
    assert sources.is_snapshot(tmp_path / "snapshots" / "a")
