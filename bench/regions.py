#!/usr/bin/env python3
"""Times attention maps to regions: the layers' code against scikit-image's calls, in one run.

    bench/regions.py [--images 256] [--map 13] [--input 227] [--rounds 5]

Both upsample, threshold, label and box the same maps. Prints the best time of each and the
speed-up, and checks that the boxes agree. Exit status 1 if the speed-up is below --limit.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Callable

import machine
import numpy as np
from maap.host import loader
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.transform import resize


def attention_maps(count: int, side: int) -> np.ndarray:
    """Bumps on noise, through the logistic function: (count, side, side) float32."""
    rng = np.random.RandomState(1)
    y, x = np.mgrid[:side, :side]
    maps = rng.randn(count, side, side) * 0.1
    for plane in maps:
        for _ in range(2):
            cy, cx = rng.rand(2) * side
            plane += (
                2 * rng.rand() * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 + side * rng.rand()))
            )
    return (1 / (1 + np.exp(-maps))).astype(np.float32)


class ByTheLayers:
    """The layers' code on a batch, into reused memory, like the Elimination layer's blobs."""

    def __init__(self, maps: np.ndarray, size: int) -> None:
        self.maps, self.size = maps, size
        self.boxes = np.empty((len(maps), 4), np.float32)
        self.stats = np.empty((len(maps), 5), np.float32)
        self.upsampled = np.empty((len(maps), size, size), np.float32)

    def __call__(self) -> np.ndarray:
        count, height, width = self.maps.shape
        shape = (count, height, width, self.size, self.size)
        pointers = [loader.pointer(a) for a in (self.boxes, self.stats, self.upsampled)]
        if loader.lib().maap_regions_f32(loader.pointer(self.maps), *shape, 0, *pointers):
            raise RuntimeError(loader.lib().maap_last_error().decode())
        return self.boxes


def by_scikit_image(maps: np.ndarray, size: int) -> np.ndarray:
    boxes = np.empty((len(maps), 4), int)
    for box, small in zip(boxes, maps):
        plane = resize(small, (size, size), order=1, mode="edge", anti_aliasing=False)
        components = regionprops(label(plane > threshold_otsu(plane, 256), connectivity=2))
        y1, x1, y2, x2 = max(components, key=lambda component: component.area).bbox
        box[:] = x1, y1, x2, y2
    return boxes


def best(rounds: int, call: Callable[[], object]) -> float:
    """Shortest time of `rounds` calls in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--map", type=int, default=13)
    parser.add_argument("--input", type=int, default=227)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=20)
    args = parser.parse_args()

    load = machine.Load()
    maps = attention_maps(args.images, args.map)
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    loader.set_threads(threads)
    ours_call = ByTheLayers(maps, args.input)
    ours_boxes = ours_call().copy()
    theirs_boxes = by_scikit_image(maps, args.input)
    ours = best(10 * args.rounds, ours_call)
    loader.set_threads(1)
    single = best(10 * args.rounds, ours_call)
    theirs = best(args.rounds, lambda: by_scikit_image(maps, args.input))

    equal = np.all(ours_boxes == theirs_boxes, axis=1).sum()
    print(machine.line(load, threads))
    print(f"{args.images} maps of {args.map} × {args.map} to {args.input} × {args.input}; ", end="")
    print(f"{equal} of {len(maps)} boxes are equal:\n")
    rows = [
        [name, f"{1e3 * seconds:.1f}", f"{theirs / seconds:.1f}"]
        for name, seconds in (
            ("scikit-image", theirs),
            ("the layers' code, 1 thread", single),
            (f"the layers' code, {threads} threads", ours),
        )
    ]
    print(machine.table(["program", "ms", "times as fast"], rows))
    slow = f"{theirs / ours:.1f} times as fast, at least {args.limit:g}"
    print("\n" + machine.verdict([slow] if theirs / ours < args.limit else []))
    return 0 if theirs / ours >= args.limit else 1


if __name__ == "__main__":
    sys.exit(main())
