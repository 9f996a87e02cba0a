#!/usr/bin/env python3
"""Times inference on the CPU: this engine, BVLC Caffe, OpenCV's dnn, PyTorch and ONNX Runtime.

    bench/inference.py [alexnet|squeezenet|resnet152 ...] [--batch 1,16] [--rounds 5] [--threads 2]
                       [--avx2] [--torch PYTHON] [--only PROGRAM,PROGRAM] [--seconds 0.3]

Deploy nets for 1,000 classes with the same random weights and images for all programs, a process
for each. They take turns; a turn is one call that does not count (unless it takes ten times
--seconds), and then calls for --seconds. A call takes images as a NumPy array in plain layout and
gives the output as one. The engine is timed twice, as pycaffe's Net, all of whose blobs can be
read, and as caffe.dnn. PyTorch runs the module of caffe.torch in inference_mode, in the faster of
two memory layouts, with its own way of waiting (no OMP_WAIT_POLICY); ONNX Runtime runs the file
that caffe.onnx writes. A program that is not there is left out, and the table says so.

Prints the median and the best time of each, and how many times as long as the engine's faster way
it takes. Every program's output is compared with the engine's. Exit status 1 if a target is
missed (faster than OpenCV and PyTorch, at most 1.2 times ONNX Runtime's time, by the median) or
an output differs.

--avx2 hides AVX-512 from all but ONNX Runtime, which has no setting for that: where the processor
has AVX-512, its time is then marked, and no target depends on it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
from inference_nets import TITLES
from turns import Worker, answer, has_bvlc, has_torch, interpreter

PYCAFFE, DNN, BVLC, OPENCV = "pycaffe", "caffe.dnn", "BVLC Caffe", "OpenCV dnn"
PLAIN, LAST, ORT = "PyTorch contiguous", "PyTorch channels_last", "ONNX Runtime"
PROGRAMS = (PYCAFFE, DNN, BVLC, OPENCV, PLAIN, LAST, ORT)
ENGINE = (PYCAFFE, DNN)
#: A target: the engine's time is at most this multiple of the program's.
TARGETS = {OPENCV: 1.0, "PyTorch": 1.0, ORT: 1.2}
VERSION_OF = {OPENCV: "OpenCV", PLAIN: "PyTorch", LAST: "PyTorch", ORT: ORT}  # for versions
TOLERANCE = 1e-3  # of the largest output; programs add in different orders
Call = Callable[[np.ndarray], np.ndarray]

# ---- the programs, each in a process of its own: a call, and the program's version


def pycaffe(path: Path, weights: Path, threads: int) -> tuple[Call, str]:
    import caffe

    net = caffe.Net(str(path), str(weights), caffe.TEST)
    data = net.blobs[net.inputs[0]].data

    def call(images: np.ndarray) -> np.ndarray:
        data[...] = images
        return np.array(net.forward()["prob"])

    return call, getattr(caffe, "__version__", "")


def dnn(path: Path, weights: Path, threads: int) -> tuple[Call, str]:
    from caffe import dnn

    net = dnn.readNetFromCaffe(str(path), str(weights))
    return _opencv_call(net), ""


def opencv(path: Path, weights: Path, threads: int) -> tuple[Call, str]:
    import cv2

    cv2.setNumThreads(threads)
    net = cv2.dnn.readNetFromCaffe(str(path), str(weights))
    return _opencv_call(net), cv2.__version__


def _opencv_call(net: Any) -> Call:
    def call(images: np.ndarray) -> np.ndarray:
        net.setInput(images)
        return np.array(net.forward())

    return call


def torch(path: Path, weights: Path, threads: int, last: bool = False) -> tuple[Call, str]:
    import caffe.torch
    import torch

    torch.set_num_threads(threads)
    layout = torch.channels_last if last else torch.contiguous_format
    net = caffe.torch.module(str(path), str(weights)).eval().to(memory_format=layout)

    def call(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            data = torch.from_numpy(images).contiguous(memory_format=layout)
            return net(data)["prob"].contiguous().numpy()

    return call, torch.__version__


def onnx_runtime(path: Path, weights: Path, threads: int) -> tuple[Call, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = str(path.with_suffix(".onnx"))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return (lambda images: session.run(["prob"], {name: images})[0]), onnxruntime.__version__


MAKE: dict[str, Callable[[Path, Path, int], tuple[Call, str]]] = {
    PYCAFFE: pycaffe,
    DNN: dnn,
    BVLC: pycaffe,
    OPENCV: opencv,
    PLAIN: torch,
    LAST: lambda *arguments: torch(*arguments, last=True),
    ORT: onnx_runtime,
}
KINDS = {BVLC: "bvlc", PLAIN: "torch", LAST: "torch"}  # see `interpreter`


def work(program: str, path: Path, threads: int) -> None:
    """Runs a worker: loads its net, then answers "turn SECONDS", "output FILE" and "version"."""
    images = np.load(path.with_suffix(".npy"))
    weights = path.with_name(path.stem.rpartition("_")[0] + ".caffemodel")
    call, version = MAKE[program](path, weights, threads)

    def turn(least: str) -> list[float]:
        times: list[float] = []
        began = time.perf_counter()
        call(images)
        first = time.perf_counter() - began
        if first > 10 * float(least):  # BVLC Caffe with large batches: no warming up
            return [first]
        while sum(times) < float(least):
            began = time.perf_counter()
            call(images)
            times.append(time.perf_counter() - began)
        return times

    def output(file: str) -> bool:
        np.save(file, call(images))
        return True

    answer({"turn": turn, "output": output, "version": lambda: version})


# ---- the main program


class Program:
    """A worker, its times in seconds, and the largest difference of its output."""

    def __init__(self, name: str, path: Path, args: argparse.Namespace) -> None:
        self.name, self.path = name, path
        kind = KINDS.get(name, "engine")
        command = [*interpreter(kind, args.torch), __file__, "--worker", name, "--net", str(path)]
        command += ["--threads", str(args.threads)]
        own_way = {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": None} if kind == "torch" else {}
        self.worker = Worker(name, command, args.threads, own_way)
        self.version = self.worker.ask("version")
        self.times: list[float] = []
        self.difference = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    def output(self) -> np.ndarray:
        file = self.path.with_name("output.npy")
        self.worker.ask("output", file)
        return np.load(file).reshape(-1)


def measure(path: Path, names: list[str], args: argparse.Namespace) -> list[Program]:
    """All programs' times of one net and batch; the slower layout of PyTorch is left out."""
    programs = [Program(name, path, args) for name in names]
    outputs = [program.output() for program in programs]
    for program, output in zip(programs, outputs):
        program.difference = float(np.abs(output - outputs[0]).max() / np.abs(outputs[0]).max())
    for number in range(-1, args.rounds):
        for program in programs:
            times = program.worker.ask("turn", args.seconds)
            if number >= 0:
                program.times += times
    for program in programs:
        program.worker.close()
    layouts = [program for program in programs if program.name in (PLAIN, LAST)]
    if len(layouts) == 2:
        programs.remove(max(layouts, key=lambda program: program.median))
    return programs


def can_be_judged(name: str) -> bool:
    """Whether the program uses the same instructions as the others."""
    hidden = machine.is_hidden() and machine.processor().widest == "AVX-512"
    return not (name == ORT and hidden)


def misses(programs: list[Program]) -> list[str]:
    """What is wrong: targets that are missed and outputs that differ, in words."""
    engine = min((p for p in programs if p.name in ENGINE), key=lambda p: p.median)
    found = []
    for program in programs:
        if not program.difference <= TOLERANCE:
            found.append(f"{program.name}'s output differs by {program.difference:.1e}")
        limit = TARGETS.get("PyTorch" if program.name in (PLAIN, LAST) else program.name)
        if limit and can_be_judged(program.name) and engine.median > limit * program.median:
            ratio = engine.median / program.median
            found.append(f"{ratio:.2f} times {program.name}'s time, at most {limit:g}")
    return found


def cells(programs: list[Program], name: str) -> str:
    """A program's cell: median and best in ms, and its median over the engine's faster one."""
    found = [
        p for p in programs if p.name == name or (name == "PyTorch" and p.name in (PLAIN, LAST))
    ]
    if not found:
        return "-"
    program = found[0]
    text = f"{1e3 * program.median:.1f} ({1e3 * min(program.times):.1f})"
    if name not in ENGINE:
        engine = min(p.median for p in programs if p.name in ENGINE)
        text += f" {program.median / engine:.2f}×"
    return text if can_be_judged(name) else text + "¹"


def present(args: argparse.Namespace) -> list[str]:
    """The programs that can run here, of those that were asked for."""
    wanted = [name for name in PROGRAMS if not args.only or name in args.only.split(",")]
    there = {"bvlc": has_bvlc(), "torch": bool(args.torch) or has_torch(), "engine": True}
    for name in wanted:
        if not there[KINDS.get(name, "engine")]:
            print(f"{name} is not there (tools/engine/torch, tools/host/make_root): left out")
    return [name for name in wanted if there[KINDS.get(name, "engine")]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", metavar="NET", help=", ".join(TITLES))
    parser.add_argument("--batch", default="1,16", help="sizes, with commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one program's turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--avx2", action="store_true", help="hide AVX-512")
    parser.add_argument("--torch", metavar="PYTHON", help="another Python that has torch")
    parser.add_argument("--only", metavar="NAMES", help=f"of {', '.join(PROGRAMS)}; with commas")
    for hidden in ("--worker", "--net", "--make"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.nets = args.nets or list(TITLES)
    if unknown := set(args.nets) - set(TITLES):
        parser.error(f"no net {', '.join(sorted(unknown))}; there are {', '.join(TITLES)}")
    if unknown := set(args.only.split(",") if args.only else ()) - set(PROGRAMS):
        parser.error(f"no program {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}")
    args.batches = [int(word) for word in args.batch.split(",")]
    return args


def make_files(folder: Path, args: argparse.Namespace) -> list[str]:
    """The nets' files in a folder, written by the engine; what cannot be compared, in words."""
    command = [*interpreter("engine"), __file__, *args.nets, "--batch", args.batch]
    maker = Worker("engine", [*command, "--make", str(folder)], args.threads)
    missing: list[str] = maker.ask("make")
    maker.close()
    return missing


def main() -> int:
    args = arguments()
    if args.worker:
        work(args.worker, Path(args.net), args.threads)
        return 0
    if args.make:
        from inference_nets import make

        answer({"make": lambda: make(Path(args.make), args.nets, args.batches)})
        return 0
    if args.avx2:
        machine.use_avx2()
    names = present(args)
    if not any(name in ENGINE for name in names):
        sys.exit(f"error: --only must name {' or '.join(ENGINE)}, with which all are compared")
    rows, wrong, versions = [], [], {}
    heads = [*ENGINE, BVLC, OPENCV, "PyTorch", ORT]
    with tempfile.TemporaryDirectory() as name:
        for missing in make_files(Path(name), args):
            print(f"left out: {missing}")
            names = [n for n in names if n != ORT]
        load = machine.Load()
        for net in args.nets:
            for batch in args.batches:
                programs = measure(Path(name) / f"{net}_{batch}.prototxt", names, args)
                title = f"{TITLES[net]}, batch {batch}"
                print(f"{title}: " + ", ".join(f"{p.name} {1e3 * p.median:.1f}" for p in programs))
                rows.append([title, *(cells(programs, head) for head in heads)])
                wrong += [f"{title}: {text}" for text in misses(programs)]
                versions.update(
                    {VERSION_OF[p.name]: p.version for p in programs if p.name in VERSION_OF}
                )
        print("\n" + machine.line(load, args.threads, versions))
    print("Milliseconds a batch, median (best); × the median of the engine's faster way:\n")
    print(machine.table(["net", *heads], rows))
    if ORT in names and not can_be_judged(ORT):
        print("\n¹ with AVX-512, which cannot be hidden from it; not judged")
    print("\n" + machine.verdict(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
