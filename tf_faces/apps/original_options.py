"""Options of an original training program as fields of the configuration.

    --model=SYSTEM --update-D-freq 1 --p-loss-features 3 8 15 22 -r session/00050

is read as

    --model=SYSTEM --config.update_D_freq=1 --config.p_loss_features=[3,8,15,22]
    --config.resume=session/00050

for the options that the system's presets list (`Presets.original_options`).  Switches
are "true" or "1", anything else is false, and alone they are true.  What the original's
other options are for, the presets say too: some change nothing, some are refused.
"""

import sys
from collections.abc import Sequence

from tf_faces.core import configuration, stems, texts
from tf_faces.core.errors import InputError


def as_overrides(arguments: Sequence[str]) -> list[str]:
    """Rewrites the original's options; everything else stays as it is.

    Args:
      arguments: of the training program; the system must be named by `--model`.

    Raises:
      InputError: for an option of the original's that is no part of training here.
    """
    stem = _model(arguments)
    if stem not in stems.STEMS:
        return list(arguments)
    presets = configuration.presets(stem)
    known = presets.original_options
    base = presets.base() if known else {}
    rewritten: list[str] = []
    pending = list(arguments)
    while pending:
        argument = pending.pop(0)
        name, equals, value = argument.partition("=")
        if (answer := presets.answered_options.get(_spelled(name))) is not None:
            raise InputError(f"{name}: {answer}")
        if (reason := presets.idle_options.get(_spelled(name))) is not None:
            print(f"{name}: {reason}.", file=sys.stderr)
            if not equals:
                _values(pending, [])
            continue
        fields = known.get(_spelled(name))
        if fields is None:
            rewritten.append(argument)
            continue
        default = base[fields[0]]
        written = _written(default, [value] if equals else _values(pending, default))
        rewritten += [f"--config.{field}={written}" for field in fields]
    return rewritten


def _model(arguments: Sequence[str]) -> str | None:
    """The system that is named; None if none is."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--model":
            return value if equals else next(iter(arguments[place + 1 :]), None)
    return None


def _spelled(name: str) -> str:
    """An option with underscores, as the presets list it."""
    return f"--{name[2:].replace('-', '_')}" if name.startswith("--") else name


def _values(pending: list[str], default) -> list[str]:
    """Takes an option's values off the arguments: one, or all of a list."""
    found: list[str] = []
    while pending and not _is_option(pending[0]):
        found.append(pending.pop(0))
        if not isinstance(default, list | tuple):
            break
    return found


def _is_option(argument: str) -> bool:
    return argument.startswith("-") and not argument[1:2].isdigit()


def _written(default, values: Sequence[str]) -> str:
    """The values as `--config.FIELD=` takes them."""
    if isinstance(default, bool):
        return str(not values or values[0].lower() in ("true", "1"))
    if isinstance(default, list | tuple):
        return repr([_number(value) for value in values])
    return values[0] if values else ""


def _number(text: str) -> int | str:
    try:
        return texts.whole_number(text)
    except ValueError:
        return text
