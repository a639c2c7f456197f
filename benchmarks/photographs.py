"""How fast the picture factory draws, and whether its memory stays flat.

    python benchmarks/photographs.py --count 200
    python benchmarks/photographs.py --count 20000 --sizes 128

For each size: photographs a second of processor time in one process of one thread,
photographs a second of wall time through the pipeline with as many processes as there
are cores, and the resident memory after each tenth of the photographs.
"""

import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
for _name in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")
for _name in ("INTRAOP", "INTEROP"):
    os.environ.setdefault(f"TF_NUM_{_name}_THREADS", "1")

from tf_faces.core import machine  # noqa: E402
from tf_faces.data.photographs import factory, streams, surroundings  # noqa: E402
from tf_faces.data.photographs.settings import Settings  # noqa: E402

# Photographs a process until skins and hair have been read; and until nearly every
# place has been seen at every focus.
_WARM, _WARM_BESIDE = 60, 500


def _megabytes() -> int:
    """Resident memory of this process now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def alone(settings: Settings, count: int) -> tuple[float, list[int]]:
    """Photographs a second of processor time, and megabytes at every tenth."""
    machine.keep_freed_memory()
    for place in factory.places():
        for focus in range(len(surroundings.FOCUS_DEGREES)):
            place.background(focus)
    for index in range(min(_WARM, count)):
        factory.draw(settings, 0, index)
    start, memory = time.process_time(), []
    for index in range(count):
        factory.draw(settings, 1, index)
        if (index + 1) * 10 // count > len(memory):
            memory.append(_megabytes())
    return count / (time.process_time() - start), memory


def beside(settings: Settings, count: int, processes: int) -> float:
    """Photographs a second of wall time through the pipeline, once it is warm."""
    names = ("picture", "landmarks", "pose")
    warm = _WARM_BESIDE * processes
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
    parser.add_argument("--alone", action="store_true", help="without the pipeline")
    options = parser.parse_args()
    print(f"{machine.processors()} cores, load {os.getloadavg()[0]:.1f}")
    for size in map(int, options.sizes.split(",")):
        settings = Settings(model=options.model, size=size, hair=1.0)
        rate, memory = alone(settings, options.count)
        print(f"{size} pixels: {rate:.1f} a second of one core; MB at every tenth:")
        print(*memory, flush=True)
        if not options.alone:
            wall = beside(settings, options.count, options.processes)
            print(f"  {wall:.1f} a second by {options.processes} processes beside")


if __name__ == "__main__":
    main()
