#!/usr/bin/env python3
"""Trains AlexNet with `caffe train` as 1, 2 and 4 ranks of mpirun (docs/ranks.md).

    ./maap python bench/ranks.py speed [--ranks 1,2,4] [--batch 16] [--iterations 20]
    ./maap python bench/ranks.py agree [--ranks 2,4] [--batch 4] [--iterations 50] [--rate 0.0001]

AlexNet as in prototxt/alexnet, but without dropout, which differs between ranks, and on made-up
images; --batch is the batch of all ranks together. The ranks share the cores.

speed: iterations a second, from the log's lines after the first ten iterations, and what is summed
in one: bytes of gradients, and bytes that each rank sends when a ring of ranks adds them up.

agree: for each number of ranks, the largest difference of the weights from those of one rank with
the whole batch; and, to see what another order of the same sums makes, that of one rank with
--batch / ranks images and an iter_size of as many as there are ranks. Exit status 1 if the first is
more than 1e-5 for any. It grows with the learning rate: rounding is amplified where training is not
stable.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import lmdb
import machine
import numpy as np
from caffe.io import read_net, read_weights
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from maap.errors import MaapError
from maap.host.launched import mpirun, need_ranks

WARM_UP = 10  # iterations that are not timed
IMAGES = 64
TOLERANCE = 1e-5


def write_images(path: Path) -> None:
    """Random images of 256 x 256, of the 200 classes."""
    random = np.random.default_rng(1)
    with lmdb.open(str(path), map_size=1 << 28) as base, base.begin(write=True) as write:
        for i in range(IMAGES):
            image = random.integers(0, 256, (3, 256, 256)).astype(np.uint8)
            datum = caffe_pb2.Datum(channels=3, height=256, width=256, label=i % 200)
            datum.data = image.tobytes()
            write.put(b"%06d" % i, datum.SerializeToString())


def net(source: Path, batch: int) -> caffe_pb2.NetParameter:
    """AlexNet's training net without dropout."""
    whole = read_net(str(machine.ROOT / "prototxt/alexnet/train_val.prototxt"))
    kept = caffe_pb2.NetParameter(name=whole.name)
    for layer in whole.layer:
        rules = [text_format.MessageToString(rule, as_one_line=True) for rule in layer.include]
        other = any("TEST" in rule or rule.endswith(' stage: "phase2"') for rule in rules)
        if layer.type in ("Dropout", "Accuracy") or (other and "not_stage" not in rules[0]):
            continue
        kept.layer.add().CopyFrom(layer)
        if layer.type == "Data":
            kept.layer[-1].data_param.source = str(source)
            kept.layer[-1].data_param.batch_size = batch
    assert sum(layer.type == "Data" for layer in kept.layer) == 1
    return kept


@dataclass(frozen=True)
class Training:
    ranks: int
    batch: int  # of each rank
    iterations: int
    rate: float
    passes: int = 1  # iter_size

    @property
    def name(self) -> str:
        return f"{self.ranks}x{self.batch}x{self.passes}"


def write_solver(folder: Path, wanted: Training) -> Path:
    model = folder / f"net{wanted.name}.prototxt"
    model.write_text(text_format.MessageToString(net(folder / "images", wanted.batch)))
    solver = caffe_pb2.SolverParameter(
        net=str(model),
        base_lr=wanted.rate,
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0.0005,
        max_iter=wanted.iterations,
        iter_size=wanted.passes,
        display=WARM_UP,
        random_seed=1,
        snapshot_prefix=str(folder / wanted.name),
        solver_mode=caffe_pb2.SolverParameter.CPU,
    )
    path = folder / f"solver{wanted.name}.prototxt"
    path.write_text(text_format.MessageToString(solver))
    return path


def train(folder: Path, wanted: Training) -> tuple[str, Path]:
    """The log, and the weights."""
    command = ["caffe", "train", "-solver", str(write_solver(folder, wanted))]
    environment = None
    if wanted.ranks > 1:
        need_ranks(wanted.ranks)
        command, environment = mpirun(wanted.ranks, command)
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SystemExit(f"error: training failed:\n{done.stdout[-3000:]}")
    return done.stdout, folder / f"{wanted.name}_iter_{wanted.iterations}.caffemodel"


def share(batch: int, ranks: int) -> int:
    """A rank's batch."""
    if batch % ranks:
        raise SystemExit(f"error: {ranks} ranks cannot share a batch of {batch} evenly")
    return batch // ranks


def rate(log: str) -> float:
    """Iterations a second after the warm-up: the median of the log's lines."""
    lines = re.findall(r"Iteration (\d+) \((\S+) iter/s", log)
    rates = [float(found) for iteration, found in lines if int(iteration) > WARM_UP]
    return float(np.median(rates))


def blobs(model: Path) -> list[np.ndarray]:
    return [np.array(blob.data) for layer in read_weights(str(model)).layer for blob in layer.blobs]


def numbers(text: str) -> list[int]:
    """The numbers of ranks, from --ranks."""
    if not re.fullmatch(r"[1-9][0-9]*(,[1-9][0-9]*)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers of at least 1, such as 1,2,4")
    return [int(part) for part in text.split(",")]


HEADS = ("ranks", "batch of each", "iterations/s", "of one rank", "gradients", "each rank sends")


def speed(options: argparse.Namespace, folder: Path) -> None:
    load = machine.Load()
    rows = []
    for ranks in options.ranks:
        batch = share(options.batch, ranks)
        wanted = Training(ranks, batch, options.iterations + WARM_UP + 1, options.rate)
        log, model = train(folder, wanted)
        size = 4 * sum(blob.size for blob in blobs(model))
        rows.append((ranks, rate(log), size, 2 * (ranks - 1) / ranks * size))
    print(machine.line(load, len(os.sched_getaffinity(0))))
    cells = [
        [
            str(ranks),
            str(options.batch // ranks),
            f"{found:.2f}",
            f"{found / rows[0][1]:.2f}",
            f"{size / 1e6:.0f} MB",
            f"{sent / 1e6:.0f} MB",
        ]
        for ranks, found, size, sent in rows
    ]
    print("\n" + machine.table(HEADS, cells))


def largest_difference(one: Path, other: Path) -> float:
    pairs = list(zip(blobs(one), blobs(other)))
    assert pairs
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def agree(options: argparse.Namespace, folder: Path) -> bool:
    """Whether all numbers of ranks agree with one rank, which is compared with nothing."""
    several = [(ranks, share(options.batch, ranks)) for ranks in options.ranks if ranks > 1]
    if not several:
        raise SystemExit("error: agree compares several ranks with one: give --ranks 2 or more")
    rest = (options.iterations, options.rate)
    _, whole = train(folder, Training(1, options.batch, *rest))
    largest = max(float(np.abs(blob).max()) for blob in blobs(whole))
    print(
        f"AlexNet without dropout, {options.iterations} iterations, base_lr {options.rate}; the "
        f"largest weight is {largest:.2f}"
    )
    differences = []
    for ranks, batch in several:
        _, many = train(folder, Training(ranks, batch, *rest))
        _, passes = train(folder, Training(1, batch, *rest, passes=ranks))
        found = largest_difference(whole, many)
        print(
            f"{ranks} ranks x batch {batch} and 1 rank x batch {options.batch} differ by "
            f"{found:.1e}; 1 rank x iter_size {ranks} and the same differ by "
            f"{largest_difference(whole, passes):.1e}"
        )
        differences.append(found)
    return all(found <= TOLERANCE for found in differences)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "agree"])
    parser.add_argument("--ranks", type=numbers, metavar="N,N", help="[default: 1,2,4; of agree 4]")
    parser.add_argument("--batch", type=int, help="images in an iteration, of all ranks together")
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--rate", type=float, default=0.0001, help="base_lr")
    options = parser.parse_args()
    defaults = {"speed": ([1, 2, 4], 16, 20), "agree": ([4], 4, 50)}[options.what]
    options.ranks = options.ranks or defaults[0]
    options.batch = options.batch or defaults[1]
    options.iterations = options.iterations or defaults[2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder / "images")
        try:
            if options.what == "agree":
                return 0 if agree(options, folder) else 1
            speed(options, folder)
        except MaapError as error:
            raise SystemExit(f"error: {error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
