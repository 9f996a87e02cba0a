"""The part of rewriting that needs no network: decode and resize before the forward pass, render
D* after it.

Runs in worker processes (`workers.py`). Images and maps travel in shared memory, one `Slot` per
batch in flight; the messages are a few numbers, so that neither side ever waits for the other to
read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from maap.data.feeder import Transform
from maap.data.records import encode_pixels
from maap.data.store import Split
from maap.errors import MaapError
from maap.host.workers import SharedBlock, serve
from maap.images import render
from maap.images.a_star import find_a_star
from maap.images.boxes import Box
from maap.util.text import times


@dataclass(frozen=True)
class Job:
    """What workers have to know once; sizes are (height, width)."""

    folder: str  # of the data set
    split: str
    batch: int
    stored: tuple[int, int]  # size of the stored images
    net_input: tuple[int, int]
    mean: Optional[np.ndarray]  # (3,) or (3,h,w), None = 0; of a transform
    scale: float
    a_star: str = ""  # "" = only load, nothing is rendered

    @classmethod
    def of(
        cls, split: Split, size: tuple[int, int], transform: Transform, batch: int, a_star: str = ""
    ) -> "Job":
        """The job of feeding `split` whole to a net whose input is of `size`."""
        return cls(
            folder=str(split.folder),
            split=split.name,
            batch=batch,
            stored=tuple(split.size),
            net_input=tuple(size),
            mean=transform.mean,
            scale=float(transform.scale),
            a_star=a_star,
        )


_DATUM_HEAD = 128  # bytes, more than a Datum's fields other than its pixels take


def datum_capacity(size: tuple[int, int]) -> int:
    """Bytes that hold one serialised Datum of three channels, floats included."""
    return size[0] * size[1] * 3 * 5 + _DATUM_HEAD


class Slot:
    """The shared memory of one batch in flight, as arrays.

    images: (N,3,h,w) float32, the network's input. regions: (N,4) int32, R on the stored image.
    attention: (N,h,w) float32. thresholds: (N,) float32, what attention is compared with; infinite
    where nothing is to be dropped. stats: (N,5) float32. records: bytes, the serialised Datums one
    after the other.
    """

    def __init__(self, job: Job, fd: int = -1):
        n, (h, w) = job.batch, job.net_input
        sizes = [n * 3 * h * w * 4, n * 4 * 4, n * 4, n * h * w * 4 if job.a_star else 0]
        sizes.append(n * datum_capacity(job.stored) if job.a_star else 0)
        self.block = SharedBlock(sum(sizes), fd)
        ends = np.cumsum([0] + sizes)
        memory = np.frombuffer(self.block.memory, np.uint8)
        parts = [memory[a:b] for a, b in zip(ends[:-1], ends[1:])]
        self.images = parts[0].view(np.float32).reshape(n, 3, h, w)
        self.regions = parts[1].view(np.int32).reshape(n, 4)
        self.thresholds = parts[2].view(np.float32)
        self.attention = parts[3].view(np.float32).reshape(-1, h, w)
        self.records = parts[4]
        self.stats = np.zeros((n, 5), np.float32)  # not shared: workers have no use for it


class Handler:
    """Answers the two messages: ("load", batch number, slot, record indices) and ("render", batch
    number, slot)."""

    def __init__(self, job: Job, slots: list[Slot]):
        self.job = job
        self.slots = slots
        self.split = Split.open(Path(job.folder), job.split)
        mean = None if self.split.mean_subtracted else job.mean
        self.mean_input = self._planes(mean, job.net_input)
        self.mean_stored = self._planes(mean, job.stored)
        self.loaded: dict[int, list[tuple[np.ndarray, int]]] = {}  # between load and render

    @staticmethod
    def _planes(mean: render.Mean, size: tuple[int, int]) -> np.ndarray:
        return render.mean_image(mean, *size).transpose(2, 0, 1)

    def __call__(self, message: tuple) -> object:
        return getattr(self, message[0])(*message[1:])

    def load(self, number: int, slot: int, indices: list[int]) -> None:
        """Fills slot.images: whole stored images resized to the net's input, mean
        subtracted, scaled. Short batches are padded with their last image."""
        out = self.slots[slot].images
        images = [self._read(index) for index in indices]
        for n in range(self.job.batch):
            if n >= len(images):
                out[n] = out[len(images) - 1]
                continue
            resized = render.resize(images[n][0], *self.job.net_input)
            np.subtract(resized.transpose(2, 0, 1), self.mean_input, out=out[n])
            if self.job.scale != 1:
                out[n] *= np.float32(self.job.scale)
        if self.job.a_star:
            self.loaded[number] = images

    def render(self, number: int, slot: int) -> list[int]:
        """Fills slot.records with the batch's Datums from its regions and attention; returns their
        lengths.

        Pixels are stored raw: no second lossy compression, and nothing to decode in phase 2."""
        part, at, lengths = self.slots[slot], 0, []
        soft = find_a_star(self.job.a_star).needs_attention
        for n, (image, label) in enumerate(self.loaded.pop(number)):
            region: Box = tuple(map(int, part.regions[n]))
            attention = part.attention[n] if soft else None
            of_it = (attention, self.job.a_star, self.mean_stored, float(part.thresholds[n]))
            drawn = render.render(image, region, *of_it)
            datum = np.frombuffer(encode_pixels(drawn, label), np.uint8)
            part.records[at : at + len(datum)] = datum
            at += len(datum)
            lengths.append(len(datum))
        return lengths

    def _read(self, index: int) -> tuple[np.ndarray, int]:
        image, label = self.split.read(index)
        if image.shape != (*self.job.stored, 3):
            raise MaapError(
                f"image {self.split.records[index].path} of {self.job.folder} is "
                f"{times(image.shape)}, the manifest says {times((*self.job.stored, 3))}; make the "
                "data set again with `maap data`"
            )
        return image, label


def run(connection, job: Job, fds: list[int]) -> None:
    """A worker's life; see `maap.host.workers.start`."""
    cv2.setNumThreads(1)
    serve(connection, Handler(job, [Slot(job, fd) for fd in fds]))
