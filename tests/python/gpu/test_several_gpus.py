"""Training on several GPUs: the caffe command with -gpu 0,1, and pycaffe's NCCL.

On the shadow device, which has as many GPUs as SHADOW_DEVICES says and a stand-in for NCCL.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from programs import losses, run_caffe
from test_training import copied, weights

TWO = {"SHADOW_DEVICES": "2", "SHADOW_LAZY": "1"}
TRAIN = ("train", "-solver", "solver.prototxt")


def run(folder, *words, **environment):
    """`caffe WORDS`, whatever its exit status."""
    settings = {**os.environ, "GLOG_logtostderr": "1", **TWO, **environment}
    return subprocess.run(
        ["caffe", *words], cwd=folder, env=settings, capture_output=True, text=True, timeout=300
    )


def with_batch(folder, batch):
    net = (folder / "net.prototxt").read_text()
    (folder / "net.prototxt").write_text(net.replace("batch_size: 6", f"batch_size: {batch}", 1))


def with_solver(folder, old, new):
    text = (folder / "solver.prototxt").read_text()
    assert old in text
    (folder / "solver.prototxt").write_text(text.replace(old, new))


def apart(ones, others):
    """The relative difference of all weights."""
    one, other = (np.concatenate([w.ravel() for w in ws]) for ws in (ones, others))
    return np.linalg.norm(one - other) / np.linalg.norm(other)


def test_two_gpus_with_batch_3_are_one_with_batch_6(images, tmp_path):
    one, two = (copied(images, tmp_path / name) for name in ("one", "two"))
    run_caffe(one, *TRAIN, "-gpu", "0")
    with_batch(two, 3)
    log = run_caffe(two, *TRAIN, "-gpu", "all", **TWO)
    assert "Using GPUs 0, 1" in log
    assert "2 ranks x batch 3 = 6 images an iteration; base_lr 0.001 is left as it is" in log
    assert log.count("Starting Optimization") == log.count("Solving small AlexNet") == 1
    name = "trained_iter_50.caffemodel"
    assert apart(weights(two / name), weights(one / name)) < 1e-5
    assert sorted(p.name for p in two.glob("trained*")) == sorted(
        p.name for p in one.glob("trained*")
    )


def test_the_order_of_streams_changes_nothing(images, tmp_path):
    made = []
    for seed in ("1", "2"):
        folder = copied(images, tmp_path / seed)
        with_solver(folder, "max_iter: 50", "max_iter: 8")
        run_caffe(folder, *TRAIN, "-gpu", "1,0", SHADOW_SEED=seed, **TWO)
        made.append((folder / "trained_iter_8.caffemodel").read_bytes())
    assert made[0] == made[1]


def test_a_training_on_two_gpus_continues_on_one(images, tmp_path):
    folder = copied(images, tmp_path / "run")
    run_caffe(folder, *TRAIN, "-gpu", "0,1", **TWO)
    for gpus in ("0,1", "0"):
        log = run_caffe(
            folder, *TRAIN, "-gpu", gpus, "-snapshot", "trained_iter_30.solverstate", **TWO
        )
        assert log.count("Resuming from trained_iter_30.solverstate") == 1
        assert len(losses(log)) == 20


def test_an_error_of_one_rank_ends_all_and_names_it(images, tmp_path):
    """Record 7 is rank 1's, in its first batch."""
    import lmdb

    folder = copied(images, tmp_path / "run")
    with lmdb.open(str(folder / "train"), map_size=1 << 24) as env, env.begin(write=True) as txn:
        key = [key for key, _ in txn.cursor()][7]
        txn.put(key, b"no datum")
    done = run(folder, *TRAIN, "-gpu", "0,1")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(r"error: rank 1 .*" + re.escape(key.decode()), last), last
    assert not list(folder.glob("trained*"))


def test_a_broken_connection_ends_all(images, tmp_path):
    folder = copied(images, tmp_path / "run")
    done = run(folder, *TRAIN, "-gpu", "0,1", SHADOW_FAIL_COLLECTIVE="9")
    assert done.returncode == 1
    assert re.search(r"error: rank [01] .*network error", done.stderr)
    assert not list(folder.glob("trained*"))


def test_gpus_that_cannot_be(images, tmp_path):
    folder = copied(images, tmp_path / "run")
    for gpus, said in (
        ("0,0", "GPU 0 is named twice: each rank needs a GPU of its own"),
        ("0,2", "there is no GPU 2"),
        ("0,x", "'x' is not a device ID"),
    ):
        done = run(folder, *TRAIN, "-gpu", gpus)
        assert done.returncode == 1
        assert said in done.stderr, done.stderr[-500:]


def test_a_signal_stops_all_with_a_snapshot(images, tmp_path):
    folder = copied(images, tmp_path / "run")
    with_solver(folder, "max_iter: 50", "max_iter: 100000")
    settings = {**os.environ, "GLOG_logtostderr": "1", **TWO}
    command = ["caffe", *TRAIN, "-gpu", "0,1"]
    with open(folder / "log", "w") as log:
        child = subprocess.Popen(command, cwd=folder, env=settings, stderr=log)
    until = time.monotonic() + 120
    while "Iteration 3 " not in (folder / "log").read_text() and time.monotonic() < until:
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=120) == 0
    text = (folder / "log").read_text()
    assert "Optimization stopped early." in text
    (state,) = folder.glob("trained_iter_*.solverstate")
    assert int(re.findall(r"\d+", state.name)[0]) < 1000


def test_device_query_says_whose_memory_a_gpu_reaches():
    log = run_caffe(Path(), "device_query", "-gpu", "all", **TWO)
    assert log.count("Device id:") == 2
    assert log.count("Other GPUs' memory in reach:   none") == 2


# ---- pycaffe

SCRIPT = """
    import sys, threading
    import numpy as np
    import caffe

    layer_wise, ranks = sys.argv[1] == "layers", 2
    uid = caffe.NCCL.new_uid()
    assert caffe.has_nccl() and len(uid) == 128
    weights, means, errors = [None] * ranks, [[] for _ in range(ranks)], []


    def train(rank):
        try:
            caffe.set_device(rank)
            caffe.set_mode_gpu()
            caffe.set_solver_count(ranks)
            caffe.set_solver_rank(rank)
            solver = caffe.get_solver("solver.prototxt")
            if rank == 1:
                solver.net.params["fc7"][0].data[...] = 7
            nccl = caffe.NCCL(solver, uid)
            nccl.bcast()
            solver.add_callback(nccl)
            fc7 = solver.net.params["fc7"][0]
            solver.add_callback(lambda: None, lambda: means[rank].append(fc7.diff.copy()))
            if layer_wise:
                solver.net.after_backward(nccl)
            solver.step(10)
            weights[rank] = [b.data.copy() for bs in solver.net.params.values() for b in bs]
        except Exception as error:
            errors.append(f"{rank}: {error}")


    threads = [threading.Thread(target=train, args=[rank]) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [], errors
    assert len(means[0]) == 10
    for one, other in zip(means[0] + weights[0], means[1] + weights[1]):
        np.testing.assert_array_equal(one, other)
    np.savez("weights", *weights[0])
"""


@pytest.mark.parametrize("how", ["whole", "layers", "layers, iter_size 2"])
def test_pycaffes_nccl_averages_gradients(images, tmp_path, how):
    """Threads as ranks; against one rank with all images."""
    one, two = (copied(images, tmp_path / name) for name in ("one", "two"))
    passes = 2 if "2" in how else 1
    for folder in (one, two):
        with_solver(folder, "max_iter: 50", f"max_iter: 10 iter_size: {passes}")
        with_batch(folder, 6 if folder == one else 3)
    run_caffe(one, *TRAIN, "-gpu", "0")
    (two / "script.py").write_text(textwrap.dedent(SCRIPT))
    settings = {**os.environ, "GLOG_minloglevel": "1", **TWO}
    command = [sys.executable, "script.py", how.split(",")[0]]
    done = subprocess.run(command, cwd=two, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    made = np.load(two / "weights.npz")
    assert apart(list(made.values()), weights(one / "trained_iter_10.caffemodel")) < 1e-5


def test_an_nccl_needs_a_gpu_and_the_others(images, tmp_path):
    code = """
        import caffe

        solver = caffe.get_solver("solver.prototxt")
        uid = caffe.NCCL.new_uid()
        for change, said in (
            (lambda: None, "this thread is in CPU mode"),
            (caffe.set_mode_gpu, "128 bytes"),
        ):
            change()
            try:
                caffe.NCCL(solver, uid if said != "128 bytes" else uid[:5])
            except caffe.CaffeError as error:
                assert said in str(error), error
            else:
                raise AssertionError(said)
        process = uid.split(b".")[0]
        other = uid.replace(process, b"0" * len(process), 1)
        try:
            caffe.NCCL(solver, other)
        except caffe.CaffeError as error:
            assert "among threads of one process" in str(error), error
        else:
            raise AssertionError("an id of another process")
    """
    folder = copied(images, tmp_path / "run")
    settings = {**os.environ, "GLOG_minloglevel": "2", **TWO}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_process_that_joins_keeps_its_gradients_private(tmp_path, images):
    """Its id was made elsewhere. Other GPUs of a process cannot read what lies in the pool."""
    code = """
        import ctypes

        import caffe

        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_char_p
        caffe.set_mode_gpu()
        solver = caffe.get_solver("solver.prototxt")
        assert getenv(b"NCCL_P2P_DIRECT_DISABLE") is None
        try:
            caffe.NCCL(solver, bytes(128))
        except caffe.CaffeError as error:
            assert "of another process" in str(error), error
        else:
            raise AssertionError("no such group")
        assert getenv(b"NCCL_P2P_DIRECT_DISABLE") == b"1"
    """
    folder = copied(images, tmp_path / "run")
    settings = {**os.environ, "GLOG_minloglevel": "2", **TWO}
    settings.pop("NCCL_P2P_DIRECT_DISABLE", None)
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
