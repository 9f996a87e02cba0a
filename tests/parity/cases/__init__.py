"""Every case of the parity test; see case.py for what a case is."""

from __future__ import annotations

from fnmatch import fnmatch

from . import (
    alexnet,
    chance,
    convolution,
    data,
    elementwise,
    files,
    impossible,
    losses,
    nets,
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
    data,
    nets,
    chance,
    solvers,
    files,
    alexnet,
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
    """The cases whose name or group matches one of the patterns (fnmatch, separated by commas)."""
    patterns = pattern.split(",")
    return [
        case
        for case in all_cases().values()
        if any(fnmatch(case.name, p) or fnmatch(case.group, p) for p in patterns)
    ]
