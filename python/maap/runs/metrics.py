"""A phase's curves on disk: ``metrics.csv`` (iteration,loss,lr) and ``timing.csv``.

A phase whose net has the Elimination layer (nets/online.py) has a fourth column, fallbacks: how
many images of the iteration had a flat attention map and were kept whole.

metrics.csv holds nothing that differs between two equal runs: a run that was killed and resumed
has the same file as an uninterrupted one. Iterations count from 0, as in Caffe's log: the loss of
iteration i is that of the weights after i updates.
"""

import contextlib
import os
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.util.files import cannot_write

_HEAD = "iteration,loss,lr"
_FALLBACKS = ",fallbacks"
_TIMING = "iteration,seconds\n"


class Metrics:
    """Appends one row per iteration. ``losses`` holds the loss of every iteration so far,
    ``fallbacks`` the number of flat maps so far."""

    def __init__(self, folder: Path, done: int, counts_fallbacks: bool = False) -> None:
        """Opens the files of a phase that has ``done`` iterations; later rows are cut off.

        Raises MaapError when the first ``done`` rows are not all there.
        """
        self._path = folder / "metrics.csv"
        self._head = _HEAD + (_FALLBACKS if counts_fallbacks else "") + "\n"
        self.fallbacks = 0
        self.losses = self._cut(done)
        try:
            self._rows = self._path.open("a", encoding="utf-8")
            self._timing = (folder / "timing.csv").open("a", encoding="utf-8")
            if self._timing.tell() == 0:
                self._timing.write(_TIMING)
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def _cut(self, done: int) -> list[float]:
        rows = self._path.read_text().splitlines(True) if self._path.is_file() else []
        if done == 0:
            self._path.write_text(self._head)
            return []
        kept = rows[1 : done + 1]
        try:
            numbers = [int(row.split(",")[0]) for row in kept]
            losses = [float(row.split(",")[1]) for row in kept]
            if self._head.endswith(_FALLBACKS + "\n"):
                self.fallbacks = sum(int(row.split(",")[3]) for row in kept)
            whole = all(row.endswith("\n") for row in kept)
        except (ValueError, IndexError):
            numbers = []
        if numbers != list(range(done)) or not whole:
            raise MaapError(
                f"{self._path}: some of the first {done} iterations are missing, so the phase "
                "cannot be resumed; start a new run"
            )
        os.truncate(self._path, len("".join(rows[: done + 1]).encode()))
        return losses

    def add(self, loss: float, lr: float, seconds: float, fallbacks: Optional[int] = None) -> None:
        """The row of the next iteration. Raises MaapError when the disk is full."""
        iteration = len(self.losses)
        text = f"{loss:.9g}"
        last = "" if fallbacks is None else f",{fallbacks}"
        self.fallbacks += fallbacks or 0
        try:
            self._rows.write(f"{iteration},{text},{lr:.9g}{last}\n")
            self._rows.flush()
            self._timing.write(f"{iteration},{seconds:.4f}\n")
            self._timing.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from None
        self.losses.append(float(text))

    def sync(self) -> None:
        """Force the rows to the disk: before a snapshot that relies on them."""
        try:
            os.fsync(self._rows.fileno())
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def close(self) -> None:
        for stream in (self._rows, self._timing):
            with contextlib.suppress(OSError):  # a full disk was reported by `add`
                stream.close()


class Followed:
    """What `Metrics` is to a rank that writes no files: the curve is kept, and rank 0 writes it."""

    def __init__(self, losses: list[float], fallbacks: int) -> None:
        self.losses, self.fallbacks = losses, fallbacks

    def add(self, loss: float, lr: float, seconds: float, fallbacks: Optional[int] = None) -> None:
        """As `Metrics.add`, with the same rounding."""
        self.losses.append(float(f"{loss:.9g}"))
        self.fallbacks += fallbacks or 0

    def sync(self) -> None:
        """There is nothing to force."""

    def close(self) -> None:
        """There is nothing to close."""


def has_converged(losses: list[float], window: int, fraction: float) -> bool:
    """Whether the mean loss of the last ``window`` iterations is less than ``fraction`` below that
    of the ``window`` before. Checked at the end of each window; never true with a fraction of 0."""
    if fraction <= 0 or len(losses) < 2 * window or len(losses) % window:
        return False
    before = sum(losses[-2 * window : -window]) / window
    last = sum(losses[-window:]) / window
    return before - last < fraction * before
