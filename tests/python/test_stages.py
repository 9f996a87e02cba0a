"""Which results of a run are gone, and whether somebody misses them."""

import pytest
from maap.config.fields import TrainConfig
from maap.runs.run import Run
from maap.runs.stages import lost, phase_folders, results, stage_list


@pytest.fixture
def run(tmp_path):
    """A folder with everything that the stages of a whole run leave, and the stages."""
    stages = stage_list(TrainConfig(rounds=2))
    for stage in stages:
        stage.status = "done"
        for name in results(stage):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")
    return tmp_path, stages


def test_nothing_is_lost_of_a_whole_run(run):
    assert lost(*run) == {}


@pytest.mark.parametrize("name", ["rewrite1/train_lmdb/data.mdb", "phase1/final.caffemodel"])
def test_what_no_stage_reads_any_more_may_go(run, name):
    folder, stages = run
    (folder / name).unlink()
    assert lost(folder, stages) == {}


def test_what_a_lost_stage_needs_is_lost_too(run):
    folder, stages = run
    for name in ("evaluation.json", "phase2/final.caffemodel", "rewrite1/train.csv"):
        (folder / name).unlink()
    assert lost(folder, stages) == {
        "rewrite1": ["rewrite1/train.csv"],
        "phase2": ["phase2/final.caffemodel"],
        "evaluation": ["evaluation.json"],
    }


def test_a_stage_that_waits_needs_what_is_before_it(run):
    folder, stages = run
    for stage in stages[4:]:
        stage.status = "pending"
    assert [stage.name for stage in stages[:5]] == [
        "phase1", "rewrite1", "phase2", "rewrite2", "phase3",
    ]  # fmt: skip
    (folder / "phase1/final.caffemodel").unlink()
    (folder / "rewrite2/manifest.json").unlink()
    assert lost(folder, stages) == {
        "phase1": ["phase1/final.caffemodel"],  # the evaluation asks for every phase
        "rewrite2": ["rewrite2/manifest.json"],
    }


@pytest.fixture
def twelve_rounds(tmp_path):
    """The folders of a run of twelve rounds, all phases but the last finished."""
    config = TrainConfig(variant="haap", rounds=12)
    for stage in stage_list(config):
        if stage.kind == "train":
            (tmp_path / stage.name).mkdir()
            if stage.number != 13:
                (tmp_path / stage.name / "final.caffemodel").write_text(stage.name)
    (tmp_path / "phases").mkdir()
    (tmp_path / "phase1.old").mkdir()
    return tmp_path


def test_phase_10_comes_after_phase_9(twelve_rounds):
    names = [folder.name for folder in phase_folders(twelve_rounds)]
    assert names == [f"phase{number}" for number in range(1, 14)]
    assert [path.read_text() for path in Run(twelve_rounds).weights()] == names[:12]
