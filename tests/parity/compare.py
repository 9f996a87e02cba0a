"""Compares the results of two hosts and prints a table.

The difference of two arrays a (BVLC's) and b: max |a - b| / max |a|, over the whole array, in
double. It is infinite if shapes differ, if only one of them has a NaN or an infinity at some
position, and if a is all zeros and b is not. Arrays that must be exact have the same measure and
the limit 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from cases import Case

OK, DIFFERS, SKIPPED, FAILED = "ok", "DIFFERS", "skipped", "FAILED"


@dataclass(frozen=True)
class Outcome:
    """The result of one case; ``worst`` is the array closest to (or furthest past) its limit."""

    case: Case
    status: str
    difference: float = 0.0
    worst: str = ""
    reason: str = ""
    arrays: int = 0


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The difference as defined above; text differs by 0 or infinity."""
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        return math.inf
    if a.dtype.kind in "US":
        return 0.0 if np.array_equal(a, b) else math.inf
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a)
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(b[finite]).all()
    ):
        return math.inf
    distance = float(np.max(np.abs(a[finite] - b[finite]), initial=0))
    scale = float(np.max(np.abs(a[finite]), initial=0))
    if scale == 0:
        return 0.0 if distance == 0 else math.inf
    return distance / scale


def is_exact(case: Case, name: str) -> bool:
    return name.startswith("names/") or any(fnmatch(name, pattern) for pattern in case.exact)


def compare(case: Case, a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> Outcome:
    """Compares the arrays ``b`` with BVLC's arrays ``a``."""
    only_a, only_b = sorted(set(a) - set(b)), sorted(set(b) - set(a))
    if only_a or only_b:
        reason = f"only BVLC has {only_a}" if only_a else f"only the fork has {only_b}"
        return Outcome(case, DIFFERS, math.inf, (only_a + only_b)[0], reason)
    worst, worst_difference, worst_excess = "", 0.0, -1.0
    for name in a:
        limit = 0.0 if is_exact(case, name.split("#")[0]) else case.limit
        value = difference(a[name], b[name])
        excess = value / limit if limit else (math.inf if value else 0.0)
        if excess > worst_excess:
            worst, worst_difference, worst_excess = name, value, excess
    status = DIFFERS if worst_excess > 1 else OK
    reason = describe(a[worst], b[worst]) if status == DIFFERS else ""
    return Outcome(case, status, worst_difference, worst, reason, len(a))


def describe(a: np.ndarray, b: np.ndarray) -> str:
    """The position of the largest distance, with both values."""
    if a.shape != b.shape:
        return f"shapes {a.shape} and {b.shape}"
    if a.dtype.kind in "US":
        return f"{' '.join(a.ravel())} and {' '.join(b.ravel())}"
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    distance = np.abs(a.astype(np.float64) - b.astype(np.float64))
    distance[~np.isfinite(distance)] = math.inf
    distance[np.isnan(a) & np.isnan(b)] = 0
    place = np.unravel_index(np.argmax(distance), a.shape)
    unequal = int(np.count_nonzero(distance))
    at = list(map(int, place))
    return f"{unequal} of {a.size} values unequal, most at {at}: {a[place]:.9g} and {b[place]:.9g}"


def read(folder: Path, case: Case) -> Mapping[str, np.ndarray] | Outcome:
    """A host's result of a case: its arrays, or why there are none."""
    arrays = folder / f"{case.name}.npz"
    if arrays.exists():
        with np.load(arrays) as file:
            return dict(file)
    skip, error = folder / f"{case.name}.skip", folder / f"{case.name}.error"
    if skip.exists():
        return Outcome(case, SKIPPED, reason=skip.read_text().strip())
    if error.exists():
        return Outcome(case, FAILED, reason=error.read_text().strip().splitlines()[-1])
    return Outcome(case, FAILED, reason="it was not run")


def table(outcomes: Iterable[Outcome], every: bool = False) -> str:
    """Groups with counts and their largest difference, then cases that differ, failed or skipped.

    ``every`` lists every case first.
    """
    outcomes = list(outcomes)
    lines = []
    if every:
        lines += [f"{'case':40} {'difference':>10}  array"]
        lines += [f"{o.case.name:40} {show(o):>10}  {o.worst}" for o in outcomes]
        lines += [""]
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.case.group, []).append(outcome)
    lines += [f"{'group':26} {'cases':>5} {'ok':>5} {'limit':>7} {'largest':>9}  case"]
    for group, members in groups.items():
        ran = [o for o in members if o.status in (OK, DIFFERS)]
        good = sum(o.status == OK for o in members)
        limit = max(o.case.limit for o in members)
        top = max(ran, key=lambda o: o.difference, default=None)
        largest = f"{show(top):>9}  {top.case.name}" if top else f"{'-':>9}"
        lines.append(f"{group:26} {len(members):5} {good:5} {limit:7.0e} {largest}")
    for status in (SKIPPED, FAILED, DIFFERS):
        chosen = [o for o in outcomes if o.status == status]
        if chosen:
            lines += ["", f"{status} ({len(chosen)}):"]
            lines += [f"  {text}" for text in alike(chosen)]
    counts = {
        status: sum(o.status == status for o in outcomes)
        for status in (OK, DIFFERS, FAILED, SKIPPED)
    }
    lines += ["", ", ".join(f"{count} {status.lower()}" for status, count in counts.items())]
    return "\n".join(lines)


def alike(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each outcome; outcomes with the same reason share a line."""
    reasons: dict[str, list[str]] = {}
    for outcome in outcomes:
        reasons.setdefault(told(outcome), []).append(outcome.case.name)
    return [
        f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}: {reason}"
        for reason, names in reasons.items()
    ]


def show(outcome: Outcome) -> str:
    return f"{outcome.difference:.1e}" if outcome.status in (OK, DIFFERS) else outcome.status


def told(outcome: Outcome) -> str:
    if outcome.status != DIFFERS:
        return outcome.reason
    return f"{show(outcome)} in {outcome.worst}: {outcome.reason}"
