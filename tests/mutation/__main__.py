"""Makes single mistakes in a copy of the package and runs the fast tests on each.

    python -m tests.mutation training losses --count 40 --results build/mutation.jsonl

Interrupted, the same command goes on.  See docs/testing.md.
"""

import argparse
import pathlib
import shutil
import sys
import tempfile

from tests.mutation import children, choosing, known_mistakes, results
from tests.mutation.mutations import Mutation, read
from tests.mutation.rooms import ROOMS
from tests.mutation.workplace import Workplace

TREE = pathlib.Path(__file__).resolve().parents[2]


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}"
    )
    parser.add_argument("--count", type=int, default=20, help="mistakes a room")
    parser.add_argument("--seed", type=int, default=1, help="of the random choice")
    parser.add_argument("--only", default="", help="text in the names of files")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="TEXT",
        help="leave out files of tests with this in their names",
    )
    parser.add_argument(
        "--budget",
        type=float,
        default=40.0,
        help="seconds of the processor that the tests of one mistake may take",
    )
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        default=TREE / "build" / "mutation.jsonl",
        help="file that records are appended to",
    )
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        help="folder of the copies, kept for the next start; otherwise a temporary one",
    )
    parser.add_argument(
        "--again", action="store_true", help="try those that survived once more"
    )
    parser.add_argument(
        "--known", action="store_true", help="try the list of known mistakes"
    )
    parser.add_argument(
        "--key", action="append", default=[], help="try this mistake only, and say all"
    )
    parser.add_argument(
        "--table", action="store_true", help="print the table of the results and end"
    )
    options = parser.parse_args(given)
    unknown = set(options.rooms) - set(ROOMS)
    if unknown:
        parser.error(f"unknown room {min(unknown)!r}, expected {', '.join(ROOMS)}")
    return options


def main(given: list[str] | None = None) -> int:
    options = _arguments(given)
    if not options.table:
        rooms = options.rooms or sorted(ROOMS)
        children.warm_up([name for room in rooms for name in ROOMS[room].imports])
        folder = options.work or pathlib.Path(tempfile.mkdtemp(prefix="mutation-"))
        try:
            for room in rooms:
                _try_room(room, folder / room, options)
        finally:
            if not options.work:
                shutil.rmtree(folder, ignore_errors=True)
    records = results.latest(options.results).values()
    shown = [r for r in records if r["room"] in (options.rooms or ROOMS)]
    print("\n".join(results.table(shown, results.reasons())))
    return 0


def _try_room(name: str, folder: pathlib.Path, options: argparse.Namespace) -> None:
    mutations = _wanted(name, options)
    done = results.latest(options.results)
    waiting = []
    for mutation in mutations:
        key = mutation.key(read(TREE, mutation.path))
        former = done.get(key)
        survived = former is not None and former["status"] == "survived"
        if former is None or options.key or (options.again and survived):
            waiting.append((key, mutation))
    if not waiting:
        return
    place = Workplace(TREE, ROOMS[name], folder, options.budget, options.without)
    for number, (key, mutation) in enumerate(waiting, 1):
        source = read(place.root, mutation.path)
        difference = mutation.difference(source)
        outcome, tests = place.attempt(mutation)
        noticed = outcome.status in ("failed", "crashed", "time")
        record = {
            "key": key,
            "room": name,
            "path": mutation.path,
            "line": mutation.line,
            "kind": mutation.kind,
            "difference": difference,
            "status": "noticed" if noticed else "survived",
            "how": outcome.status,
            "test": outcome.test,
            "why": outcome.why,
            "tests": tests,
            "seconds": round(outcome.seconds, 1),
        }
        results.append(options.results, record)
        print(
            f"{name} {number}/{len(waiting)} {record['status']} ({outcome.status}, "
            f"{outcome.seconds:.1f} s, {tests} tests) {mutation.path}:{mutation.line} "
            f"{mutation.kind} {outcome.test}",
            flush=True,
        )
        if not noticed or options.key:
            print(difference, flush=True)
        if options.key:
            print(outcome.output, flush=True)


def _wanted(name: str, options: argparse.Namespace) -> list[Mutation]:
    room = ROOMS[name]
    if options.known:
        return known_mistakes.mutations(name, TREE)
    if options.key or options.again:
        wanted = set(options.key) or results.latest(options.results).keys()
        everything = choosing.choose(room, TREE, sys.maxsize, options.seed)
        return [m for m in everything if m.key(read(TREE, m.path)) in wanted]
    return choosing.choose(room, TREE, options.count, options.seed, options.only)


if __name__ == "__main__":
    sys.exit(main())
