"""One name for what is not complete, and what older versions called it."""

import os

import pytest
from maap.data import write
from maap.data.store import Dataset
from maap.errors import MaapError
from maap.runs.run import Run
from maap.util import files


def test_one_name_for_files_and_folders(tmp_path):
    path = tmp_path / "weights.caffemodel"
    partial = files.partial_path(path)
    assert partial == tmp_path / ".partial-weights.caffemodel" and files.is_partial(partial)
    assert files.is_partial(tmp_path / "set.partial") and not files.is_partial(path)
    assert files.find_partial(path) is None
    partial.write_text("x")
    assert files.find_partial(path) == partial
    files.remove_partial(path)
    files.remove_partial(path)
    assert os.listdir(tmp_path) == []


def test_a_leftover_of_an_older_version_is_taken_up(tmp_path):
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial" / "train.csv").write_text("x")
    assert files.find_partial(tmp_path / "set") == tmp_path / "set.partial"
    assert files.take_up_partial(tmp_path / "set") == tmp_path / ".partial-set"
    assert (tmp_path / ".partial-set" / "train.csv").read_text() == "x"
    assert os.listdir(tmp_path) == [".partial-set"]


@pytest.mark.parametrize("name", ["set.partial", ".partial-set"])
def test_a_data_set_that_was_never_completed(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "old.csv").write_text("x")
    with pytest.raises(MaapError, match=f"never completed .only .*{name} is there"):
        Dataset.open(tmp_path / "set")
    kept = write.begin(tmp_path / "set", resume=True)
    assert os.listdir(tmp_path) == [".partial-set"] and os.listdir(kept) == ["old.csv"]
    (tmp_path / ".partial-set").rename(tmp_path / name)
    assert os.listdir(write.begin(tmp_path / "set")) == []
    assert os.listdir(tmp_path) == [".partial-set"]


def test_a_run_keeps_nothing_but_an_unfinished_rewriting(tmp_path):
    for name in (".partial-state.json", "phase1/.partial-final.caffemodel", "net.partial"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    for name in (".partial-rewrite1", "rewrite2.partial", "phase1/.partial-9"):
        (tmp_path / name).mkdir()
    (tmp_path / ".partial-rewrite1.lock").write_text("")
    Run(tmp_path).clean()
    assert sorted(os.listdir(tmp_path)) == [
        ".partial-rewrite1", ".partial-rewrite1.lock", "phase1", "rewrite2.partial",
    ]  # fmt: skip
    assert os.listdir(tmp_path / "phase1") == []


@pytest.mark.parametrize("link", [True, False])
def test_a_file_gets_a_second_name(tmp_path, link):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")
    (tmp_path / ".partial-b").write_text("left by a kill")
    files.put_file(source, target, link=link)
    assert target.read_text() == "new" and target.samefile(source) == link
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    with pytest.raises(MaapError, match="b: cannot be written"):
        files.put_file(tmp_path / "none", target, link=link)
    assert target.read_text() == "new"
