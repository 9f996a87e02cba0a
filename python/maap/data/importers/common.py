"""Image files into a data set: the part that all importers share.

An importer knows a published folder's lists; it reads them into a `Layout`, and `make_set` does the
rest: counts and files are checked, images stored, the folder renamed when it is complete.

Every image is read (a damaged one is an error that names it), fitted to the stored size, and stored
as a JPEG of quality 95 inside a Datum, or raw. Training records are in a shuffled order that
depends on the seed alone, because Caffe's Data layer reads in key order; test records keep the
order they came in."""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

import cv2
import numpy as np

from maap.data import records, write
from maap.data.records import Box, Record
from maap.data.store import Dataset
from maap.data.write import SplitWriter, need_space
from maap.errors import MaapError
from maap.images import pixels
from maap.util import progress

_CHUNK = 64
_BYTES_PER_PIXEL = {"jpeg": 1.0, "raw": 3.0}  # of a stored record, generously


@dataclass(frozen=True)
class Item:
    """An image to import: where it is, its name in the set, its label, its box in its own
    pixels (half-open), and how many pixels of its bottom are no part of the picture."""

    path: Path
    relative: str
    label: int
    box: Optional[Box] = None
    banner: int = 0


@dataclass(frozen=True)
class Layout:
    """What a published folder's lists say: its images and the names of its classes."""

    train: list[Item]
    test: list[Item]
    classes: list[str]


@dataclass(frozen=True)
class Expected:
    """Numbers a complete copy has."""

    classes: int
    train: int
    test: int


@dataclass(frozen=True)
class Storage:
    """How images are stored: ``size`` x ``size`` pixels, ``policy`` "warp" or "short_side" (see
    ``images.fit``), ``encode`` "jpeg" or "raw"; ``orient`` applies EXIF orientations."""

    size: int = 256
    policy: str = "warp"
    encode: str = "jpeg"
    orient: bool = True

    def check(self) -> "Storage":
        """Raises MaapError when a value is none of those."""
        if self.policy not in pixels.POLICIES:
            known = " or ".join(pixels.POLICIES)
            raise MaapError(f"resize policy {self.policy!r} is unknown; use {known}")
        if self.encode not in _BYTES_PER_PIXEL:
            raise MaapError(f"encoding {self.encode!r} is unknown; use jpeg or raw")
        if not 16 <= self.size <= 4096:
            raise MaapError(f"size {self.size} is outside 16 to 4096 pixels")
        return self


def make_set(
    out: Path,
    read: Callable[[Path], Layout],
    storage: Storage,
    *,
    seed: int,
    fields: dict[str, Any],
) -> Dataset:
    """Make the data set ``out`` of what ``read(unpacked)`` lists; what every importer ends in.

    ``unpacked``: a folder that does not exist yet, for what comes out of archives; it is removed
    afterwards. ``fields`` are the manifest's kind, name, note and source. Raises what ``read``
    does, and MaapError for a damaged image, an existing ``out``, a full disk."""
    storage.check()
    with write.making(out) as partial:
        unpacked = partial / "unpacked"
        manifest = write_layout(read(unpacked), partial, storage, seed=seed, fields=fields)
        if unpacked.exists():
            shutil.rmtree(unpacked)
        write.finish(partial, Path(out), manifest)
    return Dataset.open(out)


def write_layout(
    layout: Layout, folder: Path, storage: Storage, *, seed: int, fields: dict[str, Any]
) -> dict[str, Any]:
    """Write both splits into ``folder``; returns the manifest to finish with."""
    train = shuffled(layout.train, seed)
    counts = {
        "train": import_split(folder, "train", train, storage),
        "test": import_split(folder, "test", layout.test, storage),
    }
    how = {"seed": seed, "policy": storage.policy, "encode": storage.encode}
    return {
        **fields,
        "source": {**fields["source"], **how},
        "classes": layout.classes,
        "size": [storage.size, storage.size],
        "mean_subtracted": False,
        "splits": {split: {"count": count} for split, count in counts.items()},
    }


def check_layout(
    layout: Layout, root: Path, name: str, expected: Optional[Expected], where: str
) -> Layout:
    """The layout, if its counts are those ``expected`` (None: any) and its images are there.

    ``name`` is the data set's, ``where`` says where a whole copy can be had. Raises MaapError."""
    found = Expected(len(layout.classes), len(layout.train), len(layout.test))
    if expected is not None and found != expected:
        raise MaapError(
            f"{root} is not the whole {name}: it lists {found.train + found.test:,} images "
            f"({found.train:,} training, {found.test:,} test) of {found.classes} classes, where "
            f"{expected.train + expected.test:,} ({expected.train:,}, {expected.test:,}) of "
            f"{expected.classes} are expected; {where}"
        )
    if found.classes < 2 or not layout.train or not layout.test:
        raise MaapError(
            f"{root} lists {found.train} training and {found.test} test images of {found.classes} "
            "classes: at least two classes and one image of each kind are needed"
        )
    items = layout.train + layout.test
    missing = [item.path for item in items if not item.path.is_file()]
    if missing:
        raise MaapError(
            f"{len(missing)} of {len(items)} images are missing, the first is {missing[0]}: "
            f"unpack the archive again; {where}"
        )
    return layout


def shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """The items in an order that depends on ``seed`` alone."""
    order = np.random.RandomState(seed & 0xFFFFFFFF).permutation(len(items))
    return [items[index] for index in order]


def import_split(folder: Path, name: str, items: Sequence[Item], storage: Storage) -> int:
    """Write ``items`` as split ``name`` of the data set being made in ``folder``; returns the
    count.

    Raises MaapError for a damaged image, or a disk without enough space.
    """
    needed = int(len(items) * storage.size**2 * _BYTES_PER_PIXEL[storage.encode])
    need_space(folder, needed, f"split {name}")
    cv2.setNumThreads(1)
    announced = [
        Record(records.key_for(index, item.relative), item.label, item.relative)
        for index, item in enumerate(items)
    ]
    with (
        SplitWriter(folder, name, announced) as writer,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
        progress.track(f"import {name} images", len(items)) as bar,
    ):
        for begin in range(0, len(items), _CHUNK):
            chunk = items[begin : begin + _CHUNK]
            made = pixels.decode_watched(chunk, partial(_load, storage), pool, progress.say)
            for datum, box in made:
                writer.append(datum, box)
            bar.advance(len(chunk))
    return len(items)


def _load(storage: Storage, item: Item) -> tuple[bytes, Optional[Box]]:
    """The serialised Datum of an item, and its box on the stored image."""
    image = pixels.read(item.path, storage.orient)
    if item.banner:
        image = image[: max(1, image.shape[0] - item.banner)]
    image, box = pixels.fit(image, (storage.size, storage.size), storage.policy, item.box)
    if storage.encode == "jpeg":
        return records.encode_jpeg(image, item.label), box
    return records.encode_pixels(image, item.label), box
