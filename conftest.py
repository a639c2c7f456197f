"""Command-line options of the test suite and the golden recordings' parametrisation."""

import os
import pathlib

import hypothesis
import pytest

from tf_faces.core import tensorflow_start

tensorflow_start.prepare()

# A busy machine is no failure, and the same code gets the same verdict each time; to
# search for new examples: pytest --hypothesis-profile=search.
hypothesis.settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "search", hypothesis.settings.get_profile("same"), derandomize=False
)
hypothesis.settings.load_profile("same")

ROOT = pathlib.Path(__file__).resolve().parent


def pytest_addoption(parser):
    parser.addoption(
        "--golden-dir",
        default=str(ROOT.parent / "shared" / "golden"),
        help="folder of golden recordings (one sub-folder a system)",
    )
    parser.addoption(
        "--data-dir",
        default=str(ROOT.parent / "shared" / "data"),
        help="folder of openly licensed face data (ict_facekit, makehuman_head, prnet)",
    )


def pytest_generate_tests(metafunc):
    """Makes one test per recording: @pytest.mark.golden("tbgan", "net_*.npz")."""
    marker = metafunc.definition.get_closest_marker("golden")
    if marker is None or "recording" not in metafunc.fixturenames:
        return
    system, *patterns = marker.args
    folder = pathlib.Path(metafunc.config.getoption("--golden-dir")) / system
    excluded = marker.kwargs.get("exclude", ())
    found = sorted(
        path
        for pattern in patterns
        for path in folder.glob(pattern)
        if not any(path.match(other) for other in excluded)
    )
    if found:
        parameters = [
            pytest.param(path, id=str(path.relative_to(folder).with_suffix("")))
            for path in found
        ]
    else:
        reason = f"no {' or '.join(patterns)} in {folder}"
        parameters = [
            pytest.param(None, marks=pytest.mark.skip(reason=reason), id=patterns[0])
        ]
    metafunc.parametrize("recording", parameters)


@pytest.fixture(scope="session")
def golden_directory(request):
    """The golden folder; tests skip when it is absent."""
    folder = pathlib.Path(request.config.getoption("--golden-dir"))
    if not folder.is_dir():
        pytest.skip(f"no golden recordings at {folder}")
    return folder


@pytest.fixture(scope="session")
def data_directory(request):
    """The folder of open face data; tests skip when it is absent."""
    folder = pathlib.Path(request.config.getoption("--data-dir"))
    if not folder.is_dir():
        pytest.skip(f"no face data at {folder}")
    return folder


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory, monkeypatch):
    """Keeps caches of the tests out of the user's cache, shared within one run."""
    if "TF_FACES_CACHE" not in os.environ:
        root = tmp_path_factory.getbasetemp().parent / "tf_faces_cache"
        monkeypatch.setenv("TF_FACES_CACHE", str(root))
