"""What the runs of a table found: each run's result, and mean and spread over the seeds.

Shares are 0 to 1; the spread is the sample standard deviation.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.paper import figures
from maap.paper.cells import Cell
from maap.paper.plan import resume_command
from maap.paper.rows import BEFORE, TITLES, key_of
from maap.runs.evaluation import Evaluation, need_evaluation
from maap.runs.run import Run


@dataclass(frozen=True)
class Result:
    """What a finished run found; shares of its last phase, and of its first."""

    cell: Cell
    top1: float
    top5: float
    before: float
    iterations: tuple[int, ...]
    phase1_from: Optional[str]
    evaluation: Evaluation


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (None for a single value) of what several seeds gave."""

    values: tuple[float, ...]
    mean: float
    deviation: Optional[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises statistics.StatisticsError without any value."""
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(tuple(values), statistics.fmean(values), deviation)

    def percent(self) -> str:
        """51.2 ± 3.1%, or 51.2% when there is one value."""
        about = "" if self.deviation is None else f" ± {100 * self.deviation:.1f}"
        return f"{100 * self.mean:.1f}{about}%"


@dataclass(frozen=True)
class Table:
    """A table with the results of its runs.

    results: of the runs that are finished, at least one. cells: all that the table consists of;
    those without a result are shown as not run. Empty: there are no others than the results.
    """

    number: int
    results: list[Result]
    cells: Sequence[Cell] = ()

    @property
    def heading(self) -> str:
        """The table's number and subject."""
        return f"Table {self.number}: {TITLES[self.number]}"

    @property
    def planned(self) -> list[Cell]:
        """All cells, in the order of the rows."""
        return list(self.cells) or [result.cell for result in self.results]

    @property
    def nets(self) -> list[str]:
        """The nets, as they were given."""
        return list(dict.fromkeys(cell.net for cell in self.planned))

    @property
    def seeds(self) -> list[int]:
        """The seeds in their order."""
        return list(dict.fromkeys(cell.seed for cell in self.planned))

    @property
    def rows(self) -> list[str]:
        """The labels of the rows; table 3 begins with what its rows share, the net before."""
        labels = list(dict.fromkeys(cell.row for cell in self.planned))
        return [BEFORE, *labels] if self.number == 3 else labels

    def shares(self, row: str, net: str) -> dict[int, float]:
        """Top-1 of a row and a net, by seed; only of runs that are finished."""
        if row == BEFORE:
            rewritten = [r for r in self.results if r.cell.net == net and r.cell.config.haap]
            return {r.cell.seed: r.before for r in reversed(rewritten)}
        return {r.cell.seed: r.top1 for r in self.results if (r.cell.row, r.cell.net) == (row, net)}

    def spread(self, row: str, net: str) -> Optional[Spread]:
        """Mean and spread of a row and a net, None when none of its runs is finished."""
        shares = self.shares(row, net)
        values = [shares[seed] for seed in self.seeds if seed in shares]
        return Spread.of(values) if values else None

    def paper(self, row: str, net: str) -> Optional[figures.Figure]:
        """The paper's figure for a row and a net, or None."""
        return figures.figure(self.number, Path(net).name, key_of(self.number, row))


def read_tables(planned: list[Cell]) -> list[Table]:
    """The tables of some cells with the results of the runs that are finished.

    Raises MaapError: a damaged evaluation.json, a table none of whose runs is finished.
    """
    by_number: dict[int, list[Cell]] = {}
    for cell in planned:
        by_number.setdefault(cell.table, []).append(cell)
    tables = []
    for number, cells in sorted(by_number.items()):
        done = [cell for cell in cells if cell.run.exists and cell.run.finished()]
        if not done:
            raise MaapError(
                f"table {number}: none of its runs is finished; run them: maap table {number} with "
                "the same options, without --page-only"
            )
        tables.append(Table(number, [read_result(cell) for cell in done], cells))
    return tables


def read_result(cell: Cell) -> Result:
    """The result of a finished run. Raises MaapError naming a damaged evaluation.json."""
    advice = f"remove it and measure again: {resume_command(cell.run)}"
    found = need_evaluation(cell.run.folder, advice)
    return Result(
        cell,
        found.last.top1,
        found.last.top5,
        found.phases[0].top1,
        tuple(phase.iterations or 0 for phase in found.phases),
        _origin(cell.run),
        found,
    )


def _origin(run: Run) -> Optional[str]:
    shared = run.state().stages[0].shared_from
    return None if shared is None else shared.run
