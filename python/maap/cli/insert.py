"""``maap insert``."""

import math
from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import DEBUG
from maap.errors import MaapError
from maap.host.supervise import call
from maap.nets.request import InsertRequest


@click.command()
@click.argument("net", metavar="NET.prototxt")
@click.option("--enhance-after", metavar="LAYER", help="Put Enhancement (LAAP) behind this layer.")
@click.option(
    "--eliminate-after", metavar="LAYER", help="Give Elimination (HAAP) this layer's map."
)
@click.option("--dry-run", is_flag=True, help="List the layers with their maps; write nothing.")
@click.option("--out", metavar="DIR", help="The new net folder.")
@click.option("--input-size", type=int, help="Width and height of the input, if NET does not say.")
@click.option("--mean", metavar="B,G,R", help="Mean to subtract from the pixels.")
@click.option("--solver", metavar="FILE", help="Take the solver's numbers from this prototxt.")
@click.option("--keep-classifier", is_flag=True, help="Do not rename the classifier.")
@DEBUG
def insert(
    net: str,
    mean: Optional[str],
    out: Optional[str],
    solver: Optional[str],
    debug: bool,
    **named: Any,
) -> None:
    """Put the attention layers into a classification network of your own.

    \b
    maap insert NET.prototxt --dry-run             where they could go, and where best
    maap insert NET.prototxt --out DIR             there
    maap train --net-dir DIR --data photos/

    NET.prototxt is a train_val or a deploy prototxt. DIR becomes a net folder as prototxt/alexnet
    is one: train_val, deploy, rewrite and solvers, with Enhancement and without. What is not named
    goes where --dry-run recommends: behind the first and the last map of 13 x 13 or more that every
    path from the images to the classifier passes through.
    """
    if named["input_size"] is not None and named["input_size"] < 8:
        raise MaapError(f"--input-size {named['input_size']}: give at least 8 pixels")
    request = InsertRequest(
        file=Path(net),
        out=Path(out) if out else None,
        mean=_mean(mean),
        solver=Path(solver) if solver else None,
        **named,
    )
    for line in call("maap.nets.insert:insert", request, threads=1, debug=debug):
        click.echo(line)


def _mean(text: Optional[str]) -> Optional[list[float]]:
    if text is None:
        return None
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3) or not all(map(math.isfinite, values)):
        raise MaapError(f"--mean {text!r}: give one number, or three as 104,117,123 (B, G, R)")
    return values
