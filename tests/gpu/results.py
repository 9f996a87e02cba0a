"""The report of tests/gpu/run: gpu-results.json has everything, gpu-results.md what people read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NOT_RUN = "not run"


def write_results(results: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu-results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "gpu-results.md").write_text("\n".join(report(results)) + "\n")


def report(results: dict[str, Any]) -> list[str]:
    m = results["machine"]
    lines = ["# On a GPU", ""]
    lines += [f"{m['gpu']}, {m['memory_mb']} MiB, driver {m['driver']}, {m['date']}."]
    lines += [f"PyTorch, its CUDA, its cuDNN: {m['torch'] or 'none'}.", "", "## Checks", ""]
    lines += ["| check | result |", "| --- | --- |"]
    lines += [f"| {name} | {say(results.get(name))} |" for name, say in CHECKS.items()]
    lines += ["", "## MAAP kernels", "", *kernel_lines(results.get("kernels"))]
    lines += ["", "## Training steps", "", *bench_lines(results.get("bench"))]
    return lines


def say_layers(step: dict[str, Any] | None) -> str:
    if step is None:
        return NOT_RUN
    if not step["ways"] or not any(way["passed"] for way in step["ways"].values()):
        return "FAILED: no test passed"
    return "<br>".join(say_way(name, way) for name, way in step["ways"].items())


def say_way(name: str, way: dict[str, Any]) -> str:
    text = f"{name}: {way['passed']} passed, {way['failed']} failed, {way['skipped']} skipped"
    return text + (f", {way['not_run']} {NOT_RUN}" if way["not_run"] else "")


def say_kernels(step: dict[str, Any] | None) -> str:
    if step is None:
        return NOT_RUN
    return "GPU and CPU agree" if step["good"] else "FAILED"


def say_training(step: dict[str, Any] | None) -> str:
    if step is None:
        return NOT_RUN
    return "<br>".join(say_one_training(row) for row in step["rows"])


def first_line(row: dict[str, Any]) -> str:
    """Of what the programs of a row said."""
    return next(iter(row.get("output", "").splitlines()), "the training stopped")


def say_one_training(row: dict[str, Any]) -> str:
    name = f"{row['solver'].partition('_')[0]}, {row['way']}: "
    if row.get("largest") is None:
        return name + "FAILED: " + first_line(row)
    what = f"{row['iterations']} iterations, losses differ by at most {row['largest']:.1e}"
    return name + (what if row["good"] else "FAILED: " + what)


def say_several(step: dict[str, Any] | None) -> str:
    if step is None:
        return NOT_RUN
    return "<br>".join(say_row_of_several(row) for row in step["rows"]) or step["output"]


def say_row_of_several(row: dict[str, Any]) -> str:
    good = "" if row["good"] else "FAILED: "
    if row.get("largest") is None:
        return f"{row['gpus']} GPUs: {good}" + first_line(row)
    return (
        f"{row['gpus']} GPUs: {good}{row['iterations']} iterations, losses differ from one GPU's "
        f"by at most {row['largest']:.1e}"
    )


def say_sanitizer(step: dict[str, Any] | None) -> str:
    return NOT_RUN if step is None else step["output"].replace("\n", "<br>")


CHECKS = {
    "layers": say_layers,
    "kernels": say_kernels,
    "training": say_training,
    "several": say_several,
    "sanitizer": say_sanitizer,
}


def kernel_lines(step: dict[str, Any] | None) -> list[str]:
    times = (step or {}).get("rows", {}).get("times", [])
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
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines
