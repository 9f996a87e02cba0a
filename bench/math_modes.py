#!/usr/bin/env python3
"""Compares a CPU's math mode (docs/math-modes.md) with float: loss curves, speed and memory.

    bench/math_modes.py [curves|speed] [--mode BF16] [--seeds 3] [--iterations 300] [--rounds 9]
                        [--threads 2] [--nets alexnet:16,vgg19:4,resnet152:4]

curves: trains AlexNet + LAAP with random weights on images of coloured squares on noise, of eight
classes, with each seed in float and in the mode. A seed has the same first weights and batches in
both. Prints, for windows of iterations, the mean loss of each training and the spread of float's
seeds (greatest less least). Exit status 1 if the mean of the mode's seeds is further from that of
float's than the spread is, in a window.

speed: times forward and backward of a training step, in a process for each mode; they take turns.
Prints the median and the best time, and the peak of resident memory. Without a word: both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np
from turns import ENGINE, Worker, answer

CLASSES, WINDOWS = 8, 6
_SOLVER = """net: "{net}" type: "SGD" base_lr: {rate} lr_policy: "fixed" momentum: 0.9
weight_decay: 0.0005 max_iter: 1000000 display: 0 snapshot: 0 snapshot_after_train: false
solver_mode: CPU random_seed: {seed} math_mode: {mode}
"""


@dataclass
class Training:
    """What is trained. net: text of a prototxt with inputs `data` (N,3,H,W) and `label` (N) and one
    output, the loss. rate: the learning rate."""

    net: str
    iterations: int
    rate: float


def squares(random: np.random.RandomState, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A batch (N,3,H,W) of noise with a square each, and the labels (N): its colour, of CLASSES."""
    images = random.uniform(-0.6, 0.6, shape).astype(np.float32)
    labels = random.randint(0, CLASSES, shape[0])
    side = shape[2] // 3
    for image, label in zip(images, labels):
        y, x = random.randint(0, shape[2] - side), random.randint(0, shape[3] - side)
        colour = [1 if label >> channel & 1 else -1 for channel in range(3)]
        image[:, y : y + side, x : x + side] += np.array(colour, np.float32)[:, None, None]
    return images, labels.astype(np.float32)


def losses(training: Training, mode: str, seed: int) -> list[float]:
    """The loss of each iteration of a training. Raises CaffeError where the mode is not there."""
    import caffe

    with tempfile.TemporaryDirectory() as folder:
        net, solver = Path(folder) / "net.prototxt", Path(folder) / "solver.prototxt"
        net.write_text(training.net)
        solver.write_text(_SOLVER.format(net=net, rate=training.rate, seed=seed, mode=mode))
        trained = caffe.get_solver(str(solver))
    random = np.random.RandomState(seed)
    blobs, output = trained.net.blobs, trained.net.outputs[0]
    trained.net.keep_only([])
    found = []
    for _ in range(training.iterations):
        blobs["data"].data[...], blobs["label"].data[...] = squares(random, blobs["data"].shape)
        trained.step(1)
        found.append(float(blobs[output].data))
    return found


def windows(curve: list[float]) -> list[float]:
    """The means of a curve's WINDOWS parts of the same length."""
    return [float(part.mean()) for part in np.array_split(np.array(curve), WINDOWS)]


def beyond(floats: list[list[float]], others: list[list[float]]) -> list[str]:
    """In which windows the means of two groups of curves differ by more than the spread of the
    first group, in words. Each curve is that of a seed, as `windows` returns it."""
    found = []
    for i, (mine, theirs) in enumerate(zip(zip(*floats), zip(*others))):
        spread, apart = max(mine) - min(mine), abs(statistics.mean(mine) - statistics.mean(theirs))
        if apart > spread:
            found.append(f"window {i + 1}: {apart:.4f} apart, the seeds' spread is {spread:.4f}")
    return found


def alexnet(iterations: int) -> Training:
    """AlexNet + LAAP with random weights; its first weights are wide enough to learn at once."""
    from maap.nets.folder import find_net
    from maap.nets.prototxt import to_text
    from maap.nets.resolve import resolve_train

    message = resolve_train(find_net("alexnet"), True, CLASSES, 16, True, batch_norm="train")
    for layer in message.layer:
        for part in (layer.convolution_param, layer.inner_product_param):
            if part.num_output:
                part.weight_filler.Clear()
                part.weight_filler.type = "msra"
                part.bias_filler.Clear()
    return Training(to_text(message), iterations, 0.0005)


def curves(args: argparse.Namespace) -> bool:
    """Trains and prints; whether the mode stays within float's spread."""
    training, load = alexnet(args.iterations), machine.Load()
    found = {
        mode: [windows(losses(training, mode, seed)) for seed in range(1, args.seeds + 1)]
        for mode in ("FLOAT", args.mode)
    }
    print(machine.line(load, args.threads) + "\n")
    heads = ["iterations", *(f"{mode} {s + 1}" for mode in found for s in range(args.seeds))]
    rows = []
    for i in range(WINDOWS):
        first = args.iterations * i // WINDOWS + 1
        last = args.iterations * (i + 1) // WINDOWS
        cells = [f"{curve[i]:.4f}" for group in found.values() for curve in group]
        spread = [curve[i] for curve in found["FLOAT"]]
        rows.append([f"{first} to {last}", *cells, f"{max(spread) - min(spread):.4f}"])
    print(machine.table([*heads, "FLOAT's spread"], rows) + "\n")
    missed = beyond(found["FLOAT"], found[args.mode])
    print(machine.verdict(missed))
    return not missed


# ---- speed


def work(args: argparse.Namespace) -> None:
    """A worker: makes its net, then answers until its input ends."""
    import caffe
    import net_speed

    caffe.set_math_mode(args.worker)
    name, batch = args.nets.split(":")
    net = net_speed.CaffeNet(name, int(batch), name == "alexnet")
    answer(
        {
            "iteration": net.iteration,
            "memory": lambda: [net.before, net_speed.resident("VmHWM")],
        }
    )


def speed(args: argparse.Namespace) -> None:
    """Measures and prints a row for each net and mode."""
    load, rows = machine.Load(), []
    for net in args.nets.split(","):
        workers, times = {}, {}
        for mode in ("FLOAT", args.mode):
            command = [*ENGINE, __file__, "--nets", net, "--worker", mode]
            workers[mode], times[mode] = Worker(mode, command, args.threads), []
        for turn in range(-2, args.rounds):
            for mode, worker in workers.items():
                seconds = worker.ask("iteration")
                if turn >= 0:
                    times[mode].append(seconds)
        whole = statistics.median(times["FLOAT"])
        for mode, worker in workers.items():
            before, peak = worker.ask("memory")
            worker.close()
            middle = statistics.median(times[mode])
            ms = f"{middle * 1e3:.0f} ({min(times[mode]) * 1e3:.0f})"
            title = net.replace(":", ", ") + (" + LAAP" if net.startswith("alexnet") else "")
            rows.append([title, mode, ms, f"{whole / middle:.2f}", f"{peak - before:.0f}"])
    print(machine.line(load, args.threads) + "\n")
    heads = ["net, batch", "mode", "median (best), ms", "× float", "peak memory, MB"]
    print(machine.table(heads, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("curves", "speed"))
    parser.add_argument("--mode", default="BF16", choices=["BF16"], help="the CPU's")
    parser.add_argument("--seeds", type=int, default=3, help="2 or more, for curves (default 3)")
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--nets", default="alexnet:16,vgg19:4,resnet152:4")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error(f"--seeds {args.seeds}: a spread needs 2 seeds or more")
    if args.worker:
        return work(args)
    if args.inside:  # in the engine's Python
        sys.exit(not curves(args))
    status = 0
    if args.what in (None, "curves"):
        quiet = dict(os.environ, GLOG_minloglevel="2", OMP_NUM_THREADS=str(args.threads))
        command = [*ENGINE, __file__, *sys.argv[1:], "--inside"]
        started = time.monotonic()
        status = subprocess.run(command, env=quiet).returncode
        print(f"\n{time.monotonic() - started:.0f} s\n")
    if args.what in (None, "speed"):
        speed(args)
    sys.exit(status)


if __name__ == "__main__":
    main()
