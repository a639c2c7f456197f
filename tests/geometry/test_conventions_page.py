"""docs/conventions.md names functions; each must exist."""

import importlib
import pathlib
import re

import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "conventions.md"
NAMES = sorted(set(re.findall(r"`(tf_faces(?:\.\w+)+)`", PAGE.read_text())))


def test_the_page_names_functions():
    assert len(NAMES) > 30


@pytest.mark.parametrize("name", NAMES)
def test_named_object_exists(name):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
