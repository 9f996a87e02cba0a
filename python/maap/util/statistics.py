"""How sure a mean of a few values is: the 95 % interval by Student's t (Student, "The probable
error of a mean", Biometrika 6, 1908).

Made for differences that are paired: two ways to train, each with the same seeds, give one
difference a seed.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

# The 97.5 % quantile of Student's t with 1, 2 ... 29 degrees of freedom, rounded to six decimals.
_QUANTILES = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157,
    2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922,
    2.093024, 2.085963, 2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831,
    2.048407, 2.045230,
)  # fmt: skip
_NORMAL = 1.959963984540054  # the same of the normal distribution


@dataclass(frozen=True)
class Interval:
    """The mean of ``n`` values and its 95 % interval, in the values' own unit.

    low, high: the ends of the interval; None for a single value, which says nothing of its
    spread.
    """

    n: int
    mean: float
    low: Optional[float] = None
    high: Optional[float] = None

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is shown: there is an interval, and 0 lies outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def within(self, most: float) -> "Interval":
        """The same for values that are known to lie from -``most`` to ``most``: what lies beyond is
        no part of it, so it holds the truth as often."""
        if self.low is None or self.high is None:
            return self
        return Interval(self.n, self.mean, max(self.low, -most), min(self.high, most))


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t with ``freedom`` degrees of freedom.

    From 30 on by the expansion in Abramowitz & Stegun, 26.7.5, to six decimals. Raises ValueError
    for less than one degree.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom: Student's t has at least one")
    if freedom <= len(_QUANTILES):
        return _QUANTILES[freedom - 1]
    z = _NORMAL
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def paired(differences: Sequence[float]) -> Interval:
    """The mean of paired differences (A less B, one for each pair) and its 95 % interval.

    The interval is mean ± t s / sqrt(n), s the sample standard deviation and t the quantile for
    n - 1 degrees of freedom. Raises ValueError without any value and for one that is not finite.
    """
    values = [float(value) for value in differences]
    if not values:
        raise ValueError("no differences: give at least one")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"differences {values}: one is not finite")
    mean = statistics.fmean(values)
    if len(values) == 1:
        return Interval(1, mean)
    half = t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(len(values), mean, mean - half, mean + half)
