"""``maap train`` and ``maap.train``: which run to work in, and the child that does the work.

`train` may be called from a program or a notebook: the work happens in a child process (`work.py`,
started by host/supervise.py), and errors arrive as MaapError. This side loads nothing heavy.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.config import check as settings
from maap.config.fields import FIELDS, TrainConfig
from maap.config.values import Settings
from maap.errors import MaapError
from maap.host.launched import launched, need_ranks
from maap.host.supervise import call
from maap.runs.evaluation import Evaluation
from maap.runs.run import Run, default_name, find_run, free_name, resume_command, run_at, unfinished
from maap.util.progress import say


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        name: The run's name.
        folder: Its folder, ``runs/NAME``.
        top1: Share of the test images whose class is the first guess, after the last phase; 0 to 1.
        top5: The same for the first five guesses.
        evaluation: The content of evaluation.json, phase by phase.
        report: The path of report.html.
    """

    name: str
    folder: Path
    top1: float
    top5: float
    evaluation: Evaluation
    report: Path


def train(config: TrainConfig, given: Optional[Settings] = None, debug: bool = False) -> RunResult:
    """Train as ``config`` says, or resume a run (``resume=True``); returns a RunResult.

    Args:
        config: The settings of the run.
        given: Which settings were set by hand (default: those that are not TrainConfig's defaults);
            on a resume they must not contradict the run's.
        debug: Show the whole traceback of an error in the child process.

    Raises:
        MaapError: Something is wrong with a setting, a file or the machine.
        maap.errors.Stopped: Ctrl-C was pressed; a snapshot was taken.
    """
    config = settings.validate(config)
    if given is None:
        given = {
            n: getattr(config, n) for n, f in FIELDS.items() if getattr(config, n) != f.default
        }
    place = launched()
    if place is not None:
        need_ranks(config.ranks)
        config = dataclasses.replace(config, ranks=place.size or 1)
        given = dict(given, ranks=config.ranks)
    threads = given.get("threads")
    # The others are told by rank 0, but for the threads that a run has: they start with them.
    if place is None or place.first or config.resume:
        config = _with_donor_named(config)
        run = locate(config, given)
        config = dataclasses.replace(config, name=run.name)
        if run.exists:
            threads = threads or run.config().threads
            if "ranks" not in given:
                config.ranks = run.config().ranks
                given = dict(given, ranks=config.ranks)
    need_ranks(config.ranks, config.host)
    target = "maap.training.work:work"
    how = dict(threads=threads, debug=debug, processes=config.ranks)
    return call(target, config, dict(given), **how)


def _with_donor_named(config: TrainConfig) -> TrainConfig:
    """``phase1_from`` as a name in runs_dir, or as a path that holds in any folder."""
    donor = run_at(Path(config.runs_dir), config.phase1_from or "")
    if donor is None:
        return config  # the child says what is wrong
    beside = donor.folder.parent.resolve() == Path(config.runs_dir).resolve()
    named = donor.name if beside else str(donor.folder.resolve())
    return dataclasses.replace(config, phase1_from=named)


def locate(config: TrainConfig, given: Settings) -> Run:
    """The run folder to work in. Raises MaapError when a name is taken, or is no run to resume."""
    runs_dir = Path(config.runs_dir)
    if config.name is not None:
        run = Run(runs_dir / config.name)
        if run.exists and not config.resume:
            raise MaapError(
                f"run {run.name} exists in {runs_dir}; resume it (--resume) or give another --name"
            )
        if not run.exists and config.resume and "net" not in given:
            return find_run(runs_dir, config.name)
        return run
    base = default_name(config)
    settings.check_name(base)
    waiting = unfinished(runs_dir, base)
    if config.resume:
        return waiting[0] if waiting else Run(runs_dir / base)
    if waiting:
        say(f"(run {waiting[0].name} is not finished: {resume_command(waiting[0])})")
    return Run(runs_dir / free_name(runs_dir, base))
