"""What the machine offers a program: processors, graphics cards, memory, companions."""

import ctypes
import dataclasses
import json
import os
import pathlib
import re
import shutil
from collections.abc import Mapping

from tf_faces.core.errors import InputError

PRECISIONS = ("float32", "bfloat16", "auto")
# How the devices of a training are put together.
STRATEGIES = ("auto", "none", "mirrored", "multi_worker")
_TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)

# Names of processors' features that multiply bfloat16: Intel's and AMD's, and Arm's.
_BFLOAT16_FEATURES = {"avx512_bf16", "amx_bf16", "bf16"}
# Parts of the names of oneDNN's instruction sets that do.
_BFLOAT16_SETS = ("ALL", "DEFAULT", "BF16", "FP16", "AMX", "AVX10")

# Parameters of mallopt, from glibc's malloc.h.
_MALLOC_TRIM_THRESHOLD = -1
_MALLOC_TOP_PAD = -2
_MALLOC_MMAP_THRESHOLD = -3
_MALLOC_ARENA_MAX = -8


def processors() -> int:
    """Returns the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sees_nvidia_gpu(root: str | os.PathLike = "/") -> bool:
    """Tells whether programs here can see an NVIDIA GPU, without starting TensorFlow.

    Looks for the driver's files, which containers without a GPU lack, and heeds
    CUDA_VISIBLE_DEVICES.  Under Windows the Linux side has other files; there
    `nvidia-smi` on the path counts.

    Args:
      root: the folder that holds dev and proc.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None and chosen.strip() in ("", "-1"):
        return False
    root = pathlib.Path(root)
    if any(root.glob("dev/nvidia[0-9]*")) or any(
        root.glob("proc/driver/nvidia/gpus/*")
    ):
        return True
    return (root / "dev" / "dxg").exists() and shutil.which("nvidia-smi") is not None


def keep_freed_memory(shared_by_threads: bool = False) -> None:
    """Tells the C library to reuse freed blocks instead of returning them.

    By default every array of a few megabytes is mapped, paged in, and unmapped again,
    which takes as long as filling it.  Without glibc nothing happens.

    Args:
      shared_by_threads: the threads take from one store, which then grows in large
        steps; for programs whose threads hold large arrays.  Comes too late for
        threads that have asked for memory already.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MALLOC_MMAP_THRESHOLD, 1 << 25)  # The largest value allowed.
    mallopt(_MALLOC_TRIM_THRESHOLD, 1 << 30)
    if shared_by_threads:
        mallopt(_MALLOC_ARENA_MAX, 1)
        mallopt(_MALLOC_TOP_PAD, 1 << 28)


def parse_devices(text: str) -> tuple[str, int] | None:
    """Reads "cpu:N" or "gpu:N" as (kind, N); None for "auto".

    Raises:
      InputError: for anything else.
    """
    if text == "auto":
        return None
    matched = re.fullmatch(r"(cpu|gpu):0*([1-9][0-9]{0,8})", text)
    if not matched:
        raise InputError(
            f"--devices: found {text!r}, expected auto, gpu:N or cpu:N, N of at least "
            "1."
        )
    return matched[1], int(matched[2])


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Processes that train together, one of which is this one.

    Attributes:
      index: of this process; 0 is the chief, who alone writes the run folder.
      addresses: "host:port" of all, in the order of their indices.
    """

    index: int = 0
    addresses: tuple[str, ...] = ("",)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.index == 0

    @property
    def workers(self) -> int:
        """Number of processes."""
        return len(self.addresses)


def parse_cluster(text: str | None) -> Cluster:
    """Reads TF_CONFIG, by which TensorFlow's processes find each other.

    A task of the type "chief" comes before all of the type "worker".

    Raises:
      InputError: if it is absent, no JSON, or names no place for this process.
    """
    expected = f"expected {_TF_CONFIG_EXAMPLE}"
    if not text:
        raise InputError(
            f"--strategy=multi_worker: TF_CONFIG is not in the environment, {expected}."
        )
    try:
        found = json.loads(text)
        jobs, task = found["cluster"], found["task"]
        kind, index = task["type"], task["index"]
        known = {name: list(jobs[name]) for name in ("chief", "worker") if name in jobs}
        others = sorted(set(jobs) - set(known))
        addresses = [str(entry) for entries in known.values() for entry in entries]
        place = known[kind][index] if type(index) is int and index >= 0 else None
    except (ValueError, TypeError, LookupError, RecursionError):
        raise InputError(f"TF_CONFIG: found {text[:200]!r}, {expected}.") from None
    if place is None or others or len(set(addresses)) != len(addresses):
        raise InputError(
            f"TF_CONFIG: found {text[:200]!r}, expected workers (and a chief at most), "
            "each with an address of its own, and the index of one of them."
        )
    before = len(known.get("chief", ())) if kind == "worker" else 0
    return Cluster(before + index, tuple(addresses))


def multiplies_bfloat16(root: str | os.PathLike = "/") -> bool:
    """Tells whether the processor has instructions that multiply bfloat16.

    Known under Linux alone; elsewhere False.

    Args:
      root: the folder that holds proc.
    """
    information = pathlib.Path(root) / "proc" / "cpuinfo"
    if not information.is_file():
        return False
    listed = re.findall(
        r"^(?:flags|Features)\s*:(.*)$", information.read_text(), re.MULTILINE
    )
    return bool(listed) and all(
        _BFLOAT16_FEATURES & set(line.split()) for line in listed
    )


def _switched_off_for_bfloat16(environment: Mapping[str, str]) -> str | None:
    """The setting, as NAME=VALUE, that keeps oneDNN from products of bfloat16; or None.

    Without oneDNN TensorFlow rewrites nothing; below these instruction sets oneDNN has
    no such products and ends the process.
    """
    options = environment.get("TF_ENABLE_ONEDNN_OPTS", "1")
    if options.strip().lower() in ("0", "false"):
        return f"TF_ENABLE_ONEDNN_OPTS={options}"
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        value = environment.get(name, "ALL")
        if not any(part in value.upper() for part in _BFLOAT16_SETS):
            return f"{name}={value}"
    return None


def resolve_precision(precision: str, xla: bool) -> str:
    """Returns the precision that a training uses here.

    Args:
      precision: one of `PRECISIONS`; "auto" is bfloat16 where the processor has it, no
        GPU is to be seen and the step is not compiled by XLA.
      xla: whether the step is.

    Raises:
      InputError: if bfloat16 is asked for and cannot be had, or for other words.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"--precision: found {precision!r}, expected one of "
            f"{', '.join(PRECISIONS)}."
        )
    without = _switched_off_for_bfloat16(os.environ)
    if precision == "auto":
        able = multiplies_bfloat16() and not xla and not sees_nvidia_gpu()
        return "bfloat16" if able and not without else "float32"
    if precision == "bfloat16" and xla:
        raise InputError(
            "--precision=bfloat16: found with --xla, expected one of them: TensorFlow "
            "does not rewrite what XLA compiles."
        )
    if precision == "bfloat16" and not multiplies_bfloat16():
        raise InputError(
            "--precision=bfloat16: this processor does not multiply bfloat16 (no "
            "avx512_bf16, amx_bf16 or Arm's bf16 among its features), expected "
            "--precision=float32."
        )
    if precision == "bfloat16" and without:
        raise InputError(
            f"--precision=bfloat16: found {without} in the environment, which keeps "
            "oneDNN from bfloat16, expected it unset."
        )
    return precision
