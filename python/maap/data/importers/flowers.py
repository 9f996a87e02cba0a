"""Oxford Flowers-102 (Nilsback and Zisserman 2008) as a data set, from its published files.

    jpg/                image_00001.jpg ...     (or 102flowers.tgz)
    imagelabels.mat     labels: the class of each image, from 1
    setid.mat           trnid, valid, tstid: the images of each split, from 1

Trained on: trnid and valid together (10 images a class each), tested on tstid, as published. There
are no boxes, and the classes have numbers for names.
"""

from pathlib import Path
from typing import Optional

from maap.data.importers import archive, common, matlab
from maap.data.importers.common import Expected, Item, Layout, Storage
from maap.data.store import Dataset
from maap.errors import MaapError

NAME = "Flowers-102"
NOTE = "Trained on the published training and validation images, 20 a class; there are no boxes."
COUNTS = Expected(classes=102, train=1020 + 1020, test=6149)
WHERE = (
    "get 102flowers.tgz, imagelabels.mat and setid.mat from "
    "www.robots.ox.ac.uk/~vgg/data/flowers/102"
)
_ARCHIVE = "102flowers.tgz"


def import_flowers(
    source: Path,
    out: Path,
    size: int = 256,
    policy: str = "warp",
    *,
    encode: str = "jpeg",
    seed: int = 1,
    expected: Optional[Expected] = COUNTS,
) -> Dataset:
    """Make the data set ``out`` from Flowers-102; what ``maap data flowers`` calls.

    source: the folder that holds jpg/ or 102flowers.tgz, imagelabels.mat and setid.mat. The rest as
    for ``import_cub``."""
    source = Path(source)
    if not source.is_dir():
        raise MaapError(f"{source} is no folder: give the one that holds jpg/; {WHERE}")

    def read(unpacked: Path) -> Layout:
        return read_layout(source, unpacked, expected)

    fields = {"kind": "flowers", "name": NAME, "note": NOTE, "source": {"path": str(source)}}
    storage = Storage(size, policy, encode, orient=False)
    return common.make_set(out, read, storage, seed=seed, fields=fields)


def read_layout(source: Path, unpacked: Path, expected: Optional[Expected]) -> Layout:
    """What the lists say; an archive in ``source`` is unpacked into ``unpacked``."""
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
    layout = Layout(items(("trnid", "valid")), items(("tstid",)), classes)
    return common.check_layout(layout, source, NAME, expected, WHERE)


def _item(number: int, labels: list[int], pictures: Path, lists: Path) -> Item:
    if not 1 <= number <= len(labels):
        raise MaapError(
            f"{lists} names image {number}, but imagelabels.mat has {len(labels)}: the files are "
            f"of different copies; {WHERE}"
        )
    name = f"image_{number:05d}.jpg"
    return Item(pictures / name, name, labels[number - 1] - 1)
