"""Which files of a folder count, and what is told about the others."""

import os
import pathlib
import unicodedata

import pytest

from tf_faces.core import folders
from tf_faces.core.errors import InputError

MAT = folders.has_suffix(".mat")


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_sorted_by_folder_and_name(tmp_path):
    make(tmp_path, "b/a.mat", "a-b/x.mat", "a/x.mat", "a/B.mat", "c.mat", "a/y.txt")
    listing = folders.list_files(tmp_path, MAT)
    assert listing.names() == ["a/B.mat", "a/x.mat", "a-b/x.mat", "b/a.mat", "c.mat"]
    assert listing.left_out == {} and listing.remark() == ""
    assert folders.list_files(tmp_path, MAT, deep=False).names() == ["c.mat"]


def test_capital_suffixes(tmp_path):
    make(tmp_path, "a.mat", "b.MAT", "c.Mat", "d.matx", "mat")
    assert folders.list_files(tmp_path, MAT).names() == ["a.mat", "b.MAT", "c.Mat"]
    gz = folders.has_suffix(".pkl", ".pkl.gz")
    assert [gz(name) for name in ("a.PKL", "a.pkl.GZ", "a.gz")] == [True, True, False]
    assert folders.base_name("a.b.PKL.gz", ".pkl", ".pkl.gz") == "a.b"
    assert folders.base_name("a.b.PKL", ".pkl", ".pkl.gz") == "a.b"


def test_hidden_files_and_folders_are_counted(tmp_path, capsys):
    make(
        tmp_path,
        *("a.mat", "._a.mat", ".x.mat", ".DS_Store", "__MACOSX/a.mat", "Thumbs.db"),
        *(".ipynb_checkpoints/a-checkpoint.mat", "sub/.git/x.mat", "sub/b.mat"),
    )
    listing = folders.list_files(tmp_path, MAT)
    assert listing.names() == ["a.mat", "sub/b.mat"]
    assert listing.left_out == {"hidden": 5}
    listing.report()
    assert capsys.readouterr().err == (
        f"{tmp_path}: 5 entries were left out: 5 hidden.\n"
    )
    # The folder itself may be hidden.
    assert folders.list_files(tmp_path / "sub/.git", MAT).names() == ["x.mat"]


@pytest.mark.parametrize(
    "place",
    ["@eaDir/a.mat", "$RECYCLE.BIN/S-1-5", "#recycle", "lost+found", "@Recycle",
     "System Volume Information", "#snapshot/GMT-1"],
)  # fmt: skip
def test_bins_and_thumbnails_of_network_drives(tmp_path, place):
    make(tmp_path, "sub/a.mat", f"{place}/b.mat", f"sub/{place}/c.mat")
    listing = folders.list_files(tmp_path, MAT)
    assert listing.names() == ["sub/a.mat"] and listing.left_out == {"hidden": 2}


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    make(tmp_path, "store/AFW/a.mat", "store/AFW/deep/b.mat", "set/own/c.mat")
    (tmp_path / "set/AFW").symlink_to("../store/AFW")
    (tmp_path / "set/file.mat").symlink_to("../store/AFW/a.mat")
    (tmp_path / "set/own/up").symlink_to("..")
    (tmp_path / "store/AFW/deep/self").symlink_to(".")
    (tmp_path / "store/AFW/back").symlink_to(tmp_path / "set")
    listing = folders.list_files(tmp_path / "set", MAT)
    assert listing.names() == ["AFW/a.mat", "AFW/deep/b.mat", "file.mat", "own/c.mat"]
    assert listing.left_out == {"reached before": 3}


def test_a_folder_and_a_link_to_it_are_one(tmp_path):
    make(tmp_path, "z/a.mat")
    (tmp_path / "a_link").symlink_to("z")
    (tmp_path / "b_link").symlink_to("z")
    listing = folders.list_files(tmp_path, MAT)
    assert listing.names() == ["z/a.mat"]
    assert listing.remark().endswith("2 entries were left out: 2 reached before.")


def test_broken_entries_are_counted(tmp_path, monkeypatch):
    make(tmp_path, "a.mat", "shut/b.mat", "c.mat")
    (tmp_path / "gone.mat").symlink_to("nowhere.mat")
    (tmp_path / "self.mat").symlink_to("self.mat")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    os.mkfifo(tmp_path / "pipe.mat")
    # Also for root, who may read everything.
    access, scandir = os.access, os.scandir
    monkeypatch.setattr(
        os, "access", lambda path, mode: path[-5:] != "c.mat" and access(path, mode)
    )

    def shut(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", shut)
    listing = folders.list_files(tmp_path, MAT)
    assert listing.names() == ["a.mat"]
    assert listing.left_out == {"broken or unreadable": 5}
    with pytest.raises(PermissionError):
        folders.list_files(tmp_path / "shut", MAT)


def test_folders_named_like_files(tmp_path):
    make(tmp_path, "a.mat", "x.mat/b.mat")
    assert folders.list_files(tmp_path, MAT).names() == ["a.mat", "x.mat/b.mat"]
    flat = folders.list_files(tmp_path, MAT, deep=False)
    assert flat.names() == ["a.mat"]
    assert flat.left_out == {"of another kind": 1}


def test_others_are_counted_where_nothing_else_is_expected(tmp_path):
    make(tmp_path, "a.mat", "notes.txt", ".DS_Store", "sub/x.txt")
    listing = folders.list_files(tmp_path, MAT, deep=False, count_others=True)
    assert listing.left_out == {"hidden": 1, "of another kind": 2}
    listing = folders.list_files(tmp_path, MAT, count_others=True)
    assert listing.left_out == {"hidden": 1, "of another kind": 2}


@pytest.mark.parametrize(
    "names",
    [
        ("a.mat", "a.MAT"),
        tuple(unicodedata.normalize(form, "é.mat") for form in ("NFC", "NFD")),
    ],
)
def test_one_name_in_two_spellings_is_refused(tmp_path, names):
    make(tmp_path, *(f"sub/{name}" for name in names))
    with pytest.raises(InputError, match="same name as .*expected one of the two"):
        folders.list_files(tmp_path, MAT)


def test_names_that_differ_in_capitals_are_two(tmp_path):
    make(tmp_path, "aB.mat", "Ab.mat", "a.mat", "sub/a.MAT")
    assert len(folders.list_files(tmp_path, MAT).paths) == 4


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        folders.list_files(tmp_path / "nowhere", MAT)
    make(tmp_path, "a.txt", "._b.mat")
    with pytest.raises(InputError, match="a.txt: found a file, expected a folder"):
        folders.list_files(tmp_path / "a.txt", MAT)
    listing = folders.list_files(tmp_path, MAT)
    assert listing.nothing(".mat file") == (
        f"{tmp_path}: found no .mat file (1 entry was left out: 1 hidden)."
    )


def test_sub_folders(tmp_path):
    make(tmp_path, "b/x", ".hidden/x", "file", "__MACOSX/x")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "gone").symlink_to("nowhere")
    assert [path.name for path in folders.list_folders(tmp_path)] == ["a", "b"]


def test_files_that_belong_together(tmp_path):
    make(tmp_path, "a.b.jpg", "a.b.MAT", "c.mat", "c.MAT", "d/c.mat")
    found = folders.by_name([tmp_path / "a.b.jpg", tmp_path / "c.mat"])
    assert found[folders.name_key(tmp_path / "a.b.MAT")] == tmp_path / "a.b.jpg"
    assert folders.name_key(tmp_path / "d/c.mat") not in found
    with pytest.raises(InputError, match="'c.mat' beside it has the same name"):
        folders.by_name([tmp_path / "c.mat", tmp_path / "c.png"])
    assert folders.beside(tmp_path / "a.b.jpg", ".mat") == tmp_path / "a.b.MAT"
    assert folders.beside(tmp_path / "a.b.jpg", ".pts") is None
    with pytest.raises(InputError, match="one of the two spellings"):
        folders.beside(tmp_path / "c.jpg", ".mat")
    (tmp_path / "c.MAT").unlink()
    (tmp_path / "c.MAT").hardlink_to(tmp_path / "c.mat")
    assert folders.beside(tmp_path / "c.jpg", ".mat") == tmp_path / "c.mat"


def test_folders_for_results(tmp_path):
    free = tmp_path / "free"
    assert folders.require_free_folder(free) == free
    make(free, ".DS_Store")
    assert folders.require_free_folder(free) == free
    make(free, "b.obj", "a.obj")
    with pytest.raises(InputError, match=r"found other results \(a.obj, ...\)"):
        folders.require_free_folder(free)
    assert folders.require_free_folder(free, overwrite=True) == free
    with pytest.raises(InputError, match="found a file"):
        folders.require_free_folder(free / "a.obj", overwrite=True)


def test_places_for_results(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    place = folders.place_for_results
    assert place(tmp_path / "link" / "new") == tmp_path / "real" / "new"
    assert place(tmp_path / "real") == tmp_path / "real"
    with pytest.raises(InputError, match="found an empty name"):
        place("")
    with pytest.raises(InputError, match="found a byte 0"):
        place("a\0")
    for path in ("file", "file/deeper/still"):
        with pytest.raises(InputError, match=f"{tmp_path / 'file'}: found a file"):
            place(tmp_path / path)
    folders.require_nothing_visible(tmp_path / "absent", "set")
    (tmp_path / "real" / ".hidden").touch()
    folders.require_nothing_visible(tmp_path / "real", "set")
    with pytest.raises(InputError, match=r"holds no set \(found 'file'\)"):
        folders.require_nothing_visible(tmp_path, "set")


def test_names_in_one_form():
    assert folders.one_form("e\u0301") == "\xe9"
    assert folders.base_name("e\u0301.MAT", ".mat") == "\xe9"
    assert folders.base_name("a.mat.mat", ".mat") == "a.mat"
    assert folders.base_name("plain", ".mat") == "plain"
    key = folders.name_key(pathlib.Path("f/e\u0301.b.mat"))
    assert key == ("f", "\xe9.b")
    for name in ("Icon\r", "Thumbs.DB", "ehthumbs.db", "desktop.ini", ".a", "__MacOSX"):
        assert folders.is_hidden(name)
    assert not folders.is_hidden("a.b") and not folders.is_hidden("_a")


def test_remarks_on_what_was_left_out(tmp_path, capsys):
    one = folders.Listing(tmp_path, (), {"hidden": 1})
    two = folders.Listing(tmp_path, (), {"broken or unreadable": 1, "hidden": 2})
    assert one.remark() == f"{tmp_path}: 1 entry was left out: 1 hidden."
    assert two.remark() == (
        f"{tmp_path}: 3 entries were left out: 1 broken or unreadable, 2 hidden."
    )
    none = folders.Listing(tmp_path, (), {})
    assert none.nothing("picture") == f"{tmp_path}: found no picture."
    none.report()
    assert capsys.readouterr().err == ""
