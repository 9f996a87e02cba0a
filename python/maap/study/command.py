"""What ``maap study`` and ``maap table`` ask of their child process: the plan, the page."""

from pathlib import Path

from maap.study.cells import Cell, Head, Request, Step, trained
from maap.study.page import write_page
from maap.study.plan import cells, steps
from maap.study.regions import measure_all, unmeasured
from maap.study.timing import plan_lines


def missing(request: Request) -> tuple[list[Cell], list[Step]]:
    """The cells of the parts, and the steps that are left."""
    planned = cells(request)
    return planned, steps(trained(planned))


def plan_now(request: Request) -> list[str]:
    """--plan: the lines to print."""
    return plan_lines(*missing(request))


def measure(planned: list[Cell]) -> None:
    """The regions that are not measured yet; the runs are finished."""
    measure_all(unmeasured(planned))


def write_now(page: Path, planned: list[Cell], head: Head) -> list[str]:
    """The page of finished runs; the lines of its tables."""
    return write_page(page, planned, head)
