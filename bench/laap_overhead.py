#!/usr/bin/env python3
"""Measures what Enhancement adds to forward and backward of AlexNet: both nets, in one run.

    bench/laap_overhead.py [--batch 16] [--rounds 15] [--limit 3]

The two training nets, with the same weights and the same random batch, take turns. Prints the
best and the median time of each, what LAAP adds in percent of the best, and the time of the layer
itself, measured separately. Exit status 1 if it adds more than --limit percent.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("GLOG_minloglevel", "2")

import machine
import numpy as np
from maap.host import loader
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_train


def make_net(caffe: ModuleType, folder: Path, batch: int, laap: bool) -> Any:
    """AlexNet for 200 classes in the phase TRAIN, filled with one random batch."""
    message = resolve_train(find_net("alexnet"), laap, 200, batch, True)
    path = folder / f"laap_{laap}.prototxt"
    write_text(message, path)
    caffe.set_random_seed(1)
    net = caffe.Net(str(path), caffe.TRAIN)
    rng = np.random.RandomState(2)
    net.blobs["data"].data[...] = rng.randn(*net.blobs["data"].data.shape)
    net.blobs["label"].data[...] = rng.randint(0, 200, net.blobs["label"].data.shape)
    return net


def iteration(net: Any) -> float:
    """Seconds of one forward and backward pass."""
    start = time.perf_counter()
    net.forward()
    net.backward()
    return time.perf_counter() - start


def layer_alone(net: Any) -> float:
    """Best time of Enhancement's own forward and backward in the net, in seconds.

    It works in place, so its input grows from call to call; its time does not depend on that.
    """
    names = list(net._layer_names)
    number = names.index("enhance1")
    times = []
    for _ in range(20):
        start = time.perf_counter()
        net._forward(number, number)
        middle = time.perf_counter()
        net._backward(number, number)
        times.append((middle - start, time.perf_counter() - middle))
    return min(f for f, _ in times) + min(b for _, b in times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--limit", type=float, default=3)
    args = parser.parse_args()

    caffe = loader.load()
    load = machine.Load()
    times: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        both = {laap: make_net(caffe, Path(folder), args.batch, laap) for laap in times}
        for turn in range(-2, args.rounds):
            for laap, net in both.items():
                seconds = iteration(net)
                if turn >= 0:
                    times[laap].append(seconds)
    added = 100 * (min(times[True]) / min(times[False]) - 1)
    alone = layer_alone(both[True])
    print(machine.line(load, int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))))
    print(f"An iteration of AlexNet, batch {args.batch}, {args.rounds} rounds:\n")
    rows = [
        [name, f"{1e3 * min(times[laap]):.1f}", f"{1e3 * statistics.median(times[laap]):.1f}"]
        for laap, name in ((False, "AlexNet"), (True, "AlexNet + LAAP"))
    ]
    print(machine.table(["net", "best, ms", "median, ms"], rows))
    share = 100 * alone / min(times[False])
    print(f"\nThe layer alone takes {1e3 * alone:.2f} ms, {share:.2f}% of AlexNet's iteration.\n")
    missed = [] if added <= args.limit else [f"LAAP adds {added:.2f}%, at most {args.limit:g}%"]
    print(
        machine.verdict(missed) if missed else f"LAAP adds {added:.2f}%, at most {args.limit:g}%."
    )
    return 0 if added <= args.limit else 1


if __name__ == "__main__":
    sys.exit(main())
