"""Data sets on disk: writing them, so that a half-written one is never taken for a whole one.

    partial = begin(out)                            # .partial-DIR; refuses an existing DIR
    write_split(partial, "train", records, datums)  # LMDB, then CSV
    write_split(partial, "test", records, datums)
    finish(partial, out, manifest)                  # manifest, fsync, rename

A split's LMDB grows in record order, in committed and synced transactions; after a kill it holds a
prefix of the records, which ``SplitWriter(..., resume=True)`` continues. A full disk is a MaapError
with the space needed."""

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Optional

import lmdb

from maap.data.disk import disk_full_is_error
from maap.data.manifest import FORMAT, MANIFEST, Manifest
from maap.data.records import Box, Record, key_bytes
from maap.errors import MaapError
from maap.util.files import (
    folder_for,
    make_folder,
    partial_path,
    sync_file,
    sync_folder,
    take_up_partial,
)

_FIRST_MAP = 1 << 28  # bytes; doubled when full. The file itself grows only as far as it is used
_COMMIT_BYTES = 64 << 20
_COMMIT_RECORDS = 256


def begin(out: Path, resume: bool = False) -> Path:
    """Make the folder in which ``out`` is put together. Raises MaapError when ``out`` exists.

    What an interrupted run left there is kept with ``resume`` and removed without.
    """
    out = Path(out)
    if out.exists():
        raise MaapError(f"{out} already exists: remove it or choose another folder")
    partial = take_up_partial(out)
    if partial.exists() and not resume:
        shutil.rmtree(partial)
    make_folder(partial)
    return partial


@contextmanager
def making(out: Path) -> Iterator[Path]:
    """The folder to make ``out`` in (``begin``); removed again when anything is raised.

    The block's last act is ``finish``.
    """
    if Path(out).exists():  # or it would be made for nothing
        begin(out)
    with folder_for(Path(out).parent):
        partial = begin(out)
        try:
            yield partial
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def finish(partial: Path, out: Path, manifest: Manifest) -> Path:
    """Write the manifest, sync every file, rename ``partial`` to ``out``; returns ``out``.

    ``manifest`` lacks "format" (added here). Raises MaapError when a split it names is not
    complete."""
    for name, split in manifest["splits"].items():
        path = partial / f"{name}.csv"
        if not path.is_file():
            raise MaapError(
                f"{partial}: split {name} of {split['count']} records was never completed"
            )
    with disk_full_is_error(partial, str(out)):
        text = json.dumps({"format": FORMAT, **manifest}, indent=1, ensure_ascii=False)
        # Bytes of names that are not UTF-8 (surrogates) become JSON's own escapes.
        (partial / MANIFEST).write_bytes((text + "\n").encode("utf-8", "backslashreplace"))
        for root, _, names in os.walk(partial):
            for name in names:
                sync_file(Path(root) / name)
            sync_folder(Path(root))
    partial.rename(out)
    sync_folder(out.parent)
    return out


class SplitWriter:
    """Writes one split: Datums in the order of ``records``; ``len(done)`` of them are already
    there.

    ``resume`` continues what an interrupted run left; ``done`` says how many records it holds. Use
    as a context manager: leaving it without an exception closes the split, which must be complete
    then."""

    def __init__(
        self, folder: Path, name: str, records: Sequence[Record], resume: bool = False
    ) -> None:
        self.path = Path(folder) / f"{name}_lmdb"
        self.folder, self.name, self.records = Path(folder), name, list(records)
        self.done = 0
        self.bytes = 0
        self._pending: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0
        if self.path.exists() and not resume:
            shutil.rmtree(self.path)
        with self._full_is_error():
            self._env = lmdb.open(str(self.path), map_size=_FIRST_MAP, subdir=True)
        if resume:
            self._find_prefix()

    def _find_prefix(self) -> None:
        with self._env.begin() as transaction, transaction.cursor() as cursor:
            keys = list(cursor.iternext(values=False))
        if keys != [key_bytes(record.key) for record in self.records[: len(keys)]]:
            raise MaapError(
                f"{self.path} was started from other data: remove {self.folder} and start again"
            )
        self.done = len(keys)
        self.bytes = self._env.stat()["psize"] * self._env.info()["last_pgno"]

    def _needed(self) -> Optional[int]:
        written = self.bytes + self._pending_bytes
        count = self.done
        return int(1.05 * written / count * len(self.records)) + (1 << 20) if count else None

    def _full_is_error(self) -> AbstractContextManager[None]:
        return disk_full_is_error(
            self.folder, str(self.path), self._needed, lambda: self._pending_bytes
        )

    def append(self, datum: bytes, box: Optional[Box] = None) -> None:
        """Store the serialised Datum of the next record, and its box when it was not known before.

        Raises MaapError on a full disk.
        """
        if self.done >= len(self.records):
            raise MaapError(
                f"{self.path}: more images than the {len(self.records)} records announced"
            )
        if box is not None:
            self.records[self.done] = replace(self.records[self.done], box=box)
        self._pending.append((key_bytes(self.records[self.done].key), bytes(datum)))
        self._pending_bytes += len(datum)
        self.done += 1
        if self._pending_bytes >= _COMMIT_BYTES or len(self._pending) >= _COMMIT_RECORDS:
            self.commit()

    def commit(self) -> None:
        """Make what was appended durable (one synced transaction)."""
        with self._full_is_error():
            while True:
                try:
                    with self._env.begin(write=True) as transaction:
                        for key, value in self._pending:
                            self._put(transaction, key, value)
                    break
                except lmdb.MapFullError:
                    self._env.set_mapsize(2 * self._env.info()["map_size"])
        self.bytes += self._pending_bytes
        self._pending, self._pending_bytes = [], 0

    def _put(self, transaction: "lmdb.Transaction", key: bytes, value: bytes) -> None:
        if not transaction.put(key, value, append=True):
            name = key.decode("utf-8", "replace")
            raise MaapError(f"{self.path}: key {name} does not rise above the one before it")

    def close(self) -> None:
        """Commit and write the CSV. Raises MaapError when records are missing."""
        self.commit()
        self._env.close()
        if self.done != len(self.records):
            raise MaapError(f"{self.path}: {self.done} images for {len(self.records)} records")
        with self._full_is_error():
            _write_csv(self.folder / f"{self.name}.csv", self.records)

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._env.close()


def _write_csv(path: Path, records: Sequence[Record]) -> None:
    partial = partial_path(path)
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["key", "label", "path", "x1", "y1", "x2", "y2"])
        for record in records:
            corners = [f"{value:.6g}" for value in record.box] if record.box else [""] * 4
            writer.writerow([record.key, record.label, record.path, *corners])
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def write_split(
    folder: Path, name: str, records: Sequence[Record], datums: Iterable[bytes]
) -> None:
    """Write split ``name`` into ``folder`` (from ``begin``): one serialised Datum per record,
    in the records' order. Raises MaapError on a full disk or when the counts differ."""
    with SplitWriter(folder, name, records) as writer:
        for datum in datums:
            writer.append(datum)
