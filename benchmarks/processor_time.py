"""How long a call takes, in seconds of the processor."""

import time


def seconds(function, repeats: int = 5) -> float:
    """Processor seconds of one call: the least of some, after one that warms up."""
    function()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)
