"""Record sets by a Beam pipeline: the same files as without it."""

import dataclasses
import os
import pathlib
import sys

import pytest

from tests.data import coupled_source
from tf_faces.apps.tbgan import dataset_tool
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.data import beam_pipelines
from tf_faces.data.record_sets import beam, coupled, writer

ROOT = pathlib.Path(__file__).resolve().parents[2]
TWO_PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"


@pytest.fixture
def source(tmp_path):
    return coupled_source.write(tmp_path / "source")


def by_beam(source, destination, options):
    """The command line with the pipeline in the place of --processes."""
    *ordinary, _ = coupled_source.arguments(source, destination)
    return [*ordinary, "--form=beam", f"--beam_options={options}"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class InOneProcess:
    """Stands for the pipeline: does the pieces in another order, the first twice."""

    def run(self, work, arguments, pieces, directory):
        for piece in [pieces[0], *reversed(pieces)]:
            work(piece, *arguments)


@pytest.fixture
def fill(monkeypatch):
    monkeypatch.setattr(beam, "_MOST_IMAGES_PER_PART", 2)
    monkeypatch.setattr(beam_pipelines, "Pipeline", lambda *_: InOneProcess())
    return beam.Filling()


def coupled_samples(folder):
    return coupled.from_pkl_img_norm(
        coupled.CoupledSource(
            *(folder / name for name in ("texture", "shape", "normals")),
            *(folder / name for name in ("labels.pkl", "paths.pkl")),
        )
    )


@dataclasses.dataclass
class LeavingOut:
    """Loads images of which some cannot be read."""

    unreadable: str

    def __call__(self, item):
        return (
            None if item.name.endswith(self.unreadable) else coupled.load_coupled(item)
        )


@pytest.mark.parametrize("unreadable", ["none", "face003.pkl"])
def test_parts_of_workers_make_the_ordinary_set(source, tmp_path, fill, unreadable):
    """The work of Beam's workers, without Beam."""
    samples = coupled_samples(source)
    samples = dataclasses.replace(samples, load=LeavingOut(unreadable))
    made = writer.write_record_set(tmp_path / "a" / "faces", samples, processes=1)
    again = writer.write_record_set(tmp_path / "b" / "faces", samples, fill=fill)
    assert made == again and made.count == (5 if unreadable == "none" else 4)
    assert contents(tmp_path / "a" / "faces") == contents(tmp_path / "b" / "faces")
    assert os.listdir(tmp_path / "b") == ["faces"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (pathlib.Path.unlink, "no worker left this part here"),
        (lambda path: path.write_bytes(path.read_bytes()[1:]), "bytes, expected"),
    ],
)
def test_parts_that_are_not_whole(source, tmp_path, fill, spoil, message):
    class Spoiled(InOneProcess):
        def run(self, work, arguments, pieces, directory):
            super().run(work, arguments, pieces, directory)
            spoil(beam.part_path(directory, 1))

    fill._pipeline = Spoiled()
    with pytest.raises(TfFacesError, match=rf"000001\.part: .*{message}"):
        writer.write_record_set(
            tmp_path / "out/faces", coupled_samples(source), fill=fill
        )
    assert os.listdir(tmp_path / "out") == []


def test_wrong_input_comes_back_from_workers(tmp_path):
    done = []

    def work(piece, word):
        done.append(piece)
        if piece in "bc":
            raise (InputError if piece == "b" else TfFacesError)(f"{word} {piece}")

    for numbered in [(0, "a"), (2, "c"), (3, "d")]:
        beam_pipelines.attempt(numbered, work, ("bad",), str(tmp_path))
    assert done == ["a", "c"]  # What comes after a complaint is not begun.
    with pytest.raises(TfFacesError, match="^bad c$") as raised:
        beam_pipelines.raise_first(tmp_path)
    assert not isinstance(raised.value, InputError)
    os.rename(tmp_path / "2.json", tmp_path / "kept")
    beam_pipelines.attempt((1, "b"), work, ("bad",), str(tmp_path))
    os.rename(tmp_path / "kept", tmp_path / "2.json")
    with pytest.raises(InputError, match="^bad b$"):  # The first in order.
        beam_pipelines.raise_first(tmp_path)


def refused(arguments, message, capsys, status=2):
    assert dataset_tool.main(arguments) == status
    assert message in capsys.readouterr().err


def test_without_beam_a_sentence_says_what_to_install(
    source, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    destination = tmp_path / "out" / "faces"
    refused(by_beam(source, destination, ""), "tf_faces[beam]", capsys, status=1)
    assert not (tmp_path / "out").exists()


def test_options_of_the_other_form_are_refused(source, tmp_path, capsys):
    arguments = by_beam(source, tmp_path / "faces", "")
    refused([*arguments, "--processes=2"], "--processes: found with --form", capsys)
    refused([*arguments, "--form=records"], "--beam_options: found with", capsys)


# --- with Beam ------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    pytest.importorskip("apache_beam")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # Of worker processes.
    monkeypatch.setattr(beam, "_MOST_IMAGES_PER_PART", 2)


@pytest.mark.parametrize("options", ["", "--runner=FnApiRunner", TWO_PROCESSES])
def test_beam_writes_the_same_files(
    source, tmp_path, installed, options, monkeypatch, capsys
):
    ordinary = coupled_source.arguments(source, tmp_path / "a" / "faces")
    assert dataset_tool.main(ordinary) == 0
    monkeypatch.chdir(tmp_path)  # Names that only hold here are made absolute.
    arguments = by_beam(pathlib.Path("source"), pathlib.Path("b/faces"), options)
    assert dataset_tool.main(arguments) == 0
    assert contents(tmp_path / "a" / "faces") == contents(tmp_path / "b" / "faces")
    assert os.listdir(tmp_path / "b") == ["faces"]
    assert dataset_tool.main(["verify", "b/faces"]) == 0
    assert "5 images of 9 x 16 x 16 float32" in capsys.readouterr().out


@pytest.mark.parametrize("options", ["--runner=FnApiRunner", TWO_PROCESSES])
def test_a_damaged_map_is_one_sentence(source, tmp_path, installed, options, capsys):
    (source / "normals" / "face002.pkl").write_bytes(b"junk")
    arguments = by_beam(source, tmp_path / "out" / "faces", options)
    refused(arguments, "face002.pkl: not a readable pickle", capsys)
    assert os.listdir(tmp_path / "out") == []


def test_options_that_beam_refuses(source, tmp_path, installed, capsys):
    for options, message in (
        ("--runner=Nobody", "--beam_options: Unexpected pipeline runner: Nobody"),
        ("--direct_num_workers=x", "--beam_options: argument --direct_num_workers:"),
    ):
        refused(by_beam(source, tmp_path / "faces", options), message, capsys)
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize("command", ["create_from_images", "create_from_pkl_img"])
def test_other_commands_by_beam(source, tmp_path, installed, command):
    places = [str(source / "texture"), str(source / "shape")]
    places = places[: 1 if command == "create_from_images" else 2]
    for name, more in (("a", "--processes=1"), ("b", "--form=beam")):
        destination = str(tmp_path / name / "faces")
        assert dataset_tool.main([command, destination, *places, more]) == 0
    assert contents(tmp_path / "a" / "faces") == contents(tmp_path / "b" / "faces")
