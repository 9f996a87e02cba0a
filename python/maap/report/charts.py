"""Curves as pictures: smoothing, thinning, and charts in the colours of the pages."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg, backend_svg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

STYLE = {
    "svg.hashsalt": "maap",  # the same picture has the same bytes
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
COLOURS = ("#2563a8", "#e09a1a", "#3f9e4d", "#b3423a")
_PALE, _GRID = "#b9c6d8", "#e3e6ec"
WINDOWS = 25  # a curve is smoothed over windows of a 25th of its length


@dataclass(frozen=True)
class Series:
    """A line of a chart; a faint one is thin and pale."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False


def window(count: int) -> int:
    """How many of ``count`` values one value of a smoothed curve is the mean of."""
    return max(1, count // WINDOWS)


def smoothed(values: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Running mean over `window` values: (iteration of each window's last value, mean).

    values: (N,), of consecutive iterations, the first of them ``first``. Both results have N + 1 -
    window values.
    """
    wide = window(len(values))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    means = (sums[wide:] - sums[:-wide]) / wide
    return first + np.arange(wide - 1, len(values)), means


def thinned(x: np.ndarray, y: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced points of a curve, about ``most`` when it has more."""
    step = max(1, len(x) // most)
    return x[::step], y[::step]


def curve(title: str, series: Sequence[Series], ylabel: str) -> bytes:
    """A line chart over iterations as an SVG file."""
    with rc_context(STYLE):
        figure = new_figure(5.6, 3.2)
        axes = figure.add_subplot(111)
        colours = iter(COLOURS)
        for line in series:
            colour, width = (_PALE, 0.8) if line.faint else (next(colours), 1.8)
            axes.plot(line.x, line.y, color=colour, linewidth=width, label=line.name)
        label(axes, title, ylabel)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=9)
        figure.tight_layout()
        return encoded(figure, "svg")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches. It has a canvas, which tight_layout() measures texts on."""
    figure = Figure(figsize=(width, height))
    backend_agg.FigureCanvasAgg(figure)
    return figure


def label(axes: Axes, title: str, ylabel: str) -> None:
    """Titles and grid of a chart over iterations whose values start at 0."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("iteration")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(ylabel)
    axes.set_ylim(bottom=0)
    highest = float(axes.dataLim.y1)
    if 0 < highest < np.inf:
        axes.set_ylim(top=1.06 * highest)
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)


def encoded(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """The figure as a file of that kind, without the time of its making."""
    buffer = io.BytesIO()
    if kind == "svg":
        canvas = backend_svg.FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    else:
        backend_agg.FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
