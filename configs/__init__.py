"""Experiment configurations: `configs/<stem>.py` has `PRESETS` and `get_config`.

    config = configs.load("tbgan", "v2-4gpus+fp32+VERBOSE")
    configs.override(config, ["sched.minibatch_base=8"])

A configuration is a locked `ml_collections.ConfigDict`.  Tables by resolution
(`..._dict`, `max_minibatch_per_gpu`) take any integer key; every other name must exist.
Every system's configuration has `desc`, `data_dir`, `result_dir`, `random_seed`,
`num_gpus`, `devices`, `deterministic` and `xla` at its top.
"""

import ast
import difflib
import importlib
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from tf_faces.core.errors import InputError


def stems() -> list[str]:
    """Returns the systems that have a configuration."""
    return sorted(
        path.stem
        for path in pathlib.Path(__file__).parent.glob("*.py")
        if path.stem != "__init__"
    )


def module(stem: str):
    """Returns the configuration module of one system.

    Raises:
      InputError: if there is none.
    """
    if stem not in stems():
        raise InputError(
            f"--model: found {stem!r}, expected one of {', '.join(stems())}."
        )
    return importlib.import_module(f"configs.{stem}")


def load(stem: str, preset: str) -> ml_collections.ConfigDict:
    """Returns the locked configuration of `preset` ("name+modifier+...").

    Raises:
      InputError: if stem, preset or modifier is unknown.
    """
    return module(stem).get_config(preset)


def finalize(stem: str, config: ml_collections.ConfigDict) -> None:
    """Fills in what follows from the machine and the files, such as the description.

    A configuration module may have `finalize(config)` for this.
    """
    complete = getattr(module(stem), "finalize", None)
    if complete is not None:
        complete(config)


def from_json(stem: str, values: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """Returns a locked configuration from config.json (integer keys restored)."""
    del stem  # All systems keep their configuration in the same form.
    return ml_collections.ConfigDict(_restore_keys(values)).lock()


def _restore_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            int(name) if re.fullmatch(r"\d+", str(name)) else name: _restore_keys(entry)
            for name, entry in value.items()
        }
    return value


def override(
    config: ml_collections.ConfigDict, assignments: Iterable[str]
) -> ml_collections.ConfigDict:
    """Applies "a.b=value" assignments in place and returns the configuration.

    Raises:
      InputError: if a name is unknown or a value has the wrong type.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--config.{name}: found no value, expected =VALUE.")
        _assign(config, name, text)
    return config


def _assign(config: ml_collections.ConfigDict, name: str, text: str) -> None:
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
    if parents and _is_table(parents[-1]):
        if not leaf.isdigit():
            raise InputError(f"--config.{name}: found {leaf!r}, expected a resolution.")
        with node.unlocked():
            node[int(leaf)] = _number(text, name)
        return
    _require(node, leaf, name, name)
    if _is_table(leaf):
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


def _is_table(name: str) -> bool:
    return name.endswith("_dict") or name == "max_minibatch_per_gpu"


def _require(node: Any, key: str, path: str, name: str) -> None:
    if key in node:
        return
    known = [str(entry) for entry in node]
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}."
    raise InputError(
        f"--config.{name}: unknown configuration name {path!r}, expected one that "
        f"exists; {hint}"
    )


def _literal(text: str, name: str, expected: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(
            f"--config.{name}: found {text!r}, expected {expected}."
        ) from error


def _number(text: str, name: str) -> int | float:
    value = _literal(text, name, "a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"--config.{name}: found {text!r}, expected a number.")
    return value


def _table(text: str, name: str) -> dict[int, int | float]:
    expected = "a table such as {4: 16, 8: 8}"
    value = _literal(text, name, expected)
    if not isinstance(value, dict) or not all(
        isinstance(key, int) and isinstance(entry, int | float)
        for key, entry in value.items()
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
            if value != int(value):
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
        return int(text) if text.isdigit() and present == "full" else text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
