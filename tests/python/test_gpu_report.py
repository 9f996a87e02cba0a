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
    assert text.count("not run") == 6  # four checks, kernels, training steps
    assert "none." in text  # PyTorch


def test_a_failure_is_said():
    failed = {"good": False, "iterations": 50, "largest": 0.5}
    results = {"machine": MACHINE, "training": failed, "kernels": {"good": False, "rows": {}}}
    text = "\n".join(load().report(results))
    assert "| kernels | FAILED |" in text
    assert "| training | FAILED: 50 iterations, losses differ by at most 5.0e-01 |" in text


def test_times_are_shown_beside_each_other():
    row = {"net": "n", "batch": 64, "tf32": True, "engine": {"ms": 1.5, "memory_mb": 7}}
    lines = load().bench_lines({"rows": [row, {"net": "m", "tf32": False, "error": "no time"}]})
    assert lines[-2] == "| n | 64 | on | 1.5 | not run | 7 |  |"
    assert lines[-1] == "| m |  | off | failed | not run |  |  |"
