"""Whole trainings of the tests' small net, through the library and the command line."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import maap
import numpy as np
import pytest
import small_disk
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.runs.run import Run
from maap.util.schema import caffe_pb2
from waiting import PATIENCE, wait_until

REPO = Path(__file__).resolve().parents[2]
TINY = str(REPO / "tests" / "nets" / "tiny")
pytestmark = pytest.mark.usefixtures("private_cache")


def small_config(folder, images):
    """A training of a few seconds, in a folder of its own."""
    return TrainConfig(
        net=TINY,
        data=str(images),
        image_size=64,
        runs_dir=str(folder / "runs"),
        name="run",
        batch=8,
        max_iter=20,
        phase2_iter=10,
        snapshot=6,
        base_lr=0.01,
        threads=1,
    )


@pytest.fixture
def config(tmp_path, mini_images):
    return small_config(tmp_path, mini_images)


def options(config):
    """The same settings as the command line's words."""
    words = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name != "net" and value != field.default:
            words += ["--" + field.name.replace("_", "-"), str(value)]
    return [sys.executable, "-m", "maap", "train", config.net, *words]


def final(config, phase=1, name=None):
    folder = Path(config.runs_dir) / (name or config.name)
    return (folder / f"phase{phase}" / "final.caffemodel").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, mini_images, cache_folder):
    """A finished run, its settings and its result; tests only look at it."""
    config = small_config(tmp_path_factory.mktemp("finished"), mini_images)
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(cache_folder)
    try:
        return config, maap.train(config)
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def test_dropout_variant(config, tmp_path):
    """The drivers train the net of table 2's file; the deploy net is the baseline's."""
    folder = tmp_path / "net"
    shutil.copytree(TINY, folder)
    text = (folder / "train_val.prototxt").read_text(encoding="utf-8")
    dropout = 'layer { name: "drop1" type: "Dropout" bottom: "conv1" top: "conv1" }'
    at = text.index('layer {\n  name: "pool1"')
    changed = f"{text[:at]}{dropout}\n{text[at:]}"
    (folder / "train_val_dropout_relu1.prototxt").write_text(changed, encoding="utf-8")
    small = dict(net=str(folder), name=None, max_iter=2, variant="baseline", dropout_after="relu1")
    result = maap.train(dataclasses.replace(config, **small))
    assert result.name.startswith("net-baseline-dropout-relu1-")
    trained = (result.folder / "phase1" / "net.prototxt").read_text(encoding="utf-8")
    assert trained.count('"drop1"') == 1
    assert '"drop1"' not in (result.folder / "deploy.prototxt").read_text(encoding="utf-8")
    assert "dropout_after: relu1" in (result.folder / "config.yaml").read_text(encoding="utf-8")
    wrong = dataclasses.replace(config, **dict(small, dropout_after="relu2"))
    with pytest.raises(MaapError, match="did you mean relu1"):
        maap.train(wrong)


@pytest.mark.parametrize(
    "wrong, said",
    [
        (dict(weights=__file__), "not a caffemodel"),
        (dict(image_size=32), "crop_size 56 is larger than the stored images"),
        (dict(gpu=3), "GPU 3 was asked for|invalid device ordinal"),
        (dict(phase1_from="nobody"), "no run nobody"),
    ],
)
def test_a_run_that_cannot_begin_leaves_its_name_free(config, wrong, said):
    with pytest.raises(MaapError, match=said):
        maap.train(dataclasses.replace(config, **wrong))
    assert not Path(config.runs_dir).exists()


def test_a_folder_that_was_there_stays(config):
    kept = Path(config.runs_dir) / config.name / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    with pytest.raises(MaapError, match="not a caffemodel"):
        maap.train(dataclasses.replace(config, weights=__file__))
    assert kept.read_text() == "mine"


def test_a_whole_run(finished):
    config, result = finished
    folder = Path(config.runs_dir) / "run"
    assert result.folder == folder.resolve() and result.name == "run"
    assert 0.0 <= result.top1 <= result.top5 == 1.0  # of four classes
    assert "top-5" not in result.report.read_text()
    assert result.report.is_file() and "</html>" in result.report.read_text()
    assert [phase.phase for phase in result.evaluation.phases] == ["phase1", "phase2"]
    assert [phase.iterations for phase in result.evaluation.phases] == [20, 10]
    rows = (folder / "phase1" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 21 and rows[1].startswith("0,")
    log = (folder / "phase1" / "log").read_text()
    assert re.search(r"\] Iteration 0 .*, loss = ", log)  # what parsers of Caffe's log look for
    # They read month and day behind the letter: no year in front of them.
    assert re.search(r"^I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ solver\.cpp:\d+\] ", log, re.M)
    resolved = Run(folder).config()
    assert (resolved.preset, resolved.from_scratch, resolved.max_iter) == ("scratch", True, 20)
    assert Run(folder).finished()
    assert [path.name for path in (folder / "phase1" / "snapshots").iterdir()] == ["20"]


def test_a_finished_run_is_not_done_again(finished):
    config, result = finished
    with pytest.raises(MaapError, match="run exists"):
        maap.train(config)
    before = (result.folder / "evaluation.json").stat().st_mtime_ns
    again = maap.train(dataclasses.replace(config, resume=True))
    assert again.top1 == result.top1
    assert (result.folder / "evaluation.json").stat().st_mtime_ns == before


def test_a_resume_with_other_settings_says_which(finished):
    config, _ = finished
    with pytest.raises(MaapError, match=r"--seed is 2, the run has 1.*"):
        maap.train(dataclasses.replace(config, resume=True, seed=2))


def test_the_verbs_on_a_finished_run(finished, tmp_path):
    config, result = finished

    def verb(*words):
        command = [sys.executable, "-m", "maap", *map(str, words), "--runs-dir", config.runs_dir]
        done = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, check=True)
        return done.stdout

    assert "run: " in verb("runs") and f"finished, top-1 {result.top1:.1%}" in verb("runs")
    found = verb("evaluate", "run")
    assert f"top-1 {result.top1:.1%}" in found and "regions are the whole image" in found
    table, out = tmp_path / "new" / "p.csv", tmp_path / "tables"
    found = verb("evaluate", "run", "--crops", 10, "--predictions", table, "--out", out)
    assert "mean of 10 crops" in found and "confusion.csv" in found
    assert len(table.read_text().splitlines()) == 21 and (out / "per_class.csv").is_file()
    assert "48 images in" in verb("rewrite", "run", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert verb("report", "run").strip() == str(result.report)


def stages(config):
    return [stage.name for stage in Run(Path(config.runs_dir) / "run").state().stages]


def test_laap_alone_rewrites_nothing(config):
    config = dataclasses.replace(config, variant="laap", max_iter=2)
    folder = maap.train(config).folder
    assert stages(config) == ["phase1", "evaluation", "report"]
    for name in ("phase1/net.prototxt", "deploy.prototxt"):
        assert "Enhancement" in (folder / name).read_text()


def test_two_rounds_of_haap(config):
    settings = dict(variant="haap", rounds=2, max_iter=4, phase2_iter=2, a_star="reduce")
    config = dataclasses.replace(config, **settings)
    result = maap.train(config)
    assert stages(config)[:5] == ["phase1", "rewrite1", "phase2", "rewrite2", "phase3"]
    assert [phase.phase for phase in result.evaluation.phases] == stages(config)[:5:2]
    for name in ("phase1/net.prototxt", "phase2/net.prototxt", "deploy.prototxt"):
        assert "Enhancement" not in (result.folder / name).read_text()


def test_each_phase_starts_from_the_weights_before(config):
    """With a vanishing learning rate a phase ends with what it started from."""
    settings = dict(variant="haap", max_iter=3, phase2_iter=1, phase2_lr=1e-12)
    result = maap.train(dataclasses.replace(config, **settings))
    first, second = (result.folder / f"phase{n}" / "final.caffemodel" for n in (1, 2))
    assert first.read_bytes() != second.read_bytes()
    np.testing.assert_allclose(blobs(second), blobs(first), rtol=0, atol=1e-8)


def blobs(path):
    """All the weights in a caffemodel, one after the other."""
    net = caffe_pb2.NetParameter()
    net.ParseFromString(path.read_bytes())
    return np.concatenate([np.array(b.data) for layer in net.layer for b in layer.blobs])


def test_the_seed_decides_everything_and_matters(config):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        settings = dict(variant="baseline", max_iter=3, name=name, seed=seed)
        maap.train(dataclasses.replace(config, **settings))
    a, b, c = (final(config, name=name) for name in "abc")
    assert a == b and a != c


def test_weights_to_start_from(config, tmp_path):
    first = dataclasses.replace(config, variant="baseline", max_iter=3, name="first")
    weights = maap.train(first).folder / "phase1" / "final.caffemodel"
    second = dataclasses.replace(
        first, name="second", weights=str(weights), base_lr=1e-12, phase2_lr=None, max_iter=1
    )
    folder = maap.train(second).folder
    assert Run(folder).config().preset == "finetune"
    np.testing.assert_allclose(
        blobs(folder / "phase1" / "final.caffemodel"), blobs(weights), rtol=0, atol=1e-8
    )


def test_accuracy_on_the_way(config):
    config = dataclasses.replace(config, variant="baseline", max_iter=4, test_interval=3)
    maap.train(config)
    rows = (Path(config.runs_dir) / "run" / "phase1" / "accuracy.csv").read_text().splitlines()
    assert rows[0] == "iteration,top1,top5"
    assert [row.split(",")[0] for row in rows[1:]] == ["3"]


def test_a_phase_ends_when_the_loss_stands_still(config):
    config = dataclasses.replace(
        config, variant="baseline", base_lr=1e-9, converge_window=3, converge_fraction=0.5
    )
    maap.train(config)
    stage = Run(Path(config.runs_dir) / "run").state().stages[0]
    assert (stage.iteration, stage.stopped) == (6, "converged")


def test_a_loss_that_is_not_finite_says_what_to_try(config):
    config = dataclasses.replace(config, variant="baseline", base_lr=1e6, momentum=0.99)
    with pytest.raises(MaapError, match=r"phase 1: the training loss became .*--base-lr"):
        maap.train(config)


@pytest.mark.usefixtures("usual_signals")
def test_ctrl_c_takes_a_snapshot_and_the_run_goes_on_as_if_nothing_was(config):
    whole = dataclasses.replace(
        config, name="whole", variant="baseline", max_iter=150, snapshot=100
    )
    maap.train(whole)
    config = dataclasses.replace(whole, name="stopped")
    metrics = Path(config.runs_dir) / "stopped" / "phase1" / "metrics.csv"
    process = subprocess.Popen(
        options(config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    )
    wait_until(lambda: metrics.is_file() and metrics.read_text().count("\n") >= 5, process)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "stopped at iteration" in errors and "maap train --resume stopped" in errors
    stage = Run(Path(config.runs_dir) / "stopped").state().stages[0]
    assert stage.status == "running" and 0 < stage.iteration < 150
    maap.train(dataclasses.replace(config, resume=True))
    assert final(config) == final(whole)
    assert metrics.read_bytes() == (metrics.parents[2] / "whole/phase1/metrics.csv").read_bytes()


def test_a_run_in_use_is_left_alone(config, monkeypatch):
    monkeypatch.setattr("maap.runs.run.LOCK_PATIENCE", 0.1)
    run = Run(Path(config.runs_dir) / "run")
    run.lock()
    with pytest.raises(MaapError, match=f"in use by process {os.getpid()}"):
        Run(run.folder).lock()
    run.unlock()
    Run(run.folder).lock()


def test_changed_data_are_noticed_on_a_resume(config, tmp_path):
    from maap.data.importers.folder import import_folder

    data = import_folder(Path(config.data), tmp_path / "set", size=64).folder
    config = dataclasses.replace(config, data=str(data), variant="baseline", max_iter=2)
    maap.train(config)
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["note"] = "another"
    (data / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(MaapError, match="has changed since"):
        maap.train(dataclasses.replace(config, resume=True))


@pytest.mark.skipif(small_disk.WAY is None, reason="needs the right to mount a tmpfs")
def test_a_full_disk_is_an_error_and_the_last_snapshot_stays(config, tmp_path):
    """The net's snapshots are 0.8 MB; the disk has room for one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    config = dataclasses.replace(
        config, runs_dir=str(disk), variant="baseline", max_iter=30, snapshot=10
    )
    script = '"$@"; echo "status $?"; find "$0" | sort; cat "$0"/run/state.json'
    done = small_disk.run(disk, "2500k", ["sh", "-c", script, str(disk), *options(config)])
    assert "status 1" in done.stdout
    assert "error: " in done.stderr and "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "/snapshots/10/snapshot.json" in done.stdout and "partial" not in done.stdout
    assert '"iteration": 10' in done.stdout
