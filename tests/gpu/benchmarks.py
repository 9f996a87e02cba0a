"""Times training steps of the paper's networks, each beside PyTorch's."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from bundle import Bundle, query
from outcome import NO_ROOM, NO_TIME

REPO = Path(__file__).resolve().parents[2]
BATCH = 64
#: The largest first: what the time does not suffice for is then a small one. Steps in each of the
#: five rounds.
NETS = {"resnet152": 3, "vgg19": 3, "alexnet": 8, "alexnet_laap": 8}
MODES = ("FLOAT", "FP16", "BF16", "TF32")
PROGRAMS = ("engine", "torch")
#: Float without launches one by one.
GRAPH = "FLOAT, graph"
#: A net in all modes before the next one, so that a net that is there can be compared. What the
#: attention layer costs is seen in one mode.
ROWS = [(net, mode) for net in NETS for mode in MODES if net != "alexnet_laap" or mode == "FLOAT"]
ROWS += [(net, GRAPH) for net in NETS if net != "alexnet_laap"]
#: MiB with which every net must fit: ResNet-152 needs 31,385 MB.
MOST_NEEDED = 45_000
#: A row that cannot have this much time is not begun: loading PyTorch and choosing kernels take it.
LEAST_SECONDS = 25
#: A row that takes longer has failed; one that the end of the step cuts off was not run.
MOST_SECONDS = 150


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


def lacks_room(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a program, the engine's or PyTorch's, ended because this GPU is too small for a net.
    On a GPU of MOST_NEEDED that is a fault."""
    small = int((query("memory.total") or ["0"])[0] or 0) < MOST_NEEDED
    return done.returncode == 1 and small and "out of memory" in done.stderr + done.stdout


def timed(bundle: Bundle, command: list[str], more: dict[str, str], limit: float) -> dict[str, Any]:
    """A row: what the command's last line says, with the median time and the memory used."""
    with MemoryWatch() as watch:
        done = bundle.start(*command, timeout=limit, more=more, cwd=bundle.folder / "nets")
    if done.returncode == 124 and limit < MOST_SECONDS:
        return {"error": f"{NO_TIME}: {done.stderr}"}
    try:
        row = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        row = {}
    if lacks_room(done):
        return {"error": NO_ROOM}
    if done.returncode or not row:
        return {"error": (done.stderr or done.stdout)[-800:] + f"\nexit status {done.returncode}"}
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
    return timed(bundle, script, bundle.without_bundle, limit)


def why_no_torch(bundle: Bundle, python: str, limit: float) -> str:
    """Why `python` has no PyTorch that finds the GPU, or nothing."""
    code = "import sys, torch; torch.cuda.is_available() or sys.exit('PyTorch finds no GPU')"
    done = bundle.start(python, "-c", code, timeout=limit, more=bundle.without_bundle)
    if done.returncode == 0:
        return ""
    return next(reversed(done.stderr.strip().splitlines()), f"exit status {done.returncode}")


def bench(bundle: Bundle, python: str, deadline: float) -> dict[str, Any]:
    """The ROWS that there is time for. Which of the two programs runs first alternates, so that
    neither always finds the warmer GPU."""
    left = max(1, min(120, deadline - time.monotonic()))
    no_torch = why_no_torch(bundle, python, left)
    rows: list[dict[str, Any]] = []
    for i, (net, mode) in enumerate(ROWS):
        left = deadline - time.monotonic()
        row: dict[str, Any] = {"net": net, "batch": BATCH, "mode": mode}
        rows.append(row)
        if left < LEAST_SECONDS:
            row["engine"] = row["torch"] = {"error": NO_TIME}
            continue
        programs = ["engine", *["torch"] * (not no_torch and mode != GRAPH)]
        for name in programs[:: 1 if i % 2 == 0 else -1]:
            limit = max(1, min(MOST_SECONDS, deadline - time.monotonic()))
            if name == "engine":
                row[name] = time_engine(bundle, net, mode, limit)
            else:
                row[name] = time_torch(bundle, python, net, mode, limit)
        print(json.dumps(row), flush=True)
    times, good = layer_times(bundle, deadline)
    good = good and not any(crashed(row.get(name, {})) for row in rows for name in PROGRAMS)
    return {"good": good, "rows": rows, "no_torch": no_torch, "layer_times": times}


def crashed(part: dict[str, Any]) -> bool:
    return "error" in part and not part["error"].startswith((NO_TIME, NO_ROOM))


def layer_times(bundle: Bundle, deadline: float) -> tuple[dict[str, str], bool]:
    """What `caffe time` says about each network that there is time for; and whether none failed."""
    times, good = {}, True
    for net in NETS:
        left = deadline - time.monotonic()
        if left < LEAST_SECONDS:
            break
        call = ("caffe", "time", "-gpu", "0", "-iterations", "5", "-model", f"{net}.prototxt")
        more = {"CAFFE_CUDNN_AUTOTUNE": "1"}
        limit = min(MOST_SECONDS, left)
        done = bundle.run(*call, cwd=bundle.folder / "nets", more=more, timeout=limit)
        times[net] = done.stderr
        cut_off = done.returncode == 124 and limit < MOST_SECONDS
        good = good and (done.returncode == 0 or cut_off or lacks_room(done))
    return times, good
