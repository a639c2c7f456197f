"""One line for values that hold arrays: shapes and types in place of numbers.

class Chart:
    __repr__ = short_texts.of_fields
"""

import dataclasses
from typing import Any

import numpy as np

_LONGEST = 40


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.dtype.name}{list(value.shape)}"
    if isinstance(value, tuple | list | dict):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"<{len(value)} entries>"
    text = repr(value)
    if isinstance(value, str) and len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 4]}...'"
    return text.splitlines()[0] if text else ""


def of_fields(instance: Any) -> str:
    """`Name(field=value, ...)` of a dataclass; fields that are None are left out."""
    parts = []
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if value is not None:
            parts.append(f"{field.name}={_short(value)}")
    return f"{type(instance).__name__}({', '.join(parts)})"
