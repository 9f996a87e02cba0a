"""What the rows of a step say about the step: passed, FAILED, or incomplete for lack of time."""

from __future__ import annotations

from collections.abc import Sequence
from subprocess import CompletedProcess
from typing import Any

NO_TIME = "not run: no time was left"
NO_ROOM = "not run: does not fit into this GPU's memory"

#: Seconds that suffice for each program of these steps. One that runs longer has failed; one that
#: was ended earlier, because the time of its step was over, is late.
ENOUGH = 300


def not_run() -> dict[str, Any]:
    return {"good": False, "late": True, "output": NO_TIME}


def fault(done: CompletedProcess[str], limit: float, output: str) -> dict[str, Any]:
    """The row of a program that did not end well; `limit` is the time it had."""
    return {"good": False, "late": done.returncode == 124 and limit < ENOUGH, "output": output}


def judge(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A step is incomplete if some rows were late and all others are good."""
    late = sum(bool(row.get("late")) for row in rows)
    bad = sum(not row["good"] for row in rows)
    return counted(bad == 0, late > 0 and bad == late, len(rows) - late, len(rows))


def counted(good: bool, incomplete: bool, run: int, of: int) -> dict[str, Any]:
    return {"good": good, "incomplete": incomplete, "run": [run, of]}


def word(step: dict[str, Any]) -> str:
    if step["good"]:
        return "passed"
    return "incomplete ({} of {} run)".format(*step["run"]) if step.get("incomplete") else "FAILED"


def part_of(start: float, deadline: float, i: int, count: int) -> float:
    """When the i-th of `count` parts of a step must end, if each may use what earlier ones left."""
    return start + (deadline - start) * (i + 1) / count
