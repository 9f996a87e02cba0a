"""``maap visualize``: what a trained net sees in images, as PNGs and one page."""

from typing import Any, Optional

import click

from maap.cli.options import DEBUG, RUNS_DIR


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--run", "run", metavar="RUN", help="A run. [default: the one last worked on]")
@click.option("--phase", type=int, help="Weights after that phase of the run. [default: the last]")
@click.option("--net", metavar="NET", help="With --weights: the net. [default: alexnet]")
@click.option("--weights", metavar="FILE", help="A .caffemodel, or: published.")
@click.option(
    "--variant",
    type=click.Choice(["baseline", "laap", "haap", "maap"]),
    default="maap",
    show_default=True,
    help="With --weights: what they were trained as.",
)
@click.option(
    "--input-scale", type=float, help="Factor on the pixels the weights were trained with."
)
@click.option(
    "--baseline",
    metavar="RUN|FILE",
    help="Compare with the plain net of that run, or with these weights. "
    "[default: the same weights without Enhancement]",
)
@click.option("--blobs", metavar="A,B,...", help="Which blobs. [default: after each stage]")
@click.option("--out", default="visualize", show_default=True, metavar="DIR")
@RUNS_DIR
@click.option("--gpu", type=int, help="GPU number. [default: the CPU]")
@click.option("--threads", type=int, help="CPU threads. [default: all cores]")
@DEBUG
def visualize(images: Any, threads: Optional[int], debug: bool, **options: Any) -> None:
    """Show what a net sees in images: maps, attention, region, the six D*.

    \b
    maap visualize bird.jpg                                   with the newest run
    maap visualize *.jpg --run RUN --baseline PLAIN_RUN
    maap visualize bird.jpg --net vgg19 --weights FILE.caffemodel

    For each image the average feature map after each stage, without and with Enhancement (the
    paper's figure 2), the attention map A of the Elimination layer, the map binarised, the region
    R and the six modified images. A PNG an image, and all of them on one page, DIR/index.html.
    """
    from maap.host.supervise import call

    target = "maap.report.visualize:draw_images"
    for line in call(target, list(images), options, threads=threads, debug=debug):
        click.echo(line)
