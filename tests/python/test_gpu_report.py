"""The report of tests/gpu/run says what no GPU ran."""

import sys
from pathlib import Path
from types import ModuleType

from loaded_scripts import load_script

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/gpu"))  # for what results.py imports


def load() -> ModuleType:
    return load_script(REPO / "tests/gpu/results.py")


MACHINE = {"gpu": "G", "driver": "1", "memory_mb": "2", "torch": "", "date": "2026-01-01"}


def test_what_did_not_run_is_said():
    text = "\n".join(load().report({"machine": MACHINE}))
    assert text.count("not run") == 7  # five checks, kernels, training steps
    assert "none." in text  # PyTorch


def test_the_build_is_said():
    built = "commit 0123456789ab, CUDA 13.0.88, cuDNN 9.19.0, architectures 90"
    assert f"Engine: {built}." in load().report({"machine": {**MACHINE, "built": built}})
    assert "Engine: unknown build." in load().report({"machine": MACHINE})


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


def test_what_is_incomplete_is_said_and_is_no_failure():
    late = {"good": False, "late": True}
    ways = {"default": {"passed": 3, "failed": 0, "skipped": 1, "not_run": 6}}
    row = {"solver": "train_solver.prototxt", "way": "default", **late}
    output = "memcheck, gpu_layers: no end after 3 s"
    incomplete = {"good": False, "incomplete": True}
    results = {
        "machine": MACHINE,
        "layers": {**incomplete, "run": [4, 10], "ways": ways},
        "kernels": {**incomplete, "run": [0, 1], "rows": {}},
        "training": {**incomplete, "run": [0, 1], "rows": [{**row, "output": "no end after 2 s"}]},
        "sanitizer": {**incomplete, "run": [0, 1], "rows": [], "output": output},
    }
    text = "\n".join(load().report(results))
    assert "FAILED" not in text
    layers = "default: 3 passed, 0 failed, 1 skipped, 6 not run"
    assert f"| layers | incomplete (4 of 10 run)<br>{layers} |" in text
    assert "| kernels | incomplete (0 of 1 run) |" in text
    assert "| training | incomplete (0 of 1 run)<br>train, default: no end after 2 s |" in text
    assert f"| sanitizer | incomplete (0 of 1 run)<br>{output} |" in text


def test_a_step_with_an_error_of_its_own_is_said():
    crash = {"good": False, "crash": "KeyError: 'ms'", "output": "", "rows": [], "ways": {}}
    steps = ("layers", "kernels", "training", "several", "sanitizer", "bench")
    text = "\n".join(load().report({"machine": MACHINE, **dict.fromkeys(steps, crash)}))
    assert text.count("FAILED: KeyError: 'ms'") == len(steps)


def test_why_pytorch_was_not_timed_is_said():
    lines = load().bench_lines({"rows": [], "no_torch": "No module named 'torch'"})
    assert lines[-1] == "PyTorch was not timed: No module named 'torch'"
