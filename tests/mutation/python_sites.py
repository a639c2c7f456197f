"""Every place of a Python file where one of the usual mistakes can be made.

Places are found in the syntax tree; the mistake itself is a change of the text, so that
the rest of the file stays as it is.  Left alone: messages (what is raised, printed or
asserted), annotations, decorators, documentation.
"""

import ast
import bisect
import re

from tests.mutation.mutations import Mutation

_COMPARISONS = {
    ast.Lt: b"<=", ast.LtE: b"<", ast.Gt: b">=", ast.GtE: b">",
    ast.Eq: b"!=", ast.NotEq: b"==", ast.Is: b"is not", ast.IsNot: b"is",
}  # fmt: skip
_OPERATORS = {
    ast.Add: (b"+", b"-"), ast.Sub: (b"-", b"+"), ast.Mult: (b"*", b"/"),
    ast.Div: (b"/", b"*"), ast.FloorDiv: (b"//", b"*"), ast.Mod: (b"%", b"*"),
    ast.Pow: (b"**", b"*"), ast.BitAnd: (b"&", b"|"), ast.BitOr: (b"|", b"&"),
    ast.LShift: (b"<<", b">>"), ast.RShift: (b">>", b"<<"),
}  # fmt: skip
_EXCHANGED = """
    min/max minimum/maximum reduce_min/reduce_max argmin/argmax floor/ceil sin/cos
    zeros/ones zeros_like/ones_like any/all reduce_any/reduce_all sum/mean
    reduce_sum/reduce_mean logical_and/logical_or sqrt/square exp/log hstack/vstack
"""
_NAMES = dict(pair.split("/") for pair in _EXCHANGED.split())
_NAMES |= {other: name for name, other in _NAMES.items()}
# Calls f(x, ...) that may be forgotten, leaving x.
_FORGOTTEN = frozenset(
    """clip clip_by_value stop_gradient abs absolute softmax normalize sorted max min
    maximum minimum rint round nan_to_num expand_dims deepcopy floor ceil
    """.split()
)
# Keywords whose absence is a matter of taste, of messages or of speed.
_INDIFFERENT = frozenset(
    """name help desc description flush file encoding errors strict stacklevel err_msg
    num_parallel_calls deterministic optimize text prog metavar total unit leave
    """.split()
)
_ORDERED_AXES = {"axes", "perm"}
_MESSAGES = {"print", "warn", "warning", "info", "debug"}


def find(path: str, source: bytes) -> list[Mutation]:
    """Returns all mistakes for a file, in the order of the text.

    Args:
      path: the file's name in the results.
      source: its text, UTF-8.

    Returns:
      Mistakes that are still Python.
    """
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda m: (m.start, m.end, m.kind, m.replacement))


def _called(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes):
        self.path = path
        self.source = source
        self.found: list[Mutation] = []
        self.line_starts = [0]
        for line in source.splitlines(keepends=True):
            self.line_starts.append(self.line_starts[-1] + len(line))

    # --- places in the text ---------------------------------------------------------

    def start(self, node) -> int:
        return self.line_starts[node.lineno - 1] + node.col_offset

    def end(self, node) -> int:
        return self.line_starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node) -> bytes:
        return self.source[self.start(node) : self.end(node)]

    def add(self, kind: str, start: int, end: int, replacement: bytes) -> None:
        if self.source[start:end] == replacement:
            return
        line = bisect.bisect_right(self.line_starts, start)
        self.found.append(Mutation(self.path, kind, start, end, replacement, line))

    def replace(self, kind: str, node, replacement: bytes) -> None:
        self.add(kind, self.start(node), self.end(node), replacement)

    def replace_operator(self, kind: str, left, right, new: bytes, old: str) -> None:
        """Replaces the operator between two nodes."""
        start = self.end(left)
        between = self.source[start : self.start(right)]
        match = re.search(old.encode(), between)
        if match and b"#" not in between[: match.start()]:
            self.add(kind, start + match.start(), start + match.end(), new)

    def drop(self, kind: str, node) -> None:
        self.replace(kind, node, b"pass")

    # --- statements -----------------------------------------------------------------

    def visit_FunctionDef(self, node) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node) -> None:
        if node.value is not None:
            if isinstance(node.target, ast.Attribute):
                self.drop("dropped assignment", node)
            self.visit(node.value)

    def visit_Assign(self, node) -> None:
        target = node.targets[0]
        if isinstance(target, ast.Name) and target.id == "__all__":
            return
        if isinstance(target, ast.Attribute | ast.Subscript):
            self.drop("dropped assignment", node)
        self.generic_visit(node)

    def visit_AugAssign(self, node) -> None:
        self.drop("dropped assignment", node)
        old, new = _OPERATORS.get(type(node.op), (None, None))
        if old:
            self.replace_operator(
                "operator", node.target, node.value, new + b"=", re.escape(old.decode())
                + "=",
            )  # fmt: skip
        self.visit(node.value)

    def visit_Expr(self, node) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if isinstance(node.value, ast.Call):
            if _called(node.value) in _MESSAGES:
                return
            self.drop("dropped statement", node)
        self.generic_visit(node)

    def visit_Raise(self, node) -> None:
        self.drop("dropped error", node)

    def visit_Assert(self, node) -> None:
        return

    def visit_Break(self, node) -> None:
        self.drop("dropped jump", node)

    visit_Continue = visit_Break

    def visit_With(self, node) -> None:
        first = node.items[0]
        if len(node.items) == 1 and first.optional_vars is None:
            self.add(
                "dropped context", self.start(node), self.end(first.context_expr),
                b"if True",
            )  # fmt: skip
        self.generic_visit(node)

    def _negate(self, node) -> None:
        test = node.test
        if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            self.replace("condition", test, b"not " + self.text(test))
        self.generic_visit(node)

    visit_If = visit_IfExp = visit_While = _negate

    # --- expressions ----------------------------------------------------------------

    def visit_JoinedStr(self, node) -> None:
        return

    def visit_Constant(self, node) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace("constant", node, b"False" if value else b"True")
        elif isinstance(value, int):
            self.replace("constant", node, str(value + 1).encode())
        elif isinstance(value, float):
            self.replace("constant", node, repr(value * 2 if value else 1.0).encode())

    def visit_UnaryOp(self, node) -> None:
        if isinstance(node.op, ast.USub):
            self.replace("sign", node, self.text(node.operand))
        elif isinstance(node.op, ast.Not):
            self.replace("condition", node, self.text(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node) -> None:
        old, new = _OPERATORS.get(type(node.op), (None, None))
        is_text = any(
            isinstance(side, ast.JoinedStr)
            or (isinstance(side, ast.Constant) and isinstance(side.value, str))
            for side in (node.left, node.right)
        )
        if old and not is_text:
            self.replace_operator(
                "operator", node.left, node.right, new, re.escape(old.decode())
            )
        self.generic_visit(node)

    def visit_BoolOp(self, node) -> None:
        old, new = ("and", b"or") if isinstance(node.op, ast.And) else ("or", b"and")
        self.replace_operator(
            "condition", node.values[0], node.values[1], new, rf"\b{old}\b"
        )
        self.generic_visit(node)

    def visit_Compare(self, node) -> None:
        sides = [node.left, *node.comparators]
        for left, right, operator in zip(sides, sides[1:], node.ops, strict=False):
            new = _COMPARISONS.get(type(operator))
            if new is not None:
                self.replace_operator(
                    "comparison", left, right, new, r"[<>=!]=?|\bis(\s+not)?\b"
                )
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            permitted = b"True" if isinstance(node.ops[0], ast.In) else b"False"
            self.replace("widened list", node, permitted)
        self.generic_visit(node)

    def visit_Attribute(self, node) -> None:
        if node.attr == "T":
            self.replace("axes", node, self.text(node.value))
        self.generic_visit(node)

    def visit_Dict(self, node) -> None:
        keys = [key for key in node.keys if isinstance(key, ast.Constant)]
        if len(keys) > 1 and len(keys) == len(node.keys):
            for key, following in zip(keys, keys[1:], strict=False):
                start, end = self.start(key), self.start(following)
                self.add("dropped entry", start, end, b"")
            start, end = self.end(node.values[-2]), self.end(node.values[-1])
            self.add("dropped entry", start, end, b"")
        self.generic_visit(node)

    def visit_Call(self, node) -> None:
        name = _called(node)
        if name in _MESSAGES:
            return
        if name in _NAMES:
            end = self.end(node.func)
            start = end - len(name.encode())
            self.add("other function", start, end, _NAMES[name].encode())
        simple = node.args and not isinstance(node.args[0], ast.Starred)
        is_method = isinstance(node.func, ast.Attribute) and not _is_module(node.func)
        if simple and name in _FORGOTTEN and not is_method:
            inner = b"(" + self.text(node.args[0]) + b")"
            self.replace("forgotten call", node, inner)
        if len(node.args) > 1 and not any(
            isinstance(argument, ast.Starred) for argument in node.args
        ):
            first, second = node.args[:2]
            if not isinstance(first, ast.Constant) or not isinstance(
                second, ast.Constant
            ):
                between = self.source[self.end(first) : self.start(second)]
                swapped = self.text(second) + between + self.text(first)
                self.add(
                    "swapped arguments", self.start(first), self.end(second), swapped
                )
        if name in ("transpose", "permute"):
            self._swap_last(node.args[-1:])
        for keyword in node.keywords:
            if keyword.arg in _ORDERED_AXES:
                self._swap_last([keyword.value])
            if keyword.arg and keyword.arg not in _INDIFFERENT:
                self._drop_keyword(node, keyword)
        self.generic_visit(node)

    def _swap_last(self, nodes) -> None:
        for node in nodes:
            if isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1:
                first, second = node.elts[-2:]
                between = self.source[self.end(first) : self.start(second)]
                swapped = self.text(second) + between + self.text(first)
                self.add("axes", self.start(first), self.end(second), swapped)

    def _drop_keyword(self, node: ast.Call, keyword: ast.keyword) -> None:
        """Leaves out `keyword=value` with the comma after it, or before it."""
        if isinstance(keyword.value, ast.Constant) and keyword.value.value is None:
            return
        start, end = self.start(keyword), self.end(keyword)
        after = re.match(rb"\s*,\s*", self.source[end:])
        if after:
            end += after.end()
        self.add("dropped keyword", start, end, b"")


def _is_module(function: ast.Attribute) -> bool:
    """Whether `a.b.c(...)` looks like a function of a module, not a method."""
    value = function.value
    while isinstance(value, ast.Attribute):
        value = value.value
    modules = ("np", "tf", "ops", "math", "jnp", "keras", "copy", "array_module", "xp")
    return isinstance(value, ast.Name) and value.id in modules
