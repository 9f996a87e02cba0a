"""A command that fails leaves no folder behind; those that were there stay."""

import os

import pytest
from data_fakes import picture, save
from maap.errors import MaapError
from maap.util.files import folder_for
from test_cli import TINY, maap

pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.mark.parametrize(
    "words, said",
    [
        (["data", "cub", "nowhere"], "nowhere does not exist"),
        (["data", "folder", "photos"], "only the class 'a'"),
        (["data", "folder", "photos", "--out", "deep/er/set"], "only the class 'a'"),
        (["evaluate", "--weights", "no.caffemodel", "--out", "a/b"], "no.caffemodel"),
        (["evaluate", "nobody", "--predictions", "a/b/c.csv"], "nobody"),
        (["rewrite", "nobody", "--out", "a/b"], "nobody"),
        (["visualize", "photos/a/1.jpg", "--run", "nobody", "--out", "a/b"], "nobody"),
        (["compare", "nobody"], "nobody"),
        (["train", TINY, "--data", "photos"], "only the class 'a'"),
        (["train", TINY, "--data", "photos", "--runs-dir", "a/b"], "only the class 'a'"),
    ],
)
def test_nothing_is_left(tmp_path, words, said):
    save(tmp_path / "photos" / "a" / "1.jpg", picture(1))
    assert said in maap(*words, cwd=tmp_path)
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    "words, ending, said",
    [
        (["insert", "dir", "--out", "o"], "prototxt", "give a .prototxt file, such as 'dir/a"),
        (["train", TINY, "--config", "dir"], "yaml", "give a .yaml file, such as 'dir/a"),
        (
            ["train", TINY, "--weights", "dir"],
            "caffemodel",
            "give a .caffemodel file, such as 'dir/",
        ),
        (["evaluate", "--net", TINY, "--weights", "dir"], "txt", "file; there is none in it"),
        (["weights", "verify", "dir"], "caffemodel", "give a .caffemodel file, such as 'dir/a"),
        (["weights", "fetch", "alexnet", "--from", "dir"], "caffemodel", "such as 'dir/a"),
    ],
)
def test_a_folder_where_a_file_is_needed(tmp_path, words, ending, said):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / f"a b.{ending}").write_text("")
    text = maap(*words, cwd=tmp_path)
    assert "dir is a folder: " in text and said in text
    assert os.listdir(tmp_path) == ["dir"]


def test_the_folder_for_a_result(tmp_path):
    with pytest.raises(KeyError), folder_for(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyError
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyError), folder_for(tmp_path / "a" / "b"):
        (tmp_path / "a" / "file").write_text("kept")
        raise KeyError
    assert os.listdir(tmp_path / "a") == ["file"]
    with folder_for(tmp_path / "c"):
        pass
    assert (tmp_path / "c").is_dir()
    in_a_file, words = folder_for(tmp_path / "a" / "file" / "x"), "a file stands where a folder"
    with pytest.raises(MaapError, match=words), in_a_file:
        pass
