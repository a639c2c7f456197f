"""What a folder of results was made from, and who may go on in it."""

import pytest

from tf_faces.core import files, recipes
from tf_faces.core.errors import InputError

RECIPE = {"format": "faces 1", "sizes": (3, 4), "seed": 0}


def begin(folder, **changes):
    return recipes.begin_or_go_on(folder, RECIPE | changes, "set of faces", ("maps",))


def test_the_same_work_goes_on(tmp_path):
    folder = begin(tmp_path / "set")
    assert (folder / "maps").is_dir()
    assert files.read_json(folder / recipes.NAME)["sizes"] == [3, 4]
    assert begin(tmp_path / "set") == folder
    (tmp_path / "link").symlink_to(folder)
    assert begin(tmp_path / "link") == folder


def test_other_work_is_refused(tmp_path):
    begin(tmp_path / "set")
    with pytest.raises(InputError, match="made with other seed, sizes;"):
        begin(tmp_path / "set", seed=1, sizes=[5])
    with pytest.raises(InputError, match="made with other more;"):
        begin(tmp_path / "set", more=True)
    with pytest.raises(InputError, match="describes no set of faces"):
        begin(tmp_path / "set", format="faces 2")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs/mine.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="holds no set of faces"):
        begin(tmp_path / "photographs")
    assert [path.name for path in (tmp_path / "photographs").iterdir()] == ["mine.jpg"]


def test_a_recipe_goes_on_where_a_file_is_not_its(tmp_path):
    wanted = {"format": "faces 1", "seed": 1}
    folder = recipes.begin_or_go_on(tmp_path / "a" / "b", wanted, "set", ("x/y", "z"))
    assert sorted(path.name for path in folder.iterdir()) == ["set.json", "x", "z"]
    assert (folder / "x" / "y").is_dir()
    stored = (folder / "set.json").read_bytes()
    recipes.begin_or_go_on(folder, wanted, "set")
    assert (folder / "set.json").read_bytes() == stored
    for content in ("[]", '{"seed": 1}'):
        (folder / "set.json").write_text(content)
        with pytest.raises(InputError, match="set.json: describes no set of mine"):
            recipes.begin_or_go_on(folder, wanted, "set of mine")
    for kept in (".a", ".b"):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / kept).touch()
    recipes.begin_or_go_on(tmp_path / "other", wanted, "set", ("z",))
    (tmp_path / "half" / "z").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no set"):
        recipes.begin_or_go_on(tmp_path / "half", wanted, "set", ("z",))
