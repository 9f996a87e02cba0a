"""Rows of a study that make no sense for a net: left out with the reason, and all others run."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from maap.errors import MaapError, NotForNet
from maap.runs.evaluation import write_evaluation
from maap.study import notes, plan
from maap.study import page as pages
from maap.study.cells import Head, LeftOut, Planned, Request
from maap.study.definition import Row, Script
from maap.study.plot import plot
from maap.study.results import read_tables
from maap.study.runner import StudyRuns
from maap.study.timing import plan_lines
from study_fakes import cell, evaluation, leave, part

TINY = Path(__file__).resolve().parents[1] / "nets" / "tiny"
WHY = "its scores are no linear function of the mean of a map, so there is no class activation map"


@pytest.fixture
def planned(boxed, private_cache, tmp_path):
    """planned(rows, nets): what a part of these rows consists of."""

    def make(rows, nets=(str(TINY),), **more):
        given = {"data": str(boxed), "runs_dir": str(tmp_path / "runs"), "batch": 2}
        given["from_scratch"] = True  # SqueezeNet's own weights would be fetched
        given.update({"variant": "laap"} if "measure" in more else {})
        of = part(rows, nets, [1, 2], name="one", paper=None, **more)
        return plan.planned(Request([dataclasses.replace(of, settings=given)]))

    return make


def made(found):
    """(net, row) of the cells, each once."""
    return list(dict.fromkeys((Path(each.net).name, each.row.label) for each in found.cells))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"variant": "maap", "attention": "cam"}, WHY),
        ({"attention_layer": "fire5/concat"}, "no layer 'fire5/concat'"),
        ({"variant": "maap", "attention_layer": "fc3"}, "numbers for an image, no map"),
        ({"variant": "baseline", "dropout_after": "relu9"}, "Dropout after a layer relu9"),
        ({"variant": "haap", "border": 50}, "border: 50 is too large for the map of"),
        ({"crop_size": 8}, "cannot take an input of 8: layer pool2 would have to make"),
    ],
)
def test_only_that_row_is_left_out(planned, settings, why):
    found = planned([Row("odd", settings), Row("plain", {"variant": "laap"})])
    assert [(each.row.label, each.seed) for each in found.cells] == [("plain", 1), ("plain", 2)]
    (left,) = found.left_out
    assert (left.row.label, left.net) == ("odd", str(TINY)) and why in left.why
    assert str(left).startswith('one, row "odd", tiny: ') and left.why in str(left)


def test_another_net_may_have_the_row(planned):
    rows = [Row("plain", {"variant": "baseline"}), Row("cam", {"attention": "cam"})]
    found = planned(rows, [str(TINY), "squeezenet"])
    assert made(found) == [("tiny", "plain"), ("squeezenet", "plain"), ("squeezenet", "cam")]
    (left,) = found.left_out
    assert str(left).endswith("give --attention grad_cam, which works for any net")
    assert "give --attention" not in left.why


def test_a_net_folder_without_some_files_has_the_other_rows(planned, tmp_path):
    """LAAP needs files of its own, and rewriting a net that finds regions."""
    folder = tmp_path / "half"
    shutil.copytree(TINY, folder)
    for file in ("train_val_laap", "rewrite"):
        (folder / f"{file}.prototxt").unlink()
    rows = [Row(name, {"variant": name}) for name in ("baseline", "laap", "haap")]
    found = planned(rows, [str(folder)])
    assert made(found) == [("half", "baseline")]
    assert ["train_val_laap" in found.left_out[0].why, "rewrite" in found.left_out[1].why] == [
        True, True,
    ]  # fmt: skip


def test_a_mistake_that_has_nothing_to_do_with_the_net_ends_the_study(planned):
    rows = [Row("plain", {"variant": "laap"}), Row("both", {"attention": "cam", "border": -1})]
    with pytest.raises(MaapError, match="setting border: -1") as error:
        planned(rows)
    assert not isinstance(error.value, NotForNet)


def test_without_any_row_there_is_no_study(planned):
    rows = [Row("cam", {"attention": "cam"}), Row("far", {"border": 50})]
    with pytest.raises(MaapError, match='one, row "cam", tiny: .*; nor can any other row be made'):
        planned(rows)
    with pytest.raises(MaapError, match="which works for any net$"):
        planned(rows[:1])


def test_regions_are_found_by_the_rows_that_can(planned, tmp_path):
    rows = [
        Row("paper's"), Row("fire5", {"attention_layer": "fire5/concat"}),
        Row("padding", {"padding": 0.1}), Row("whole", reference="whole"),
    ]  # fmt: skip
    found = planned(rows, measure="regions")
    assert [label for _, label in made(found)] == ["paper's", "padding", "whole"]
    assert "no layer 'fire5/concat'" in found.left_out[0].why
    folder = tmp_path / "half"
    shutil.copytree(TINY, folder)
    (folder / "rewrite_laap.prototxt").unlink()
    found = planned(rows, [str(TINY), str(folder)], measure="regions")
    assert {net for net, _ in made(found)} == {"tiny"}
    of_half = [each.why for each in found.left_out if each.net == str(folder)]
    assert len(of_half) == 4 and set(of_half) == {
        "net half: it has no rewrite net, which finds regions"
    }


def test_a_script_that_cannot_do_a_net(planned, tmp_path):
    file = tmp_path / "other.py"
    file.write_text("STUDY_NETS = ('squeezenet',)\n\n\ndef study_row(data, weights, seed): ...\n")
    rows = [Row("plain", {"variant": "baseline"}), Row("script", script=Script(str(file)))]
    found = planned(rows, [str(TINY), "squeezenet"])
    assert made(found) == [("tiny", "plain"), ("squeezenet", "plain"), ("squeezenet", "script")]
    assert found.left_out[0].why == f"script {file} can do squeezenet and no other net"
    file.write_text("def study_row(data, weights, seed): ...\n")
    with pytest.raises(MaapError, match='row "cam", tiny: .*; nor can any other row be made'):
        planned([Row("cam", {"attention": "cam"}), rows[1]])


# ---- what is said of it -------------------------------------------------------------------------


@pytest.fixture
def half(tmp_path):
    """A part with two nets of which one does without a row, finished; a part without any cell."""
    rows = [Row("plain"), Row("cam", against=["plain"])]
    of = part(rows, ("alexnet", "squeezenet"), [1, 2], name="first", paper=None)
    nets = [("plain", "alexnet"), ("plain", "squeezenet"), ("cam", "squeezenet")]
    cells = [
        cell(tmp_path, of.row(label), seed, of, net=net) for label, net in nets for seed in (1, 2)
    ]
    for each in cells:
        leave(each, done=5)
        write_evaluation(each.run.folder, evaluation(0.5))
    none = part([Row("cam alone")], ("alexnet",), name="second", paper=None)
    text = f"{WHY}; a fix"
    left = [LeftOut(of, rows[1], "alexnet", WHY + " | a pipe", text)]
    return Planned(cells, [*left, LeftOut(none, none.rows[0], "alexnet", WHY, text)])


def test_the_table_says_why(half):
    (table,) = read_tables(half.cells, half.left_out)
    assert table.whole
    row = pages.table_lines(table)[3]
    said = f"not for this net: {WHY} \\| a pipe"
    assert row == f"| cam | {said} |  | 50.0 ± 0.0% | 50.0, 50.0 |"
    assert pages.differences(table)[0].net == "squeezenet" and len(pages.differences(table)) == 1
    assert plot(table) != plot(dataclasses.replace(table, not_for={}))  # "not run" stands there


def test_a_net_without_any_row_has_no_numbers(half):
    of_one = [each for each in half.cells if each.net == "squeezenet"]
    (table,) = read_tables(of_one, half.left_out)
    said = "\n".join(notes.notes(table))
    assert "squeezenet: from random weights" in said and "alexnet: " not in said


def test_the_page_has_a_part_without_cells(half, tmp_path):
    path = tmp_path / "page.md"
    shown = pages.write_page(path, half.cells, Head("Title", "", "maap study x"), half.left_out)
    page = path.read_text()
    assert '## Table d: made up\n\n- "cam alone" is not for alexnet: ' + WHY in page
    assert all(line in page for line in shown) and any("cam alone" in line for line in shown)


def test_the_plan_and_the_log_say_it(half, capsys, monkeypatch):
    said = [
        f'left out: first, row "cam", alexnet: {WHY}; a fix',
        f'left out: second, row "cam alone", alexnet: {WHY}; a fix',
    ]
    assert plan_lines(half, [])[1:3] == said
    work = StudyRuns(None, False, "maap study x")
    monkeypatch.setattr(work, "call", lambda *_: (half, []))
    assert work.run_all(Request([])) is half
    assert capsys.readouterr().out.splitlines()[1:3] == said
