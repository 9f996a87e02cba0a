"""What messages say of lists, shapes and missing values: words, never Python's brackets."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from data_fakes import make_dataset
from maap.config.check import contradictions
from maap.config.fields import TrainConfig
from maap.data import feeder
from maap.data.store import Split
from maap.errors import MaapError
from maap.host import loader
from maap.images import pixels
from maap.nets import graph
from maap.util import text


def test_sizes_and_values():
    assert text.times((3, 227, np.int64(2))) == "3 x 227 x 2"
    values = [None, True, 0.5, "word", [1, 2], (), ["a", None]]
    assert [text.plain(value) for value in values] == [
        "none", "true", "0.5", "word", "1, 2", "none", "a, none",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "script, said",
    [
        ('echo "the first line" >&2; echo "layer 3 is odd" >&2', "(layer 3 is odd)"),
        ('echo "F1 net.cpp:7] Check failed: no type" >&2; echo "end" >&2', "Check failed: no type"),
        ("", "(it does not say why)"),
    ],
)
def test_why_an_old_net_cannot_be_converted(tmp_path, monkeypatch, script, said):
    tool = tmp_path / "bin" / "upgrade_net_proto_text"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    net = tmp_path / "old.prototxt"
    net.write_text('layers { name: "a" type: CONVOLUTION }')
    assert said in message_of(lambda: graph.read_upgraded(net))


def damaged_row(folder: Path) -> None:
    path = folder / "train.csv"
    lines = path.read_text().splitlines()
    lines[1] = "key,no number,path,,,,"
    path.write_text("\n".join(lines) + "\n")
    Split.open(folder, "train")


def no_count(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"count": 12', '"counted": 12'))
    Split.open(folder, "train")


@pytest.mark.parametrize(
    "work, said",
    [
        (damaged_row, "train.csv, line 2 is damaged (key, no number, path)"),
        (no_count, "manifest.json says none, train.csv has 12"),
        (lambda _: feeder.Transform(mean=np.zeros((2, 4))), "the shape 2 x 4; it must be 3 or"),
        (lambda _: loader.find_regions(np.zeros((4, 5)), (8, 8)), "not empty; got 4 x 5"),
        (lambda _: pixels.to_jpeg(np.zeros((2, 3, 7), np.uint8)), "2 x 3 x 7"),
    ],
)
def test_mistakes(tmp_path, work, said):
    folder = make_dataset(tmp_path / "data")
    assert said in message_of(lambda: work(folder))
    shutil.rmtree(folder)


def test_a_list_among_the_settings():
    lines = contradictions(TrainConfig(stepvalue=[10, 20]), {"stepvalue": "10,30"})
    assert lines == ["--stepvalue is 10, 30, the run has 10, 20"]


def message_of(work) -> str:
    with pytest.raises(MaapError) as error:
        work()
    assert not set(str(error.value)) & set("[]{}") and "None" not in str(error.value)
    return str(error.value)
