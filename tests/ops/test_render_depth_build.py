"""Building the op on demand, and what happens where it cannot be built."""

import ctypes
import errno
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.ops.render_depth import build


@pytest.fixture(autouse=True)
def _for_the_cpu_alone(monkeypatch):
    monkeypatch.setenv("NVCC", "")


ROOT = pathlib.Path(__file__).resolve().parents[2]

PROGRAM = """
import numpy as np
from tf_faces.ops import render_depth
for _ in range(2):
    drawn = render_depth.rasterize(
        np.float32([[0, 0, 1], [9, 0, 1], [0, 9, 1]]), [[0, 1, 2]], 8, 8
    )
print(int((drawn.triangle_id.numpy() >= 0).sum()))
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )


def test_without_a_compiler_one_warning_and_the_same_picture(tmp_path):
    done = run(PROGRAM, TF_FACES_CACHE=str(tmp_path), CXX=str(tmp_path / "none"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "43"  # x + y < 9 in 0..7; the slanted side is open.
    assert done.stderr.count("render_depth: drawing in plain TensorFlow") == 1
    assert "Compiling" not in done.stderr


def test_with_a_cache_that_cannot_be_written_one_warning_and_the_same_picture(tmp_path):
    """A file in the place of the folder stops the superuser too."""
    if build.compiler() is None:
        pytest.skip("no C++ compiler")
    (tmp_path / "cache").write_text("")
    done = run(PROGRAM, TF_FACES_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "43"
    assert done.stderr.count("render_depth: drawing in plain TensorFlow") == 1
    assert f"{tmp_path / 'cache'}" in done.stderr
    assert "Not a directory" in done.stderr


@pytest.fixture
def small_sources(tmp_path, monkeypatch):
    """Sources of a library that needs no header, compiled in no time."""
    if build.compiler() is None:
        pytest.skip("no C++ compiler")
    sources = tmp_path / "package" / "cc"
    (sources / "ops").mkdir(parents=True)
    (sources / "kernels").mkdir()
    (sources / "ops" / "declared.cc").write_text("static int declared = 3;\n")
    (sources / "kernels" / "render_depth_kernels.cc").write_text(
        'extern "C" int one() { return declared; }\n'
    )
    (sources / "kernels" / "loops.cc").write_text('extern "C" int two() { return 4; }')
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("TF_FACES_CACHE", str(tmp_path / "cache"))
    return sources


def test_a_cache_with_spaces_and_other_letters(
    small_sources, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "Größe mit 空白 'und' $HOME"
    monkeypatch.setenv("TF_FACES_CACHE", str(folder))
    path = build.library_path()
    assert folder in path.parents
    library = ctypes.CDLL(str(path))
    assert (library.one(), library.two()) == (3, 4)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("Compiling the rasteriser once")
    assert re.fullmatch(r"Compiled the rasteriser in \d+ seconds\.", second)
    # Neither compiled nor announced again; nothing but the library stays.
    assert build.library_path() == path
    assert capsys.readouterr().err == ""
    left = {found.name for found in folder.rglob("*") if found.is_file()}
    assert left == {"lock", build.LIBRARY_NAME}


def test_without_locks_processes_compile_apart(small_sources, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(build.fcntl, "flock", refuse)
    assert ctypes.CDLL(str(build.library_path())).two() == 4


def test_units_are_compiled_side_by_side(small_sources, tmp_path, monkeypatch):
    """Each unit waits for the other one to start, at most five seconds."""
    compiler = tmp_path / "compiler"
    compiler.write_text(
        "#!/bin/sh\n"
        'for word; do [ "$before" = -o ] && target="$word"; before="$word"; done\n'
        'case "$target" in *.o) ;; *) echo made > "$target"; exit 0;; esac\n'
        f'touch "$target" "{tmp_path}/$(basename "$target")"\n'
        "for moment in $(seq 100); do\n"
        f'  [ -e "{tmp_path}/loops.o" ] && '
        f'[ -e "{tmp_path}/render_depth_kernels.o" ] && exit 0\n'
        "  sleep 0.05\n"
        "done\n"
        "exit 1\n"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(build.machine, "processors", lambda: 2)
    assert build.library_path().read_text() == "made\n"


def test_a_failing_compiler_leaves_nothing_behind(tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("TF_FACES_CACHE", str(tmp_path / "cache"))
    with pytest.raises(build.BuildError, match="status 3: no such luck"):
        build.library_path()
    left = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert left == {"lock"}


def test_processes_that_build_at_once_share_one_library(tmp_path):
    """A stand-in compiler counts its calls: only one process may have linked."""
    counter = tmp_path / "calls"
    compiler = tmp_path / "compiler"
    compiler.write_text(
        "#!/bin/sh\n"
        f"echo call >> {counter}\n"
        "sleep 0.2\n"
        'while [ "$1" ]; do [ "$1" = -o ] && echo made > "$2"; shift; done\n'
    )
    compiler.chmod(0o755)
    program = "from tf_faces.ops.render_depth import build; print(build.library_path())"
    environment = {"TF_FACES_CACHE": str(tmp_path / "cache"), "CXX": str(compiler)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate() for process in processes]
    paths = {output.strip() for output, _ in said}
    assert sum("Compiling" in errors for _, errors in said) == 1
    assert len(paths) == 1
    assert pathlib.Path(paths.pop()).read_text() == "made\n"
    units = len(list((build.SOURCES / "kernels").glob("*.cc")))
    assert len(counter.read_text().splitlines()) == units + 1


def test_gpu_kernels_need_a_gpu_or_the_wish(tmp_path, monkeypatch):
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: True)
    assert build.cuda_compiler() is None  # NVCC is empty.
    monkeypatch.setenv("NVCC", "nvcc")
    assert build.cuda_compiler() == str(nvcc)
    monkeypatch.delenv("NVCC")
    for visible in (True, False):
        monkeypatch.setattr(build.machine, "sees_nvidia_gpu", lambda seen=visible: seen)
        assert build.cuda_compiler() == (str(nvcc) if visible else None)
    monkeypatch.setenv("NVCC", "nvcc")
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: False)
    assert build.cuda_compiler() is None


@pytest.mark.slow
def test_gpu_kernels_compile_and_load(tmp_path, monkeypatch):
    monkeypatch.setenv("NVCC", "nvcc")
    if build.cuda_compiler() is None:
        pytest.skip("no nvcc, or TensorFlow without GPUs")
    monkeypatch.setenv("TF_FACES_CACHE", str(tmp_path))
    program = (
        "from tf_faces.ops.render_depth import render_depth_ops\n"
        "from tensorflow.python.framework import kernels\n"
        "render_depth_ops.load_library()\n"
        "for name in ('TfFaces>RenderDepth', 'TfFaces>RenderDepthGrad'):\n"
        "    found = kernels.get_registered_kernels_for_op(name).kernel\n"
        "    print(sorted(kernel.device_type for kernel in found))\n"
    )
    done = run(program)
    assert done.returncode == 0, done.stderr
    if "built without GPU kernels" in done.stderr:
        # A mistake in our own source is no misfit.
        assert not re.search(r"render_depth_gpu\w*\.[a-z.]+[(:]\d", done.stderr), (
            done.stderr
        )
        pytest.skip("this nvcc does not fit this TensorFlow")
    assert done.stdout == "['CPU', 'CPU', 'GPU', 'GPU']\n" * 2


def test_the_key_follows_sources_and_flags(tmp_path, monkeypatch):
    before = build._key()
    assert build._key() == before
    assert build._key("-g") != before
    monkeypatch.setattr(build, "OPTIMISATION", (*build.OPTIMISATION, "-g"))
    assert build._key() != before
    monkeypatch.undo()
    copy = tmp_path / "cc"
    for path in build.source_files():
        target = copy / path.relative_to(build.SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "SOURCES", copy)
    assert build._key() == before  # The folder does not matter.
    (copy / "kernels" / "render_depth.h").write_text("// changed\n")
    assert build._key() != before


def test_an_installed_library_is_taken_if_it_fits(tmp_path, monkeypatch):
    package = tmp_path / "package"
    sources = package / "cc"
    sources.mkdir(parents=True)
    (sources / "a.cc").write_text("int a;\n")
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setenv("TF_FACES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "/bin/false")
    library = package / build.LIBRARY_NAME
    library.write_text("library")
    library.with_suffix(".key").write_text(build._key())
    assert build.library_path() == library
    (sources / "a.cc").write_text("int b;\n")
    with pytest.raises(build.BuildError):
        build.library_path()


def test_an_installed_library_without_gpu_kernels_is_no_match_where_they_are_wanted(
    small_sources, monkeypatch
):
    library = small_sources.parent / build.LIBRARY_NAME
    library.write_text("library")
    stamp = library.with_suffix(".key")
    stamp.write_text(build._key())
    assert build.library_path() == library
    monkeypatch.setattr(build, "cuda_compiler", lambda: "/bin/false")
    assert build.library_path() != library
    stamp.write_text(build._key(build._WITH_GPU))
    assert build.library_path() == library
    monkeypatch.setattr(build, "cuda_compiler", lambda: None)
    assert build.library_path() == library


def test_nothing_is_compiled_or_imported_by_importing(tmp_path):
    program = (
        "import sys\n"
        "from tf_faces.ops import render_depth\n"
        "assert 'tensorflow' not in sys.modules\n"
        "import numpy as np\n"
        "triangle = np.int32([[0, 1, 2]])\n"
        "render_depth.rasterize_numpy(np.zeros((3, 3), 'f'), triangle, 4, 4)\n"
        "assert 'tensorflow' not in sys.modules\n"
        "from tf_faces.ops.render_depth import render_depth_ops\n"
    )
    done = run(program, TF_FACES_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "cache").exists()


def test_reference_needs_standard_ops_only(tmp_path):
    """A SavedModel of the reference loads where our library is unknown."""
    from tf_faces.ops import render_depth

    class Drawing(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4, 3])])
        def draw(self, vertices):
            return render_depth.rasterize(
                vertices,
                [[0, 1, 2], [0, 2, 3]],
                16,
                17,
                implementation="reference",
            )._asdict() | {"attributes": tf.zeros(())}

    tf.saved_model.save(Drawing(), str(tmp_path / "model"))
    vertices = np.float32([[[1, 1, 0], [12, 2, 5], [13, 14, 3], [2, 11, 1]]])
    np.save(tmp_path / "vertices.npy", vertices)
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(tmp_path / 'model')!r})\n"
        f"drawn = model.draw(np.load({str(tmp_path / 'vertices.npy')!r}))\n"
        "assert not any(name.startswith('tf_faces') for name in sys.modules)\n"
        f"np.save({str(tmp_path / 'ids.npy')!r}, drawn['triangle_id'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    expected = render_depth.rasterize_numpy(
        vertices, np.int32([[0, 1, 2], [0, 2, 3]]), 16, 17
    )
    np.testing.assert_array_equal(np.load(tmp_path / "ids.npy"), expected.triangle_id)


@pytest.mark.parametrize("with_gpu", [False, True])
def test_a_library_is_installed_with_its_stamp(tmp_path, monkeypatch, with_gpu):
    def compile_library(target, scratch):
        assert scratch == tmp_path / "scratch"
        target.write_text("library")
        return with_gpu

    monkeypatch.setattr(build, "compile_library", compile_library)
    library = tmp_path / build.LIBRARY_NAME
    stamp = library.with_suffix(".key")
    for _ in range(2):  # Into an empty folder, and over a former one.
        build.install_library(tmp_path, tmp_path / "scratch")
        assert library.read_text() == "library"
        wanted = build._key(build._WITH_GPU) if with_gpu else build._key()
        assert stamp.read_text() == wanted

    def fail(target, scratch):
        raise build.BuildError("no")

    monkeypatch.setattr(build, "compile_library", fail)
    with pytest.raises(build.BuildError):
        build.install_library(tmp_path, tmp_path / "scratch")
    # A stale library is not left for a run to find.
    assert not library.exists() and not stamp.exists()
