"""The program `caffe` with nets that have layers in Python."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import caffe
import mpi_runs
import nets
import numpy as np
import pytest
from waiting import wait_until

HERE = Path(__file__).resolve().parent
CAFFE = shutil.which("caffe")
MARK = "'Python'"  # as in the error about an unknown type

SCALED = (
    'layer { name: "py" type: "Python" bottom: "data" top: "py" '
    'python_param { module: "engine_layers" layer: "Affine" } } layer { name: "ip"'
)
TRAIN = nets.TRAIN.replace('bottom: "data" top: "ip"', 'bottom: "py" top: "ip"').replace(
    'layer { name: "ip"', SCALED
)
SOLVER = """net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" random_seed: 5 max_iter: {steps}
snapshot_prefix: "{prefix}" snapshot_format: BINARYPROTO
"""


@pytest.fixture
def folder(tmp_path):
    """With a solver for three iterations; its last snapshot is made_iter_3."""
    (tmp_path / "net.prototxt").write_text(TRAIN)
    (tmp_path / "solver.prototxt").write_text(SOLVER.format(steps=3, prefix="made"))
    return tmp_path


def environment(path=str(HERE), **more):
    """With `path` in front of Python's own folders."""
    inherited = os.environ["PYTHONPATH"]
    return mpi_runs.environment(**{"PYTHONPATH": f"{path}:{inherited}", **more})


def run(folder, *arguments, env=None):
    return subprocess.run(
        [CAFFE, *arguments],
        cwd=folder,
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=mpi_runs.LIMIT,
    )


def weights(path):
    net = caffe.Net(str(path.parent / "net.prototxt"), caffe.TRAIN, weights=str(path))
    return [blob.data.copy() for blobs in net.params.values() for blob in blobs]


def trained_by_pycaffe(folder, monkeypatch):
    """The weights after SOLVER in this process."""
    monkeypatch.chdir(folder)
    caffe.get_solver("solver.prototxt").solve()
    return weights(folder / "made_iter_3.caffemodel")


def test_training_gives_the_weights_of_pycaffe(folder, monkeypatch):
    expected = trained_by_pycaffe(folder, monkeypatch)
    (folder / "made_iter_3.caffemodel").unlink()
    done = run(folder, "train", "-solver", "solver.prototxt")
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("Optimization Done.")
    for made, there in zip(weights(folder / "made_iter_3.caffemodel"), expected):
        np.testing.assert_array_equal(made, there)


def test_time_and_test(folder):
    done = run(folder, "time", "-model", "net.prototxt", "-iterations=2")
    assert done.returncode == 0 and "py\tbackward:" in done.stdout, done.stdout
    assert run(folder, "train", "--solver=solver.prototxt").returncode == 0
    model = ["-model", "net.prototxt", "-weights", "made_iter_3.caffemodel", "-iterations", "2"]
    done = run(folder, "test", *model)
    assert done.returncode == 0 and "Batch 1, loss = " in done.stdout, done.stdout


@pytest.mark.parametrize(
    "solver",
    [
        "train_net: 'net.prototxt'",
        'net_param { layer { name: "py" type: "Python" top: "x" '
        'python_param { module: "engine_layers" layer: "Double" } } }',
        'net: "empty.prototxt" test_net: "net.prototxt" test_iter: 1 test_interval: 1',
        'net: "empty.prototxt" test_net: ["empty.prototxt", "net" ".prototxt"] '
        "test_iter: [1, 1] test_interval: 1",
    ],
)
def test_nets_wherever_a_solver_names_them(folder, solver):
    (folder / "empty.prototxt").write_text('name: "none"')
    (folder / "solver.prototxt").write_text(solver + ' lr_policy: "fixed" base_lr: 0 max_iter: 1')
    for python, is_unknown in [({}, False), ({"CAFFE_PYTHON": "off"}, True)]:
        done = run(folder, "train", "-solver", "solver.prototxt", env=environment(**python))
        assert (f"unknown layer type {MARK}" in done.stdout) == is_unknown, done.stdout


def test_modules_in_the_current_folder(folder):
    """They are found last: a folder named caffe there hides nothing."""
    (folder / "caffe").mkdir()
    (folder / "caffe" / "__init__.py").write_text("raise ImportError('the wrong one')")
    (folder / "mine.py").write_text("from engine_layers import Affine")
    (folder / "net.prototxt").write_text(TRAIN.replace("engine_layers", "mine"))
    done = run(folder, "train", "-solver", "solver.prototxt")
    assert done.returncode == 0, done.stdout


def test_an_error_in_a_layer(folder):
    (folder / "net.prototxt").write_text(TRAIN.replace("Affine", "FailsInForward"))
    done = run(folder, "train", "-solver", "solver.prototxt")
    assert done.returncode == 1
    assert "error: LookupError: in forward" in done.stdout and "engine_layers.py" in done.stdout


def test_without_a_python_that_has_pycaffe(folder, tmp_path):
    """The net is made as far as it goes: its layers in Python may be for another phase."""
    own = nets.TRAIN.replace('"loss" type', '"loss" include { phase: TRAIN } type') + SCALED[
        : SCALED.index(' layer { name: "ip"')
    ].replace("type:", "include { phase: TRAIN } type:")
    (folder / "net.prototxt").write_text(own)
    for env, said in [
        (environment(CAFFE_PYTHON="off"), ""),
        (environment(CAFFE_PYTHON="no-such-python"), ""),
        (mpi_runs.environment(CAFFE_PYTHON=other_python(tmp_path)), "No module named"),
    ]:
        model = ["-model", "net.prototxt", "-iterations", "1"]
        done = run(folder, "time", *model, "-phase", "TEST", "-forward_only", env=env)
        assert done.returncode == 0 and said in done.stdout, done.stdout
        done = run(folder, "time", *model, env=env)
        assert done.returncode == 1 and f"unknown layer type {MARK}" in done.stdout, done.stdout
        assert "CAFFE_PYTHON" in done.stdout


def other_python(folder):
    """This one, but without what it has installed."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} -I -S "$@"\n')
    path.chmod(0o755)
    return path


def test_the_log_goes_where_a_program_writes_it(folder):
    logs = folder / "logs"
    logs.mkdir()
    env = environment(GLOG_log_dir=logs)
    env.pop("GLOG_logtostderr", None)
    done = run(folder, "train", "-solver", "solver.prototxt", env=env)
    assert done.returncode == 0 and "Optimization Done." in done.stdout
    assert "Optimization Done." in (logs / "caffe.INFO").read_text()


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_signals_have_the_effects_that_flags_say(folder, name):
    (folder / "solver.prototxt").write_text(
        SOLVER.format(steps=10**9, prefix="made") + "display: 1"
    )
    effects = ["-sigint_effect", "stop", "-sighup_effect", "stop"]
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [CAFFE, "train", "-solver", "solver.prototxt", *effects],
            cwd=folder,
            env=environment(),
            stderr=file,
        )
    try:
        wait_until(lambda: "Iteration 2" in log.read_text(), process)
        process.send_signal(getattr(signal, name))
        assert process.wait(mpi_runs.LIMIT) == 0
    finally:
        process.kill()
    assert list(folder.glob("made_iter_*.solverstate"))


@mpi_runs.needs_mpi
def test_ranks(folder):
    job = mpi_runs.command(2, CAFFE, "train", "-solver", folder / "solver.prototxt")
    done = subprocess.run(
        job, cwd=folder, env=environment(), capture_output=True, text=True, timeout=mpi_runs.LIMIT
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "made_iter_3.caffemodel").is_file()
