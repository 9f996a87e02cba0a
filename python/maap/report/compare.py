"""The page of ``maap compare``: curves of several runs over each other, and what each found.

Writes one self-contained HTML page and the same picture as a PNG beside it. Only files in the run
folders are read, so runs that are not finished are shown as far as they are.
"""

import fnmatch
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maap.errors import MaapError
from maap.runs.run import Run, all_runs, find_run

POINTS = 1000  # of a curve; longer ones are thinned out
_HIDDEN = ("name", "runs_dir", "resume", "phase1_from")  # settings that make no difference


def chosen(words: Sequence[str], runs_dir: Path) -> list[Run]:
    """The runs of those names and patterns (`*`, `?`), in that order, each once.

    Raises MaapError for a name that no run has (the nearest is named) and for less than two runs.
    """
    found: dict[str, Run] = {}
    for word in words:
        if any(sign in word for sign in "*?["):
            matching = sorted(run.name for run in all_runs(runs_dir))
            matching = fnmatch.filter(matching, word)
            if not matching:
                raise MaapError(f"no run in {runs_dir} is called {word}; maap runs lists them")
        else:
            matching = [find_run(runs_dir, word).name]
        found.update({name: Run(runs_dir / name) for name in matching})
    if len(found) < 2:
        raise MaapError("give the names of at least two runs; maap runs lists them")
    return list(found.values())


# ---- what is known of a run ---------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """A run's curves and figures. Iterations are counted over all of its phases: phase 2's first
    is the one after phase 1's last."""

    name: str
    config: Any  # TrainConfig
    state: dict[str, Any]
    evaluation: dict[str, Any]  # empty when there is none
    loss: tuple[Any, Any]  # iterations, mean training loss of a window that ends there
    accuracy: tuple[list[float], list[float]]  # iterations, top-1 share on the test images
    borders: list[int]  # iterations at which a phase ended and another began


def story(run: Run) -> Story:
    """Reads a run folder. Raises MaapError naming a damaged file."""
    import numpy as np

    from maap.runs.files import read_columns, read_json

    state, evaluation = run.state(), read_json(run.folder / "evaluation.json")
    measured = {each["phase"]: each["top1"] for each in evaluation.get("phases", [])}
    start, ends, losses = 0, [], []
    points: list[tuple[float, float]] = []
    for stage in state["stages"]:
        if stage["kind"] != "train":
            continue
        folder = run.folder / stage["name"]
        loss = read_columns(folder / "metrics.csv").get("loss", np.zeros(0))
        tests = read_columns(folder / "accuracy.csv")
        points += [
            (start + i, t) for i, t in zip(tests.get("iteration", []), tests.get("top1", []))
        ]
        losses.append(smoothed(np.asarray(loss), start))
        start += len(loss)
        ends.append(start)
        if stage["name"] in measured:
            points.append((start, measured[stage["name"]]))
    x, y = (np.concatenate(each) for each in zip(*losses))
    step = max(1, len(x) // POINTS)
    borders = [end for end in ends[:-1] if end < start]
    accuracy = ([float(p[0]) for p in points], [float(p[1]) for p in points])
    return Story(
        run.name, run.config(), state, evaluation, (x[::step], y[::step]), accuracy, borders
    )


def smoothed(loss: Any, start: int) -> tuple[Any, Any]:
    """Running mean over a 25th of the values: (iteration of each window's last value, mean).

    The first value belongs to iteration ``start``.
    """
    import numpy as np

    window = max(1, len(loss) // 25)
    sums = np.cumsum(np.insert(loss, 0, 0.0))
    means = (sums[window:] - sums[:-window]) / window
    return start + np.arange(window - 1, len(loss)), means


# ---- the page -----------------------------------------------------------------------------------


def compare_runs(words: Sequence[str], runs_dir: Path, page: Path) -> list[str]:
    """Write the page and its picture; the lines to print. Called in the child."""
    from maap.report import html as parts
    from maap.util.files import cannot_write, write_atomically

    stories = [story(run) for run in chosen(words, runs_dir)]
    head, rows = results(stories)
    sections = [
        f"<header><h1>{len(stories)} runs compared</h1></header>",
        parts.section("What they found", _warning(stories), parts.table(head, rows)),
        parts.section(
            "Curves",
            parts.text(
                "Left: training loss, mean over a 25th of a phase. Right: top-1 on the original "
                "test images. Iterations are counted over all phases; a vertical mark is where a "
                "run's next phase begins.",
                "small",
            ),
            f'<div class="wide">{parts.picture(draw(stories, "svg"), "svg+xml", "curves")}</div>',
        ),
        parts.section("Settings that differ", parts.table(*differences(stories))),
    ]
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.with_suffix(".png").write_bytes(draw(stories, "png"))
    except OSError as error:
        raise cannot_write(page, error) from None
    write_atomically(page, parts.page("Runs compared · maap", sections))
    return [*_as_lines(head, rows), f"page: {page}", f"picture: {page.with_suffix('.png')}"]


def _warning(stories: list[Story]) -> str:
    from maap.report import html as parts

    if len({story.state["data"]["manifest"] for story in stories}) == 1:
        return ""
    return parts.text(
        "These runs were trained and tested on different data sets: their accuracies cannot be "
        "compared.",
        "note",
    )


def results(stories: list[Story]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of results; a dash where a run has not come that far."""
    from maap.report.page import percent
    from maap.util.text import duration

    head = ["run", "how", "seed", "iterations", "top-1", "top-5", "regions' mean IoU", "time"]
    rows = []
    for each in stories:
        phases = each.evaluation.get("phases", [])
        regions = each.evaluation.get("regions") or [{}]
        counts = [s.get("iteration", 0) for s in each.state["stages"] if s["kind"] == "train"]
        overlap = regions[0].get("mean_iou")
        rows.append(
            [
                each.name,
                _how(each),
                str(each.config.seed),
                " + ".join(map(str, counts)),
                percent(phases[-1]["top1"] if phases else None),
                percent(phases[-1]["top5"] if phases else None),
                "–" if overlap is None else f"{overlap:.3f}",
                duration(sum(float(stage["seconds"]) for stage in each.state["stages"])),
            ]
        )
    return head, rows


def _how(each: Story) -> str:
    config = each.config
    words = [Path(config.net).name, config.variant] + ([config.a_star] if config.haap else [])
    words += ["online"] if config.online else []
    waiting = [s["name"] for s in each.state["stages"] if s["status"] != "done"]
    return " ".join(words) + (f" (stopped in {waiting[0]})" if waiting else "")


def differences(stories: list[Story]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table of the settings in which the runs are not all alike."""
    from maap.config.fields import FIELDS

    rows = []
    for name in FIELDS:
        values = [getattr(each.config, name) for each in stories]
        if name not in _HIDDEN and any(value != values[0] for value in values):
            rows.append([name, *("–" if value is None else str(value) for value in values)])
    return ["setting", *(each.name for each in stories)], rows


def _as_lines(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip()
        for row in [head, *rows]
    ]


def draw(stories: list[Story], kind: str) -> bytes:
    """The curves as a picture of that kind: "svg" or "png"."""
    from matplotlib import rc_context
    from matplotlib.backends import backend_agg, backend_svg
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "maap", "font.size": 10, "font.family": "DejaVu Sans"}):
        columns = 1 + (len(stories) > 4)
        below = 0.2 + 0.2 * -(-len(stories) // columns)  # inches for the names
        figure = Figure(figsize=(11, 4.2 + below))
        canvas: Any = backend_agg.FigureCanvasAgg(figure)
        if kind == "svg":
            canvas = backend_svg.FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2)
        for number, each in enumerate(stories):
            _draw_one(left, right, each, number)
        _label(left, "training loss", "loss")
        _label(right, "accuracy on the test images", "top-1 [%]")
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles, names, loc="lower center", ncol=columns, fontsize=8)
        figure.tight_layout(rect=(0, below / (4.2 + below), 1, 1))
        buffer = io.BytesIO()
        if kind == "svg":
            canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
        else:
            canvas.print_png(buffer)
    return buffer.getvalue()


def _draw_one(left: Any, right: Any, each: Story, number: int) -> None:
    colour, style = f"C{number % 10}", ("-", "--", ":", "-.")[number // 10 % 4]
    left.plot(*each.loss, style, color=colour, linewidth=1.4, label=each.name)
    iterations, shares = each.accuracy
    percents = [100 * share for share in shares]
    right.plot(iterations, percents, style, color=colour, marker="o", markersize=4, linewidth=1.2)
    for axes in (left, right):
        for border in each.borders:
            axes.axvline(border, color=colour, alpha=0.35, linewidth=0.8, linestyle=":")


def _label(axes: Any, title: str, ylabel: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("iteration")
    axes.set_ylabel(ylabel)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="#e3e6ec")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
