"""Building the op on demand, and what happens where it cannot be built."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

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
            text=True,
        )
        for _ in range(3)
    ]
    paths = {process.communicate()[0].strip() for process in processes}
    assert len(paths) == 1
    assert pathlib.Path(paths.pop()).read_text() == "made\n"
    objects = sum(1 for path in build.SOURCES.rglob("*.cc") if ".cu." not in path.name)
    assert len(counter.read_text().splitlines()) == objects + 1


@pytest.mark.slow
def test_gpu_kernels_compile_and_load(tmp_path, monkeypatch):
    monkeypatch.delenv("NVCC")
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
        assert "render_depth_gpu.cu.cc(" not in done.stderr, done.stderr
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
    import tensorflow as tf

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
