"""How long a sum over ranks takes here."""

import time

import numpy as np

from maap.host import ranks
from maap.scaling.model import Sums

TIMES = 9


def measured(size: int) -> Sums:
    """The times of sums over the ranks of `ranks.here`, of ``size`` bytes and of one value."""
    return Sums(ranks.here().size, size, _seconds(max(size // 4, 1)), _seconds(1))


def _seconds(values: int) -> list[float]:
    """Seconds of a sum, `TIMES` times, each of the slowest rank."""
    group, array = ranks.here(), np.ones(values, np.float32)
    times = []
    for _ in range(TIMES + 1):
        group.barrier()
        started = time.monotonic()
        group.sum(array)
        times.append(max(ranks.gathered(time.monotonic() - started)))
        array[...] = 1
    return times[1:]
