"""The runs that tables consist of. The command line reads this, so nothing heavy is imported."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.config.fields import TrainConfig
from maap.config.values import Settings
from maap.runs.run import Run


@dataclass(frozen=True)
class Request:
    """What a table was asked for.

    tables: their numbers. nets: None for the paper's. settings: what was set by hand, for every
    run. weights: the file to start from, by the net as it is in ``nets``.
    """

    tables: list[int]
    nets: Optional[list[str]]
    seeds: list[int]
    settings: Settings
    weights: dict[str, str]


@dataclass(frozen=True)
class Cell:
    """One run of a table. ``config`` has its name and what was set by hand; ``resolved`` has every
    number. ``phase1`` is the hash that runs with the same phase 1 share."""

    table: int
    row: str
    net: str
    seed: int
    config: TrainConfig
    resolved: TrainConfig
    phase1: str

    @property
    def run(self) -> Run:
        """The run's folder, which may not be there yet."""
        return Run(Path(self.config.runs_dir) / str(self.config.name))


@dataclass(frozen=True)
class Step:
    """A run still to be done, and the run it takes phase 1 from (None: it trains its own)."""

    cell: Cell
    phase1_from: Optional[str]
