"""bench/two_engines.py: its options, its table and what it calls a miss."""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "bench"))

import two_engines  # noqa: E402


def engine(name, median, results=(1.0, -2.0), layers=None):
    made = two_engines.Engine(name, ["python3"])
    made.times = [0.5 * median, median, 3 * median]
    made.results, made.memory = list(results), 1000 * median
    times = {"conv1": [0.001, 0.002], "fc1": [0.003, 0.0]}
    times.update(layers or {})
    made.layers = [{"name": n, "type": "Some", "times": t} for n, t in times.items()]
    return made


def test_an_engine_is_a_name_and_a_command():
    made = two_engines.engine("Debian 13=chroot '/a b' env A=1 python3")
    assert made.name == "Debian 13"
    assert made.command == ["chroot", "/a b", "env", "A=1", "python3"]
    for text in ("python3", "=python3", "Debian 13="):
        with pytest.raises(argparse.ArgumentTypeError, match="NAME=COMMAND"):
            two_engines.engine(text)


@pytest.mark.parametrize(
    ("second", "results", "found"),
    [
        (1.04, (1.0, -2.0), []),
        (0.5, (1.0, -2.001), []),
        (1.06, (1.0, -2.0), ["B takes 1.06 times as long, at most 1.05"]),
        (1.0, (1.01, -2.0), ["the results differ by 5.0e-03"]),
        (1.0, (float("nan"), -2.0), ["the results differ by nan"]),
    ],
)
def test_what_is_wrong(second, results, found):
    both = [engine("A", 1.0), engine("B", second, results)]
    assert two_engines.wrong(both, 1.05) == found


def test_a_row_of_the_table():
    both = [engine("A", 0.1), engine("B", 0.12, (1.0, -2.002))]
    assert two_engines.row("AlexNet", both) == [
        "AlexNet", "100.0 (50.0)", "120.0 (60.0)", "1.200 (1.200)", "100, 120", "1e-03",
    ]  # fmt: skip
    assert two_engines.heads(both)[1:4] == ["A, ms", "B, ms", "B / A"]


def test_the_layer_that_loses_most_is_first():
    both = [engine("A", 1.0), engine("B", 1.0, layers={"fc1": [0.005, 0.0]})]
    rows = two_engines.layers_table("AlexNet", both).splitlines()[4:]
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == [
        "fc1 (Some)", "3.000, 5.000", "0.000, 0.000", "2.000",
    ]  # fmt: skip
    assert rows[1].startswith("| conv1 (Some)") and rows[1].endswith("0.000 |")


@pytest.mark.skipif(os.environ.get("MAAP_HOST") != "fork", reason="the engine is what it times")
def test_an_engine_is_compared_with_itself():
    name = "squeezenet-1"
    one = shlex.quote(sys.executable)
    options = ["--starts", "2", "--rounds", "1", "--seconds", "0", "--limit", "1000", "--layers"]
    command = [sys.executable, "bench/two_engines.py", name, *options]
    command += ["--engine", f"A={one}", "--engine", f"B={one}"]
    done = subprocess.run(command, cwd=REPO, stdout=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0, done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("| SqueezeNet"))
    assert row.endswith(" 0e+00 |"), "the same engine gives the same values"
    assert "Every target is met." in done.stdout and "layers, best ms of A, B" in done.stdout
