"""Files that are damaged or made to do harm: an error or a result, never a crash or a hang.

A few hundred inputs by default; MAAP_HOSTILE=20000 for so many. A failure says which inputs, and
`python tests/python/engine/hostile.py KIND NUMBER 1 FOLDER` runs one of them again.
"""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import hostile
import pytest

TOTAL = int(os.environ.get("MAAP_HOSTILE", "600"))
SHARES = {
    "net_text": 0.25,
    "net_fields": 0.15,
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
SECONDS = 30  # for one input, on a machine that is busy with other things
MEGABYTES = 700  # that a process may take for files which do not say how much they want


@dataclass
class Findings:
    outcomes: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0
    largest: int = 0


def run_batch(kind: str, first: int, count: int, folder: Path, found: Findings) -> int:
    """Runs inputs in one process; returns the number after the last one it got to."""
    script = Path(hostile.__file__)
    command = [sys.executable, "-X", "faulthandler", str(script), kind, str(first), str(count)]
    with open(folder / "err", "wb") as err, open(folder / "out", "w+b") as out:
        process = subprocess.Popen(
            [*command, str(folder)],
            stdout=out,
            stderr=err,
            env={**os.environ, "GLOG_minloglevel": "3", "OMP_NUM_THREADS": "1"},
        )
        try:
            process.wait(timeout=60 + SECONDS * 3 + count)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        out.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
    done = 0
    for line in lines:
        number, *rest = line.split(" ", 3)
        if len(rest) < 3:
            break
        done += 1
        seconds, megabytes, outcome = float(rest[0]), int(rest[1]), rest[2]
        found.outcomes[outcome.split()[0]] += 1
        found.slowest = max(found.slowest, seconds)
        found.largest = max(found.largest, megabytes)
        too_big = kind in hostile.BINARY and megabytes > MEGABYTES
        if outcome.split()[0] not in ("accepted", "refused", "MemoryError") or too_big:
            found.failures.append(f"{kind} {number}: {outcome}, {megabytes} MB")
        if seconds > SECONDS:
            found.failures.append(f"{kind} {number}: took {seconds} s")
    if done == count:
        return first + count
    detail = (folder / "err").read_text(errors="replace").strip()[-1500:]
    found.failures.append(f"{kind} {first + done}: ended by {process.returncode}\n{detail}")
    return first + done + 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(hostile.KINDS))
def test_hostile(kind, tmp_path, capsys):
    count = max(round(TOTAL * SHARES[kind]), 5)
    found = Findings()
    number = 0
    while number < count and len(found.failures) < 20:
        number = run_batch(kind, number, min(BATCH, count - number), tmp_path, found)
    with capsys.disabled():
        print(
            f"\n{kind}: {count} inputs, {dict(found.outcomes)}, at most {found.slowest:.2f} s "
            f"and {found.largest} MB"
        )
    assert not found.failures, "\n".join(found.failures)


def test_shares():
    assert sum(SHARES.values()) == pytest.approx(1)
    assert set(SHARES) == set(hostile.KINDS)
