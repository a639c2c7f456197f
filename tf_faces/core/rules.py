"""What values of a configuration may be, told before anything is made of them.

A rule is a test and, in words, what is expected.  `Presets.rules` has those of a system
by the dotted names of its fields; `ALL_SYSTEMS` those of fields that every system has.
"""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from tf_faces.core.errors import InputError

# Bytes; file systems take 255 with what stands before.
_LONGEST_PART = 200
# Just below the largest number in single precision.
_TOO_LARGE = 3.4e38

Rule = tuple[Callable[[Any], bool], str]

# What training does about numbers that are not finite.
NONFINITE_POLICIES = ("stop", "skip", "restore")


def at_least(low: float) -> Rule:
    """A number of `low` or more."""
    return (lambda value: value >= low), f"at least {low:g}"


def whole(low: int, high: int | None = None) -> Rule:
    """A whole number of `low` or more, up to `high`."""

    def test(value):
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and low <= value and (high is None or value <= high)

    end = "on" if high is None else f"to {high}"
    return test, f"a whole number from {low} {end}"


def part_of_name() -> Rule:
    """A text that can be a part of a folder's name."""

    def test(value):
        # Half letters, as broken encodings leave them, are not printable.
        is_plain = value.isprintable() and "/" not in value
        return is_plain and len(value.encode()) <= _LONGEST_PART

    return test, "a short text without slashes, for the names of folders"


def above(low: float) -> Rule:
    """A number greater than `low`."""
    return (lambda value: value > low), f"above {low:g}"


def within(low: float, high: float) -> Rule:
    """A number from `low` to `high`."""
    return (lambda value: low <= value <= high), f"{low:g} to {high:g}"


def decay() -> Rule:
    """A factor by which a moving average falls: 0 or more, less than 1."""
    return (lambda value: 0 <= value < 1), "at least 0 and below 1"


def one_of(*names: str) -> Rule:
    """One of some texts."""
    return (lambda value: value in names), f"one of {', '.join(names)}"


def each(rule: Rule) -> Rule:
    """A list, or a table, all of whose values keep a rule."""
    test, expected = rule

    def test_all(value):
        return all(map(test, value.values() if hasattr(value, "values") else value))

    return test_all, f"each {expected}"


def ordinary() -> Rule:
    """Anything but a number, alone or in a list or table, that no float32 holds."""

    def test(value):
        if hasattr(value, "values"):
            value = list(value.values())
        if isinstance(value, list | tuple):
            return all(map(test, value))
        return not isinstance(value, int | float) or abs(value) < _TOO_LARGE

    return test, "finite numbers of single precision"


def one_device() -> Rule:
    """A text of `--devices` that asks for one, or for what there is."""

    def test(value):
        count = str(value).partition(":")[2]
        # What is no number of devices is answered where devices are made.
        return not count.isdecimal() or int(count) <= 1

    return test, "one device (auto, cpu:1 or gpu:1)"


def off(reason: str) -> Rule:
    """A switch that stays off, and why."""
    return (lambda value: value is False), f"false: {reason}"


def by_resolution() -> Rule:
    """A table whose keys are whole numbers of 1 or more."""
    test, _ = whole(1)
    return (
        lambda table: all(map(test, table))
    ), "a table of resolutions, such as {4: 16, 8: 8}"


def power_of_two(low: int) -> Rule:
    """A power of two from `low` on."""
    return (
        lambda value: value >= low and not value & (value - 1)
    ), f"a power of two from {low} on"


ALL_SYSTEMS: dict[str, Rule] = {
    "random_seed": whole(0, (1 << 32) - 1),
    "num_gpus": whole(1),
    "desc": part_of_name(),
    **{
        f"train.{name}": at_least(1)
        for name in (
            *("picture_ticks", "snapshot_ticks", "snapshot_epochs"),
            *("image_snapshot_ticks", "network_snapshot_ticks"),
        )
    },
    "train.keep_snapshots": at_least(0),
    "train.restore_limit": at_least(0),
    "train.nonfinite_policy": one_of(*NONFINITE_POLICIES),
}


def check(config: ml_collections.ConfigDict, rules: Mapping[str, Rule]) -> None:
    """Checks the fields of a configuration that are there.

    Raises:
      InputError: naming the first whose value breaks its rule.
    """
    for name, (test, expected) in rules.items():
        found = _value(config, name)
        if found is not None and not _keeps(test, found):
            if isinstance(found, ml_collections.ConfigDict):
                found = found.to_dict()
            shown = repr(found) if isinstance(found, str) else found
            raise InputError(f"--config.{name}: found {shown}, expected {expected}.")


def _keeps(test: Callable[[Any], bool], value: Any) -> bool:
    try:
        return bool(test(value))
    except TypeError:  # A text where numbers are compared.
        return False


def _value(config: ml_collections.ConfigDict, name: str) -> Any:
    node: Any = config
    for part in name.split("."):
        if not isinstance(node, ml_collections.ConfigDict) or part not in node:
            return None
        node = node[part]
    return node
