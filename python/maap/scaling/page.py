"""The plan as lines for people."""

from typing import Optional

from maap.scaling.model import MOST, Facts, Link, Machines, Step, doubling, step, stops_at
from maap.util.text import duration

_HEAD = ("ranks", "images", "step", "sum", "hidden", "epoch", "images/s", "efficiency")


def lines(
    facts: Facts, machines: Machines, most: int, whole: Optional[int], epoch: int, origin: str
) -> list[str]:
    """What steps and epochs take for 1, 2, 4 ... ``most`` ranks. whole: images of all ranks
    together in an iteration (more ranks than these are not shown), None: each rank has
    ``facts.batch``. epoch: images in it. origin: where bandwidth and latency come from."""
    work, batch = facts.work, facts.batch
    shown = most if whole is None else min(most, whole)  # each rank has an image
    steps = [step(work, machines, n, batch, whole) for n in doubling(shown)]
    rows = [_HEAD, *(_row(each, epoch) for each in steps)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEAD))]
    table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
    return [
        *_about(facts, machines, whole, epoch, origin),
        "",
        *table,
        "",
        *_end(facts, machines, whole),
    ]


def _about(
    facts: Facts, machines: Machines, whole: Optional[int], epoch: int, origin: str
) -> list[str]:
    work, batch = facts.work, facts.batch
    seconds = (work.forward + work.backward) * batch + work.update
    how = "timed just now" if facts.timed else "as given; two thirds of it backward"
    share = f"the batch of {whole} is shared out" if whole else f"each rank has {batch} images"
    near, far = machines.near, machines.far
    return [
        f"{facts.net}, {facts.classes} classes: {facts.params} learnable values, "
        f"{work.size / 1e6:.4g} MB of gradients in {len(work.buckets)} sums",
        f"one rank: {1e3 * seconds:.4g} ms for {batch} images ({how}); {share}; an epoch has "
        f"{epoch} images",
        f"links, {origin}: within a machine of {machines.ranks_each} ranks {_link(near)}, between "
        f"machines {_link(far)}",
    ]


def _link(link: Link) -> str:
    return f"{link.bandwidth / 1e9:.3g} GB/s and {1e6 * link.latency:.3g} us"


def _row(each: Step, epoch: int) -> tuple[str, ...]:
    return (
        str(each.ranks),
        f"{each.images:g}",
        _milliseconds(each.seconds),
        _milliseconds(each.sums),
        f"{each.hidden / each.sums:.0%}" if each.sums else "-",
        duration(epoch / each.rate),
        f"{each.rate:.4g}",
        f"{each.efficiency:.0%}",
    )


def _milliseconds(seconds: float) -> str:
    value = 1e3 * seconds
    return f"{value:.0f} ms" if value >= 1000 else f"{value:.4g} ms"


def _end(facts: Facts, machines: Machines, whole: Optional[int]) -> list[str]:
    first = stops_at(facts.work, machines, facts.batch, whole)
    if first is None:
        return [f"efficiency stays at 50 % and more up to {MOST} ranks"]
    if whole is not None and first > whole:
        return [f"from {first} ranks on there is less than one image a rank"]
    return [f"efficiency falls under 50 % at {first} ranks"]
