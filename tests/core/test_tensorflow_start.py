"""What TensorFlow prints while it is imported, and what of it users see."""

import os
import pathlib
import subprocess
import sys

import pytest

from tf_faces.core import tensorflow_log_filter, tensorflow_start

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
ROOT = pathlib.Path(__file__).resolve().parents[2]
LINE = b"0000 00:00:1795896891.593179    9873 port.cc:153] oneDNN is on.\n"
NO_DRIVER = b"E0000 00:00:1795.4 21 cuda_platform.cc:52] failed call to cuInit: 303\n"
OTHERS = [
    b"F" + LINE,
    b"Traceback (most recent call last):\n",
    b"I remark that port.cc:153] is mentioned\n",
    b"no end of line",
]


@pytest.mark.parametrize(
    "level, shown",
    [(0, "IWE"), (1, "WE"), (2, "E"), (3, "")],
)
def test_what_the_filter_keeps(level, shown):
    lines = [severity + LINE for severity in (b"I", b"W", b"E")]
    lines += [NO_DRIVER, *OTHERS]
    kept = list(tensorflow_log_filter.kept(lines, level, without_gpu=False))
    expected = [severity.encode() + LINE for severity in shown]
    assert kept == expected + [NO_DRIVER] * ("E" in shown) + OTHERS
    without = list(tensorflow_log_filter.kept(lines, level, without_gpu=True))
    assert without == expected + OTHERS


def run(program, folder=ROOT, **environment):
    clean = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**clean, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", **environment},
        capture_output=True,
        text=True,
    )


IMPORT = """
from tf_faces.core import tensorflow_start
tensorflow_start.prepare()
import tensorflow as tf
print(int(tf.constant(1) + 1), tf.config.list_physical_devices("CPU") != [])
"""


def test_keras_does_without_packages_that_nothing_needs_of_it():
    """They are there for everybody else, before or afterwards."""
    after = IMPORT + (
        "import sys\n"
        "print(*({'sklearn', 'matplotlib'} & set(sys.modules)))\n"
        "import matplotlib.pyplot, sklearn.manifold\n"
    )
    done = run(after)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 True\n\n", "")
    before = "import matplotlib, sys\nfirst = matplotlib\n" + IMPORT
    done = run(before + "assert sys.modules['matplotlib'] is first")
    assert (done.returncode, done.stdout) == (0, "2 True\n"), done.stderr


def test_the_real_one_is_imported_and_run_in_silence():
    done = run(IMPORT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 True\n", "")


@pytest.mark.parametrize(("given", "used"), [({}, True), ({ONEDNN: "0"}, False)])
def test_one_dnn_is_on_unless_it_is_turned_off(given, used):
    program = f"import os\nos.environ.pop({ONEDNN!r}, None)\n"
    program += f"os.environ.update({given!r})\n"
    program += IMPORT + "from tensorflow.python.util import _pywrap_util_port as port\n"
    done = run(program + "print(port.IsMklEnabled())\n")
    assert done.stdout.splitlines()[-1] == str(used), done.stderr


def test_a_program_is_silent():
    program = (
        "import sys\n"
        "from tf_faces.apps import train\n"
        "status = train.main(['--preset', 'smoke', '--dry_run'])\n"
        "assert 'tensorflow' in sys.modules\n"
        "sys.exit(status)\n"
    )
    done = run(program)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Dry run" in done.stdout


DRAW = """
import sys
import numpy as np
from tf_faces.apps import entry
from tf_faces.data import picture_sets
from tf_faces.morphable import io
from tf_faces.morphable.coefficients import FaceCoefficients

def draw(arguments):
    model = io.load("builtin:tiny")
    lengths = len(model.shape_deviations), len(model.expression_deviations)
    faces = FaceCoefficients(*(np.zeros((40, length)) for length in lengths))
    options = picture_sets.PictureOptions(size=32)
    picture_sets.write_set(sys.argv[1], "builtin:tiny", faces, options, workers=2)
    print("tensorflow" in sys.modules)

if __name__ == "__main__":
    sys.exit(entry.run(draw))
"""


def test_worker_processes_are_silent(tmp_path):
    (tmp_path / "draw.py").write_text(DRAW)
    program = f"import runpy, sys; sys.argv = ['draw.py', {str(tmp_path / 'set')!r}]\n"
    program += "runpy.run_path('draw.py', run_name='__main__')"
    done = run(program, tmp_path, TF_FACES_CACHE=os.environ["TF_FACES_CACHE"])
    ours = ("Compiling the rasteriser", "Compiled the rasteriser")
    said = [line for line in done.stderr.splitlines() if not line.startswith(ours)]
    assert (done.returncode, said) == (0, []), done.stderr
    # The workers alone have imported it.
    assert done.stdout == "False\n"
    assert len(list((tmp_path / "set").rglob("*.jpg"))) == 40


def test_mere_imports_of_the_package_leave_tensorflow_as_it_is():
    program = (
        "import sys; before = list(sys.meta_path)\n"
        "from tf_faces.apps import entry\n"
        "from tf_faces.core import tensorflow_start\n"
        "from tf_faces.ops import render_depth\n"
        "import os\n"
        "assert sys.meta_path == before\n"
        "assert 'TF_CPP_MIN_LOG_LEVEL' not in os.environ\n"
    )
    done = run(program)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def pretended(tmp_path):
    """Makes a package `tensorflow` that prints a remark and does what one asks for."""

    def make(then):
        package = tmp_path / "tensorflow"
        package.mkdir()
        (package / "__init__.py").write_text(
            "import contextlib, os, sys\n"
            "with contextlib.suppress(OSError):\n"  # Standard error may be closed.
            f"    os.write(2, {b'I' + LINE!r})\n"
            f"    os.write(2, {b'E' + LINE!r})\n"
            "print('to standard error', file=sys.stderr or open(os.devnull, 'w'))\n"
            f"{then}\n"
        )
        return tmp_path

    return make


SHOWN = (b"E" + LINE).decode() + "to standard error\n"
PRETENDED_IMPORT = """
import importlib.util, os, sys
from tf_faces.core import tensorflow_start
tensorflow_start.prepare()
tensorflow_start.prepare()
assert importlib.util.find_spec("tensorflow") is not None  # As libraries look for it.
import tensorflow
print("imported")
if sys.stderr is not None:
    os.write(2, b"I0000 00:00:1795.5 7 later.cc:1] shown\\n")
"""
CONFIG = "class config:\n    list_physical_devices = staticmethod(lambda: [])"


def test_errors_are_shown_and_later_lines_left_alone(pretended):
    done = run(PRETENDED_IMPORT, pretended(CONFIG))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "imported\n"
    assert done.stderr == SHOWN + "I0000 00:00:1795.5 7 later.cc:1] shown\n"


@pytest.mark.parametrize("has_gpu", [True, False])
def test_that_there_is_no_driver_is_told_where_there_is_a_gpu(pretended, has_gpu):
    program = "from tf_faces.core import machine\n"
    program += f"machine.sees_nvidia_gpu = lambda: {has_gpu}\n" + PRETENDED_IMPORT
    done = run(program, pretended(f"os.write(2, {NO_DRIVER!r})\n{CONFIG}"))
    told = NO_DRIVER.decode() if has_gpu else ""
    assert done.stderr == SHOWN + told + "I0000 00:00:1795.5 7 later.cc:1] shown\n"


@pytest.mark.parametrize("options", [[], ["without_gpu"]])
def test_the_filter_as_a_program(options):
    done = subprocess.run(
        [sys.executable, "-I", "-S", tensorflow_log_filter.__file__, "2", *options],
        input=b"W" + LINE + NO_DRIVER + b"".join(OTHERS),
        capture_output=True,
    )
    told = b"" if options else NO_DRIVER
    assert (done.stdout, done.stderr) == (told + b"".join(OTHERS), b"")


def test_who_asks_for_everything_gets_it(pretended):
    done = run(PRETENDED_IMPORT, pretended(CONFIG), TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr.startswith((b"I" + LINE).decode() + SHOWN)


def test_a_failing_import_is_shown(pretended):
    done = run(PRETENDED_IMPORT, pretended("raise ImportError('no such symbol')"))
    assert done.returncode == 1
    assert done.stderr.startswith(SHOWN + "Traceback")
    assert done.stderr.endswith("ImportError: no such symbol\n")


def test_a_crash_is_shown(pretended):
    done = run(PRETENDED_IMPORT, pretended("os.write(2, b'about to die'); os.abort()"))
    assert done.returncode < 0
    assert done.stderr == SHOWN + "about to die"


def test_processes_started_meanwhile_do_not_hold_the_import_up(pretended):
    """They keep the filter's input open, so that it cannot end before them."""
    program = "from tf_faces.core import tensorflow_start as quiet\n"
    program += "quiet._PATIENCE = 0.1\n" + PRETENDED_IMPORT
    then = "import subprocess; subprocess.Popen(['sleep', '20'], stdout=2)\n" + CONFIG
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{pretended(then)}{os.pathsep}{ROOT}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.wait(timeout=15) == 0


def test_without_a_standard_error_the_import_works(pretended):
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, PRETENDED_IMPORT],
        env={**os.environ, "PYTHONPATH": f"{pretended(CONFIG)}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == "imported\n"


def test_it_comes_too_late_where_tensorflow_is_imported():
    import tensorflow  # noqa: F401

    before = list(sys.meta_path)
    tensorflow_start.prepare()
    assert sys.meta_path == before
