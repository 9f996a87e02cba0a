"""bench/machine.py: what benchmarks say of the machine, from texts as Linux writes them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "bench"))

import machine  # noqa: E402
from machine import Processor, Times  # noqa: E402

ZEN3 = "processor\t: 0\nmodel name\t: AMD Ryzen 7 5800X 8-Core Processor\nflags\t: avx avx2\n"
VIRTUAL = "cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nflags\t: avx avx2 avx512f\n"
INTEL = "model name\t: Intel(R) Xeon(R) CPU E5-2640 0 @ 2.50GHz\nflags\t: sse2 avx\n"
STAT = "cpu  100 20 30 400 5 6 7 32 11 0\ncpu0 1 2 3 4 5 6 7 8 9 0\nintr 5\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name", "widest", "hidden"),
    [
        (ZEN3, "AMD Ryzen 7 5800X 8-Core", "AVX2", "AVX2"),
        (VIRTUAL, "AMD EPYC (family 26, model 2)", "AVX-512", "AVX2 (AVX-512 hidden)"),
        (INTEL, "Intel Xeon E5-2640 0", "AVX", "AVX"),
        ("processor : 0\nFeatures : fp asimd\n", "unknown processor", "NEON", "NEON"),
        ("", "unknown processor", "SSE2", "SSE2"),
    ],
)
def test_processors(cpuinfo, name, widest, hidden):
    cpu = Processor.parse(cpuinfo)
    assert (cpu.name, cpu.in_use(False), cpu.in_use(True)) == (name, widest, hidden)


def test_times_of_all_processors():
    times = Times.parse(STAT, 40)
    assert times == Times(total=600, stolen=32, busy=163, own=40)  # guests are not counted twice
    with pytest.raises(ValueError, match="/proc/stat"):
        Times.parse("cpu0 1 2 3\n", 0)


def test_an_old_kernel_has_fewer_columns():
    assert Times.parse("cpu  10 0 5 85\n", 0) == Times(total=100, stolen=0, busy=15, own=0)


def process(number, parent, *ticks, name="python3"):
    return f"{number} ({name}) S {parent} " + " ".join(["0"] * 9 + [str(t) for t in ticks] + ["20"])


def test_own_time_is_that_of_the_process_and_its_descendants():
    stats = [
        process(1, 0, 1000, 1000, 0, 0),
        process(10, 1, 5, 6, 7, 8),  # the program; 15 of children that have ended
        process(11, 10, 100, 0, 0, 0, name="a (strange) name"),
        process(12, 11, 0, 20, 0, 0),  # a grandchild
        process(13, 1, 300, 0, 0, 0),  # somebody else's
    ]
    assert machine.own_ticks(10, stats) == 5 + 6 + 7 + 8 + 100 + 20


def test_shares_and_the_word_disturbed():
    began, quiet = Times(0, 0, 0, 0), Times(total=1000, stolen=10, busy=800, own=780)
    assert machine.shares(began, quiet) == (0.01, 0.02)
    assert "disturbed" not in machine.load_text(machine.shares(began, quiet))
    for busy in (Times(1000, 60, 700, 700), Times(1000, 0, 700, 640), Times(1000, 30, 700, 675)):
        assert machine.load_text(machine.shares(began, busy)).startswith("**disturbed**: ")
    # Ticks of a child that ends between the two readings can make the rest negative.
    assert machine.shares(began, Times(1000, 0, 700, 720)) == (0.0, 0.0)
    assert machine.load_text(None) == "load unknown"


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="there is no /proc")
def test_a_child_counts_as_own_while_it_runs_and_afterwards():
    before = Times.now()
    spin = "import time\nt = time.process_time()\nwhile time.process_time() - t < 0.3: pass\n"
    child = subprocess.Popen(
        [sys.executable, "-c", spin + "print(1, flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    child.stdout.readline()
    least = 0.25 * os.sysconf("SC_CLK_TCK")
    assert Times.now().own - before.own >= least
    child.communicate(b"\n")
    assert Times.now().own - before.own >= least


def test_the_line():
    cpu = Processor.parse(ZEN3)
    text = machine.text_of(cpu, True, 2, (0.001, 0.07), {"oneDNN": "2.6.3", "GCC": "12.2.0"})
    assert text == (
        "machine: AMD Ryzen 7 5800X 8-Core, AVX2, 2 threads; **disturbed**: 0.1% of the time "
        "stolen, 7.0% other processes'; oneDNN 2.6.3, GCC 12.2.0; " + time.strftime("%Y-%m-%d")
    )
    assert "1 thread; load unknown; 2" in machine.text_of(cpu, False, 1, None, {})


def test_hiding_avx512_reaches_every_program(monkeypatch):
    for name in machine.AVX2:
        monkeypatch.delenv(name, raising=False)
    assert not machine.is_hidden() and machine.bvlc()[1:] == []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    machine.use_avx2()
    assert machine.is_hidden()
    assert machine.bvlc()[1:] == ["env", "OPENBLAS_CORETYPE=Haswell"]


def test_tables():
    made = machine.table(["net", "ms"], [["AlexNet", "1.5"], ["VGG19", "120.25"]])
    assert made.splitlines() == [
        "| net     |     ms |",
        "| ------- | -----: |",
        "| AlexNet |    1.5 |",
        "| VGG19   | 120.25 |",
    ]


@pytest.mark.skipif(os.environ.get("MAAP_HOST") != "fork", reason="of the engine's build")
def test_versions_of_the_engine():
    found = machine.versions()
    assert {"OpenBLAS", "oneDNN"} <= set(found) and {"GCC", "Clang"} & set(found)
    assert all(version[0].isdigit() for version in found.values())
