"""The CSV files of a part. Shares and IoU are 0 to 1, and the spread is the sample standard
deviation; the paper's figures are in percent.

    NAME.csv              a line a cell: mean and spread over the seeds, column by column
    NAME_runs.csv         a line a run: what it found, and the command that makes it
    NAME_differences.csv  a line for each pair of rows that is compared, where there are any
"""

from collections.abc import Sequence
from typing import Optional

from maap.measure.tables import table_text
from maap.study import figures
from maap.study.cost import command
from maap.study.definition import net_name
from maap.study.differences import Difference
from maap.study.results import Table, paper_figure


def cells_csv(table: Table) -> str:
    """A line a cell: seeds that were run, mean, spread and extremes of each column, and the
    paper's figure (percent, status)."""
    head = ["part", "row", "net", "seeds"]
    for column in table.columns:
        head += [f"{column.key}_{what}" for what in ("mean", "sd", "min", "max")]
    rows: list[list[object]] = []
    for net in table.part.nets:
        for row in table.part.rows:
            known = paper_figure(row, net)
            numbers: list[Optional[float]] = []
            for column in table.columns:
                spread = table.spread(row, net, column.key)
                if spread is None:
                    numbers += [None] * 4
                else:
                    ends = (min(spread.values), max(spread.values))
                    numbers += [spread.mean, spread.deviation, *ends]
            figure = [known.percent, known.status] if known else ["", figures.MISSING]
            count = len(table.ordered(row, net, table.columns[0].key))
            cell = [table.part.name, row.label, net_name(net), count]
            rows.append([*cell, *map(_number, numbers), *figure])
    return table_text([*head, "paper_percent", "paper_status"], rows)


def runs_csv(table: Table) -> str:
    """A line a run: what it found, how long it trained, where its phase 1 comes from and the
    command that makes it. A row that shows phase 1 of another row's run has no line."""
    keys = [column.key for column in table.columns]
    head = ["part", "row", "net", "seed", "run", *keys]
    more = ["top5", "top1_after_phase1"] if table.part.measure == "top1" else []
    rows: list[list[object]] = []
    for result in table.results:
        cell = result.cell
        if cell.row.after is not None:
            continue
        name = net_name(cell.net)
        where = [table.part.name, cell.row.label, name, cell.seed, cell.config.name]
        numbers = [result.values.get(key) for key in keys]
        numbers += [result.top5, result.before] if more else []
        iterations = "+".join(map(str, result.iterations))
        rows.append([
            *where, *map(_number, numbers), iterations, result.phase1_from or "", command(cell),
        ])  # fmt: skip
    return table_text([*head, *more, "iterations", "phase1_from", "command"], rows)


def differences_csv(found: Sequence[Difference]) -> str:
    """A line a difference: its mean over the seeds and its interval, in the column's own unit."""
    head = ["row", "against", "net", "column", "seeds", "mean", "low", "high"]
    rows: list[list[object]] = []
    for each in found:
        interval = each.interval
        names = [each.row, each.against, net_name(each.net), each.column.key, interval.n]
        numbers = (interval.mean, interval.low, interval.high)
        rows.append([*names, *map(_number, numbers)])
    return table_text(head, rows)


def _number(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.6g}"
