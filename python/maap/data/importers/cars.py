"""Stanford Cars (Krause et al. 2013) as a data set, from its published files.

    cars_train/ cars_test/   00001.jpg ...             (or cars_train.tgz, cars_test.tgz)
    devkit/                  cars_train_annos.mat, cars_meta.mat       (or car_devkit.tgz)
    cars_test_annos_withlabels.mat                     beside them, or in devkit/

Each annotation has a box (bbox_x1 ... bbox_y2, first pixel 1, last pixel included), a class from 1
and a file name. The test annotations inside the published devkit have no classes, so the file with
labels is needed too. The original address is gone. Other copies have folders of the same name in
each other (cars_train/cars_train/, car_devkit/devkit/), which are read as well.
"""

import re
from pathlib import Path
from typing import Optional

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive, matlab
from maap.data.importing.layout import Expected, Item, Layout, Published
from maap.data.importing.lists import inner_path
from maap.data.importing.tree import entries, folders, leftover
from maap.errors import MaapError

# As of pytorch/vision's documentation (torchvision.datasets.StanfordCars) and its issue 7545.
WHERE = (
    "the original address (ai.stanford.edu/~jkrause/cars) is gone; get the images from "
    "www.kaggle.com/datasets/jessicali9530/stanford-cars-dataset; github.com/pytorch/vision/"
    "issues/7545 says where car_devkit.tgz and cars_test_annos_withlabels.mat are"
)
CARS = Published("Stanford Cars", Expected(classes=196, train=8144, test=8041), WHERE, "cars")
_BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_ARCHIVES = dict(cars_train="cars_train.tgz", cars_test="cars_test.tgz", devkit="car_devkit.tgz")
_TEST_LABELS = "cars_test_annos_withlabels.mat"
_WANTED = r"(?i)^([^/]+/){0,4}[^/]+\.(jpg|mat)$"
_WRAPPED = 3  # folders that a copy may have around its parts


def read_cars(source: Path, unpacked: Path) -> Layout:
    """What the annotations say; ``source`` is the folder that holds the published folders or
    archives (unpacked into ``unpacked``), or an archive of all of it.

    Raises MaapError when a part is missing or damaged, and for the release in one folder.
    """
    root = _root(source, unpacked)
    if (root / "cars_annos.mat").is_file() and not any(_find(root, name) for name in _ARCHIVES):
        raise MaapError(
            f"{source} holds the release in one folder (car_ims/, cars_annos.mat), whose order of "
            f"images is another; the one with cars_train/ and cars_test/ is needed: {WHERE}"
        )
    parts = {name: _part(root, source, name, unpacked) for name in _ARCHIVES}
    meta = parts["devkit"] / "cars_meta.mat"
    classes = [str(name).strip() for name in matlab.read(meta, "class_names", WHERE)]
    labels = _test_labels(root) or _test_labels(parts["devkit"])
    if labels is None:
        raise MaapError(
            f"{source} lacks {_TEST_LABELS}: the devkit's own test annotations have no classes; "
            f"{WHERE}"
        )
    train = parts["devkit"] / "cars_train_annos.mat"
    return Layout(
        _items(train, parts["cars_train"], "cars_train", len(classes)),
        _items(labels, parts["cars_test"], "cars_test", len(classes)),
        classes,
    )


def _root(source: Path, unpacked: Path) -> Path:
    """The folder to read; an archive of one part stands for the folder that holds it."""
    if source.is_file() and source.name.lower().startswith(IMPORTER.parts):
        return source.parent
    if source.is_file():
        whole = unpacked / "whole"
        archive.unpack(source, whole, _WANTED, WHERE)
        return whole
    if not source.is_dir():
        raise MaapError(f"{source} is not a folder: give the one that holds cars_train/; {WHERE}")
    return source


def _part(root: Path, source: Path, name: str, unpacked: Path) -> Path:
    """The folder with the files of a part, unpacked first where it is an archive."""
    found = _find(root, name)
    if found is not None:
        return found
    stem = _ARCHIVES[name].split(".")[0]
    packed = [p for p in entries(root) if p.name.lower().split(".")[0] == stem and p.is_file()]
    if not packed:
        raise MaapError(f"{source} has neither {name}/ nor {_ARCHIVES[name]}; {WHERE}")
    archive.unpack(packed[0], unpacked / name, _WANTED, WHERE)
    return _find(unpacked, name) or unpacked / name


def _find(root: Path, name: str) -> Optional[Path]:
    """The folder called ``name``, in any case, that holds the part's files; if none does, the first
    one of that name."""
    suffix = ".mat" if name == "devkit" else ".jpg"
    named = None
    for folder in folders(root, _WRAPPED):
        inside = folder.name.lower() == name or folder.parent.name.lower() == name
        if folder.name.lower() == name and named is None:
            named = folder
        if inside and any(path.suffix.lower() == suffix for path in _files(folder)):
            return folder
    return named


def _test_labels(root: Path) -> Optional[Path]:
    """The file with the test labels, also as a browser names a second copy of it, " (1)"."""
    pattern = re.compile(r"cars_test_annos_withlabels( ?\(\d+\))?\.mat", re.I)
    found = [path for folder in folders(root, _WRAPPED) for path in _files(folder, pattern)]
    return found[0] if found else None


def _files(folder: Path, pattern: Optional["re.Pattern[str]"] = None) -> list[Path]:
    return [
        path
        for path in entries(folder)
        if leftover(path.name) is None
        and (pattern is None or pattern.fullmatch(path.name))
        and path.is_file()
    ]


def _items(annotations: Path, folder: Path, part: str, classes: int) -> list[Item]:
    table = matlab.read(annotations, "annotations", WHERE)
    items = []
    for *corners, label, listed in matlab.fields(
        table, (*_BOX, "class", "fname"), annotations, WHERE
    ):
        name = inner_path(str(listed).strip(), annotations, WHERE)
        number = matlab.whole_number(label, f"the class of {name}", annotations)
        if not 1 <= number <= classes:
            raise MaapError(
                f"{annotations}: {name} has class {number}, but cars_meta.mat names {classes}: the "
                f"copy is damaged; {WHERE}"
            )
        what = f"the box of {name}"
        x1, y1, x2, y2 = (matlab.whole_number(value, what, annotations) for value in corners)
        items.append(Item(folder / name, f"{part}/{name}", number - 1, (x1 - 1, y1 - 1, x2, y2)))
    return items


import_cars = published_maker(CARS, read_cars)

IMPORTER = Importer(
    name="cars",
    title=CARS.title,
    help="""Stanford Cars: SOURCE holds cars_train/, cars_test/, devkit/ (or their .tgz) and
    cars_test_annos_withlabels.mat.

    16,185 images (8,144 for training, 8,041 for testing) of 196 models, with boxes. Folders in
    folders, as Kaggle has them (cars_train/cars_train/, car_devkit/devkit/), and a .zip of all of
    it are read as well.""",
    make=import_cars,
    counted=True,
    boxed=True,
    marks=(
        "cars_train",
        "cars_train.tgz",
        "cars_test",
        "cars_annos.mat",
        "car_devkit",
        "car_devkit.tgz",
    ),
    parts=("cars_", "car_devkit"),
    members=("cars_train/", "cars_test/", "car_devkit/"),
)
