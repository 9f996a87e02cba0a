#!/usr/bin/env python3
"""Times forward and backward of a training step on the CPU: this engine, BVLC Caffe and PyTorch.

    bench/net_speed.py [alexnet|vgg19|resnet152 ...] [--batch 16] [--rounds 9] [--threads 2]
                       [--torch PYTHON] [--apart]

AlexNet, AlexNet + LAAP, VGG19 and ResNet-152 (BatchNorm on each batch's own statistics) with random
weights and one random batch, in a process for each program and net; they take turns, so that a
disturbance of the machine affects all of them. --apart runs them one after the other instead, for
large nets that do not fit into memory together: ResNet-152 with 16 images takes about 9 GB per
program. PyTorch runs eagerly, in the faster of its two memory layouts for each net; PYTHON is an
interpreter that has torch. PyTorch resets gradients by releasing them; both Caffes write zeros,
which is not timed.

Prints the median and the best time, the engine's speed-up, and the peak of resident memory, with
that before the net was made. Then prints the engine's ten slowest layers with BVLC Caffe's times
and the least time that this machine allows: the larger of the layer's arithmetic divided by the
rate of a large matrix product, and its memory traffic divided by the bandwidth of a copy, both
measured in the same run. Exit status 1 if a target is missed: 2.5 times BVLC Caffe's speed, 1.5
times PyTorch's, no more memory than BVLC Caffe.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[1]
NETS = {  # net -> title of each of its variants, without and with LAAP
    "alexnet": {False: "AlexNet", True: "AlexNet + LAAP"},
    "vgg19": {False: "VGG19"},
    "resnet152": {False: "ResNet-152"},
}
BVLC, TORCH = "BVLC Caffe", ("PyTorch contiguous", "PyTorch channels_last")
TARGETS = {BVLC: 2.5, "PyTorch": 1.5}

# ---- workers: they read commands as lines and answer as JSON


class CaffeNet:
    """A training net of prototxt/ in the Caffe of this Python."""

    def __init__(self, name: str, batch: int, laap: bool) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")
        import numpy as np
        from maap.host import loader
        from maap.nets.folder import find_net
        from maap.nets.prototxt import write_text
        from maap.nets.resolve import resolve_train

        caffe = loader.load()
        self.before = resident()
        caffe.set_random_seed(1)
        message = resolve_train(find_net(name), laap, 200, batch, True, batch_norm="train")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.prototxt"
            write_text(message, path)
            self.net = caffe.Net(str(path), caffe.TRAIN)
        random = np.random.RandomState(2)
        data = self.net.blobs["data"]
        data.data[...] = random.randn(*data.shape)
        self.net.blobs["label"].data[...] = random.randint(0, 200, batch)

    def iteration(self) -> float:
        self.net.clear_param_diffs()
        start = time.perf_counter()
        self.net.forward()
        self.net.backward()
        return time.perf_counter() - start

    def layers(self, rounds: int) -> list[dict[str, Any]]:
        """Best time of each layer, with its arithmetic and the memory it must access."""
        net, names = self.net, list(self.net._layer_names)
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


def machine(threads: int) -> dict[str, float]:
    """The rate of a large matrix product (operations) and of a copy (bytes), per second."""
    import numpy as np

    size = 2048
    a, b, c = (np.ones((size, size), np.float32) for _ in range(3))

    def pointer(matrix: Any) -> Any:
        return matrix.ctypes.data_as(ctypes.c_void_p)

    sgemm = ctypes.CDLL("libdnnl.so.2").dnnl_sgemm
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
    answers: dict[str, Callable[[], Any]] = {
        "iteration": net.iteration,
        "memory": lambda: [net.before, resident("VmHWM")],
        "layers": lambda: net.layers(args.rounds),
        "machine": lambda: machine(args.threads),
    }
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


# ---- the main program


class Worker:
    """A process that runs one net in one program.

    ``close`` requests the other results and ends it.
    """

    def __init__(self, name: str, net: str, laap: bool, args: argparse.Namespace) -> None:
        self.name, self.laap = name, laap
        self.times: list[float] = []
        self.memory = (0.0, 0.0)  # before the net was made, and peak; MB
        self.layers: list[dict[str, Any]] = []
        self.limits: dict[str, float] = {}
        start = {
            BVLC: [str(ROOT / "tools/host/bvlc"), "python3"],
            "engine": [str(ROOT / "tools/engine/run"), "python3"],
        }.get(name, [args.torch])
        command = [*start, __file__, net, "--worker", name, "--batch", str(args.batch)]
        command += ["--threads", str(args.threads), "--rounds", str(args.rounds)]
        threads = {k: str(args.threads) for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        self.process = subprocess.Popen(
            command + (["--laap"] if laap else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "passive", **threads},
        )

    def ask(self, what: str) -> Any:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name}: the process ended; its error message is above")
        return json.loads(answer)

    def median(self) -> float:
        return statistics.median(self.times)

    def close(self) -> None:
        self.memory = tuple(self.ask("memory"))
        if self.name == "engine":
            self.limits = self.ask("machine")
        if self.name in ("engine", BVLC):
            self.layers = self.ask("layers")
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def measure(net: str, laap: bool, args: argparse.Namespace) -> list[Worker]:
    """The times and other results of all programs, in turns or one program after the other."""
    names = ["engine", BVLC, *(TORCH if args.torch else ())]
    done: list[Worker] = []
    for together in [[name] for name in names] if args.apart else [names]:
        workers = [Worker(name, net, laap, args) for name in together]
        for turn in range(-2, args.rounds):
            for worker in workers:
                seconds = worker.ask("iteration")
                if turn >= 0:
                    worker.times.append(seconds)
        for worker in workers:
            worker.close()
        done += workers
    return done


def report(title: str, workers: list[Worker]) -> bool:
    """Times and memory of one net's programs; whether every target is met."""
    mine = next(w for w in workers if w.name == "engine")
    others = [w for w in workers if w.name == BVLC]
    if torches := [w for w in workers if w.name in TORCH]:
        others.append(min(torches, key=Worker.median))
    good = True
    print(f"\n{title:32} median    best      median ratio  best ratio   peak memory (before)")
    for worker in [mine, *others]:
        before, peak = worker.memory
        ratio = worker.median() / mine.median()
        ratios = f"{ratio:10.2f} {min(worker.times) / min(mine.times):12.2f}"
        print(
            f"  {worker.name:26} {1e3 * worker.median():8.1f} {1e3 * min(worker.times):8.1f} ms"
            f" {ratios if worker is not mine else ' ' * 23}     {peak:6.0f} ({before:.0f}) MB"
        )
        target = TARGETS.get("PyTorch" if worker.name in TORCH else worker.name, 0)
        good = good and ratio >= target
    for other in others:
        good = good and (other.name != BVLC or mine.memory[1] <= other.memory[1])
    return good


def report_layers(title: str, workers: list[Worker]) -> None:
    by_name = {w.name: w for w in workers}
    limits, mine = by_name["engine"].limits, by_name["engine"].layers
    theirs = {r["name"]: sum(r["times"]) for r in by_name[BVLC].layers}
    print(
        f"\n{title}, forward + backward, best times, ms. A product of 2048 x 2048 matrices: "
        f"{limits['flops'] / 1e9:.0f} GFLOP/s; a copy: {limits['bytes'] / 1e9:.0f} GB/s"
    )
    print("  layer                       engine   limit            of it   BVLC Caffe   ratio")
    for row in sorted(mine, key=lambda r: -sum(r["times"]))[:10]:
        spent, arithmetic = sum(row["times"]), row["flops"] / limits["flops"]
        traffic = row["bytes"] / limits["bytes"]
        kind = "arithmetic" if arithmetic > traffic else "memory"
        least, other = max(arithmetic, traffic), theirs[row["name"]]
        print(
            f"  {row['name']:16} {row['type']:15} {1e3 * spent:7.2f} {1e3 * least:7.2f} {kind:10}"
            f" {least / spent:7.0%} {1e3 * other:10.1f} {other / spent:9.1f}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", default=list(NETS), metavar="NET", help=", ".join(NETS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has torch")
    parser.add_argument("--apart", action="store_true", help="one program at a time")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--laap", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.nets) - set(NETS):
        parser.error(f"no net {', '.join(sorted(unknown))}; there are {', '.join(NETS)}")
    if args.worker:
        work(args)
        return 0
    good = True
    print(f"Forward + backward, batch {args.batch}, {args.threads} threads, {args.rounds} rounds")
    for net in args.nets:
        for laap, title in NETS[net].items():
            workers = measure(net, laap, args)
            good = report(title, workers) and good
            report_layers(title, workers)
    print("\nevery target is met" if good else "\na target is missed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
