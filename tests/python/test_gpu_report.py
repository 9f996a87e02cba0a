"""The report of tests/gpu/run says what no GPU ran."""

import importlib.util
from pathlib import Path
from types import ModuleType

REPO = Path(__file__).resolve().parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results", REPO / "tests/gpu/results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MACHINE = {"gpu": "G", "driver": "1", "memory_mb": "2", "torch": "", "date": "2026-01-01"}


def test_what_did_not_run_is_said():
    text = "\n".join(load().report({"machine": MACHINE}))
    assert text.count("not run") == 7  # five checks, kernels, training steps
    assert "none." in text  # PyTorch


def test_a_failure_is_said():
    row = {"solver": "train_solver.prototxt", "way": "default"}
    failed = {**row, "good": False, "iterations": 50, "largest": 0.5}
    stopped = {**row, "good": False, "output": "no end\nafter 3 s"}
    training = {"good": False, "rows": [failed, stopped]}
    results = {"machine": MACHINE, "training": training, "kernels": {"good": False, "rows": {}}}
    text = "\n".join(load().report(results))
    assert "| kernels | FAILED |" in text
    assert "train, default: FAILED: 50 iterations, losses differ by at most 5.0e-01<br>" in text
    assert "train, default: FAILED: no end |" in text


def test_a_failure_without_a_word_is_said():
    silent = {"solver": "train_solver.prototxt", "way": "default", "good": False, "output": ""}
    results = {"machine": MACHINE, "training": {"good": False, "rows": [silent]}}
    results["several"] = {"good": False, "rows": [{"gpus": 2, "good": False, "output": ""}]}
    text = "\n".join(load().report(results))
    assert "train, default: FAILED: the training stopped |" in text
    assert "2 GPUs: FAILED: the training stopped |" in text


def test_times_are_shown_beside_each_other():
    row = {"net": "n", "batch": 64, "mode": "FP16", "engine": {"ms": 1.5, "memory_mb": 7}}
    failed = {"net": "m", "mode": "TF32", "engine": {"error": "out of memory"}}
    late = {"net": "o", "mode": "TF32", "engine": {"error": "not run: no time was left"}}
    lines = load().bench_lines({"rows": [row, failed, late]})
    assert lines[-3] == "| n | 64 | FP16 | 1.5 | not run | 7 |  |"
    assert lines[-2] == "| m |  | TF32 | failed | not run |  |  |"
    assert lines[-1] == "| o |  | TF32 | not run | not run |  |  |"
