#!/usr/bin/env python3
"""Times LSTM and RNN forward and backward on the CPU: this engine beside BVLC Caffe.

    bench/recurrent.py [--rounds 15] [--threads 1]

One process for each program; they take turns at each size, so that a disturbance of the machine
affects both. Prints the best times and how many times as fast as BVLC Caffe the engine is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import machine

SIDES = {
    "engine": [str(machine.ROOT / "tools/engine/run"), "python3"],
    "BVLC Caffe": [*machine.bvlc(), "python3"],
}
# type, steps, streams, inputs, outputs
SIZES = (
    ("LSTM", 1, 1, 256, 256),
    ("LSTM", 20, 1, 512, 512),
    ("LSTM", 50, 8, 64, 64),
    ("LSTM", 20, 16, 512, 512),
    ("LSTM", 20, 64, 1000, 1000),
    ("RNN", 50, 8, 64, 64),
    ("RNN", 20, 16, 512, 512),
)
NET = """force_backward: true
layer {{ name: "x" type: "Input" top: "x" top: "cont" input_param {{
  shape {{ dim: {1} dim: {2} dim: {3} }} shape {{ dim: {1} dim: {2} }} }} }}
layer {{ name: "y" type: "{0}" bottom: "x" bottom: "cont" top: "y" recurrent_param {{
  num_output: {4} weight_filler {{ type: "uniform" min: -0.08 max: 0.08 }} }} }}
"""


def work() -> None:
    """Reads sizes as lines of JSON; answers with the seconds of a forward and a backward pass."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    import caffe
    import numpy as np

    caffe.set_mode_cpu()
    nets: dict = {}
    for line in sys.stdin:
        if line not in nets:
            with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
                file.write(NET.format(*json.loads(line)))
                file.flush()
                net = nets.setdefault(line, caffe.Net(file.name, caffe.TRAIN))
            random = np.random.RandomState(0)
            net.blobs["x"].data[...] = random.uniform(-1, 1, net.blobs["x"].data.shape)
            net.blobs["cont"].data[...] = 1
            net.forward()
            net.blobs["y"].diff[...] = random.uniform(-1, 1, net.blobs["y"].data.shape)
            net.backward()
        net = nets[line]
        start = time.perf_counter()
        net._forward(0, 1)
        middle = time.perf_counter()
        net._backward(1, 0)
        print(json.dumps([middle - start, time.perf_counter() - middle]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(arguments.threads))
    workers = {
        side: subprocess.Popen(
            [*command, __file__, "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads},
        )
        for side, command in SIDES.items()
    }
    load, rows = machine.Load(), []
    for size in SIZES:
        best = {side: [float("inf")] * 2 for side in SIDES}
        for _ in range(arguments.rounds):
            for side, worker in workers.items():
                worker.stdin.write(json.dumps(size) + "\n")
                worker.stdin.flush()
                best[side] = [
                    min(pair) for pair in zip(best[side], json.loads(worker.stdout.readline()))
                ]
        engine, bvlc = best.values()
        title = "{}, {} steps, {} streams, {} inputs, {} outputs".format(*size)
        cells = [
            f"{1e3 * forward:.2f} + {1e3 * backward:.2f}" for forward, backward in best.values()
        ]
        rows.append([title, *cells, f"{bvlc[0] / engine[0]:.1f}", f"{bvlc[1] / engine[1]:.1f}"])
        print(*rows[-1], flush=True)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    print(machine.line(load, arguments.threads))
    print(
        f"Forward + backward in ms, best of {arguments.rounds}; the engine's speed as a multiple:\n"
    )
    print(machine.table(["layer", *SIDES, "forward, ×", "backward, ×"], rows))


if __name__ == "__main__":
    main()
