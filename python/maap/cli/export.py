"""``maap export``: a trained net as an ONNX file."""

from pathlib import Path
from typing import Any, Optional

import click

from maap.cli.options import DATA, DEBUG, RUN, RUNS_DIR, THREADS, WEIGHTS, together
from maap.errors import MaapError
from maap.host.supervise import call
from maap.runs.request import Request

_SUBJECT = together(RUN(), WEIGHTS, DATA, THREADS, RUNS_DIR, DEBUG)


@click.command()
@_SUBJECT
@click.option("--phase", type=int, help="Weights after that phase of the run. [default: the last]")
@click.option(
    "--out", metavar="FILE.onnx", help="The file. [default: deploy.onnx in the run's folder]"
)
@click.option(
    "--batch", metavar="INTEGER|dynamic", default="dynamic", show_default=True,
    help="Images in one pass.",
)  # fmt: skip
@click.option("--opset", type=int, help="Version of ONNX's operators. [default: 17]")
def export(
    out: Optional[str],
    batch: str,
    opset: Optional[int],
    threads: Optional[int],
    debug: bool,
    **options: Any,
) -> None:
    """Write a trained net as ONNX, and compare it with the engine blob by blob.

    \b
    maap export RUN                                with the last weights of a run
    maap export RUN --out bird.onnx --batch 1
    maap export --net alexnet --weights FILE --out alexnet.onnx

    The net is run in ONNX Runtime on random inputs and on test images; a difference above 1e-4 of a
    blob's largest value is an error. Needs the packages onnx and onnxruntime. RUN is the name of a
    run, or its folder.
    """
    request = Request(**options)
    request.check()
    if batch != "dynamic" and not (batch.isascii() and batch.isdigit() and int(batch)):
        raise MaapError(f"--batch {batch}: give a number of images, or dynamic")
    size = batch if batch == "dynamic" else int(batch)
    target = "maap.measure.export:export_net"
    path = Path(out) if out else None
    for line in call(target, request, path, size, opset, threads=threads, debug=debug):
        click.echo(line)
