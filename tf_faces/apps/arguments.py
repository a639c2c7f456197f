"""The command-line language of every program: one parser, one spelling, number types.

Options are spelled with underscores (`--data_dir`); hyphens instead are taken as well,
and an original program's own spelling is an alias where a program replaces one.
`--flagfile=FILE` reads more options from a file, one a line.  Mistakes end as one
sentence, with the nearest name that exists.
"""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import flags
from absl.flags import argparse_flags

from tf_faces.core import texts
from tf_faces.core.errors import InputError
from tf_faces.core.units import UNITS

# What argparse says of a value behind a switch.
_EXPLICIT = re.compile("ignored explicit argument (.*)")
# What argparse says where something is missing, in place of what was misspelt.
_MISSING = re.compile("the following arguments are required|one of the arguments ")
# No machine holds more of anything, nor larger pictures.
LARGEST_COUNT = 10**9
LONGEST_SIDE = 1 << 14
# Nobody waits for more.
MOST_TIMES = 10_000
# Of the option --overwrite, see `core.folders.require_free_folder`.
OVERWRITE = {
    "action": "store_true",
    "help": "write into a folder that holds other results",
}
# The same, see `core.folders.require_free_file`.
OVERWRITE_OUTPUT = {"action": "store_true", "help": "replace the file of --output"}


class ArgumentParser(argparse_flags.ArgumentParser):
    """argparse's parser with mistakes reported as one `InputError` sentence."""

    def __init__(self, **keywords: Any):
        # Flags of its own, none: absl then brings --flagfile and nothing else.
        keywords.setdefault("inherited_absl_flags", flags.FlagValues())
        super().__init__(add_help=False, **keywords)
        self._given: Sequence[str] = ()
        self.add_argument(
            "-h", "--help", action="help", help="show this help message and exit"
        )

    def error(self, message: str) -> NoReturn:
        given, self._given = self._given, ()
        if _MISSING.match(message):
            for argument in given:
                self._refuse_misspelt(argument)
        message = _EXPLICIT.sub(r"found \1, expected no value", message)
        raise InputError(f"{message[0].upper()}{message[1:]}; see {self.prog} --help.")

    def parse_known_args(self, args=None, namespace=None):  # noqa: D102
        if args is not None:
            args = with_flagfiles(args)
            args = [self._with_underscores(argument) for argument in args]
            self._given = args
        namespace, extra = super().parse_known_args(args, namespace)
        if extra:
            self._refuse(extra[0])
        return namespace, extra

    def _with_underscores(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        known = self._option_string_actions
        if name.startswith("--") and name not in known:
            spelled = f"--{name[2:].replace('-', '_')}"
            if spelled in known:
                return f"{spelled}{equals}{value}"
        return argument

    def _refuse(self, argument: str) -> NoReturn:
        """Says what is not understood, and what was perhaps meant."""
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            self.error(f"found the argument {argument!r}, expected none like it")
        self.error(f"unknown option {name}{self._hint_of_option(name)}")

    def _hint_of_option(self, name: str) -> str:
        spelled = name.replace("-", "_").replace("__", "--", 1)
        known = [text for text in self._option_string_actions if text[:2] == "--"]
        return _hint(spelled, known)

    def _refuse_misspelt(self, argument: str) -> None:
        """Refuses an option that has no such name but nearly; passes by all else."""
        name = argument.partition("=")[0]
        # argparse takes the beginning of a name, too.
        known = any(text.startswith(name) for text in self._option_string_actions)
        if name[:2] == "--" and not known and self._hint_of_option(name):
            self._refuse(argument)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        raise argparse.ArgumentError(
            action,
            f"found {value!r}, expected one of {', '.join(known)}"
            f"{_hint(str(value), known)}",
        )


def with_flagfiles(arguments: Sequence[str]) -> list[str]:
    """Puts the options of `--flagfile=FILE` in its place.

    Raises:
      InputError: if there is no such file, or it is no text.
    """
    try:
        return flags.FlagValues().read_flags_from_files(list(arguments))
    except flags.CantOpenFlagFileError as error:
        reason = error.__context__  # Of the system, with the file's name.
        if not isinstance(reason, OSError) or not reason.filename:
            raise
        raise InputError(
            f"--flagfile={reason.filename}: {reason.strerror}, expected a file with "
            "one option a line."
        ) from error
    except (UnicodeDecodeError, flags.IllegalFlagValueError) as error:
        is_named = isinstance(error, UnicodeDecodeError)
        found = "a file that is no text in UTF-8" if is_named else "no name"
        raise InputError(
            f"--flagfile: found {found}, expected a file with one option a line."
        ) from error


def refuse_choice(what: str, found: str, known: Sequence[str], prog: str) -> NoReturn:
    """Ends with a sentence about a name that is none of the known ones.

    Raises:
      InputError: always.
    """
    raise InputError(
        f"{what}: found {found!r}, expected one of {', '.join(known)}"
        f"{_hint(found, known)}; see {prog} --help."
    )


def refuse_given(options: argparse.Namespace, names: Sequence[str], told: str) -> None:
    """Refuses options that would be ignored.

    Args:
      options: read from a command line.
      names: of the options, none of which has a default.
      told: beside what they are found, and what was expected.

    Raises:
      InputError: naming the first that is given.
    """
    for name in names:
        if getattr(options, name) not in (None, False):
            raise InputError(f"--{name}: found {told}.")


def settle(options: argparse.Namespace, **defaults: Any) -> None:
    """Fills in options that were not given, after those ignored have been refused.

    Args:
      options: read from a command line.
      **defaults: name -> value; names that the command lacks are passed by.
    """
    for name, value in defaults.items():
        if getattr(options, name, value) is None:
            setattr(options, name, value)


def refuse_other_forms(
    options: argparse.Namespace, forms: Mapping[str, Sequence[str]]
) -> None:
    """Refuses options that were given and that the chosen form has not.

    Args:
      options: of a command with --form.
      forms: names of the options that each form has of its own.

    Raises:
      InputError: naming the first such option and the forms that have it.
    """
    for name in sorted({name for names in forms.values() for name in names}):
        having = [form for form, names in forms.items() if name in names]
        given = getattr(options, name, None) is not None
        if given and options.form not in having:
            raise InputError(
                f"--{name}: found with --form {options.form}, expected --form "
                f"{' or '.join(having)}."
            )


def _hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


class DefaultsFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default to the help of every option that has one worth telling."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False or not action.help:
            return action.help
        return super()._get_help_string(action)


def add_command(
    commands: Any, name: str, text: str, function: Any
) -> argparse.ArgumentParser:
    """Adds a command with defaults in its help; `options.function` is `function`."""
    parser = commands.add_parser(
        name, help=text, description=text, formatter_class=DefaultsFormatter
    )
    parser.set_defaults(function=function)
    return parser


def add_switch(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Adds `--name` and `--noname`; `--name=false` works too; None if not given."""
    parser.add_argument(
        f"--{name}", type=boolean, nargs="?", const=True, metavar="BOOL", help=text
    )
    parser.add_argument(
        f"--no{name}", dest=name, action="store_false", help=argparse.SUPPRESS
    )
    parser.set_defaults(**{name: None})


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds `--overwrite`, for `core.folders.require_free_folder`."""
    parser.add_argument("--overwrite", **OVERWRITE)


def add_overwrite_of_file(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds `--overwrite`, for `core.folders.require_free_file`.

    Args:
      parser: of the program.
      what: the option or argument that names the file.
    """
    parser.add_argument(
        "--overwrite", action="store_true", help=f"replace the file of {what}"
    )


def add_mesh_unit(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds `--unit` of written OBJ and PLY files; None if not given.

    Args:
      parser: of the program.
      text: what the default is.
    """
    parser.add_argument(
        "--unit",
        choices=list(UNITS),
        help=f"of OBJ and PLY files, {text}; GLB is in metres",
    )


# --- types ----------------------------------------------------------------------------


def boolean(text: str) -> bool:
    """Reads a truth value as text."""
    lowered = text.lower()
    if lowered not in ("true", "false", "yes", "no", "1", "0"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected true or false")
    return lowered in ("true", "yes", "1")


def finite(text: str) -> float:
    """Reads a finite number."""
    try:
        (value,) = texts.numbers([text]).tolist()
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a finite number")
    return value


def not_negative(text: str) -> float:
    """Reads a finite number of at least 0."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected at least 0")
    return value


def between(low: float, high: float) -> Callable[[str], float]:
    """The type of numbers from `low` to `high`."""

    def number(text: str) -> float:
        value = finite(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"found {text!r}, expected {low:g} to {high:g}"
            )
        return value

    return number


share = between(0, 1)
factor = between(-1e6, 1e6)
degrees = between(-36000, 36000)


def part(text: str) -> float:
    """Reads a number between 0 and 1, neither of them."""
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected a part between 0 and 1"
        )
    return value


def whole(text: str) -> int:
    """Reads a whole number."""
    try:
        return texts.whole_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected a whole number"
        ) from error


def count(text: str) -> int:
    """Reads a whole number of at least 1."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected at least 1")
    if value > LARGEST_COUNT:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected at most {LARGEST_COUNT}"
        )
    return value


def times(text: str) -> int:
    """Reads how often something is done: a whole number from 1 to `MOST_TIMES`."""
    value = whole(text)
    if not 1 <= value <= MOST_TIMES:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected 1 to {MOST_TIMES}")
    return value


def side(text: str) -> int:
    """Reads the side of a picture in pixels."""
    value = whole(text)
    if not 1 <= value <= LONGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected 1 to {LONGEST_SIDE}"
        )
    return value


def index(text: str) -> int:
    """Reads a whole number of at least 0."""
    value = whole(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected at least 0")
    return value


def seed(text: str) -> int:
    """Reads a whole number that NumPy's and TensorFlow's generators take."""
    value = index(text)
    if value >= 1 << 32:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected 0 to {(1 << 32) - 1}"
        )
    return value


def names(text: str) -> list[str]:
    """Reads a list separated by commas, of at least one name."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError(
            f"found {text!r}, expected names separated by commas"
        )
    return found
