"""`maap train --ranks N`, under mpirun too: what is trained is what one rank trains, whatever fails
ends all, and what is continued with another number of ranks says so."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from maap.data.store import Split
from maap.host import launched
from maap.runs.run import Run
from maap.runs.snapshots import Snapshots
from maap.util.schema import caffe_pb2
from waiting import PATIENCE, has_ended, wait_until

caffe = pytest.importorskip("caffe")
TINY = Path(__file__).resolve().parents[1] / "nets" / "tiny"
PLUGIN = Path(caffe.__file__).parents[2] / "lib" / "libcaffe_mpi.so"
pytestmark = [
    pytest.mark.usefixtures("private_cache", "usual_signals"),
    pytest.mark.skipif(
        shutil.which("mpirun") is None or not PLUGIN.is_file(),
        reason=f"needs MPI: apt-get install {launched.PACKAGES}, and build again",
    ),
]


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """The tiny net without Dropout, which differs by rank."""
    folder = tmp_path_factory.mktemp("nets") / "plain"
    shutil.copytree(TINY, folder)
    for path in folder.glob("*.prototxt"):
        text = re.sub(r'layer \{\n  name: "drop3".*?\n\}\n', "", path.read_text(), flags=re.S)
        path.write_text(text)
    assert "Dropout" not in (folder / "train_val.prototxt").read_text()
    return folder


@pytest.fixture
def environment(private_cache):
    return {**os.environ, "XDG_CACHE_HOME": str(private_cache)}


@pytest.fixture
def words(net, mini_images, tmp_path):
    """A training's command line but for what a test adds."""

    def made(name, *more, max_iter=12, batch=4, variant="baseline"):
        return [
            sys.executable, "-m", "maap", "train", "--net-dir", str(net), "--data",
            str(mini_images), "--image-size", "64", "--runs-dir", str(tmp_path / "runs"),
            "--name", name, "--variant", variant, "--max-iter", str(max_iter), "--batch",
            str(batch), "--base-lr", "0.01", "--threads", "1", *more,
        ]  # fmt: skip

    return made


def run(command, environment, status=0):
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=10 * PATIENCE
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def weights(folder, phase=1):
    """All the weights after a phase, one after the other."""
    net = caffe_pb2.NetParameter()
    net.ParseFromString((folder / f"phase{phase}" / "final.caffemodel").read_bytes())
    return np.concatenate([np.array(blob.data) for layer in net.layer for blob in layer.blobs])


def curve(folder, phase=1):
    rows = (folder / f"phase{phase}" / "metrics.csv").read_text().splitlines()[1:]
    return np.array([float(row.split(",")[1]) for row in rows])


def state(folder):
    return json.loads((folder / "state.json").read_text())


# ---- the same result ----


def test_ranks_train_what_one_rank_with_a_larger_batch_trains(words, environment, tmp_path):
    runs = tmp_path / "runs"
    run(words("one", batch=12), environment)
    said = run(words("three", "--ranks", "3", batch=4), environment)
    assert said.count("run three:") == 1 and said.count("report") >= 1  # rank 0 alone speaks
    assert "iterations of 12 images" in said and said.count("learning rate") == 1
    assert "3 ranks x 4 images = 12 images an iteration; the learning rate and" in said
    assert np.abs(weights(runs / "one") - weights(runs / "three")).max() < 1e-5
    assert np.abs(curve(runs / "one") - curve(runs / "three")).max() < 1e-5
    assert len(curve(runs / "three")) == 12
    assert state(runs / "three")["stages"][0]["ranks"] == [[0, 3]]
    assert "ranks" not in state(runs / "one")["stages"][0]
    assert "ranks: 3\n" in (runs / "three" / "config.yaml").read_text()
    measured = [json.loads((runs / n / "evaluation.json").read_text()) for n in ("one", "three")]
    assert measured[0]["phases"][0]["top1"] == measured[1]["phases"][0]["top1"]


def test_a_whole_run_of_two_ranks(words, environment, tmp_path):
    """Two phases, the images rewritten between them, tests on the way; a study of its own files."""
    folder = tmp_path / "runs" / "both"
    more = ("--ranks", "2", "--phase2-iter", "4", "--test-interval", "3", "--a-star", "reduce")
    run(words("both", *more, max_iter=6, variant="maap"), environment)
    assert (folder / "report.html").is_file()
    assert len(Split.open(folder / "rewrite1", "train")) == 48
    rows = (folder / "phase1" / "accuracy.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["3"]
    assert np.isfinite(weights(folder, 2)).all() and len(curve(folder, 2)) == 4
    assert all(stage["status"] == "done" for stage in state(folder)["stages"])
    left = [path.name for path in folder.rglob(".partial*")]
    assert left in ([], [".partial-rewrite1.lock"])


def test_online_mode(words, environment, tmp_path):
    folder = tmp_path / "runs" / "online"
    more = ("--haap", "online", "--ranks", "2", "--phase2-iter", "3")
    run(words("online", *more, max_iter=3, variant="maap"), environment)
    assert state(folder)["stages"][1]["online"]["images"] == 3 * 2 * 4
    assert np.isfinite(weights(folder, 2)).all()


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def trained(words, environment, tmp_path):
    run(words("one", "--phase2-iter", "3", max_iter=4, batch=8, variant="maap"), environment)
    return tmp_path / "runs"


def test_rewriting_and_measuring_give_the_bytes_of_one_rank(trained, environment, tmp_path):
    """48 training images are 6 batches, 20 test images 3."""
    base = [sys.executable, "-m", "maap"]
    ends = ["--runs-dir", str(trained), "--threads", "1"]
    found = {}
    for ranks in (1, 2, 7):
        out = tmp_path / f"images{ranks}"
        more = [*ends, "--ranks", str(ranks)]
        run([*base, "rewrite", "one", "--out", str(out), *more], environment)
        measured = tmp_path / f"tables{ranks}"
        run([*base, "evaluate", "one", "--out", str(measured), *more], environment)
        found[ranks] = (tables(out), (out / "train_lmdb/data.mdb").read_bytes(), tables(measured))
    assert found[1] == found[2] == found[7]
    assert {"regions.csv", "contact_sheet.jpg", "manifest.json"} <= set(found[1][0])


def timeless(found):
    """Without what a clock says."""
    if isinstance(found, dict):
        return {name: timeless(value) for name, value in found.items() if name != "seconds"}
    return [timeless(value) for value in found] if isinstance(found, list) else found


def test_a_runs_own_rewriting_and_evaluation_have_them_too(trained, environment):
    """Both are made again, by three ranks."""
    folder = trained / "one"

    def made():
        found = {f"rewrite1/{k}": v for k, v in tables(folder / "rewrite1").items()}
        found.update({f"samples/{k}": v for k, v in tables(folder / "samples").items()})
        found["data"] = (folder / "rewrite1/train_lmdb/data.mdb").read_bytes()
        found["evaluation"] = timeless(json.loads((folder / "evaluation.json").read_text()))
        found["predictions"] = (folder / "predictions.csv").read_bytes()
        return found

    before = made()
    assert len(before) > 8
    shutil.rmtree(folder / "rewrite1"), shutil.rmtree(folder / "samples")
    (folder / "phase2/final.caffemodel").unlink(), (folder / "evaluation.json").unlink()
    command = [sys.executable, "-m", "maap", "train", "--resume", "one", "--ranks", "3"]
    said = run([*command, "--runs-dir", str(trained), "--threads", "1"], environment)
    assert "rewrite1 is done again" in said and "evaluation is done again" in said
    after = made()
    assert {name for name in before if before[name] != after.get(name)} == set()


# ---- faults ----


def test_a_rank_that_dies_while_rewriting_leaves_no_data_set(words, environment, tmp_path):
    """Each image is a batch, so that there is always a rank at work."""
    run(words("one", "--phase2-iter", "1", max_iter=1, batch=1, variant="maap"), environment)
    base = [sys.executable, "-m", "maap", "rewrite", "one", "--runs-dir", str(tmp_path / "runs")]
    out = tmp_path / "images"
    partial = tmp_path / ".partial-images"
    process = subprocess.Popen(
        [*base, "--threads", "1", "--ranks", "3", "--out", str(out)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: (partial / "request.json").exists(), process)
    os.kill(ranks_of(process.pid)[1], signal.SIGKILL)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1 and "rank 1 of 3 was killed" in error
    assert not out.exists() and partial.is_dir()
    for name, ranks in (("images", "2"), ("alone", "1")):
        end = ["--threads", "1", "--ranks", ranks, "--out", str(tmp_path / name)]
        run([*base, *end], environment)
    assert tables(out) == tables(tmp_path / "alone")


def ranks_of(parent):
    """{rank: process} of the ranks that a command has started, from the processes' environments."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "environ").read_bytes().split(b"\0")
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        mine = str(parent).encode() in line.split(b"\0") and b"supervise" in line
        if mine and b"mpirun" not in line.split(b"\0")[0]:
            number = [v for v in text if v.startswith(b"OMPI_COMM_WORLD_RANK=")]
            if number:
                found[int(number[0].split(b"=")[1])] = int(entry.name)
    return found


@pytest.fixture
def training(words, environment, tmp_path):
    """A training of three ranks that has taken a snapshot; its process and folder."""
    folder = tmp_path / "runs" / "killed"
    log = (tmp_path / "said").open("w")
    more = ("--ranks", "3", "--snapshot", "5")
    process = subprocess.Popen(
        words("killed", *more, max_iter=100000), env=environment, stdout=log, stderr=log
    )
    until = time.monotonic() + 10 * PATIENCE
    while (
        not (folder / "phase1").is_dir() or Snapshots(folder / "phase1/snapshots").latest() is None
    ):
        assert process.poll() is None, (tmp_path / "said").read_text()
        assert time.monotonic() < until
        time.sleep(0.1)
    yield process, folder
    if process.poll() is None:
        process.kill()
        process.wait()


def said(folder):
    return (folder.parents[1] / "said").read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_dies_or_hangs_ends_the_training(training, words, environment, number):
    process, folder = training
    ranks = ranks_of(process.pid)
    assert sorted(ranks) == [0, 1, 2]
    os.kill(ranks[1], number)
    assert process.wait(timeout=PATIENCE) == 1
    assert "rank 1 of 3" in said(folder)
    wait_for_the_end_of(ranks)
    taken = Snapshots(folder / "phase1" / "snapshots").latest()
    assert taken is not None and taken.iteration >= 5
    changed = ["--ranks", "2", "--resume", "--test-interval", "0"]
    config = Run(folder).config()
    assert config.ranks == 3
    end = taken.iteration + 3
    shorten(folder, end)
    text = run(words("killed", *changed, max_iter=end), environment)
    assert f"3 ranks trained up to iteration {taken.iteration}, from here on 2 will" in text
    assert state(folder)["stages"][0]["ranks"] == [[0, 3], [taken.iteration, 2]]
    assert len(curve(folder)) == end and (folder / "report.html").is_file()


def shorten(folder, max_iter):
    """Another end for a run, so that a test need not train to the first one."""
    path = folder / "config.yaml"
    path.write_text(re.sub(r"max_iter: 100000", f"max_iter: {max_iter}", path.read_text()))


def test_ctrl_c_stops_all_after_the_same_iteration(training, words, environment):
    process, folder = training
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 130
    assert "continue with: maap train --resume killed" in said(folder)
    taken = Snapshots(folder / "phase1" / "snapshots").latest()
    assert f"stopped at iteration {taken.iteration} of phase1" in said(folder)
    assert len(curve(folder)) == taken.iteration


@pytest.fixture
def slow(words, environment, tmp_path):
    """Ctrl-C in a training of two ranks, where rank 0 takes 5 s to write the snapshot, or cannot:
    the exit status, what was said, and the folder."""

    def stopped(how):
        folder = tmp_path / "runs" / "slow"
        command = words("slow", "--ranks", "2", max_iter=100000)
        command[1:3] = [str(Path(__file__).with_name("slow_snapshot.py"))]
        process = subprocess.Popen(
            command, env={**environment, "SNAPSHOT": how}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        rows = folder / "phase1" / "metrics.csv"
        wait_until(lambda: rows.is_file() and rows.read_text().count("\n") > 3, process)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, text, folder

    return stopped


def test_ctrl_c_waits_for_a_snapshot_that_takes_long(slow):
    status, text, folder = slow("slow")
    assert status == 130, text
    taken = Snapshots(folder / "phase1" / "snapshots").latest()
    assert taken is not None and len(curve(folder)) == taken.iteration
    assert f"stopped at iteration {taken.iteration} of phase1; continue with" in text


def test_an_error_while_all_stop_is_said(slow):
    status, text, folder = slow("full")
    assert status == 1 and "error: the disk is full" in text and "continue with" not in text
    assert Snapshots(folder / "phase1" / "snapshots").latest() is None


def test_ranks_die_with_the_command(training):
    process, _ = training
    ranks = ranks_of(process.pid)
    process.kill()
    process.wait()
    wait_for_the_end_of(ranks)


def wait_for_the_end_of(ranks):
    wait_until(lambda: all(map(has_ended, ranks.values())))


def test_a_resumed_run_ends_with_the_bytes_of_an_uninterrupted_one(
    training, words, environment, tmp_path
):
    process, folder = training
    ranks = ranks_of(process.pid)
    process.kill()
    process.wait()
    wait_for_the_end_of(ranks)
    end = Snapshots(folder / "phase1" / "snapshots").latest().iteration + 4
    shorten(folder, end)
    run(words("killed", "--resume", max_iter=end), environment)
    run(words("whole", "--ranks", "3", max_iter=end), environment)
    whole = tmp_path / "runs" / "whole"
    assert weights(folder).tobytes() == weights(whole).tobytes()
    assert curve(folder).tolist() == curve(whole).tolist()


# ---- under mpirun ----


def mpirun(ranks, command, environment):
    more = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    line = ["mpirun", "--oversubscribe", "-n", str(ranks), *command]
    return subprocess.run(
        line, env={**environment, **more}, capture_output=True, text=True, timeout=10 * PATIENCE
    )


def test_under_mpirun_each_process_is_a_rank(words, environment, tmp_path):
    runs = tmp_path / "runs"
    done = mpirun(2, words("under", batch=6, max_iter=5), environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("run under:") == 1 and "\x1b" not in done.stdout  # lines, no bar
    run(words("ours", "--ranks", "2", batch=6, max_iter=5), environment)
    assert weights(runs / "under").tobytes() == weights(runs / "ours").tobytes()
    assert state(runs / "under")["stages"][0]["ranks"] == [[0, 2]]


def test_under_mpirun_a_mistake_is_an_error(words, environment):
    done = mpirun(2, words("x", "--ranks", "3"), environment)
    assert done.returncode != 0 and "leave --ranks out" in done.stderr
    command = [sys.executable, "-m", "maap", "runs"]
    done = mpirun(2, command, environment)
    assert done.returncode != 0 and "maap runs is the work of one" in done.stderr
