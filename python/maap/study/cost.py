"""How a run is made by hand, what all runs of a page took, and on which machine."""

import platform
import shlex
from collections.abc import Sequence
from pathlib import Path

from maap.config.fields import FIELDS, TrainConfig, option_name
from maap.config.values import Value
from maap.host.launched import usable_cores
from maap.study.cells import Cell
from maap.study.regions import measuring_seconds
from maap.study.scripts import script_seconds, script_words
from maap.util.text import duration

_FIRST = "fork"  # the host of a command that names none


def command(cell: Cell) -> str:
    """The command that makes a cell by itself, for a shell: the run, and the measuring of its
    regions. Phase 1 is trained in it, to the same bytes as one that is shared."""
    if cell.script is not None:
        return shlex.join(script_words(cell))
    words = train_words(cell.config)
    if cell.part.measure != "regions":
        return shlex.join(words)
    asked = ["maap", "evaluate", str(cell.config.name), "--phase", "1"]
    asked += ["--runs-dir", cell.config.runs_dir] if cell.config.runs_dir != "runs" else []
    for name, value in cell.region.items():
        asked += _option(name, value)
    return f"{shlex.join(words)} && {shlex.join(asked)}"


def train_words(config: TrainConfig) -> list[str]:
    """``maap train NET`` with an option for each setting that is not the default."""
    words = ["maap", "train", config.net]
    for name, field in FIELDS.items():
        value = getattr(config, name)
        default = _FIRST if name == "host" else field.default
        if value != default and name not in ("net", "phase1_from", "resume"):
            words += _option(name, value)
    return words


def _option(name: str, value: Value) -> list[str]:
    flag = option_name(name)
    if isinstance(value, bool):
        return [flag if value else "--no-" + name.replace("_", "-")]
    if isinstance(value, list):
        return [flag, ",".join(map(str, value))]
    return [flag, str(value)]


# ---- time ---------------------------------------------------------------------------------------


def time_spent(cells: Sequence[Cell]) -> str:
    """A sentence: what the finished runs and measurements of a page took together, and where."""
    done = (cell for cell in cells if cell.run.exists and cell.run.finished())
    runs = {str(cell.config.name): cell for cell in done}
    seconds = sum(_seconds(cell) for cell in runs.values())
    scripts = script_seconds(cells)
    seconds += sum(measuring_seconds(cells)) + sum(scripts)
    more = f" and {len(scripts)} trainings by scripts" if scripts else ""
    return (
        f"The {len(runs)} runs{more}, with all that was measured, took "
        f"{duration(seconds, tenths=False)} by the times they noted; a phase 1 that several share "
        f"is counted once. The machine that wrote this page: {machine(cells[0].config)}."
    )


def _seconds(cell: Cell) -> float:
    """Of all stages, without a phase 1 that another run trained."""
    state = cell.run.state()
    own = [stage.seconds for stage in state.stages if stage.shared_from is None]
    return sum(own) + state.data.seconds


def machine(config: TrainConfig) -> str:
    """The processor, the threads and the GPU that are computed with."""
    threads = config.threads or usable_cores()
    words = f"{_processor()}, {threads} {'thread' if threads == 1 else 'threads'}"
    return words if config.gpu is None else f"{words}, GPU {config.gpu}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.machine() or "unknown processor"
