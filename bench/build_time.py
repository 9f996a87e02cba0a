"""Measures how long a full build of the engine takes, and which files take longest.

    ./maap python bench/build_time.py [--jobs N] [--keep DIR]

Builds the target `engine`, what `./maap train` builds on a fresh machine, in a temporary folder and
without a compiler cache. Prints the time of the whole build and the slowest steps.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

REPO = Path(__file__).resolve().parents[1]


def build(folder: Path, jobs: int) -> tuple[float, float]:
    """The seconds for configuring and for compiling."""
    started = time.monotonic()
    configure = ["cmake", "-S", str(REPO), "-B", str(folder), "-G", "Ninja", "-DUSE_CUDA=OFF"]
    configure += [f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_UNITY_BUILD=ON"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    configured = time.monotonic()
    command = ["cmake", "--build", str(folder), "--target", "engine", "-j", str(jobs)]
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ, CCACHE_DISABLE="1")
    )
    return configured - started, time.monotonic() - configured


def steps(folder: Path) -> list[tuple[float, str]]:
    """(seconds, output) of each step, slowest first, from ninja's log."""
    found = {}
    for line in (folder / ".ninja_log").read_text().splitlines()[1:]:
        begin, end, _, output, _ = line.split("\t")
        found[output] = (int(end) - int(begin)) / 1000
    return sorted(((seconds, output) for output, seconds in found.items()), reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--keep", type=Path, help="build there and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        load = machine.Load()
        configuring, compiling = build(folder, options.jobs)
        print(machine.line(load, options.jobs))
        print(f"configuring {configuring:.0f} s, compiling {compiling:.0f} s, {options.jobs} jobs")
        all_steps = steps(folder)
        print(f"{len(all_steps)} steps, {sum(s for s, _ in all_steps):.0f} s of work; the slowest:")
        for seconds, output in all_steps[:15]:
            print(f"{seconds:7.1f} s  {output.split('.dir/')[-1]}")


if __name__ == "__main__":
    main()
