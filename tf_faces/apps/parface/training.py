"""Training under the original's options: they become fields of the configuration."""

import difflib

from tf_faces.apps import train
from tf_faces.configs import parface as presets
from tf_faces.core.errors import InputError

# The original's spellings of fields with other names.
_RENAMED = {
    "r": "resume",
    "z": "embedding_dims",
    "i": "input_size",
    "e": "epochs",
    "epoch": "epochs",
    "b": "batchsize",
    "j": "workers",
    "n": "ocular_norm",
    "seed": "random_seed",
    "sessionname": "desc",
}
# Of the training program itself.
_PROGRAM = ("preset", "modifiers", "config", "data_dir", "result_dir", "devices")
# Had no effect in the original.
_WITHOUT_EFFECT = ("occ", "show", "show_random_faces", "wait", "use_js", "w_js")


def translated(arguments: list[str]) -> list[str]:
    """The arguments of `tf-faces train` that mean the same.

    Raises:
      InputError: for an option that neither has.
    """
    fields = dict(presets.base_config().to_dict())
    out = ["--model=parface"]
    position = 0
    while position < len(arguments):
        name, equals, value = arguments[position].partition("=")
        position += 1
        plain = name.lstrip("-").replace("-", "_")
        values = [value] if equals else []
        if not name.startswith("-"):
            raise InputError(f"found the argument {name!r}, expected an option.")
        while not equals and position < len(arguments):
            if _is_option(arguments[position]):
                break
            values.append(arguments[position])
            position += 1
        if plain in _PROGRAM or plain in ("resume_run", "deterministic", "dry_run"):
            plain = "resume" if plain == "resume_run" else plain
            out.append(f"--{plain}={values[0]}" if values else f"--{plain}")
            continue
        field = _RENAMED.get(plain, plain)
        if field not in fields or isinstance(fields[field], dict):
            _refuse(name, plain, fields)
        out.append(f"--config.{field}={_text(fields[field], values, name)}")
    return out


def _is_option(text: str) -> bool:
    """True unless it is a value; negative numbers are values."""
    return text.startswith("-") and not text.lstrip("-").replace(".", "").isdigit()


def _refuse(name: str, plain: str, fields: dict) -> None:
    if plain in _WITHOUT_EFFECT:
        raise InputError(f"{name}: has no effect in the original, expected without it.")
    known = [*fields, *_RENAMED, *_PROGRAM]
    close = difflib.get_close_matches(plain, known, 1)
    hint = f" (did you mean --{close[0]}?)" if close else ""
    raise InputError(f"{name}: unknown option{hint}; see tf-faces train --help.")


def _text(default, values: list[str], name: str) -> str:
    if isinstance(default, bool):
        # The original's switches: true and 1 are on, everything else is off.
        return str(not values or values[0].lower() in ("true", "1"))
    if isinstance(default, list | tuple):
        words = [word for value in values for word in value.split(",") if word]
        if name.lstrip("-").replace("-", "_") == "p_loss_features":
            return f"[{', '.join(words)}]"
        return repr(words)
    if len(values) != 1:
        raise InputError(f"{name}: found {len(values)} values, expected one.")
    return values[0]


def main(arguments: list[str]) -> int:
    """Trains; returns the exit status of the training program."""
    return train.main(translated(arguments), prog="tf-faces train")
