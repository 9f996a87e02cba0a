#!/usr/bin/env python3
"""Makes the input files of the parity cases, tests/golden/parity/files, again.

    tools/host/bvlc python3 tests/parity/make_files.py

Data sets of both value types, images of several kinds and sizes, a mean image, HDF5 files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import caffe
import cv2
import h5py
import lmdb
import numpy as np

FILES = Path(__file__).resolve().parents[1] / "golden" / "parity" / "files"
SHAPE = (3, 8, 9)  # of the records that are not encoded


def smooth(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """A smooth (H, W, C) uint8 picture, which JPEG keeps well."""
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        fy, fx, phase = rng.uniform(0.1, 0.6, 3)
        planes.append(127.5 + 120 * np.sin(fy * y + fx * x + 6 * phase))
    return np.stack(planes, axis=-1).astype(np.uint8)


def write_images() -> None:
    folder = FILES / "images"
    folder.mkdir(parents=True)
    pictures = {
        "a.png": smooth(13, 17, 3, 1),
        "b.jpg": smooth(16, 20, 3, 2),
        "gray.png": smooth(15, 12, 1, 3),
        "gray.jpg": smooth(19, 23, 1, 4),
        "alpha.png": smooth(14, 14, 4, 5),
        "c.jpg": smooth(31, 24, 3, 6),
    }
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / name), picture)
    lines = [f"images/{name} {label}\n" for label, name in enumerate(pictures)]
    (FILES / "images.txt").write_text("".join(lines))
    for name, kind in (("color_images", "abc"), ("gray_images", "g")):  # that need no conversion
        chosen = [line for line in lines if line[len("images/")] in kind and "alpha" not in line]
        (FILES / f"{name}.txt").write_text("".join(chosen))


def write_mnist() -> None:
    """Small files in the form of MNIST: 30 images of 6 x 5 pixels."""
    rng = np.random.RandomState(10)
    numbers = np.array([2051, 30, 6, 5], ">i4"), np.array([2049, 30], ">i4")
    values = rng.randint(0, 256, (30, 6, 5)), rng.randint(0, 10, 30)
    for name, header, content in zip(("images", "labels"), numbers, values):
        content = content.astype(np.uint8)
        (FILES / f"mnist_{name}").write_bytes(header.tobytes() + content.tobytes())


def datums() -> dict[str, list]:
    """Folder name -> the data set's records."""
    rng = np.random.RandomState(7)
    array = caffe.io.array_to_datum
    out: dict[str, list] = {}
    out["bytes_lmdb"] = [
        array(rng.randint(0, 256, SHAPE).astype(np.uint8), i % 4) for i in range(10)
    ]
    out["floats_lmdb"] = [array(rng.uniform(-2, 2, SHAPE), i) for i in range(5)]
    gray = (1, *SHAPE[1:])
    out["gray_lmdb"] = [array(rng.randint(0, 256, gray).astype(np.uint8), i) for i in range(5)]
    ramp = np.arange(72, dtype=np.uint8).reshape(1, 8, 9)  # a pixel's value gives its position
    out["ramp_lmdb"] = [array(ramp, 1)]
    out["encoded_lmdb"] = [encoded(i) for i in range(2)]
    out["mixed_lmdb"] = [encoded(i) for i in range(4)]
    return out


def encoded(index: int):
    """A record with a PNG or a JPEG, in colour or (2, 3) gray, all of one size."""
    ending, channels = ((".png", 3), (".jpg", 3), (".png", 1), (".jpg", 1))[index]
    done, data = cv2.imencode(ending, smooth(10, 12, channels, 20 + index))
    assert done
    datum = caffe.proto.caffe_pb2.Datum()
    datum.data, datum.label, datum.encoded = data.tobytes(), index, True
    return datum


def write_databases() -> None:
    for name, records in datums().items():
        environment = lmdb.open(str(FILES / name), map_size=1 << 24)
        with environment, environment.begin(write=True) as transaction:
            for index, datum in enumerate(records):
                transaction.put(b"%08d" % index, datum.SerializeToString())
        (FILES / name / "lock.mdb").unlink()


def write_mean() -> None:
    mean = np.random.RandomState(8).uniform(90, 130, (1, *SHAPE)).astype(np.float32)
    blob = caffe.io.array_to_blobproto(mean)
    (FILES / "mean.binaryproto").write_bytes(blob.SerializeToString())


def write_hdf5() -> None:
    rng = np.random.RandomState(9)
    for name, rows in (("one.h5", 4), ("two.h5", 5)):
        with h5py.File(FILES / name, "w") as file:
            file["data"] = rng.uniform(-1, 1, (rows, 2, 3)).astype(np.float32)
            file["label"] = np.arange(rows, dtype=np.float32) + 10 * (rows - 4)
            file["double"] = rng.uniform(-1, 1, (rows, 2, 2, 2))
            file["whole"] = rng.randint(-99, 99, (rows, 4)).astype(np.int32)


def main() -> None:
    shutil.rmtree(FILES, ignore_errors=True)
    write_images()
    write_mnist()
    write_databases()
    write_mean()
    write_hdf5()


if __name__ == "__main__":
    main()
