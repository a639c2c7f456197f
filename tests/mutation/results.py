"""What was tried and how it ended: a JSON line for each attempt, and a table."""

import collections
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

UNOBSERVABLE = pathlib.Path(__file__).with_name("unobservable.jsonl")
Record = dict[str, Any]


def append(path: pathlib.Path, record: Mapping[str, Any]) -> None:
    """Adds one line to the results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def latest(path: pathlib.Path) -> dict[str, Record]:
    """Returns the last record of every mistake by its key."""
    if not path.exists():
        return {}
    lines = path.read_text("utf-8").splitlines()
    return {record["key"]: record for record in map(json.loads, lines)}


def reasons() -> dict[str, str]:
    """Returns {key: why it changes nothing that can be observed}."""
    if not UNOBSERVABLE.exists():
        return {}
    lines = UNOBSERVABLE.read_text("utf-8").splitlines()
    return {entry["key"]: entry["reason"] for entry in map(json.loads, lines)}


def table(records: Iterable[Record], known: Mapping[str, str]) -> list[str]:
    """Returns a Markdown table by room, and the survivors.

    Args:
      records: the last one of every mistake.
      known: reasons of those that change nothing.
    """
    rooms: dict[str, collections.Counter] = {}
    survivors = []
    for record in records:
        counts = rooms.setdefault(record["room"], collections.Counter())
        counts["all"] += 1
        counts[record["status"]] += 1
        if record["how"] == "time":
            counts["time"] += 1
        if record["status"] == "survived":
            if record["key"] in known:
                counts["unobservable"] += 1
            survivors.append(record)
    lines = [
        "| room | mistakes | noticed | of these by time | survived "
        "| of these unobservable | noticed of observable |",
        "|---|---|---|---|---|---|---|",
    ]
    total: collections.Counter = collections.Counter()
    for room, counts in sorted(rooms.items()):
        lines.append(_row(room, counts))
        total.update(counts)
    lines.append(_row("all", total))
    for record in sorted(survivors, key=lambda r: (r["path"], r["line"])):
        lines += ["", f"{record['path']}:{record['line']} ({record['kind']}, "
                  f"{record['key']}, {record['tests']} tests)"]  # fmt: skip
        lines.append(record["difference"])
        if record["key"] in known:
            lines.append(f"  unobservable: {known[record['key']]}")
    return lines


def _row(room: str, counts: Mapping[str, int]) -> str:
    observable = counts["all"] - counts["unobservable"]
    # Cut off, not rounded: 94.99 is not 95.
    share = counts["noticed"] * 1000 // observable / 10 if observable else 0.0
    return (
        f"| {room} | {counts['all']} | {counts['noticed']} | {counts['time']} "
        f"| {counts['survived']} | {counts['unobservable']} | {share}% |"
    )
