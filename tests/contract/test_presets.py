"""What every system's configurations must do."""

import dataclasses
import json

import pytest

from tf_faces.apps import main
from tf_faces.core import configuration, stems
from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

COMMON = {
    "model", "desc", "data_dir", "result_dir", "random_seed", "num_gpus", "devices",
    "deterministic", "xla", "precision",
}  # fmt: skip


def preset_strings():
    for stem in stems.STEMS:
        known = configuration.presets(stem)
        yield from ((stem, preset) for preset in known.presets)
        first = next(iter(known.presets))
        yield from ((stem, f"{first}+{modifier}") for modifier in known.modifiers)


@pytest.mark.parametrize(("stem", "preset"), list(preset_strings()))
def test_presets_resolve_and_round_trip(stem, preset):
    config = configuration.load(stem, preset)
    assert config.is_locked and config.model == stem and config.desc
    assert set(config) >= COMMON
    back = configuration.presets(stem).from_json(
        json.loads(json.dumps(config.to_dict()))
    )
    assert back.to_dict() == config.to_dict()
    assert back.is_locked
    again = configuration.recipe(stem, preset, {"random_seed": 5}, name="mine")
    assert (again.random_seed, again.desc) == (5, "mine")
    assert configuration.load(stem, preset).random_seed == config.random_seed


@pytest.mark.parametrize("stem", stems.STEMS)
def test_mistakes_are_sentences(stem):
    known = configuration.presets(stem)
    first = next(iter(known.presets))
    for wrong in ("nothing", f"{first}+nothing", ""):
        with pytest.raises(InputError, match="--preset"):
            configuration.load(stem, wrong)
    with pytest.raises(InputError, match="random_sed.*did you mean 'random_seed'"):
        configuration.override(configuration.load(stem, first), ["random_sed=1"])
    with pytest.raises(InputError, match="unknown configuration name"):
        configuration.recipe(stem, first, {"nothing.here": 1})
    for group in known.exclusive:
        with pytest.raises(InputError, match="contradict"):
            configuration.load(stem, "+".join([first, *group[:2]]))


@pytest.mark.parametrize("stem", stems.STEMS)
def test_help_names_the_presets(stem, capsys):
    assert main.main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    known = configuration.presets(stem)
    for name in (stem, *known.presets, *known.modifiers):
        assert name in text


@pytest.mark.parametrize("stem", stems.STEMS)
def test_there_is_a_smoke_preset(stem):
    assert "smoke" in configuration.presets(stem).presets


def network_configurations():
    for stem in stems.with_stage("models", "config"):
        module = stems.stage("models", stem, "config")
        for name, kind in vars(module).items():
            if isinstance(kind, type) and issubclass(kind, NetworkConfiguration):
                if kind.__module__ == module.__name__:
                    yield pytest.param(kind, id=f"{stem}-{name}")


@pytest.mark.parametrize("kind", list(network_configurations()))
def test_network_configurations_round_trip(kind):
    made = kind()
    assert kind.from_json(made.to_json()) == made
    assert set(made.to_dict()) == {field.name for field in dataclasses.fields(kind)}
    with pytest.raises(InputError, match=f"{kind.__name__}: unknown option"):
        kind.from_dict({**made.to_dict(), "no_such_option": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(kind)[0].name, None)
