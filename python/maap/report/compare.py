"""The page of ``maap compare``: curves of several runs over each other, and what each found.

Writes one self-contained HTML page and the same picture as a PNG beside it. Only files in the run
folders are read, so runs that are not finished are shown as far as they are.
"""

import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes

from maap.config.fields import FIELDS, TrainConfig
from maap.errors import MaapError
from maap.report import charts, html
from maap.report.html import Picture, Table
from maap.runs.evaluation import Evaluation, read_evaluation
from maap.runs.files import read_columns
from maap.runs.run import Run, all_runs, find_run
from maap.runs.state import RunState
from maap.util.files import cannot_write, write_atomically
from maap.util.text import duration

POINTS = 1000  # of a curve; longer ones are thinned out
_HIDDEN = ("name", "runs_dir", "resume", "phase1_from")  # settings that make no difference


def chosen(words: Sequence[str], runs_dir: Path) -> list[Run]:
    """The runs of those names, paths and patterns (`*`, `?`), in that order, each once.

    Raises MaapError for a name that no run has (the nearest is named) and for less than two runs.
    """
    found: dict[str, Run] = {}
    for word in words:
        if any(sign in word for sign in "*?["):
            where = Path(word).parent if "/" in word else runs_dir
            known = {run.name: run for run in all_runs(where)}
            matching = [known[name] for name in fnmatch.filter(sorted(known), Path(word).name)]
            if not matching:
                raise MaapError(f"no run in {where} is called {word}; maap runs lists them")
        else:
            matching = [find_run(runs_dir, word)]
        found.update({os.path.abspath(run.folder): run for run in matching})
    if len(found) < 2:
        raise MaapError("give the names of at least two runs; maap runs lists them")
    return list(found.values())


# ---- what is known of a run ---------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A run's curves and figures. Iterations are counted over all of its phases: phase 2's first
    is the one after phase 1's last."""

    name: str
    config: TrainConfig
    state: RunState
    evaluation: Optional[Evaluation]
    loss: tuple[
        np.ndarray, np.ndarray
    ]  # iterations, mean training loss of a window that ends there
    accuracy: tuple[list[float], list[float]]  # iterations, top-1 share on the test images
    borders: list[int]  # iterations at which a phase ended and another began


def story(run: Run) -> Story:
    """Reads a run folder. Raises MaapError naming a damaged file."""
    state = run.state()
    evaluation = read_evaluation(run.folder)
    measured = {each.phase: each.top1 for each in evaluation.phases} if evaluation else {}
    start, ends, losses = 0, [], []
    points: list[tuple[float, float]] = []
    for stage in state.phases:
        loss = read_columns(run.folder / stage.name / "metrics.csv", ("iteration", "loss")).get(
            "loss", np.zeros(0)
        )
        tests = read_columns(run.folder / stage.name / "accuracy.csv", ("iteration", "top1"))
        points += [
            (start + float(i), float(t))
            for i, t in zip(tests.get("iteration", ()), tests.get("top1", ()))
        ]
        losses.append(charts.smoothed(loss, start))
        start += len(loss)
        ends.append(start)
        if stage.name in measured:
            points.append((float(start), measured[stage.name]))
    x, y = (np.concatenate(each) for each in zip(*losses))
    borders = [end for end in ends[:-1] if end < start]
    accuracy = ([x for x, _ in points], [y for _, y in points])
    return Story(
        run.name, run.config(), state, evaluation, charts.thinned(x, y, POINTS), accuracy, borders
    )


# ---- the page -----------------------------------------------------------------------------------


def compare_runs(words: Sequence[str], runs_dir: Path, page: Path) -> list[str]:
    """Write the page and its picture; the lines to print. Called in the child."""
    stories = [story(run) for run in chosen(words, runs_dir)]
    found, picture = results(stories), page.with_suffix(".png")
    text = html.page(
        "compare.html",
        count=len(stories),
        same_data=len({each.state.data.manifest for each in stories}) == 1,
        results=found,
        differences=differences(stories),
        windows=charts.WINDOWS,
        curves=Picture(draw(stories, "svg"), "curves", "svg+xml"),
    )
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(draw(stories, "png"))
    except OSError as error:
        raise cannot_write(page, error) from None
    write_atomically(page, text)
    return [*_as_lines(found), f"page: {page}", f"picture: {picture}"]


def results(stories: list[Story]) -> Table:
    """What the runs found; a dash for what a run has not reached."""
    head = ["run", "how", "seed", "iterations", "top-1", "top-5", "regions' mean IoU", "time"]
    return Table(head, [_result(each) for each in stories])


def _result(each: Story) -> list[str]:
    last = each.evaluation.last if each.evaluation else None
    regions = each.evaluation.regions if each.evaluation else []
    return [
        each.name,
        _how(each),
        str(each.config.seed),
        " + ".join(str(stage.iteration or 0) for stage in each.state.phases),
        html.percent(last.top1 if last else None),
        html.percent(last.top5 if last and each.evaluation.has_top5 else None),
        html.figure(regions[0].mean_iou if regions else None),
        duration(each.state.seconds),
    ]


def _how(each: Story) -> str:
    config, waiting = each.config, each.state.waiting
    words = [Path(config.net).name, config.variant] + ([config.a_star] if config.haap else [])
    words += ["online"] if config.online else []
    words += ["control"] if config.control else []
    words += [] if config.regions == "found" else [f"{config.regions} regions"]
    return " ".join(words) + (f" (stopped in {waiting[0].name})" if waiting else "")


def differences(stories: list[Story]) -> Table:
    """The settings in which the runs are not all alike."""
    rows = []
    for name in FIELDS:
        values = [getattr(each.config, name) for each in stories]
        if name not in _HIDDEN and any(value != values[0] for value in values):
            rows.append([name, *(html.setting(value) for value in values)])
    return Table(["setting", *(each.name for each in stories)], rows)


def _as_lines(table: Table) -> list[str]:
    lines = [table.head, *table.rows]
    widths = [max(len(row[n]) for row in lines) for n in range(len(table.head))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in lines
    ]


def draw(stories: list[Story], kind: Literal["svg", "png"]) -> bytes:
    """The curves as a picture of that kind."""
    with rc_context(charts.STYLE):
        columns = 1 + (len(stories) > 4)
        below = 0.2 + 0.2 * -(-len(stories) // columns)  # inches for the names
        figure = charts.new_figure(11, 4.2 + below)
        left, right = figure.subplots(1, 2)
        for number, each in enumerate(stories):
            _draw_one(left, right, each, number)
        charts.label(left, "training loss", "loss")
        charts.label(right, "accuracy on the test images", "top-1 [%]")
        for axes in (left, right):
            axes.set_xlim(left=0)
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncol=columns, fontsize=8)
        figure.tight_layout(rect=(0, below / (4.2 + below), 1, 1))
        return charts.encoded(figure, kind)


def _draw_one(left: Axes, right: Axes, each: Story, number: int) -> None:
    colour, style = f"C{number % 10}", ("-", "--", ":", "-.")[number // 10 % 4]
    left.plot(*each.loss, style, color=colour, linewidth=1.4, label=each.name)
    iterations, shares = each.accuracy
    percents = [100 * share for share in shares]
    right.plot(iterations, percents, style, color=colour, marker="o", markersize=4, linewidth=1.2)
    for axes in (left, right):
        for border in each.borders:
            axes.axvline(border, color=colour, alpha=0.35, linewidth=0.8, linestyle=":")
