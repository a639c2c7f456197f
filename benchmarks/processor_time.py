"""How long a call takes, in seconds of the processor; and of which one."""

import importlib.metadata
import os
import pathlib
import platform
import time


def times(function, repeats: int, clock=time.process_time) -> list[float]:
    """Seconds of some calls, after one that warms up."""
    function()
    found = []
    for _ in range(repeats):
        start = clock()
        function()
        found.append(clock() - start)
    return found


def seconds(function, repeats: int = 5) -> float:
    """Processor seconds of one call: the least of some, after one that warms up."""
    return min(times(function, repeats))


def machine_line() -> str:
    """Returns what kind of machine this is, in one line."""
    name = platform.processor() or platform.machine()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        models = [line.split(":", 1)[1] for line in lines if "model name" in line]
        name = models[0].strip() if models else name
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    version = importlib.metadata.version("tensorflow")
    return f"{name}, {os.cpu_count()} cores, TensorFlow {version}{busy}"
