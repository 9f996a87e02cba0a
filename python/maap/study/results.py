"""What the runs of a study found: each cell's result, and mean and spread over the seeds.

Shares and IoU are 0 to 1; the spread is the sample standard deviation.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Optional

from maap.errors import MaapError
from maap.runs.evaluation import Evaluation, PhaseResult, need_evaluation
from maap.runs.run import Run, resume_command
from maap.study import figures
from maap.study.cells import Cell, LeftOut
from maap.study.definition import Part, Row, net_name
from maap.study.regions import read_quality, region_values
from maap.study.scripts import read_result as read_script


@dataclass(frozen=True)
class Column:
    """A measured number: its key, its title, and how it is shown.

    short: its title beside others. compared: whether differences between rows are shown for it.
    percent: shown as such, and differences as points.
    """

    key: str
    title: str
    short: str = ""
    percent: bool = True
    compared: bool = False

    @property
    def factor(self) -> float:
        """From the number to what is shown."""
        return 100.0 if self.percent else 1.0

    def number(self, value: float) -> str:
        """A value without its unit."""
        return f"{100 * value:.1f}" if self.percent else f"{value:.3f}"

    def shown(self, value: float, deviation: Optional[float] = None) -> str:
        """A value with its spread: 51.2 ± 3.1%, or 0.431 ± 0.012."""
        about = "" if deviation is None else f" ± {self.number(deviation)}"
        return f"{self.number(value)}{about}{'%' if self.percent else ''}"


COLUMNS = {
    "top1": (
        Column("top1", "ours", "whole images", compared=True),
        Column("cut", "ours, images cut to the region found", "cut to the region", compared=True),
        Column("true_box", "ours, images cut to the true box"),
    ),
    "regions": (
        Column("iou", "mean IoU", percent=False, compared=True),
        Column("centre", "centre hit", compared=True),
        Column("small", "IoU of small objects", percent=False),
        Column("medium", "of medium ones", percent=False),
        Column("large", "of large ones", percent=False),
        Column("area", "share of the image"),
    ),
}


@dataclass(frozen=True)
class Result:
    """What a finished cell found. ``values``: by the keys of the part's columns; what was not
    measured is left out. ``evaluation``: of its run; a script has none. ``before``: top-1 after
    phase 1."""

    cell: Cell
    values: Mapping[str, float]
    evaluation: Optional[Evaluation]
    top5: Optional[float] = None
    before: Optional[float] = None
    iterations: tuple[int, ...] = ()
    phase1_from: Optional[str] = None


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


@dataclass(frozen=True)
class Table:
    """A part with the results of its cells.

    results: of the cells that are finished, at least one of a run. cells: all that the part
    consists of; those without a result are shown as not run. not_for: why a row is not made with a
    net, by the row's label and the net.
    """

    part: Part
    results: Sequence[Result]
    cells: Sequence[Cell] = field(default_factory=list)
    not_for: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def evaluation(self) -> Evaluation:
        """That of the first run: what it says of the data set is true of all."""
        return next(each.evaluation for each in self.results if each.evaluation is not None)

    @property
    def whole(self) -> bool:
        """Whether every cell has a result."""
        return len(self.results) == len(self.cells)

    @property
    def columns(self) -> list[Column]:
        """What was measured in any cell; the first column always."""
        found = {key for result in self.results for key in result.values}
        every = COLUMNS[self.part.measure]
        return [column for column in every if column.key in found or column is every[0]]

    def values(self, row: Row, net: str, key: str) -> dict[int, float]:
        """What a row and a net found in a column, by seed; only of cells that are finished."""
        return {
            result.cell.seed: result.values[key]
            for result in self.results
            if (result.cell.row.label, result.cell.net) == (row.label, net) and key in result.values
        }

    def ordered(self, row: Row, net: str, key: str) -> list[float]:
        """The same as a list, in the order of the seeds."""
        found = self.values(row, net, key)
        return [found[seed] for seed in self.part.seeds if seed in found]

    def spread(self, row: Row, net: str, key: str) -> Optional[Spread]:
        """Mean and spread of a row and a net, None when none of its cells is finished."""
        values = self.ordered(row, net, key)
        return Spread.of(values) if values else None


def paper_figure(row: Row, net: str) -> Optional[figures.Figure]:
    """The paper's figure for a row and a net, or None."""
    return row.paper.get(net_name(net), row.paper.get(""))


# ---- reading them -------------------------------------------------------------------------------


def read_tables(planned: Sequence[Cell], left_out: Sequence[LeftOut] = ()) -> list[Table]:
    """The tables of some cells with the results of those that are finished, and with the rows that
    were left out of them.

    Raises MaapError: a damaged evaluation.json, a part none of whose cells is finished.
    """
    by_part: dict[str, list[Cell]] = {}
    for cell in planned:
        by_part.setdefault(cell.part.name, []).append(cell)
    known: dict[str, Evaluation] = {}
    tables = []
    for name, cells in by_part.items():
        found = [read_result(cell, cells, known) for cell in cells]
        results = [result for result in found if result is not None]
        if all(result.evaluation is None for result in results):
            raise MaapError(
                f"{name}: none of its runs is finished; run them: the same command without "
                "--page-only"
            )
        why = {(each.row.label, each.net): each.why for each in left_out if each.part.name == name}
        tables.append(Table(cells[0].part, results, cells, why))
    return tables


def read_result(
    cell: Cell, others: Sequence[Cell] = (), known: Optional[dict[str, Evaluation]] = None
) -> Optional[Result]:
    """The result of a cell; None: it is not finished. A result after phase 1 is also that of any
    of ``others`` with the same phase 1. ``known``: the evaluations that were read already.

    Raises MaapError naming a damaged evaluation.json.
    """
    if cell.script is not None:
        made = read_script(cell)
        return None if made is None else Result(cell, made.values, None)
    same = [cell]
    if cell.row.after is not None:
        same += [each for each in others if (each.phase1, each.net) == (cell.phase1, cell.net)]
    source = next((each.run for each in same if each.run.exists and each.run.finished()), None)
    if source is None:
        return None
    known = {} if known is None else known
    key = str(source.folder)
    if key not in known:
        advice = f"remove it and measure again: {resume_command(source)}"
        known[key] = need_evaluation(source.folder, advice)
    evaluation = known[key]
    if cell.part.measure == "regions":
        quality = read_quality(cell)
        values = None if quality is None else region_values(quality, cell.row.reference)
        return None if values is None else Result(cell, values, evaluation)
    phase = evaluation.phases[0] if cell.row.after else evaluation.last
    return Result(
        cell,
        _accuracies(phase),
        evaluation,
        phase.top5,
        evaluation.phases[0].top1,
        tuple(each.iterations or 0 for each in evaluation.phases),
        _origin(source),
    )


def _accuracies(phase: PhaseResult) -> dict[str, float]:
    found = {"top1": phase.top1}
    if phase.cropped is not None:
        found["true_box"] = phase.cropped.true_box.top1
        if phase.cropped.region is not None:
            found["cut"] = phase.cropped.region.top1
    return found


def _origin(run: Run) -> Optional[str]:
    shared = run.state().stages[0].shared_from
    return None if shared is None else shared.run
