"""Image files into a data set: the part that CUB, class folders and the demo set share.

Every image is read (a damaged one is an error that names it), fitted to the stored size, and stored
as a JPEG of quality 95 inside a Datum, or raw. Training records are in a shuffled order that
depends on the seed alone, because Caffe's Data layer reads in key order; test records keep the
order they came in."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from maap import progress
from maap.data import images, records
from maap.data.records import Box, Record
from maap.data.write import SplitWriter, need_space
from maap.errors import MaapError

_CHUNK = 64
_BYTES_PER_PIXEL = {"jpeg": 1.0, "raw": 3.0}  # of a stored record, generously


@dataclass(frozen=True)
class Item:
    """An image to import: where it is, its name in the set, its label, its box in its own
    pixels."""

    path: Path
    relative: str
    label: int
    box: Optional[Box] = None


@dataclass(frozen=True)
class Storage:
    """How images are stored: ``size`` x ``size`` pixels, ``policy`` "warp" or "crop", ``encode``
    "jpeg" or "raw"; ``orient`` applies EXIF orientations."""

    size: int = 256
    policy: str = "warp"
    encode: str = "jpeg"
    orient: bool = True

    def check(self) -> "Storage":
        """Raises MaapError when a value is none of those."""
        if self.policy not in images.POLICIES:
            raise MaapError(f"resize policy {self.policy!r} is unknown; use warp or crop")
        if self.encode not in _BYTES_PER_PIXEL:
            raise MaapError(f"encoding {self.encode!r} is unknown; use jpeg or raw")
        if not 16 <= self.size <= 4096:
            raise MaapError(f"size {self.size} is outside 16 to 4096 pixels")
        return self


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
            made = images.decode_watched(chunk, partial(_load, storage), pool, progress.say)
            for datum, box in made:
                writer.append(datum, box)
            bar.advance(len(chunk))
    return len(items)


def _load(storage: Storage, item: Item) -> tuple[bytes, Optional[Box]]:
    """The serialised Datum of an item, and its box on the stored image."""
    image = images.read(item.path, storage.orient)
    image, box = images.fit(image, (storage.size, storage.size), storage.policy, item.box)
    if storage.encode == "jpeg":
        return records.encode_jpeg(image, item.label), box
    return records.encode_pixels(image, item.label), box
