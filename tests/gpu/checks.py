"""What must be right on a GPU: every layer, the MAAP kernels, trainings."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from bundle import Bundle
from gtest_runs import Start, list_tests, run_tests
from outcome import counted, fault, judge, not_run, part_of

#: The typed tests' third and fourth type is a GPU's; the fifth and sixth too, of layers by cuDNN.
#: tests/python/test_gpu_filter.py demands all that a machine without a GPU skips.
GPU_TESTS = (
    "*/2.*:*/3.*:*/4.*:*/5.*:Device*:*Gpu*:*GPU*:"
    "*ChannelsLast*:BatchNormChainInHalf/*:LateValuesTest.*:UploadTest.*:*ModeChanges*"
)

#: Ways to compute the same: as the engine does by itself, without cuDNN, and with all of cuDNN's
#: layers in its own layout.
WAYS: dict[str, dict[str, str]] = {
    "default": {},
    "without cuDNN": {"CAFFE_CUDNN_LAYERS": "none", "CAFFE_GPU_LAYOUT": "NCHW"},
    "all of cuDNN, NHWC": {"CAFFE_CUDNN_LAYERS": "all", "CAFFE_GPU_LAYOUT": "NHWC"},
}

#: Trainings in other math modes, and how far a loss may be from the CPU's in float, as a share of
#: it: about half the bits of an operand after 50 iterations. A guess, until a GPU has run them.
MODES = {"TF32": 0.02, "FP16": 0.02, "BF16": 0.1}

#: What the log says when iterations are replayed.
RECORDED = "cuda_graph: an iteration was recorded"

#: Solvers of a bundle's folder `training`: one net with both MAAP layers and most kinds of layer of
#: the paper's networks, one with LSTM and RNN.
TRAININGS = ("train_solver.prototxt", "recurrent_solver.prototxt")


def tests_of(bundle: Bundle, environment: dict[str, str]) -> Start:
    def run(arguments: Sequence[str], seconds: float, folder: str) -> CompletedProcess[str]:
        return bundle.run("engine_tests", *arguments, timeout=seconds, cwd=folder, more=environment)

    return run


def check_layers(bundle: Bundle, deadline: float) -> dict[str, Any]:
    """Every layer's tests, in each of the WAYS."""
    listed = bundle.run("engine_tests", "--gtest_list_tests", "--gtest_filter=" + GPU_TESTS)
    names = list_tests(listed.stdout)
    ways: dict[str, Any] = {}
    start = time.monotonic()
    for i, (way, environment) in enumerate(WAYS.items()):
        until = part_of(start, deadline, i, len(WAYS))
        run = tests_of(bundle, environment)
        outcome = run_tests(run, names, until, min(8, os.cpu_count() or 1))
        ways[way] = {
            "passed": len(outcome.passed),
            "failed": len(outcome.failures),
            "skipped": len(outcome.skipped),
            "not_run": len(outcome.not_run),
            "processes": outcome.processes,
            "failures": [{"way": way, **failure} for failure in outcome.failures],
            "skipped_names": outcome.skipped,
        }
    late = sum(way["not_run"] for way in ways.values())
    whole = bool(names) and all(
        way["failed"] == 0 < way["passed"] + way["not_run"] for way in ways.values()
    )
    count = len(WAYS) * len(names)
    judged = counted(whole and not late, whole and late > 0, count - late, count)
    return {**judged, "ways": ways, "listing": "" if names else listed.stderr[-800:]}


def check_kernels(bundle: Bundle, deadline: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernels.json"
        limit = max(1, deadline - time.monotonic())
        done = bundle.run("gpu_layers", "--json", str(file), timeout=limit)
        rows = json.loads(file.read_text()) if file.exists() else {}
    output = done.stdout[-12000:] + done.stderr
    row = {"good": True, "output": output} if done.returncode == 0 else fault(done, limit, output)
    return {**judge([row]), "output": output, "rows": rows}


def losses(log: str) -> list[float]:
    return [float(v) for v in re.findall(r"Iteration \d+ \(.*loss = (\S+)", log)]


def train(
    bundle: Bundle,
    solver: str,
    device: str,
    more: dict[str, str],
    limit: float,
    mode: str = "FLOAT",
    graph: bool = False,
) -> tuple[list[float], dict[str, Any]]:
    """The loss of every iteration, and what a row must say if anything is wrong."""
    with bundle.training() as folder:
        text = (folder / solver).read_text()
        (folder / "solver.prototxt").write_text(
            text + f"cuda_graph: {str(graph).lower()}\nsolver_mode: {device}\nmath_mode: {mode}\n"
        )
        command = ("caffe", "train", "-solver", "solver.prototxt")
        done = bundle.run(*command, cwd=folder, more=more, timeout=limit)
    good = done.returncode == 0 and graph == (RECORDED in done.stderr)
    return losses(done.stderr), {} if good else fault(done, limit, done.stderr[-3000:])


def compare(cpu: list[float], gpu: list[float], most: float = 1e-3) -> dict[str, Any]:
    apart = [abs(a - b) / max(abs(a), 1e-3) for a, b in zip(cpu, gpu)]
    # Rounding differs and grows from iteration to iteration: 1e-3 would be a fault, not rounding.
    # Comparisons with NaN are false, and the largest of numbers with NaN among them may be any.
    finite = all(math.isfinite(loss) for loss in cpu + gpu)
    good = finite and len(cpu) == len(gpu) > 40 and max(apart) < most and cpu[-1] < cpu[0]
    shown = {k: [v[0], v[-1]] for k, v in (("cpu", cpu), ("gpu", gpu)) if v}
    largest = max(apart, default=None) if finite else math.nan
    return {"good": good, "iterations": len(gpu), "largest": largest, **shown}


def check_training(bundle: Bundle, deadline: float) -> dict[str, Any]:
    """The same trainings on both devices, by iteration; on the GPU in all WAYS and math modes, and
    with CUDA graphs."""
    rows: list[dict[str, Any]] = []
    for solver in TRAININGS:
        limit = max(1, deadline - time.monotonic())
        cpu, wrong = train(bundle, solver, "CPU", {}, limit)
        if wrong:
            rows.append({"solver": solver, "way": "CPU", **wrong})
            continue
        runs = [(way, way, "FLOAT", 1e-3, False) for way in WAYS]
        runs += [(mode, "default", mode, most, False) for mode, most in MODES.items()]
        runs += [("graph", "default", "FLOAT", 1e-3, True)]
        runs += [("FP16, graph", "default", "FP16", MODES["FP16"], True)]
        for name, way, mode, most, graph in runs:
            row: dict[str, Any] = {"solver": solver, "way": name}
            rows.append(row)
            left = deadline - time.monotonic()
            if left < 1:
                row.update(not_run())
                continue
            gpu, wrong = train(bundle, solver, "GPU", WAYS[way], left, mode, graph)
            row.update(wrong or compare(cpu, gpu, most))
    return {**judge(rows), "rows": rows}
