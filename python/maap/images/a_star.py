"""The definitions of A*, what D* = A* D multiplies an image D with: the paper's six (equations 4 to
8), and WS-DAN's attention drop (Hu et al. 2019, arXiv 1901.09891).

This table is the only place that knows them in Python: settings, nets, rendering, tables, reports
and pictures take names, factors and captions from here. The layer has the same names in
``kernels/maap.proto``, and the kernels the same factors in ``kernels/render.cu``; a test holds them
together.

NumPy is not imported here, because the command line reads this file whenever it starts.
"""

from dataclasses import dataclass
from typing import Optional

from maap.errors import MaapError


@dataclass(frozen=True)
class Factor:
    """What a pixel is multiplied with: ``constant``, plus the attention A there."""

    constant: float
    plus_attention: bool = False

    def __str__(self) -> str:
        """``0``, ``1``, ``A`` or ``A+1``."""
        if not self.plus_attention:
            return f"{self.constant:g}"
        return f"A+{self.constant:g}" if self.constant else "A"

    def product(self) -> str:
        """The factor times D: ``0``, ``D``, ``A D`` or ``(A+1) D``."""
        if self in (ZERO, ONE):
            return "D" if self.constant else "0"
        return f"({self}) D" if self.constant and self.plus_attention else f"{self} D"


ZERO, ONE, A, A_PLUS_ONE = Factor(0), Factor(1), Factor(0, True), Factor(1, True)


@dataclass(frozen=True)
class AStar:
    """One definition: its factors inside and outside the region R.

    Without factors, D* is R itself, cropped and resized to the whole image, or, where it drops, D
    without what is attended to.
    """

    name: str  # as the layer spells it: elimination_param { a_star: NAME }
    caption: str  # for people
    inside: Optional[Factor] = None
    outside: Optional[Factor] = None
    drops: bool = False  # 0 where A is greater than the threshold, 1 elsewhere

    def __post_init__(self) -> None:
        if (self.inside is None) != (self.outside is None):
            raise ValueError(f"A* {self.name} has a factor on one side of the region only")
        if self.drops and self.inside is not None:
            raise ValueError(f"A* {self.name} has factors, and drops")

    @property
    def option(self) -> str:
        """The value of ``--a-star`` and of the setting ``a_star``."""
        return self.name.lower()

    @property
    def crops(self) -> bool:
        """True when D* is a part of the image, in the image's own dtype; else D* is float, A* times
        the image less its mean."""
        return self.inside is None and not self.drops

    @property
    def needs_attention(self) -> bool:
        """True when D* depends on the attention map itself and not on the region alone."""
        factors = (self.inside, self.outside)
        soft = any(factor is not None and factor.plus_attention for factor in factors)
        return soft or self.drops

    @property
    def uses_region(self) -> bool:
        """True when D* depends on where the region R is."""
        return self.crops or self.inside != self.outside

    @property
    def explanation(self) -> str:
        """What A* is, in a few words."""
        if self.crops:
            return "R cropped and enlarged"
        if self.drops:
            return "0 where A is above the threshold, else 1"
        if self.inside == self.outside:
            return f"{self.inside} everywhere"
        return f"{self.inside} inside R, {self.outside} outside"

    @property
    def formula(self) -> str:
        """What D* is, as short as a picture's caption must be."""
        if self.drops:
            return "0 where A is high, else D"
        if self.inside is None or self.outside is None:
            return "crop to R"
        if self.inside == self.outside:
            return self.inside.product()
        return f"{self.inside.product()} in R, else {self.outside.product()}"


TABLE = (
    AStar("ROI", "ROI"),
    AStar("UNCORRELATED", "uncorrelated", inside=ONE, outside=ZERO),
    AStar("ENHANCE", "enhance", inside=A_PLUS_ONE, outside=ZERO),
    AStar("REDUCE", "reduce", inside=ONE, outside=A),
    AStar("ALLSOFT", "all soft", inside=A, outside=A),
    AStar("ALLSOFT_PLUS_ONE", "all soft + 1", inside=A_PLUS_ONE, outside=A_PLUS_ONE),
    AStar("DROP", "drop", drops=True),
)  # in the order of the layer's enum, and its first six of the paper's table 3
PAPERS = TABLE[:6]
NAMES = tuple(each.name for each in TABLE)
OPTIONS = tuple(each.option for each in TABLE)


def find_a_star(word: str) -> AStar:
    """The definition of that name or option (``ROI``, ``allsoft-plus-one``).

    Raises MaapError that lists the names when there is none.
    """
    name = word.upper().replace("-", "_")
    for each in TABLE:
        if each.name == name:
            return each
    raise MaapError(f"a_star {word!r} is unknown; use one of {', '.join(NAMES)}")
