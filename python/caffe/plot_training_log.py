"""Curves of one or several logs: python -m caffe.plot_training_log TYPE PICTURE.png LOG.log ...

TYPE is a number:
  0: Test accuracy  vs. Iters
  1: Test accuracy  vs. Seconds
  2: Test loss  vs. Iters
  3: Test loss  vs. Seconds
  4: Train learning rate  vs. Iters
  5: Train learning rate  vs. Seconds
  6: Train loss  vs. Iters
  7: Train loss  vs. Seconds
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .parse_log import FIRST_COLUMNS, Row, TrainingLog, read_log
from .program import run

WHAT = ["Test accuracy", "Test loss", "Train learning rate", "Train loss"]
AGAINST = ["Iters", "Seconds"]
CHART_TYPES = [f"{what}  vs. {against}" for what in WHAT for against in AGAINST]
Points = list[tuple[float, float, float]]  # iteration, seconds, value


def output_name(rows: Sequence[Row], kind: str) -> str | None:
    """The output that is the accuracy, or the loss: by its name, else the first, or the second."""
    names = list(dict.fromkeys(name for row in rows for name in row if name not in FIRST_COLUMNS))
    for name in names:
        if kind in name.lower():
            return name
    place = ["accuracy", "loss"].index(kind)
    return names[place] if place < len(names) else None


def points(log: TrainingLog, chart_type: int) -> Points:
    """What a chart of this type shows of a log."""
    what = WHAT[chart_type // 2]
    if what == "Train learning rate":
        return list(log.rates)
    if what == "Train loss":
        return list(log.losses)
    rows = log.tests.get(0, [])
    name = output_name(rows, what.split()[-1])
    return [(row["NumIters"], row["Seconds"], row[name]) for row in rows if name in row]


def plot_chart(
    chart_type: int, path_to_png: str | Path, path_to_log_list: Sequence[str | Path]
) -> None:
    """Draw a chart of this type, with a curve for each log, into a file.

    Raises ValueError if a log has nothing of the kind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    what, against = CHART_TYPES[chart_type].split("  vs. ")
    axes = FigureCanvasAgg(Figure(figsize=(8, 6))).figure.add_subplot()
    for path in path_to_log_list:
        found = points(read_log(path), chart_type)
        if not found:
            raise ValueError(f"{path} has no {what.lower()}")
        iterations, seconds, values = zip(*found)
        marker = "." if len(found) < 100 else ""
        place = seconds if against == "Seconds" else iterations
        axes.plot(place, values, marker=marker, linewidth=1, label=Path(path).name)
    axes.set(xlabel=against, ylabel=what, title=f"{what} vs. {against}")
    axes.grid(alpha=0.3)
    axes.legend()
    axes.figure.savefig(path_to_png, dpi=100)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m caffe.plot_training_log",
        description="Draw a curve of one or several logs of trainings.",
        epilog="\n".join(f"{number}: {name}" for number, name in enumerate(CHART_TYPES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("chart_type", type=int, choices=range(len(CHART_TYPES)), help="what is drawn, see below")
    add("path_to_png", help="the picture that is written: .png, .svg, .pdf")
    add("path_to_log", nargs="+", help="what caffe train wrote to stderr")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    plot_chart(args.chart_type, args.path_to_png, args.path_to_log)


if __name__ == "__main__":
    run(main)
