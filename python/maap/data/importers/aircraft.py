"""FGVC-Aircraft 2013b (Maji et al. 2013) as a data set, from its folder or its .tar.gz.

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
_WANTED = r"^(\./)?([^/]+/)?data/(images/.+\.jpg|[a-z_]+\.txt)$"


def read_aircraft(source: Path, unpacked: Path) -> Layout:
    """What the lists of FGVC-Aircraft's variants say; ``source`` is the folder
    fgvc-aircraft-2013b, its data/, or the .tar.gz, which is unpacked into ``unpacked``.

    Raises MaapError naming what is missing, damaged or contradicts another list.
    """
    if not source.exists():
        raise MaapError(f"{source} does not exist; {WHERE}")
    if source.is_file():
        archive.unpack(source, unpacked, _WANTED, WHERE)
    return _read_lists(_find_root(unpacked if source.is_file() else source, source))


def _read_lists(root: Path) -> Layout:
    classes = [line for line in _lines(root / LISTS[0]) if line]
    index = {name: number for number, name in enumerate(classes)}
    boxes = {name: _box(text, name, root) for name, text in _pairs(root / LISTS[4])}
    splits: dict[str, list[Item]] = {}
    listed: list[str] = []
    for split in ("train", "val", "test"):
        path = root / f"images_variant_{split}.txt"
        splits[split] = []
        for name, variant in _pairs(path):
            if variant not in index:
                raise MaapError(
                    f"{path}: image {name} has variant {variant!r}, which variants.txt lacks: the "
                    f"copy is damaged; {WHERE}"
                )
            if name not in boxes:
                raise MaapError(f"{root / LISTS[4]} lacks image {name}; {WHERE}")
            picture = root / "images" / f"{name}.jpg"
            relative = f"{name}.jpg"
            splits[split].append(Item(picture, relative, index[variant], boxes[name], BANNER))
            listed.append(name)
    check_same_images(root / LISTS[4], boxes, listed, root / "images_variant_*.txt")
    return Layout(splits["train"] + splits["val"], splits["test"], classes)


def _find_root(folder: Path, source: Path) -> Path:
    """The folder with the lists and images/: ``folder``, its data/, or data/ in one below."""
    below = [path / "data" for path in sorted(folder.iterdir()) if path.is_dir()]
    for candidate in (folder, folder / "data", *below):
        if (candidate / LISTS[1]).is_file() or (candidate / LISTS[0]).is_file():
            missing = [name for name in LISTS if not (candidate / name).is_file()]
            if not (candidate / "images").is_dir():
                missing.append("images/")
            if missing:
                raise MaapError(f"{source} lacks {', '.join(missing)}; {WHERE}")
            return candidate
    raise MaapError(f"{source} is not FGVC-Aircraft: it has no data/{LISTS[1]}; {WHERE}")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise MaapError(f"cannot read {path}: {error.strerror}; {WHERE}") from None


def _pairs(path: Path) -> list[tuple[str, str]]:
    """(first word, the rest) of each line."""
    result = []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        parts = line.strip().split(maxsplit=1)
        if len(parts) != 2:
            raise MaapError(f"{path}, line {number} is damaged: {line!r}; {WHERE}")
        result.append((parts[0], parts[1]))
    return result


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
    help="""FGVC-Aircraft: SOURCE is the folder fgvc-aircraft-2013b or its .tar.gz.

    10,000 images (6,667 for training: the published train and val; 3,333 for testing) of 100
    variants, with boxes. The bottom 20 pixel rows, a banner with the copyright, are cut off.""",
    make=import_aircraft,
    counted=True,
    marks=("images_variant_train.txt", "data/images_variant_train.txt"),
    members=("fgvc-aircraft", "images_variant_"),
)
