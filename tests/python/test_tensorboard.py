"""TensorBoard's event files: what metrics.csv and the evaluation say, every point once."""

import dataclasses
import signal
import struct
import subprocess
import sys
from pathlib import Path

import maap
import numpy as np
import pytest
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.runs import tensorboard
from waiting import wait_until

TINY = str(Path(__file__).resolve().parents[2] / "tests" / "nets" / "tiny")
pytestmark = pytest.mark.usefixtures("private_cache")


def points(folder):
    """{tag: [(step, value)]} of all event files in a folder, in the order they were written.

    A record is a length (8 bytes), its checksum (4), the event and its checksum (4).
    """
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


@pytest.fixture
def config(tmp_path, mini_images):
    return TrainConfig(
        net=TINY, data=str(mini_images), image_size=64, runs_dir=str(tmp_path / "runs"),
        name="run", batch=8, max_iter=6, phase2_iter=3, base_lr=0.01, threads=1, tensorboard=True,
    )  # fmt: skip


def rows(folder, name="metrics.csv"):
    return np.loadtxt(folder / name, delimiter=",", skiprows=1, ndmin=2)


def test_the_points_are_those_of_the_run(config):
    pytest.importorskip("tensorboardX")
    found = maap.train(dataclasses.replace(config, test_interval=4))
    for phase in found.evaluation.phases:
        events = points(found.folder / "tensorboard" / phase.phase)
        metrics = rows(found.folder / phase.phase)
        for tag, column in (("train/loss", 1), ("train/learning_rate", 2)):
            np.testing.assert_allclose(events[tag], metrics[:, [0, column]], rtol=1e-6)
        assert events["test/top1"][-1] == (phase.iterations, pytest.approx(phase.top1))
        assert events["test/top5"][-1] == (phase.iterations, pytest.approx(phase.top5))
    events = points(found.folder / "tensorboard" / "phase1")
    assert [step for step, _ in events["test/top1"]] == [4, 6]
    assert events["test/top1"][0][1] == pytest.approx(
        rows(found.folder / "phase1", "accuracy.csv")[0, 1]
    )


def test_a_killed_run_has_every_point_once(config):
    pytest.importorskip("tensorboardX")
    words = [sys.executable, "-m", "maap", "train", TINY, "--variant", "baseline", "--tensorboard"]
    for name in ("data", "image_size", "runs_dir", "name", "batch", "base_lr", "threads"):
        words += ["--" + name.replace("_", "-"), str(getattr(config, name))]
    words += ["--max-iter", "120", "--snapshot", "3"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    folder = Path(config.runs_dir) / "run"
    metrics = folder / "phase1" / "metrics.csv"
    wait_until(lambda: metrics.is_file() and metrics.read_text().count("\n") >= 9, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    maap.train(TrainConfig(runs_dir=config.runs_dir, name="run", resume=True))
    events = points(folder / "tensorboard" / "phase1")
    assert [step for step, _ in events["train/loss"]] == list(range(120))
    np.testing.assert_allclose([v for _, v in events["train/loss"]], rows(metrics.parent)[:, 1])
    assert [step for step, _ in events["test/top1"]] == [120]


def test_what_was_done_is_written_again_and_no_more(tmp_path):
    pytest.importorskip("tensorboardX")
    phase, target = tmp_path / "phase1", tmp_path / "events"
    phase.mkdir()
    losses = "".join(f"{n},{10 - n},0.5\n" for n in range(8))
    (phase / "metrics.csv").write_text("iteration,loss,lr\n" + losses)
    (phase / "accuracy.csv").write_text("iteration,top1,top5\n3,0.25,1\n6,0.5,1\n")
    target.mkdir()
    (target / "events.out.tfevents.1.old").write_bytes(b"cut sho")
    events = tensorboard.EventFiles(target, phase, done=6)
    events.add(6, 3.5, 0.5)
    events.close()
    found = points(target)
    assert found["train/loss"] == [(n, 10.0 - n) for n in range(6)] + [(6, 3.5)]
    assert found["test/top1"] == [(3, 0.25), (6, 0.5)]


def test_a_shared_phase_has_its_points_too(config):
    pytest.importorskip("tensorboardX")
    first = dataclasses.replace(config, variant="laap", name="laap", tensorboard=False)
    result = maap.train(first)
    assert not (result.folder / "tensorboard").exists()
    shared = dataclasses.replace(config, variant="laap", phase1_from="laap")
    events = points(maap.train(shared).folder / "tensorboard" / "phase1")
    assert [step for step, _ in events["train/loss"]] == list(range(6))


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MaapError, match="pip install tensorboardX"):
        tensorboard.check_library()


def test_a_run_without_the_library_leaves_no_folder(config, monkeypatch):
    def missing():
        raise MaapError("pip install")

    from maap.training.work import work

    monkeypatch.setattr(tensorboard, "check_library", missing)
    with pytest.raises(MaapError, match="pip install"):
        work(config, {})
    assert not Path(config.runs_dir).exists()
