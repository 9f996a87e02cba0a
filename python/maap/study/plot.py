"""A part as pictures: bars with their spread and a point a seed; differences with their intervals.

Called where matplotlib may be loaded.
"""

from collections.abc import Sequence
from typing import Optional

from matplotlib.axes import Axes

from maap.report import charts
from maap.study.definition import Row, net_name
from maap.study.differences import Difference
from maap.study.results import Column, Table, paper_figure

_BEHIND = dict(facecolor="white", edgecolor="none", pad=1.0)
_COLOURS = ("#2563a8", "#e09a1a", "#3f9e4d")
_GREY = "#5d6678"


def plot(table: Table) -> bytes:
    """A PNG of the first column: a bar for the mean, its spread, a point a seed, a tick for the
    paper's figure."""
    nets, rows, column = table.part.nets, table.part.rows, table.columns[0]
    height = 0.8 / len(nets)
    figure = charts.new_figure(8, 1.3 + 0.42 * len(rows) * max(1.0, 0.6 * len(nets)))
    axes = figure.add_subplot(111)
    for number, net in enumerate(nets):
        places = [y + (number - (len(nets) - 1) / 2) * height for y in range(len(rows))]
        _Bars(axes, table, net, column).draw(places, 0.9 * height, number)
    if column.key == "top1":
        chance = 100 * table.evaluation.chance
        axes.axvline(chance, color=_GREY, linewidth=0.8, linestyle=":", label="chance")
    _rows_on(axes, [row.label for row in rows])
    title = "top-1 on the test images [%]" if column.key == "top1" else column.title
    several = len(table.part.seeds) > 1
    axes.set_xlabel(f"{title}, ± standard deviation over the seeds" if several else title)
    axes.set_xlim(left=0)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    return charts.encoded(figure, "png")


def _rows_on(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)))
    axes.set_yticklabels(labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


class _Bars:
    """The bars of one net in a picture."""

    def __init__(self, axes: Axes, table: Table, net: str, column: Column) -> None:
        self.axes, self.table, self.net, self.column = axes, table, net, column

    def draw(self, places: Sequence[float], height: float, number: int) -> None:
        """``places``: the rows' heights. A row that was not run has no bar."""
        axes, factor, colour = self.axes, self.column.factor, _COLOURS[number % len(_COLOURS)]
        rows = list(zip(self.table.part.rows, places))
        found = [self.table.spread(row, self.net, self.column.key) for row, _ in rows]
        run = [(place, spread) for place, spread in zip(places, found) if spread is not None]
        at, means = [place for place, _ in run], [factor * spread.mean for _, spread in run]
        errors = [factor * (spread.deviation or 0.0) for _, spread in run]
        axes.barh(at, means, height, color=colour, alpha=0.45, label=net_name(self.net))
        if any(errors):
            axes.errorbar(means, at, xerr=errors, fmt="none", ecolor=colour, capsize=3)
        for place, spread in run:
            points = [factor * value for value in spread.values]
            axes.plot(points, [place] * len(points), "o", color=colour, markersize=3)
        for (row, place), spread in zip(rows, found):
            if spread is None:
                self._missing(row, place)
        self._ticks(rows)

    def _missing(self, row: Row, place: float) -> None:
        left_out = (row.label, self.net) in self.table.not_for
        text = row.ours or ("not for this net" if left_out else "not run")
        x = 0.01 * self.column.factor
        self.axes.text(x, place, text, va="center", fontsize=8, color=_GREY, bbox=_BEHIND)

    def _ticks(self, rows: Sequence[tuple[Row, float]]) -> None:
        if self.column.key != "top1":
            return
        known = [(paper_figure(row, self.net), place) for row, place in rows]
        ticks = [(figure.percent, place) for figure, place in known if figure]
        if ticks:
            paper = self.table.part.paper
            label = f"paper ({paper.data if paper else 'its own data'})"
            self.axes.plot(*zip(*ticks), "|", color="#1d2433", markersize=14, label=label)


def plot_differences(found: Sequence[Difference]) -> Optional[bytes]:
    """A PNG of the differences in the first column with their intervals; None without any."""
    sure = [each for each in found if each.interval.low is not None]
    shown = [each for each in sure if each.column == sure[0].column]
    if not shown:
        return None
    figure = charts.new_figure(8, 1.2 + 0.42 * len(shown))
    axes = figure.add_subplot(111)
    axes.axvline(0, color=_GREY, linewidth=0.8)
    factor = shown[0].column.factor
    for place, each in enumerate(shown):
        low, high = (factor * float(end or 0.0) for end in (each.interval.low, each.interval.high))
        colour = _COLOURS[0] if each.interval.excludes_zero else _GREY
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([factor * each.interval.mean], [place], "D", color=colour, markersize=6)
        points = [factor * value for value in each.by_seed.values()]
        axes.plot(points, [place] * len(points), "o", color=colour, markersize=3, alpha=0.5)
    several = len({each.net for each in shown}) > 1
    _rows_on(axes, [_label(each, several) for each in shown])
    unit = " [points]" if shown[0].column.percent else ""
    axes.set_xlabel(
        f"difference in {'top-1' if shown[0].column.key == 'top1' else 'IoU'}{unit}, 95 % interval"
    )
    figure.tight_layout()
    return charts.encoded(figure, "png")


def _label(each: Difference, several: bool) -> str:
    net = f" ({net_name(each.net)})" if several else ""
    return f"{each.row}{net}\nless {each.against}"
