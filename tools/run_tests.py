"""Runs the C++ and the Python tests of one host, on that host, and counts both together.

    run_tests.py --host fork|shadow|bvlc --counts FILE [pytest arguments]

Called by `./maap test` for each host; FILE gets "N passed, N failed, N skipped". The exit status is
1 when anything failed or could not run.

On a processor with AVX-512 the engine's C++ tests run twice: as the machine is, and without
AVX-512, as on the many processors that have AVX2 alone. The counts of both add up.

The host shadow is the engine on the shadow device, a GPU made of CPU threads (tests/shadow). Its
build has the C++ tests that say something about a GPU; of the Python tests those in
tests/python/gpu run, unless the arguments name others.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

# These variables hide AVX-512 from the engine (caffe/util/cpu_isa.hpp), oneDNN and OpenBLAS.
AVX2 = {"CAFFE_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
CPU_INFO = Path("/proc/cpuinfo")
REPO = Path(__file__).resolve().parents[1]
GPU_TESTS = "tests/python/gpu"
# " 3/34 Test  #3: Otsu.TwoValues .....   Passed    0.01 sec", or "***Failed", "***Not Run" ...
CTEST_LINE = re.compile(rb"^\s*\d+/\d+ Test\s+#\d+: .* \.*\s*(?:\*\*\*)?(\w[^.]*?)\s+[\d.]+ sec")


class Counts(NamedTuple):
    """The numbers of passed, failed and skipped tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(self, other)))

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def has_avx512(cpu_info: Path) -> bool:
    """Whether the file, in the form of Linux's /proc/cpuinfo, lists AVX-512 among a CPU's flags."""
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    flags = (line.partition(":")[2].split() for line in lines if line.startswith("flags"))
    return "avx512f" in next(flags, [])


def run_cpp_both_ways(host: str, build: Path) -> Counts:
    """Runs ctest as the machine is and, if it has AVX-512, again with AVX2 only.

    BVLC Caffe has no such switch, and an environment that hides AVX-512 already leaves one way.
    """
    counts = run_cpp(build, {})
    if host != "fork" or not has_avx512(CPU_INFO) or os.environ.get("CAFFE_CPU_ISA") == "AVX2":
        return counts
    print("the C++ tests again, without AVX-512", flush=True)
    return counts.plus(run_cpp(build, AVX2))


def run_cpp(build: Path, environment: Mapping[str, str]) -> Counts:
    """Runs ctest in the build folder, shows its output immediately and counts its result lines.

    `environment` is set in addition to this process's.
    """
    command = ["ctest", "--output-on-failure", "-j", os.environ.get("OMP_NUM_THREADS", "2")]
    counts = Counts()
    settings = {**os.environ, **environment}
    with subprocess.Popen(command, cwd=build, env=settings, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            counts = counts.plus(count_line(line))
    if process.returncode != 0 and counts.failed == 0:
        print(f"error: ctest ended with status {process.returncode}")
        counts = counts.plus(Counts(failed=1))
    return counts


def count_line(line: bytes) -> Counts:
    """The counts of one line of ctest's output; zeros if it is not a test's result."""
    match = CTEST_LINE.match(line)
    if not match:
        return Counts()
    word = match.group(1)
    if word == b"Passed":
        return Counts(passed=1)
    if word == b"Skipped" or b"(Disabled)" in word:
        return Counts(skipped=1)
    return Counts(failed=1)


def run_python(build: Path, arguments: list[str]) -> Counts:
    """Runs pytest with the given further arguments and counts from its JUnit file."""
    report = build / "pytest.xml"
    if report.exists():
        report.unlink()
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
    status = subprocess.run(command, cwd=REPO).returncode
    if not report.exists():
        print(f"error: pytest ended with status {status} and wrote no report")
        return Counts(failed=1)
    counts = Counts()
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total, bad, skipped = (
            int(suite.get("tests", 0)),
            int(suite.get("failures", 0)) + int(suite.get("errors", 0)),
            int(suite.get("skipped", 0)),
        )
        counts = counts.plus(Counts(total - bad - skipped, bad, skipped))
    if status not in (0, 1) and counts.failed == 0:
        print(f"error: pytest ended with status {status}")
        counts = counts.plus(Counts(failed=1))
    return counts


def python_arguments(host: str, arguments: list[str]) -> list[str]:
    """pytest's arguments for a host: what it cannot run is left out."""
    if host == "bvlc":
        return [*arguments, "--ignore=tests/python/engine", f"--ignore={GPU_TESTS}"]
    names_tests = any((REPO / argument.partition("::")[0]).exists() for argument in arguments)
    if host == "shadow" and not names_tests:
        return [*arguments, GPU_TESTS]
    return arguments


def collect_kernels(file: Path) -> None:
    """Lets every program note in `file` which kernels it has launched (tests/shadow)."""
    file.unlink(missing_ok=True)
    os.environ["SHADOW_KERNELS"] = str(file)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", choices=["fork", "shadow", "bvlc"], required=True)
    parser.add_argument("--counts", type=Path, required=True)
    options, arguments = parser.parse_known_args()
    build = REPO / "build" / options.host
    arguments = python_arguments(options.host, arguments)
    if options.host == "shadow":
        collect_kernels(build / "kernels.txt")
    counts = run_cpp_both_ways(options.host, build).plus(run_python(build, arguments))
    options.counts.write_text(f"{counts}\n")
    print(f"host {options.host}: {counts}", flush=True)
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
