"""Data sets on disk: reading them (``Dataset``, ``Split``).

A data set is a folder:

    manifest.json                what it is, its classes, size and counts; written last
    train_lmdb/  test_lmdb/      Datums, readable by Caffe's Data layer
    train.csv    test.csv        key,label,path,x1,y1,x2,y2: one line per record, in the keys' order

It is written as ``.partial-DIR`` and renamed when complete (``maap.data.write``), so a folder of
another name is whole. Everything missing or damaged is a MaapError that names it.
"""

import csv
import json
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import lmdb
import numpy as np

from maap.data import records as rec
from maap.data.kinds import REWRITTEN, importer_names
from maap.data.manifest import FORMAT, MANIFEST, Manifest
from maap.data.records import Record
from maap.data.write import SplitWriter, write_split
from maap.errors import MaapError
from maap.util.files import find_partial, is_partial
from maap.util.schema import caffe_pb2
from maap.util.text import plain

__all__ = ["Dataset", "Split", "SplitWriter", "write_split"]

_AGAIN = "make the data set again"

# LMDB allows one open environment per file and process; splits of the same folder share it.
_open: "weakref.WeakValueDictionary[str, lmdb.Environment]" = weakref.WeakValueDictionary()
_open_lock = threading.Lock()


def _environment(path: Path) -> "lmdb.Environment":
    key = str(path.resolve())
    with _open_lock:
        environment = _open.get(key)
        if environment is None:
            try:
                environment = lmdb.open(
                    key, readonly=True, lock=False, create=False, readahead=False
                )
            except lmdb.Error as error:
                raise MaapError(f"{path} is not a readable LMDB ({error}); {_AGAIN}") from None
            _open[key] = environment
        return environment


def _read_csv(path: Path) -> list[Record]:
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        raise MaapError(f"{path} is missing; {_AGAIN}") from None
    result = []
    for number, row in enumerate(rows, start=2):
        try:
            corners = [row[name] for name in ("x1", "y1", "x2", "y2")]
            box = tuple(float(value) for value in corners) if all(corners) else None
            result.append(Record(row["key"], int(row["label"]), row["path"], box))
        except (KeyError, TypeError, ValueError):
            found = ", ".join(str(value) for value in row.values() if value)
            raise MaapError(f"{path}, line {number} is damaged ({found}); {_AGAIN}") from None
    return result


@dataclass(frozen=True)
class Dataset:
    """An opened data-set folder. ``manifest`` is manifest.json as a dict."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Raises MaapError when the folder is missing, half-written or of an unknown format."""
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            partial = find_partial(folder)
            if partial is not None:
                raise MaapError(f"{folder} was never completed (only {partial} is there); {_AGAIN}")
            what = "holds no manifest.json" if folder.is_dir() else "does not exist"
            raise MaapError(
                f"{folder} {what}, so it is not a maap data set; make one with "
                f"`maap data` ({', '.join(importer_names())})"
            )
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            version, kind = manifest["format"], manifest["kind"]
            whole = all(key in manifest for key in ("name", "classes", "size", "splits"))
        except (ValueError, KeyError, TypeError):
            raise MaapError(f"{path} is damaged; {_AGAIN}") from None
        kinds = [*importer_names(), REWRITTEN]
        if version != FORMAT or kind not in kinds or not whole:
            raise MaapError(
                f"{path} has format {version} and kind {kind!r}; this version reads format "
                f"{FORMAT} of the kinds {', '.join(kinds)}; {_AGAIN}"
            )
        if is_partial(folder):
            raise MaapError(f"{folder} was never completed; {_AGAIN}")
        return cls(folder, manifest)

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def kind(self) -> str:
        return self.manifest["kind"]

    @property
    def note(self) -> str:
        """What the set can and cannot show; belongs into every report made from it."""
        return self.manifest.get("note", "")

    @property
    def classes(self) -> list[str]:
        return self.manifest["classes"]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the stored images."""
        return tuple(self.manifest["size"])

    def split(self, name: str) -> "Split":
        """The split "train" or "test"."""
        return Split.open(self.folder, name)


@dataclass(frozen=True)
class Split:
    """One split of a data set: its records, and its images on demand. See ``open``."""

    folder: Path
    name: str
    records: list[Record] = field(repr=False)
    classes: list[str] = field(repr=False)
    size: tuple[int, int]
    mean_subtracted: bool
    _env: "lmdb.Environment" = field(repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path, name: str) -> "Split":
        """Open ``folder``'s split ``name`` and check that its parts agree.

        Raises MaapError for a missing part, counts that differ between manifest, CSV and LMDB, a
        label out of range, a repeated key or a class of "train" without images."""
        dataset = Dataset.open(folder)
        folder, splits = dataset.folder, dataset.manifest["splits"]
        if name not in splits:
            raise MaapError(f"{folder} has no split {name!r}; it has {', '.join(sorted(splits))}")
        records = _read_csv(folder / f"{name}.csv")
        environment = _environment(folder / f"{name}_lmdb")
        split = cls(
            folder,
            name,
            records,
            list(dataset.classes),
            dataset.size,
            bool(dataset.manifest.get("mean_subtracted", False)),
            environment,
        )
        split._check(splits[name].get("count"))
        return split

    def _check(self, announced: Optional[int]) -> None:
        stored = self._env.stat()["entries"]
        if not announced == len(self.records) == stored:
            raise MaapError(
                f"{self.folder}: the counts of split {self.name} differ: manifest.json says "
                f"{plain(announced)}, "
                f"{self.name}.csv has {len(self.records)}, {self.name}_lmdb holds {stored}; "
                f"{_AGAIN}"
            )
        if not self.records:
            raise MaapError(f"{self.folder}: split {self.name} is empty; {_AGAIN}")
        seen = set()
        for record in self.records:
            if not 0 <= record.label < len(self.classes):
                raise MaapError(
                    f"{self.folder}/{self.name}.csv: {record.path} has label {record.label}, but "
                    f"there are {len(self.classes)} classes (labels 0 to {len(self.classes) - 1}): "
                    "correct it"
                )
            seen.add(record.label)
        empty = [name for label, name in enumerate(self.classes) if label not in seen]
        if empty and self.name == "train":
            raise MaapError(
                f"{self.folder}: class {empty[0]!r} has no training image "
                f"({len(empty)} empty in all): add images or remove the class"
            )
        if len({record.key for record in self.records}) != len(self.records):
            raise MaapError(f"{self.folder}/{self.name}.csv repeats a key; {_AGAIN}")

    def __len__(self) -> int:
        return len(self.records)

    def raw(self, index: int) -> bytes:
        """The serialised Datum of record ``index``."""
        record = self.records[index]
        with self._env.begin(buffers=False) as transaction:
            try:
                data = transaction.get(rec.key_bytes(record.key))
            except lmdb.Error as error:
                raise MaapError(
                    f"{self._where(record)} cannot be read ({error}); {_AGAIN}"
                ) from None
        if data is None:
            raise MaapError(f"{self._where(record)} is in the CSV but not in the LMDB; {_AGAIN}")
        return data

    def datum(self, index: int) -> "caffe_pb2.Datum":
        """Record ``index`` as a Datum message."""
        datum = caffe_pb2.Datum()
        datum.ParseFromString(self.raw(index))
        return datum

    def read(self, index: int) -> tuple[np.ndarray, int]:
        """The image (H, W, 3) BGR, uint8 or float32, and the label of record ``index``.

        Raises MaapError naming the record when it is damaged or its label differs from the CSV's.
        """
        record = self.records[index]
        image, label = rec.decode(self.raw(index), self._where(record))
        if label != record.label:
            raise MaapError(
                f"{self._where(record)} has label {label}, but {self.name}.csv says "
                f"{record.label}; {_AGAIN}"
            )
        return image, label

    def _where(self, record: Record) -> str:
        return f"{self.folder}/{self.name}_lmdb: record {record.key}"
