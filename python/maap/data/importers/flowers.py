"""Oxford Flowers-102 (Nilsback and Zisserman 2008) as a data set, from its published files.

    jpg/                image_00001.jpg ...     (or 102flowers.tgz)
    imagelabels.mat     labels: the class of each image, from 1
    setid.mat           trnid, valid, tstid: the images of each split, from 1

Training uses trnid and valid together (10 images a class each), the test tstid, as published. There
are no boxes, and the classes have numbers for names.
"""

from pathlib import Path
from typing import Optional

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive, matlab
from maap.data.importing.layout import Expected, Item, Layout, Published
from maap.data.importing.tree import entries, folders
from maap.errors import MaapError

NOTE = "Trained on the published training and validation images, 20 a class; there are no boxes."
COUNTS = Expected(classes=102, train=1020 + 1020, test=6149)
WHERE = (
    "get 102flowers.tgz, imagelabels.mat and setid.mat from "
    "www.robots.ox.ac.uk/~vgg/data/flowers/102"
)
FLOWERS = Published("Flowers-102", COUNTS, WHERE, "flowers")
_ARCHIVE = "102flowers.tgz"
_WANTED = r"(?i)^([^/]+/){0,3}[^/]+\.(jpg|mat)$"
_WRAPPED = 3  # folders that a copy may have around its parts


def read_flowers(source: Path, unpacked: Path) -> Layout:
    """What the lists say; ``source`` is the folder that holds jpg/ or 102flowers.tgz (unpacked into
    ``unpacked``), imagelabels.mat and setid.mat, or an archive of all of it.

    Raises MaapError naming what is missing, damaged or contradicts another list.
    """
    if source.is_file() and source.name.lower().startswith(IMPORTER.parts):
        source = source.parent
    if not source.exists():
        raise MaapError(f"{source} is not a folder: give the one that holds jpg/; {WHERE}")
    if source.is_file():
        archive.unpack(source, unpacked / "whole", _WANTED, WHERE)
    root = _find_root(unpacked / "whole" if source.is_file() else source)
    path = root / "imagelabels.mat"
    labels = [
        matlab.whole_number(value, f"label {number}", path)
        for number, value in enumerate(matlab.read(path, "labels", WHERE), start=1)
    ]
    if min(labels) < 1:
        raise MaapError(f"{path}: label {min(labels)} is below 1: the copy is damaged; {WHERE}")
    lists = root / "setid.mat"
    sets = {
        name: [matlab.whole_number(v, name, lists) for v in matlab.read(lists, name, WHERE)]
        for name in ("trnid", "valid", "tstid")
    }
    pictures = _pictures(root, source, unpacked)

    def items(names: tuple[str, ...]) -> list[Item]:
        return [_item(number, labels, pictures, lists) for name in names for number in sets[name]]

    classes = [f"flower {number:03d}" for number in range(1, max(labels) + 1)]
    return Layout(items(("trnid", "valid")), items(("tstid",)), classes)


def _find_root(folder: Path) -> Path:
    """The folder with the lists: ``folder`` or one below it; ``folder`` when there is none."""
    found = (f for f in folders(folder, _WRAPPED) if (f / "imagelabels.mat").is_file())
    return next(found, folder)


def _pictures(root: Path, source: Path, unpacked: Path) -> Path:
    """The folder with the images, unpacked first where it is an archive."""
    found = _find_pictures(root)
    if found is not None:
        return found
    stem = _ARCHIVE.split(".")[0]
    packed = [p for p in entries(root) if p.name.lower().split(".")[0] == stem and p.is_file()]
    if not packed:
        raise MaapError(f"{source} has neither jpg/ nor {_ARCHIVE}; {WHERE}")
    archive.unpack(packed[0], unpacked / "jpg", _WANTED, WHERE)
    return _find_pictures(unpacked) or unpacked / "jpg"


def _find_pictures(root: Path) -> Optional[Path]:
    """The folder jpg/ that holds image_00001.jpg ..., or else the first one called jpg/."""
    named = [f for f in folders(root, _WRAPPED) if f.name.lower() == "jpg"]
    filled = (f for f in named if any(p.suffix.lower() == ".jpg" for p in entries(f)))
    return next(filled, named[0] if named else None)


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
    members=("imagelabels.mat", "jpg/image_"),
)
