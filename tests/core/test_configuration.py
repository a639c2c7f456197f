"""Presets, modifiers and differences of a system that exists only here."""

import dataclasses

import ml_collections
import pytest

from tf_faces.core import configuration
from tf_faces.core.errors import FormatError, InputError


def base():
    config = ml_collections.ConfigDict()
    config.rate = 1.0
    config.steps = 10
    config.label = "none"
    config.choice = "full"
    config.active = True
    config.sizes = [1, 2]
    config.nothing = ml_collections.config_dict.placeholder(object)
    config.train = ml_collections.ConfigDict({"kimg": 5.0, "inner": {"depth": 2}})
    config.train.table = ml_collections.ConfigDict({4: 16})
    return config


def make(**changes):
    options = {
        "presets": {"plain": {}, "deep": {"train.inner.depth": 3, "rate": 2.0}},
        "modifiers": {
            "slow": {"rate": 0.5},
            "early": {"rate": 9.0, "train.kimg": 7.0},
            "long": {"train.table": {8: 4}},
        },
        "exclusive": [("slow", "long")],
        "before_preset": ("early",),
        "tables": frozenset({"train.table"}),
        **changes,
    }
    return configuration.Presets("toy", base, **options)


def test_order_of_preset_and_modifiers():
    config = make().get_config("deep+early")
    assert (config.rate, config.train.kimg, config.train.inner.depth) == (2.0, 7.0, 3)
    assert make().get_config("deep+slow").rate == 0.5
    # In the order of the table, whatever that of the words.
    two = make(modifiers={"a": {"rate": 3.0}, "b": {"rate": 4.0}})
    assert two.get_config("plain+b+a").rate == 4.0
    assert two.get_config("plain+b+a").desc == "toy-plain-a-b"
    assert two.get_config("plain+none+none").desc == "toy-plain"


def test_the_first_preset_or_the_one_that_is_named():
    assert make().get_config().desc == "toy-plain"
    assert make(default="deep").get_config().desc == "toy-deep"
    described = make(describe=lambda preset, modifiers: f"{preset}:{modifiers}")
    assert described.get_config("deep+slow").desc == "deep:['slow']"
    config = make().get_config()
    assert config.model == "toy" and config.is_locked


def test_contradictions_and_strangers():
    with pytest.raises(InputError, match="slow and long contradict each other"):
        make().get_config("plain+long+slow")
    with pytest.raises(InputError, match="unknown modifier 'slw'.*mean 'slow'"):
        make().get_config("plain+slw")
    with pytest.raises(InputError, match="--preset: found 'dep', .*mean 'deep'"):
        make().get_config("dep")
    with pytest.raises(InputError, match="expected one of plain, deep.$"):
        make().get_config("xyz")


@pytest.mark.parametrize(
    ("path", "named"),
    [("rats", "rats"), ("train.kimgs", "train.kimgs"), ("trn.inner.depth", "trn"),
     ("train.innr.depth", "train.innr")],
)  # fmt: skip
def test_presets_name_only_what_exists(path, named):
    with pytest.raises(InputError, match=f"--config.{path}: unknown .* name '{named}'"):
        make(presets={"plain": {path: 1}}).get_config()


def test_values_of_presets_are_not_shared():
    sizes = [5]
    system = make(presets={"plain": {"sizes": sizes, "train.table": {4: 1}}})
    first = system.get_config()
    assert isinstance(first.train.table, ml_collections.ConfigDict)
    first.sizes.append(6)
    with first.train.table.unlocked():
        first.train.table[4] = 99
    second = system.get_config()
    assert second.sizes == [5] and second.train.table[4] == 1 and sizes == [5]


@pytest.mark.parametrize(
    ("assignment", "read", "expected"),
    [
        ("rate=3", lambda c: c.rate, 3.0),
        ("steps=12.0", lambda c: c.steps, 12),
        ("label=a=b", lambda c: c.label, "a=b"),
        ("label=12", lambda c: c.label, "12"),
        ("choice=12", lambda c: c.choice, 12),
        ("active=FALSE", lambda c: c.active, False),
        ("active=1", lambda c: c.active, True),
        ("sizes=(3,4)", lambda c: c.sizes, [3, 4]),
        ("nothing={'a': 1}", lambda c: c.nothing, {"a": 1}),
        ("nothing=word", lambda c: c.nothing, "word"),
        ("train.inner.depth=8", lambda c: c.train.inner.depth, 8),
        ("train.table={8: 2}", lambda c: c.train.table.to_dict(), {8: 2}),
        ("train.table.8=2", lambda c: c.train.table.to_dict(), {4: 16, 8: 2}),
        ("train.table.4=2.5", lambda c: c.train.table.to_dict(), {4: 2.5}),
    ],
)
def test_differences(assignment, read, expected):
    system, config = make(), make().get_config()
    assert system.override(config, [assignment]) is config
    found = read(config)
    assert found == expected and type(found) is type(expected)
    assert config.is_locked


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("rate", "--config.rate: found no value, expected =VALUE"),
        (f"rate={'9' * 400}", "expected a finite number"),
        ("rate=1e999", "found '1e999', expected a finite number"),
        ("rate=True", "found .True., expected a finite number"),
        ("rate=x", "found .x., expected a finite number"),
        ("steps=1.5", "found '1.5', expected a whole number"),
        ("active=yes", "found 'yes', expected true or false"),
        ("sizes=3", "found '3', expected a list"),
        ("sizes=x", "found 'x', expected a list"),
        ("rate.deep=1", "rate is a value, expected a group of options"),
        ("train=1", "is a group of options, expected one of --config.train.inner, "),
        ("train.inner=1", "expected one of --config.train.inner.depth"),
        ("train.kmg=1", "name 'train.kmg', .* did you mean 'kimg'"),
        ("trains.kimg=1", "name 'trains', .* did you mean 'train'"),
        ("train.inner.xyzzy=1", "known: depth."),
        ("train.table.x=1", "found 'x', expected a resolution"),
        ("train.table.8=x", "found .x., expected a finite number"),
        ("train.table=3", "found '3', expected a table such as"),
        ("train.table={'a': 3}", "expected a table such as"),
        ("train.table={4: 'a'}", "expected a table such as"),
        ("train.table={True: 3}", "expected a table such as"),
        ("train.table={4: True}", "expected a table such as"),
        (f"train.table.{'9' * 5000}=3", "expected a resolution"),
    ],
)
def test_wrong_differences(assignment, message):
    config = make().get_config()
    before = config.to_dict()
    with pytest.raises(InputError, match=message):
        make().override(config, [assignment])
    assert config.to_dict() == before


def test_tables_after_json():
    values = {"train": {"table": {"4": 1}, "inner": {"4": {"8": 2}}}, "rate": 1.0}
    config = make().from_json(values)
    assert config.model == "toy" and config.is_locked
    assert config.train.table.to_dict() == {4: 1}
    assert config.train.inner.to_dict() == {"4": {"8": 2}}
    assert make().from_json({**values, "model": "other"}).model == "other"


# --- recipes, with a system of the house ----------------------------------------------


def test_recipes_name_their_runs_and_differences():
    config = configuration.recipe("tbgan", "demo", {"train.total_kimg": 3.0})
    assert config.train.total_kimg == 3.0 and config.is_locked
    assert config.desc == configuration.load("tbgan", "demo").desc
    assert configuration.recipe("tbgan", "demo", name="mine").desc == "mine"
    with pytest.raises(InputError, match="did you mean 'total_kimg'"):
        configuration.recipe("tbgan", "demo", {"train.total_kimgs": 3.0})


_RECIPE = (
    "from tf_faces.core import configuration\n"
    "def get_config():\n"
    "    c = configuration.recipe('tbgan', 'demo').unlock()\n    "
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1", "found no function get_config"),
        ("def get_config(): return 3", "get_config returned int"),
        (
            "import ml_collections\n"
            "def get_config(): return ml_collections.ConfigDict({'a': 1})",
            "get_config returned ConfigDict",
        ),
        ("def get_config(): return 1 / 0", "failed .ZeroDivisionError: division"),
        ("def get_config(): return {}['a']", "failed .KeyError: 'a'"),
        ("def get_config(): raise ValueError('a' * 9999)", "a{300}.\\.$"),
        (
            f"{_RECIPE}c.trian = 3\n    return c",
            "name 'trian', .* did you mean 'train'",
        ),
        (f"{_RECIPE}c.train.total = 3\n    return c", "recipe.py: .* 'train.total', "),
        (f"{_RECIPE}c.random_seed = None\n    return c", "is None, expected a number"),
        (
            f"{_RECIPE}return configuration.recipe('tbgan', 'demo', {{'xla.x': 1}})",
            "xla.x",
        ),
        (
            "import ml_collections\n"
            "def get_config(): return ml_collections.ConfigDict({'model': 'none'})",
            "--model: found 'none'",
        ),
        (
            "from tf_faces.core.errors import FormatError, InputError\n"
            "def get_config(): raise InputError('as it is')",
            "^as it is$",
        ),
    ],
)
def test_recipes_that_are_none(tmp_path, body, message):
    path = tmp_path / "recipe.py"
    path.write_text(body)
    with pytest.raises(InputError, match=message):
        configuration.read_recipe(path)


def test_a_recipe_is_locked(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(
        "from tf_faces.core import configuration\n"
        "def get_config():\n"
        "    config = configuration.recipe('tbgan', 'demo')\n"
        "    config.unlock()\n"
        "    return config\n"
    )
    assert configuration.read_recipe(path).is_locked
    with pytest.raises(InputError, match="recipe .--config"):
        configuration.read_recipe(tmp_path / "absent.py")


def test_a_recipe_of_several_stages(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(
        "from tf_faces.core import configuration\n"
        "def get_config(preset='demo'):\n"
        "    return configuration.recipe('tbgan', preset)\n"
    )
    assert configuration.read_recipe(path).desc.endswith("demo")
    assert configuration.read_recipe(f"{path}:smoke").desc.endswith("smoke")
    with pytest.raises(InputError, match="no such .*absent.py|absent.py"):
        configuration.read_recipe(tmp_path / "absent.py:smoke")
    with pytest.raises(InputError, match="found 'nothing'"):
        configuration.read_recipe(f"{path}:nothing")


def test_stored_configurations_that_lack_something():
    whole = configuration.load("parface", "smoke").to_dict()
    presets = configuration.presets("parface")
    configuration.require_complete(presets.from_json(whole), "config.json")
    for lacking, name in (
        ({}, "activation"),
        ({key: value for key, value in whole.items() if key != "lr"}, "lr"),
        (whole | {"train": {"restore_limit": 3}}, "train.keep_snapshots"),
        (whole | {"train": 5}, "train.keep_snapshots"),
    ):
        config = presets.from_json(lacking)
        with pytest.raises(FormatError, match=f"config.json: lacks '{name}'"):
            configuration.require_complete(config, "config.json")


def test_a_system_may_finish_its_configuration(monkeypatch):
    seen = []
    system = configuration.presets("tbgan")
    config = system.get_config("demo")
    for finish in (seen.append, None):
        changed = dataclasses.replace(system, finalize=finish)
        monkeypatch.setattr(configuration, "presets", lambda stem, new=changed: new)
        configuration.finalize(config)
    assert seen == [config]


@pytest.mark.parametrize("text", ["[" * 5000, "(", "1 +", "x"])
def test_literals_that_are_none(text):
    with pytest.raises(InputError, match="--config.sizes: found .*, expected a list"):
        configuration._parse(text, [1], "sizes")


@pytest.mark.parametrize(
    ("text", "present", "expected"),
    [
        ("7", "full", 7),
        ("7", "half", "7"),
        ("x", "full", "x"),
        ("0", True, False),
        ("TRUE", False, True),
        ("3", 1.0, 3.0),
        ("[1, 2]", None, [1, 2]),
        ("word", None, "word"),
        ("(1,)", (0,), [1]),
    ],
)
def test_values_of_the_kind_that_is_there(text, present, expected):
    found = configuration._parse(text, present, "x")
    assert found == expected and type(found) is type(expected)
