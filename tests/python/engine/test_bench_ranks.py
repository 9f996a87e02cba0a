"""bench/ranks.py: which trainings are compared, and what it says of a --ranks that cannot be."""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

REPO = Path(__file__).resolve().parents[3]
sys.path.append(str(REPO / "bench"))

import ranks  # noqa: E402


@pytest.fixture
def trained(monkeypatch):
    """The trainings that are asked for, none of which runs; weights by the number of ranks."""
    asked, weights = [], {1: 0.0, 2: 0.0, 4: 0.0}
    monkeypatch.setattr(ranks, "train", lambda _, wanted: asked.append(wanted) or ("", wanted))
    monkeypatch.setattr(ranks, "blobs", lambda made: [np.array([weights[made.ranks]])])
    return asked, weights


def options(counts, batch=4):
    return argparse.Namespace(ranks=counts, batch=batch, iterations=50, rate=0.1)


def test_each_number_of_ranks_is_compared_with_one(trained, tmp_path, capsys):
    asked, weights = trained
    weights[4] = 2e-6
    assert ranks.agree(options([1, 2, 4]), tmp_path)
    assert [(each.ranks, each.batch, each.passes) for each in asked] == [
        (1, 4, 1), (2, 2, 1), (1, 2, 2), (4, 1, 1), (1, 1, 4),
    ]  # fmt: skip
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("2 ranks x batch 2 and 1 rank x batch 4 differ by 0.0e+00")
    assert said[2].startswith("4 ranks x batch 1 and 1 rank x batch 4 differ by 2.0e-06")


@pytest.mark.parametrize("value", [2e-5, float("nan")])
def test_one_that_differs_is_enough(trained, tmp_path, value):
    trained[1][2] = value
    assert not ranks.agree(options([2, 4]), tmp_path)


def test_a_list_is_numbers():
    assert ranks.numbers("4") == [4] and ranks.numbers("1,2,16") == [1, 2, 16]
    for text in ("", "0", "1,,2", "two", "1.5", "-1", "1, 2"):
        with pytest.raises(argparse.ArgumentTypeError, match="give numbers of at least 1"):
            ranks.numbers(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["1"], "error: agree compares several ranks with one: give --ranks 2 or more"),
        (["1,3"], "error: 3 ranks cannot share a batch of 4 evenly"),
        (["1;2"], "argument --ranks: '1;2': give numbers of at least 1, such as 1,2,4"),
    ],
)
def test_what_cannot_be_is_one_line(words, said):
    command = [sys.executable, str(REPO / "bench" / "ranks.py"), "agree", "--ranks", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith(said)
