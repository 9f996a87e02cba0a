"""Doing what a table needs, one run after the other. This runs in the parent process."""

import dataclasses
from pathlib import Path
from typing import Any

from maap.config.fields import FIELDS, TrainConfig
from maap.config.values import Settings
from maap.errors import MaapError, Stopped
from maap.host.supervise import call
from maap.paper.cells import Cell, Request, Step
from maap.paper.pace import Pace
from maap.training.train import train
from maap.util.progress import say


class TableRuns:
    """Runs the steps of a table, each in a child process of its own (`train` starts it).

    given: the settings that were set by hand. command: the command line that continues the table.
    """

    def __init__(self, given: Settings, debug: bool, command: str) -> None:
        self.given, self.debug, self.command = given, debug, command

    def call(self, target: str, *args: Any) -> Any:
        """A function in a child that may load Caffe."""
        return call(target, *args, threads=self.given.get("threads"), debug=self.debug)

    def cells(self, request: Request) -> list[Cell]:
        """Every run that the tables consist of, finished or not."""
        return self.call("maap.paper.plan:cells", request)

    def run_all(self, request: Request) -> list[Cell]:
        """Do every step that is missing; returns the cells, all of them finished."""
        planned, steps = self.call("maap.paper.tables:missing", request)
        names = {cell.config.name for cell in planned}
        say(f"{len(names)} runs, {len(names) - len(steps)} of them finished")
        pace = Pace(steps)
        for number, step in enumerate(steps, 1):
            say(f"[{number} of {len(steps)}] table {step.cell.table}, {step.cell.row}, "
                f"{Path(step.cell.net).name}, seed {step.cell.seed}{pace.left()}")  # fmt: skip
            whole = not step.cell.run.exists
            pace.begin()
            try:
                self.train(step)
                pace.end(whole)
            except Stopped as stopped:
                text = f"{stopped}; or with the table: {self.command}"
                raise Stopped(text, stopped.signal_number) from None
            except MaapError as error:
                raise MaapError(f"run {step.cell.config.name}: {error}") from None
        return planned

    def train(self, step: Step) -> None:
        """One run, from where it stands."""
        config = dataclasses.replace(step.cell.config, phase1_from=step.phase1_from)
        if not step.cell.run.exists:
            train(config, self.given, self.debug)
            return
        may = {n: v for n, v in self.given.items() if FIELDS[n].metadata["may_change"]}
        again = TrainConfig(name=config.name, resume=True, **may)
        train(again, dict(may, resume=True, name=config.name), self.debug)
