"""What the verbs beside ``train`` do, in the child process that the command line starts."""

import importlib
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

from maap.errors import MaapError
from maap.runs import all_runs


def make_data(target: str, args: Tuple[Any, ...], settings: Dict[str, Any]) -> None:
    """Call one of maap.data's makers; the folder above ``out`` is made when it is not there."""
    out = Path(settings.pop("out"))
    out.parent.mkdir(parents=True, exist_ok=True)
    module, function = target.split(":")
    getattr(importlib.import_module(module), function)(*map(Path, args), out=out, **settings)


def run_lines(runs_dir: Path) -> List[str]:
    """One line a run, the newest first."""
    lines = []
    for run in all_runs(runs_dir):
        try:
            state, config = run.state(), run.config()
        except MaapError as error:
            lines.append(f"{run.name}: {error}")
            continue
        waiting = [stage for stage in state["stages"] if stage["status"] != "done"]
        if waiting:
            at = f" after iteration {waiting[0]['iteration']}" if "iteration" in waiting[0] else ""
            how = f"stopped in {waiting[0]['name']}{at} (maap train --resume {run.name})"
        else:
            how = f"finished, {_accuracy(run.folder)}"
        lines.append(f"{run.name}: {config.net} {config.variant} on {config.data}: {how}")
    return lines or [f"no runs in {runs_dir}; start one: maap train alexnet"]


def _accuracy(folder: Path) -> str:
    try:
        last = json.loads((folder / "evaluation.json").read_text())["phases"][-1]
        return f"top-1 {last['top1']:.1%}"
    except (OSError, ValueError, KeyError, IndexError):
        return "not evaluated"
