"""Every case of the parity test; see case.py for what a case is."""

from __future__ import annotations

from fnmatch import fnmatch

from . import (
    alexnet,
    chance,
    convolution,
    data,
    deep,
    elementwise,
    files,
    impossible,
    losses,
    nets,
    recurrent,
    settings,
    solvers,
    structure,
    windows,
)
from .case import Case

MODULES = (
    convolution,
    windows,
    elementwise,
    structure,
    losses,
    settings,
    data,
    nets,
    recurrent,
    chance,
    solvers,
    files,
    alexnet,
    deep,
    impossible,
)

__all__ = ["Case", "all_cases", "select"]


def all_cases() -> dict[str, Case]:
    """Name -> case, in the order they run.

    Raises:
        ValueError: two cases have one name, or a reference names none.
    """
    out: dict[str, Case] = {}
    for module in MODULES:
        for case in module.cases():
            if case.name in out:
                raise ValueError(f"two cases are named {case.name}")
            out[case.name] = case
    for case in out.values():
        if case.origin not in out:
            raise ValueError(f"{case.name} refers to {case.reference}, which is no case")
    return out


def select(pattern: str = "*") -> list[Case]:
    """The cases whose name or group matches a pattern and none of those that start with ``!``.

    Patterns (fnmatch) are separated by commas; with only ``!`` patterns, all others are selected.
    """
    patterns = pattern.split(",")
    unwanted = [p[1:] for p in patterns if p.startswith("!")]
    wanted = [p for p in patterns if not p.startswith("!")] or ["*"]

    def matches(case: Case, chosen: list[str]) -> bool:
        return any(fnmatch(case.name, p) or fnmatch(case.group, p) for p in chosen)

    cases = all_cases().values()
    return [case for case in cases if matches(case, wanted) and not matches(case, unwanted)]
