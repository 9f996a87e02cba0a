"""The report of tests/gpu/run: gpu-results.json has everything, gpu-results.md what people read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outcome import word

NOT_RUN = "not run"


def write_results(results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu-results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "gpu-results.md").write_text("\n".join(report(results)) + "\n")


def report(results: dict[str, Any]) -> list[str]:
    m = results["machine"]
    lines = ["# On a GPU", ""]
    lines += [f"{m['gpu']}, {m['memory_mb']} MiB, driver {m['driver']}, {m['date']}."]
    lines += [f"Engine: {m.get('built') or 'unknown build'}."]
    lines += [f"PyTorch, its CUDA, its cuDNN: {m['torch'] or 'none'}.", "", "## Checks", ""]
    lines += ["| check | result |", "| --- | --- |"]
    lines += [f"| {name} | {cell(results.get(name), say)} |" for name, say in CHECKS.items()]
    lines += ["", "## MAAP kernels", "", *kernel_lines(results.get("kernels"))]
    lines += ["", "## Training steps", "", *bench_lines(results.get("bench"))]
    return lines


def cell(step: dict[str, Any] | None, say: Callable[[dict[str, Any]], str]) -> str:
    """What the table of checks says about a step."""
    if step is None:
        return NOT_RUN
    if "crash" in step:
        return "FAILED: " + step["crash"]
    parts = [word(step)] * bool(step.get("incomplete"))
    return "<br>".join([*parts, *[text for text in [say(step)] if text]])


def say_layers(step: dict[str, Any]) -> str:
    if not any(way["passed"] or way["not_run"] for way in step["ways"].values()):
        return "FAILED: no test passed"
    return "<br>".join(say_way(name, way) for name, way in step["ways"].items())


def say_way(name: str, way: dict[str, Any]) -> str:
    text = f"{name}: {way['passed']} passed, {way['failed']} failed, {way['skipped']} skipped"
    return text + (f", {way['not_run']} {NOT_RUN}" if way["not_run"] else "")


def say_kernels(step: dict[str, Any]) -> str:
    if step["good"]:
        return "GPU and CPU agree"
    return "" if step.get("incomplete") else "FAILED"


def say_training(step: dict[str, Any]) -> str:
    return "<br>".join(say_one_training(row) for row in step["rows"])


def what_stopped(row: dict[str, Any]) -> str:
    """The first line of what the programs of a row said."""
    said = next(iter(row.get("output", "").splitlines()), "the training stopped")
    return said if row.get("late") else "FAILED: " + said


def say_one_training(row: dict[str, Any]) -> str:
    name = f"{row['solver'].partition('_')[0]}, {row['way']}: "
    if row.get("largest") is None:
        return name + what_stopped(row)
    what = f"{row['iterations']} iterations, losses differ by at most {row['largest']:.1e}"
    return name + (what if row["good"] else "FAILED: " + what)


def say_several(step: dict[str, Any]) -> str:
    return "<br>".join(say_row_of_several(row) for row in step["rows"]) or step["output"]


def say_row_of_several(row: dict[str, Any]) -> str:
    name = f"{row['gpus']} GPU{'s' * (row['gpus'] > 1)}: "
    if row.get("largest") is None:
        return name + (row["output"] if row["good"] else what_stopped(row))
    good = "" if row["good"] else "FAILED: "
    return (
        f"{name}{good}{row['iterations']} iterations, losses differ from one GPU's "
        f"by at most {row['largest']:.1e}"
    )


def say_sanitizer(step: dict[str, Any]) -> str:
    return step["output"].replace("\n", "<br>")


CHECKS = {
    "layers": say_layers,
    "kernels": say_kernels,
    "training": say_training,
    "several": say_several,
    "sanitizer": say_sanitizer,
}


def kernel_lines(step: dict[str, Any] | None) -> list[str]:
    times = ((step or {}).get("rows") or {}).get("times", [])
    if not times:
        return [NOT_RUN]
    lines = ["| kernel | ms | share of a copy's bandwidth |", "| --- | ---: | ---: |"]
    for row in times:
        share = f"{100 * row['share']:.0f} %" if row["share"] else ""
        lines.append(f"| {row['name']} | {row['ms']:.3f} | {share} |")
    return lines


def said_time(row: dict[str, Any]) -> str:
    if "error" in row and not row["error"].startswith(NOT_RUN):
        return "failed"
    return str(row.get("ms", NOT_RUN))


def bench_lines(step: dict[str, Any] | None) -> list[str]:
    if step is None:
        return [NOT_RUN]
    if "crash" in step:
        return ["FAILED: " + step["crash"]]
    lines = [
        "Clear, forward, backward and update of one batch; medians. Memory: the most in use there.",
        "The engine with CAFFE_CUDNN_AUTOTUNE=1; PyTorch eager, channels_last, cudnn.benchmark,",
        "FP16 and BF16 by autocast.",
        "",
        "| net | batch | math mode | engine ms | PyTorch ms | engine MiB | PyTorch MiB |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in step["rows"]:
        ours, torch = row.get("engine", {}), row.get("torch", {})
        cells = [row["net"], row.get("batch", ""), row["mode"]]
        cells += [said_time(ours), said_time(torch)]
        cells += [ours.get("memory_mb", ""), torch.get("memory_mb", "")]
        lines.append("| " + " | ".join(str(value) for value in cells) + " |")
    if step.get("no_torch"):
        lines += ["", f"PyTorch was not timed: {step['no_torch']}"]
    return lines
