"""A run that takes phase 1 from another: the same weights, never trained again, or an error."""

import dataclasses
import json
from pathlib import Path

import maap
import pytest
from maap.config import TrainConfig
from maap.errors import MaapError
from maap.runs import Run

TINY = str(Path(__file__).resolve().parents[2] / "tests" / "nets" / "tiny")
pytestmark = pytest.mark.usefixtures("private_cache")


@pytest.fixture
def config(tmp_path, mini_images):
    return TrainConfig(
        net=TINY, data=str(mini_images), image_size=64, runs_dir=str(tmp_path / "runs"),
        batch=8, max_iter=6, phase2_iter=3, base_lr=0.01, threads=1,
    )  # fmt: skip


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


def test_a_shared_phase_gives_the_bytes_of_an_own_one(config):
    laap = dataclasses.replace(config, variant="laap", name="laap")
    own = dataclasses.replace(config, variant="maap", a_star="reduce", name="own")
    shared = dataclasses.replace(own, name="shared", phase1_from="laap", phase2_iter=3)
    maap.train(laap)
    results = [maap.train(each) for each in (own, shared)]
    for pattern in ("phase?/final.caffemodel", "phase?/metrics.csv", "rewrite1/regions.csv"):
        assert files(config, "shared", pattern) == files(config, "own", pattern)
    a, b = (timeless(result.evaluation) for result in results)
    assert a == b
    stage = state(config, "shared")["stages"][0]
    assert stage["shared_from"]["run"] == stage["shared_from"]["trained_in"] == "laap"
    assert stage["iteration"] == 6
    folder = Path(config.runs_dir)
    assert not (folder / "shared" / "phase1" / "snapshots").exists()  # no solver was started
    weights = [folder / name / "phase1/final.caffemodel" for name in ("laap", "shared")]
    assert weights[0].samefile(weights[1])
    assert "in run laap" in (folder / "shared" / "report.html").read_text()


def test_other_settings_are_refused_by_name(config):
    first = dataclasses.replace(config, variant="laap", name="first", max_iter=2)
    maap.train(first)
    for change, said in (
        (dict(seed=2), "seed is 2, there 1"),
        (dict(max_iter=3), "max_iter is 3, there 2"),
        (dict(variant="baseline"), "net differs"),
        (dict(momentum=0.5), "solver differs"),
    ):
        other = dataclasses.replace(first, name="other", phase1_from="first", **change)
        with pytest.raises(MaapError, match=said):
            maap.train(dataclasses.replace(other, name=f"other-{len(said)}"))
    free = dataclasses.replace(first, name="free", phase1_from="first", snapshot=1, display=7)
    assert maap.train(free).evaluation["phases"][0]["iterations"] == 2


def test_a_run_that_cannot_give_says_what_to_do(config):
    first = dataclasses.replace(config, variant="laap", name="first", max_iter=2)
    other = dataclasses.replace(first, name="other", phase1_from="fist")
    with pytest.raises(MaapError, match="no run fist.*"):
        maap.train(other)
    maap.train(first)
    run = Run(Path(config.runs_dir) / "first")
    (run.folder / "phase1" / "final.caffemodel").unlink()
    other = dataclasses.replace(other, phase1_from="first")
    with pytest.raises(MaapError, match=r"phase1/final.caffemodel is missing.*--resume first"):
        maap.train(other)
    (run.folder / "evaluation.json").unlink()
    mended = maap.train(dataclasses.replace(first, resume=True))
    assert mended.folder == run.folder.resolve()
    assert maap.train(dataclasses.replace(other, resume=True)).top1 == mended.top1


def test_what_was_removed_from_a_run_is_made_again(config):
    whole = dataclasses.replace(config, variant="maap", name="whole")
    before = maap.train(whole).evaluation
    kept = {p: files(config, "whole", p) for p in ("phase2/final.caffemodel", "rewrite1/*.csv")}
    folder = Path(config.runs_dir) / "whole"
    for name in ("evaluation.json", "report.html", "phase2/final.caffemodel", "rewrite1/train.csv"):
        (folder / name).unlink()
    for path in (folder / "phase2" / "snapshots").rglob("*.*"):
        path.unlink()
    again = maap.train(dataclasses.replace(whole, resume=True))
    assert timeless(again.evaluation) == timeless(before)
    assert {p: files(config, "whole", p) for p in kept} == kept
