"""Trainings on several GPUs: the losses of one GPU with all images, and what an error does."""

from __future__ import annotations

import re
import time
from typing import Any

from bundle import Bundle, query_all
from checks import compare, losses

SOLVER, NET, BATCH = "train_solver.prototxt", "train_net.prototxt", 8
NO_TIME = "not run: no time was left"


def train(bundle: Bundle, count: int, limit: float) -> tuple[list[float], str, float]:
    """50 iterations with BATCH images in all on `count` GPUs: the losses, what is wrong if anything
    is, and seconds.

    BatchNorm looks at each rank's images alone, so the net has another layer in its place.
    """
    with bundle.training() as folder:
        net = folder / NET
        text = net.read_text().replace('type: "BatchNorm"', 'type: "Power"')
        net.write_text(text.replace(f"batch_size: {BATCH}", f"batch_size: {BATCH // count}"))
        start = time.monotonic()
        devices = ",".join(str(gpu) for gpu in range(count))
        command = ("caffe", "train", "-solver", SOLVER, "-gpu", devices)
        done = bundle.run(*command, cwd=folder, timeout=limit)
        seconds = time.monotonic() - start
    return losses(done.stderr), "" if done.returncode == 0 else done.stderr[-3000:], seconds


def check_several(bundle: Bundle, deadline: float) -> dict[str, Any]:
    """Two GPUs, and four if they are there, against one; and a mistake that is an error."""
    count = len(query_all("name"))
    if count < 2:
        return {"good": True, "rows": [], "output": "not run: this machine has one GPU"}
    one, fault, _ = train(bundle, 1, max(1, deadline - time.monotonic()))
    if fault:
        return {"good": False, "rows": [], "output": "FAILED on one GPU: " + fault}
    rows: list[dict[str, Any]] = []
    for ranks in [n for n in (2, 4) if n <= count]:
        left = deadline - time.monotonic()
        if left < 1:
            rows.append({"gpus": ranks, "good": False, "output": NO_TIME})
            continue
        several, fault, seconds = train(bundle, ranks, left)
        row = {"gpus": ranks, "seconds": round(seconds, 1), **compare(one, several)}
        rows.append({**row, "good": False, "output": fault} if fault else row)
    rows.append(check_error(bundle, max(1, deadline - time.monotonic())))
    return {"good": all(row["good"] for row in rows), "rows": rows}


def check_error(bundle: Bundle, limit: float) -> dict[str, Any]:
    """A GPU that is named twice."""
    with bundle.training() as folder:
        command = ("caffe", "train", "-solver", SOLVER, "-gpu", "0,0")
        done = bundle.run(*command, cwd=folder, timeout=limit)
    said = re.search(r"error: .*", done.stderr)
    good = done.returncode == 1 and said is not None and "named twice" in said[0]
    return {"gpus": 2, "good": good, "output": said[0] if said else done.stderr[-600:]}
