"""The prototxts as a Caffe user runs them: `caffe train -solver ...`, from LMDBs, both phases."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import lmdb
import numpy as np
import pytest
from maap.host import loader
from maap.util.schema import caffe_pb2

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "nets" / "tiny"


def make_lmdb(folder, images, value):
    """``images`` flat Datums of 64x64: class k is ``value`` + 40k grey."""
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as txn:
        for i in range(images):
            label = i % 4
            pixels = np.full((3, 64, 64), value + 40 * label, np.uint8).tobytes()
            datum = caffe_pb2.Datum(channels=3, height=64, width=64, label=label, data=pixels)
            txn.put(b"%08d" % i, datum.SerializeToString())


def caffe_train(folder, solver, *more):
    """Runs the command in ``folder``; returns its log."""
    env = dict(os.environ, GLOG_logtostderr="1")
    if os.environ.get("MAAP_HOST") != "fork":
        env["LD_PRELOAD"] = str(loader.plugin_path())
    env.pop("GLOG_minloglevel", None)
    command = ["caffe", "train", "-solver", str(solver.relative_to(ROOT)), *more]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr


@pytest.mark.parametrize("laap", [False, True], ids=["baseline", "laap"])
def test_both_phases_from_the_command_line(tmp_path, laap):
    end = "_laap" if laap else ""
    there = tmp_path / "tests" / "nets" / "tiny"
    there.mkdir(parents=True)
    for path in TINY.glob("*.prototxt"):
        shutil.copy(path, there)
    (there / "snapshots").mkdir()
    make_lmdb(tmp_path / "data/tiny/train_lmdb", 24, 60)
    make_lmdb(tmp_path / "data/tiny/test_lmdb", 32, 60)

    log = caffe_train(tmp_path, TINY / f"solver{end}.prototxt")
    assert "Opened lmdb data/tiny/train_lmdb" in log and "Opened lmdb data/tiny/test_lmdb" in log
    assert ("Creating Layer enhance1" in log) == laap
    losses = [float(x) for x in re.findall(r"Iteration \d+ .*, loss = ([\d.e-]+)", log)]
    assert len(losses) >= 6 and losses[-1] < losses[0]
    weights = there / "snapshots" / f"tiny{end}_phase1_iter_60.caffemodel"
    assert weights.is_file()

    shutil.rmtree(tmp_path / "data/tiny/train_lmdb")  # phase 2 must not need it
    make_lmdb(tmp_path / f"data/tiny_{'maap' if laap else 'haap'}/train_lmdb", 24, 70)
    start = ["-weights", str(weights.relative_to(tmp_path))]
    log = caffe_train(tmp_path, TINY / f"solver{end}_phase2.prototxt", *start)
    assert f"Opened lmdb data/tiny_{'maap' if laap else 'haap'}/train_lmdb" in log
    assert "Opened lmdb data/tiny/test_lmdb" in log
    assert f"Finetuning from {weights.relative_to(tmp_path)}" in log
    assert (there / "snapshots" / f"tiny{end}_phase2_iter_60.caffemodel").is_file()
