"""What the documents print: shell commands and Python blocks, in their order.

Commands are the lines of ```sh blocks, lines of other blocks and of help texts that
begin with a program's name, and inline code that does.  A backslash continues a line,
` #` begins a remark, `&&` joins two commands.
"""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Pages in the order in which somebody new would read them.
PAGES = (
    "README.md",
    *("docs/python.md", "docs/data.md", "docs/data_format.md"),
    *("docs/systems/tbgan.md", "docs/serving.md", "docs/checkpoints.md"),
    *("docs/systems/face_manifold.md", "docs/systems/morphable.md"),
    *("docs/conventions.md", "docs/architecture.md", "docs/testing.md"),
)
# Programs whose name at the beginning of a line makes it a command.
PROGRAMS = (
    *("tf-faces", "python", "pip", "pytest", "tensorboard", "git", "curl", "docker"),
    *("tensorflow_model_server", "saved_model_cli", "ruff"),
)
_PROGRAM = re.compile(rf"({'|'.join(map(re.escape, PROGRAMS))}) +[^ ]")
_FENCE = re.compile(r"^( *)```(\w*) *$")
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclasses.dataclass(frozen=True)
class Item:
    """Something to run.

    Attributes:
      kind: "command" or "python".
      text: the command on one line, or the block.
      line: of the page, from 1.
    """

    kind: str
    text: str
    line: int


def documents() -> list[str]:
    """All pages, help texts and recipes, relative to the repository, in order."""
    found = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/help/*.txt"),
        *ROOT.glob("configs/*.py"),
    ]
    names = sorted(str(path.relative_to(ROOT)) for path in found)
    first = [name for name in PAGES if name in names]
    return [*first, *(name for name in names if name not in first)]


def items(name: str) -> list[Item]:
    """What a document prints to be run."""
    text = (ROOT / name).read_text()
    return list(_of_page(text) if name.endswith(".md") else _of_text(text))


def _of_page(text: str):
    language, block, start = None, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and language is None:
            language, block, start = fence[2], [], number + 1
        elif fence:
            if language == "python":
                yield Item("python", "\n".join(block) + "\n", start)
            else:
                yield from _of_lines(block, start, every=language == "sh")
            language = None
        elif language is not None:
            block.append(line)
        else:
            for inline in _INLINE.findall(line):
                if _PROGRAM.match(inline):
                    yield from _commands(inline, number)
    assert language is None, "a block without end"


def _of_text(text: str):
    """Help texts and recipes: lines that begin with a program, indented or not."""
    lines = [
        # What a help text is of, and its summary of options.
        "" if line.startswith(("$ ", "usage: ")) else line
        for line in text.splitlines()
    ]
    yield from _of_lines(lines, 1, every=False)


def _of_lines(lines, start: int, every: bool):
    rows = iter(enumerate(lines, start))
    for number, line in rows:
        command = line.strip()
        if not command or command.startswith("#"):
            continue
        if not (every or _PROGRAM.match(command)):
            continue
        while command.endswith("\\"):
            command = command[:-1] + next(rows)[1].strip()
        yield from _commands(command, number)


def _commands(text: str, line: int):
    text = re.sub(r" +# .*", "", text)
    for part in text.split("&&"):
        yield Item("command", " ".join(part.split()), line)
