"""Starts run_case.py on one host, and again after every case that ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]


@dataclass(frozen=True)
class Side:
    """One host of the comparison.

    Attributes:
        name: ``"bvlc"`` or ``"fork"``; the folder of its results has the same name.
        command: The command that starts its Python.
        environment: Added to the environment.
        arguments: Further arguments of run_case.py.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    arguments: Sequence[str] = ()


def bvlc_side(plugin: str, threads: int | None = None) -> Side:
    """BVLC Caffe in its Debian 11 root, with the library of the MAAP layers."""
    environment = {"GLOG_minloglevel": "2"}
    if threads:
        environment |= {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [str(REPO / "tools" / "host" / "bvlc"), "python3"]
    return Side("bvlc", command, environment, ["--plugin", plugin])


def fork_side(python: str, build: Path) -> Side:
    """The engine of this repository, built in ``build``."""
    environment = {"GLOG_minloglevel": "2", "PYTHONPATH": str(build / "python")}
    return Side("fork", [python], environment, ["--tools", str(build / "bin")])


def run(
    side: Side,
    names: Sequence[str],
    work: Path,
    files: Path,
    written: Mapping[str, Path] | None = None,
) -> None:
    """Runs the named cases; their results are in ``work/NAME_OF_SIDE`` afterwards."""
    out = work / side.name
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        for ending in ("npz", "error", "skip"):
            (out / f"{name}.{ending}").unlink(missing_ok=True)
    more = ["--written", *(f"{name}={folder}" for name, folder in (written or {}).items())]
    waiting = list(names)
    while waiting:
        culprit = attempt(side, waiting, out, files, more)
        waiting = [name for name in waiting if not is_done(out, name)]
        if culprit is None:
            break
        name, reason = culprit
        if name not in waiting:  # it ended before or between cases: there are no more results
            for left in waiting:
                (out / f"{left}.error").write_text(reason)
            break
        (out / f"{name}.error").write_text(reason)
        waiting.remove(name)


def is_done(out: Path, name: str) -> bool:
    return any((out / f"{name}.{ending}").exists() for ending in ("npz", "error", "skip"))


def attempt(side: Side, names: Sequence[str], out: Path, files: Path, more: Sequence[str]):
    """One process. Returns None if it succeeded, else the case that ended it and its last line."""
    listed, log, running = out / "list", out / "log", out / "running"
    listed.write_text("\n".join(names))
    running.unlink(missing_ok=True)
    command = [*side.command, str(HERE / "run_case.py"), "--list", str(listed), "--out", str(out)]
    command += ["--host", side.name, "--files", str(files), *side.arguments, *more]
    with log.open("wb") as output:
        status = subprocess.run(
            command, env={**os.environ, **side.environment}, cwd=REPO, stdout=output, stderr=output
        ).returncode
    if status == 0:
        return None
    lines = log.read_text(errors="replace").splitlines()
    fatal = [line for line in lines if line.startswith("F")] or lines or ["it said nothing"]
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    name = running.read_text() if running.exists() else ""
    return name, f"the process ended with {how}: {fatal[-1]}"
