"""The lines of ``maap runs``: how far each run is, and what it found."""

from pathlib import Path

from maap.errors import MaapError
from maap.runs.evaluation import read_evaluation
from maap.runs.run import Run, all_runs, resume_command


def run_lines(runs_dir: Path) -> list[str]:
    """One line for each run, the one last worked on first."""
    lines = [f"{run.name}: {_about(run)}" for run in all_runs(runs_dir)]
    return lines or [f"no runs in {runs_dir}; start one: maap train alexnet"]


def _about(run: Run) -> str:
    try:
        state, config = run.state(), run.config()
    except MaapError as error:
        return str(error)
    if state.waiting:
        stage = state.waiting[0]
        at = "" if stage.iteration is None else f" after iteration {stage.iteration}"
        user = run.user()
        how = f"stopped in {stage.name}{at} ({resume_command(run)})"
        if user is not None:
            how = f"in {stage.name}{at}, process {user} works on it"
    else:
        how = f"finished, {_accuracy(run.folder)}"
    cut = "" if config.regions == "found" else f" ({config.regions} regions)"
    return f"{config.net} {config.variant}{cut} on {config.data}: {how}"


def _accuracy(folder: Path) -> str:
    try:
        found = read_evaluation(folder)
    except MaapError:
        found = None
    return "not evaluated" if found is None else f"top-1 {found.last.top1:.1%}"
