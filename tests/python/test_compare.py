"""`maap compare`: what is read of runs, and the page and picture that come of it."""

import dataclasses
import re

import cv2
import numpy as np
import pytest
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.report import charts, compare
from maap.runs.evaluation import (
    DataFacts,
    Evaluation,
    PhaseRegions,
    PhaseResult,
    write_evaluation,
)
from maap.runs.run import Run
from maap.runs.stages import stage_list
from maap.runs.state import DataNote, RunState


def evaluation(top1s):
    """An evaluation of phases with these shares, and of regions."""
    phases = [
        PhaseResult(
            phase=f"phase{n}", title=f"after phase {n}", iterations=5, seconds=10.0, crops=1,
            count=20, top1=share, top5=0.9, per_class=[], confusion=[], cropped=None,
        )
        for n, share in enumerate(top1s, 1)
    ]  # fmt: skip
    regions = PhaseRegions(
        phase="phase1", title="after phase 1", images=20, fallbacks=0, n=20,
        mean_iou=0.345, centre_hit=0.5, area_kept=0.5,
    )  # fmt: skip
    data = DataFacts("demo", "demo", None, ["a", "b"], [64, 64], 40, 20)
    return Evaluation(1, data, 0.5, phases, [regions], [], "rewrite")


def make_run(runs, name, losses=((4.0, 3.0, 2.0), (1.5, 1.0)), top1s=(0.4, 0.6), **settings):
    """A run folder with curves, but no nets; without ``top1s`` it is stopped in phase 2."""
    manifest = settings.pop("manifest", "m")
    config = TrainConfig(name=name, **dict(dict(variant="maap"), **settings))
    run, stages = Run(runs / name), stage_list(config)
    for stage, values in zip([s for s in stages if s.kind == "train"], losses):
        folder = run.folder / stage.name
        folder.mkdir(parents=True)
        rows = "".join(f"{n},{value},0.1\n" for n, value in enumerate(values))
        (folder / "metrics.csv").write_text("iteration,loss,lr\n" + rows)
        stage.iteration, stage.seconds = len(values), 10.0
    for stage in stages if top1s else stages[:2]:
        stage.status = "done"
    run.write_state(RunState(stages=stages, data=DataNote(manifest=manifest)))
    run.write_config(config)
    if top1s:
        write_evaluation(run.folder, evaluation(top1s))
    return run


def test_phases_follow_each_other(tmp_path):
    run = make_run(tmp_path, "a")
    (run.folder / "phase2" / "accuracy.csv").write_text("iteration,top1,top5\n1,0.5,0.9\n")
    found = compare.story(run)
    np.testing.assert_allclose(found.loss[0], range(5))
    np.testing.assert_allclose(found.loss[1], [4, 3, 2, 1.5, 1])
    assert found.accuracy == ([3.0, 4.0, 5.0], [0.4, 0.5, 0.6])
    assert found.borders == [3]


def test_a_window_belongs_to_its_last_iteration():
    losses = np.arange(50.0)
    x, y = charts.smoothed(losses, 100)
    assert list(x[:2]) == [101, 102] and list(y[:2]) == [0.5, 1.5] and len(x) == len(y) == 49
    x, y = charts.smoothed(np.zeros(0), 7)
    assert len(x) == len(y) == 0


def test_a_run_that_attends_online_is_called_so(tmp_path):
    runs = [compare.story(make_run(tmp_path, "a", haap_mode="online"))]
    assert compare.results(runs)[1][0][1] == "alexnet maap roi online"


def test_the_table_has_what_evaluation_found(tmp_path):
    stories = [compare.story(make_run(tmp_path, "a", a_star="reduce", seed=3))]
    stories.append(compare.story(make_run(tmp_path, "b", top1s=())))
    head, rows = compare.results(stories)
    expected = dict(zip(head, rows[0]))
    assert expected["run"] == "a" and expected["how"] == "alexnet maap reduce"
    assert (expected["seed"], expected["iterations"]) == ("3", "3 + 2")
    assert (expected["top-1"], expected["regions' mean IoU"]) == ("60.0%", "0.345")
    assert "stopped in phase2" in rows[1][1] and rows[1][4] == "–"
    head, rows = compare.differences(stories)
    assert head == ["setting", "a", "b"]
    assert rows == [["a_star", "reduce", "roi"], ["seed", "3", "1"]]


def test_page_and_picture(tmp_path):
    for name in ("a", "b&<"):
        make_run(tmp_path, name)
    page = tmp_path / "out" / "both.html"
    lines = compare.compare_runs(("a", "b&<"), tmp_path, page)
    text = page.read_text()
    assert "b&amp;&lt;" in text and "b&<" not in text
    assert "different data sets" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)  # one file, nothing from elsewhere
    assert "60.0%" in text and any("60.0%" in line for line in lines)
    picture = cv2.imread(str(page.with_suffix(".png")))
    assert picture.shape[1] == 1100 and len(np.unique(picture)) > 50


def test_different_data_are_said(tmp_path):
    make_run(tmp_path, "a"), make_run(tmp_path, "b", manifest="other")
    compare.compare_runs(("*",), tmp_path, tmp_path / "page.html")
    assert "cannot be compared" in " ".join((tmp_path / "page.html").read_text().split())


def test_names_and_patterns(tmp_path):
    for name in ("net-a", "net-b", "other"):
        make_run(tmp_path, name)
    names = [run.name for run in compare.chosen(("other", "net-*", "net-a"), tmp_path)]
    assert names == ["other", "net-a", "net-b"]
    for words, said in (
        (("net-a",), "at least two"),
        (("net-a", "net-c"), "did you mean net-"),
        (("x*", "net-a"), "no run in .* is called x"),
    ):
        with pytest.raises(MaapError, match=said):
            compare.chosen(words, tmp_path)


def test_many_runs_keep_their_colours_apart(tmp_path):
    first = compare.story(make_run(tmp_path, "a"))
    stories = [dataclasses.replace(first, name=f"run{n}") for n in range(12)]
    assert compare.draw(stories, "svg").count(b"run11") >= 1
