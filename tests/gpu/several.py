"""Trainings on several GPUs: the losses of one GPU with all images, and what an error does."""

from __future__ import annotations

import re
import time
from typing import Any

from bundle import Bundle, query_all
from checks import compare, losses
from outcome import fault, judge, not_run

SOLVER, NET, BATCH = "train_solver.prototxt", "train_net.prototxt", 8


def train(bundle: Bundle, count: int, limit: float) -> tuple[list[float], dict[str, Any], float]:
    """50 iterations with BATCH images in all on `count` GPUs: the losses, what a row must say if
    anything is wrong, and seconds.

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
    wrong = fault(done, limit, done.stderr[-3000:]) if done.returncode else {}
    return losses(done.stderr), wrong, seconds


def check_several(bundle: Bundle, deadline: float) -> dict[str, Any]:
    """Two GPUs, and four if they are there, against one; and a mistake that is an error."""
    count = len(query_all("name"))
    if count < 2:
        return {"good": True, "rows": [], "output": "not run: this machine has one GPU"}
    one, wrong, _ = train(bundle, 1, max(1, deadline - time.monotonic()))
    if wrong:
        rows = [{"gpus": 1, **wrong}]
        return {**judge(rows), "rows": rows}
    rows = []
    for ranks in [n for n in (2, 4) if n <= count]:
        left = deadline - time.monotonic()
        if left < 1:
            rows.append({"gpus": ranks, **not_run()})
            continue
        several, wrong, seconds = train(bundle, ranks, left)
        row = {"gpus": ranks, "seconds": round(seconds, 1)}
        rows.append({**row, **(wrong or compare(one, several))})
    rows.append(check_error(bundle, max(1, deadline - time.monotonic())))
    return {**judge(rows), "rows": rows}


def check_error(bundle: Bundle, limit: float) -> dict[str, Any]:
    """A GPU that is named twice."""
    with bundle.training() as folder:
        command = ("caffe", "train", "-solver", SOLVER, "-gpu", "0,0")
        done = bundle.run(*command, cwd=folder, timeout=limit)
    if done.returncode == 124:
        return {"gpus": 2, **fault(done, limit, done.stderr)}
    said = re.search(r"error: .*", done.stderr)
    good = done.returncode == 1 and said is not None and "named twice" in said[0]
    return {"gpus": 2, "good": good, "output": said[0] if said else done.stderr[-600:]}
