"""state.json and evaluation.json: read and written with the same bytes, damage named."""

import json

import pytest
from maap.errors import MaapError
from maap.runs.evaluation import Evaluation, read_evaluation, write_evaluation
from maap.runs.state import OnlineCounts, RunState, SharedFrom, Stage, read_state, write_state


def stage(name, kind, number, title, **more):
    given = {} if number is None else {"number": number}
    return {"name": name, "kind": kind, **given, "title": title, **more}


HOW = {
    "crop_size": 56, "mirror": True, "mean_value": [104.0, 117.0, 123.0], "mean_file": None,
    "scale": 0.017,
}  # fmt: skip
SHARED = {
    "run": "first", "trained_in": "older", "settings": "0123456789ab", "sha256": "c" * 64,
}  # fmt: skip
DONE = {"stopped": "max_iter", "loss": 3.5882310258333336, "weights": "final.caffemodel"}
COUNTS = {"images": 120, "fallbacks": 2}

# As runs have left it since the first release, in this order.
STATE = {
    "format": 1,
    "name": "first",
    "note": "",
    "input": {
        "TRAIN": HOW,
        "TEST": {**HOW, "mirror": False, "mean_value": [], "mean_file": "mean.binaryproto"},
    },
    "data": {"folder": "/data/birds", "manifest": "a" * 64, "seconds": 0.1199932509998689},
    "weights": {"path": "/data/w.caffemodel", "sha256": "b" * 64},
    "stages": [
        stage("phase1", "train", 1, "phase 1", status="done", seconds=0.75, iteration=6, **DONE,
              shared_from=SHARED),
        stage("rewrite1", "rewrite", 1, "rewriting", status="done", seconds=1.25, count=48,
              fallbacks=0),
        stage("phase2", "train", 2, "phase 2", status="running", seconds=0.5, iteration=3),
        stage("phase3", "train", 3, "phase 3", status="done", seconds=0, iteration=5, **DONE,
              online=COUNTS),
        stage("evaluation", "evaluation", None, "evaluation", status="pending", seconds=0.0),
        stage("report", "report", None, "report", status="pending", seconds=0.0),
    ],
}  # fmt: skip

FIGURES = {"mean_iou": 0.5, "centre_hit": 1.0, "area_kept": 0.25}
SHARES = {"top1": 0.5, "top5": 1.0}
PHASE = {
    "phase": "phase1", "title": "after phase 1", "iterations": 6, "seconds": 0.75, "crops": 10,
    "count": 4, **SHARES,
    "per_class": [{"class": "crow", "count": 4, "top1": 0.5}, {"class": "owl", "count": 0,
                  "top1": None}],
    "confusion": [[2, 2], [0, 0]],
    "cropped": {"n": 3, "whole": SHARES, "true_box": SHARES, "region": SHARES},
}  # fmt: skip
EVALUATION = {
    "format": 1,
    "data": {
        "name": "birds", "kind": "folder", "note": "made up", "classes": ["crow", "owl"],
        "size": [64, 64], "train": 8, "test": 4,
    },
    "chance": 0.5,
    "phases": [PHASE, {**PHASE, "phase": "phase2", "cropped": None}],
    "regions": [
        {
            "phase": "phase1", "title": "after phase 1", "images": 4, "fallbacks": 1, "n": 3,
            **FIGURES, "true_box": FIGURES, "whole": FIGURES,
            "centred_half": dict.fromkeys(FIGURES),
            "by_size": [
                {"from": 0.0, "to": 0.1, "n": 3, **FIGURES, "whole": FIGURES,
                 "centred_half": FIGURES},
                {"from": 0.1, "to": 1.0, "n": 0, **dict.fromkeys(FIGURES),
                 "whole": dict.fromkeys(FIGURES), "centred_half": dict.fromkeys(FIGURES)},
            ],
        },
    ],
    "rewrites": [
        {"phase": "rewrite1", "a_star": "roi", "count": 48, "fallbacks": 0, "seconds": 1.25},
    ],
    "haap": "rewrite",
    "seconds": {"data": 0.125, "phase1": 0.75, "total": 0.875},
}  # fmt: skip


def text_of(content):
    return json.dumps(content, indent=1) + "\n"


def test_a_state_keeps_its_bytes(tmp_path):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(text_of(STATE))
    write_state(after, read_state(before))
    assert after.read_bytes() == before.read_bytes()


def test_an_evaluation_keeps_its_bytes(tmp_path):
    (tmp_path / "evaluation.json").write_text(text_of(EVALUATION))
    found = read_evaluation(tmp_path)
    (tmp_path / "evaluation.json").unlink()
    write_evaluation(tmp_path, found)
    assert (tmp_path / "evaluation.json").read_text() == text_of(EVALUATION)


def test_what_the_classes_say():
    state = RunState.from_json(STATE)
    assert [each.name for each in state.phases] == ["phase1", "phase2", "phase3"]
    assert [each.name for each in state.waiting] == ["phase2", "evaluation", "report"]
    assert state.seconds == 2.5 and state.stages[0].done
    assert state.stages[0].shared_from == SharedFrom(**SHARED)
    assert state.stages[3].online == OnlineCounts(120, 2)
    assert state.input["TEST"].mean_file == "mean.binaryproto"
    found = Evaluation.from_json(EVALUATION)
    assert found.last.phase == "phase2" and found.last.cropped is None
    assert found.phases[0].per_class[0].name == "crow" and found.phases[0].cropped.n == 3
    assert found.regions[0].true_box.mean_iou == 0.5 and found.regions[0].whole.area_kept == 0.25


def test_an_evaluation_of_an_older_version():
    older = json.loads(text_of(EVALUATION))
    for phase in older["phases"]:
        del phase["crops"], phase["cropped"]
    del older["regions"][0]["true_box"], older["regions"][0]["by_size"], older["haap"]
    found = Evaluation.from_json(older)
    assert found.phases[0].crops == 1 and found.phases[0].cropped is None
    assert found.regions[0].true_box is None and found.haap is None
    assert found.regions[0].by_size is None


def test_keys_of_a_newer_version_are_kept(tmp_path):
    newer = json.loads(text_of(STATE))
    newer["colour"] = {"a": [1]}
    newer["stages"][2]["mood"] = "good"
    (tmp_path / "state.json").write_text(text_of(newer))
    state = read_state(tmp_path / "state.json")
    state.stages[2].status = "done"
    write_state(tmp_path / "state.json", state)
    newer["stages"][2]["status"] = "done"
    assert json.loads((tmp_path / "state.json").read_text()) == newer


def damaged(content, keys, value):
    """The content with one value replaced, or removed (None)."""
    copy = json.loads(text_of(content))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return text_of(copy)


@pytest.mark.parametrize(
    "keys, value, said",
    [
        (["stages"], None, "stages is missing"),
        (["stages"], {}, "stages is no list"),
        (["stages", 1, "kind"], "bake", r"stages\[1\].kind is 'bake'"),
        (["stages", 0, "name"], None, r"stages\[0\].name is missing"),
        (["stages", 0, "seconds"], "1", r"stages\[0\].seconds is '1'"),
        (["stages", 0, "iteration"], 1.5, r"stages\[0\].iteration is 1.5"),
        (["input", "TRAIN", "mirror"], 1, "input.TRAIN.mirror is 1"),
        (["weights"], "w.caffemodel", "weights is no JSON object"),
        (["data", "seconds"], True, "data.seconds is True"),
        (["format"], 2, "format 2"),
    ],
)
def test_a_damaged_state_is_named(tmp_path, keys, value, said):
    (tmp_path / "state.json").write_text(damaged(STATE, keys, value))
    with pytest.raises(MaapError, match=rf"state\.json: damaged \({said}\); start a new run"):
        read_state(tmp_path / "state.json")


@pytest.mark.parametrize("text", ["", "[]", "7", '{"format": 1, "stages": ['])
def test_files_that_are_no_state(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(MaapError, match=r"state\.json: damaged"):
        read_state(tmp_path / "state.json")
    with pytest.raises(MaapError, match=r"none\.json: cannot be read \(No such file"):
        read_state(tmp_path / "none.json")


@pytest.mark.parametrize(
    "keys, value, said",
    [
        (["phases", 0, "top5"], None, r"phases\[0\].top5 is missing"),
        (["phases"], [], "phases is empty"),
        (["phases", 1, "confusion", 0, 1], "x", r"phases\[1\].confusion\[0\]\[1\] is 'x'"),
        (["haap"], "both", "haap is 'both'"),
    ],
)
def test_a_damaged_evaluation_is_named(tmp_path, keys, value, said):
    (tmp_path / "evaluation.json").write_text(damaged(EVALUATION, keys, value))
    with pytest.raises(MaapError, match=rf"evaluation\.json is damaged \({said}\); measure it"):
        read_evaluation(tmp_path, "measure it")


def test_a_stage_that_has_not_begun():
    assert Stage("report", "report", title="report").to_json() == {
        "name": "report", "kind": "report", "title": "report", "status": "pending", "seconds": 0.0,
    }  # fmt: skip


def test_a_run_that_is_not_evaluated(tmp_path):
    assert read_evaluation(tmp_path) is None
