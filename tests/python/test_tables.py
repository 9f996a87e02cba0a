"""What a table consists of, what is left of it to run, its arithmetic and how it reads."""

import dataclasses
from pathlib import Path

import pytest
from maap.cli import study as studies
from maap.config.check import validate
from maap.config.fields import A_STARS, TrainConfig
from maap.errors import MaapError
from maap.images import a_star
from maap.runs.stages import stage_list
from maap.study import plan, timing
from maap.study.cells import Planned, Request, Step
from maap.study.definition import Changes, changed
from maap.study.reading import find_study
from maap.study.runner import StudyRuns
from study_fakes import CONTROL, cell, leave, part, rows

TINY = str(Path(__file__).resolve().parents[1] / "nets" / "tiny")


# ---- rows and words -----------------------------------------------------------------------------


def test_the_rows_are_the_papers():
    assert [row.settings["variant"] for row in rows(1)[:-1]] == [
        "baseline", "laap", "haap", "maap",
    ]  # fmt: skip
    assert [row.settings.get("dropout_after") for row in rows(2)] == [
        None, "relu1", "relu2", "relu3", "relu4", "relu5", None,
    ]  # fmt: skip
    six = rows(3)[1:-1]
    assert [row.settings["a_star"] for row in six] == list(A_STARS[:6])
    assert [row.label for row in six] == [f"{x.caption}: {x.explanation}" for x in a_star.TABLE[:6]]
    assert {row.settings["variant"] for row in rows(3)[:-1]} == {"maap"}
    assert [row.after for row in rows(3)] == ["phase1"] + 7 * [None]


def test_the_control_is_the_baseline_with_a_phase_2_on_the_original_images():
    assert rows(1)[-1].label == rows(3)[-1].label == CONTROL
    assert rows(1)[-1].settings == rows(3)[-1].settings
    assert CONTROL not in [row.label for row in rows(2)]
    config = TrainConfig(**rows(1)[-1].settings, rounds=2)
    assert config.variant == "baseline" and not config.haap
    stages = stage_list(config)
    assert [stage.kind for stage in stages] == ["train"] * 3 + ["evaluation", "report"]
    assert [stage.name for stage in stages[:3]] == ["phase1", "phase2", "phase3"]
    phases = [stage.name for stage in stage_list(TrainConfig(variant="haap", rounds=2))]
    assert [name for name in phases if name.startswith("phase")] == ["phase1", "phase2", "phase3"]
    with pytest.raises(MaapError, match="--control is for baseline and laap, not for haap"):
        validate(TrainConfig(variant="haap", control=True))


@pytest.mark.parametrize("text", ["1,1", "x", "-1", "", "1.5"])
def test_wrong_seeds_are_refused(text):
    with pytest.raises(MaapError, match="--seeds"):
        studies._seeds(text)


def test_weights_go_to_their_nets():
    weights, nets = studies._weights, ["alexnet", "vgg19"]
    assert weights(("a.caffemodel",), ["alexnet"]) == {"alexnet": "a.caffemodel"}
    assert weights(("vgg19=v", "alexnet=a"), nets) == {"vgg19": "v", "alexnet": "a"}
    assert weights(("published",), nets) == {"alexnet": "published", "vgg19": "published"}
    with pytest.raises(MaapError, match="for which net"):
        weights(("a.caffemodel",), nets)
    with pytest.raises(MaapError, match="did you mean vgg19"):
        weights(("vgg=x",), nets)


@pytest.mark.parametrize(
    "words, said",
    [
        (["4"], "tables 1, 2 and 3"),
        ([], "say which table"),
        (["3", "--seeds", "one"], "--seeds"),
        (["3", "--out", "page.html"], "ends in .md"),
        (["3", "--nets", "alxnet", "--plan"], "did you mean alexnet"),
        (["3", "--variant", "laap"], "--variant"),
        (["3", "--data", "dmo"], "did you mean demo"),
    ],
)
def test_mistakes_are_one_line(words, said, capsys, tmp_path, monkeypatch):
    from maap.cli.main import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["table", *words])
    errors = capsys.readouterr().err
    assert end.value.code == 1 and errors.startswith("error: ") and said in errors
    assert not (tmp_path / "runs").exists()


def test_a_file_may_not_set_what_the_table_sets(tmp_path, capsys):
    from maap.cli.main import main

    (tmp_path / "settings.yaml").write_text("variant: laap\n")
    with pytest.raises(SystemExit):
        main(["table", "3", "--config", str(tmp_path / "settings.yaml")])
    assert "variant is for the table to set" in capsys.readouterr().err


def request(numbers, settings, nets=None):
    """Tables with one seed."""
    tables = [find_study(f"table{number}") for number in numbers]
    return Request(changed(tables, Changes(settings, nets, [1])))


@pytest.fixture
def named(mini_images, private_cache):
    """Makes the cells of a table on miniature images: named(table, nets, **settings)."""

    def make(number, nets=None, **more):
        settings = dict(data=str(mini_images), runs_dir="runs", max_iter=9, **more)
        return plan.planned(request([number], settings, nets)).cells

    return make


def test_the_three_tables_share_what_they_can(mini_images, private_cache, tmp_path):
    settings = dict(data=str(mini_images), runs_dir=str(tmp_path))
    made = plan.planned(request([1, 2, 3], settings)).cells
    assert len(made) == 3 * 5 + 7 + 8
    left = plan.steps(made)
    assert len(left) == 25  # five cells of tables 2 and 3 are runs of other rows
    controls = [step for step in left if step.cell.config.control]
    assert [step.cell.net for step in controls] == ["alexnet", "vgg19", "resnet152"]
    for step in controls:
        assert step.phase1_from.startswith(f"{step.cell.net}-baseline-")
        assert step.cell.config.name.startswith(f"{step.cell.net}-baseline-control-")
    own = [step.cell for step in left if step.phase1_from is None]
    assert sorted(cell.config.variant for cell in own) == 8 * ["baseline"] + 3 * ["laap"]
    dropout = [cell for cell in own if cell.config.dropout_after]
    assert len({cell.phase1 for cell in dropout}) == 5
    assert "-dropout-relu1-" in dropout[0].config.name
    of_maap = {
        s.phase1_from for s in left if s.cell.part.name == "table3" and not s.cell.config.control
    }
    assert len(of_maap) == 1 and "alexnet-laap-" in of_maap.pop()


def test_a_name_changes_with_what_the_result_depends_on(named):
    def names_of(**settings):
        return [cell.config.name for cell in named(1, [TINY], image_size=64, **settings)]

    first = names_of()
    assert names_of(threads=1, snapshot=5, display=3, test_interval=4, tensorboard=True) == first
    assert not set(first) & set(names_of(momentum=0.5))
    assert not set(first) & set(names_of(resize="short_side"))
    longer = names_of(phase2_iter=77)
    assert longer[:2] == first[:2] and not set(first[2:]) & set(longer[2:])
    groups = [cell.phase1 for cell in named(1, [TINY], image_size=64)]
    assert groups[0] == groups[2] == groups[4] != groups[1] == groups[3]
    assert len(first) == len(set(first)) == 5


def test_settings_that_older_runs_lack_do_not_rename_them(named, monkeypatch):
    """The hash of a run without control is that of a version that has no such setting."""
    names = [cell.config.name for cell in named(1, [TINY], image_size=64)]
    older = {name: field for name, field in plan.FIELDS.items() if name != "control"}
    monkeypatch.setattr(plan, "FIELDS", older)
    again = [cell.config.name for cell in named(1, [TINY], image_size=64)]
    assert again[:4] == names[:4] and again[4] != names[4]


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    from maap.host.supervise import Stopped

    steps = [Step(cell(tmp_path, "a"), None)]
    work = StudyRuns(None, False, "maap table 1")
    monkeypatch.setattr(work, "call", lambda *_: (Planned([steps[0].cell], []), steps))

    def stopped(step):
        raise Stopped("stopped; continue with: maap train --resume a")

    monkeypatch.setattr(work, "train", stopped)
    with pytest.raises(Stopped, match="--resume a; or all of it with: maap "):
        work.run_all(Request([]))


# ---- what is left -------------------------------------------------------------------------------


def names(steps):
    return [(step.cell.row.label, step.phase1_from) for step in steps]


def test_one_of_a_group_trains_phase_1(tmp_path):
    planned = [cell(tmp_path, row, seed) for seed in (1, 2) for row in ("a", "b", "c")]
    assert names(plan.steps(planned)) == [
        ("a", None), ("b", "alexnet-a-s1"), ("c", "alexnet-a-s1"),
        ("a", None), ("b", "alexnet-a-s2"), ("c", "alexnet-a-s2"),
    ]  # fmt: skip


def test_a_run_in_two_tables_is_run_once(tmp_path):
    parts = [part("ab", name=name) for name in ("table1", "table3")]
    planned = [cell(tmp_path, row, of=of) for of in parts for row in ("a", "b")]
    assert names(plan.steps(planned)) == [("a", None), ("b", "alexnet-a-s1")]


def test_who_has_phase_1_gives_it_whatever_the_order(tmp_path):
    planned = [cell(tmp_path, row) for row in ("a", "b", "c")]
    leave(planned[2], done=5)
    assert planned[2].run.finished()
    assert names(plan.steps(planned)) == [("a", "alexnet-c-s1"), ("b", "alexnet-c-s1")]


def test_a_begun_phase_1_is_finished_first(tmp_path):
    planned = [cell(tmp_path, row) for row in ("a", "b", "c")]
    leave(planned[1], done=0, status="running", iteration=40)
    assert names(plan.steps(planned)) == [
        ("b", None), ("a", "alexnet-b-s1"), ("c", "alexnet-b-s1"),
    ]  # fmt: skip


def test_a_finished_run_whose_weights_are_gone_gives_no_phase_1(tmp_path):
    planned = [cell(tmp_path, row) for row in ("a", "b", "c")]
    leave(planned[0], done=5)
    (planned[0].run.folder / "phase1/final.caffemodel").unlink()
    assert names(plan.steps(planned)) == [("b", None), ("c", "alexnet-b-s1")]


def test_a_run_that_waits_for_one_that_is_gone(tmp_path):
    first = cell(tmp_path, "a", phase1_from="alexnet-z-s1")
    leave(first, done=0)
    with pytest.raises(MaapError, match=r"phase 1 of run alexnet-z-s1, which is gone; .*rm -r"):
        plan.steps([first])


@pytest.mark.parametrize(
    "done, gone, said",
    [
        (
            5,
            "evaluation.json",
            "evaluation is done; repair it with: maap train --resume alexnet-a-s1",
        ),
        (2, "rewrite1/train_lmdb/data.mdb", "rewrite1 is done; repair it with"),
        (2, "phase2/solver.prototxt", "phase2/solver.prototxt missing in .*rm -r"),
        (2, "state.json", "state.json missing in .*rm -r"),
        (2, "config.yaml", "config.yaml missing in .*rm -r"),
        (5, "report.html", None),
        (5, "rewrite1/train_lmdb/data.mdb", None),
        (0, "config.yaml", None),  # killed while it was set up: it is started again
    ],
)
def test_what_is_missing_of_a_run(tmp_path, done, gone, said):
    broken = cell(tmp_path, "a")
    leave(broken, done)
    (broken.run.folder / gone).unlink()
    if said is None:
        plan.check_whole(broken.run)
        return
    with pytest.raises(MaapError, match=f"run alexnet-a-s1 is incomplete: .*{said}"):
        plan.check_whole(broken.run)


# ---- how long -----------------------------------------------------------------------------------

COSTS = timing.Costs(iteration=2.0, rewrite_image=0.5, test_image=0.25, weight_bytes=1_000_000)
SIZES = timing.Sizes(train=40, test=20, image_bytes=300)


def test_the_plan_adds_up_what_is_left(tmp_path):
    new = cell(tmp_path, "a", a_star="reduce")
    parts = timing.parts_of(Step(new, None), COSTS, SIZES)
    assert [seconds for _, seconds, _ in parts] == [200, 20, 100, 2 * 20 * 0.75]
    assert [size for *_, size in parts] == [2e6, 40 * 300 * 4, 2e6, 0]
    shared = timing.parts_of(Step(new, "other"), COSTS, SIZES)
    assert [seconds for _, seconds, _ in shared] == [0, 20, 100, 30]
    assert shared[0][0] == "phase 1 from other"
    leave(new, done=2)
    assert [seconds for _, seconds, _ in timing.parts_of(Step(new, None), COSTS, SIZES)] == [
        100, 30,
    ]  # fmt: skip


def test_the_plan_counts_ranks_that_share_the_cores(tmp_path):
    def seconds(**settings):
        step = Step(cell(tmp_path, "a", a_star="reduce", **settings), None)
        return [each for _, each, _ in timing.parts_of(step, COSTS, SIZES)]

    assert seconds(ranks=3) == [600, 20, 300, 30]
    assert seconds(ranks=3, gpu=0) == seconds()


def test_the_plan_counts_from_the_last_snapshot(tmp_path):
    begun = cell(tmp_path, "a", variant="laap")
    leave(begun, done=0, status="running", iteration=40)
    parts = timing.parts_of(Step(begun, None), COSTS, SIZES)
    assert parts[0][:2] == ("phase 1, 60 iterations", 120.0)
    assert parts[1][1] == 20 * 0.25  # nothing is rewritten
    boxed = dataclasses.replace(SIZES, boxed=True)
    assert timing.parts_of(Step(begun, None), COSTS, boxed)[1][1] == 20 * (0.5 + 0.25 * 3)
    without = dataclasses.replace(COSTS, rewrite_image=0.0)  # no net that finds regions
    assert timing.parts_of(Step(begun, None), without, boxed)[1][1] == 20 * 0.25 * 2
    both = timing.parts_of(Step(cell(tmp_path, "b"), None), COSTS, boxed)
    assert both[-1][1] == 2 * 20 * (0.5 + 0.25 * 3)  # whole, cut to regions, cut to true boxes
