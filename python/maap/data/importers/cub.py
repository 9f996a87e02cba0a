"""CUB-200-2011 as a data set, from its folder or from CUB_200_2011.tgz (or a .zip of it).

The files used (the data set's own README): images.txt, image_class_labels.txt, classes.txt,
train_test_split.txt and bounding_boxes.txt, each line beginning with an id, and images/.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive
from maap.data.importing.layout import Expected, Item, Layout, Published, check_same_images
from maap.data.importing.lists import inner_path, read_table
from maap.data.importing.tree import entries, folders, leftover, readable
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
_WRAPPED = 2  # folders that a download may be wrapped in
CUB = Published("CUB-200-2011", Expected(classes=200, train=5994, test=5794), WHERE, "cub")
_OLD_COUNT = 6033  # images of CUB-200-2010

# images, lists, and the lists of CUB-200-2010, which is then refused by name
_WANTED = r"(?i)^([^/]+/){0,2}(images/.+\.jpg|lists/.+|[a-z_]+\.txt)$"


def read_cub(source: Path, unpacked: Path) -> Layout:
    """What the lists of CUB-200-2011 say; ``source`` is the folder CUB_200_2011, one that holds it,
    or the archive, which is unpacked into ``unpacked``.

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
    paths = read_table(root / "images.txt", 1, WHERE)
    labels = read_table(root / "image_class_labels.txt", 1, WHERE)
    names = read_table(root / "classes.txt", 1, WHERE)
    use = read_table(root / "train_test_split.txt", 1, WHERE)
    boxes = read_table(root / "bounding_boxes.txt", 4, WHERE)
    for table, name in ((labels, LISTS[1]), (use, LISTS[3]), (boxes, LISTS[4])):
        check_same_images(root / name, table, paths, root / LISTS[0])
    index = {identity: number for number, identity in enumerate(names)}
    train: list[Item] = []
    test: list[Item] = []
    for identity, (listed,) in paths.items():
        path = inner_path(listed, root / LISTS[0], WHERE)
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
    return re.sub(r"^\d+\.", "", readable(raw)).replace("_", " ")


def _box(values: list[str], root: Path, identity: str) -> "Box":
    try:
        x, y, width, height = (float(value) for value in values)
    except ValueError:
        raise MaapError(
            f"{root / LISTS[4]}: the box of image {identity} is damaged: {' '.join(values)}"
        ) from None
    return x, y, x + width, y + height


def _find_root(folder: Path, source: Path) -> Path:
    """The folder with the lists: ``folder`` or one below it. Explains what else it may be."""
    candidates = list(_candidates(folder))
    for candidate in candidates:
        if (candidate / "images.txt").is_file() and (candidate / "images").is_dir():
            missing = [name for name in LISTS if not (candidate / name).is_file()]
            if missing:
                raise MaapError(
                    f"{source} lacks {', '.join(missing)}: the copy is incomplete; {WHERE}"
                )
            return candidate
    for candidate in candidates:
        _refuse_2010(candidate, source)
    names = [path.name for path in entries(folder) if leftover(path.name) is None]
    found = ", ".join(names[:8]) or "nothing"
    raise MaapError(
        f"{source} is not CUB-200-2011: it has no images.txt with images/ (found {found}); {WHERE}"
    )


def _candidates(folder: Path) -> list[Path]:
    """``folder`` and those below it, but not the classes in images/."""
    return [each for each in folders(folder, _WRAPPED) if each.parent.name != "images"]


def _refuse_2010(folder: Path, source: Path) -> None:
    old = [name for name in ("lists", "annotations-mat", "annotations") if (folder / name).is_dir()]
    count = sum(leftover(path.name) is None for path in folder.glob("images/*/*.jpg"))
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
    help="""CUB-200-2011: SOURCE is the folder CUB_200_2011 or its .tgz (or a .zip of it).

    11,788 images (5,994 for training, 5,794 for testing) of 200 birds, with boxes; the grey images
    among them become colour images.""",
    make=import_cub,
    counted=True,
    boxed=True,
    marks=("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt"),
    hints=("images.txt", "classes.txt", "lists/classes.txt", "annotations-mat"),
    members=("CUB_200", *LISTS, "lists/classes.txt", "001.Black_footed_Albatross"),
)
