"""tests/gpu/run with programs that only pretend to have a GPU."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from loaded_scripts import load_script

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests/gpu"))  # for what its modules import


def load(name: str) -> ModuleType:
    return load_script(REPO / f"tests/gpu/{name}.py")


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
if os.environ.get("FAKE_MISSING") == "engine":
    sys.exit("libcudart.so.13: cannot open shared object file: No such file or directory")
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
case "$*" in *query-gpu=memory.total\\ *) echo "${FAKE_MEMORY:-24000}"; exit ;; esac
case "$*" in *memory.used*) echo 123; exec sleep 30 ;; *) echo "Fake GPU, 1.2, 1000" ;; esac
case "$*" in *query-gpu=name\\ *) for i in $FAKE_MORE_GPUS; do echo "Fake GPU"; done ;; esac
"""

FAKE_CAFFE = """
import os, sys
if sys.argv[1] == os.environ.get("FAKE_FAULT"):
    sys.exit("Check failed")
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
import json, os, pathlib, sys
if os.environ.get("FAKE_KERNELS") == "no JSON":
    pathlib.Path(sys.argv[-1]).write_text("{")
elif "--json" in sys.argv:
    times = [{"name": "copy", "ms": 1.0, "share": 1.0}]
    pathlib.Path(sys.argv[-1]).write_text(json.dumps({"times": times}))
"""

FAKE_STEP = """
import os, sys, time
ours = "bundle/lib" in os.environ.get("LD_LIBRARY_PATH", "")
assert "/their/libraries" in os.environ["LD_LIBRARY_PATH"].split(":")
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(ours and "engine " or "torch ")
if os.environ.get("FAKE_STEP") == (ours and "engine" or "torch"):
    sys.exit(os.environ.get("FAKE_STEP_SAYS", "an illegal memory access"))
if os.environ.get("FAKE_STEP") == "slow":
    time.sleep(60)
print('{"ms": [3.0, 1.0, 2.0], "loss": 1}')
"""

#: compute-sanitizer, which says what it was asked and runs the program beside it.
FAKE_SANITIZER = """
import os, subprocess, sys
with open(os.environ["FAKE_LOG"], "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if os.environ.get("FAKE_SANITIZER") == "slow":
    print("========= " + os.environ.get("FAKE_FOUND", "COMPUTE-SANITIZER"), flush=True)
    program = subprocess.Popen(["sleep", "60"])
    with open(os.environ["FAKE_LOG"], "w") as log:
        log.write(str(program.pid))
    program.wait()
print("========= ERROR SUMMARY: 0 errors")
if os.environ.get("FAKE_SANITIZER") in sys.argv:
    sys.exit(9)
"""


FAKE_TORCH = """
case "$*" in *is_available*)
  case $LD_LIBRARY_PATH in *bundle/lib*) echo "the bundle's libraries" >&2; exit 1 ;; esac
  [ -z "$FAKE_NO_TORCH" ] || { echo "Traceback" >&2; echo "$FAKE_NO_TORCH" >&2; exit 1; } ;;
esac
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
    program(tmp_path / "path/torch-python", torch + FAKE_TORCH)
    program(tmp_path / "path/compute-sanitizer", FAKE_SANITIZER)
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


def start(bundle: Path, tests: list[str], *more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LD_LIBRARY_PATH": "/their/libraries"}
    environment["PATH"] = f"{bundle.parent}/path:{environment['PATH']}"
    environment["FAKE_TESTS"] = json.dumps(tests)
    environment["FAKE_LOG"] = str(bundle.parent / "log")
    out = bundle.parent / "out"
    command = [sys.executable, str(REPO / "tests/gpu/run"), str(bundle), "--out", str(out)]
    command += ["--torch", str(bundle.parent / "path/torch-python"), *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def run(bundle: Path, tests: list[str], *more: str) -> tuple[int, dict, str]:
    done = start(bundle, tests, *more)
    out = bundle.parent / "out"
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
    log = (bundle.parent / "log").read_text().splitlines()
    assert log[-1].split()[:4] == ["engine", "torch", "torch", "engine"]
    assert "PyTorch was not timed" not in page
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


def test_programs_that_do_not_start_end_it(bundle, monkeypatch):
    monkeypatch.setenv("FAKE_MISSING", "engine")
    done = start(bundle, ["A/2.Good"])
    assert done.returncode == 1
    assert "do not start here: libcudart.so.13: cannot open shared object file" in done.stderr
    assert not (bundle.parent / "out").exists()


def test_an_error_in_a_step_leaves_the_others(bundle, monkeypatch):
    monkeypatch.setenv("FAKE_KERNELS", "no JSON")
    status, results, page = run(bundle, [], "--only", "kernels", "training")
    assert status == 1
    assert "Traceback" in results["kernels"]["output"]
    assert "| kernels | FAILED: json.decoder.JSONDecodeError" in page
    assert results["training"]["good"]


def test_a_crash_makes_the_bench_bad(bundle, monkeypatch):
    for which in ("engine", "torch"):
        monkeypatch.setenv("FAKE_STEP", which)
        status, results, page = run(bundle, [], "--only", "bench")
        assert status == 1
        assert "illegal memory" in results["bench"]["rows"][0][which]["error"]
        ms = "failed | 2.0" if which == "engine" else "2.0 | failed"
        assert f"| vgg19 | 64 | FLOAT | {ms} |" in page
    monkeypatch.setenv("FAKE_STEP", "none")
    assert run(bundle, [], "--only", "bench")[0] == 0
    monkeypatch.setenv("FAKE_FAULT", "time")
    assert run(bundle, [], "--only", "bench")[0] == 1


def test_a_net_that_does_not_fit_into_the_gpu_is_no_fault(bundle, monkeypatch):
    monkeypatch.setenv("FAKE_STEP", "engine")
    monkeypatch.setenv("FAKE_STEP_SAYS", "error: layer 'conv1' (Convolution): ... out of memory")
    status, results, page = run(bundle, [], "--only", "bench")
    assert status == 0
    assert "does not fit" in results["bench"]["rows"][0]["engine"]["error"]
    assert "| vgg19 | 64 | FLOAT | not run | 2.0 |" in page
    monkeypatch.setenv("FAKE_MEMORY", "143771")
    assert run(bundle, [], "--only", "bench")[0] == 1


@pytest.fixture
def here(bundle, monkeypatch):
    """The bundle with programs that take a minute, for steps that run in this process."""
    monkeypatch.setenv("FAKE_STEP", "slow")
    monkeypatch.setenv("FAKE_SANITIZER", "slow")
    monkeypatch.setenv("FAKE_LOG", str(bundle.parent / "log"))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/their/libraries")
    monkeypatch.setenv("PATH", f"{bundle.parent}/path:{os.environ['PATH']}")
    return load("bundle").Bundle(bundle, sys.executable)


def test_a_row_that_the_deadline_cuts_off_was_not_run(here, monkeypatch):
    bench = load("benchmarks")
    monkeypatch.setattr(bench, "LEAST_SECONDS", 0.5)
    python = str(here.folder.parent / "path/torch-python")
    results = bench.bench(here, python, time.monotonic() + 3)
    assert results["good"]
    assert results["rows"][0]["engine"]["error"].startswith("not run: no time was left: no end")


def test_without_pytorch_the_reason_is_said(bundle, monkeypatch):
    monkeypatch.setenv("FAKE_NO_TORCH", "PyTorch finds no GPU")
    status, results, page = run(bundle, [], "--only", "bench")
    assert status == 0
    assert results["bench"]["no_torch"] == "PyTorch finds no GPU"
    assert "PyTorch was not timed: PyTorch finds no GPU" in page
    assert "| vgg19 | 64 | FLOAT | 2.0 | not run |" in page


def test_the_sanitizer_runs_layers_too(bundle, monkeypatch):
    status, results, page = run(bundle, [], "--only", "sanitizer")
    assert status == 0
    calls = (bundle.parent / "log").read_text().splitlines()
    assert [("racecheck" in call, "engine_tests" in call) for call in calls] == [
        (race, engine) for engine in (False, True) for race in (False, True)
    ]
    assert page.count(": ERROR SUMMARY: 0 errors") == 4
    monkeypatch.setenv("FAKE_SANITIZER", "racecheck")
    status, results, page = run(bundle, [], "--only", "sanitizer")
    assert (status, results["sanitizer"]["incomplete"]) == (1, False)


def test_what_has_no_time_left_ends_with_all_that_it_started(here, monkeypatch):
    sanitizer = load("sanitizer")
    monkeypatch.setattr(sanitizer, "LEAST_SECONDS", 0.1)
    monkeypatch.setattr(sanitizer, "RUNS", sanitizer.RUNS[:1])
    results = sanitizer.check_sanitizer(here, time.monotonic() + 3)
    assert results["incomplete"]
    assert results["run"] == [0, 1]
    assert results["output"] == "memcheck, gpu_layers: no end after 3 s"
    here.environment["FAKE_FOUND"] = "Invalid __global__ read of size 4 bytes"
    found = sanitizer.check_sanitizer(here, time.monotonic() + 3)
    assert not found["incomplete"]
    assert "FAILED: exit status 124; Invalid __global__ read of size" in found["output"]
    child = Path("/proc") / (here.folder.parent / "log").read_text() / "cmdline"
    assert not child.exists() or child.read_bytes() == b""  # ended, or ended and not yet collected


def test_without_time_a_check_is_incomplete(bundle):
    status, results, page = run(bundle, ["A/2.Hangs"], "--only", "layers", "--minutes", "0.01")
    assert status == 1
    assert results["layers"]["incomplete"]
    assert "| layers | incomplete (0 of 3 run)<br>default: 0 passed, 0 failed" in page


def test_losses_that_are_not_finite_are_wrong():
    compare = load("checks").compare
    cpu = [2 - i / 50 for i in range(50)]
    assert compare(cpu, list(cpu))["good"]
    for bad in (float("nan"), float("inf")):
        for place in (0, 25):
            gpu = [*cpu[:place], bad, *cpu[place + 1 :]]
            assert not compare(cpu, gpu)["good"]
            assert not compare(gpu, gpu)["good"]
