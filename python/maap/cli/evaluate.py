"""``maap evaluate`` and ``maap rewrite``: a trained net applied to a data set."""

from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import (
    ATTENTION,
    BATCH,
    DATA,
    DEBUG,
    GPU,
    PHASE,
    RANKS,
    REGION,
    RUN,
    RUNS_DIR,
    THREADS,
    WEIGHTS,
    together,
)
from maap.config.fields import A_STARS, REGIONS
from maap.host.supervise import call
from maap.runs.request import Request

_SUBJECT = together(
    RUN(), PHASE, WEIGHTS, DATA, ATTENTION, REGION, BATCH, GPU, THREADS, RANKS, RUNS_DIR, DEBUG
)


@click.command()
@_SUBJECT
@click.option(
    "--crops",
    type=click.Choice(["1", "10"]),
    default="1",
    show_default=True,
    help="1: the centre of each image. 10: the mean over corners, centre and their mirror images.",
)
@click.option("--predictions", metavar="FILE.csv", help="Write a row for each image.")
@click.option("--out", metavar="DIR", help="Write all tables there: CSV and JSON.")
def evaluate(
    threads: Optional[int],
    ranks: int,
    debug: bool,
    crops: str,
    predictions: Optional[str],
    out: Optional[str],
    **options: Any,
) -> None:
    """Measure accuracy on the test images, and how well the regions fit the true boxes.

    \b
    maap evaluate RUN                              with the last weights of a run
    maap evaluate --weights FILE --data DATA       with weights from elsewhere
    maap evaluate RUN --crops 10 --out DIR         confusion matrix, classes, images as CSV
    maap evaluate RUN --component strongest        with regions found in another way

    RUN is the name of a run, or its folder.
    """
    request = Request(**options)
    request.check()
    files = [Path(name) if name else None for name in (predictions, out)]
    target = "maap.measure.command:evaluate"
    how = dict(threads=threads, debug=debug, processes=ranks)
    for line in call(target, request, int(crops), *files, **how):
        click.echo(line)


@click.command()
@_SUBJECT
@click.option("--out", required=True, metavar="DIR", help="Folder of the new data set.")
@click.option("--a-star", type=click.Choice(A_STARS), help="How attention changes an image.")
@click.option(
    "--regions",
    type=click.Choice(REGIONS),
    help="What images are cut by, as for train. [default: the run's, or found]",
)
def rewrite(out: str, threads: Optional[int], ranks: int, debug: bool, **options: Any) -> None:
    """Write the training images as a trained net attends to them.

    \b
    maap rewrite RUN --out DIR                     with the last weights of a run
    maap rewrite --weights FILE --data DATA --out DIR

    RUN is the name of a run, or its folder.
    """
    request = Request(**options)
    request.check()
    target = "maap.rewrite.command:rewrite_images"
    how = dict(threads=threads, debug=debug, processes=ranks)
    click.echo(call(target, request, Path(out), **how))
