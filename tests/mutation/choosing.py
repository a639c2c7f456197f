"""Which mistakes are tried, and which tests look at each."""

import ast
import functools
import pathlib
import random
from collections.abc import Sequence

from tests.mutation import kernel_sites, python_sites
from tests.mutation.mutations import Mutation, read
from tests.mutation.rooms import Room
from tests.mutation.watching import TestRecord


def choose(
    room: Room, root: pathlib.Path, count: int, seed: int, only: str = ""
) -> list[Mutation]:
    """Draws mistakes, equally over the files of a room and the kinds within a file.

    Args:
      room: whose files.
      root: of the tree.
      count: how many; fewer where there are no more.
      seed: of the draws; a larger count begins with the same ones.
      only: text that the names of files must contain.
    """
    generator = random.Random(seed)
    waiting: dict[str, dict[str, list[Mutation]]] = {}
    for path in room.files(root):
        if only not in path:
            continue
        find = python_sites.find if path.endswith(".py") else kernel_sites.find
        kinds: dict[str, list[Mutation]] = {}
        for mutation in find(path, read(root, path)):
            kinds.setdefault(mutation.kind, []).append(mutation)
        if kinds:
            waiting[path] = kinds
    chosen: list[Mutation] = []
    while waiting and len(chosen) < count:
        path = generator.choice(sorted(waiting))
        kind = generator.choice(sorted(waiting[path]))
        sites = waiting[path][kind]
        chosen.append(sites.pop(generator.randrange(len(sites))))
        if not sites:
            del waiting[path][kind]
            if not waiting[path]:
                del waiting[path]
    return chosen


def tests_for(
    mutation: Mutation,
    source: bytes,
    records: Sequence[TestRecord],
    budget: float,
) -> list[TestRecord]:
    """Returns the tests that may notice a mistake, those that run its line first.

    Args:
      mutation: the mistake.
      source: text of its file.
      records: all tests of the room.
      budget: seconds of the processor; slower tests beyond it are left out.
    """
    line = mutation.line
    if mutation.path.endswith(".py"):
        line = _statement_lines(source).get(line, line)

    def nearness(record: TestRecord) -> int:
        lines = record.statements.get(mutation.path)
        if not lines:
            return 2
        return 0 if line in lines else 1

    ordered = sorted(
        (nearness(record), record.seconds, record.test, record) for record in records
    )
    # Tests that never enter the file count only where none does.
    entered = [entry for entry in ordered if entry[0] < 2]
    if not entered:
        entered, budget = ordered, budget / 4  # With little hope.
    chosen, total = [], 0.0
    for _, seconds, _, record in entered:
        if chosen and total + seconds > budget:
            continue
        total += seconds
        chosen.append(record)
    return chosen


@functools.lru_cache(maxsize=4)
def _statement_lines(source: bytes) -> dict[int, int]:
    """Returns, for every line, where the innermost statement around it begins."""
    begins: dict[int, int] = {}
    for node in ast.walk(ast.parse(source)):  # Outer statements before inner ones.
        if isinstance(node, ast.stmt):
            for inside in range(node.lineno, (node.end_lineno or 0) + 1):
                begins[inside] = node.lineno
    return begins
