"""Stanford Cars (Krause et al. 2013) as a data set, from its published files.

    cars_train/ cars_test/   00001.jpg ...             (or cars_train.tgz, cars_test.tgz)
    devkit/                  cars_train_annos.mat, cars_meta.mat       (or car_devkit.tgz)
    cars_test_annos_withlabels.mat                     beside them, or in devkit/

Each annotation has a box (bbox_x1 ... bbox_y2, first pixel 1, last pixel included), a class from 1
and a file name. The test annotations inside the published devkit have no classes, so the file with
labels is needed too.
"""

from pathlib import Path

from maap.data.importer import Importer, published_maker
from maap.data.importing import archive, matlab
from maap.data.importing.layout import Expected, Item, Layout, Published
from maap.errors import MaapError

WHERE = (
    "get cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat "
    "(ai.stanford.edu/~jkrause/cars/car_dataset.html)"
)
CARS = Published("Stanford Cars", Expected(classes=196, train=8144, test=8041), WHERE, "cars")
_BOX = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_ARCHIVES = dict(cars_train="cars_train.tgz", cars_test="cars_test.tgz", devkit="car_devkit.tgz")
_TEST_LABELS = ("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat")


def read_cars(source: Path, unpacked: Path) -> Layout:
    """What the annotations say; ``source`` is the folder that holds the published folders or
    archives, which are unpacked into ``unpacked``.

    Raises MaapError when a part is missing or damaged, and for the release in one folder.
    """
    if not source.is_dir():
        raise MaapError(f"{source} is not a folder: give the one that holds cars_train/; {WHERE}")
    if (source / "cars_annos.mat").is_file() and not (source / "devkit").exists():
        raise MaapError(
            f"{source} holds the release in one folder (car_ims/, cars_annos.mat), whose order of "
            f"images is another; the one with cars_train/ and cars_test/ is needed: {WHERE}"
        )
    parts = {name: _part(source, name, unpacked) for name in _ARCHIVES}
    meta = parts["devkit"] / "cars_meta.mat"
    classes = [str(name) for name in matlab.read(meta, "class_names", WHERE)]
    train = parts["devkit"] / "cars_train_annos.mat"
    labelled = [source / name for name in _TEST_LABELS if (source / name).is_file()]
    if not labelled:
        raise MaapError(
            f"{source} lacks {_TEST_LABELS[0]}: the devkit's own test annotations have no classes; "
            f"{WHERE}"
        )
    return Layout(
        _items(train, parts["cars_train"], len(classes)),
        _items(labelled[0], parts["cars_test"], len(classes)),
        classes,
    )


def _part(source: Path, name: str, unpacked: Path) -> Path:
    if (source / name).is_dir():
        return source / name
    packed = source / _ARCHIVES[name]
    if not packed.is_file():
        raise MaapError(f"{source} has neither {name}/ nor {packed.name}; {WHERE}")
    archive.unpack(packed, unpacked, rf"^(\./)?{name}/[^/]+\.(jpg|mat)$", WHERE)
    return unpacked / name


def _items(annotations: Path, folder: Path, classes: int) -> list[Item]:
    table = matlab.read(annotations, "annotations", WHERE)
    items = []
    for *corners, label, name in matlab.fields(
        table, (*_BOX, "class", "fname"), annotations, WHERE
    ):
        number = matlab.whole_number(label, f"the class of {name}", annotations)
        if not 1 <= number <= classes:
            raise MaapError(
                f"{annotations}: {name} has class {number}, but cars_meta.mat names {classes}: the "
                f"copy is damaged; {WHERE}"
            )
        what = f"the box of {name}"
        x1, y1, x2, y2 = (matlab.whole_number(value, what, annotations) for value in corners)
        path = folder / str(name)
        items.append(Item(path, f"{folder.name}/{name}", number - 1, (x1 - 1, y1 - 1, x2, y2)))
    return items


import_cars = published_maker(CARS, read_cars)

IMPORTER = Importer(
    name="cars",
    title=CARS.title,
    help="""Stanford Cars: SOURCE holds cars_train/, cars_test/, devkit/ (or their .tgz) and
    cars_test_annos_withlabels.mat.

    16,185 images (8,144 for training, 8,041 for testing) of 196 models, with boxes.""",
    make=import_cars,
    counted=True,
    marks=("cars_train", "cars_train.tgz", "cars_test", "cars_annos.mat", "car_devkit.tgz"),
    parts=("cars_", "car_devkit"),
)
