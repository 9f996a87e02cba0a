"""The ranks that work together, as Python sees them: what each calls to do its part.

`here` gives the ranks of this process. A process that nothing joined (`join`) to others is rank 0
of 1, and everything below returns at once; so a program is written once, for any number of ranks.
All ranks must make the same calls in the same order; a call may wait for the others. A rank that
fails ends them all: their calls then raise an error that names it.
"""

import ctypes
import gc
import importlib
import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, NoReturn, Optional, Protocol, TypeVar

from maap.errors import MaapError
from maap.host.launched import PACKAGES, launched, usable_cores

T = TypeVar("T")


class Ranks(Protocol):
    """What is used of a group of ranks: the engine's ``caffe.ranks.Communicator``, or `Alone`."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def local_rank(self) -> int: ...
    @property
    def local_size(self) -> int: ...
    def gather(self, mine: bytes) -> list[bytes]: ...
    def broadcast(self, data: Optional[bytes], root: int = 0) -> bytes: ...
    def barrier(self) -> None: ...
    def sum(self, values: Any) -> None: ...  # a float32 or float64 array, in place
    def abort(self, text: str) -> None: ...


class Alone:
    """A group of one."""

    rank, size, local_rank, local_size = 0, 1, 0, 1

    def gather(self, mine: bytes) -> list[bytes]:
        return [mine]

    def broadcast(self, data: Optional[bytes], root: int = 0) -> bytes:
        assert data is not None
        return data

    def barrier(self) -> None:
        pass

    def sum(self, values: Any) -> None:
        pass

    def abort(self, text: str) -> None:
        pass


ALONE = Alone()
_joined: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def here() -> Ranks:
    """The ranks that this process works with; `ALONE` unless it was joined to others."""
    return _joined.get()


def join() -> Ranks:
    """Join the ranks that a launcher started this process with; `here` gives them from now on.

    Raises MaapError where there are others, but this Caffe cannot reach them.
    """
    place = launched()
    if place is None:
        return ALONE
    try:
        ranks = importlib.import_module("caffe.ranks")  # only here: this module loads nothing heavy
    except ImportError:
        raise MaapError(
            f"mpirun or srun started {place.count} processes, and this Caffe cannot train in "
            "several: use --host fork, or start one process"
        ) from None
    found = ranks.world()
    if found is None and not place.size:
        return ALONE
    if found is None or place.size not in (0, found.size):
        raise MaapError(
            f"mpirun or srun started {place.count} processes, and MPI sees "
            f"{1 if found is None else found.size}: start them with the mpirun of the MPI that the "
            f"engine was built with (Debian: apt-get install {PACKAGES})"
        )
    _joined.set(found)
    return found


def leave() -> None:
    """Let go of the group, so that the end of the process can end MPI: `end` does."""
    _joined.set(ALONE)
    gc.collect()  # solvers hold the group


def end(status: int) -> NoReturn:
    """End a process that is a rank, without Python's tear-down. The engine waits for the others to
    end, and ends MPI; without that the launcher takes the end of a process for a failure."""
    ctypes.CDLL(None).exit(status)
    raise AssertionError("exit does not return")


@contextmanager
def working_with(ranks: Ranks) -> Iterator[None]:
    """Inside the ``with`` block `here` gives these ranks: for a thread that is a rank."""
    token = _joined.set(ranks)
    try:
        yield
    finally:
        _joined.reset(token)


def first() -> bool:
    """Whether this is the rank that writes files and speaks to the user."""
    return here().rank == 0


def shared(value: T) -> T:
    """Rank 0's value, on every rank (by pickle); what the others give does not matter."""
    ranks = here()
    if ranks.size == 1:
        return value
    mine = pickle.dumps(value) if ranks.rank == 0 else None
    return pickle.loads(ranks.broadcast(mine, 0))


def gathered(value: T) -> list[T]:
    """What every rank gives, by rank (by pickle)."""
    ranks = here()
    if ranks.size == 1:
        return [value]
    return [pickle.loads(each) for each in ranks.gather(pickle.dumps(value))]


def collected(value: T) -> list[T]:
    """On rank 0, what every rank gives, by rank (by pickle; rank 0's own value as it is); on the
    others, nothing."""
    ranks = here()
    parts = ranks.gather(pickle.dumps(None if ranks.rank == 0 else value)) if ranks.size > 1 else []
    return [] if ranks.rank else [value, *map(pickle.loads, parts[1:])]


def first_alone(make: Callable[[], T]) -> T:
    """``make()`` on rank 0, then on the others: what is made once and then found, a data set or a
    download, is not made twice."""
    ranks = here()
    if ranks.size == 1 or ranks.rank == 0:
        made = make()
        ranks.barrier()
        return made
    ranks.barrier()
    return make()


def cores() -> int:
    """This rank's part of the cores that it may use, at least 1: ranks that may use the same ones
    share them evenly, as the engine's threads do, and a container's share of them (the quota of a
    cgroup). Called on every rank."""
    mine = (socket.gethostname(), tuple(sorted(os.sched_getaffinity(0))))
    return max(1, usable_cores() // gathered(mine).count(mine))


def of_this_rank(count: int) -> range:
    """The numbers below ``count`` that are this rank's part: every ``size``-th."""
    ranks = here()
    return range(ranks.rank, count, ranks.size)


def in_turn(parts: list[list[T]]) -> list[T]:
    """The parts of all ranks, as `of_this_rank` deals numbers out, in the numbers' order."""
    longest = max(map(len, parts), default=0)
    return [part[n] for n in range(longest) for part in parts if n < len(part)]


__all__ = [
    "ALONE", "Alone", "Ranks", "collected", "cores", "end", "first", "first_alone", "gathered",
    "here", "in_turn", "join", "leave", "of_this_rank", "shared", "working_with",
]  # fmt: skip
