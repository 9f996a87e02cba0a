"""Snapshots that are whole or not there, and resuming from the newest.

One snapshot is a folder ``N/`` (N: the iteration it was taken after) with Caffe's two files,
``snapshot_iter_N.caffemodel`` and ``.solverstate``, and ``snapshot.json``, their sizes. Caffe
writes them into ``.partial-N/``. They are read to their last byte (Caffe or the disk may have cut
them short without an error) and forced to the disk, and only then the folder gets its name. Both
files are usable with plain ``caffe train -snapshot``: run it in that folder.

Caffe gets the folder as its current directory, and no path but "snapshot": the solverstate names
its caffemodel by the path it was written under, and so a run folder can be moved.
"""

import json
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from maap.errors import MaapError
from maap.host.types import CaffeNet, CaffeSolver
from maap.util import wire
from maap.util.files import (
    cannot_write,
    free_bytes,
    megabytes,
    partial_path,
    remove_partials,
    sync_file,
    sync_folder,
)

# Blobs of history per weight that Caffe's solvers keep (their solverstate holds nothing else big).
_HISTORY = {"Adam": 2, "AdaDelta": 2}


# ---- reading a protobuf file to its end ---------------------------------------------------------


def walk_wire(path: Path) -> dict[int, list[int]]:
    """The top-level fields of a binary protobuf file: number -> the size in bytes of each value.

    Raises MaapError when the file ends inside a field or is no protobuf message at all.
    """
    sizes: dict[int, list[int]] = {}
    size = path.stat().st_size
    if size == 0:  # cannot be mapped
        return sizes
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            for field in wire.fields(data, 0, size):
                sizes.setdefault(field.number, []).append(field.end - field.start)
        except wire.Truncated:
            raise _cut_short(path, size) from None
        except wire.WireError as error:
            raise MaapError(f"{path}: no protobuf file ({error}); delete it") from None
    return sizes


def _cut_short(path: Path, size: int) -> MaapError:
    return MaapError(f"{path}: cut short at {size} bytes; the disk was full or the copy incomplete")


# ---- one folder of snapshots --------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """A whole snapshot: the state after ``iteration`` iterations."""

    iteration: int
    folder: Path

    @property
    def weights(self) -> Path:
        return self.folder / f"snapshot_iter_{self.iteration}.caffemodel"

    @property
    def state(self) -> Path:
        return self.folder / f"snapshot_iter_{self.iteration}.solverstate"


class Snapshots:
    """The snapshots of one phase: ``save`` adds one and keeps the newest ``keep``."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep
        folder.mkdir(parents=True, exist_ok=True)

    def all(self) -> list[Snapshot]:
        """Whole snapshots, oldest first. Damaged ones are left out."""
        names = [path.name for path in self.folder.iterdir() if path.name.isdigit()]
        found = [Snapshot(int(name), self.folder / name) for name in sorted(names, key=int)]
        return [snapshot for snapshot in found if _is_whole(snapshot)]

    def latest(self) -> Optional[Snapshot]:
        """The newest whole snapshot, or None."""
        found = self.all()
        return found[-1] if found else None

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        remove_partials(self.folder)

    def here(self, iteration: int) -> Snapshot:
        """What the snapshot after ``iteration`` is called, whether it is there or not."""
        return Snapshot(iteration, self.folder / str(iteration))

    def has(self, iteration: int) -> bool:
        """Whether there is a whole snapshot after ``iteration``."""
        taken = self.here(iteration)
        return taken.folder.is_dir() and _is_whole(taken)

    def save(self, solver: CaffeSolver) -> Snapshot:
        """Write the solver's state; returns the snapshot, or the one already there.

        Raises MaapError when the disk is full or a file came out incomplete; the snapshots taken
        before are untouched then.
        """
        taken = self.here(int(solver.iter))
        if self.has(taken.iteration):
            return taken
        self.clean()
        self._check_space(solver)
        partial = Snapshot(taken.iteration, partial_path(taken.folder))
        try:
            self._write(solver, partial)
            if taken.folder.is_dir():  # a damaged one
                shutil.rmtree(taken.folder)
            partial.folder.rename(taken.folder)
            sync_folder(self.folder)
        except OSError as error:
            shutil.rmtree(partial.folder, ignore_errors=True)
            raise cannot_write(partial.folder, error) from None
        except MaapError:
            shutil.rmtree(partial.folder, ignore_errors=True)
            raise
        self.drop(self.keep)
        return taken

    def drop(self, keep: int) -> None:
        """Remove all but the newest ``keep`` snapshots."""
        for snapshot in self.all()[:-keep]:
            shutil.rmtree(snapshot.folder, ignore_errors=True)

    def _write(self, solver: CaffeSolver, partial: Snapshot) -> None:
        partial.folder.mkdir()
        with working_in(partial.folder):
            solver.snapshot()
        _check_content(solver, partial)
        sizes = {path.name: path.stat().st_size for path in (partial.weights, partial.state)}
        note = partial.folder / "snapshot.json"
        note.write_text(json.dumps({"iteration": partial.iteration, "sizes": sizes}) + "\n")
        for path in (partial.weights, partial.state, note):
            sync_file(path)
        sync_folder(partial.folder)

    def _check_space(self, solver: CaffeSolver) -> None:
        needed = int((weight_bytes(solver.net) + history_bytes(solver)) * 1.01) + (1 << 20)
        there = free_bytes(self.folder)
        if there < needed:
            raise MaapError(
                f"{self.folder}: the disk is full: a snapshot needs {megabytes(needed)}, "
                f"{megabytes(there)} are free; make room, then continue with --resume"
            )


def restore(solver: CaffeSolver, snapshot: Snapshot) -> None:
    """Put a solver into the state of a snapshot."""
    with working_in(snapshot.folder):
        solver.restore(snapshot.state.name)
    if solver.iter != snapshot.iteration:
        raise MaapError(
            f"{snapshot.state}: holds iteration {solver.iter}; delete {snapshot.folder}"
        )


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Make a folder the current directory for a while."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


# ---- is it whole --------------------------------------------------------------------------------


def weight_bytes(net: CaffeNet) -> int:
    """Bytes of all weights of a pycaffe net as its caffemodel holds them: weights that layers share
    are written once for each of these layers."""
    return sum(blob.data.nbytes for blobs in net.params.values() for blob in blobs)


def own_weight_bytes(net: CaffeNet) -> int:
    """Bytes of all weights of a pycaffe net, those that layers share counted once."""
    blobs = [blob.data for layer in net.params.values() for blob in layer]
    return sum({blob.ctypes.data: blob.nbytes for blob in blobs}.values())


def history_bytes(solver: CaffeSolver) -> int:
    """Bytes of the solver's history, as its solverstate holds it."""
    return own_weight_bytes(solver.net) * _HISTORY.get(
        type(solver).__name__.replace("Solver", ""), 1
    )


def _check_content(solver: CaffeSolver, snapshot: Snapshot) -> None:
    """Both files end where a message ends and hold as much as the solver has."""
    weights, history = walk_wire(snapshot.weights), walk_wire(snapshot.state)
    # NetParameter: layer = 100; SolverState: history = 3 (facts of caffe.proto)
    if len(weights.get(100, [])) != len(solver.net.layers):
        raise _cut_short(snapshot.weights, snapshot.weights.stat().st_size)
    if sum(weights.get(100, [])) < weight_bytes(solver.net):
        raise _cut_short(snapshot.weights, snapshot.weights.stat().st_size)
    if sum(history.get(3, [])) < history_bytes(solver):
        raise _cut_short(snapshot.state, snapshot.state.stat().st_size)


def _is_whole(snapshot: Snapshot) -> bool:
    """Whether the files have the sizes that snapshot.json gives, and end where a message ends."""
    try:
        noted = json.loads((snapshot.folder / "snapshot.json").read_text())
        for path in (snapshot.weights, snapshot.state):
            if path.stat().st_size != noted["sizes"][path.name]:
                return False
            walk_wire(path)
        return noted["iteration"] == snapshot.iteration
    except (OSError, ValueError, KeyError, TypeError, MaapError):
        return False
