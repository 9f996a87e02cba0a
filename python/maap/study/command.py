"""What ``maap study`` and ``maap table`` ask of their child process: the plan, the page."""

from pathlib import Path

from maap.study.cells import Cell, Head, Planned, Request, Step, trained
from maap.study.page import write_page
from maap.study.plan import planned, steps
from maap.study.regions import measure_all, unmeasured
from maap.study.timing import plan_lines


def missing(request: Request) -> tuple[Planned, list[Step]]:
    """What the parts consist of, and the steps that are left."""
    found = planned(request)
    return found, steps(trained(found.cells))


def plan_now(request: Request) -> list[str]:
    """--plan: the lines to print."""
    return plan_lines(*missing(request))


def measure(cells: list[Cell]) -> None:
    """The regions that are not measured yet; the runs are finished."""
    measure_all(unmeasured(cells))


def write_now(page: Path, found: Planned, head: Head) -> list[str]:
    """The page of finished runs; the lines of its tables."""
    return write_page(page, found.cells, head, found.left_out)
