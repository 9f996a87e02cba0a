"""The lines of ``maap runs``: how far each run is, and what it found."""

import json
from pathlib import Path

from maap.errors import MaapError
from maap.runs.run import Run, all_runs


def run_lines(runs_dir: Path) -> list[str]:
    """One line for each run, the one last worked on first."""
    lines = [f"{run.name}: {_about(run)}" for run in all_runs(runs_dir)]
    return lines or [f"no runs in {runs_dir}; start one: maap train alexnet"]


def _about(run: Run) -> str:
    try:
        state, config = run.state(), run.config()
    except MaapError as error:
        return str(error)
    waiting = [stage for stage in state["stages"] if stage["status"] != "done"]
    if waiting:
        at = f" after iteration {waiting[0]['iteration']}" if "iteration" in waiting[0] else ""
        how = f"stopped in {waiting[0]['name']}{at} (maap train --resume {run.name})"
    else:
        how = f"finished, {_accuracy(run.folder)}"
    return f"{config.net} {config.variant} on {config.data}: {how}"


def _accuracy(folder: Path) -> str:
    try:
        last = json.loads((folder / "evaluation.json").read_text())["phases"][-1]
        return f"top-1 {last['top1']:.1%}"
    except (OSError, ValueError, KeyError, IndexError):
        return "not evaluated"
