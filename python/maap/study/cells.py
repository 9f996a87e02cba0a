"""The runs that a study consists of. The command line reads this, so nothing heavy is imported."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from maap.config.fields import TrainConfig
from maap.config.values import Settings
from maap.runs.run import Run
from maap.study.definition import Part, Row, net_name


@dataclass(frozen=True)
class Request:
    """What is to be made: the parts of one study or of several, with what was changed in them."""

    parts: Sequence[Part]


@dataclass(frozen=True)
class Head:
    """What stands on top of a page. ``command``: what makes the page again."""

    title: str
    about: str
    command: str


@dataclass(frozen=True)
class ScriptRun:
    """What a script is given. file: the script. data: the data set's folder. weights: the file to
    start from, or None; start: the same as a person names it ("published")."""

    file: str
    data: str
    weights: Optional[str] = None
    start: Optional[str] = None


@dataclass(frozen=True)
class Cell:
    """One net and seed of a row of a part. ``config`` has the run's name and what was set by hand;
    ``resolved`` has every number. ``phase1`` is the hash that runs with the same phase 1 share.

    In a part that measures regions, ``region`` are the row's settings, with which regions are found
    by the net of the run. Of a row that a script makes, ``script`` is what it is given; nothing is
    trained by maap, and ``config`` has the name of its result.
    """

    part: Part
    row: Row
    net: str
    seed: int
    config: TrainConfig
    resolved: TrainConfig
    phase1: str
    region: Settings = field(default_factory=dict)
    script: Optional[ScriptRun] = None

    @property
    def run(self) -> Run:
        """The run's folder, which may not be there yet."""
        return Run(Path(self.config.runs_dir) / str(self.config.name))


@dataclass(frozen=True)
class Step:
    """A run still to be done, and the run it takes phase 1 from (None: it trains its own)."""

    cell: Cell
    phase1_from: Optional[str]


@dataclass(frozen=True)
class LeftOut:
    """A row that cannot be made with a net. why: the reason; text: the same with its fix."""

    part: Part
    row: Row
    net: str
    why: str
    text: str

    def __str__(self) -> str:
        return f'{self.part.name}, row "{self.row.label}", {net_name(self.net)}: {self.text}'


@dataclass(frozen=True)
class Planned:
    """All that the parts consist of: the cells, and the rows that some nets do without."""

    cells: list[Cell]
    left_out: list[LeftOut]


def trained(planned: Sequence[Cell]) -> list[Cell]:
    """The cells that are trainings of maap; the others are made by scripts."""
    return [cell for cell in planned if cell.script is None]
