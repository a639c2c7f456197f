import ctypes
import os
import subprocess
import sys

import pytest

from tf_faces.core import machine
from tf_faces.core.errors import InputError


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
from tf_faces.core.errors import InputError
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
    # Of 50 times; a kernel that brings several pages at once has fewer faults.
    assert faults["returned"] - faults["kept"] > 12 * pages


def test_an_nvidia_gpu_shows_by_its_files(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()  # The driver's, without a card.
    assert not machine.sees_nvidia_gpu(tmp_path)
    (tmp_path / "dev" / "nvidia0").touch()
    assert machine.sees_nvidia_gpu(tmp_path)
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not machine.sees_nvidia_gpu(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert machine.sees_nvidia_gpu(tmp_path)


def test_an_nvidia_gpu_under_windows(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "dxg").touch()
    assert not machine.sees_nvidia_gpu(tmp_path)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert machine.sees_nvidia_gpu(tmp_path)


# --- bfloat16 ------------------------------------------------------------------------


def processor(folder, *lines):
    (folder / "proc").mkdir()
    text = "".join(f"processor\t: {n}\n{line}\n\n" for n, line in enumerate(lines))
    (folder / "proc" / "cpuinfo").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["flags\t\t: fpu avx512f avx512_bf16"] * 2, True),
        (["flags\t\t: fpu avx512f amx_bf16 amx_tile"], True),
        (["Features\t: fp asimd bf16 i8mm"], True),
        (["flags\t\t: fpu avx512f avx512_fp16"], False),
        (["flags\t\t: fpu avx512_bf16", "flags\t\t: fpu"], False),
        (["model name\t: avx512_bf16"], False),
    ],
)
def test_processors_that_multiply_bfloat16(tmp_path, lines, expected):
    assert machine.multiplies_bfloat16(processor(tmp_path, *lines)) is expected


def test_without_information_there_is_no_bfloat16(tmp_path):
    assert not machine.multiplies_bfloat16(tmp_path)


@pytest.mark.parametrize(
    ("asked", "xla", "able", "gpu", "expected"),
    [
        ("float32", True, False, True, "float32"),
        ("auto", False, True, False, "bfloat16"),
        ("auto", False, False, False, "float32"),
        ("auto", True, True, False, "float32"),
        ("auto", False, True, True, "float32"),
        ("bfloat16", False, True, True, "bfloat16"),
    ],
)
def test_the_precision_that_is_used(monkeypatch, asked, xla, able, gpu, expected):
    monkeypatch.setattr(machine, "multiplies_bfloat16", lambda: able)
    monkeypatch.setattr(machine, "sees_nvidia_gpu", lambda: gpu)
    assert machine.resolve_precision(asked, xla) == expected


@pytest.mark.parametrize(
    ("asked", "xla", "able", "said"),
    [
        ("half", False, True, "found 'half', expected one of float32, bfloat16, auto"),
        ("bfloat16", True, True, "found with --xla"),
        ("bfloat16", False, False, "this processor does not multiply bfloat16"),
    ],
)
def test_precisions_that_cannot_be_had(monkeypatch, asked, xla, able, said):
    monkeypatch.setattr(machine, "multiplies_bfloat16", lambda: able)
    with pytest.raises(InputError, match=said):
        machine.resolve_precision(asked, xla)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TF_ENABLE_ONEDNN_OPTS", "0", "float32"),
        ("TF_ENABLE_ONEDNN_OPTS", "False", "float32"),
        ("TF_ENABLE_ONEDNN_OPTS", "1", "bfloat16"),
        ("ONEDNN_MAX_CPU_ISA", "AVX2", "float32"),
        ("ONEDNN_MAX_CPU_ISA", "avx512_core_bf16", "bfloat16"),
        ("DNNL_MAX_CPU_ISA", "AVX512_CORE_VNNI", "float32"),
    ],
)
def test_settings_of_onednn_that_keep_it_from_bfloat16(
    monkeypatch, name, value, expected
):
    for other in ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(machine, "sees_nvidia_gpu", lambda: False)
    assert machine.resolve_precision("auto", False) == expected
    assert machine.resolve_precision("float32", False) == "float32"
    if expected == "bfloat16":
        assert machine.resolve_precision("bfloat16", False) == "bfloat16"
    else:
        with pytest.raises(InputError, match=f"found {name}={value} in the environ"):
            machine.resolve_precision("bfloat16", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("auto", None), ("cpu:1", ("cpu", 1)), ("gpu:12", ("gpu", 12))],
)
def test_devices(text, expected):
    assert machine.parse_devices(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cpu",
        "cpu:0",
        "gpu:-1",
        "tpu:1",
        "gpu:1 ",
        "cpu:\uff11",
        "cpu:" + "9" * 5000,
    ],
)
def test_no_devices(text):
    with pytest.raises(InputError, match=f"--devices: found {text!r}, expected auto"):
        machine.parse_devices(text)


@pytest.mark.parametrize("shared", [True, False])
def test_what_the_c_library_is_told(monkeypatch, shared):
    told = []

    class Library:
        def mallopt(self, name, value):
            told.append((name, value))

    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: Library())
    machine.keep_freed_memory(shared)
    assert told == [(-3, 1 << 25), (-1, 1 << 30)] + [(-8, 1), (-2, 1 << 28)] * shared
    machine.keep_freed_memory()
    assert len(told) == 4 + 2 * shared
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: object())
    machine.keep_freed_memory(shared)


def test_the_driver_lists_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    assert machine.sees_nvidia_gpu(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert not machine.sees_nvidia_gpu(tmp_path / "proc")
