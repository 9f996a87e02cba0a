"""A run that takes phase 1 from another: the same weights, never trained again, or an error."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from unittest import mock

import maap
import pytest
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.runs.run import Run

TINY = str(Path(__file__).resolve().parents[2] / "tests" / "nets" / "tiny")
pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture(scope="module")
def first(tmp_path_factory, mini_images, cache_folder):
    """The settings of a finished LAAP run called "first"; tests only look at it."""
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(cache_folder)):
        config = TrainConfig(
            net=TINY, data=str(mini_images), image_size=64, batch=8, max_iter=6, phase2_iter=3,
            base_lr=0.01, threads=1, variant="laap", name="first",
            runs_dir=str(tmp_path_factory.mktemp("shared") / "runs"),
        )  # fmt: skip
        maap.train(config)
    return config


@pytest.fixture
def copied(first, tmp_path):
    """The same in a folder of its own, to be damaged."""
    shutil.copytree(first.runs_dir, tmp_path / "runs")
    return dataclasses.replace(first, runs_dir=str(tmp_path / "runs"))


def state(config, name):
    return json.loads((Path(config.runs_dir) / name / "state.json").read_text())


def files(config, name, pattern):
    folder = Path(config.runs_dir) / name
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob(pattern))}


def timeless(evaluation):
    """Without what a clock says."""
    if isinstance(evaluation, dict):
        return {k: timeless(v) for k, v in evaluation.items() if k != "seconds"}
    return [timeless(v) for v in evaluation] if isinstance(evaluation, list) else evaluation


def test_a_shared_phase_gives_the_bytes_of_an_own_one(first):
    own = dataclasses.replace(first, variant="maap", a_star="reduce", name="own")
    shared = dataclasses.replace(own, name="shared", phase1_from="first")
    results = [maap.train(each) for each in (own, shared)]
    for pattern in ("phase?/final.caffemodel", "phase?/metrics.csv", "rewrite1/regions.csv"):
        assert files(first, "shared", pattern) == files(first, "own", pattern)
    a, b = (timeless(result.evaluation.to_json()) for result in results)
    assert a == b
    stage = state(first, "shared")["stages"][0]
    assert stage["shared_from"]["run"] == stage["shared_from"]["trained_in"] == "first"
    assert stage["iteration"] == 6
    folder = Path(first.runs_dir)
    assert not (folder / "shared" / "phase1" / "snapshots").exists()  # no solver was started
    weights = [folder / name / "phase1/final.caffemodel" for name in ("first", "shared")]
    assert weights[0].samefile(weights[1])
    assert "in run first" in (folder / "shared" / "report.html").read_text()


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(seed=2, max_iter=7), r"seed is 2, there 1; max_iter is 7, there 6; solver differs"),
        (dict(variant="haap"), "otherwise: net differs; leave"),
        (dict(momentum=0.5), "otherwise: solver differs; leave"),
    ],
)
def test_other_settings_are_refused_by_name(copied, change, said):
    other = dataclasses.replace(copied, name="other", phase1_from="first", **change)
    with pytest.raises(MaapError, match=said):
        maap.train(other)
    assert "other" not in os.listdir(copied.runs_dir)  # the name is free
    again = dataclasses.replace(copied, name="other", phase1_from="first", phase2_iter=4)
    assert maap.train(again).name == "other"


def test_a_run_that_cannot_give_says_what_to_do(copied):
    other = dataclasses.replace(copied, name="other", phase1_from="fist")
    with pytest.raises(MaapError, match="no run fist.*did you mean first"):
        maap.train(other)
    run = Run(Path(copied.runs_dir) / "first")
    (run.folder / "phase1" / "final.caffemodel").unlink()
    (run.folder / "evaluation.json").unlink()
    other = dataclasses.replace(other, phase1_from="first", snapshot=2, display=7)
    with pytest.raises(MaapError, match=r"phase1/final.caffemodel is missing.*--resume first"):
        maap.train(other)
    assert "other" not in os.listdir(copied.runs_dir)
    mended = maap.train(dataclasses.replace(copied, resume=True))
    assert mended.folder == run.folder.resolve()
    assert maap.train(dataclasses.replace(other, resume=True)).top1 == mended.top1


def test_what_was_removed_from_a_run_is_made_again(copied):
    whole = dataclasses.replace(copied, variant="maap", name="whole", phase1_from="first")
    before = maap.train(whole).evaluation.to_json()
    kept = {p: files(copied, "whole", p) for p in ("phase2/final.caffemodel", "rewrite1/*.csv")}
    folder = Path(copied.runs_dir) / "whole"
    for name in ("evaluation.json", "report.html", "phase2/final.caffemodel", "rewrite1/train.csv"):
        (folder / name).unlink()
    for path in (folder / "phase2" / "snapshots").rglob("*.*"):
        path.unlink()
    again = maap.train(dataclasses.replace(whole, resume=True))
    assert timeless(again.evaluation.to_json()) == timeless(before)
    assert {p: files(copied, "whole", p) for p in kept} == kept
