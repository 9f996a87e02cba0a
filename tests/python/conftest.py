"""Fixtures that several tests share."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    """Data sets that a test imports are kept here, not in the user's cache."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def private_cache(cache_folder, monkeypatch):
    """Points programs that the test starts at `cache_folder`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_folder))
    return cache_folder


@pytest.fixture(scope="session")
def mini_images(tmp_path_factory):
    """A miniature set of four classes, 12 + 5 images of 64x64 each (tests/mini_data.py)."""
    import mini_data

    return mini_data.make(tmp_path_factory.mktemp("images"))
