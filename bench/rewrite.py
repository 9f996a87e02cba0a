#!/usr/bin/env python3
"""Measures what rewriting costs compared with the forward pass alone, in one run.

    bench/rewrite.py [--images 512] [--batch 16] [--a-star ROI] [--rounds 3] [--laap]

A data set of JPEG Datums of 256x256 is made from noise-textured images. AlexNet's rewrite net
(random weights) then processes it twice per round: only the network, on a prepared batch, and
the whole rewriting: start the workers, read, decode, resize, forward, render, encode, commit,
contact sheet, sync, rename. The network is set up before the clock starts, for both. Prints
seconds, their ratio and the ratio of processor time (all processes) per round; the last line is
the median of the ratios of seconds. Exit status 1 if that is above --limit.
"""

import argparse
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("GLOG_minloglevel", "2")

import cv2
import machine
import numpy as np
from maap.attention.region_net import RegionNet
from maap.data.feeder import Transform
from maap.data.records import Record, encode_jpeg, key_for
from maap.data.store import Split
from maap.data.write import begin, finish, write_split
from maap.host import loader
from maap.nets.folder import find_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_rewrite
from maap.nets.transform import SCRATCH_SCALE
from maap.rewrite.rewrite import rewrite

MEAN = np.array([104.0, 117.0, 123.0], np.float32)


def make_source(folder: Path, count: int) -> Split:
    """`count` images with roughly a photograph's spectrum: noise at four scales."""
    random = np.random.RandomState(0)
    records, datums = [], []
    for index in range(count):
        image = np.zeros((256, 256, 3), np.float32)
        for size, share in ((4, 0.45), (16, 0.3), (64, 0.15), (256, 0.1)):
            noise = random.randint(0, 256, (size, size, 3)).astype(np.float32)
            image += share * cv2.resize(noise, (256, 256), interpolation=cv2.INTER_CUBIC)
        path = f"{index:05d}.jpg"
        records.append(Record(key_for(index, path), index % 2, path, (64.0, 64.0, 192.0, 192.0)))
        datums.append(encode_jpeg(np.clip(image, 0, 255).astype(np.uint8), index % 2))
    partial = begin(folder)
    write_split(partial, "train", records, datums)
    finish(
        partial,
        folder,
        {
            "kind": "folder",
            "name": "bench",
            "classes": ["a", "b"],
            "size": [256, 256],
            "mean_subtracted": False,
            "splits": {"train": {"count": count}},
        },
    )
    return Split.open(folder, "train")


def make_net(folder: Path, batch: int, laap: bool, a_star: str):
    """AlexNet's resolved rewrite net with MSRA weights, so that its maps are not flat."""
    net = resolve_rewrite(find_net("alexnet"), laap, batch, a_star)
    for layer in net.layer:
        if layer.type == "Convolution":
            layer.convolution_param.weight_filler.type = "msra"
            layer.convolution_param.bias_filler.value = 0
    path, weights = folder / "rewrite.prototxt", folder / "random.caffemodel"
    write_text(net, path)
    caffe = loader.load()
    caffe.set_random_seed(1)
    caffe.Net(str(path), caffe.TEST).save(str(weights))
    return path, weights


def clocks() -> np.ndarray:
    """Elapsed seconds, and seconds of processor time of this process and its ended children."""
    used = os.times()
    return np.array([time.perf_counter(), sum(used[:4])])


def forward_alone(finder: RegionNet, passes: int) -> np.ndarray:
    """`clocks` for `passes` forward passes, reading the layer's tops as rewriting does."""
    random = np.random.RandomState(1)
    images = random.randn(finder.batch, 3, *finder.size).astype(np.float32)
    started = clocks()
    for _ in range(passes):
        finder.find(images)
    return clocks() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--a-star", default="ROI")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--laap", action="store_true")
    parser.add_argument("--limit", type=float, default=1.25)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="maap-bench-") as name:
        folder = Path(name)
        source = make_source(folder / "data", options.images)
        net, weights = make_net(folder, options.batch, options.laap, options.a_star)
        finder = RegionNet(net, weights, options.batch)
        transform = Transform(mean=MEAN, scale=SCRATCH_SCALE)
        passes = -(-options.images // options.batch)
        forward_alone(finder, 2)
        print(
            f"AlexNet rewrite net{' + LAAP' if options.laap else ''}, {options.images} images of "
            f"256x256 (JPEG), batch {options.batch}, {options.a_star}, {os.cpu_count()} cores"
        )
        load, ratios = machine.Load(), []
        for number in range(options.rounds):
            alone = forward_alone(finder, passes)
            out = folder / f"out{number}"
            arguments = (source, out, net, weights, options.a_star, transform, options.batch)
            started = clocks()
            with contextlib.redirect_stdout(io.StringIO()):
                rewrite(*arguments, finder=finder)
            whole = clocks() - started
            seconds, processor = whole / alone
            ratios.append(seconds)
            print(
                f"round {number + 1}: forward alone {alone[0]:.2f} s, rewriting {whole[0]:.2f} s, "
                f"ratio {seconds:.3f} (processor time {processor:.3f})",
                flush=True,
            )
        median = statistics.median(ratios)
        print(machine.line(load, os.cpu_count() or 1))
        print(f"AlexNet, {options.images} images of 256 × 256 (JPEG), batch {options.batch}:\n")
        cells = [f"{options.a_star}{' with LAAP' if options.laap else ''}", f"{median:.3f}"]
        heads = ["A*", "rewriting over the forward pass alone, median", "rounds"]
        print(machine.table(heads, [[*cells, ", ".join(f"{ratio:.3f}" for ratio in ratios)]]))
        slow = f"{median:.3f}, at most {options.limit:g}"
        print("\n" + machine.verdict([slow] if median > options.limit else []))
    return 0 if median <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
