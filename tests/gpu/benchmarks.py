"""Times training steps of the paper's networks, each beside PyTorch's."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from bundle import Bundle

REPO = Path(__file__).resolve().parents[2]
BATCH = 64
#: The largest first: what the time does not suffice for is then a small one. Steps in each of the
#: five rounds.
NETS = {"resnet152": 3, "vgg19": 3, "alexnet": 8, "alexnet_laap": 8}
MODES = ("FLOAT", "FP16", "BF16", "TF32")
#: Float without launches one by one.
GRAPH = "FLOAT, graph"
#: A net in all modes before the next one, so that a net that is there can be compared. What the
#: attention layer costs is seen in one mode.
ROWS = [(net, mode) for net in NETS for mode in MODES if net != "alexnet_laap" or mode == "FLOAT"]
ROWS += [(net, GRAPH) for net in NETS if net != "alexnet_laap"]
#: A row that cannot have this much time is not begun: loading PyTorch and choosing kernels take it.
LEAST_SECONDS = 25


class MemoryWatch:
    """The most memory that was in use on the GPU while a command ran, in MiB."""

    def __init__(self) -> None:
        self.command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]

    def __enter__(self) -> MemoryWatch:
        self.process = subprocess.Popen(
            [*self.command, "-lms", "100"], stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        out = self.process.communicate()[0]
        self.most = max((int(v) for v in re.findall(r"^(\d+)$", out, re.M)), default=0)


def timed(bundle: Bundle, command: list[str], more: dict[str, str], limit: float) -> dict[str, Any]:
    """A row: what the command's last line says, with the median time and the memory used."""
    with MemoryWatch() as watch:
        done = bundle.start(*command, timeout=limit, more=more, cwd=bundle.folder / "nets")
    try:
        row = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": (done.stderr or done.stdout)[-800:]}
    row["ms"] = sorted(row["ms"])[len(row["ms"]) // 2]
    row["memory_mb"] = watch.most
    return row


def time_engine(bundle: Bundle, net: str, mode: str, limit: float) -> dict[str, Any]:
    program = str(bundle.folder / "bin/bench_train_step")
    device = "graph" if mode == GRAPH else "gpu"
    command = [program, f"{net}_solver.prototxt", device, str(NETS[net]), "5", mode.split(",")[0]]
    return timed(bundle, command, {"CAFFE_TF32": "0", "CAFFE_CUDNN_AUTOTUNE": "1"}, limit)


def time_torch(bundle: Bundle, python: str, net: str, mode: str, limit: float) -> dict[str, Any]:
    script = [python, str(REPO / "bench/torch_step.py"), net.partition("_")[0]]
    script += ["--batch", str(BATCH), "--steps", str(NETS[net])]
    script += ["--laap"] * ("laap" in net) + ["--math", mode]
    return timed(bundle, script, {"LD_LIBRARY_PATH": ""}, limit)


def bench(bundle: Bundle, python: str, deadline: float) -> dict[str, Any]:
    """The ROWS that there is time for. Which of the two programs runs first alternates, so that
    neither always finds the warmer GPU."""
    has_torch = bundle.start(python, "-c", "import torch", timeout=120).returncode == 0
    rows: list[dict[str, Any]] = []
    for i, (net, mode) in enumerate(ROWS):
        left = deadline - time.monotonic()
        row: dict[str, Any] = {"net": net, "batch": BATCH, "mode": mode}
        rows.append(row)
        if left < LEAST_SECONDS:
            row["engine"] = row["torch"] = {"error": "not run: no time was left"}
            continue
        programs = ["engine", *["torch"] * (has_torch and mode != GRAPH)]
        for name in programs[:: 1 if i % 2 == 0 else -1]:
            limit = max(1, min(150, deadline - time.monotonic()))
            if name == "engine":
                row[name] = time_engine(bundle, net, mode, limit)
            else:
                row[name] = time_torch(bundle, python, net, mode, limit)
        print(json.dumps(row), flush=True)
    return {"good": True, "rows": rows, "layer_times": layer_times(bundle, deadline)}


def layer_times(bundle: Bundle, deadline: float) -> dict[str, str]:
    """What `caffe time` says about each network that there is time for."""
    times = {}
    for net in NETS:
        left = deadline - time.monotonic()
        if left < LEAST_SECONDS:
            break
        call = ("caffe", "time", "-gpu", "0", "-iterations", "5", "-model", f"{net}.prototxt")
        more = {"CAFFE_CUDNN_AUTOTUNE": "1"}
        done = bundle.run(*call, cwd=bundle.folder / "nets", more=more, timeout=min(120, left))
        times[net] = done.stderr
    return times
