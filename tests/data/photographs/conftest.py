"""Where the face data is, for heads with skins, hair and surroundings."""

import pytest


@pytest.fixture
def open_heads(data_directory, monkeypatch):
    """Points TF_FACES_DATA to the face data; skips without head parts."""
    if not (data_directory / "head_parts" / "hair").is_dir():
        pytest.skip(f"no head parts in {data_directory}")
    monkeypatch.setenv("TF_FACES_DATA", str(data_directory))
    return data_directory


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    """Points TF_FACES_DATA to an empty folder."""
    monkeypatch.setenv("TF_FACES_DATA", str(tmp_path))
