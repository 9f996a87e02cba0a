"""FGVC-Aircraft 2013b (Maji et al. 2013) as a data set, from its folder or its .tar.gz.

    fgvc-aircraft-2013b/data/images/           1025794.jpg ...
    .../variants.txt                           a class (variant) a line
    .../images_variant_{train,val,test}.txt    image and class a line
    .../images_box.txt                         image, xmin ymin xmax ymax; first pixel 1, last too

Trained on: train and val together, as is usual. The bottom 20 pixel rows of an image are a banner
with its copyright, which a classifier must not see; they are cut off.
"""

from pathlib import Path
from typing import Optional

from maap.data.importers import archive, common
from maap.data.importers.common import Expected, Item, Layout, Storage
from maap.data.records import Box
from maap.data.store import Dataset
from maap.errors import MaapError

NAME = "FGVC-Aircraft"
NOTE = "Trained on the published training and validation images; the copyright banner is cut off."
COUNTS = Expected(classes=100, train=3334 + 3333, test=3333)
BANNER = 20  # pixel rows
WHERE = "get fgvc-aircraft-2013b.tar.gz from www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft"
LISTS = (
    "variants.txt",
    "images_variant_train.txt",
    "images_variant_val.txt",
    "images_variant_test.txt",
    "images_box.txt",
)
_WANTED = r"^(\./)?([^/]+/)?data/(images/.+\.jpg|[a-z_]+\.txt)$"


def import_aircraft(
    source: Path,
    out: Path,
    size: int = 256,
    policy: str = "warp",
    *,
    encode: str = "jpeg",
    seed: int = 1,
    expected: Optional[Expected] = COUNTS,
) -> Dataset:
    """Make the data set ``out`` from FGVC-Aircraft's variants; what ``maap data aircraft`` calls.

    source: the folder fgvc-aircraft-2013b, its data/, or the .tar.gz. The rest as for
    ``import_cub``."""
    source = Path(source)
    if not source.exists():
        raise MaapError(f"{source} does not exist; {WHERE}")

    def read(unpacked: Path) -> Layout:
        if source.is_file():
            archive.unpack(source, unpacked, _WANTED, WHERE)
        return read_layout(_find_root(unpacked if source.is_file() else source, source), expected)

    fields = {"kind": "aircraft", "name": NAME, "note": NOTE, "source": {"path": str(source)}}
    storage = Storage(size, policy, encode, orient=False)
    return common.make_set(out, read, storage, seed=seed, fields=fields)


def read_layout(root: Path, expected: Optional[Expected] = COUNTS) -> Layout:
    """What the lists of a data/ folder say. Raises MaapError naming what is missing or damaged."""
    classes = [line for line in _lines(root / LISTS[0]) if line]
    index = {name: number for number, name in enumerate(classes)}
    boxes = {name: _box(text, name, root) for name, text in _pairs(root / LISTS[4])}
    splits: dict[str, list[Item]] = {}
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
    layout = Layout(splits["train"] + splits["val"], splits["test"], classes)
    return common.check_layout(layout, root, NAME, expected, WHERE)


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


def _box(text: str, name: str, root: Path) -> Box:
    try:
        x1, y1, x2, y2 = (float(value) for value in text.split())
    except ValueError:
        raise MaapError(
            f"{root / LISTS[4]}: the box of image {name} is damaged: {text!r}; {WHERE}"
        ) from None
    return x1 - 1, y1 - 1, x2, y2
