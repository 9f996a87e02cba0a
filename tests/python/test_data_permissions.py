"""Folders that may be read only, or not even that: they work, or one line says what is wrong."""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import lmdb
import pytest
from data_fakes import picture, save
from maap.data import find
from maap.data.folder import import_folder
from maap.data.importer import make_data
from maap.data.store import Dataset
from maap.errors import MaapError


@contextmanager
def ordinary_user():
    """Work without root's power to write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place(monkeypatch):
    """A folder that an ordinary user may enter and write, with class folders set/ in it."""
    folder = Path(tempfile.mkdtemp())
    for i in range(8):
        save(folder / "set" / "ab"[i % 2] / f"{i}.jpg", picture(i))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    folder.chmod(0o777)
    lmdb.open(str(folder / "first")).close()  # it imports more of itself here
    shutil.rmtree(folder / "first")
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(folder)


def read_only(folder: Path) -> Path:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


def test_a_source_that_may_only_be_read(place):
    read_only(place / "set")
    with ordinary_user():
        data = import_folder(place / "set", place / "out", 16)
        assert len(data.split("train")) == 6 and len(data.split("test")) == 2
        found = find.find_data(str(place / "set"), 16)
        assert Dataset.open(found).classes == ["a", "b"]


def test_a_cache_that_may_only_be_read(place):
    with ordinary_user():
        found = find.find_data(str(place / "set"), 16)
    read_only(place / "cache")
    with ordinary_user():
        assert find.find_data(str(place / "set"), 16) == found
        assert Dataset.open(found).split("train").read(0)[0].shape == (16, 16, 3)
        with pytest.raises(
            MaapError, match=r"\.lock: cannot be written .Permission denied.; check"
        ):
            find.find_data(str(place / "set"), 32)


def test_a_cache_that_cannot_be_made(place):
    (place / "cache").mkdir(mode=0o555)
    with ordinary_user(), pytest.raises(MaapError) as error:
        find.find_data(str(place / "set"), 16)
    assert str(error.value) == (
        f"{place}/cache/maap/data: cannot be written (Permission denied); check the folder's "
        "permissions"
    )


@pytest.mark.parametrize("out", ["closed/out", "closed/deep/out"])
def test_an_output_folder_that_may_only_be_read(place, out):
    (place / "closed").mkdir(mode=0o555)
    words = "closed.*(cannot be written|permissions)"
    with ordinary_user(), pytest.raises(MaapError, match=words):
        make_data("folder", [str(place / "set")], str(place / out), (16, None), {})
    with ordinary_user(), pytest.raises(MaapError, match=words):
        import_folder(place / "set", place / out, 16)
    assert os.listdir(place / "closed") == []


@pytest.mark.parametrize("closed", ["set", "set/a", "set/a/deep"])
def test_a_folder_that_may_not_be_read(place, closed):
    (place / "set/a/deep").mkdir()
    (place / closed).chmod(0)
    words = (
        f"cannot read {place / closed}.* .Permission denied.: check its permissions and the disk"
    )
    with ordinary_user():
        with pytest.raises(MaapError, match=words):
            import_folder(place / "set", place / "out", 16)
        with pytest.raises(MaapError, match=words):
            find.find_data(str(place / "set"), 16)
    assert sorted(os.listdir(place)) in (["cache", "set"], ["set"])


def test_an_image_that_may_not_be_read(place):
    (place / "set/a/2.jpg").chmod(0)
    with ordinary_user(), pytest.raises(MaapError, match="cannot read .*2.jpg.*Permission denied"):
        import_folder(place / "set", place / "out", 16)


def test_an_archive_that_may_not_be_read(place):
    (place / "x.zip").write_bytes(b"PK\3\4")
    (place / "x.zip").chmod(0)
    with ordinary_user(), pytest.raises(MaapError, match="x.zip.*Permission denied"):
        import_folder(place / "x.zip", place / "out", 16)
