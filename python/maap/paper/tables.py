"""What `maap table` asks of its child process: the plan, the estimate, the page."""

from pathlib import Path

from maap.paper.cells import Cell, Request, Step
from maap.paper.page import write_page
from maap.paper.plan import cells, steps
from maap.paper.timing import plan_lines


def missing(request: Request) -> tuple[list[Cell], list[Step]]:
    """The cells of the tables, and the steps that are left."""
    planned = cells(request)
    return planned, steps(planned)


def plan_now(request: Request) -> list[str]:
    """--plan: the lines to print."""
    return plan_lines(*missing(request))


def write_now(page: Path, planned: list[Cell], command: str) -> list[str]:
    """The page of finished runs; the lines of its tables."""
    return write_page(page, planned, command)
