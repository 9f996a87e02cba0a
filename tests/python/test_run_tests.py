"""How ./maap test counts ctest's result lines; the lines are as ctest 3.18 prints them."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "tools" / "run_tests.py"


@pytest.fixture(scope="module")
def run_tests():
    spec = importlib.util.spec_from_file_location("run_tests", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "line, expected",
    [
        (" 2/34 Test  #1: EliminationTest/float.Gradient .....   Passed    0.70 sec", (1, 0, 0)),
        ("1/3 Test #2: bad ..............................***Failed    0.00 sec", (0, 1, 0)),
        ("3/3 Test #3: Gpu.Layers .......................***Skipped   0.00 sec", (0, 0, 1)),
        ("4/9 Test #4: A.B .....***Exception: SegFault  0.12 sec", (0, 1, 0)),
        ("5/9 Test #5: A.B .....***Timeout   60.01 sec", (0, 1, 0)),
        ("6/9 Test #6: A.Passed .....***Failed    0.01 sec", (0, 1, 0)),
        ("7/9 Test #7: A.B .....Subprocess aborted***Exception:   0.11 sec", (0, 1, 0)),
        ("8/9 Test #8: A.B .....***Not Run (Disabled)   0.00 sec", (0, 0, 1)),
        ("9/9 Test #9: missing .....***Not Run   0.00 sec", (0, 1, 0)),
        ("    Start 3: EliminationTest/float.Gradient", (0, 0, 0)),
        ("100% tests passed, 0 tests failed out of 34", (0, 0, 0)),
        ("Total Test time (real) =   0.01 sec", (0, 0, 0)),
    ],
)
def test_one_line(run_tests, line, expected):
    assert tuple(run_tests.count_line(line.encode() + b"\n")) == expected


def test_counts_read_as_one_line(run_tests):
    counts = run_tests.Counts(1, 2, 3).plus(run_tests.Counts(10, 0, 1))
    assert str(counts) == "11 passed, 2 failed, 4 skipped"
