#!/usr/bin/env python3
"""Times forward and backward of a training step on the CPU: this engine, BVLC Caffe and PyTorch.

    bench/net_speed.py [alexnet|vgg19|resnet152 ...] [--batch 16] [--rounds 9] [--threads 2]
                       [--avx2] [--torch PYTHON] [--without BVLC,PyTorch] [--apart]

AlexNet, AlexNet + LAAP, VGG19 and ResNet-152 (BatchNorm on each batch's own statistics) with random
weights and one random batch, in a process for each program and net; they take turns, so that a
disturbance of the machine affects all of them. --apart runs them one after the other instead, for
large nets that do not fit into memory together. PyTorch runs eagerly, in the faster of its two
memory layouts for each net and with its own way of waiting (no OMP_WAIT_POLICY); it is that of
tools/engine/torch, or of the interpreter PYTHON. PyTorch resets gradients by releasing them; both
Caffes write zeros, which is not timed. A program that is not there is left out. --avx2 hides
AVX-512 from all programs.

Prints a table of the median and the best time, how many times as fast the engine is, and the peak
of resident memory (in the table's words: with that before the net was made). Then prints the
engine's ten slowest layers with BVLC Caffe's times and the least time that this machine allows: the
larger of the layer's arithmetic divided by the rate of a large matrix product, and its memory
traffic divided by the bandwidth of a copy, both measured in the same run. Exit status 1 if a target
is missed (TARGETS), by the median.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

import machine
from turns import Worker, answer, has_bvlc, has_torch, interpreter

NETS = {  # net -> title of each of its variants, without and with LAAP
    "alexnet": {False: "AlexNet", True: "AlexNet + LAAP"},
    "vgg19": {False: "VGG19"},
    "resnet152": {False: "ResNet-152"},
}
BVLC, TORCH = "BVLC Caffe", ("PyTorch contiguous", "PyTorch channels_last")
#: net -> program -> times its speed, with AVX2 and with AVX-512.
TARGETS = {
    "alexnet": {BVLC: (3.0, 6.0), "PyTorch": (2.3, 2.7)},
    "vgg19": {"PyTorch": (2.0, 2.4)},
    "resnet152": {"PyTorch": (1.5, 1.5)},
}
SMALL = ("vgg19", "resnet152")  # nets whose peak memory is to be at most PyTorch's

# ---- workers: they read commands as lines and answer as JSON


class CaffeNet:
    """A training net of prototxt/ in the Caffe of this Python. Its passes keep outputs alone, as
    in ``caffe train`` and ``maap train``, where the Caffe can do that; BVLC Caffe keeps all."""

    def __init__(self, name: str, batch: int, laap: bool) -> None:
        from maap.host import loader
        from maap.nets.folder import find_net
        from maap.nets.prototxt import to_text
        from maap.nets.resolve import resolve_train

        caffe = loader.load()
        self.before = resident()
        caffe.set_random_seed(1)
        message = resolve_train(find_net(name), laap, 200, batch, True, batch_norm="train")
        text = to_text(message)
        self.net = self._make(text)
        self.again = lambda: self._make(text)
        loader.keep_only(self.net)

    @staticmethod
    def _make(text: str) -> Any:
        """A net with one random batch."""
        import caffe
        import numpy as np

        with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
            file.write(text)
            file.flush()
            net = caffe.Net(file.name, caffe.TRAIN)
        random = np.random.RandomState(2)
        data, label = net.blobs["data"].data, net.blobs["label"].data
        data[...] = random.randn(*data.shape)
        label[...] = random.randint(0, 200, label.shape)
        return net

    def iteration(self) -> float:
        self.net.clear_param_diffs()
        start = time.perf_counter()
        self.net.forward()
        self.net.backward()
        return time.perf_counter() - start

    def layers(self, rounds: int) -> list[dict[str, Any]]:
        """Best time of each layer, with its arithmetic and the memory it must access. In a net that
        keeps all blobs, since each layer runs alone."""
        self.net = net = self.again()
        names = list(net._layer_names)
        best = [[float("inf")] * 2 for _ in names]
        for _ in range(rounds):
            for i in range(len(names)):
                start = time.perf_counter()
                net._forward(i, i)
                best[i][0] = min(best[i][0], time.perf_counter() - start)
            for i in reversed(range(len(names))):
                start = time.perf_counter()
                net._backward(i, i)
                best[i][1] = min(best[i][1], time.perf_counter() - start)
        rows = []
        for name, layer, times in zip(names, net.layers, best):
            flops, traffic = self._work(name, layer)
            rows.append({"name": name, "type": layer.type, "times": times})
            rows[-1].update({"flops": flops, "bytes": traffic})
        return rows

    def _work(self, name: str, layer: Any) -> tuple[float, float]:
        """Operations and bytes of both passes. A parameter's gradient is read and written."""
        net = self.net
        bottoms, tops = net.bottom_names[name], net.top_names[name]
        if not bottoms:
            return 0.0, 0.0
        bottom = sum(net.blobs[b].count for b in bottoms)
        top = sum(net.blobs[t].count for t in tops)
        learnt = sum(blob.count for blob in layer.blobs)
        to_bottom = bottoms[0] != "data"  # the images need no gradient
        if layer.type in ("Convolution", "InnerProduct"):
            weights = layer.blobs[0]
            flops = 2.0 * top * weights.count / weights.data.shape[0] * (3 if to_bottom else 2)
            values = (bottom + learnt + top) + (bottom + top + 2 * learnt)
            values += (top + learnt + bottom) if to_bottom else 0
            return flops, 4.0 * values
        if layer.type == "SoftmaxWithLoss":
            return 0.0, 4.0 * 3 * bottom
        # Forward: bottom, top. Backward: bottom, top's gradient, bottom's gradient.
        return 0.0, 4.0 * (bottom + top + 2 * bottom + top)


class TorchNet:
    """The same net in eager PyTorch."""

    def __init__(self, name: str, batch: int, laap: bool, threads: int, last: bool) -> None:
        import torch

        sys.path.insert(0, str(Path(__file__).parent))
        import torch_nets

        torch.set_num_threads(threads)
        self.before = resident()
        self.net = torch_nets.TorchNet(name, batch, laap, channels_last=last)

    def iteration(self) -> float:
        self.net.forget()
        start = time.perf_counter()
        self.net.iteration()
        return time.perf_counter() - start


def resident(what: str = "VmRSS") -> float:
    """Megabytes of this process: VmRSS (current) and VmHWM (peak)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def rates(threads: int) -> dict[str, float]:
    """The rate of a large matrix product (operations) and of a copy (bytes), per second."""
    import numpy as np

    size = 2048
    a, b, c = (np.ones((size, size), np.float32) for _ in range(3))

    def pointer(matrix: Any) -> Any:
        return matrix.ctypes.data_as(ctypes.c_void_p)

    sgemm = ctypes.CDLL(onednn()).dnnl_sgemm
    number, wide = ctypes.c_float, ctypes.c_int64
    sgemm.argtypes = [ctypes.c_char] * 2 + [wide] * 3 + [number, ctypes.c_void_p, wide]
    sgemm.argtypes += [ctypes.c_void_p, wide, number, ctypes.c_void_p, wide]

    def multiply() -> None:
        edges = (size, size, size)
        sgemm(b"N", b"N", *edges, 1.0, pointer(a), size, pointer(b), size, 0.0, pointer(c), size)

    block = 32 << 20
    parts = [(np.ones(block, np.uint8), np.ones(block, np.uint8)) for _ in range(threads)]

    def copy() -> None:
        workers = [threading.Thread(target=np.copyto, args=(t, f)) for f, t in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return {
        "flops": 2.0 * size**3 / best_of(multiply),
        "bytes": 2.0 * block * threads / best_of(copy),
    }


def onednn() -> str:
    """The path of the oneDNN that this process has loaded."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split()[-1]
        if "libdnnl" in path:
            return path
    sys.exit("error: this engine was built without oneDNN, whose matrix product is the limit")


def best_of(call: Callable[[], None], times: int = 12) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def work(args: argparse.Namespace) -> None:
    """Runs a worker: makes its net, then answers until its input ends."""
    if args.worker in TORCH:
        net: Any = TorchNet(
            args.nets[0], args.batch, args.laap, args.threads, args.worker == TORCH[1]
        )
    else:
        net = CaffeNet(args.nets[0], args.batch, args.laap)
    answer(
        {
            "iteration": net.iteration,
            "memory": lambda: [net.before, resident("VmHWM")],
            "layers": lambda rounds: net.layers(int(rounds)),
            "rates": lambda: rates(args.threads),
            "version": lambda: version(args.worker),
        }
    )


def version(program: str) -> str:
    if program in TORCH:
        import torch

        return str(torch.__version__)
    return ""


# ---- the main program


class Program(Worker):
    """A process that runs one net in one program, its times in seconds and what `finish` asked."""

    def __init__(self, name: str, net: str, laap: bool, args: argparse.Namespace) -> None:
        self.times: list[float] = []
        self.memory = (0.0, 0.0)  # before the net was made, and peak; MB
        self.layers: list[dict[str, Any]] = []
        self.limits: dict[str, float] = {}
        kind = {BVLC: "bvlc", "engine": "engine"}.get(name, "torch")
        command = [*interpreter(kind, args.torch), __file__, net, "--worker", name]
        command += ["--batch", str(args.batch), "--threads", str(args.threads)]
        own_way = {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": None} if kind == "torch" else {}
        super().__init__(name, command + ["--laap"] * laap, args.threads, own_way)

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def finish(self, rounds: int) -> None:
        """Asks for the other results and ends the process."""
        self.memory = tuple(self.ask("memory"))
        if self.name == "engine":
            self.limits = self.ask("rates")
            self.layers = self.ask("layers", rounds)
        if self.name == BVLC:
            self.layers = self.ask("layers", min(rounds, 2))
        self.version = self.ask("version")
        self.close()


def measure(net: str, laap: bool, args: argparse.Namespace) -> list[Program]:
    """The results of all programs, in turns or one program after the other; the engine's first,
    and of PyTorch's two layouts the faster one."""
    done: list[Program] = []
    for together in [[name] for name in args.programs] if args.apart else [args.programs]:
        programs = [Program(name, net, laap, args) for name in together]
        for turn in range(-2, args.rounds):
            for program in programs:
                seconds = program.ask("iteration")
                if turn >= 0:
                    program.times.append(seconds)
        for program in programs:
            program.finish(args.rounds)
        done += programs
    layouts = [program for program in done if program.name in TORCH]
    if layouts:
        done.remove(max(layouts, key=lambda program: program.median))
    return done


def title_of(name: str) -> str:
    return "PyTorch" if name in TORCH else name


def misses(net: str, programs: list[Any], wide: bool) -> list[str]:
    """The targets of a net that are missed, in words. ``wide``: with AVX-512."""
    mine, found = programs[0], []
    for other in programs[1:]:
        title = title_of(other.name)
        ratio, least = other.median / mine.median, TARGETS[net].get(title, (0, 0))[wide]
        if ratio < least:
            found.append(f"{ratio:.2f} times the speed of {title}, at least {least:g}")
        if title == "PyTorch" and net in SMALL and mine.memory[1] > other.memory[1]:
            found.append(f"{mine.memory[1]:.0f} MB, at most PyTorch's {other.memory[1]:.0f} MB")
    return found


HEADS = ("net", "engine, ms", f"× {BVLC}", "× PyTorch", "peak memory: engine, BVLC, PyTorch; MB")


def row(title: str, programs: list[Any]) -> list[str]:
    """A net's row of the table; medians, with the best times in brackets."""
    mine, by_title = programs[0], {title_of(p.name): p for p in programs}

    def faster(name: str) -> str:
        if (other := by_title.get(name)) is None:
            return "-"
        best = min(other.times) / min(mine.times)
        return f"{other.median / mine.median:.2f} ({best:.2f})"

    peaks = [
        f"{p.memory[1]:.0f}" if p else "-" for p in map(by_title.get, ("engine", BVLC, "PyTorch"))
    ]
    own = f"{1e3 * mine.median:.1f} ({1e3 * min(mine.times):.1f})"
    return [title, own, faster(BVLC), faster("PyTorch"), ", ".join(peaks)]


def layers_table(title: str, programs: list[Program]) -> str:
    """The engine's ten slowest layers, as Markdown."""
    limits, mine = programs[0].limits, programs[0].layers
    theirs = {r["name"]: sum(r["times"]) for p in programs[1:] for r in p.layers}
    rows = []
    for layer in sorted(mine, key=lambda layer: -sum(layer["times"]))[:10]:
        spent, arithmetic = sum(layer["times"]), layer["flops"] / limits["flops"]
        traffic = layer["bytes"] / limits["bytes"]
        kind = "arithmetic" if arithmetic > traffic else "memory"
        least, other = max(arithmetic, traffic), theirs.get(layer["name"])
        cells = [f"{layer['name']} ({layer['type']})", f"{1e3 * spent:.2f}"]
        cells += [f"{1e3 * least:.2f} ({kind})", f"{least / spent:.0%}"]
        rows.append([*cells, f"{1e3 * other:.1f}" if other else "-"])
    heads = ("layer", "engine, ms", "limit, ms", "of the limit", f"{BVLC}, ms")
    return (
        f"{title}: the slowest layers, forward + backward, best times. A product of 2048 × 2048 "
        f"matrices: {limits['flops'] / 1e9:.0f} GFLOP/s; a copy: {limits['bytes'] / 1e9:.0f} GB/s:"
        "\n\n" + machine.table(heads, rows)
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NET", help=", ".join(NETS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--avx2", action="store_true", help="hide AVX-512")
    parser.add_argument("--torch", metavar="PYTHON", help="another Python that has torch")
    parser.add_argument("--without", default="", metavar="NAMES", help="BVLC, PyTorch; with commas")
    parser.add_argument("--apart", action="store_true", help="one program at a time")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--laap", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.nets = args.nets or list(NETS)
    if unknown := set(args.nets) - set(NETS):
        parser.error(f"no net {', '.join(sorted(unknown))}; there are {', '.join(NETS)}")
    without = set(args.without.split(",")) - {""}
    if unknown := without - {"BVLC", "PyTorch"}:
        parser.error(f"--without {', '.join(sorted(unknown))}: it is BVLC or PyTorch")
    args.programs = ["engine"]
    if args.worker:
        return args
    there = {"BVLC": has_bvlc(), "PyTorch": bool(args.torch) or has_torch()}
    for name, names in (("BVLC", [BVLC]), ("PyTorch", list(TORCH))):
        if name not in without and not there[name]:
            print(f"{name} is not there (tools/engine/torch, tools/host/make_root): left out")
        elif name not in without:
            args.programs += names
    return args


def main() -> int:
    args = arguments()
    if args.worker:
        work(args)
        return 0
    if args.avx2:
        machine.use_avx2()
    wide = machine.processor().in_use(machine.is_hidden()) == "AVX-512"
    load, rows, wrong, layers, versions = machine.Load(), [], [], [], {}
    for net in args.nets:
        for laap, title in NETS[net].items():
            programs = measure(net, laap, args)
            title = f"{title}, batch {args.batch}"
            for program in programs:
                before, peak = program.memory
                print(
                    f"{title}, {program.name}: {1e3 * program.median:.1f} ms, "
                    f"memory before the net {before:.0f} MB, peak {peak:.0f} MB"
                )
            versions.update({title_of(p.name): p.version for p in programs if p.version})
            rows.append(row(title, programs))
            slowest, missed = layers_table(title, programs), misses(net, programs, wide)
            print(f"\n{slowest}\n", flush=True)
            layers += [slowest] if missed else []
            wrong += [f"{title}: {text}" for text in missed]
    print(machine.line(load, args.threads, versions))
    print(f"Forward + backward, {args.rounds} rounds, median (best); speeds as multiples:\n")
    print(machine.table(HEADS, rows))
    print("\n" + machine.verdict(wrong))
    print("".join(f"\n{table}\n" for table in layers), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
