"""What a table consists of, what is left of it to run, its arithmetic and how it reads."""

import csv
import dataclasses
import io
import math
import re
import statistics
from pathlib import Path

import pytest
from maap.cli import study as studies
from maap.config.check import validate
from maap.config.fields import A_STARS, TrainConfig
from maap.errors import MaapError
from maap.images import a_star
from maap.runs.evaluation import write_evaluation
from maap.runs.run import Run
from maap.runs.stages import stage_list
from maap.study import figures as paper
from maap.study import notes, plan, timing
from maap.study import page as pages
from maap.study.cells import Head, Request, Step
from maap.study.definition import Changes, Row, changed
from maap.study.plot import plot
from maap.study.reading import find_study
from maap.study.results import Spread, paper_figure, read_tables
from maap.study.runner import StudyRuns
from maap.study.sheets import cells_csv
from study_fakes import cell, evaluation, leave, part, result, table

TINY = str(Path(__file__).resolve().parents[1] / "nets" / "tiny")
BEFORE = "before rewriting (phase 1: LAAP alone)"
CONTROL = "control: baseline, phase 2 on the original images"
HEAD = Head("The paper's tables", "", "maap table 3")


def paper_part(number):
    """The part of the paper's table of that number."""
    (found,) = find_study(f"table{number}").parts
    return found


def rows(number):
    return list(paper_part(number).rows)


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
        return plan.cells(request([number], settings, nets))

    return make


def test_the_three_tables_share_what_they_can(mini_images, private_cache, tmp_path):
    settings = dict(data=str(mini_images), runs_dir=str(tmp_path))
    made = plan.cells(request([1, 2, 3], settings))
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
    monkeypatch.setattr(work, "call", lambda *_: ([steps[0].cell], steps))

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


# ---- the page -----------------------------------------------------------------------------------


def test_mean_and_spread_are_those_of_the_library():
    values = [0.5, 0.6, 0.55, 0.72]
    spread = Spread.of(values)
    assert math.isclose(spread.mean, sum(values) / 4)
    squares = sum((value - spread.mean) ** 2 for value in values)
    assert math.isclose(spread.deviation, math.sqrt(squares / 3))
    assert Spread.of([0.5]).deviation is None
    with pytest.raises(statistics.StatisticsError):
        Spread.of([])


def test_each_row_and_net_has_its_own_mean(tmp_path):
    of = part("xy", ["alexnet", "vgg19"], [1, 2])
    shares = {("x", "alexnet"): [0.4, 0.6], ("y", "alexnet"): [0.1, 0.1]}
    shares.update({("x", "vgg19"): [0.8, 1.0], ("y", "vgg19"): [0.3, 0.7]})
    made = [
        result(tmp_path, row, seed, values[seed - 1], net)
        for (row, net), values in shares.items()
        for seed in (1, 2)
    ]
    lines = pages.table_lines(table(of, made))
    assert lines[0] == (
        "|  | alexnet: paper | alexnet: ours | seeds 1, 2 "
        "| vgg19: paper | vgg19: ours | seeds 1, 2 |"
    )
    assert lines[2:] == [
        "| x | not in the paper | 50.0 ± 14.1% | 40.0, 60.0 "
        "| not in the paper | 90.0 ± 14.1% | 80.0, 100.0 |",
        "| y | not in the paper | 10.0 ± 0.0% | 10.0, 10.0 "
        "| not in the paper | 50.0 ± 28.3% | 30.0, 70.0 |",
    ]
    found = list(csv.DictReader(io.StringIO(cells_csv(table(of, made)))))
    assert [row["top1_mean"] for row in found] == ["0.5", "0.1", "0.9", "0.5"]
    assert found[0]["top1_sd"] == f"{math.sqrt(0.02):.6g}" and found[0]["paper_percent"] == ""


def test_images_cut_to_the_region_have_a_column(tmp_path):
    """Where any row measured them; a row that did not says so."""
    of = part("xy", seeds=[1, 2])
    made = [result(tmp_path, "x", seed, 0.5, cut=0.2 * seed) for seed in (1, 2)]
    made += [result(tmp_path, "y", 1, 0.25)]
    lines = pages.table_lines(table(of, made))
    assert lines[0].endswith("alexnet: ours, images cut to the region found | seeds 1, 2 |")
    assert lines[2].endswith("| 50.0 ± 0.0% | 30.0 ± 14.1% | 50.0, 50.0 |")
    assert lines[3].endswith("| 25.0% | not measured | 25.0, not run |")
    (row, _) = csv.DictReader(io.StringIO(cells_csv(table(of, made))))
    assert row["top1_mean"] == "0.5" and row["cut_mean"] == "0.3"


def test_a_figure_of_the_paper_carries_its_status(tmp_path):
    figures = [
        paper.Figure(61.25, "read", "p. 7"),
        paper.Figure(70.0, "not reread", "memory"),
        None,
    ]
    given = [{} if figure is None else {"alexnet": figure} for figure in figures]
    of = part([Row(label, paper=each) for label, each in zip("xyz", given)])
    made = table(of, [result(tmp_path, row, 1, 0.5) for row in "xyz"])
    lines = pages.table_lines(made)[2:]
    assert ["61.25%" in lines[0], "70.0% (not reread)" in lines[1], paper.MISSING in lines[2]] == [
        True, True, True,
    ]  # fmt: skip
    said = "\n".join(notes.notes(made))
    assert "to be checked in the paper" in said and '"y": Paper: 70.0% (memory).' in said
    without = table(part("xyz"), made.results)
    assert "has no figures for these" in notes.notes(without)[-1]
    own = table(part("xyz", paper=None), made.results)
    assert "paper" not in pages.table_lines(own)[0] + "".join(notes.notes(own)[-1])


def test_the_papers_figures_stand_in_their_rows():
    """He and Peng, tables 1 to 3, a few cells of each by hand."""
    shown = {
        number: {
            (row.label, net): paper.shown(paper_figure(row, net))
            for row in rows(number)
            for net in paper_part(number).nets
        }
        for number in (1, 2, 3)
    }
    assert shown[1]["MAAP", "alexnet"] == "63.0%" and shown[1]["HAAP", "vgg19"] == "78.0%"
    assert shown[1]["LAAP", "resnet152"] == "76.4%" and shown[1]["baseline", "vgg19"] == "72.2%"
    assert shown[2]["no further dropout", "alexnet"] == "59.0%"
    assert shown[2]["dropout after relu4", "alexnet"] == "57.9%"
    assert shown[3]["ROI: R cropped and enlarged", "alexnet"] == "62.2%"
    assert shown[3]["enhance: A+1 inside R, 0 outside", "alexnet"] == "52.6%"
    assert shown[3]["all soft + 1: A+1 everywhere", "alexnet"] == "55.3%"
    assert shown[3][BEFORE, "alexnet"] == "59.0%"
    missing = {cell for cells in shown.values() for cell in cells if cells[cell] == paper.MISSING}
    assert {label for label, _ in missing} == {CONTROL, "attention after relu1 (LAAP)"}
    known = [each for n in (1, 2, 3) for row in rows(n) for each in row.paper.values()]
    assert len(known) == 4 * 3 + 6 + 7
    assert {figure.status for figure in known} == {paper.TRANSCRIBED}
    assert paper_figure(rows(3)[1], "vgg19") is None  # it is AlexNet's


def test_what_was_not_run_says_so(tmp_path):
    of = part("xy", seeds=[1, 2], name="table1")
    planned = [cell(tmp_path, row, seed, of) for row in ("x", "y") for seed in (1, 2)]
    with pytest.raises(MaapError, match="table1: none of its runs is finished; .*--page-only"):
        read_tables(planned)
    for number, each in enumerate(planned[:1] + planned[3:]):
        leave(each, done=5)
        write_evaluation(each.run.folder, evaluation([0.25, 0.75][number]))
    leave(planned[1], done=2)
    (half,) = read_tables(planned)
    assert pages.table_lines(half)[2:] == [
        "| x | not in the paper | 25.0% | 25.0, not run |",
        "| y | not in the paper | 75.0% | not run, 75.0 |",
    ]
    none = table(of, half.results[:1], planned)
    lines = pages.table_lines(none)
    assert lines[3] == "| y | not in the paper | not run | not run, not run |"
    found = list(csv.DictReader(io.StringIO(cells_csv(none))))
    assert [row["seeds"] for row in found] == ["1", "0"] and found[1]["top1_mean"] == ""
    assert plot(none).startswith(b"\x89PNG")


def test_a_row_after_phase_1_takes_any_run_with_that_phase_1(tmp_path):
    before = Row("before", after="phase1")
    of = part([before, "roi", "reduce"])
    planned = [cell(tmp_path, row, of=of) for row in (before, "roi", "reduce")]
    leave(planned[2], done=5)
    write_evaluation(planned[2].run.folder, evaluation(0.75))
    (found,) = read_tables(planned)
    assert [line.split(" | ")[-1] for line in pages.table_lines(found)[2:]] == [
        "20.0% |", "not run |", "75.0% |",
    ]  # fmt: skip
    other = [dataclasses.replace(planned[0], phase1="another"), *planned[1:]]
    (found,) = read_tables(other)
    assert pages.table_lines(found)[2].endswith("| not run |")


def test_the_note_says_what_cannot_be_compared(tmp_path):
    of = dataclasses.replace(paper_part(3), seeds=(1,))
    made = [result(tmp_path, row, 1, 0.5, of=of) for row in of.rows]
    control = cell(tmp_path, of.rows[-1], of=of, variant="baseline", control=True)
    made[-1] = dataclasses.replace(made[-1], cell=control)
    said = "\n".join(notes.notes(table(of, made)))
    for words in (
        "PRCV 2018",
        "cannot be compared with ours on birds",
        "were not compared with the print",
        "without LAAP; ours are with it",
        "The control is that of table 1",
    ):
        assert words in said
    lines = pages.table_lines(table(of, made))
    assert lines[2].startswith(f"| {BEFORE} | 59.0% | ")
    assert lines[-1] == f"| {CONTROL} | not in the paper | 50.0% |"


def test_the_page_says_what_it_is_worth(tmp_path):
    found = result(tmp_path, "x", 1, 0.4, base_lr=0.01, phase2_lr=0.001)
    said = "\n".join(notes.notes(table(part("x"), [found])))
    for words in (
        "400 original test images of birds",
        "chance 25.0%",
        "up to 2.5 points",
        "a note",
        "random weights",
        "learning rate 0.01, then 0.001. Host",
        "one seed",
    ):
        assert words in said


def test_a_page_and_its_files(tmp_path):
    of = part([Row("x", note="a note of the row"), Row("y", against=["x"])], seeds=[1, 2])
    made = [cell(tmp_path / "runs", row, seed, of) for row in of.rows for seed in (1, 2)]
    for number, each in enumerate(made):
        leave(each, done=5)
        write_evaluation(each.run.folder, evaluation(0.1 * number))
    shown = pages.write_page(tmp_path / "docs" / "tables.md", made, HEAD)
    page = (tmp_path / "docs" / "tables.md").read_text()
    assert "`maap table 3`" in page and "(tables/table3.png)" in page
    assert all(line in page for line in shown)
    assert "| x | not in the paper | 5.0 ± 7.1% | 0.0, 10.0 |" in page
    assert '"x": a note of the row' in page
    assert sorted(path.name for path in (tmp_path / "docs" / "tables").iterdir()) == [
        "table3.csv", "table3.png", "table3_differences.csv", "table3_differences.png",
        "table3_runs.csv",
    ]  # fmt: skip
    assert "(tables/table3_differences.png)" in page
    assert "| y | x | whole images | +20.0 | +20.0 to +20.0 | 2 |" in page
    assert '"y" is higher than "x" by 20.0 points (95 % interval 20.0 to 20.0).' in page
    assert page.index("is higher than") < page.index("## Table 3")  # what came out stands first
    assert re.search(r"The 4 runs, with all that was measured, took \d", page)
    again = [line for line in page.splitlines() if line.startswith("maap train ")]
    assert again == [
        f"maap train alexnet --name alexnet-{row}-s1 --runs-dir {tmp_path}/runs --batch 8 "
        "--max-iter 100 --phase2-iter 50"
        for row in "xy"
    ]
    Run(made[0].run.folder).folder.joinpath("evaluation.json").write_text("{")
    with pytest.raises(MaapError, match=r"evaluation.json: missing or damaged.*--resume"):
        pages.write_page(tmp_path / "docs" / "tables.md", made, HEAD)
