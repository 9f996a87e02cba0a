"""A table as a picture: bars with their spread, the seeds as points, the paper's figures as ticks.

Called where matplotlib may be loaded.
"""

from pathlib import Path

from matplotlib.axes import Axes

from maap.paper.results import Table
from maap.report import charts

_BEHIND = dict(facecolor="white", edgecolor="none", pad=1.0)
_COLOURS = ("#2563a8", "#e09a1a", "#3f9e4d")


def plot(table: Table) -> bytes:
    """A PNG: a bar for the mean, its spread, a point a seed, a tick for the paper's figure."""
    nets, rows = table.nets, table.rows
    height = 0.8 / len(nets)
    figure = charts.new_figure(8, 1.3 + 0.42 * len(rows) * max(1.0, 0.6 * len(nets)))
    axes = figure.add_subplot(111)
    for number, net in enumerate(nets):
        places = [y + (number - (len(nets) - 1) / 2) * height for y in range(len(rows))]
        _bars(axes, table, net, dict(zip(rows, places)), 0.9 * height, _COLOURS[number % 3])
    chance = 100 * table.results[0].evaluation.chance
    axes.axvline(chance, color="#5d6678", linewidth=0.8, linestyle=":", label="chance")
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels(rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("top-1 on the test images [%]")
    axes.set_xlim(left=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    return charts.encoded(figure, "png")


def _bars(
    axes: Axes, table: Table, net: str, places: dict[str, float], height: float, colour: str
) -> None:
    """The bars of one net; ``places`` are the rows' heights. A row that was not run has none."""
    found = {row: table.spread(row, net) for row in places}
    bars = [(place, found[row]) for row, place in places.items()]
    run = [(place, spread) for place, spread in bars if spread is not None]
    at, means = [place for place, _ in run], [100 * spread.mean for _, spread in run]
    errors = [100 * (spread.deviation or 0.0) for _, spread in run]
    axes.barh(at, means, height, color=colour, alpha=0.45, label=Path(net).name)
    if any(errors):
        axes.errorbar(means, at, xerr=errors, fmt="none", ecolor=colour, capsize=3)
    for place, spread in run:
        points = [100 * value for value in spread.values]
        axes.plot(points, [place] * len(points), "o", color=colour, markersize=3)
    for place, spread in bars:
        if spread is None:
            axes.text(1, place, "not run", va="center", fontsize=8, color="#5d6678", bbox=_BEHIND)
    known = [(table.paper(row, net), place) for row, place in places.items()]
    ticks = [(figure.percent, place) for figure, place in known if figure]
    if ticks:
        axes.plot(*zip(*ticks), "|", color="#1d2433", markersize=14, label="paper (CUB-200-2011)")
