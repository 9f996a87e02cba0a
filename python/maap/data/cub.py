"""CUB-200-2011 as a data set, from its folder or from CUB_200_2011.tgz.

The files used (the data set's own README): images.txt, image_class_labels.txt, classes.txt,
train_test_split.txt and bounding_boxes.txt, each line beginning with an id, and images/.
"""

import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from maap import progress
from maap.data import importer, write
from maap.data.importer import Item, Storage
from maap.data.records import Box
from maap.data.store import Dataset
from maap.errors import MaapError

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
_OLD_COUNT = 6033  # images of CUB-200-2010


@dataclass(frozen=True)
class Expected:
    """Numbers a complete copy has."""

    classes: int = 200
    train: int = 5994
    test: int = 5794


def import_cub(
    source: Path,
    out: Path,
    size: int = 256,
    policy: str = "warp",
    *,
    encode: str = "jpeg",
    seed: int = 1,
    expected: Optional[Expected] = Expected(),
) -> Dataset:
    """Make the data set ``out`` from CUB-200-2011; what ``maap data cub`` calls.

    source: the folder CUB_200_2011 (or the one that holds it), or the .tgz. size, policy, encode,
    seed as for ``import_folder``. expected: the counts demanded; None accepts any.
    Raises MaapError when ``source`` is incomplete, is CUB-200-2010, or holds a damaged image; when
    ``out`` exists; when the disk is full."""
    storage = Storage(size, policy, encode, orient=False).check()
    source = Path(source)
    if not source.exists():
        raise MaapError(f"{source} does not exist; {WHERE}")
    with write.making(out) as partial:
        unpacked = partial / "unpacked"
        if source.is_file():
            _unpack(source, unpacked)
        root = _find_root(unpacked if source.is_file() else source, source)
        fields = {
            "kind": "cub",
            "name": "CUB-200-2011",
            "note": "",
            "source": {"path": str(source)},
        }
        manifest = import_layout(
            root, partial, storage, seed=seed, expected=expected, fields=fields
        )
        if unpacked.exists():
            shutil.rmtree(unpacked)
        write.finish(partial, Path(out), manifest)
    return Dataset.open(out)


def import_layout(
    root: Path,
    partial: Path,
    storage: Storage,
    *,
    seed: int,
    expected: Optional[Expected],
    fields: dict[str, Any],
) -> dict[str, Any]:
    """Import a folder in CUB-200-2011's layout into ``partial``; returns the manifest to finish
    with.

    ``fields`` are the manifest's kind, name, note and source.
    """
    train, test, classes = read_layout(root, expected)
    counts = {
        "train": importer.import_split(partial, "train", importer.shuffled(train, seed), storage),
        "test": importer.import_split(partial, "test", test, storage),
    }
    how = {"seed": seed, "policy": storage.policy, "encode": storage.encode}
    return {
        **fields,
        "source": {**fields["source"], **how},
        "classes": classes,
        "size": [storage.size, storage.size],
        "mean_subtracted": False,
        "splits": {split: {"count": count} for split, count in counts.items()},
    }


def read_layout(
    root: Path, expected: Optional[Expected] = Expected()
) -> tuple[list[Item], list[Item], list[str]]:
    """The training items, test items and class names of a folder in CUB-200-2011's layout.

    Raises MaapError when a list is missing or damaged, an image is missing, or counts are not those
    of ``expected``.
    """
    paths = _read_list(root / "images.txt", 1)
    labels = _read_list(root / "image_class_labels.txt", 1)
    names = _read_list(root / "classes.txt", 1)
    use = _read_list(root / "train_test_split.txt", 1)
    boxes = _read_list(root / "bounding_boxes.txt", 4)
    class_ids = list(names)
    index = {identity: number for number, identity in enumerate(class_ids)}
    train: list[Item] = []
    test: list[Item] = []
    for identity, (path,) in paths.items():
        for table, name in ((labels, LISTS[1]), (use, LISTS[3]), (boxes, LISTS[4])):
            if identity not in table:
                raise MaapError(
                    f"{root / name} lacks image {identity} ({path}): the copy is damaged; {WHERE}"
                )
        label = labels[identity][0]
        if label not in index:
            raise MaapError(
                f"{root / LISTS[1]}: image {identity} ({path}) has class {label}, but classes.txt "
                "has "
                f"only {len(index)} classes: the copy is damaged; {WHERE}"
            )
        item = Item(
            root / "images" / path, path, index[label], _box(boxes[identity], root, identity)
        )
        (train if use[identity][0] == "1" else test).append(item)
    _check_counts(root, train, test, class_ids, expected)
    missing = [item.path for item in train + test if not item.path.is_file()]
    if missing:
        raise MaapError(
            f"{len(missing)} of {len(paths)} images are missing, the first is {missing[0]}: "
            "unpack the "
            f"archive again; {WHERE}"
        )
    return train, test, [_class_name(names[identity][0]) for identity in class_ids]


def _check_counts(
    root: Path,
    train: list[Item],
    test: list[Item],
    classes: list[str],
    expected: Optional[Expected],
) -> None:
    found = Expected(len(classes), len(train), len(test))
    if expected is not None and found != expected:
        raise MaapError(
            f"{root} is not the whole CUB-200-2011: it lists {found.train + found.test:,} images "
            f"({found.train:,} training, {found.test:,} test) of {found.classes} classes, where "
            f"{expected.train + expected.test:,} ({expected.train:,}, {expected.test:,}) of "
            f"{expected.classes} are expected; {WHERE}"
        )
    if len(classes) < 2 or not train or not test:
        raise MaapError(
            f"{root} lists {len(train)} training and {len(test)} test images of {len(classes)} "
            "classes: "
            "at least two classes and one image of each kind are needed"
        )


def _class_name(raw: str) -> str:
    """ "001.Black_footed_Albatross" as "Black footed Albatross"."""
    return re.sub(r"^\d+\.", "", raw).replace("_", " ")


def _box(values: list[str], root: Path, identity: str) -> Box:
    try:
        x, y, width, height = (float(value) for value in values)
    except ValueError:
        raise MaapError(
            f"{root / LISTS[4]}: the box of image {identity} is damaged: {values}"
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


def _unpack(archive: Path, into: Path) -> None:
    """Unpack the images and lists; nothing else, and nothing outside ``into``."""
    needed = int(1.1 * archive.stat().st_size)
    write.need_space(into.parent, needed, f"unpacking {archive}")
    wanted = re.compile(r"^(\./)?([^/]+/)?(images/.+\.jpg|lists/.+|[a-z_]+\.txt)$")
    damaged = f"{archive} is not a complete tar archive: download it again; {WHERE}"
    try:
        with tarfile.open(archive) as tar, progress.track(f"unpack {archive.name}") as bar:
            for member in tar:
                if not member.isfile() or not wanted.match(member.name) or ".." in member.name:
                    continue
                target = into / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                with (
                    write.disk_full_is_error(into.parent, str(target)),
                    target.open("wb") as stream,
                ):
                    shutil.copyfileobj(tar.extractfile(member), stream)
                bar.advance()
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MaapError(damaged) from None
    if not into.is_dir():
        raise MaapError(f"{archive} holds no images and lists; {WHERE}")
