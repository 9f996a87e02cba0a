#!/usr/bin/env python3
"""What a batch costs the training loop that the feeder has prepared ahead.

    bench/feeder.py [--batch 16] [--crop 227] [--rounds 30] [--pause 0.25]

A data set of raw 256x256 images is fed with random crops, mirrored, the mean subtracted. The loop
pauses as long as an iteration of a network, so that the worker can prepare the next batches, and
then takes one; what is timed is the taking: a copy out of shared memory. Prints the least and the
median time, and beside them the same copy from ordinary memory.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import machine
import numpy as np
from maap.data.feeder import Feeder, Transform
from maap.data.records import Record, encode_pixels, key_for
from maap.data.store import Split
from maap.data.write import begin, finish, write_split
from maap.util.text import times

MEAN = np.array([104.0, 117.0, 123.0], np.float32)
SIZE = 256


def make_source(folder: Path, count: int) -> Split:
    """``count`` noise images, stored as raw pixels."""
    random = np.random.RandomState(0)
    paths = [f"{index:05d}.png" for index in range(count)]
    records = [Record(key_for(index, path), 0, path, None) for index, path in enumerate(paths)]
    images = (random.randint(0, 256, (SIZE, SIZE, 3)).astype(np.uint8) for _ in paths)
    partial = begin(folder)
    write_split(partial, "train", records, (encode_pixels(image, 0) for image in images))
    manifest = {
        "kind": "folder",
        "name": "bench",
        "classes": ["a"],
        "size": [SIZE, SIZE],
        "mean_subtracted": False,
        "splits": {"train": {"count": count}},
    }
    finish(partial, folder, manifest)
    return Split.open(folder, "train")


def milliseconds(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=227)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--pause", type=float, default=0.25, help="seconds between two batches")
    options = parser.parse_args()
    shape = (options.batch, 3, options.crop, options.crop)
    blob, ready = np.empty(shape, np.float32), np.ones(shape, np.float32)
    load, taking, copying = machine.Load(), [], []
    with tempfile.TemporaryDirectory() as folder:
        source = make_source(Path(folder) / "set", 4 * options.batch)
        transform = Transform(options.crop, True, MEAN)
        with Feeder(source, transform, options.batch, seed=1) as feeder:
            feeder.next(blob)
            for _ in range(options.rounds):
                time.sleep(options.pause)
                began = time.perf_counter()
                feeder.next(blob)
                taking.append(milliseconds(began))
                began = time.perf_counter()
                blob[...] = ready
                copying.append(milliseconds(began))
    print(machine.line(load, os.cpu_count() or 1))
    print(f"A batch of {times(shape)}, {options.rounds} rounds:\n")
    rows = [
        [what, f"{min(costs):.2f}", f"{statistics.median(costs):.2f}"]
        for what, costs in (("taking a prepared batch", taking), ("a copy of its size", copying))
    ]
    print(machine.table(["", "least, ms", "median, ms"], rows))


if __name__ == "__main__":
    main()
