#!/usr/bin/env python3
"""Compares the model behind `maap plan` with iterations of 1, 2, 4 ... ranks on this machine.

    bench/plan.py [--net alexnet] [--batch 4] [--ranks 4] [--threads 1] [--iterations 5]

For each number of ranks, three things are measured: an iteration in which each rank trains a net of
its own ("apart"), which shows how much the ranks slow each other down without any sum; an iteration
in which they train one ("measured"); and, once, the sums that the link's bandwidth and latency
follow from. The model is given the time apart and the link, and says what the iteration should take
("model"). Every rank has --threads threads; with more ranks than cores they share the cores, which
shows in "apart". Random images; medians.
"""

import argparse
import os

os.environ.setdefault("GLOG_minloglevel", "2")

import machine
from maap.host.supervise import call
from maap.scaling.model import Link, Machines, Work, doubling, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", default="alexnet")
    parser.add_argument("--batch", type=int, default=4, help="images of each rank")
    parser.add_argument("--ranks", type=int, default=4, help="the most")
    parser.add_argument("--threads", type=int, default=1, help="of each rank")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--classes", type=int, default=1000)
    options = parser.parse_args()
    load = machine.Load()
    how = dict(threads=options.threads)
    about = (options.net, options.classes, options.batch)
    facts = call("maap.scaling.facts:facts_of", *about, None, None, **how)
    rows = [row(options, facts.work, ranks) for ranks in doubling(options.ranks)]
    print(machine.line(load, options.threads))
    size = facts.work.size / 1e6
    print(
        f"{options.net}, {size:.4g} MB of gradients, batch {options.batch} a rank, times in ms:\n"
    )
    print(machine.table(HEADS, rows))


HEADS = ("ranks", "link, GB/s", "link, us", "apart", "model", "measured", "model / measured")


def row(options: argparse.Namespace, work: Work, ranks: int) -> list[str]:
    """What is measured with that many ranks, and what the model says."""
    how = dict(threads=options.threads, processes=ranks)
    about = (options.net, options.classes, options.batch, options.iterations)
    apart, measured = (
        call("maap.scaling.facts:step_seconds", *about, joined, **how) for joined in (False, True)
    )
    cells, model = ["-", "-"], apart
    if ranks > 1:
        sums = call("maap.scaling.sums:measured", work.size, **how)
        link = sums.link
        if link is None:
            raise SystemExit(f"error: {options.net}: {sums.said}; take a net with more weights")
        cells = [f"{link.bandwidth / 1e9:.3g}", f"{1e6 * link.latency:.0f}"]
        model = predicted(work, options.batch, apart, link, ranks)
    times = [f"{1e3 * seconds:.1f}" for seconds in (apart, model, measured)]
    return [str(ranks), *cells, *times, f"{model / measured:.2f}"]


def predicted(work: Work, batch: int, apart: float, link: Link, ranks: int) -> float:
    """What the model says, given that an iteration takes ``apart`` without sums."""
    alone = (work.forward + work.backward) * batch + work.update
    slower = apart / alone
    same = Work(work.forward * slower, work.backward * slower, work.update * slower, work.buckets)
    return step(same, Machines(link, link, ranks), ranks, batch, None).seconds


if __name__ == "__main__":
    main()
