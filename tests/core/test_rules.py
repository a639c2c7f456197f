"""Rules about values: what each takes, and how its breach is told."""

import ml_collections
import pytest

from tf_faces.core import rules
from tf_faces.core.errors import InputError


@pytest.mark.parametrize(
    ("rule", "taken", "refused"),
    [
        (rules.at_least(1), (1, 2.5), (0, 0.99, -1)),
        (rules.above(0), (1e-9, 3), (0, -1)),
        (rules.within(0, 7), (0, 7), (-1, 7.5)),
        (rules.whole(1, 3), (1, 3), (0, 4, 1.5, 2.0, True)),
        (rules.whole(1), (1, 10**30), (0, 1.5)),
        (
            rules.part_of_name(),
            ("a b", "\u6f22"),
            ("a/b", "a\0", "/", "\udc80", "a\n", "\u6f22" * 67),
        ),
        (
            rules.ordinary(),
            (-3e38, 7, "x", None, [1]),
            (1e39, -1e39, [float("nan")], 10**400),
        ),
        (rules.by_resolution(), ({}, {4: 16}), ({"4": 16}, {-4: 1}, {True: 1}, {0: 1})),
        (rules.decay(), (0, 0.999), (1, -0.1)),
        (rules.one_of("a", "b"), ("a", "b"), ("", "ab", 3)),
        (rules.each(rules.above(0)), ([], [1], {4: 2}), ([1, 0], {4: 0})),
        (rules.power_of_two(4), (4, 8, 1024), (0, 2, 6, -8)),
        (rules.one_device(), ("auto", "cpu:1", "gpu:1", "tpu:x"), ("cpu:2", "gpu:10")),
        (rules.off("why"), (False,), (True, 1, "no")),
    ],
)
def test_what_rules_take(rule, taken, refused):
    assert all(rule[0](value) for value in taken)
    assert not any(rule[0](value) for value in refused)


def test_breaches_are_told():
    config = ml_collections.ConfigDict({"a": {"b": 0, "c": "x"}, "d": None})
    rules.check(
        config,
        {"a.b": rules.at_least(0), "e": rules.at_least(1), "a.b.c": rules.at_least(1)},
    )
    with pytest.raises(InputError, match=r"^--config.a.b: found 0, expected above 0.$"):
        rules.check(config, {"a.b": rules.above(0)})
    with pytest.raises(InputError, match="a.c: found 'x', expected one of y, z"):
        rules.check(config, {"a.c": rules.one_of("y", "z")})
    # A text where a number belongs.
    with pytest.raises(InputError, match="a.c: found 'x', expected at least 1"):
        rules.check(config, {"a.c": rules.at_least(1)})


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        ("random_seed", -1, 0),
        ("random_seed", 1e9 + 0.5, 7),
        ("num_gpus", 0, 1),
        ("num_gpus", 1.5, 2),
        ("desc", "a/b", "a b"),
        ("train.picture_ticks", 0, 1),
        ("train.snapshot_ticks", 0, 1),
        ("train.snapshot_epochs", 0, 1),
        ("train.image_snapshot_ticks", 0, 1),
        ("train.network_snapshot_ticks", 0, 1),
        ("train.keep_snapshots", -1, 0),
        ("train.restore_limit", -1, 0),
        ("train.nonfinite_policy", "go on", "stop"),
        ("train.nonfinite_policy", "", "skip"),
        ("train.nonfinite_policy", "Stop", "restore"),
    ],
)
def test_rules_of_all_systems(name, refused, taken):
    def config(value):
        top, _, below = name.partition(".")
        return ml_collections.ConfigDict({top: {below: value} if below else value})

    rules.check(config(taken), rules.ALL_SYSTEMS)
    with pytest.raises(InputError, match=f"--config.{name}: found {refused!r}, exp"):
        rules.check(config(refused), rules.ALL_SYSTEMS)
    assert len(rules.ALL_SYSTEMS) == 11


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (rules.at_least(2), "at least 2"),
        (rules.above(0.5), "above 0.5"),
        (rules.within(0, 7), "0 to 7"),
        (rules.decay(), "at least 0 and below 1"),
        (rules.one_of("a", "b"), "one of a, b"),
        (rules.each(rules.above(0)), "each above 0"),
        (rules.power_of_two(4), "a power of two from 4 on"),
        (rules.one_device(), "one device (auto, cpu:1 or gpu:1)"),
        (rules.off("why"), "false: why"),
    ],
)
def test_rules_in_words(rule, words):
    assert rule[1] == words


def test_tables_that_break_a_rule_are_shown_whole():
    config = ml_collections.ConfigDict({"a": {"b": {4: 1, 8: 0}}})
    with pytest.raises(InputError) as caught:
        rules.check(config, {"a.b": rules.each(rules.above(0))})
    assert str(caught.value) == (
        "--config.a.b: found {4: 1, 8: 0}, expected each above 0."
    )
