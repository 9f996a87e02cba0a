"""Running programs as several ranks with mpirun."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

import caffe
import pytest

LIMIT = 300  # seconds until a program counts as hanging, on however busy a machine
PLUGIN = Path(caffe.__file__).parents[2] / "lib/libcaffe_mpi.so"
MPIRUN = shutil.which("mpirun")
CAFFE = shutil.which("caffe")

needs_mpi = pytest.mark.skipif(
    MPIRUN is None or not PLUGIN.exists(),
    reason="needs MPI: apt-get install libopenmpi-dev openmpi-bin, and build again",
)


def command(ranks: int, *program: object) -> list[str]:
    """As root, and with more ranks than cores."""
    assert MPIRUN is not None
    flags = ["--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
    return [MPIRUN, *flags, *(str(part) for part in program)]


def environment(**more: object) -> dict[str, str]:
    """This process's, without the marks of a launcher, and so that Python writes whole lines.

    With PYTHONUNBUFFERED it writes each argument of a print and each part of a traceback alone, and
    mpirun puts what the ranks write in the order in which it comes.
    """
    others = ("OMPI_", "PMIX_", "PMI_", "PYTHONUNBUFFERED")
    own = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**own, **{name: str(value) for name, value in more.items()}}


def finish(
    program: Iterable[object], env: dict[str, str], limit: float = LIMIT
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, which is not always a success; its output is one text."""
    return subprocess.run(
        [str(part) for part in program],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
    )


def run(
    ranks: int, *program: object, limit: float = LIMIT, **variables: object
) -> subprocess.CompletedProcess[str]:
    """finish() of a program that mpirun starts."""
    return finish(command(ranks, *program), environment(**variables), limit)


class Job:
    """A running program; its output goes to a file."""

    def __init__(self, folder: Path, ranks: int, *program: object, **variables: object) -> None:
        self.log = folder / f"job{len(list(folder.iterdir()))}.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                command(ranks, *program),
                env=environment(**variables),
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, limit: float = LIMIT) -> None:
        """Until the output has these words."""
        end = time.monotonic() + limit
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < end, f"{words!r} is not in: {self.text()}"
            time.sleep(0.1)

    def rank_process(self, rank: int) -> int:
        """Its number, among the children of mpirun."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for child in children.read_text().split():
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            if b"OMPI_COMM_WORLD_RANK=%d" % rank in variables:
                return int(child)
        raise AssertionError(f"no process of rank {rank}: {self.text()}")

    def end(self, limit: float = LIMIT) -> int:
        """Waits; returns the exit status."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {limit} s: {self.text()}") from None
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def python(folder: Path, text: str) -> tuple[str, Path]:
    """The command that runs this text; ``group`` there is the ranks."""
    script = folder / f"script{len(list(folder.iterdir()))}.py"
    start = "import os, sys, time\nimport numpy as np\nimport caffe\nfrom caffe import ranks\n"
    script.write_text(start + "group = ranks.world()\n" + textwrap.dedent(text))
    return sys.executable, script
