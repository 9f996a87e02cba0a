"""Files that are damaged or made to do harm: an error or a result, never a crash or a hang.

A few hundred inputs by default, drawn by Hypothesis, the same ones every time; MAAP_HOSTILE=20000
for so many. A failure says with which command it comes again, and where the input lies.
"""

import os
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import hostile
import pytest

TOTAL = int(os.environ.get("MAAP_HOSTILE", "600"))
SHARES = {
    "net_text": 0.2,
    "net_fields": 0.1,
    "net_made": 0.1,
    "solver_text": 0.1,
    "caffemodel": 0.15,
    "solverstate": 0.1,
    "binaryproto": 0.05,
    "lmdb_values": 0.08,
    "lmdb_file": 0.04,
    "hdf5_weights": 0.05,
    "hdf5_data": 0.03,
}
BATCH = 250


@dataclass
class Findings:
    outcomes: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0
    largest: int = 0


def run_batch(kind: str, batch: int, count: int, folder: Path, found: Findings) -> None:
    """Hands over the inputs of one batch in a process of their own."""
    command = [sys.executable, "-X", "faulthandler", hostile.__file__, kind, str(batch), str(count)]
    command.append(str(folder))
    with open(folder / "err", "wb") as err, open(folder / "out", "w+b") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=err,
            env={**os.environ, "GLOG_minloglevel": "3", "OMP_NUM_THREADS": "1"},
        )
        try:
            process.wait(timeout=60 + hostile.SECONDS * 3 + count)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
    for line in lines:
        number, *rest = line.split(" ", 3)
        if len(rest) == 3:
            found.outcomes[rest[2].split()[0]] += 1
            found.slowest = max(found.slowest, float(rest[0]))
            found.largest = max(found.largest, int(rest[1]))
    if process.returncode != 0:
        last = lines[-1] if lines else "none"
        detail = (folder / "err").read_text(errors="replace").strip()[-1500:]
        found.failures.append(
            f"{shlex.join(command)}: ended by {process.returncode} at input {last}\n{detail}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(hostile.KINDS))
def test_hostile(kind, tmp_path, capsys):
    count = max(round(TOTAL * SHARES[kind]), 5)
    found = Findings()
    for batch, first in enumerate(range(0, count, BATCH)):
        folder = tmp_path / str(batch)
        folder.mkdir()
        run_batch(kind, batch, min(BATCH, count - first), folder, found)
        if len(found.failures) >= 5:
            break
    with capsys.disabled():
        print(
            f"\n{kind}: {sum(found.outcomes.values())} inputs, {dict(found.outcomes)}, "
            f"at most {found.slowest:.2f} s and {found.largest} MB"
        )
    assert not found.failures, "\n".join(found.failures)


def test_shares():
    assert sum(SHARES.values()) == pytest.approx(1)
    assert set(SHARES) == set(hostile.KINDS)
