"""Copies of the tree where mistakes are made; the working tree is never touched."""

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

from tests.mutation import children, watching
from tests.mutation.children import Outcome
from tests.mutation.choosing import tests_for
from tests.mutation.mutations import Mutation, read
from tests.mutation.rooms import Room
from tests.mutation.watching import TestRecord, Watcher

_LEFT_OUT = (".git", "__pycache__", "results", "datasets", "exports", "build", ".*")


class BaselineError(Exception):
    """The tests do not pass without any mistake."""


class Workplace:
    """A copy of the tree and the fast tests of one room that pass there.

    Attributes:
      root: the copy.
      records: the tests.
    """

    def __init__(
        self,
        tree: pathlib.Path,
        room: Room,
        folder: pathlib.Path,
        budget: float,
        without: Sequence[str] = (),
    ):
        """Copies `tree` into `folder` and runs the room's tests once.

        Args:
          tree: root of the working tree.
          room: whose tests.
          folder: an empty or former one; files of tests that are as they were when it
            was used are not run again.
          budget: seconds of the processor that the tests of one mistake may take.
          without: files of tests with one of these texts in their names are left out.
        """
        self.room = room
        self.without = tuple(without)
        self.budget = budget
        self.folder = folder
        self.root = folder / "tree"
        self._scratch = folder / "scratch"
        self._caches = folder / "caches"
        for path in (self._scratch, self._caches):
            path.mkdir(parents=True, exist_ok=True)
        _copy(tree, self.root)
        shared = folder / "shared"
        if (tree.parent / "shared").exists() and not shared.exists():
            shared.symlink_to((tree.parent / "shared").resolve())
        self.records = self._watched(tree)
        # Compiles modules and tests for all runs that follow.
        self._run(
            [record.test for record in self.records],
            arguments=("--collect-only",),
            write_bytecode=True,
        )

    def _paths(self) -> list[str]:
        wanted = [f"tests/{name}" for name in self.room.tests]
        return [path for path in wanted if (self.root / path).exists()]

    def _run(self, tests, **options) -> Outcome:
        paths = self._paths()
        if tests:
            paths = sorted({test.partition("::")[0] for test in tests})
        return children.run_tests(self.root, self._scratch, paths, tests, **options)

    def _test_files(self) -> dict[str, str]:
        """Returns {file of tests: what tells its text from others}."""
        found = {}
        for name in self._paths():
            path = self.root / name
            for file in sorted(path.rglob("test_*.py")) if path.is_dir() else [path]:
                if any(text in file.name for text in self.without):
                    continue
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                found[file.relative_to(self.root).as_posix()] = digest
        return found

    def _watched(self, tree: pathlib.Path) -> list[TestRecord]:
        """Returns all tests that pass; new and changed files of tests are run."""
        stored, stored_files = self.folder / "tests.jsonl", self.folder / "files.json"
        files = self._test_files()
        former = json.loads(stored_files.read_text()) if stored_files.exists() else {}
        records = [
            record
            for record in (watching.load(stored) if stored.exists() else [])
            if record.file in files and files[record.file] == former.get(record.file)
        ]
        changed = [name for name in files if files[name] != former.get(name)]
        if changed:
            records += self._watch(tree, changed)
            watching.save(records, stored)
            stored_files.write_text(json.dumps(files))
        return records

    def _watch(self, tree: pathlib.Path, paths: list[str]) -> list[TestRecord]:
        """Runs files of tests on marked sources and returns what they ran."""
        marked = self.folder / "marked"
        _copy(tree, marked)
        sources = [p for p in self.room.files(marked) if p.endswith(".py")]
        numbers = watching.mark(marked, sources)
        marks = self._scratch / "marks.txt"
        found = self._scratch / "tests.jsonl"
        found.unlink(missing_ok=True)
        cache = self._scratch / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(self._caches, cache)

        def keep(watcher) -> None:
            watching.save(watcher.records, found)
            failures = self._scratch / "failures.txt"
            failures.write_text("\n".join(watcher.failed))

        outcome = children.run_tests(
            marked, self._scratch, paths, wall_limit=7200,
            plugin=functools.partial(Watcher, numbers, marks), after=keep,
        )  # fmt: skip
        shutil.rmtree(marked)
        if not found.exists():
            raise BaselineError(outcome.output[-3000:])
        failed = (self._scratch / "failures.txt").read_text()
        if failed:
            print(f"Left out, failing without any mistake:\n{failed}", flush=True)
        # The compiled op and the built-in face are the same for all mistakes but
        # those in their own sources.
        shutil.copytree(cache, self._caches, dirs_exist_ok=True)
        return watching.load(found)

    def attempt(self, mutation: Mutation) -> tuple[Outcome, int]:
        """Makes one mistake, runs its tests, and takes the mistake back.

        Returns:
          The outcome and the number of tests chosen.
        """
        source = read(self.root, mutation.path)
        chosen = tests_for(mutation, source, self.records, self.budget)
        seconds = sum(record.seconds for record in chosen)
        self._fresh_cache(mutation.path)
        with _mistake(self.root, mutation):
            outcome = self._run(
                [record.test for record in chosen],
                processor_limit=60 + 5 * seconds,
                wall_limit=120 + 15 * seconds,
                arguments=("-x",),
            )
        return outcome, len(chosen)

    def tests_of(self, mutation: Mutation) -> list[TestRecord]:
        """Returns the tests that `attempt` would run."""
        source = read(self.root, mutation.path)
        return tests_for(mutation, source, self.records, self.budget)

    def _fresh_cache(self, path: str) -> None:
        """No run sees what a mistake of another one left in the cache."""
        cache = self._scratch / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        # Kernels are kept by their sources; faces would hide mistakes in what builds
        # and writes them.
        builds_faces = path.startswith(("tf_faces/morphable/", "tf_faces/core/"))
        kept = self._caches / "render_depth" if builds_faces else self._caches
        if kept.exists():
            target = cache / kept.relative_to(self._caches)
            shutil.copytree(kept, target, copy_function=os.link)


def _copy(tree: pathlib.Path, target: pathlib.Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(tree, target, ignore=shutil.ignore_patterns(*_LEFT_OUT))


@contextlib.contextmanager
def _mistake(root: pathlib.Path, mutation: Mutation) -> Iterator[None]:
    """Changes a file of the copy for the time of the block."""
    path = root / mutation.path
    source, times = path.read_bytes(), path.stat()
    path.write_bytes(mutation.applied(source))
    # Another second, so that the compiled module is not taken for the changed file's.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 7_000_000_000))
    try:
        yield
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
