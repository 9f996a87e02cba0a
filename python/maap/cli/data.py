"""``maap data``: one command for each importer (`maap.data.importer`)."""

from pathlib import Path
from typing import Any, Callable, Optional

import click

from maap.cli.group import Commands
from maap.cli.options import DEBUG
from maap.data.importer import Importer, importers, set_name
from maap.host.supervise import call


@click.group(cls=Commands)
def data() -> None:
    """Make a data set of square images, in LMDBs that Caffe reads.

    \b
    maap data demo                             built in: birds on photographs
    maap data demo --hard                      built in: small and large animals in clutter
    maap data cub CUB_200_2011.tgz             a data set as published; others: see Commands
    maap data cub DIR --allow-partial          a part of it
    maap data folder DIR                       DIR/train/CLASS/*.jpg [DIR/test/CLASS/*.jpg]
    maap data cub DIR --crop-size 448          stored at 512, for nets with an input of 448
    maap train alexnet --data data/cub         trains on it
    maap data annotated data/cub --out DIR     the same images with their boxes, for SSD

    `maap train --data SOURCE` does this by itself, with any of these sources, and keeps the result
    in its cache. Here the result is a folder of your own.
    """


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        DEBUG,
        click.option(
            "--seed",
            type=int,
            default=1,
            show_default=True,
            help="Random seed of the images' order.",
        ),
        click.option(
            "--crop-size",
            type=int,
            metavar="PIXELS",
            help="Input size of the net that the set is for. It sets --size: 256 for 224 and 227, "
            "512 for 448.",
        ),
        click.option(
            "--size", type=int, metavar="PIXELS", help="Stored width and height. [default: 256]"
        ),
        click.option("--out", metavar="DIR", help="The new data set. [default: data/NAME]"),
    ):
        function = option(function)
    return function


_POLICY = click.option(
    "--policy",
    type=click.Choice(["warp", "short-side"]),
    default="warp",
    show_default=True,
    help="How an image becomes square. warp: resize both sides; proportions change, nothing is "
    "lost. short-side: resize the shorter side to --size and the longer one in proportion, then "
    "cut its ends off, from the boxes too.",
)


_ALLOW_PARTIAL = click.option(
    "--allow-partial",
    is_flag=True,
    help="Import a part of the set: other counts than the published ones are a warning, not an "
    "error. (Lists that contradict each other and missing images stay errors.)",
)


def _command(importer: Importer) -> click.Command:
    """The command of an importer: SOURCE unless it is built in, the options of all, its own."""

    def command(debug: bool, source: str = "", **settings: Any) -> None:
        given = {name: value for name, value in settings.items() if value is not None}
        _make(importer, source, debug=debug, **given)

    for option in reversed(importer.options):
        kind: dict[str, Any] = (
            dict(is_flag=True, default=None) if option.is_flag else dict(type=int)
        )
        command = click.option(option.flag, option.name, help=option.help, **kind)(command)
    if importer.counted:
        command = _ALLOW_PARTIAL(command)
    if not importer.built_in:
        command = click.argument("source")(_options(_POLICY(command)))
    else:
        command = _options(command)
    short = importer.help.split("\n", 1)[0].split(": SOURCE", 1)[0]
    return click.command(importer.name, help=importer.help, short_help=short)(command)


def _make(
    importer: Importer,
    source: str,
    *,
    debug: bool,
    out: Optional[str] = None,
    size: Optional[int] = None,
    crop_size: Optional[int] = None,
    **settings: Any,
) -> None:
    if "policy" in settings:
        settings["policy"] = settings["policy"].replace("-", "_")
    name = set_name(Path(source)) if importer.any_folder else importer.name
    out = out or f"data/{name}"
    sources, sizes = [] if importer.built_in else [source], (size, crop_size)
    target = "maap.data.importer:make_data"
    call(target, importer.name, sources, out, sizes, settings, debug=debug)
    click.echo(f"data set: {out}")


@data.command()
@click.argument("source", metavar="DATASET")
@click.option("--out", metavar="DIR", required=True, help="The new folder.")
@DEBUG
def annotated(source: str, out: str, debug: bool) -> None:
    """Databases with boxes, for SSD's layers.

    DATASET is a data set of this program whose images have true boxes. DIR gets train_lmdb and
    test_lmdb of AnnotatedDatums, which AnnotatedData reads, and labelmap.prototxt: class i has
    label i + 1, 0 is the background.
    """
    call("maap.data.annotated:write_annotated", Path(source), Path(out), debug=debug)
    click.echo(f"annotated data: {out}")


for _importer in importers().values():
    data.add_command(_command(_importer))
