"""The folder a rewriting fills: records that are committed, rows that never lag behind, one rename
at the end.

.partial-OUT holds
    request.json      what is being made; a partial folder of another request is removed
    train_lmdb/       the records; how many are in it is the only measure of progress
    regions.csv       one row per record, flushed before the record is committed; on continuing,
                      rows behind the last committed record are cut off
and, at the end, train.csv, contact_sheet.jpg and manifest.json, before everything is synced and
renamed to OUT.
"""

import contextlib
import csv
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Callable, NamedTuple, Optional, TextIO, Union

import lmdb
import numpy as np

from maap.data.disk import disk_full_is_error, need_space
from maap.data.kinds import REWRITTEN
from maap.data.manifest import Manifest
from maap.data.records import Record, decode, key_bytes
from maap.data.store import Split, SplitWriter
from maap.data.write import MANIFEST, begin, finish
from maap.errors import MaapError
from maap.images.a_star import find_a_star
from maap.images.boxes import Box, into_crop
from maap.rewrite.request import Request
from maap.util.files import partial_path, take_up_partial
from maap.util.progress import say

COLUMNS = ["key", "label", "x1", "y1", "x2", "y2"]
COLUMNS += ["threshold", "map_min", "map_max", "area", "fallback"]
COMMIT_EVERY = 64  # records; what a kill costs at most
REQUEST = "request.json"
_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}


class Finding(NamedTuple):
    """A row of regions.csv. box: R in stored pixels, the box that was used; threshold, map_min,
    map_max, area: of the region found; area in pixels of the net's input."""

    key: str
    label: int
    box: Box
    threshold: float
    map_min: float
    map_max: float
    area: int
    fallback: bool

    def row(self) -> list[Union[str, int, float]]:
        numbers = [repr(float(np.float32(v))) for v in (self.threshold, self.map_min, self.map_max)]
        return [self.key, self.label, *self.box, *numbers, self.area, int(self.fallback)]


def read_findings(path: Path) -> list[Finding]:
    """regions.csv as a list. Raises MaapError naming the file and row when it is damaged."""
    with path.open(newline="", **_TEXT) as file:
        reader = csv.reader(file)
        if next(reader, None) != COLUMNS:
            raise MaapError(
                f"{path} does not start with {','.join(COLUMNS)}; rewrite the data set again"
            )
        return [_parse(row, path, reader.line_num) for row in reader]


def _parse(row: list[str], path: Path, line: int) -> Finding:
    try:
        box = tuple(int(v) for v in row[2:6])
        threshold, low, high = (float(v) for v in row[6:9])
        fallback = bool(int(row[10]))
        return Finding(row[0], int(row[1]), box, threshold, low, high, int(row[9]), fallback)
    except (ValueError, IndexError):
        raise MaapError(f"{path}, line {line}: damaged row; rewrite the data set again") from None


# Draws the contact sheet: (source, findings, read, path); read(index) is a rewritten image.
Sheet = Callable[[Split, list[Finding], Callable[[int], np.ndarray], Path], None]


class Output:
    """OUT and .partial-OUT of one rewriting: `finished`, else, in a `with` block,
    `open`, `write` ..., `finish`."""

    def __init__(self, out: Path, source: Split, request: Request):
        self.out = Path(out)
        self.partial = partial_path(self.out)
        self.source = source
        self.request = request
        self.fallbacks = 0
        self._writer: Optional[SplitWriter] = None
        self._rows: Optional[TextIO] = None
        self._lock: Optional[TextIO] = None
        self._uncommitted = 0

    def finished(self) -> Optional[Manifest]:
        """The manifest when OUT is there and was made by this request, None when OUT is not
        there."""
        if not self.out.exists():
            return None
        try:
            manifest = json.loads((self.out / MANIFEST).read_text(encoding="utf-8"))
            made = Request.from_json(manifest["rewritten"])
            same = made.makes_the_same_as(self.request)
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise MaapError(
                f"{self.out} exists and was made from other weights, settings or data; remove it "
                "or choose another folder"
            )
        return manifest

    def open(self) -> int:
        """Makes or continues .partial-OUT; returns how many records are committed in it."""
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        take_up_partial(self.out)
        with disk_full_is_error(self.out.parent, str(self.partial)):
            goes_on = self._continues()
            if self.partial.exists() and not goes_on:
                say(f"{self.partial} belongs to another request; starting again")
            begin(self.out, resume=goes_on)
            if not goes_on:
                need_space(self.partial, self._needed(), f"the rewritten data set {self.out}")
                text = json.dumps(self.request.to_json(), indent=1)
                (self.partial / REQUEST).write_text(text, encoding="utf-8")
            records = self.source.records
            self._writer = SplitWriter(self.partial, self.source.name, records, resume=goes_on)
            self._cut_rows(self._writer.done)
        return self._writer.done

    def write(
        self,
        datums: Sequence[Union[bytes, memoryview]],
        indices: Sequence[int],
        regions: np.ndarray,
        stats: np.ndarray,
    ) -> None:
        """Adds a batch: `datums` serialised, of the source records `indices`, the next in order;
        `regions` (N,4) in stored pixels; `stats` (N,5)."""
        rows = csv.writer(self._rows, lineterminator="\n")
        with disk_full_is_error(self.partial, str(self.partial / "regions.csv")):
            for n, index in enumerate(indices):
                record = self.source.records[index]
                box: Box = tuple(map(int, regions[n]))
                threshold, low, high, area, fallback = (float(v) for v in stats[n])
                whole = bool(fallback)
                values = (threshold, low, high, int(area), whole)
                rows.writerow(Finding(record.key, record.label, box, *values).row())
                self.fallbacks += whole
            self._rows.flush()  # before the records: a committed record has its row
        for datum in datums:
            self._writer.append(datum)
        self._uncommitted += len(datums)
        if self._uncommitted >= COMMIT_EVERY:
            self._writer.commit()
            self._uncommitted = 0

    def finish(self, sheet: Sheet) -> Manifest:
        """Writes the files beside the records, syncs, renames .partial-OUT to OUT; returns the
        manifest.

        sheet(source, findings, read, path) draws the contact sheet; read(index) is a rewritten
        image.
        """
        with disk_full_is_error(self.partial, str(self.partial)):
            self._rows.close()
            findings = read_findings(self.partial / "regions.csv")
            self._writer.records = self._moved(findings)
            self._writer.close()
            self._writer = None
            with self._reader() as read:
                sheet(self.source, findings, read, self.partial / "contact_sheet.jpg")
            manifest = self._manifest(findings)
            finish(self.partial, self.out, manifest)
            (self.out / REQUEST).unlink()
        return manifest

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *error: object) -> None:
        """Lets go of the files; after an error, what was not committed is done again next time."""
        with contextlib.suppress(OSError):
            if self._rows is not None:
                self._rows.close()
        if self._writer is not None:
            self._writer.__exit__(*error)
        if self._lock is not None:
            self._lock.close()

    def _take_lock(self) -> None:
        self._lock = self.partial.with_name(self.partial.name + ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MaapError(f"another process is writing {self.partial}; wait for it") from None

    def _continues(self) -> bool:
        try:
            text = (self.partial / REQUEST).read_text(encoding="utf-8")
            return Request.from_json(json.loads(text)).makes_the_same_as(self.request)
        except (OSError, ValueError):
            return False

    def _needed(self) -> int:
        height, width = self.source.size
        bytes_per_value = 5 if self._floats() else 1
        return len(self.source) * (height * width * 3 * bytes_per_value + 4096)

    def _floats(self) -> bool:
        return not self._crops or self.source.mean_subtracted

    @property
    def _crops(self) -> bool:
        return find_a_star(self.request.a_star).crops

    def _cut_rows(self, committed: int) -> None:
        """Leaves exactly `committed` rows in regions.csv and opens it for more."""
        path = self.partial / "regions.csv"
        if committed == 0:
            path.write_text(",".join(COLUMNS) + "\n")
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if len(lines) < committed + 1:
            raise MaapError(
                f"{path} lacks rows of committed records; remove {self.partial} and start again"
            )
        os.truncate(path, sum(len(line) for line in lines[: committed + 1]))
        self.fallbacks = sum(finding.fallback for finding in read_findings(path))
        self._rows = path.open("a", newline="", **_TEXT)

    def _moved(self, findings: list[Finding]) -> list[Record]:
        """The records as they are now: a true box moves into a crop, else it stays."""
        records = self.source.records
        if not self._crops:
            return records
        size = self.source.size
        return [
            replace(record, box=record.box and into_crop(record.box, finding.box, size))
            for record, finding in zip(records, findings)
        ]

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Callable[[int], np.ndarray]]:
        path = self.partial / f"{self.source.name}_lmdb"
        opened = lmdb.open(str(path), readonly=True, lock=False)
        with opened as environment, environment.begin() as transaction:

            def read(index: int) -> np.ndarray:
                key = self.source.records[index].key
                return decode(transaction.get(key_bytes(key)), f"{path}: record {key}")[0]

            yield read

    def _manifest(self, findings: list[Finding]) -> Manifest:
        source = json.loads((self.source.folder / MANIFEST).read_text(encoding="utf-8"))
        fallbacks = sum(finding.fallback for finding in findings)
        cut_by = f", {self.request.cut_by.title}" if self.request.regions else ""
        return {
            "format": 1,
            "kind": REWRITTEN,
            "name": f"{source['name']}, {self.request.a_star}{cut_by}",
            "classes": self.source.classes,
            "size": list(self.source.size),
            "mean_subtracted": self._floats(),
            "note": source.get("note", ""),
            "splits": {self.source.name: {"count": len(findings)}},
            "rewritten": replace(self.request, fallbacks=fallbacks).to_json(),
        }
