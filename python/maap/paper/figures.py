"""The figures of the paper's tables: top-1 on CUB-200-2011 in percent, by (table, net, row).

``rows`` of tables_plan.py has the rows' labels. A figure stands here only with where it was read;
while one is missing, a table says so. ``status``: "read" (in the paper itself) or "not reread" (at
second hand or from memory; the tables mark it).

The paper was not at hand when the tables were written, so there is none yet.
"""

from dataclasses import dataclass
from typing import Optional

MISSING = "not at hand"


@dataclass(frozen=True)
class Figure:
    """An accuracy in percent, with how sure it is and where it was read."""

    percent: float
    status: str
    source: str


FIGURES: dict[tuple[int, str, str], Figure] = {}


def figure(table: int, net: str, row: str) -> Optional[Figure]:
    """The paper's figure for a cell, or None."""
    return FIGURES.get((table, net, row))


def shown(found: Optional[Figure]) -> str:
    """A figure as a table shows it; one that was not read in the paper itself has a mark."""
    if found is None:
        return MISSING
    return f"{found.percent:.1f}%" + ("" if found.status == "read" else " (not reread)")
