"""``maap data``: data sets from the built-in demo, from published folders, from class folders."""

from pathlib import Path
from typing import Any, Callable, Optional

import click

from maap.cli.options import DEBUG, Verbs


@click.group(cls=Verbs)
def data() -> None:
    """Make a data set of square images, in LMDBs that Caffe reads.

    \b
    maap data demo                             built in: birds on photographs
    maap data cub CUB_200_2011.tgz             and cars, aircraft, flowers, as published
    maap data folder DIR                       DIR/train/CLASS/*.jpg [DIR/test/CLASS/*.jpg]
    maap data cub DIR --crop-size 448          stored at 512, for nets with an input of 448
    maap train alexnet --data data/cub         trains on it

    `maap train --data` does this by itself, whichever of these it is given; here the result is a
    folder of your own.
    """


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        DEBUG,
        click.option("--seed", type=int, default=1, show_default=True, help="Of the order."),
        click.option(
            "--crop-size",
            type=int,
            metavar="PIXELS",
            help="Input of the net it is for: sets --size, to 256 for 224 and 227, 512 for 448.",
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
    help="How an image becomes square. warp: both sides are resized, proportions change, nothing "
    "is lost. short-side: the shorter side is resized to --size, the longer one in proportion, and "
    "the centre is kept; what is beyond it is cut off, from the boxes too.",
)


def _make(
    target: str,
    out: str,
    debug: bool,
    *args: Any,
    size: Optional[int],
    crop_size: Optional[int],
    **settings: Any,
) -> None:
    from maap.host.supervise import call
    from maap.images.pixels import stored_size

    if size is None:
        size = stored_size(crop_size or 0)
    if "policy" in settings:
        settings["policy"] = settings["policy"].replace("-", "_")
    call(
        "maap.training.verbs:make_data",
        target,
        args,
        dict(settings, size=size, out=out),
        debug=debug,
    )
    click.echo(f"data set: {out}")


@data.command()
@_options
@click.option("--species", type=int, help="How many classes.")
@click.option("--train", "per_species_train", type=int, help="Training images of each species.")
@click.option("--test", "per_species_test", type=int, help="Test images of each species.")
def demo(out: Optional[str], debug: bool, **settings: Any) -> None:
    """Bird cut-outs on photographs (downloaded from Debian once).

    The numbers left out are those of the set that `maap train` uses.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    sizes = {name: settings[name] for name in ("size", "crop_size")}
    _make("maap.data.importers.demo:make_demo", out or "data/demo", debug, **{**given, **sizes})


@data.command()
@click.argument("source")
@_options
@_POLICY
def folder(source: str, out: Optional[str], debug: bool, **settings: Any) -> None:
    """Images in folders: SOURCE/train/CLASS/*.jpg and, if there is one, SOURCE/test/CLASS/*.jpg.

    Without a test folder a fifth of each class, chosen by the seed, is for testing.
    """
    default = f"data/{Path(source).resolve().name}"
    _make("maap.data.importers.folder:import_folder", out or default, debug, source, **settings)


def _published(kind: str, text: str) -> None:
    """A verb for a published data set."""

    @data.command(kind, help=text)
    @click.argument("source")
    @_options
    @_POLICY
    def command(source: str, out: Optional[str], debug: bool, **settings: Any) -> None:
        from maap.data.importers.published import IMPORTERS

        _make(
            f"maap.data.importers.{IMPORTERS[kind]}",
            out or f"data/{kind}",
            debug,
            source,
            **settings,
        )


_published(
    "cub",
    """CUB-200-2011: SOURCE is the folder CUB_200_2011 or its .tgz.

    11,788 images (5,994 for training, 5,794 for testing) of 200 birds, with boxes; the counts are
    checked, the grey images among them become colour images.""",
)
_published(
    "cars",
    """Stanford Cars: SOURCE holds cars_train/, cars_test/, devkit/ (or their .tgz) and
    cars_test_annos_withlabels.mat.

    16,185 images (8,144 for training, 8,041 for testing) of 196 models, with boxes.""",
)
_published(
    "aircraft",
    """FGVC-Aircraft: SOURCE is the folder fgvc-aircraft-2013b or its .tar.gz.

    10,000 images (6,667 for training: the published train and val; 3,333 for testing) of 100
    variants, with boxes. The bottom 20 pixel rows, a banner with the copyright, are cut off.""",
)
_published(
    "flowers",
    """Flowers-102: SOURCE holds jpg/ (or 102flowers.tgz), imagelabels.mat and setid.mat.

    8,189 images (2,040 for training: the published trnid and valid; 6,149 for testing) of 102
    flowers. No boxes are published.""",
)
