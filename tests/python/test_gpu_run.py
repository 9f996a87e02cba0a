"""tests/gpu/run with programs that only pretend to have a GPU."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPO / f"tests/gpu/{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What a googletest program prints and its exit status; what its tests do is said by their names.
SIMULATE = """
def simulate(names, without_cudnn=False):
    lines, broken, failed = [], False, False
    for name in names:
        lines.append(f"[ RUN      ] {name}")
        if "Crashes" in name:
            return lines, -11
        if "Hangs" in name:
            return lines, 124
        # The GPU, for all that follow.
        broken = broken or "Breaks" in name or without_cudnn and "NoCudnn" in name
        bad = broken or "Wrong" in name
        failed = failed or bad
        lines += [f"expected 1, got {name}"] * bad
        how = "  FAILED " if bad else "  SKIPPED" if "Skips" in name else "      OK "
        lines.append(f"[{how} ] {name}, where TypeParam = float (0 ms)")
    lines.append("[==========] done")
    lines += [f"[  FAILED  ] {name}, listed below"] * failed
    return lines, int(failed)
"""

FAKE_TESTS = (
    SIMULATE
    + """
import json, os, sys
names = json.loads(os.environ["FAKE_TESTS"])
if "--gtest_list_tests" in sys.argv:
    for name in names:
        suite, _, test = name.partition(".")
        print(f"{suite}.  # TypeParam = x\\n  {test}  # GetParam")
    sys.exit()
wanted = [a for a in sys.argv if a.startswith("--gtest_filter=")][0].partition("=")[2].split(":")
without = os.environ.get("CAFFE_CUDNN_LAYERS") == "none"
lines, status = simulate([name for name in names if name in wanted], without)
print("\\n".join(lines))
sys.exit(status)
"""
)


class Clock:
    """Seconds that pass only in processes: one each, or all that a test which never ends has."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def start(self, arguments, seconds, folder):
        scope: dict = {}
        exec(SIMULATE, scope)  # noqa: S102
        lines, status = scope["simulate"](arguments[0].partition("=")[2].split(":"))
        self.now += seconds if status == 124 else 1
        return subprocess.CompletedProcess([], status, "\n".join(lines) + "\n", "")


def run_fake(names: list[str], workers: int = 1, limit: float = 30, seconds: float = 600):
    runs, clock = load("gtest_runs"), Clock()
    runs.time = clock
    return runs.run_tests(clock.start, names, seconds, workers, limit)


def test_good_tests_share_a_process():
    names = [f"Suite/2.Test{i}" for i in range(9)] + ["Suite/2.Skips"]
    outcome = run_fake(names, workers=2)
    assert sorted(outcome.passed) == names[:9]
    assert outcome.skipped == ["Suite/2.Skips"]
    assert (outcome.failures, outcome.not_run, outcome.processes) == ([], [], 2)


@pytest.mark.parametrize("bad", ["Crashes", "Breaks", "Wrong"])
def test_only_the_culprit_fails(bad):
    names = ["A.First", f"A.{bad}", "A.Second", "B.Third"]
    outcome = run_fake(names)
    assert sorted(outcome.passed) == ["A.First", "A.Second", "B.Third"]
    assert [failure["test"] for failure in outcome.failures] == [f"A.{bad}"]
    if bad != "Crashes":
        assert f"expected 1, got A.{bad}" in outcome.failures[0]["output"]
    else:
        assert "exit status -11" in outcome.failures[0]["output"]


def test_each_culprit_is_found():
    names = ["A.Breaks1", "A.Good", "A.Crashes", "A.Wrong", "A.Breaks2", "A.Last"]
    outcome = run_fake(names)
    bad = [failure["test"] for failure in outcome.failures]
    assert bad == ["A.Breaks1", "A.Crashes", "A.Wrong", "A.Breaks2"]
    assert sorted(outcome.passed) == ["A.Good", "A.Last"]


def test_a_test_that_never_ends_fails_and_the_others_run():
    outcome = run_fake(["A.First", "A.Hangs", "A.Last"])
    assert [failure["test"] for failure in outcome.failures] == ["A.Hangs"]
    assert outcome.passed == ["A.First", "A.Last"]


def test_without_time_tests_are_not_run():
    outcome = run_fake(["A.First", "A.Hangs", "A.Last"], seconds=20)
    assert outcome.failures == []
    assert outcome.passed == ["A.First"]
    assert outcome.not_run == ["A.Hangs", "A.Last"]


FAKE_SMI = """#!/bin/sh
case "$*" in *memory.used*) echo 123; exec sleep 30 ;; *) echo "Fake GPU, 1.2, 1000" ;; esac
case "$*" in *query-gpu=name\\ *) for i in $FAKE_MORE_GPUS; do echo "Fake GPU"; done ;; esac
"""

FAKE_CAFFE = """
import sys
several = "," in sys.argv[-1]
if sys.argv[-1] == "0,0":
    sys.exit("error: GPU 0 is named twice")
solver = "" if "-gpu" in sys.argv else open("solver.prototxt").read()
mode = "GPU" if not solver or "solver_mode: GPU" in solver else "CPU"
if several:
    assert "batch_size: 4 " in open("train_net.prototxt").read()
if "cuda_graph: true" in solver:
    print("cuda_graph: an iteration was recorded: 5 kernels", file=sys.stderr)
for i in range(50):
    loss = 2 - i / 50 + (1e-6 if mode == "GPU" else 0)
    print(f"I0101 solver.cpp:1] Iteration {i} (1 iter/s), loss = {loss}", file=sys.stderr)
"""

FAKE_KERNELS = """
import json, pathlib, sys
if "--json" in sys.argv:
    times = [{"name": "copy", "ms": 1.0, "share": 1.0}]
    pathlib.Path(sys.argv[-1]).write_text(json.dumps({"times": times}))
"""

FAKE_STEP = """
import os
print('{"ms": [3.0, 1.0, 2.0], "loss": 1}')
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(os.environ.get("LD_LIBRARY_PATH", "") and "engine " or "torch ")
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle, and beside it a folder `path` with nvidia-smi and a Python that has PyTorch."""

    def program(file: Path, code: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code if code.startswith("#!") else f"#!{sys.executable}\n{code}")
        file.chmod(0o755)

    folder = tmp_path / "bundle"
    program(tmp_path / "path/nvidia-smi", FAKE_SMI)
    torch = f"#!/bin/sh\ncase $1 in *.py) exec {sys.executable} {tmp_path}/step.py ;; esac\n"
    program(tmp_path / "path/torch-python", torch)
    (tmp_path / "step.py").write_text(FAKE_STEP)
    fakes = {"engine_tests": FAKE_TESTS, "caffe": FAKE_CAFFE}
    fakes |= {"gpu_layers": FAKE_KERNELS, "bench_train_step": FAKE_STEP}
    for name, code in fakes.items():
        program(folder / "bin" / name, code)
    (folder / "nets").mkdir()
    (folder / "training").mkdir()
    for name in ("train", "recurrent"):
        (folder / f"training/{name}_solver.prototxt").write_text("max_iter: 50\n")
    (folder / "training/train_net.prototxt").write_text('type: "BatchNorm" batch_size: 8 \n')
    return folder


def run(bundle: Path, tests: list[str], *more: str) -> tuple[int, dict, str]:
    environment = dict(os.environ)
    environment["PATH"] = f"{bundle.parent}/path:{environment['PATH']}"
    environment["FAKE_TESTS"] = json.dumps(tests)
    environment["FAKE_LOG"] = str(bundle.parent / "log")
    out = bundle.parent / "out"
    command = [sys.executable, str(REPO / "tests/gpu/run"), str(bundle), "--out", str(out)]
    command += ["--torch", str(bundle.parent / "path/torch-python"), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (out / "gpu-results.json").exists(), done.stderr
    results = json.loads((out / "gpu-results.json").read_text())
    return done.returncode, results, (out / "gpu-results.md").read_text()


def test_all_steps(bundle):
    status, results, page = run(bundle, ["A/2.Good", "A/3.Good", "A/3.Skips"])
    assert status == 0, page
    assert page.count("2 passed, 0 failed, 1 skipped") == 3  # ways
    assert page.count("50 iterations, losses differ by at most") == 16  # two nets, eight ways
    assert "GPU and CPU agree" in page
    rows = results["bench"]["rows"]
    modes = ["FLOAT", "FP16", "BF16", "TF32"]
    wanted = [(net, mode) for net in ("resnet152", "vgg19", "alexnet") for mode in modes]
    wanted.append(("alexnet_laap", "FLOAT"))
    graphs = [(net, "FLOAT, graph") for net in ("resnet152", "vgg19", "alexnet")]
    assert [(row["net"], row["mode"]) for row in rows] == wanted + graphs
    assert all(row["engine"]["ms"] == 2.0 for row in rows)
    assert all(row["torch"]["ms"] == 2.0 for row in rows[: len(wanted)])
    assert (bundle.parent / "log").read_text().split()[:4] == ["engine", "torch", "torch", "engine"]
    assert "| vgg19 | 64 | FLOAT | 2.0 | 2.0 |" in page
    assert "| vgg19 | 64 | FLOAT, graph | 2.0 | not run |" in page


def test_several_gpus(bundle, monkeypatch):
    status, results, page = run(bundle, [], "--only", "several")
    assert status == 0
    assert "| several | not run: this machine has one GPU |" in page
    monkeypatch.setenv("FAKE_MORE_GPUS", "1")
    status, results, page = run(bundle, [], "--only", "several")
    assert status == 0, page
    assert "| several | 2 GPUs: 50 iterations, losses differ from one GPU's by at most" in page
    assert "<br>2 GPUs: error: GPU 0 is named twice |" in page


def test_a_failure_in_one_way_is_a_failure(bundle):
    status, results, page = run(bundle, ["A/2.Good", "A/2.NoCudnn"], "--only", "layers")
    assert status == 1
    ways = results["layers"]["ways"]
    assert [way["failed"] for way in ways.values()] == [0, 1, 0]
    assert ways["without cuDNN"]["failures"][0]["test"] == "A/2.NoCudnn"


def test_no_tests_are_a_failure(bundle):
    assert run(bundle, [], "--only", "layers")[0] == 1


def test_without_time_rows_stay_empty(bundle):
    status, results, page = run(bundle, [], "--only", "bench", "--minutes", "0.01")
    assert status == 0
    assert page.count("| not run | not run |") == 16


def test_without_a_gpu_it_is_skipped(tmp_path):
    command = [sys.executable, str(REPO / "tests/gpu/run"), str(tmp_path)]
    environment = {**os.environ, "PATH": "/nowhere"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 77
    assert done.stdout == "skipped, no GPU\n"
