"""Which data set a --data value stands for."""

import dataclasses
import os

import pytest
from data_fakes import make_dataset, picture, save
from maap.data import find, importer
from maap.errors import MaapError


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The demo sets that were made, in a cache and a working folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    sets = []

    def fake(out, *, seed, size):
        sets.append((seed, size))
        return make_dataset(out)

    mine = dataclasses.replace(importer.importers()["demo"], make=fake)
    monkeypatch.setitem(importer.importers(), "demo", mine)
    return sets


def test_the_demo_is_made_once_for_each_size(made, tmp_path):
    first = find.find_data("demo", 64)
    assert first.parent == tmp_path / "cache" / "maap" / "data"
    assert find.find_data("demo", 64) == first != find.find_data("demo", 48)
    assert made == [(find.SEED, 64), (find.SEED, 48)]


def test_a_folder_called_demo_does_not_hide_the_demo(made, tmp_path):
    mine = make_dataset(tmp_path / "demo")
    assert find.find_data("demo", 64) != mine
    assert made == [(find.SEED, 64)]
    for name in ("./demo", str(mine)):
        assert find.find_data(name, 64) == mine
    assert len(made) == 1


def test_a_data_set_is_used_where_it_is(made, tmp_path):
    mine = make_dataset(tmp_path / "mine")
    assert find.find_data("mine", 99) == mine
    assert not (tmp_path / "cache").exists()


def test_class_folders_are_imported_once_until_a_file_changes(made, tmp_path):
    for number in range(4):
        save(tmp_path / "mine" / f"class{number % 2}" / f"{number}.jpg", picture(number))
    first = find.find_data("mine", 32)
    assert find.find_data(str(tmp_path / "mine"), 32) == first
    changed = tmp_path / "mine" / "class0" / "0.jpg"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    assert find.find_data("mine", 32) != first
    assert len({first, find.find_data("mine", 48), find.find_data("mine", 32, "short_side")}) == 3


def test_an_unknown_name_is_answered_with_the_nearest(made):
    with pytest.raises(MaapError, match="'dmo': no such file or folder; did you mean demo"):
        find.find_data("dmo", 64)
