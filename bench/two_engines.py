#!/usr/bin/env python3
"""Times the engine as two systems build it, such as Debian 12 and Debian 13, on one machine.

    bench/two_engines.py --engine NAME=COMMAND --engine NAME=COMMAND [CASE ...] [--starts 3]
                         [--rounds 5] [--seconds 0.3] [--threads 2] [--limit 1.05] [--avx2]
                         [--layers]

COMMAND are the words that start Python in a checkout of this repository, which must be the current
folder and must have been set up there. For a Debian 13 in the folder ROOT:

    sudo tests/newcomer.sh --suite trixie --keep setup      # prints ROOT
    sudo mount --rbind /proc ROOT/proc
    sudo ./maap python bench/two_engines.py --engine "Debian 12=tools/engine/run python3" \\
        --engine "Debian 13=chroot ROOT env -C /root/maap-caffe tools/engine/run python3"

A CASE is a training step (alexnet, vgg19, resnet152; with the memory saved as `caffe train` does)
or the inference of one image (squeezenet-1, resnet152-1, as pycaffe's Net), with the same random
weights and images in both. Each engine has a process of its own for each case. They take turns; a
turn is as many calls as take --seconds, and the first two do not count. All of that is done
--starts times with new processes, each time in the other order, to even out chance (where memory
lies, say).

Prints the median and the best time of each engine, how many times the first one's the second one's
are, the peak of resident memory, and the largest difference of the results, relative to the largest
value. Exit status 1 if a median is more than --limit times the first engine's, or if results differ
by more than 1e-3. For such a case, and with --layers for all, the ten layers follow on which the
second engine loses most.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
from turns import Worker, answer

TOLERANCE = 1e-3  # of the largest result; libraries add in different orders


@dataclass(frozen=True)
class Case:
    """What is timed: a net of prototxt/ or of inference_nets, learning or not."""

    net: str
    batch: int
    learns: bool
    title: str


CASES = {
    "alexnet": Case("alexnet", 16, True, "AlexNet, batch 16, forward + backward"),
    "vgg19": Case("vgg19", 4, True, "VGG19, batch 4, forward + backward"),
    "resnet152": Case("resnet152", 4, True, "ResNet-152, batch 4, forward + backward"),
    "squeezenet-1": Case("squeezenet", 1, False, "SqueezeNet 1.1, inference of one image"),
    "resnet152-1": Case("resnet152", 1, False, "ResNet-152, inference of one image"),
}

# ---- workers


class Learning:
    """A training step of net_speed.py."""

    def __init__(self, case: Case) -> None:
        import net_speed

        self.maker = net_speed.CaffeNet(case.net, case.batch, False)

    def call(self) -> float:
        return self.maker.iteration()

    def results(self) -> list[float]:
        """The loss and a gradient's first values, of one step: that of the first layer, which all
        others have gone into; with BatchNorm that of the last. ResNet-152's BatchNorm over four
        images makes of a rounding error one 1e5 times as large on the way back to the first layer:
        there even AVX2 and AVX-512 of one engine differ by 1e-1.
        """
        self.call()
        net = self.maker.net
        names = list(net.params)
        name = names[-1 if any(layer.type == "BatchNorm" for layer in net.layers) else 0]
        gradient = net.params[name][0].diff.reshape(-1)[:1000]
        return [float(net.blobs[net.outputs[0]].data.reshape(-1)[0]), *map(float, gradient)]

    def layers(self, rounds: int) -> list[dict[str, Any]]:
        return self.maker.layers(rounds)


class Testing:
    """A deploy net of inference.py."""

    def __init__(self, case: Case) -> None:
        import caffe
        import inference_nets

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.prototxt"
            path.write_text(inference_nets.prototxt(case.net, case.batch))
            self.net = caffe.Net(str(path), caffe.TEST)
        inference_nets.fill(self.net)
        self.data = self.net.blobs[self.net.inputs[0]].data
        shape = self.data.shape
        self.images = np.random.RandomState(2).randn(*shape).astype(np.float32)

    def call(self) -> float:
        began = time.perf_counter()
        self.data[...] = self.images
        self.output = np.array(self.net.forward()["prob"])
        return time.perf_counter() - began

    def results(self) -> list[float]:
        self.call()
        return [float(value) for value in self.output.reshape(-1)]

    def layers(self, rounds: int) -> list[dict[str, Any]]:
        """Best time of each layer, run alone."""
        rows = []
        for i, name in enumerate(self.net._layer_names):
            best = float("inf")
            for _ in range(rounds):
                began = time.perf_counter()
                self.net._forward(i, i)
                best = min(best, time.perf_counter() - began)
            rows.append({"name": name, "type": self.net.layers[i].type, "times": [best, 0.0]})
        return rows


def work(case: Case) -> None:
    """Runs a worker: makes its net, then answers until its input ends."""
    import net_speed

    timed: Any = (Learning if case.learns else Testing)(case)

    def turn(least: str) -> list[float]:
        times = [timed.call()]
        while sum(times) < float(least):
            times.append(timed.call())
        return times

    answer(
        {
            "turn": turn,
            "results": timed.results,
            "layers": lambda rounds: timed.layers(int(rounds)),
            "memory": lambda: net_speed.resident("VmHWM"),
            "versions": machine.versions,
        }
    )


# ---- the main program


@dataclass
class Engine:
    """One of the two: its times in seconds and what it answered."""

    name: str
    command: list[str]
    times: list[float] = field(default_factory=list)
    results: list[float] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    memory: float = 0.0  # MB

    @property
    def median(self) -> float:
        return statistics.median(self.times)


def engine(text: str) -> Engine:
    """From NAME=COMMAND. Raises ArgumentTypeError."""
    name, _, command = text.partition("=")
    if not name or not command:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=COMMAND")
    return Engine(name, shlex.split(command))


def measure(name: str, args: argparse.Namespace) -> list[Engine]:
    """Both engines' results of a case."""
    engines = [Engine(e.name, e.command) for e in args.engine]
    words = ["bench/two_engines.py", name, "--worker"]
    for start in range(args.starts):
        order = engines[:: -1 if start % 2 else 1]
        pairs = [(e, Worker(e.name, [*e.command, *words], args.threads)) for e in order]
        take_turns(pairs, args)
        if start == args.starts - 1 and (args.layers or wrong(engines, args.limit)):
            for one, worker in pairs:
                one.layers = worker.ask("layers", args.rounds)
        for _, worker in pairs:
            worker.close()
    return engines


def take_turns(pairs: list[tuple[Engine, Worker]], args: argparse.Namespace) -> None:
    """Asks all that a start of both is for."""
    for one, worker in pairs:  # before Dropout has drawn different masks
        one.results = worker.ask("results")
    for number in range(-2, args.rounds):
        for one, worker in pairs:
            times = worker.ask("turn", args.seconds)
            if number >= 0:
                one.times += times
    for one, worker in pairs:
        one.memory, one.versions = worker.ask("memory"), worker.ask("versions")


def difference(engines: list[Any]) -> float:
    """The largest one of the results, relative to the largest value."""
    first, second = (np.array(e.results) for e in engines)
    return float(np.abs(first - second).max() / np.abs(first).max())


def wrong(engines: list[Any], limit: float) -> list[str]:
    """What is wrong, in words."""
    first, second = engines
    ratio, found = second.median / first.median, []
    if ratio > limit:
        found.append(f"{second.name} takes {ratio:.2f} times as long, at most {limit:g}")
    if not difference(engines) <= TOLERANCE:
        found.append(f"the results differ by {difference(engines):.1e}")
    return found


def heads(engines: list[Any]) -> list[str]:
    """The table's."""
    names = [e.name for e in engines]
    times = [f"{name}, ms" for name in names]
    return ["what", *times, f"{names[1]} / {names[0]}", "peak memory, MB", "results differ by"]


def row(title: str, engines: list[Any]) -> list[str]:
    """A case's row of the table; medians, with the best times in brackets."""
    first, second = engines
    cells = [f"{1e3 * e.median:.1f} ({1e3 * min(e.times):.1f})" for e in engines]
    best = min(second.times) / min(first.times)
    cells += [f"{second.median / first.median:.3f} ({best:.3f})"]
    cells += [", ".join(f"{e.memory:.0f}" for e in engines)]
    return [title, *cells, f"{difference(engines):.0e}"]


def layers_table(title: str, engines: list[Any]) -> str:
    """The ten layers on which the second engine loses most."""
    first = {layer["name"]: layer["times"] for layer in engines[0].layers}
    lost = []
    for layer in engines[1].layers:
        before, now = first[layer["name"]], layer["times"]
        cells = [f"{layer['name']} ({layer['type']})"]
        for way in range(2):
            cells.append(f"{1e3 * before[way]:.3f}, {1e3 * now[way]:.3f}")
        lost.append((sum(before) - sum(now), cells))
    names = ", ".join(e.name for e in engines)
    rows = [[*cells, f"{-1e3 * loss:.3f}"] for loss, cells in sorted(lost)[:10]]
    return f"{title}, layers, best ms of {names}:\n\n" + machine.table(
        ["layer", "forward", "backward", "lost"], rows
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--engine", action="append", type=engine, metavar="NAME=COMMAND")
    parser.add_argument("--starts", type=int, default=3, help="times that both are started")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each start")
    parser.add_argument("--seconds", type=float, default=0.3, help="of a turn, at least")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--limit", type=float, default=1.05)
    parser.add_argument("--avx2", action="store_true", help="hide AVX-512")
    parser.add_argument("--layers", action="store_true", help="show layers in any case")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.cases = args.cases or list(CASES)
    if unknown := set(args.cases) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if not args.worker and len(args.engine or ()) != 2:
        parser.error("give --engine twice")
    return args


def main() -> int:
    args = arguments()
    if args.worker:
        work(CASES[args.cases[0]])
        return 0
    if args.avx2:
        machine.use_avx2()
    load, rows, missed, tables, versions = machine.Load(), [], [], [], {}
    for name in args.cases:
        title, engines = CASES[name].title, measure(name, args)
        rows.append(row(title, engines))
        print("  ".join(rows[-1]), flush=True)
        missed += [f"{title}: {text}" for text in wrong(engines, args.limit)]
        tables += [layers_table(title, engines)] if engines[0].layers else []
        versions.update({e.name: e.versions for e in engines})
    cpu, hidden = machine.processor(), machine.is_hidden()
    told = {
        name: f"({', '.join(f'{key} {value}' for key, value in found.items())})"
        for name, found in versions.items()
    }
    print("\n" + machine.text_of(cpu, hidden, args.threads, load.shares(), told))
    print(f"{args.starts} starts, {args.rounds} rounds each, median (best):\n")
    print(machine.table(heads(engines), rows))
    print("\n" + machine.verdict(missed))
    print("".join(f"\n{table}\n" for table in tables), end="")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
