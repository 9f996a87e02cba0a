"""CUB-200-2011 as a data set, from its folder or from CUB_200_2011.tgz.

The files used (the data set's own README): images.txt, image_class_labels.txt, classes.txt,
train_test_split.txt and bounding_boxes.txt, each line beginning with an id, and images/.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive
from maap.data.importing.layout import Expected, Item, Layout, Published, check_same_images
from maap.errors import MaapError

if TYPE_CHECKING:
    from maap.data.records import Box

LISTS = (
    "images.txt",
    "image_class_labels.txt",
    "classes.txt",
    "train_test_split.txt",
    "bounding_boxes.txt",
)
WHERE = (
    "get CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158 "
    "(or www.vision.caltech.edu/datasets/cub_200_2011)"
)
CUB = Published("CUB-200-2011", Expected(classes=200, train=5994, test=5794), WHERE, "cub")
_OLD_COUNT = 6033  # images of CUB-200-2010

# images, lists, and the lists of CUB-200-2010, which is then refused by name
_WANTED = r"^(\./)?([^/]+/)?(images/.+\.jpg|lists/.+|[a-z_]+\.txt)$"


def read_cub(source: Path, unpacked: Path) -> Layout:
    """What the lists of CUB-200-2011 say; ``source`` is the folder CUB_200_2011, one that holds it,
    or the .tgz, which is unpacked into ``unpacked``.

    Raises MaapError as `read_lists` does, and for CUB-200-2010.
    """
    if not source.exists():
        raise MaapError(f"{source} does not exist; {WHERE}")
    if source.is_file():
        archive.unpack(source, unpacked, _WANTED, WHERE)
    return read_lists(_find_root(unpacked if source.is_file() else source, source))


def read_lists(root: Path) -> Layout:
    """What the lists of a folder in CUB-200-2011's layout say.

    Raises MaapError when a list is missing or damaged, or the lists contradict each other.
    """
    paths = _read_list(root / "images.txt", 1)
    labels = _read_list(root / "image_class_labels.txt", 1)
    names = _read_list(root / "classes.txt", 1)
    use = _read_list(root / "train_test_split.txt", 1)
    boxes = _read_list(root / "bounding_boxes.txt", 4)
    for table, name in ((labels, LISTS[1]), (use, LISTS[3]), (boxes, LISTS[4])):
        check_same_images(root / name, table, paths, root / LISTS[0])
    index = {identity: number for number, identity in enumerate(names)}
    train: list[Item] = []
    test: list[Item] = []
    for identity, (path,) in paths.items():
        for table, name in ((labels, LISTS[1]), (use, LISTS[3]), (boxes, LISTS[4])):
            if identity not in table:
                raise MaapError(
                    f"{root / name} lacks image {identity} ({path}): the copy is damaged; {WHERE}"
                )
        label, split = labels[identity][0], use[identity][0]
        if label not in index:
            raise MaapError(
                f"{root / LISTS[1]}: image {identity} ({path}) has class {label}, but classes.txt "
                f"has only {len(index)} classes: the copy is damaged; {WHERE}"
            )
        if split not in ("0", "1"):
            raise MaapError(
                f"{root / LISTS[3]}: image {identity} ({path}) has {split!r}, which is neither 1 "
                f"(training) nor 0 (test): the copy is damaged; {WHERE}"
            )
        box = _box(boxes[identity], root, identity)
        item = Item(root / "images" / path, path, index[label], box)
        (train if split == "1" else test).append(item)
    return Layout(train, test, [_class_name(name) for (name,) in names.values()])


def _class_name(raw: str) -> str:
    """ "001.Black_footed_Albatross" as "Black footed Albatross"."""
    return re.sub(r"^\d+\.", "", raw).replace("_", " ")


def _box(values: list[str], root: Path, identity: str) -> "Box":
    try:
        x, y, width, height = (float(value) for value in values)
    except ValueError:
        raise MaapError(
            f"{root / LISTS[4]}: the box of image {identity} is damaged: {' '.join(values)}"
        ) from None
    return x, y, x + width, y + height


def _read_list(path: Path, columns: int) -> dict[str, list[str]]:
    """A list file's lines as {id: the values after it}; the last value keeps its blanks."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise MaapError(f"cannot read {path}: {error.strerror}; {WHERE}") from None
    result: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        values = line.split(maxsplit=columns)
        if not values:
            continue
        if len(values) != columns + 1 or values[0] in result:
            raise MaapError(f"{path}, line {number} is damaged: {line!r}; {WHERE}")
        result[values[0]] = values[1:]
    return result


def _find_root(folder: Path, source: Path) -> Path:
    """The folder with the lists: ``folder`` or one directly below it. Explains what else it may
    be."""
    folders = [folder] + sorted(path for path in folder.iterdir() if path.is_dir())
    for candidate in folders:
        if (candidate / "images.txt").is_file() and (candidate / "images").is_dir():
            missing = [name for name in LISTS if not (candidate / name).is_file()]
            if missing:
                raise MaapError(
                    f"{source} lacks {', '.join(missing)}: the copy is incomplete; {WHERE}"
                )
            return candidate
    for candidate in folders:
        _refuse_2010(candidate, source)
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise MaapError(
        f"{source} is not CUB-200-2011: it has no images.txt with images/ (found {found}); {WHERE}"
    )


def _refuse_2010(folder: Path, source: Path) -> None:
    old = [name for name in ("lists", "annotations-mat", "annotations") if (folder / name).is_dir()]
    count = sum(1 for _ in folder.glob("images/*/*.jpg"))
    named = "200_2010" in f"{source.name}/{folder.name}"
    if not old and count != _OLD_COUNT and not named:
        return
    seen = [f"{name}/" for name in old] + ([f"{count:,} images"] if count else [])
    raise MaapError(
        f"{source} is CUB-200-2010 (found {', '.join(seen) or 'its name'}, no images.txt); the "
        "2011 edition is "
        f"needed: 11,788 images with bounding_boxes.txt; {WHERE}"
    )


import_cub = published_maker(CUB, read_cub)

# The folders of CUB-200-2010 are among the hints: its copies are refused by name.
IMPORTER = Importer(
    name="cub",
    title=CUB.title,
    help="""CUB-200-2011: SOURCE is the folder CUB_200_2011 or its .tgz.

    11,788 images (5,994 for training, 5,794 for testing) of 200 birds, with boxes; the grey images
    among them become colour images.""",
    make=import_cub,
    counted=True,
    marks=("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"),
    hints=("images.txt", "classes.txt", "lists/classes.txt", "annotations-mat"),
    members=("CUB_200",),
    any_archive=True,
)
