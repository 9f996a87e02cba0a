"""The tables as people read them: a Markdown page, CSV files and plots beside it.

A page ``tables.md`` has its files in the folder ``tables``: ``table3.csv`` (a line a cell: mean
and spread over the seeds), ``table3_runs.csv`` (a line a run) and ``table3.png``. Shares are 0 to 1
in the CSV files and percent on the page; the spread is the sample standard deviation.
"""

import csv
import io
import math
from pathlib import Path
from typing import Optional

from maap.paper import figures
from maap.paper.cells import Cell
from maap.paper.plot import plot
from maap.paper.results import Table, read_tables
from maap.util.files import cannot_write, write_atomically

NOT_RUN = "not run"


def write_page(page: Path, planned: list[Cell], command: str) -> list[str]:
    """Write the page and its files for the runs that are finished; returns the lines of its tables.

    ``command`` is what makes the page again. Raises MaapError: a damaged run, a table without any
    finished run, a full disk.
    """
    return write_tables(page, read_tables(planned), command)


def write_tables(page: Path, tables: list[Table], command: str) -> list[str]:
    """Write the page and its files; returns the lines of its tables.

    Raises MaapError for a full disk.
    """
    folder = page.with_suffix("")
    blocks, shown = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for table in tables:
            name, lines = f"table{table.number}", table_lines(table)
            shown += [table.heading, "", *lines, ""]
            blocks += [f"## {table.heading}", "", *lines, ""]
            blocks += [f"![{table.heading}]({folder.name}/{name}.png)", ""]
            blocks += [f"*Made by `{command}`.*", "", *notes(table), ""]
            write_atomically(folder / f"{name}.csv", cells_csv(table))
            write_atomically(folder / f"{name}_runs.csv", runs_csv(table))
            (folder / f"{name}.png").write_bytes(plot(table))
    except OSError as error:
        raise cannot_write(folder, error) from None
    again = f"Made by `{command}`. The same command makes it again"
    again += f', and runs what reads "{NOT_RUN}".' if any(map(_lacks, tables)) else "."
    head = ["# The paper's tables", "", again, ""]
    write_atomically(page, "\n".join([*head, *blocks]).rstrip() + "\n")
    return shown


def _lacks(table: Table) -> bool:
    """Whether a run of the table is not finished."""
    return len(table.results) < len(table.planned)


def table_lines(table: Table) -> list[str]:
    """The table in Markdown: the paper's figure beside ours for every net, then each seed's."""
    seeds = table.seeds
    each = len(seeds) > 1
    head = [""]
    for net in table.nets:
        name = Path(net).name
        head += [f"{name}: paper", f"{name}: ours"]
        head += [f"seeds {', '.join(map(str, seeds))}"] * each
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in table.rows:
        words = [row]
        for net in table.nets:
            spread, shares = table.spread(row, net), table.shares(row, net)
            words += [figures.shown(table.paper(row, net)), spread.percent() if spread else NOT_RUN]
            words += [", ".join(_percent(shares.get(seed)) for seed in seeds)] * each
        lines.append(f"| {' | '.join(words)} |")
    return lines


def _percent(share: Optional[float]) -> str:
    return NOT_RUN if share is None else f"{100 * share:.1f}"


# ---- what stands under a table ------------------------------------------------------------------

_COMPARED = {
    1: "HAAP and MAAP continue from the phase 1 of the rows above them with a phase 2, so they are "
    "trained longer. The control shows what that alone gives: it continues from the baseline's "
    "phase 1 for as many iterations, on the original images.",
    2: "",
    3: "The six ways of a seed continue from the same phase 1. The control is that of table 1: the "
    "baseline, trained for as many iterations, on the original images.",
}


def notes(table: Table) -> list[str]:
    """What one must know to read the table: what was measured on what, and what it cannot say."""
    evaluation = table.results[0].evaluation
    about = evaluation.data
    several = len(table.seeds) > 1
    over = ", mean and sample standard deviation over the seeds" if several else ", one seed"
    error = 100 * math.sqrt(0.25 / about.test)
    said = [
        f"Ours: top-1 on the {about.test} original test images of {about.name} "
        f"({len(about.classes)} classes, chance {100 * evaluation.chance:.1f}%), after "
        f"the last phase{over}. A share of {about.test} images has a standard error of up to "
        f"{error:.1f} points."
    ]
    said += [about.note or "", _numbers(table), _COMPARED[table.number], *_about_paper(table)]
    return [line for text in said if text for line in (text, "")][:-1]


def _numbers(table: Table) -> str:
    words = []
    for net in table.nets:
        cells = [cell.resolved for cell in table.planned if cell.net == net]
        config = cells[0]
        start = Path(config.weights).name if config.weights else "random weights"
        phases = f"{config.max_iter} iterations"
        if any(each.haap for each in cells):
            phases += f", then {config.phase2_iter} on the rewritten images"
        name = Path(net).name
        words.append(f"{name}: from {start}, {phases} at most, batch {config.batch}")
    return f"{'; '.join(words)}. Host: {table.results[0].cell.resolved.host}."


def _about_paper(table: Table) -> list[str]:
    """Where the paper's figures come from, and what makes them differ from ours by design."""
    known = [table.paper(row, net) for row in table.rows for net in table.nets]
    found = [figure for figure in known if figure is not None]
    if not found:
        return ["The paper has no figures for these rows and nets."]
    data = table.results[0].evaluation.data.name
    text = f"The paper's figures ({figures.SOURCE}) are top-1 on CUB-200-2011 with ImageNet weights"
    if data != "CUB-200-2011":
        text += f", so they cannot be compared with ours on {data}: only the order of the rows can"
    said = [f"{text}."]
    if any(figure.status == figures.TRANSCRIBED for figure in found):
        said[0] += " They are copied from a transcription and were not compared with the print."
    if any(figure.status == figures.DOUBTFUL for figure in found):
        said[0] += f' "{figures.DOUBTFUL}": at second hand, to be checked in the paper.'
    if table.number == 3:
        said.append(
            "The paper's figure before rewriting is that of its baseline in table 1, and its "
            "figure for ROI that of its HAAP, so its rows appear to be without LAAP; ours are with "
            "it."
        )
    return said


# ---- CSV ----------------------------------------------------------------------------------------


def _text(rows: list[list[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _share(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.6g}"


def cells_csv(table: Table) -> str:
    """A line a cell: seeds that were run, mean, spread, extremes, and the paper's figure (percent,
    status)."""
    head = ["table", "row", "net", "seeds", "top1_mean", "top1_sd", "top1_min", "top1_max"]
    rows: list[list[object]] = [[*head, "paper_percent", "paper_status"]]
    for net in table.nets:
        for row in table.rows:
            spread, known = table.spread(row, net), table.paper(row, net)
            numbers: list[Optional[float]] = [None] * 4
            if spread is not None:
                least, most = min(spread.values), max(spread.values)
                numbers = [spread.mean, spread.deviation, least, most]
            figure = [known.percent, known.status] if known else ["", figures.MISSING]
            count = len(spread.values) if spread else 0
            cell = [table.number, row, Path(net).name, count]
            rows.append([*cell, *map(_share, numbers), *figure])
    return _text(rows)


def runs_csv(table: Table) -> str:
    """A line a run: what it found, how long it trained and where its phase 1 comes from."""
    head = ["table", "row", "net", "seed", "run", "top1", "top5", "top1_after_phase1"]
    rows: list[list[object]] = [[*head, "iterations", "phase1_from"]]
    for result in table.results:
        cell = result.cell
        where = [cell.table, cell.row, Path(cell.net).name, cell.seed, cell.config.name]
        shares = [_share(result.top1), _share(result.top5), _share(result.before)]
        iterations = "+".join(map(str, result.iterations))
        rows.append([*where, *shares, iterations, result.phase1_from or ""])
    return _text(rows)
