"""Batches for training and testing, prepared while Caffe computes and repeatable to the bit.

What ``Feeder`` gives is a function of (seed, iteration) alone: the order of an epoch comes
from (seed, epoch), crops and mirroring from (seed, iteration). A run resumed at iteration k
therefore sees the batches that the uninterrupted one saw. numpy's RandomState is used because its
streams never change between versions.

Several ranks (``host/ranks.py``) share the images out. In training an iteration has one batch for
all, ``ranks`` times as large, of which rank r takes the r-th part: the same images and crops as of
one rank with that batch. In a test, whole batches are dealt out: rank r has r, r + ranks ...

Worker processes (``maap.host.workers``) decode and transform ahead of the network into shared
memory; taking a batch costs the caller one copy of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from maap.data.store import Split
from maap.data.views import Place, View
from maap.errors import MaapError
from maap.host import workers
from maap.images import render
from maap.util.text import times

_ORDER, _CROPS = 1, 2  # what a random stream is for


@dataclass(frozen=True)
class Transform:
    """Caffe's transform_param: crop, mirror, subtract the mean, multiply by the scale, in that
    order.

    crop_size: pixels of the square crop, 0 = the whole image. mirror: half of the training images
    are flipped. mean: None, (3,) per channel BGR, or (3, H, W) as large as the stored images
    (cropped and flipped with them). scale: factor on the result."""

    crop_size: int = 0
    mirror: bool = False
    mean: Optional[np.ndarray] = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.mean is not None:
            mean = np.asarray(self.mean, np.float32)
            if mean.shape not in ((3,), (1,)) and not (mean.ndim == 3 and mean.shape[0] == 3):
                raise MaapError(
                    f"the mean has the shape {times(mean.shape)}; it must be 3 or 3 x H x W"
                )
            object.__setattr__(self, "mean", mean)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of what comes out for stored images of ``size``.

        Raises MaapError when the crop does not fit or a mean image has another size.
        """
        if self.crop_size > min(size):
            raise MaapError(
                f"crop_size {self.crop_size} is larger than the stored images ({size[0]} x "
                f"{size[1]}): make the "
                f"data set again with --size {self.crop_size} or more"
            )
        if self.mean is not None and self.mean.ndim == 3 and self.mean.shape[1:] != tuple(size):
            raise MaapError(
                f"the mean image has {self.mean.shape[1]} x {self.mean.shape[2]} pixels, the "
                "stored images "
                f"{size[0]} x {size[1]}: use the mean of this data set or mean values"
            )
        return (self.crop_size, self.crop_size) if self.crop_size else size

    def centre(self, size: tuple[int, int]) -> tuple[int, int]:
        """Top and left of the centre crop: (H - crop) / 2 rounded down, as Caffe does."""
        crop = self.output_size(size)
        return (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2

    def apply(
        self,
        image: np.ndarray,
        at: Optional[tuple[int, int]] = None,
        flip: bool = False,
        out: Optional[np.ndarray] = None,
    ) -> np.ndarray:
        """The network's input (3, h, w) float32 for a stored image (H, W, 3) BGR.

        ``at`` is the crop's top and left (centre when None); ``flip`` mirrors it. ``out`` takes the
        result."""
        size = image.shape[:2]
        top, left = at if at is not None else self.centre(size)
        height, width = self.output_size(size)
        part = image[top : top + height, left : left + width].transpose(2, 0, 1)
        if out is None:
            out = np.empty((3, height, width), np.float32)
        target = out[:, :, ::-1] if flip else out
        if self.mean is None:
            target[...] = part
        elif self.mean.ndim == 1:
            np.subtract(part, self.mean.reshape(-1, 1, 1), out=target)
        else:
            mean = self.mean[:, top : top + height, left : left + width]
            np.subtract(part, mean, out=target)
        if self.scale != 1.0:
            target *= np.float32(self.scale)
        return out


def _random(seed: int, purpose: int, number: int) -> np.random.RandomState:
    low, high = seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF
    return np.random.RandomState([low, high, purpose, number & 0xFFFFFFFF])


@dataclass(frozen=True)
class Plan:
    """Which image goes where: everything about the batches but their pixels."""

    length: int
    batch: int
    seed: int
    train: bool
    view: View = View()  # of a test
    rank: int = 0  # whose part of the images this is
    ranks: int = 1

    @property
    def _mine(self) -> slice:
        """Of a training batch of all ranks, this one's part."""
        return slice(self.rank * self.batch, (self.rank + 1) * self.batch)

    def _first(self, iteration: int) -> int:
        """The first slot of this rank's batch among those of all ranks, which follow one another:
        the parts of a training batch, or a test's whole batches."""
        return (iteration * self.ranks + self.rank) * self.batch

    def _wanted(self, iteration: int) -> np.ndarray:
        """The slots of batch ``iteration``, (batch,); a test's last batch repeats its last one."""
        wanted = np.arange(self._first(iteration), self._first(iteration) + self.batch)
        return wanted if self.train else np.minimum(wanted, self.slots - 1)

    @property
    def slots(self) -> int:
        """Slots of one pass over a test split: each image's crops stand next to each other."""
        return self.length * self.view.crops

    def indices(self, iteration: int) -> np.ndarray:
        """The records of batch ``iteration``, (batch,); a test's last batch repeats its last
        record."""
        wanted = self._wanted(iteration)
        if not self.train:
            return wanted // self.view.crops
        epochs = wanted // self.length
        result = np.empty(self.batch, np.int64)
        for epoch in np.unique(epochs):
            order = _random(self.seed, _ORDER, int(epoch)).permutation(self.length)
            here = epochs == epoch
            result[here] = order[wanted[here] % self.length]
        return result

    def batches(self) -> int:
        """This rank's batches of one pass over a test split."""
        whole = -(-self.slots // self.batch)
        return len(range(self.rank, whole, self.ranks))

    def valid(self, iteration: int) -> int:
        """How many slots of the batch hold images of their own (all, when training)."""
        if self.train:
            return self.batch
        return max(0, min(self.batch, self.slots - self._first(iteration)))

    def placement(self, iteration: int, transform: Transform, size: tuple[int, int]) -> list[Place]:
        """Per slot: top and left of the crop, and whether it is flipped."""
        crop = transform.output_size(size)
        if not self.train:
            places = self.view.places(size, crop)
            return [places[slot % len(places)] for slot in self._wanted(iteration)]
        random, count = _random(self.seed, _CROPS, iteration), self.batch * self.ranks
        tops = random.randint(0, size[0] - crop[0] + 1, count)
        lefts = random.randint(0, size[1] - crop[1] + 1, count)
        flips = random.randint(0, 2, count).astype(bool) & transform.mirror
        mine = zip(tops[self._mine], lefts[self._mine], flips[self._mine])
        return [((int(y), int(x)), bool(f)) for y, x, f in mine]


def _batch_bytes(batch: int, size: tuple[int, int]) -> int:
    return batch * 3 * size[0] * size[1] * 4


def _serve(
    connection: Connection,
    source: tuple[str, str],
    transform: Transform,
    plan: Plan,
    fds: list[int],
) -> None:
    """A worker's life: fill the shared slot asked for with the batch asked for."""
    cv2.setNumThreads(1)
    split = Split.open(Path(source[0]), source[1])
    size = transform.output_size(split.size)
    total = _batch_bytes(plan.batch, size)
    blocks = [workers.SharedBlock(total, fd) for fd in fds]
    slots = [
        np.frombuffer(block.memory, np.float32).reshape(plan.batch, 3, *size) for block in blocks
    ]

    def fill(request: tuple[int, int]) -> int:
        iteration, slot = request
        places = plan.placement(iteration, transform, split.size)
        last = -1
        for position, index in enumerate(map(int, plan.indices(iteration))):
            if index != last:
                image, last = _image(split, index, plan.view), index
            at, flip = places[position]
            transform.apply(image, at, flip, slots[slot][position])
        return iteration

    workers.serve(connection, fill)


def _image(split: Split, index: int, view: View) -> np.ndarray:
    """A record's image, or the part of it that the view shows, at the stored size."""
    image, _ = split.read(index)
    if image.shape != (*split.size, 3):
        raise MaapError(
            f"{split.folder}: {split.records[index].path} is stored with shape "
            f"{times(image.shape)}, the set's size is {times(split.size)}: make the data set again"
        )
    return image if view.boxes is None else render.crop(image, view.boxes[index])


class Feeder:
    """Batches of a split, one after the other; see the module's text for what is guaranteed.

    train=True: shuffled epochs without end, random crops, mirroring when the transform says so,
    from iteration ``start`` on. train=False: the records in order, as ``view`` says (the centre
    crop, or each image's ten crops in consecutive slots); the last batch is padded with its last
    crop and ``valid`` says how many slots count; then StopIteration. rank, ranks: whose part of
    the images this is, of batches of ``batch`` images a rank. A split whose records have the
    mean subtracted already is fed with the transform's mean left out.
    Raises MaapError for a crop that does not fit and, from ``next``, for a damaged record.
    """

    def __init__(
        self,
        split: Split,
        transform: Transform,
        batch: int,
        seed: int,
        start: int = 0,
        *,
        train: bool = True,
        view: Optional[View] = None,
        processes: int = 1,
        prefetch: int = 3,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if batch < 1 or start < 0 or processes < 1 or prefetch < 1:
            raise MaapError(f"batch {batch} or start {start} is out of range")
        if split.mean_subtracted:
            transform = replace(transform, mean=None)
        self.split, self.transform = split, transform
        self.plan = Plan(len(split), batch, seed, train, view or View(), rank, ranks)
        self.size = transform.output_size(split.size)
        if not train:
            self.plan.view.places(split.size, self.size)  # refuses crops that are all the same
        self.iteration = start
        self.valid = 0
        self._labels = np.array([record.label for record in split.records], np.float32)
        self._requested = start
        self._last = None if train else self.plan.batches()
        self._blocks: list[workers.SharedBlock] = []
        self._workers: list[workers.Worker] = []
        try:
            self._begin(processes, max(prefetch, processes))
        except BaseException:
            self.close()
            raise

    def _begin(self, processes: int, prefetch: int) -> None:
        total = _batch_bytes(self.plan.batch, self.size)
        self._blocks = [workers.SharedBlock(total) for _ in range(prefetch)]
        fds = [block.fd for block in self._blocks]
        source = (str(self.split.folder), self.split.name)
        args = (source, self.transform, self.plan, fds)
        for number in range(processes):
            name = f"feeder {number}"
            self._workers.append(workers.start("maap.data.feeder:_serve", args, name, fds))
        for _ in range(prefetch):
            self._request()

    def _request(self) -> None:
        iteration = self._requested
        if self._last is None or iteration < self._last:
            worker = self._workers[iteration % len(self._workers)]
            worker.send((iteration, iteration % len(self._blocks)))
        self._requested += 1

    def next(self, out: Optional[np.ndarray] = None) -> tuple[np.ndarray, np.ndarray]:
        """The next batch: data (N, 3, h, w) float32 and labels (N,) float32.

        ``out``, a network's input blob, say, takes the data without another copy; else a new array
        does.
        Raises StopIteration at the end of a test, MaapError for a damaged record or a worker that
        died."""
        if not self._workers:
            raise MaapError("the feeder is closed")
        if self._last is not None and self.iteration >= self._last:
            raise StopIteration
        worker = self._workers[self.iteration % len(self._workers)]
        workers.answer(worker)
        shape = (self.plan.batch, 3, *self.size)
        block = self._blocks[self.iteration % len(self._blocks)]
        filled = np.frombuffer(block.memory, np.float32).reshape(shape)
        if out is None:
            out = filled.copy()
        else:
            out[...] = filled
        labels = self._labels[self.plan.indices(self.iteration)]
        self.valid = self.plan.valid(self.iteration)
        self.iteration += 1
        self._request()
        return out, labels

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        return self.next()

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self

    def close(self) -> None:
        """End the workers and give the shared memory back."""
        workers.close_all(self._workers)
        self._workers = []
        for block in self._blocks:
            block.close()
        self._blocks = []

    def __enter__(self) -> "Feeder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_workers", None):
            self.close()
