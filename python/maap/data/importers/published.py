"""Which published data set a folder or an archive is, and what imports it."""

import importlib
from pathlib import Path
from typing import Any, Callable

from maap.data.importers.archive import first_names, is_archive

# kind -> module and function; "folder" is any DIR/train/CLASS/*.jpg.
IMPORTERS = {
    "cub": "cub:import_cub",
    "cars": "cars:import_cars",
    "aircraft": "aircraft:import_aircraft",
    "flowers": "flowers:import_flowers",
    "folder": "folder:import_folder",
}
# What tells a published folder; the first that is there decides. Files of a folder, or of one
# directly below it. CUB-200-2010's own folders are among them: its importer refuses it by name.
_MARKS = (
    ("cars", ("cars_train", "cars_train.tgz", "cars_test", "cars_annos.mat", "car_devkit.tgz")),
    ("aircraft", ("images_variant_train.txt", "data/images_variant_train.txt")),
    ("flowers", ("imagelabels.mat", "setid.mat", "102flowers.tgz")),
    ("cub", ("image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")),
    ("cub", ("images.txt", "classes.txt", "lists/classes.txt", "annotations-mat")),
)
_ARCHIVES = (("cars_", "cars"), ("car_devkit", "cars"), ("102flowers", "flowers"))


def recognise(source: Path) -> tuple[str, Path]:
    """(kind, folder or archive to import) for a ``--data`` path that exists.

    A file that is only a part of a published set (102flowers.tgz, cars_train.tgz, a .mat) stands
    for its folder. What is nothing else is "folder", or "cub" for an unknown file, whose importers
    say what is wrong."""
    if source.is_file():
        for start, kind in _ARCHIVES:
            if source.name.startswith(start):
                return kind, source.parent
        if source.suffix == ".mat":
            return recognise(source.parent)
        names = first_names(source) if is_archive(source) else []
        aircraft = any("fgvc-aircraft" in name or "images_variant_" in name for name in names)
        return ("aircraft" if aircraft else "cub"), source
    if (source / "train").is_dir():
        return "folder", source
    for folder in (source, *sorted(path for path in source.iterdir() if path.is_dir())):
        for kind, marks in _MARKS:
            if any((folder / mark).exists() for mark in marks):
                return kind, (folder if kind in ("cars", "flowers") else source)
    return "folder", source


def importer_of(kind: str) -> Callable[..., Any]:
    """The function that makes a data set of that kind: (source, out, size, policy, ...)."""
    module, function = IMPORTERS[kind].split(":")
    return getattr(importlib.import_module(f"maap.data.importers.{module}"), function)
