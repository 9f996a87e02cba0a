"""How long something takes here and now."""

import time
from typing import Callable


def best_seconds(work: Callable[[], object], times: int) -> float:
    """Seconds: the best of some times, after a first one that does not count."""
    found = []
    for _ in range(times + 1):
        started = time.monotonic()
        work()
        found.append(time.monotonic() - started)
    return min(found[1:])
