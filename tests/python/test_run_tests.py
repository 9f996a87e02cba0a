"""How ./maap test counts ctest's result lines (as ctest 3.18 prints them); when it runs twice; the
failed tests that .ci/run names at its end."""

import os
import subprocess
from pathlib import Path

import pytest
from loaded_scripts import load_script

PATH = Path(__file__).resolve().parents[2] / "tools" / "run_tests.py"


@pytest.fixture(scope="module")
def run_tests():
    return load_script(PATH)


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


# ---- with AVX-512 and without it

# A ctest whose first test passes, whose second passes without AVX-512 only, whose third is skipped.
CTEST = """#!/bin/sh
echo "$CAFFE_CPU_ISA,$ONEDNN_MAX_CPU_ISA,$OPENBLAS_CORETYPE" >> runs
echo "1/3 Test #1: A.B ......   Passed    0.70 sec"
if [ -n "$CAFFE_CPU_ISA" ]; then
  echo "2/3 Test #2: A.C ......   Passed    0.01 sec"
else
  echo "2/3 Test #2: A.C ......***Failed    0.01 sec"
fi
echo "3/3 Test #3: A.D ......***Skipped   0.01 sec"
"""
AS_IT_IS, WITHOUT = ",,", "AVX2,AVX2,Haswell"


@pytest.fixture
def run_main(run_tests, tmp_path, monkeypatch, capsys):
    """run_main(host, flags): main()'s runs of ctest and last line, on a CPU with these flags."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ctest").write_text(CTEST)
    (tmp_path / "bin" / "ctest").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in run_tests.AVX2:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(run_tests, "REPO", tmp_path)
    monkeypatch.setattr(run_tests, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(
        run_tests, "run_python", lambda build, arguments: run_tests.Counts(10, 0, 2)
    )

    def run(host, flags):
        build = tmp_path / "build" / host
        build.mkdir(parents=True)
        if flags is not None:
            cpu = f"processor\t: 0\nmodel name\t: avx512f\nflags\t\t: {flags}\n\n"
            (tmp_path / "cpuinfo").write_text(2 * cpu)
        counts = tmp_path / "counts"
        monkeypatch.setattr("sys.argv", ["run_tests.py", "--host", host, "--counts", str(counts)])
        status = run_tests.main()
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == f"host {host}: {counts.read_text().strip()}"
        assert status == (" 0 failed" not in last)
        return (build / "runs").read_text().split(), counts.read_text().strip()

    return run


def test_with_avx512_the_engines_tests_run_both_ways(run_main):
    runs, counts = run_main("fork", "fpu sse avx2 avx512f avx512vl")
    assert runs == [AS_IT_IS, WITHOUT]
    assert counts == "13 passed, 1 failed, 4 skipped"


@pytest.mark.parametrize(
    "host, flags",
    [
        ("fork", "fpu sse avx2"),
        ("fork", "avx512fish"),
        ("fork", None),
        ("bvlc", "avx2 avx512f"),
        ("shadow", "avx2 avx512f"),
    ],
)
def test_elsewhere_they_run_once(run_main, host, flags):
    runs, counts = run_main(host, flags)
    assert runs == [AS_IT_IS]
    assert counts == "11 passed, 1 failed, 3 skipped"


def test_where_avx512_is_hidden_already_they_run_once(run_main, monkeypatch):
    monkeypatch.setenv("CAFFE_CPU_ISA", "AVX2")
    runs, counts = run_main("fork", "avx2 avx512f")
    assert runs == ["AVX2,,"]
    assert counts == "12 passed, 0 failed, 3 skipped"


@pytest.mark.parametrize(
    "host, given, expected",
    [
        ("fork", ["-k", "otsu"], ["-k", "otsu"]),
        ("shadow", ["-k", "otsu"], ["-k", "otsu", "tests/python/gpu"]),
        ("shadow", ["tests/python/test_run_tests.py::x"], ["tests/python/test_run_tests.py::x"]),
        ("bvlc", [], ["--ignore=tests/python/engine", "--ignore=tests/python/gpu"]),
    ],
)
def test_each_host_has_its_python_tests(run_tests, host, given, expected):
    assert run_tests.python_arguments(host, given) == expected


# ---- the names of the failed tests, at the end of .ci/run

FAILED = [
    " 3/9 Test #3: A.B .......***Failed    0.01 sec",
    "12/99 Test #12: A.B ....***Exception: SegFault  0.12 sec",
    " 5/9 Test  #5: A.B .....***Timeout   60.01 sec",
    " 7/9 Test #7: A.B .....Subprocess aborted***Exception:   0.11 sec",
    " 9/9 Test #9: missing .....***Not Run   0.00 sec",
    "error: ctest ended with status 8",
    "FAILED tests/python/test_a.py::test_b[c d] - assert 1 == 2",
    "ERROR tests/python/test_a.py::test_c",
    "error: pytest ended with status 3 and wrote no report",
]
OTHERS = [
    " 1/9 Test #1: A.B .......   Passed    0.70 sec",
    " 2/9 Test #2: A.C .......***Skipped   0.00 sec",
    " 4/9 Test #4: A.D .......***Not Run (Disabled)   0.00 sec",
    "The following tests FAILED:",
    "\t  3 - A.B (Failed)",
    "[  FAILED  ] A.B (0 ms)",
    "SKIPPED [1] tests/python/test_a.py:4: FAILED before",
    "E       ERROR in a message",
    "1 failed, 2 passed in 3.00s",
    "11 passed, 1 failed, 3 skipped",
]


def failed_tests(lines, tmp_path):
    """What .ci/run prints of a log of these lines."""
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for line in lines))
    text = (PATH.parents[1] / ".ci" / "run").read_text()
    begin = text.index("show_failed_tests() {")
    function = text[begin : text.index("\n}\n", begin) + 3]
    command = ["bash", "-c", f'{function}show_failed_tests "$0"', str(log)]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()


def test_the_end_of_a_ci_run_names_the_failed_tests(tmp_path):
    mixed = [line for pair in zip(FAILED, OTHERS) for line in pair] + OTHERS
    assert failed_tests(mixed, tmp_path) == FAILED


def test_the_end_of_a_ci_run_names_at_most_forty(tmp_path):
    lines = [f"FAILED test_a.py::test_{i} - {'x' * 999}" for i in range(50)]
    assert failed_tests(lines, tmp_path) == [line[:200] for line in lines[:40]]
