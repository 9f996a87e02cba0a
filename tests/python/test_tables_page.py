"""How a study's tables read: means, figures of others, notes, and the page with its files."""

import csv
import dataclasses
import io
import math
import re
import statistics

import pytest
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.runs.evaluation import write_evaluation
from maap.runs.run import Run
from maap.study import figures as paper
from maap.study import notes
from maap.study import page as pages
from maap.study.cells import Head
from maap.study.definition import Row
from maap.study.plot import plot
from maap.study.results import Spread, paper_figure, read_tables
from maap.study.sheets import cells_csv
from study_fakes import (
    BEFORE,
    CONTROL,
    cell,
    evaluation,
    leave,
    paper_part,
    part,
    result,
    rows,
    table,
)

HEAD = Head("The paper's tables", "", "maap table 3")


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


def test_the_note_says_every_number_of_iterations(tmp_path):
    of = part("xyz")
    longer = dict(max_iter=1000000, phase2_iter=70, batch=4, phase2_lr=0.001)
    made = [
        result(tmp_path, "x", 1, 0.5, of=of, variant="laap", base_lr=0.01, phase2_iter=9),
        result(tmp_path, "y", 1, 0.5, of=of, base_lr=0.02, **longer),
        result(tmp_path, "z", 1, 0.5, of=of, base_lr=0.01, phase2_lr=0.002),
    ]
    said = "\n".join(notes.notes(table(of, made)))
    words = "from random weights, 100 or 1000000 iterations, then 70 or 50 on the rewritten images"
    rates = "learning rate 0.01 or 0.02, then 0.001 or 0.002"
    assert f"alexnet: {words} at most, batch 8 or 4, {rates}." in said


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
    host = "" if TrainConfig().host == "fork" else f" --host {TrainConfig().host}"
    assert again == [
        f"maap train alexnet --name alexnet-{row}-s1 --runs-dir {tmp_path}/runs --batch 8 "
        f"--max-iter 100 --phase2-iter 50{host}"
        for row in "xy"
    ]
    Run(made[0].run.folder).folder.joinpath("evaluation.json").write_text("{")
    with pytest.raises(MaapError, match=r"evaluation.json: missing or damaged.*--resume"):
        pages.write_page(tmp_path / "docs" / "tables.md", made, HEAD)


def test_differences_of_an_earlier_page_do_not_stay(tmp_path):
    """Rows that are compared no more have neither a file nor a picture of it."""
    for against in (["x"], []):
        of = part(["x", Row("y", against=against)], seeds=[1, 2])
        made = [cell(tmp_path / "runs", row, seed, of) for row in of.rows for seed in (1, 2)]
        for each in made:
            leave(each, done=5)
            write_evaluation(each.run.folder, evaluation(0.5))
        pages.write_page(tmp_path / "tables.md", made, HEAD)
        names = {path.name for path in (tmp_path / "tables").iterdir()}
        differing = {"table3_differences.csv", "table3_differences.png"}
        assert names & differing == (differing if against else set())


def test_differences_are_computed_once_a_page(tmp_path, monkeypatch):
    counted = []
    computed = pages.differences
    monkeypatch.setattr(pages, "differences", lambda table: counted.append(1) or computed(table))
    monkeypatch.setattr("maap.study.differences.differences", lambda table: pytest.fail("again"))
    of = part(["x", Row("y", against=["x"])], seeds=[1, 2])
    made = [cell(tmp_path / "runs", row, seed, of) for row in of.rows for seed in (1, 2)]
    for each in made:
        leave(each, done=5)
        write_evaluation(each.run.folder, evaluation(0.5))
    pages.write_page(tmp_path / "tables.md", made, HEAD)
    assert len(counted) == 1


def test_images_cut_to_the_true_boxes_have_a_column(tmp_path):
    of = part(["x"], seeds=[1, 2])
    made = [cell(tmp_path / "runs", "x", seed, of) for seed in (1, 2)]
    for each in made:
        leave(each, done=5)
        write_evaluation(each.run.folder, evaluation(0.5 + 0.1 * each.seed, cut=0.25))
    (found,) = read_tables(made)
    lines = pages.table_lines(found)
    assert "| alexnet: ours, images cut to the true box |" in lines[0]
    assert "| 65.0 ± 7.1% | 25.0 ± 0.0% | 65.0 ± 7.1% |" in lines[2]  # the fakes' box is the image
    assert "it is a ceiling" in notes.notes(found)[0]
