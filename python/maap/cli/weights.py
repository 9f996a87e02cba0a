"""``maap weights``: the published ImageNet weights, and how a weights file fits a net."""

import shlex
from pathlib import Path
from typing import Optional

import click

from maap.cli.group import Commands
from maap.errors import MaapError
from maap.nets.folder import find_net
from maap.util.files import file_to_give, given_path, megabytes
from maap.weights import published


@click.group(cls=Commands)
def weights() -> None:
    """The published ImageNet weights, and how a weights file fits a net.

    \b
    maap weights list                       what there is, and from where
    maap weights fetch squeezenet           download (4.7 MB), check, keep in the cache
    maap weights fetch vgg19 --from FILE    check and keep a copy that you have
    maap weights verify                     check what is in the cache
    maap weights use FILE --net vgg19       which layers of a net would start from FILE
    maap weights convert vgg19.pth OUT.caffemodel      torchvision's weights for Caffe

    `maap train NET --weights published` starts from NET's weights, `--weights alexnet` from
    AlexNet's; both download the file if it is not in the cache. A file is used only when its size
    and every published hash are right.
    """


@weights.command("list")
def list_weights() -> None:
    """What there is: file, size, licence, addresses, and whether it is here."""
    for name, each in published.read_table().items():
        size = megabytes(each.size) if each.size else "size not known"
        click.echo(f"{name}: {each.file}, {size}, {published.state(each)}")
        click.echo(f"  {each.about}; licence: {each.license}")
        for url in each.urls:
            click.echo(f"  {url}")


@weights.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    help="A copy of the file that you have, instead of a download.",
)
@click.option("--url", "urls", multiple=True, metavar="URL", help="Try this address first.")
def fetch(name: str, source: Optional[str], urls: tuple[str, ...]) -> None:
    """Download a published file, check it and keep it.

    An interrupted download continues where it stopped.

    A file in the cache that is damaged is fetched again.
    """
    entry = published.named(name)
    given = given_path(source) if source else None
    path = published.fetch(entry, urls, given, replace=True)
    click.echo(f"{path}: {path.stat().st_size:,} bytes, {_hashes(entry)} right")
    word = published.PUBLISHED if entry.called == entry.net else entry.called
    click.echo(f"use it: maap train {entry.net} --weights {word} --data ...")


@weights.command()
@click.argument("files", nargs=-1, metavar="[NAME|FILE]...")
def verify(files: tuple[str, ...]) -> None:
    """Check size and hashes of published files: those named, or all in the cache.

    Any other caffemodel is checked for being whole: every blob has the values its shape needs.
    """
    table = published.read_table()
    wanted = [str(each.path) for each in table.values() if each.path.is_file()]
    for word in files or wanted:
        click.echo(_verified(word, table))
    if not files and not wanted:
        click.echo("no published weights in the cache; maap weights fetch NAME")


def _verified(word: str, table: dict[str, published.Weights]) -> str:
    path = table[word].path if word in table else given_path(word)
    if path.is_dir():
        raise MaapError(f"{path} is a folder: {file_to_give(path, '.caffemodel')}")
    if not path.is_file():
        fix = f"maap weights fetch {word}" if word in table else "give a file or a published name"
        raise MaapError(f"{path}: no such file; {fix}")
    entry = published.identify(path)
    if entry is not None:
        size = path.stat().st_size
        return f"{path}: the published {entry.file}: {size:,} bytes, {_hashes(entry)} right"
    if published.is_foreign(path):
        from maap.weights.conversion import describe

        return f"{path}: none of the published files; {describe(path)}"
    from maap.weights.caffemodel import stored_layers  # Caffe's messages: not for --help

    layers = [layer for layer in stored_layers(path) if layer.shapes]
    return (
        f"{path}: none of the published files; a whole caffemodel with {len(layers)} layers with "
        "weights"
    )


@weights.command()
@click.argument("file")
@click.argument("target", metavar="OUT.caffemodel")
def convert(file: str, target: str) -> None:
    """Write weights FILE of another program as a caffemodel.

    torchvision's (.pth): AlexNet's, VGG19's and ResNet-152's, for the nets alexnet_tv, vgg19_tv and
    resnet152_tv. The first convolution gets the colours' order and scale: the nets take images of
    B, G, R from 0 to 255 with the mean subtracted. SqueezeNet's: the published archive (.tar.gz),
    or the .pkl in it. Neither PyTorch nor the package is needed, and no code in FILE runs.

    `maap train` and `maap weights use` take such a file as it is.
    """
    from maap.weights import conversion  # NumPy and Caffe's messages: not for --help

    net = conversion.convert(given_path(file), given_path(target))
    click.echo(f"{target}: for the net {net}: maap train {net} --weights {shlex.quote(target)}")


@weights.command()
@click.argument("file")
@click.option("--net", metavar="NET", help="A name under prototxt/, or a net folder.")
@click.option("--allow-partial", is_flag=True, help="Also when less than half of NET's layers fit.")
def use(file: str, net: Optional[str], allow_partial: bool) -> None:
    """Say which layers of NET would start from FILE; keep FILE in the cache when it is published.

    Layers are matched by name, as Caffe does. A layer whose shape differs is an error; a file that
    less than half of NET's layers are in is refused as another network's.
    """
    from maap.nets.prototxt import read_net  # Caffe's messages: not for --help
    from maap.weights.caffemodel import check_weights

    path = given_path(file)
    if not path.is_file():
        published.check_word(file, net or "")
        path = published.fetch(published.named(file, net or ""))
    entry = published.identify(path)
    if entry is not None:
        path = published.fetch(entry, source=path)
        click.echo(f"the published {entry.file}: kept as {path}")
    name = net or (entry.net if entry else None)
    if name is None:
        raise MaapError(f"{path}: none of the published files; say for which net: --net NET")
    source = read_net(find_net(name).train_val(False))
    found = check_weights(source, published.as_caffemodel(path, name), allow_partial)
    matched, missing = found["matched"], found["missing"]
    click.echo(f"{len(matched)} of {len(matched) + len(missing)} layers of {name} start from it")
    for title, layers in (
        ("start from it", matched),
        ("start from new weights", missing),
        ("in the file, not in the net", found["unused"]),
    ):
        click.echo(f"  {title}: {', '.join(layers) or 'none'}")
    word = published.PUBLISHED if entry and entry.net == Path(name).name else str(path)
    partial = " --allow-partial" if len(matched) < len(missing) else ""
    words = f"maap train {shlex.quote(name)} --weights {shlex.quote(word)}{partial}"
    click.echo(f"use it: {words} --data ...")


def _hashes(entry: published.Weights) -> str:
    return ", ".join(name.upper() for name in entry.hashes)
