"""FGVC-Aircraft 2013b (Maji et al. 2013) as a data set, from its folder or an archive.

    fgvc-aircraft-2013b/data/images/           1025794.jpg ...
    .../variants.txt                           a class (variant) a line
    .../images_variant_{train,val,test}.txt    image and class a line
    .../images_box.txt                         image, xmin ymin xmax ymax; first pixel 1, last too

Training uses train and val together, as is usual. The bottom 20 pixel rows of an image are a banner
with its copyright, which a classifier must not see; they are cut off.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive
from maap.data.importing.layout import Expected, Item, Layout, Published, check_same_images
from maap.data.importing.lists import inner_path, read_lines, read_table
from maap.data.importing.tree import folders, readable
from maap.errors import MaapError

if TYPE_CHECKING:
    from maap.data.records import Box

NOTE = "Trained on the published training and validation images; the copyright banner is cut off."
COUNTS = Expected(classes=100, train=3334 + 3333, test=3333)
BANNER = 20  # pixel rows
WHERE = "get fgvc-aircraft-2013b.tar.gz from www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft"
AIRCRAFT = Published("FGVC-Aircraft", COUNTS, WHERE, "aircraft")
LISTS = (
    "variants.txt",
    "images_variant_train.txt",
    "images_variant_val.txt",
    "images_variant_test.txt",
    "images_box.txt",
)
_WANTED = r"(?i)^([^/]+/){0,2}data/(images/.+\.jpg|[a-z_]+\.txt)$"
_WRAPPED = 3  # folders that a download may be wrapped in


def read_aircraft(source: Path, unpacked: Path) -> Layout:
    """What the lists of FGVC-Aircraft's variants say; ``source`` is the folder
    fgvc-aircraft-2013b, its data/, one that holds it, or the archive, which is unpacked into
    ``unpacked``.

    Raises MaapError naming what is missing, damaged or contradicts another list.
    """
    if not source.exists():
        raise MaapError(f"{source} does not exist; {WHERE}")
    if source.is_file():
        archive.unpack(source, unpacked, _WANTED, WHERE)
    return _read_lists(_find_root(unpacked if source.is_file() else source, source))


def _read_lists(root: Path) -> Layout:
    classes = [line for line in read_lines(root / LISTS[0], WHERE) if line]
    index = {name: number for number, name in enumerate(classes)}
    if len(index) < len(classes):
        twice = next(name for number, name in enumerate(classes) if index[name] != number)
        raise MaapError(f"{root / LISTS[0]} has variant {twice!r} twice: remove one; {WHERE}")
    listed_boxes = read_table(root / LISTS[4], 1, WHERE)
    boxes = {name: _box(text, name, root) for name, (text,) in listed_boxes.items()}
    splits: dict[str, list[Item]] = {}
    listed: list[str] = []
    for split in ("train", "val", "test"):
        path = root / f"images_variant_{split}.txt"
        splits[split] = []
        for name, (variant,) in read_table(path, 1, WHERE).items():
            if variant not in index:
                raise MaapError(
                    f"{path}: image {name} has variant {variant!r}, which variants.txt lacks: the "
                    f"copy is damaged; {WHERE}"
                )
            if name not in boxes:
                raise MaapError(f"{root / LISTS[4]} lacks image {name}; {WHERE}")
            relative = inner_path(f"{name}.jpg", path, WHERE)
            picture = root / "images" / relative
            splits[split].append(Item(picture, relative, index[variant], boxes[name], BANNER))
            listed.append(name)
    check_same_images(root / LISTS[4], boxes, listed, root / "images_variant_*.txt")
    names = [readable(name) for name in classes]
    return Layout(splits["train"] + splits["val"], splits["test"], names)


def _find_root(folder: Path, source: Path) -> Path:
    """The folder with the lists and images/: ``folder`` or one below."""
    for candidate in folders(folder, _WRAPPED):
        if (candidate / LISTS[1]).is_file() or (candidate / LISTS[0]).is_file():
            missing = [name for name in LISTS if not (candidate / name).is_file()]
            if not (candidate / "images").is_dir():
                missing.append("images/")
            if missing:
                raise MaapError(f"{source} lacks {', '.join(missing)}; {WHERE}")
            return candidate
    raise MaapError(f"{source} is not FGVC-Aircraft: it has no data/{LISTS[1]}; {WHERE}")


def _box(text: str, name: str, root: Path) -> "Box":
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split())
    except ValueError:
        raise MaapError(
            f"{root / LISTS[4]}: the box of image {name} is damaged: {text!r}; {WHERE}"
        ) from None
    return x1 - 1, y1 - 1, x2, y2


import_aircraft = published_maker(AIRCRAFT, read_aircraft, NOTE)

IMPORTER = Importer(
    name="aircraft",
    title=AIRCRAFT.title,
    help="""FGVC-Aircraft: SOURCE is the folder fgvc-aircraft-2013b or its .tar.gz (or a
    .zip of it).

    10,000 images (6,667 for training: the published train and val; 3,333 for testing) of 100
    variants, with boxes. The bottom 20 pixel rows, a banner with the copyright, are cut off.""",
    make=import_aircraft,
    counted=True,
    boxed=True,
    marks=("images_variant_train.txt", "data/images_variant_train.txt"),
    members=("fgvc-aircraft", "images_variant_"),
)
