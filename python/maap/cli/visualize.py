"""``maap visualize``: what a trained net sees in images, as PNGs and one page."""

from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import ATTENTION, DEBUG, GPU, PHASE, REGION, RUNS_DIR, THREADS, WEIGHTS
from maap.host.supervise import call
from maap.runs.request import Request


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--run", metavar="RUN", help="A run's name or folder. [default: the one last worked on]"
)
@PHASE
@WEIGHTS
@ATTENTION
@click.option(
    "--baseline",
    metavar="RUN|FILE",
    help="Compare with the net of that run, or with these weights. "
    "[default: the same weights without Enhancement]",
)
@click.option("--blobs", metavar="A,B,...", help="Which blobs. [default: after each stage]")
@click.option("--out", default="visualize", show_default=True, metavar="DIR")
@REGION
@RUNS_DIR
@GPU
@THREADS
@DEBUG
def visualize(
    images: tuple[str, ...],
    out: str,
    blobs: Optional[str],
    baseline: Optional[str],
    threads: Optional[int],
    debug: bool,
    **options: Any,
) -> None:
    """Show what a net sees in images: maps, attention, region, each D*.

    \b
    maap visualize bird.jpg                                   with the run last worked on
    maap visualize *.jpg --run RUN --baseline PLAIN_RUN
    maap visualize bird.jpg --net vgg19 --weights FILE.caffemodel

    For each image you see the average feature map after each stage, without and with Enhancement
    (the paper's figure 2), the attention map A of the Elimination layer, the map binarised, the
    region R and the modified images D*. DIR holds a PNG for each image, and index.html with all
    of them.
    """
    request = Request(**options)
    request.check(own_weights=True)
    target, rest = "maap.report.visualize:draw_images", (Path(out), blobs, baseline)
    for line in call(target, list(images), request, *rest, threads=threads, debug=debug):
        click.echo(line)
