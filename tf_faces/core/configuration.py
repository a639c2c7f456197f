"""Experiment configurations: presets with modifiers, overrides, recipes, JSON.

A system's presets are data in `tf_faces/configs/<stem>.py`:

    PRESETS = configuration.Presets("tbgan", base_config, {...}, {...})
    config = PRESETS.get_config("v2-4gpus+fp32+VERBOSE")
    PRESETS.override(config, ["sched.minibatch_base=8"])

A configuration is a locked `ml_collections.ConfigDict`.  Its tables (named by the
system) take any integer key; every other name must exist.  Every configuration has
`model` (the system's name), `desc`, `data_dir`, `result_dir`, `random_seed`,
`num_gpus`, `devices`, `deterministic`, `xla` and `precision` at its top.

A recipe is a file of one's own, anywhere, that names a preset and its differences:

    def get_config():
        return configuration.recipe("tbgan", "demo", {"train.total_kimg": 60.0})
"""

import ast
import copy
import dataclasses
import difflib
import math
import pathlib
import runpy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from tf_faces.core import files, stems, texts
from tf_faces.core import rules as value_rules
from tf_faces.core.errors import FormatError, InputError

# Of whole numbers, which Python lets grow beyond all floats.
_TOO_LARGE = 1e300

Changes = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Presets:
    """The configurations of one system.

    A preset string is one preset and any number of modifiers: "v2-4gpus+fp32".

    Attributes:
      stem: the system's name; becomes `model` of every configuration.
      base: makes the unlocked configuration before any preset.
      presets: {name: {dotted name: value}}.
      modifiers: the same; applied in this order, whatever the preset string's.
      exclusive: sets of modifiers of which at most one is taken.
      before_preset: modifiers that set defaults, which the preset may replace.
      tables: dotted names of fields that are tables with integer keys.
      default: the preset of `get_config()`; None takes the first.
      describe: (preset, modifiers) -> `desc`, the name of run folders.
      rules: what values may be, by the dotted names of their fields (`core.rules`).
      finalize: fills in, in place, what follows from flags and files, such as the data
        set's name; raises `InputError`.
      data_origins: by `data.source`, what makes the data of `data_dir` and which preset
        needs none, for the message where nothing is there.
      face_models: (configuration) -> names of the face models that the training reads.
      examples: command lines for the help text, each with a line that explains it.
      original_options: {option of the original training program: fields that it
        sets}, with underscores ("--update_D_freq", "-r"); see
        `apps.original_options`.
      idle_options: {option of the original that changes nothing here: why}; it is
        taken with its values, and the reason printed.
      answered_options: {option of the original that is refused: the sentence}.
    """

    stem: str
    base: Callable[[], ml_collections.ConfigDict]
    presets: Mapping[str, Changes]
    modifiers: Mapping[str, Changes]
    exclusive: Sequence[Sequence[str]] = ()
    before_preset: Sequence[str] = ()
    tables: frozenset[str] = frozenset()
    default: str | None = None
    describe: Callable[[str, Sequence[str]], str] | None = None
    rules: Mapping[str, value_rules.Rule] = dataclasses.field(default_factory=dict)
    finalize: Callable[[ml_collections.ConfigDict], None] | None = None
    data_origins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    face_models: Callable[[ml_collections.ConfigDict], Sequence[str]] | None = None
    examples: str = ""
    original_options: Mapping[str, Sequence[str]] = dataclasses.field(
        default_factory=dict
    )
    idle_options: Mapping[str, str] = dataclasses.field(default_factory=dict)
    answered_options: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def get_config(self, preset: str | None = None) -> ml_collections.ConfigDict:
        """Returns the locked configuration of a preset string.

        Raises:
          InputError: if the preset or a modifier is unknown, or modifiers contradict.
        """
        if preset is None:
            preset = self.default or next(iter(self.presets))
        name, *given = preset.split("+")
        _require_known(name, self.presets, "--preset", "")
        given = [modifier for modifier in given if modifier != "none"]
        for modifier in given:
            _require_known(modifier, self.modifiers, "--preset", "unknown modifier ")
        for group in self.exclusive:
            chosen = [modifier for modifier in group if modifier in given]
            if len(chosen) > 1:
                raise InputError(
                    f"--preset: {' and '.join(chosen)} contradict each other, expected "
                    "at most one of them."
                )
        ordered = [modifier for modifier in self.modifiers if modifier in given]
        config = self.base()
        before = [entry for entry in ordered if entry in self.before_preset]
        after = [entry for entry in ordered if entry not in self.before_preset]
        for modifier in before:
            _apply(config, self.modifiers[modifier])
        _apply(config, self.presets[name])
        for modifier in after:
            _apply(config, self.modifiers[modifier])
        describe = self.describe or self._description
        config.desc = describe(name, ordered)
        config.model = self.stem
        return config.lock()

    def _description(self, name: str, modifiers: Sequence[str]) -> str:
        return "-".join([self.stem, name, *modifiers])

    def from_json(self, values: Mapping[str, Any]) -> ml_collections.ConfigDict:
        """Returns a locked configuration from config.json (integer keys restored)."""
        restored = _restore_tables(values, self.tables)
        restored.setdefault("model", self.stem)
        return ml_collections.ConfigDict(restored).lock()

    def override(
        self, config: ml_collections.ConfigDict, assignments: Iterable[str]
    ) -> ml_collections.ConfigDict:
        """Applies "a.b=value" assignments in place and returns the configuration.

        Raises:
          InputError: if a name is unknown or a value has the wrong type.
        """
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise InputError(f"--config.{name}: found no value, expected =VALUE.")
            _assign(config, name, text, self.tables)
        return config


def presets(stem: str) -> Presets:
    """Returns the presets of one system.

    Raises:
      InputError: if there is no such system.
    """
    return stems.stage("configs", stem).PRESETS


def load(stem: str, preset: str) -> ml_collections.ConfigDict:
    """Returns the locked configuration of `preset` ("name+modifier+...").

    Raises:
      InputError: if stem, preset or modifier is unknown.
    """
    return presets(stem).get_config(preset)


def check(config: ml_collections.ConfigDict) -> None:
    """Checks the values of a configuration of any system by themselves.

    Raises:
      InputError: naming the first that cannot be.
    """
    system = presets(config.model)
    resolutions = dict.fromkeys(sorted(system.tables), value_rules.by_resolution())
    value_rules.check(config, resolutions)
    value_rules.check(config, {**value_rules.ALL_SYSTEMS, **system.rules})
    numbers = dict.fromkeys(_names(config, system.tables), value_rules.ordinary())
    value_rules.check(config, numbers)


def require_complete(config: ml_collections.ConfigDict, where: object) -> None:
    """Checks that a stored configuration has every field that its system has.

    Args:
      config: of `Presets.from_json`.
      where: it was stored, for messages.

    Raises:
      FormatError: naming the first that is absent.
    """
    system = presets(config.model)
    for name in _names(system.base(), system.tables):
        node: Any = config
        for part in name.split("."):
            if not isinstance(node, ml_collections.ConfigDict) or part not in node:
                raise FormatError(
                    f"{where}: lacks {name!r}, expected the configuration of a run of "
                    f"{config.model} by this version."
                )
            node = node[part]


def _names(
    node: ml_collections.ConfigDict, tables: frozenset[str], above: str = ""
) -> Iterator[str]:
    """Dotted names of all fields."""
    for key, value in node.items():
        name = f"{above}{key}"
        yield name
        if isinstance(value, ml_collections.ConfigDict) and name not in tables:
            yield from _names(value, tables, f"{name}.")


def finalize(config: ml_collections.ConfigDict) -> None:
    """Fills in what follows from the flags and the files, such as the description.

    Raises:
      InputError: if training data are missing, naming what makes them.
    """
    system = presets(config.model)
    if system.finalize is not None:
        system.finalize(config)
    if system.data_origins and config.data.source in system.data_origins:
        require_training_data(config.data_dir, system.data_origins[config.data.source])


def require_training_data(place: files.PathLike, remedy: str) -> None:
    """Checks that training data are there; what is in them is looked at later.

    Args:
      place: file or folder.
      remedy: the command that makes them and the preset that needs none.

    Raises:
      InputError: if nothing is there, with the remedy.
    """
    if not pathlib.Path(place).exists():
        raise InputError(f"{place}: no such training data (--data_dir); {remedy}.")


def override(
    config: ml_collections.ConfigDict, assignments: Iterable[str]
) -> ml_collections.ConfigDict:
    """Applies "a.b=value" assignments to a configuration of any system, in place."""
    return presets(config.model).override(config, assignments)


# --- recipes --------------------------------------------------------------------------


def recipe(
    stem: str, preset: str, changes: Changes | None = None, *, name: str | None = None
) -> ml_collections.ConfigDict:
    """Returns a preset with differences, for `get_config` of a recipe.

    Args:
      stem: the system.
      preset: "name+modifier+...".
      changes: {dotted name: value}.
      name: names the run folders; None keeps the preset's description.

    Raises:
      InputError: if stem, preset or a dotted name is unknown.
    """
    config = load(stem, preset)
    with config.unlocked():
        _apply(config, changes or {})
    if name is not None:
        config.desc = name
    return config


def read_recipe(path: files.PathLike) -> ml_collections.ConfigDict:
    """Runs a recipe, a Python file of the user's own, and returns its configuration.

    Args:
      path: the file; after a colon may follow what its `get_config` is called with
        ("recipe.py:landmarks_2d"), for recipes of several stages.

    Raises:
      InputError: if the file is missing, fails, or has no `get_config` that returns a
        configuration of a known system.
    """
    name, _, argument = str(path).partition(".py:")
    path, given = pathlib.Path(path), ()
    if argument and not path.is_file():
        path, given = pathlib.Path(f"{name}.py"), (argument,)
    path = files.require_file(path, "recipe (--config)")
    try:
        found = runpy.run_path(str(path)).get("get_config")
        made = None if found is None else found(*given)
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # Code of the user's: all is told.
        raise InputError(
            f"{path}: the recipe failed ({type(error).__name__}: {f'{error}':.300})."
        ) from error
    if found is None:
        raise InputError(
            f"{path}: found no function get_config, expected a recipe as in configs/."
        )
    if not isinstance(made, ml_collections.ConfigDict) or "model" not in made:
        raise InputError(
            f"{path}: get_config returned {type(made).__name__}, expected what "
            "configuration.recipe returns."
        )
    presets(made.model)  # Names the systems there are if it is unknown.
    require_complete(made, path)
    _require_kinds(made, path)
    return made.lock()


def _require_kinds(config: ml_collections.ConfigDict, path: pathlib.Path) -> None:
    """Refuses a text where the system has a number, a number in place of a group, and
    names that the system has not."""
    system = presets(config.model)
    base = system.base()
    for name in _names(config, system.tables):
        usual, found = base, config
        for part in name.split("."):
            _require(usual, part, name, name, f"{path}")
            usual, found = usual[part], found[part]
        expected = _kind(usual)
        if usual is None or _kind(found) == expected or usual == "full":
            continue
        shown = f"{found!r:.60}".splitlines()[0]
        raise InputError(f"{path}: {name} is {shown}, expected {expected}.")


def _kind(value: Any) -> str:
    for kinds, words in (
        (bool, "true or false"),
        (int | float, "a number"),
        (str, "a text"),
        (list | tuple, "a list"),
        (ml_collections.ConfigDict, "a group of options"),
    ):
        if isinstance(value, kinds):
            return words
    return type(value).__name__


# --- parts ----------------------------------------------------------------------------


def _require_known(name: str, known: Iterable[str], flag: str, what: str) -> None:
    if name in known:
        return
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    found = f"{what}{name!r}" if what else f"found {name!r}"
    raise InputError(f"{flag}: {found}, expected one of {', '.join(known)}{hint}.")


def _apply(config: ml_collections.ConfigDict, changes: Changes) -> None:
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        node: Any = config
        for depth, parent in enumerate(parents):
            _require(node, parent, ".".join(parents[: depth + 1]), path)
            node = node[parent]
        _require(node, leaf, path, path)
        value = copy.deepcopy(value)
        if isinstance(value, dict):
            value = ml_collections.ConfigDict(value)
        with node.ignore_type():
            node[leaf] = value


def _restore_tables(
    values: Mapping[str, Any], tables: frozenset[str], above: str = ""
) -> dict:
    restored = {}
    for name, value in values.items():
        path = f"{above}{name}"
        if path in tables and isinstance(value, Mapping):
            restored[name] = {int(key): entry for key, entry in value.items()}
        elif isinstance(value, Mapping):
            restored[name] = _restore_tables(value, tables, f"{path}.")
        else:
            restored[name] = value
    return restored


def _assign(
    config: ml_collections.ConfigDict, name: str, text: str, tables: frozenset[str]
) -> None:
    *parents, leaf = name.split(".")
    node: Any = config
    for depth, parent in enumerate(parents):
        _require(node, parent, ".".join(parents[: depth + 1]), name)
        node = node[parent]
        if not isinstance(node, ml_collections.ConfigDict):
            raise InputError(
                f"--config.{name}: {'.'.join(parents[: depth + 1])} is a value, "
                "expected a group of options."
            )
    if ".".join(parents) in tables:
        resolution = texts.natural_number(leaf)
        if resolution is None:
            raise InputError(f"--config.{name}: found {leaf!r}, expected a resolution.")
        value = _number(text, name)
        with node.unlocked(), node.ignore_type():
            node[resolution] = value
        return
    _require(node, leaf, name, name)
    if name in tables:
        with node.unlocked():
            node[leaf] = ml_collections.ConfigDict(_table(text, name))
        return
    if isinstance(node[leaf], ml_collections.ConfigDict):
        raise InputError(
            f"--config.{name}: is a group of options, expected one of "
            f"{', '.join(f'--config.{name}.{key}' for key in node[leaf])}."
        )
    value = _parse(text, node[leaf], name)
    with node.ignore_type():
        node[leaf] = value


def _require(node: Any, key: str, path: str, name: str, where: str = "") -> None:
    known = []
    if isinstance(node, ml_collections.ConfigDict):
        if key in node:
            return
        known = [str(entry) for entry in node]
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}."
    where = where or f"--config.{name}"
    raise InputError(
        f"{where}: unknown configuration name {path!r}, expected one that exists; "
        f"{hint}"
    )


def _literal(text: str, name: str, expected: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(
            f"--config.{name}: found {text!r}, expected {expected}."
        ) from error


def _number(text: str, name: str) -> int | float:
    value = _literal(text, name, "a finite number")
    is_number = not isinstance(value, bool) and isinstance(value, int | float)
    if not is_number or not abs(value) < _TOO_LARGE:
        raise InputError(f"--config.{name}: found {text!r}, expected a finite number.")
    return value


def _table(text: str, name: str) -> dict[int, int | float]:
    expected = "a table such as {4: 16, 8: 8}"
    value = _literal(text, name, expected)
    if not isinstance(value, dict) or not all(
        not isinstance(entry, bool) and isinstance(entry, int | float)
        for pair in value.items()
        for entry in pair
    ):
        raise InputError(f"--config.{name}: found {text!r}, expected {expected}.")
    return value


def _parse(text: str, present: Any, name: str) -> Any:
    """Reads `text` as a value of the same kind as the present one."""
    if isinstance(present, bool):
        lowered = text.lower()
        if lowered not in ("true", "false", "1", "0"):
            raise InputError(
                f"--config.{name}: found {text!r}, expected true or false."
            )
        return lowered in ("true", "1")
    if isinstance(present, int | float):
        value = _number(text, name)
        if isinstance(present, int) and not isinstance(value, int):
            # Lengths such as total_kimg may be given with a fraction.
            if not math.isfinite(value) or value != int(value):
                raise InputError(
                    f"--config.{name}: found {text!r}, expected a whole number."
                )
            return int(value)
        return float(value) if isinstance(present, float) else value
    if isinstance(present, list | tuple):
        value = _literal(text, name, "a list")
        if not isinstance(value, list | tuple):
            raise InputError(f"--config.{name}: found {text!r}, expected a list.")
        return list(value)
    if isinstance(present, str):
        # "full" or a number: some options take either.
        number = texts.natural_number(text) if present == "full" else None
        return text if number is None else number
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
