#!/usr/bin/env python3
"""Compares training with the Elimination layer inside the net with rewriting, in one run.

    bench/online.py [--net alexnet] [--batch 16] [--images 128] [--iterations 4] [--rounds 3]

Three things are timed with random weights, on the CPU: an iteration (forward, backward, update) of
the training net with Enhancement; an iteration of the online net made from it (--haap online); the
complete rewriting of one batch and of --images JPEG images of 256x256: start the workers, read,
decode, forward, render, encode, sync. The two iterations alternate, --rounds times, after one
warm-up iteration each; batches are ready, since feeders prepare them in parallel. Prints the
medians, and the cost of an iteration of phase 2 in either mode: rewriting's share is its seconds
for all training images divided by the iterations of phase 2, here for the demo set and for
CUB-200-2011 with the iterations of maap/hyperparameters.yaml.
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

import machine
import numpy as np
from maap.attention.region_net import RegionNet
from maap.config import presets
from maap.data.feeder import Transform
from maap.host import loader
from maap.nets.folder import find_net
from maap.nets.online import BRANCH, online_net
from maap.nets.prototxt import write_text
from maap.nets.resolve import resolve_rewrite, resolve_solver, resolve_train
from maap.nets.transform import SCRATCH_SCALE
from maap.rewrite.rewrite import rewrite
from rewrite import MEAN, make_source

CLASSES = 20
DEMO_IMAGES, CUB_IMAGES = 600, 5994  # training images


class Step:
    """A solver of a resolved training net, its batch filled once."""

    def __init__(self, net, name: str, files, folder: Path):
        path = folder / f"{name}.prototxt"
        write_text(net, path)
        solver = resolve_solver(files, True, 2, dict(base_lr=1e-6, display=0), path)
        write_text(solver, folder / f"{name}_solver.prototxt")
        caffe = loader.load()
        caffe.set_random_seed(1)
        self.solver = caffe.get_solver(str(folder / f"{name}_solver.prototxt"))
        random = np.random.RandomState(0)
        data, label = (self.solver.net.blobs[blob].data for blob in ("data", "label"))
        data[...] = random.uniform(-2, 2, data.shape)
        label[...] = np.arange(len(label)) % CLASSES

    def seconds(self, iterations: int) -> float:
        """Seconds per iteration."""
        started = time.perf_counter()
        self.solver.step(iterations)
        return (time.perf_counter() - started) / iterations


def rewriting_seconds(options, net, weights: Path, folder: Path) -> tuple[float, float]:
    """The fixed seconds of a rewriting and its seconds per image, from two lengths."""
    path = folder / "rewrite.prototxt"
    write_text(net, path)
    finder = RegionNet(path, weights, options.batch)
    finder.find(np.zeros((options.batch, 3, *finder.size), np.float32) + 1)
    transform = Transform(mean=MEAN, scale=SCRATCH_SCALE)
    counts = (options.batch, options.images)
    sources = [make_source(folder / f"data{count}", count) for count in counts]
    times: list[list[float]] = [[], []]
    for number in range(options.rounds):
        for source, found in zip(sources, times):
            out = folder / f"out{number}-{len(source)}"
            started = time.perf_counter()
            with contextlib.redirect_stdout(io.StringIO()):
                rewrite(source, out, path, weights, "ROI", transform, options.batch, finder=finder)
            found.append(time.perf_counter() - started)
    short, long = (statistics.median(found) for found in times)
    each = (long - short) / (counts[1] - counts[0])
    return max(0.0, short - each * counts[0]), each


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", default="alexnet")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    load = machine.Load()
    files = find_net(options.net)
    train = resolve_train(files, True, CLASSES, options.batch, True)
    region = resolve_rewrite(files, True, options.batch)
    with tempfile.TemporaryDirectory(prefix="maap-bench-") as name:
        folder = Path(name)
        online = online_net(train, region)
        steps = [Step(train, "plain", files, folder), Step(online, "online", files, folder)]
        weights = folder / "random.caffemodel"
        steps[0].solver.net.save(str(weights))
        times: list[list[float]] = [[], []]
        for number in range(options.rounds + 1):
            for step, found in zip(steps, times):
                seconds = step.seconds(options.iterations if number else 1)
                found += [seconds] if number else []
        plain, inside = (statistics.median(found) for found in times)
        del steps
        rewriting = rewriting_seconds(options, region, weights, folder)
    print(machine.line(load, os.cpu_count() or 1))
    report(options, online, plain, inside, rewriting)
    return 0


def report(options, online, plain: float, inside: float, rewriting: tuple[float, float]) -> None:
    """Print the figures: seconds per iteration of either net, seconds of rewriting (fixed, per
    image)."""
    always, image = rewriting
    branch = sum(layer.name.startswith(BRANCH) for layer in online.layer)
    print(
        f"{options.net} + LAAP, batch {options.batch}; the attention branch has {branch} layers. "
        f"An iteration of phase 2 takes {1e3 * plain:.0f} ms, online {1e3 * inside:.0f} ms "
        f"(× {inside / plain:.2f}); rewriting takes {always:.1f} s and {1e3 * image:.1f} ms an "
        "image:\n"
    )
    rows = []
    for data, images, preset, key in (
        ("demo", DEMO_IMAGES, "demo", "phase2_iter"),
        ("CUB-200-2011", CUB_IMAGES, "solver", "max_iter"),
    ):
        iterations = presets.numbers(options.net, preset)[key][0]
        share = (always + image * images) / iterations
        ratio = inside / (plain + share)
        cells = [f"{images} over {iterations}", f"{1e3 * (plain + share):.0f}", f"{ratio:.2f}"]
        rows.append([data, *cells])
    heads = [
        "data",
        "images over iterations",
        "iteration with its share of rewriting, ms",
        "online, ×",
    ]
    print(machine.table(heads, rows))


if __name__ == "__main__":
    sys.exit(main())
