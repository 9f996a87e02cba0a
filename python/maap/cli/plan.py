"""``maap plan``."""

from typing import Optional

import click

from maap.cli.options import DEBUG, GPU, THREADS
from maap.errors import MaapError
from maap.host.launched import need_ranks
from maap.host.supervise import call
from maap.scaling import page
from maap.scaling.model import Facts, Link, Machines, Sums

_IMAGENET = 1281167  # training images of ILSVRC 2012
_POSITIVE = click.FloatRange(min=1e-9)  # old versions of click know no open ranges


@click.command()
@click.argument("net")
@click.option(
    "--gpus",
    "--ranks",
    "most",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="N",
    help="The most ranks to plan for.",
)
@click.option(
    "--batch",
    "whole",
    type=click.IntRange(min=1),
    metavar="IMAGES",
    help="Images of all ranks together in an iteration. [default: each rank has the "
    "net's own batch]",
)
@click.option(
    "--batch-each",
    type=click.IntRange(min=1),
    metavar="IMAGES",
    help="Images of one rank in the iteration that is timed. [default: the net's own]",
)
@click.option(
    "--step-ms",
    type=_POSITIVE,
    metavar="MS",
    help="What an iteration of one rank takes. [default: it is timed now]",
)
@click.option(
    "--bandwidth",
    type=_POSITIVE,
    metavar="GB/S",
    help="Of the network between two machines. [default: measured between two processes here]",
)
@click.option(
    "--latency",
    type=click.FloatRange(min=0),
    metavar="US",
    help="What a message takes besides, in microseconds. [default: measured; with "
    "--bandwidth, 5]",
)
@click.option(
    "--local-bandwidth",
    type=_POSITIVE,
    metavar="GB/S",
    help="Within a machine; a message takes --latency there, too. [default: as --bandwidth]",
)
@click.option(
    "--ranks-per-machine",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Ranks of one machine.",
)
@click.option(
    "--images",
    type=click.IntRange(min=1),
    default=_IMAGENET,
    show_default=True,
    help="Images in an epoch.",
)
@click.option(
    "--classes",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Classes that the net tells apart.",
)
@GPU
@THREADS
@DEBUG
def plan(
    net: str,
    most: int,
    whole: Optional[int],
    batch_each: Optional[int],
    step_ms: Optional[float],
    bandwidth: Optional[float],
    latency: Optional[float],
    local_bandwidth: Optional[float],
    ranks_per_machine: int,
    images: int,
    classes: int,
    gpu: Optional[int],
    threads: Optional[int],
    debug: bool,
) -> None:
    """Say what a step and an epoch of NET would take with 1, 2, 4 ... ranks.

    \b
    maap plan alexnet --bandwidth 12 --latency 5 --gpus 64 --step-ms 60 --batch-each 128
    maap plan resnet152 --batch 4096 --bandwidth 25    the batch of all ranks is fixed
    maap plan alexnet                                  times an iteration and a sum here

    A model, not a measurement: docs/ranks.md has its equations and what it leaves out.
    """
    if latency is not None and bandwidth is None:
        raise MaapError("--latency: give --bandwidth, too (or neither, and both are measured)")
    if bandwidth is None:
        _check_measuring()
    how = dict(threads=threads, debug=debug)
    step = None if step_ms is None else step_ms / 1e3
    facts = call("maap.scaling.facts:facts_of", net, classes, batch_each, step, gpu, **how)
    if bandwidth is not None:
        far = Link(1e9 * bandwidth, 1e-6 * (5.0 if latency is None else latency))
        origin = "as given"
    else:
        far = _measured(facts, debug)
        origin = "measured between two processes here"
    near = far if local_bandwidth is None else Link(1e9 * local_bandwidth, far.latency)
    machines = Machines(near, far, ranks_per_machine)
    for line in page.lines(facts, machines, most, whole, images, origin):
        click.echo(line)


def _measured(facts: Facts, debug: bool) -> Link:
    """The link between two processes here. Raises MaapError where the net's sums are too short to
    tell."""
    sums: Sums = call("maap.scaling.sums:measured", facts.work.size, debug=debug, processes=2)
    link = sums.link
    if link is None:
        raise MaapError(
            f"with {facts.net} the link cannot be measured: {sums.said}, too little difference to "
            "tell a bandwidth from; give --bandwidth (and --latency)"
        )
    return link


def _check_measuring() -> None:
    """Raises MaapError where no sum can be measured here."""
    try:
        need_ranks(2)
    except MaapError as error:
        raise MaapError(f"a sum is to be measured here: {error}; or give --bandwidth") from None
