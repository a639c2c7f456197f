import ctypes
import os
import subprocess
import sys

import pytest

from tf_faces.core import machine


def test_processors_are_those_of_the_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert machine.processors() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert machine.processors() == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.processors() == 1


FILL_AND_FREE = """
import resource, sys, numpy as np
from tf_faces.core import machine
if sys.argv[1] == "kept":
    machine.keep_freed_memory(shared_by_threads=True)
for _ in range(50):
    one, other = np.ones(5 << 18), np.ones(5 << 18)
    del one, other
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs the C library glibc"
)
def test_freed_memory_is_paged_in_once():
    # The defaults of the C library, whatever this run was started with.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_")
    }
    faults = {}
    for case in ("returned", "kept"):
        done = subprocess.run(
            [sys.executable, "-c", FILL_AND_FREE, case],
            env=environment | {"NUMPY_MADVISE_HUGEPAGE": "0"},
            check=True,
            capture_output=True,
            text=True,
        )
        faults[case] = int(done.stdout)
    pages = (2 * 5 << 21) // os.sysconf("SC_PAGESIZE")  # Of both arrays, once.
    assert faults["returned"] - faults["kept"] > 20 * pages
