"""The tables as people read them: a Markdown page, CSV files and plots beside it.

A page ``tables.md`` has its files in the folder ``tables``: ``table3.csv`` (a line a cell: mean
and spread over the seeds), ``table3_runs.csv`` (a line a run) and ``table3.png``. Shares are 0 to 1
in the CSV files and percent on the page; the spread is the sample standard deviation.
"""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from maap.paper import figures as paper
from maap.paper.plan import Cell, resume_command
from maap.runs.evaluation import Evaluation, need_evaluation
from maap.runs.run import Run
from maap.util.files import cannot_write, write_atomically

TITLES = {
    1: "the two attentions, alone and together",
    2: "dropout after a layer, against attention",
    3: "the six ways to rewrite an image (A\\*)",
}
_BEFORE = "before rewriting (phase 1: LAAP alone)"
_COLOURS = ("#2563a8", "#e09a1a", "#3f9e4d")


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


# ---- reading the runs ---------------------------------------------------------------------------


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


def _grouped(results: list[Result]) -> dict[tuple[str, str], list[Result]]:
    """By (row, net), in the order of the rows; seeds in their order."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.cell.row, result.cell.net), []).append(result)
    return groups


def spreads(table: int, results: list[Result]) -> dict[tuple[str, str], Spread]:
    """Top-1 of every (row, net); table 3 begins with what its rows share, the net before."""
    groups = _grouped(results)
    found = {key: Spread.of([r.top1 for r in group]) for key, group in groups.items()}
    if table != 3:
        return found
    first = {net: group for (_, net), group in groups.items()}
    before = {(_BEFORE, n): Spread.of([r.before for r in g]) for n, g in first.items()}
    return {**before, **found}


# ---- the page -----------------------------------------------------------------------------------


def write_page(page: Path, planned: list[Cell], command: str) -> list[str]:
    """Write the page and its files for finished runs; returns the lines of its tables.

    ``command`` is what makes the page again. Raises MaapError: a damaged run, a full disk.
    """
    folder = page.with_suffix("")
    by_table: dict[int, list[Result]] = {}
    for cell in planned:
        by_table.setdefault(cell.table, []).append(read_result(cell))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        blocks, shown = [], []
        for table, results in sorted(by_table.items()):
            lines = table_lines(table, results)
            shown += [heading(table), "", *lines, ""]
            blocks += [f"## {heading(table)}", "", *lines, ""]
            blocks += [f"![{heading(table)}]({folder.name}/table{table}.png)", ""]
            blocks += [*notes(table, results), ""]
            write_atomically(folder / f"table{table}.csv", cells_csv(table, results))
            write_atomically(folder / f"table{table}_runs.csv", runs_csv(results))
            (folder / f"table{table}.png").write_bytes(plot(table, results))
    except OSError as error:
        raise cannot_write(folder, error) from None
    head = ["# The paper's tables", "", f"Made by `{command}`; made again by the same command.", ""]
    write_atomically(page, "\n".join([*head, *blocks]).rstrip() + "\n")
    return shown


def heading(table: int) -> str:
    """The table's number and subject."""
    return f"Table {table}: {TITLES[table]}"


def _nets(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(result.cell.net for result in results))


def table_lines(table: int, results: list[Result]) -> list[str]:
    """The table in Markdown: the paper's figure beside ours for every net, then each seed's."""
    found, nets = spreads(table, results), _nets(results)
    seeds = list(dict.fromkeys(str(result.cell.seed) for result in results))
    each = len(seeds) > 1
    head = [""]
    for net in nets:
        name = Path(net).name
        head += [f"{name}: paper", f"{name}: ours"] + ([f"seeds {', '.join(seeds)}"] * each)
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in dict.fromkeys(row for row, _ in found):
        words = [row]
        for net in nets:
            spread = found[row, net]
            known = paper.figure(table, Path(net).name, row)
            words += ["" if row == _BEFORE else paper.shown(known), spread.percent()]
            words += [", ".join(f"{100 * value:.1f}" for value in spread.values)] * each
        lines.append(f"| {' | '.join(words)} |")
    return lines


def notes(table: int, results: list[Result]) -> list[str]:
    """What one must know to read the table: what was measured on what, and what it cannot say."""
    about, first = results[0].evaluation.data, results[0]
    several = len({result.cell.seed for result in results}) > 1
    over = ", mean and sample standard deviation over the seeds" if several else ", one seed"
    error = 100 * math.sqrt(0.25 / about.test)
    said = [
        f"Ours: top-1 on the {about.test} original test images of {about.name} "
        f"({len(about.classes)} classes, chance {100 * first.evaluation.chance:.1f}%), after "
        f"the last phase{over}. A share of {about.test} images has a standard error of up to "
        f"{error:.1f} points."
    ]
    said += [about.note] if about.note else []
    said += [_numbers(results)]
    if table == 1:
        said.append("HAAP and MAAP go on from the phase 1 of the rows above them with a phase 2, "
                    "so they are trained longer.")  # fmt: skip
    if table == 3:
        said.append("All rows of a seed go on from the same phase 1.")
    said.append(_about_paper(table, results))
    return [line for text in said for line in (text, "")][:-1]


def _numbers(results: list[Result]) -> str:
    words = []
    for net in _nets(results):
        config = next(r.cell.resolved for r in results if r.cell.net == net)
        start = Path(config.weights).name if config.weights else "random weights"
        phases = f"{config.max_iter} iterations"
        if any(r.cell.resolved.haap for r in results if r.cell.net == net):
            phases += f", then {config.phase2_iter} on the rewritten images"
        name = Path(net).name
        words.append(f"{name}: from {start}, {phases} at most, batch {config.batch}")
    return f"{'; '.join(words)}. Host: {results[0].cell.resolved.host}."


def _about_paper(table: int, results: list[Result]) -> str:
    rows = {(r.cell.row, Path(r.cell.net).name) for r in results}
    known = [paper.figure(table, net, row) for row, net in rows]
    text = "The paper's figures are top-1 on CUB-200-2011 with ImageNet weights"
    if not any(known):
        return text + "; they were not at hand, so none is shown."
    doubtful = any(figure and figure.status != "read" for figure in known)
    return text + (
        '; "not reread": at second hand, to be checked in the paper.' if doubtful else "."
    )


# ---- CSV ----------------------------------------------------------------------------------------


def _text(rows: list[list[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _share(value: Optional[float]) -> str:
    return "" if value is None else f"{value:.6g}"


def cells_csv(table: int, results: list[Result]) -> str:
    """A line a cell: seeds, mean, spread, extremes, and the paper's figure (percent, status)."""
    head = ["table", "row", "net", "seeds", "top1_mean", "top1_sd", "top1_min", "top1_max"]
    rows: list[list[Any]] = [[*head, "paper_percent", "paper_status"]]
    for (row, net), spread in spreads(table, results).items():
        known = paper.figure(table, Path(net).name, row)
        numbers = [spread.mean, spread.deviation, min(spread.values), max(spread.values)]
        figures = [known.percent, known.status] if known else ["", paper.MISSING]
        count = len(spread.values)
        rows.append([table, row, Path(net).name, count, *map(_share, numbers), *figures])
    return _text(rows)


def runs_csv(results: list[Result]) -> str:
    """A line a run: what it found, how long it trained and where its phase 1 comes from."""
    head = ["table", "row", "net", "seed", "run", "top1", "top5", "top1_after_phase1"]
    rows: list[list[Any]] = [[*head, "iterations", "phase1_from"]]
    for result in results:
        cell = result.cell
        where = [cell.table, cell.row, Path(cell.net).name, cell.seed, cell.config.name]
        shares = [_share(result.top1), _share(result.top5), _share(result.before)]
        iterations = "+".join(map(str, result.iterations))
        rows.append([*where, *shares, iterations, result.phase1_from or ""])
    return _text(rows)


# ---- the plot -----------------------------------------------------------------------------------


def plot(table: int, results: list[Result]) -> bytes:
    """A PNG: a bar for the mean, its spread, a point a seed, a tick for the paper's figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found, nets = spreads(table, results), _nets(results)
    names = list(dict.fromkeys(row for row, _ in found))
    height = 0.8 / len(nets)
    figure = Figure(figsize=(8, 1.3 + 0.42 * len(names) * max(1.0, 0.6 * len(nets))))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(111)
    for number, net in enumerate(nets):
        places = [y + (number - (len(nets) - 1) / 2) * height for y in range(len(names))]
        _bars(axes, table, net, list(zip(places, names)), found, height, _COLOURS[number % 3])
    chance = 100 * results[0].evaluation.chance
    axes.axvline(chance, color="#5d6678", linewidth=0.8, linestyle=":", label="chance")
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels(names)
    axes.invert_yaxis()
    axes.set_xlabel("top-1 on the test images [%]")
    axes.set_xlim(left=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    buffer = io.BytesIO()
    canvas.print_png(buffer)
    return buffer.getvalue()


def _bars(  # noqa: PLR0917
    axes: Any,
    table: int,
    net: str,
    rows: list[tuple[float, str]],
    found: dict[tuple[str, str], Spread],
    height: float,
    colour: str,
) -> None:
    spread = [found[row, net] for _, row in rows]
    places = [place for place, _ in rows]
    means = [100 * each.mean for each in spread]
    errors = [100 * (each.deviation or 0.0) for each in spread]
    axes.barh(places, means, 0.9 * height, color=colour, alpha=0.45, label=Path(net).name)
    if any(errors):
        axes.errorbar(means, places, xerr=errors, fmt="none", ecolor=colour, capsize=3)
    for place, each in zip(places, spread):
        points = [100 * value for value in each.values]
        axes.plot(points, [place] * len(points), "o", color=colour, markersize=3)
    known = [(paper.figure(table, Path(net).name, row), place) for place, row in rows]
    ticks = [(figure.percent, place) for figure, place in known if figure]
    if ticks:
        axes.plot(*zip(*ticks), "|", color="#1d2433", markersize=14, label="paper")
