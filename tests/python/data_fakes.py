"""Small made-up data for the tests of maap.data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
from maap.data import records, write
from maap.data.records import Record


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth random (H, W, 3) uint8 image."""
    noise = np.random.RandomState(seed).randint(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def record_list(labels: Iterable[int], box: bool = False) -> list[Record]:
    corners = (1.5, 2.0, 20.25, 30.0) if box else None
    return [
        Record(records.key_for(i, f"c{label}/{i}.jpg"), label, f"c{label}/{i}.jpg", corners)
        for i, label in enumerate(labels)
    ]


def manifest(
    counts: dict, classes: int, size: int, mean_subtracted: bool = False, kind: str = "folder"
) -> dict:
    return {
        "kind": kind,
        "name": "fake",
        "classes": [f"class {i}" for i in range(classes)],
        "size": [size, size],
        "mean_subtracted": mean_subtracted,
        "note": "",
        "splits": {name: {"count": count} for name, count in counts.items()},
    }


def make_dataset(
    out: Path,
    *,
    train: int = 12,
    test: int = 7,
    classes: int = 3,
    size: int = 40,
    kind: str = "jpeg",
    announce: Optional[dict] = None,
) -> Path:
    """A data set of ``picture(i)`` images; kind: jpeg, raw or float (mean subtracted)."""
    partial = write.begin(out)
    for name, count in (("train", train), ("test", test)):
        labels = [i % classes for i in range(count)]
        datums = []
        for i, label in enumerate(labels):
            image = picture(i + (1000 if name == "test" else 0), size, size)
            if kind == "float":
                image = image.astype(np.float32) - np.array([104, 117, 123], np.float32)
            datums.append(
                records.encode_jpeg(image, label)
                if kind == "jpeg"
                else records.encode_pixels(image, label)
            )
        write.write_split(partial, name, record_list(labels, box=True), datums)
    counts = announce or {"train": train, "test": test}
    return write.finish(partial, out, manifest(counts, classes, size, kind == "float"))
