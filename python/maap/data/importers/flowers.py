"""Oxford Flowers-102 (Nilsback and Zisserman 2008) as a data set, from its published files.

    jpg/                image_00001.jpg ...     (or 102flowers.tgz)
    imagelabels.mat     labels: the class of each image, from 1
    setid.mat           trnid, valid, tstid: the images of each split, from 1

Training uses trnid and valid together (10 images a class each), the test tstid, as published. There
are no boxes, and the classes have numbers for names.
"""

from pathlib import Path

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive, matlab
from maap.data.importing.layout import Expected, Item, Layout, Published
from maap.errors import MaapError

NOTE = "Trained on the published training and validation images, 20 a class; there are no boxes."
COUNTS = Expected(classes=102, train=1020 + 1020, test=6149)
WHERE = (
    "get 102flowers.tgz, imagelabels.mat and setid.mat from "
    "www.robots.ox.ac.uk/~vgg/data/flowers/102"
)
FLOWERS = Published("Flowers-102", COUNTS, WHERE, "flowers")
_ARCHIVE = "102flowers.tgz"


def read_flowers(source: Path, unpacked: Path) -> Layout:
    """What the lists say; ``source`` is the folder that holds jpg/ or 102flowers.tgz (unpacked into
    ``unpacked``), imagelabels.mat and setid.mat.

    Raises MaapError naming what is missing, damaged or contradicts another list.
    """
    if not source.is_dir():
        raise MaapError(f"{source} is not a folder: give the one that holds jpg/; {WHERE}")
    path = source / "imagelabels.mat"
    labels = [
        matlab.whole_number(value, f"label {number}", path)
        for number, value in enumerate(matlab.read(path, "labels", WHERE), start=1)
    ]
    if min(labels) < 1:
        raise MaapError(f"{path}: label {min(labels)} is below 1: the copy is damaged; {WHERE}")
    lists = source / "setid.mat"
    sets = {
        name: [matlab.whole_number(v, name, lists) for v in matlab.read(lists, name, WHERE)]
        for name in ("trnid", "valid", "tstid")
    }
    pictures = source / "jpg"
    if not pictures.is_dir():
        if not (source / _ARCHIVE).is_file():
            raise MaapError(f"{source} has neither jpg/ nor {_ARCHIVE}; {WHERE}")
        archive.unpack(source / _ARCHIVE, unpacked, r"^(\./)?jpg/[^/]+\.jpg$", WHERE)
        pictures = unpacked / "jpg"

    def items(names: tuple[str, ...]) -> list[Item]:
        return [_item(number, labels, pictures, lists) for name in names for number in sets[name]]

    classes = [f"flower {number:03d}" for number in range(1, max(labels) + 1)]
    return Layout(items(("trnid", "valid")), items(("tstid",)), classes)


def _item(number: int, labels: list[int], pictures: Path, lists: Path) -> Item:
    if not 1 <= number <= len(labels):
        raise MaapError(
            f"{lists} names image {number}, but imagelabels.mat has {len(labels)}: the files are "
            f"of different copies; {WHERE}"
        )
    name = f"image_{number:05d}.jpg"
    return Item(pictures / name, name, labels[number - 1] - 1)


import_flowers = published_maker(FLOWERS, read_flowers, NOTE)

IMPORTER = Importer(
    name="flowers",
    title=FLOWERS.title,
    help="""Flowers-102: SOURCE holds jpg/ (or 102flowers.tgz), imagelabels.mat and setid.mat.

    8,189 images (2,040 for training: the published trnid and valid; 6,149 for testing) of 102
    flowers. No boxes are published.""",
    make=import_flowers,
    counted=True,
    marks=("imagelabels.mat", "setid.mat", "102flowers.tgz"),
    parts=("102flowers",),
)
