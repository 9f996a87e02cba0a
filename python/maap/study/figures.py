"""Figures that others published, beside ours: top-1 in percent, each with its source."""

from dataclasses import dataclass
from typing import Optional

MISSING = "not in the paper"
NONE_FOUND = "none found"
READ, TRANSCRIBED, DOUBTFUL = STATUSES = ("read", "transcribed", "not reread")


@dataclass(frozen=True)
class Figure:
    """An accuracy in percent, how sure it is, and where it stands.

    status: "read" (in the source itself), "transcribed" (from a copy of its tables) or "not reread"
    (from memory or at second hand; the tables mark it). what: the net and data, where a row needs
    to say so.
    """

    percent: float
    status: str
    source: str
    what: str = ""

    @property
    def shown(self) -> str:
        """The percentage as it was published, with one digit at least."""
        return (
            f"{self.percent:.1f}%"
            if self.percent == round(self.percent, 1)
            else f"{self.percent:g}%"
        )


@dataclass(frozen=True)
class PaperNote:
    """Where the paper's figures of a part come from.

    source: the paper. of: what they are ("top-1 on CUB-200-2011 with ImageNet weights"). data: the
    data set that they are about. status: of its figures, see `Figure`. note: what else makes them
    differ from ours.
    """

    source: str
    of: str
    data: str
    status: str = READ
    note: str = ""


def shown(found: Optional[Figure], missing: str = MISSING) -> str:
    """A figure as a table shows it; a doubtful one has a mark."""
    if found is None:
        return missing
    return found.shown + (f" ({DOUBTFUL})" if found.status == DOUBTFUL else "")
