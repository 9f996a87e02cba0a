"""Image files into a data set: the part that all importers share.

An importer reads the lists of a published folder into a `Layout`; `make_set` stores the images and
renames the folder when it is complete.

Every image is read (a damaged one is an error that names it), fitted to the stored size, and stored
as a JPEG of quality 95 inside a Datum, or raw. Training records are in a shuffled order that
depends on the seed alone, because Caffe's Data layer reads in key order; test records keep the
order they came in."""

import hashlib
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Callable, Optional

import cv2
import numpy as np

from maap.data import records, write
from maap.data.disk import need_space
from maap.data.importing.copies import Seen, check_copies
from maap.data.importing.layout import Item, Layout
from maap.data.manifest import Manifest
from maap.data.records import Box, Record
from maap.data.store import Dataset
from maap.data.write import SplitWriter
from maap.errors import MaapError
from maap.host.launched import usable_cores
from maap.images import boxes, pixels
from maap.images.structure import orientation
from maap.util import progress

_CHUNK = 64
_BYTES_PER_PIXEL = {"jpeg": 1.0, "raw": 3.0}  # of a stored record, generously


@dataclass(frozen=True)
class About:
    """What a new manifest says of its set: the importer's name, a name and a note for people, and
    what the set was made of (the path, say), to which the storage's settings are added."""

    kind: str
    name: str
    note: str
    source: dict[str, object]


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
    about: About,
) -> Dataset:
    """Make the data set ``out`` of what ``read(unpacked)`` lists; what every importer ends in.

    ``unpacked``: a folder that does not exist yet, for what comes out of archives; it is removed
    afterwards. ``about`` goes into the manifest. Raises what ``read`` does, and MaapError for a
    damaged image, an existing ``out``, a full disk."""
    storage.check()
    with write.making(out) as partial:
        unpacked = partial / "unpacked"
        try:
            manifest = write_layout(read(unpacked), partial, storage, seed=seed, about=about)
        except MaapError as error:  # which may name files that are not there any more afterwards
            raise MaapError(_without(str(error), unpacked, about)) from error.__cause__
        if unpacked.exists():
            shutil.rmtree(unpacked)
        write.finish(partial, Path(out), manifest)
    return Dataset.open(out)


def _without(text: str, unpacked: Path, about: About) -> str:
    """A message with the path in the archive instead of the one that it was unpacked to."""
    source = str(about.source.get("path", "the archive"))
    for folder in (unpacked / "whole", unpacked):
        text = text.replace(str(folder), source)
    return text


def write_layout(
    layout: Layout, folder: Path, storage: Storage, *, seed: int, about: About
) -> Manifest:
    """Write both splits into ``folder``; returns the manifest to finish with.

    A layout that is a part of a published set says so in the manifest's note and source."""
    parts = {"train": shuffled(layout.train, seed), "test": layout.test}
    where = about.source.get("path", about.name)
    seen: list[Seen] = []
    turned: list[Item] = []
    for split, items in parts.items():
        for item, loaded in zip(items, import_split(folder, split, items, storage)):
            seen.append(Seen(split, item, loaded.digest))
            turned += [item] if loaded.turned else []
    _say_turned(turned, storage.orient, where)
    leak = check_copies(seen, layout.classes, where)
    how: dict[str, object] = dict(seed=seed, policy=storage.policy, encode=storage.encode)
    if layout.partial:
        how["partial"] = True
    if layout.left_out:
        how["left_out"] = dict(sorted(layout.left_out.items()))
    if leak:
        how["leak"] = leak
    return {
        "kind": about.kind,
        "name": about.name,
        "note": " ".join(filter(None, [about.note, layout.partial, leak])),
        "source": {**about.source, **how},
        "classes": layout.classes,
        "size": [storage.size, storage.size],
        "mean_subtracted": False,
        "splits": {split: {"count": len(items)} for split, items in parts.items()},
    }


def _say_turned(turned: list[Item], orient: bool, where: object) -> None:
    """Tell what is done with images whose EXIF data says that they are turned or mirrored."""
    if not turned:
        return
    number = len(turned)
    which = "1 image is" if number == 1 else f"{number:,} images are"
    first = f"turned, as EXIF data says (the first is {turned[0].relative})"
    if orient:
        progress.say(f"{where}: {which} {first}: stored upright")
        return
    boxes_too = ", which the set's boxes are for" if turned[0].box is not None else ""
    progress.say(
        f"warning: {where}: {which} {first}: stored with the pixels as they are in the "
        f"file{boxes_too}"
    )


def shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    """The items in an order that depends on ``seed`` alone."""
    order = np.random.RandomState(seed & 0xFFFFFFFF).permutation(len(items))
    return [items[index] for index in order]


@dataclass(frozen=True)
class Loaded:
    """An image as it is stored: the serialised Datum, its box there, a digest of its pixels, and
    whether the file's EXIF data says that it is turned or mirrored."""

    datum: bytes
    box: Optional[Box]
    digest: bytes
    turned: bool


def import_split(folder: Path, name: str, items: Sequence[Item], storage: Storage) -> list[Loaded]:
    """Write ``items`` as split ``name`` of the data set being made in ``folder``; returns what is
    known of each image, without its Datum.

    Raises MaapError for a damaged image, or a disk without enough space.
    """
    needed = int(len(items) * storage.size**2 * _BYTES_PER_PIXEL[storage.encode])
    need_space(folder, needed, f"split {name}")
    cv2.setNumThreads(1)
    announced = [
        Record(records.key_for(index, item.relative), item.label, item.relative)
        for index, item in enumerate(items)
    ]
    stored: list[Loaded] = []
    with (
        SplitWriter(folder, name, announced) as writer,
        ThreadPoolExecutor(usable_cores()) as pool,
        progress.track(f"import {name} images", len(items)) as bar,
    ):
        for begin in range(0, len(items), _CHUNK):
            chunk = items[begin : begin + _CHUNK]
            made = pixels.decode_watched(chunk, partial(_load, storage), pool, progress.say)
            for loaded in made:
                writer.append(loaded.datum, loaded.box)
                stored.append(replace(loaded, datum=b""))
            bar.advance(len(chunk))
    return stored


def _load(storage: Storage, item: Item) -> Loaded:
    """The item's image, read and fitted."""
    data = pixels.load(item.path)
    image = pixels.decode(data, str(item.path), storage.orient)
    if item.box is not None:
        _check_box(item, item.box, image.shape[:2])
    if item.banner:
        image = image[: max(1, image.shape[0] - item.banner)]
    image, box = pixels.fit(image, (storage.size, storage.size), storage.policy, item.box)
    encode = records.encode_jpeg if storage.encode == "jpeg" else records.encode_pixels
    digest = hashlib.blake2b(image, digest_size=16).digest()
    return Loaded(encode(image, item.label), box, digest, orientation(data) != 1)


def _check_box(item: Item, box: Box, size: tuple[int, int]) -> None:
    """Raises MaapError for a box that cannot be of this image of ``size`` (height, width): it is
    empty, or more than half of it is outside. A box that reaches over an edge is clipped later."""
    inside = boxes.area(boxes.intersection(box, boxes.whole(size)))
    if inside <= 0 or 2 * inside < boxes.area(box):
        corners = ", ".join(f"{value:g}" for value in box)
        raise MaapError(
            f"{item.path}: its box ({corners}) does not lie on the image of {size[1]} x {size[0]} "
            "pixels: the lists and the images are of different copies"
        )
