"""Every place of a C++ file where one of the usual mistakes can be made.

C++ is not parsed: operators are taken where spaces surround them, outside of comments,
texts and directives.
"""

import re

from tests.mutation.mutations import Mutation

_SPACED = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "+": "-",
    "-": "+", "*": "/", "/": "*", "%": "*", "&&": "||", "||": "&&", "+=": "-=",
    "-=": "+=", "&": "|", "|": "&",
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor"}
_LEFT_OUT = re.compile(
    rb"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    rb"|^[ \t]*#(?:[^\n\\]|\\.)*(?:\\\n[^\n]*)*",
    re.DOTALL | re.MULTILINE,
)
_OPERATOR = re.compile(
    rb"(?<= )(" + b"|".join(re.escape(o.encode()) for o in sorted(_SPACED, key=len,
    reverse=True)) + rb")(?=[ \n])"
)  # fmt: skip
_NUMBER = re.compile(rb"(?<![\w.])(\d+)(\.\d*)?(f|u|ull|ll)?(?![\w.])")
_CALL = re.compile(rb"\bstd::(min|max|floor|ceil)\b")
_STATEMENT = re.compile(
    rb"(?<=\n)[ \t]+((?:return;|continue;|break;)|(?!return|using|const|constexpr|"
    rb"static|case|default|typedef|goto|break|continue)[A-Za-z_][\w.\[\]>()-]*"
    rb"(?: [-+*/|&]?= |\()[^;{}\n]*;)[ \t]*(?=\n)"
)


def find(path: str, source: bytes) -> list[Mutation]:
    """Returns all mistakes for a file, in the order of the text.

    Args:
      path: the file's name in the results.
      source: its text, UTF-8.
    """
    text = _LEFT_OUT.sub(lambda match: re.sub(rb"[^\n]", b" ", match[0]), source)
    found = []

    def add(kind: str, start: int, end: int, replacement: bytes) -> None:
        line = text.count(b"\n", 0, start) + 1
        found.append(Mutation(path, kind, start, end, replacement, line))

    for match in _OPERATOR.finditer(text):
        old = match[1].decode()
        comparing = old[0] in "<>!" or old == "=="
        add("comparison" if comparing else "operator", *match.span(1),
            _SPACED[old].encode())  # fmt: skip
    for match in _NUMBER.finditer(text):
        whole, fraction, suffix = match[1], match[2] or b"", match[3] or b""
        changed = str(int(whole) + 1).encode() + fraction + suffix
        add("constant", *match.span(), changed)
    for match in _CALL.finditer(text):
        other = _NAMES[match[1].decode()].encode()
        add("other function", *match.span(1), other)
    for match in _STATEMENT.finditer(text):
        add("dropped statement", *match.span(1), b";")
    return sorted(found, key=lambda m: (m.start, m.end, m.kind))
