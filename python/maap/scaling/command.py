"""What ``maap plan`` does in its child processes."""

from typing import Optional

from maap.scaling import page, sums
from maap.scaling.facts import Facts, facts_of
from maap.scaling.model import Link, Machines


def find_facts(
    net: str, classes: int, batch: Optional[int], step: Optional[float], gpu: Optional[int]
) -> Facts:
    """`facts.facts_of`."""
    return facts_of(net, classes, batch, step, gpu)


def measure_link(size: int) -> Link:
    """`sums.measured`, called on every rank."""
    return sums.measured(size)


def plan_lines(
    facts: Facts, machines: Machines, most: int, whole: Optional[int], epoch: int, origin: str
) -> list[str]:
    """`page.lines`."""
    return page.lines(facts, machines, most, whole, epoch, origin)
