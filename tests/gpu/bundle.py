"""The programs of a bundle that tools/bundle made, and the machine they run on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Bundle:
    """The programs of a bundle, run with its libraries and the CUDA libraries of this machine."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder.resolve()
        built = self.folder / "built.txt"
        #: The commit, CUDA, cuDNN and architectures that it was built with; "" if nothing says.
        self.built = built.read_text().strip() if built.exists() else ""
        places = [str(place) for place in (self.folder / "lib", *cuda_folders(python))]
        theirs = os.environ.get("LD_LIBRARY_PATH", "")
        self.environment = dict(os.environ)
        self.environment["LD_LIBRARY_PATH"] = ":".join([*places, *[theirs] * bool(theirs)])
        #: For programs that are not the bundle's.
        self.without_bundle = {"LD_LIBRARY_PATH": theirs}
        self.environment["OMP_NUM_THREADS"] = self.environment["OPENBLAS_NUM_THREADS"] = "2"

    @contextmanager
    def training(self) -> Iterator[Path]:
        """A folder with the solvers and nets of `training`, which may be changed."""
        with tempfile.TemporaryDirectory() as folder:
            for path in (self.folder / "training").iterdir():
                shutil.copy(path, folder)
            yield Path(folder)

    def run(
        self, *command: str, timeout: float = 120, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        program = str(self.folder / "bin" / command[0])
        return self.start(program, *command[1:], timeout=timeout, **options)

    def start(
        self, *command: str, timeout: float, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """A program that is still running after `timeout` seconds is ended with status 124, and
        with it what it has started: compute-sanitizer runs a program beside it."""
        options["env"] = {**self.environment, **options.pop("more", {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(
            command, **pipes, text=True, errors="replace", start_new_session=True, **options
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out = process.communicate()[0]
                why = f"no end after {timeout:.0f} s"
                return subprocess.CompletedProcess(command, 124, out, why)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)


def cuda_folders(python: str) -> list[Path]:
    """Folders with the CUDA libraries: those of `python`'s nvidia-* wheels, and the system's."""
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout
    found = {path.parent for path in Path(site.strip() or "/nowhere").glob("nvidia/*/lib/*.so*")}
    return [*sorted(found), Path("/usr/local/cuda/lib64")]


def query_all(fields: str) -> list[list[str]]:
    """What nvidia-smi says about each GPU."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() if done.returncode == 0 else []
    return [[part.strip() for part in line.split(",")] for line in lines]


def query(fields: str) -> list[str]:
    """What it says about the first GPU; nothing if there is none."""
    return next(iter(query_all(fields)), [])
