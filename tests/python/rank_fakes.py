"""Ranks that are threads of this process, for tests of what ranks share out."""

import threading
from concurrent.futures import ThreadPoolExecutor

from maap.host import ranks

WAIT = 60.0


class Group:
    """What the ranks of a group have in common."""

    def __init__(self, size):
        self.size = size
        self.barrier = threading.Barrier(size)
        self.given = [None] * size
        self.why = None


class ThreadRank:
    """One rank of a `Group`."""

    def __init__(self, group, rank):
        self._group, self.rank = group, rank
        self.size = self.local_size = group.size
        self.local_rank = rank

    def gather(self, mine):
        group = self._group
        group.given[self.rank] = mine
        self.barrier()
        found = list(group.given)
        self.barrier()
        return found

    def broadcast(self, data, root=0):
        return self.gather(data)[root]

    def barrier(self):
        try:
            self._group.barrier.wait(WAIT)
        except threading.BrokenBarrierError:
            raise RuntimeError(self._group.why or "a rank did not come") from None

    def sum(self, values):
        values[...] = sum(self.gather(values.copy()))

    def abort(self, text):
        self._group.why = self._group.why or text
        self._group.barrier.abort()


def together(size, work):
    """``work()`` on each of ``size`` ranks; what each returns. Raises what the first one that
    failed raised."""
    group = Group(size)
    failed = []

    def one(number):
        rank = ThreadRank(group, number)
        with ranks.working_with(rank):
            try:
                return work()
            except BaseException as error:
                failed.append(error)
                rank.abort(f"rank {number}: {error}")
                raise

    with ThreadPoolExecutor(size) as pool:
        running = [pool.submit(one, number) for number in range(size)]
    if failed:
        raise failed[0]
    return [each.result() for each in running]
