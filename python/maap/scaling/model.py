"""What an iteration takes with N ranks: a model with few numbers, whose equations docs/ranks.md
gives.

The sum over the ranks is taken to be a ring: each of n ranks sends 2 (n - 1) / n of the bytes, in
2 (n - 1) messages one after the other:

    sum(bytes, n) = 2 (n - 1) / n * bytes / bandwidth + 2 (n - 1) * latency

Gradients are added up in buckets, in the order in which the backward pass completes them, one
bucket after the other; a bucket's sum begins when its gradients are complete and the sum before it
has ended. What ends after the backward pass makes the iteration longer:

    step(n) = forward + backward + update + max(0, end of the last sum - backward)

Times are in seconds, sizes in bytes, bandwidths in bytes a second. Nothing heavy is imported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Optional

MOST = 1 << 20  # ranks; beyond that nobody asks
LONGER = 3  # 4 KB between two processes of a machine take up to 2.6 times as long as one value


@dataclass(frozen=True)
class Link:
    """Between two neighbours of the ring: bytes a second, and seconds that a message takes
    besides."""

    bandwidth: float
    latency: float

    def sum_seconds(self, size: float, ranks: int) -> float:
        """Seconds of a ring's sum of ``size`` bytes over ``ranks``."""
        if ranks < 2:
            return 0.0
        messages = 2 * (ranks - 1)
        return messages / ranks * size / self.bandwidth + messages * self.latency


@dataclass(frozen=True)
class Machines:
    """The ring lies through the machines one after the other, so as soon as there are two, the
    slowest link is the one between them. near: within a machine; far: between machines."""

    near: Link
    far: Link
    ranks_each: int

    def link(self, ranks: int) -> Link:
        """The link that the sum over that many ranks waits for."""
        return self.near if ranks <= self.ranks_each else self.far


@dataclass(frozen=True)
class Bucket:
    """Gradients that are added up together. ready: the share of the backward pass after which they
    are complete, 0 to 1."""

    size: int
    ready: float


@dataclass(frozen=True)
class Work:
    """One rank's iteration. forward, backward: seconds an image; update: seconds an iteration;
    buckets: in the order in which the backward pass completes them."""

    forward: float
    backward: float
    update: float
    buckets: Sequence[Bucket]

    @property
    def size(self) -> int:
        """Bytes of all gradients."""
        return sum(bucket.size for bucket in self.buckets)


@dataclass(frozen=True)
class Facts:
    """A net's iteration of ``batch`` images: its work, and whether its time was measured here."""

    net: str
    batch: int
    classes: int
    work: Work
    params: int  # learnable values
    timed: bool


@dataclass(frozen=True)
class Step:
    """An iteration of ``ranks`` ranks. images: of all ranks together; compute: seconds that a rank
    computes; sums: seconds that the sums take, of which ``hidden`` lie behind the backward pass;
    efficiency: images a second, divided by those of as many ranks without sums and without a
    smaller batch."""

    ranks: int
    images: float
    compute: float
    sums: float
    hidden: float
    efficiency: float

    @property
    def seconds(self) -> float:
        return self.compute + self.sums - self.hidden

    @property
    def rate(self) -> float:
        """Images a second, of all ranks."""
        return self.images / self.seconds


def step(work: Work, machines: Machines, ranks: int, batch: float, whole: Optional[float]) -> Step:
    """An iteration of ``ranks`` ranks. batch: images of one rank; whole: where the images of all
    ranks together are fixed, how many they are, and each rank has its share of them."""
    images = whole if whole is not None else batch * ranks
    each = images / ranks
    forward, backward = work.forward * each, work.backward * each
    link = machines.link(ranks)
    sums, end = 0.0, 0.0
    for bucket in work.buckets if ranks > 1 else ():
        seconds = link.sum_seconds(bucket.size, ranks)
        sums += seconds
        end = max(end, bucket.ready * backward) + seconds
    late = max(0.0, end - backward)
    compute = forward + backward + work.update
    alone = whole if whole is not None else batch  # images of one rank without others
    best = alone / ((work.forward + work.backward) * alone + work.update)
    rate = images / (compute + late)
    hidden = max(0.0, sums - late)  # -1e-18 is no number to show
    return Step(ranks, images, compute, sums, hidden, rate / (ranks * best))


def doubling(most: int) -> Iterator[int]:
    """1, 2, 4 ... and ``most``."""
    ranks = 1
    while ranks < most:
        yield ranks
        ranks *= 2
    yield most


def stops_at(
    work: Work, machines: Machines, batch: float, whole: Optional[float], least: float = 0.5
) -> Optional[int]:
    """The first number of ranks, among the powers of 2, whose efficiency is below ``least``; None:
    there is none up to `MOST`. A rank has at least one image."""
    for ranks in doubling(MOST):
        if whole is not None and ranks > whole:
            return ranks
        if step(work, machines, ranks, batch, whole).efficiency < least:
            return ranks
    return None


def buckets_of(params: Sequence[tuple[int, float]], limit: int) -> list[Bucket]:
    """The buckets of parameters, given as (bytes, share of the backward pass after which the
    gradient is complete), in the order in which they are: a bucket has no more than ``limit``
    bytes, or one parameter (`gradient_buckets.hpp`)."""
    found: list[Bucket] = []
    for size, ready in params:
        if found and found[-1].size + size <= limit:
            found[-1] = Bucket(found[-1].size + size, ready)
        else:
            found.append(Bucket(size, ready))
    return found


@dataclass(frozen=True)
class Sums:
    """Seconds that sums over ``ranks`` took, each some times: of ``size`` bytes, and of one value,
    which is all latency."""

    ranks: int
    size: int
    whole: Sequence[float]
    of_one_value: Sequence[float]

    @property
    def link(self) -> Optional[Link]:
        """The link that the medians imply; None where the difference is noise, or what another way
        to send a message costs: unless all sums of ``size`` bytes but one took `LONGER` times as
        long as one value's. (A machine may do something else once.)"""
        messages = 2 * (self.ranks - 1)
        alone = median(self.of_one_value)
        if sorted(self.whole)[1] < LONGER * alone:
            return None
        carried = median(self.whole) - alone
        return Link(messages / self.ranks * self.size / carried, alone / messages)

    @property
    def said(self) -> str:
        """The medians, for people."""
        whole, alone = (1e6 * median(times) for times in (self.whole, self.of_one_value))
        return (
            f"a sum of its {self.size} bytes of gradients took {whole:.0f} us here, one of a "
            f"single value {alone:.0f} us"
        )
