"""Copies standard input to standard output without TensorFlow's remarks.

A program of its own, started by `tensorflow_start` with an interpreter that starts in
no time; so it imports nothing of the package.

    python -I -S tensorflow_log_filter.py LEVEL [without_gpu]

LEVEL counts as TF_CPP_MIN_LOG_LEVEL does: 1 drops information, 2 warnings too, 3 errors
too.  `without_gpu` also drops the error that there is no driver of a GPU.
"""

import re
import sys
from collections.abc import Iterable, Iterator

# Such as "I0000 00:00:1795896891.593179    9873 port.cc:153] oneDNN ...".
_PREFIX = rb"\d{4} \d\d:\d\d:\d+\.\d+ +\d+ [^ \]]+:\d+\] "
_SEVERITIES = b"IWE"
_PREAMBLE = b"WARNING: All log messages before absl::InitializeLog() is called"
_NO_DRIVER = re.compile(b"E" + _PREFIX + b".*failed call to cuInit")


def kept(lines: Iterable[bytes], level: int, without_gpu: bool) -> Iterator[bytes]:
    """Yields the lines that are no remarks, as the module's description says."""
    remark = re.compile(b"[" + _SEVERITIES[:level] + b"]" + _PREFIX)
    for line in lines:
        if line.startswith(_PREAMBLE) or remark.match(line):
            continue
        if without_gpu and _NO_DRIVER.match(line):
            continue
        yield line


def main(level: str, *options: str) -> None:
    for line in kept(sys.stdin.buffer, int(level), "without_gpu" in options):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
