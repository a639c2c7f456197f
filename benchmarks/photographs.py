"""How fast the picture factory draws, and whether its memory stays flat.

    python benchmarks/photographs.py --count 200
    python benchmarks/photographs.py --count 20000 --sizes 128

For each size: photographs a second of processor time in one process, photographs a
second of wall time through the pipeline with as many processes as there are cores, and
the growth of memory from the first half of the photographs to the second.
"""

import argparse
import os
import pathlib
import resource
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tf_faces.core import machine  # noqa: E402
from tf_faces.data.photographs import factory, streams  # noqa: E402
from tf_faces.data.photographs.settings import Settings  # noqa: E402

_WARM = 60  # Photographs until skins, hair and places have been read.


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(settings: Settings, count: int) -> tuple[float, float]:
    """Photographs a second of processor time, and megabytes that the memory grew."""
    machine.keep_freed_memory()
    for index in range(min(_WARM, count)):
        factory.draw(settings, 0, index)
    start = time.process_time()
    for index in range(count):
        factory.draw(settings, 1, index)
        if index == count // 2:
            middle = _megabytes()
    return count / (time.process_time() - start), _megabytes() - middle


def beside(settings: Settings, count: int, processes: int) -> float:
    """Photographs a second of wall time through the pipeline, once it is warm."""
    names = ("picture", "landmarks", "pose")
    warm = _WARM * processes
    found = streams.stream(settings, names, count=warm + count, processes=processes)
    for number, _ in enumerate(found):
        if number == warm:
            start = time.monotonic()
    return (count - 1) / (time.monotonic() - start)


def main() -> None:
    """Prints one line a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--sizes", default="128,256")
    parser.add_argument("--model", default="ict")
    parser.add_argument("--processes", type=int, default=machine.processors())
    options = parser.parse_args()
    print(f"{machine.processors()} cores, load {os.getloadavg()[0]:.1f}")
    for size in map(int, options.sizes.split(",")):
        settings = Settings(model=options.model, size=size, hair=1.0)
        rate, growth = alone(settings, options.count)
        wall = beside(settings, options.count, options.processes)
        print(
            f"{size} pixels: {rate:.1f} a second of one core, {wall:.1f} a second by "
            f"{options.processes} processes beside, memory grew by {growth:.1f} MB"
        )


if __name__ == "__main__":
    main()
