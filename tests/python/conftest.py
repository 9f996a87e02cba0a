"""Fixtures that several tests share."""

import os
import signal
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


@pytest.fixture
def usual_signals():
    """SIGINT, SIGHUP and SIGTERM as at a terminal, for the test and for what it starts.

    Under nohup, in background jobs and in some CI systems they are ignored. Programs inherit that,
    and in a Python that starts so Ctrl-C raises no KeyboardInterrupt.
    """
    usual = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGTERM: signal.SIG_DFL,
    }
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, usual)
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.system(f"mount -t tmpfs -o size=6m tmpfs {folder} 2>/dev/null") != 0:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    os.system(f"umount -l {folder}")


@pytest.fixture(scope="session")
def mini_images(tmp_path_factory):
    """A miniature set of four classes, 12 + 5 images of 64x64 each (tests/mini_data.py)."""
    import mini_data

    return mini_data.make(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    """A data set of 24 images of 64 x 64 in 3 classes, each with a true box."""
    from rewrite_fakes import make_source

    folder = tmp_path_factory.mktemp("boxed") / "data"
    make_source(folder, 24, splits=("train", "test"), size=(64, 64), boxless=0)
    return folder
