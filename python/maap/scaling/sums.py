"""How long a sum over ranks takes here."""

import time

import numpy as np

from maap.host import ranks
from maap.scaling.model import Link, link_from

TIMES = 5


def measured(size: int) -> Link:
    """The link that sums over the ranks of `ranks.here` imply, of ``size`` bytes and of one value;
    the medians of some times."""
    group = ranks.here()
    return link_from(_median(max(size // 4, 1)), size, _median(1), group.size)


def _median(values: int) -> float:
    """Seconds of a sum, of the slowest rank."""
    group, array = ranks.here(), np.ones(values, np.float32)
    times = []
    for _ in range(TIMES + 1):
        group.barrier()
        started = time.monotonic()
        group.sum(array)
        times.append(max(ranks.gathered(time.monotonic() - started)))
        array[...] = 1
    return float(np.median(times[1:]))
