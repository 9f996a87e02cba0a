"""Doing what a study needs, one run after the other. This runs in the parent process."""

import dataclasses
from typing import Any, Optional

from maap.config.fields import FIELDS, TrainConfig
from maap.errors import MaapError, Stopped
from maap.host.supervise import call
from maap.study.cells import Cell, Planned, Request, Step, trained
from maap.study.definition import net_name
from maap.study.pace import Pace
from maap.study.scripts import unmade
from maap.training.train import train
from maap.util.progress import say


class StudyRuns:
    """Runs the steps of a study, each in a child process of its own (`train` starts it).

    threads: the CPU threads of what is done besides the runs; None: all. command: the command line
    that continues the study.
    """

    def __init__(self, threads: Optional[int], debug: bool, command: str) -> None:
        self.threads, self.debug, self.command = threads, debug, command

    def call(self, target: str, *args: Any) -> Any:
        """A function in a child that may load Caffe."""
        return call(target, *args, threads=self.threads, debug=self.debug)

    def planned(self, request: Request) -> Planned:
        """All that the study consists of, finished or not."""
        return self.call("maap.study.plan:planned", request)

    def run_all(self, request: Request) -> Planned:
        """Do every step that is missing; returns what the study consists of, all of it finished."""
        planned, steps = self.call("maap.study.command:missing", request)
        names = {cell.config.name for cell in trained(planned.cells)}
        say(f"{len(names)} runs, {len(names) - len(steps)} of them finished")
        for each in planned.left_out:
            say(f"left out: {each}")
        try:
            self._train_all(steps)
            self._measure(planned.cells)
            self._scripts(planned.cells)
        except Stopped as stopped:
            again = f"{stopped}; or all of it with: {self.command}"
            raise Stopped(again, stopped.signal_number) from None
        return planned

    def _train_all(self, steps: list[Step]) -> None:
        """The runs, from where they stand."""
        pace = Pace(steps)
        for number, step in enumerate(steps, 1):
            cell = step.cell
            say(f"[{number} of {len(steps)}] {cell.part.name}, {cell.row.label}, "
                f"{net_name(cell.net)}, seed {cell.seed}{pace.left()}")  # fmt: skip
            whole = not cell.run.exists
            pace.begin()
            try:
                self.train(step)
                pace.end(whole)
            except MaapError as error:
                raise MaapError(f"run {cell.config.name}: {error}") from None

    def train(self, step: Step) -> None:
        """One run, from where it stands."""
        config = dataclasses.replace(step.cell.config, phase1_from=step.phase1_from)
        given = step.cell.part.settings  # with what was set by hand
        if not step.cell.run.exists:
            train(config, given, self.debug)
            return
        may = {n: v for n, v in given.items() if FIELDS[n].metadata["may_change"]}
        again = TrainConfig(name=config.name, resume=True, **may)
        train(again, dict(may, resume=True, name=config.name), self.debug)

    def _measure(self, cells: list[Cell]) -> None:
        """The regions that no run measures."""
        if any(cell.part.measure == "regions" for cell in cells):
            self.call("maap.study.command:measure", cells)

    def _scripts(self, cells: list[Cell]) -> None:
        """The rows that scripts make, each seed in a child of its own."""
        left = unmade(cells)
        for number, cell in enumerate(left, 1):
            say(f"script [{number} of {len(left)}]: {cell.row.label}, seed {cell.seed}")
            self.call("maap.study.scripts:make", cell)
