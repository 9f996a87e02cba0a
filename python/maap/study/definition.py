"""What a study consists of. `reading` makes it of a YAML file; nothing heavy is imported here."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

from maap.config.fields import in_group, option_name
from maap.config.values import Settings
from maap.errors import MaapError
from maap.study.figures import Figure, PaperNote

Measure = Literal["top1", "regions"]
Reference = Literal["whole", "centred_half"]

# Given for every run by the study itself, so that neither a row nor the command line may set them.
PER_RUN = ("name", "net", "seed", "weights", "phase1_from", "resume")


@dataclass(frozen=True)
class Script:
    """A Python file that makes a row (`study.scripts`). file: as it is given. options: keyword
    arguments of its function ``study_row``."""

    file: str
    options: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A row of a table: its label and the settings that make it.

    paper: the paper's figures by the net's name, "" for every net. others: what others published
    that repeated it. against: the rows that it is compared with. after: the phase whose result is
    shown (None: the last). reference: instead of the regions found, the whole image or the centred
    box of half its area. note: what stands under the table about it. ours: a text in place of our
    result, for a row that nothing makes. script: what makes the row, if that is no training of
    maap.
    """

    label: str
    settings: Settings = field(default_factory=dict)
    paper: Mapping[str, Figure] = field(default_factory=dict)
    others: Sequence[Figure] = ()
    against: Sequence[str] = ()
    after: Optional[str] = None
    reference: Optional[Reference] = None
    note: str = ""
    ours: str = ""
    script: Optional[Script] = None


@dataclass(frozen=True)
class Part:
    """One table of a study. ``settings`` are those of all its rows, ``weights`` the file to start
    from, by the net as it is in ``nets``. ``name`` is that of its files."""

    name: str
    title: str
    rows: Sequence[Row]
    nets: Sequence[str] = ("alexnet",)
    seeds: Sequence[int] = (1, 2, 3)
    settings: Settings = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    measure: Measure = "top1"
    about: str = ""
    notes: Sequence[str] = ()
    paper: Optional[PaperNote] = None
    others: bool = False  # whether there is a column for others' figures

    def row(self, label: str) -> Row:
        """The row of a label."""
        return next(row for row in self.rows if row.label == label)


@dataclass(frozen=True)
class Study:
    """A study: what stands on top of its page, and its parts."""

    name: str
    title: str
    parts: Sequence[Part]
    about: str = ""


@dataclass(frozen=True)
class Changes:
    """What a person changes in a study; it wins. None, or empty: as the study says."""

    settings: Settings = field(default_factory=dict)
    nets: Optional[list[str]] = None
    seeds: Optional[list[int]] = None
    weights: Mapping[str, str] = field(default_factory=dict)


def region_settings() -> set[str]:
    """The settings that decide which region is found, and that `maap evaluate` takes as well."""
    return {"threshold_at", *in_group("region")} - {"regions"}  # that is what images are cut by


def changed(studies: Sequence[Study], changes: Changes) -> list[Part]:
    """The parts of some studies with what a person changed.

    Two parts that are equal then (the same rows on another data set) are one. Raises MaapError for
    a setting that is the rows' to set.
    """
    parts: dict[str, Part] = {}
    for part in (part for study in studies for part in study.parts):
        _check_free(part, changes.settings)
        found = dataclasses.replace(
            part,
            nets=tuple(changes.nets or part.nets),
            seeds=tuple(changes.seeds or part.seeds),
            settings={**part.settings, **changes.settings},
            weights={**part.weights, **changes.weights},
        )
        same = dataclasses.replace(found, name="", title="", about="", notes=())
        parts.setdefault(repr(same), found)
    return list(parts.values())


def _check_free(part: Part, given: Settings) -> None:
    for row in part.rows:
        taken = sorted(set(given) & set(row.settings))
        if taken:
            name = option_name(taken[0])
            raise MaapError(f'{name}: row "{row.label}" of the study sets it; leave it out')


def all_nets(studies: Sequence[Study]) -> list[str]:
    """The nets of all parts, each once."""
    return list(dict.fromkeys(net for s in studies for part in s.parts for net in part.nets))


def net_name(net: str) -> str:
    """The name of a net that may be given as a folder."""
    return Path(net).name
