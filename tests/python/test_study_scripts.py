"""Rows of a study that a script makes: made once, kept, shown beside those of runs."""

import csv
import dataclasses
import io
import json

import pytest
from maap.errors import MaapError
from maap.runs.evaluation import write_evaluation
from maap.study import cost, plan, scripts
from maap.study.cells import Request, ScriptRun, trained
from maap.study.definition import Row, Script
from maap.study.differences import differences
from maap.study.page import table_lines
from maap.study.results import read_tables
from maap.study.scripts import make, read_result, unmade
from maap.study.sheets import runs_csv
from study_fakes import cell, evaluation, leave, part

TEXT = """
STUDY_FILES = ()
STUDY_NETS = ("alexnet",)


def study_row(data, weights, seed, rate=1):
    with open(data / "calls", "a") as calls:
        print(weights, seed, rate, file=calls)
    return {"top1": 0.5 + 0.1 * seed, "cut": 0.25, "more": [seed]}
"""


@pytest.fixture
def script(tmp_path):
    """A script that notes each call in a file."""
    (tmp_path / "other.py").write_text(TEXT)
    return Script(str(tmp_path / "other.py"), {"rate": 3})


@pytest.fixture
def cells(tmp_path, script):
    """Two rows with two seeds: runs that seem to be finished, and the script's."""
    rows = [Row("run"), Row("other", script=script, against=["run"])]
    of = part(rows, seeds=[1, 2], name="both", paper=None)
    found = []
    for seed in (1, 2):
        run = cell(tmp_path / "runs", rows[0], seed, of)
        leave(run, done=5)
        write_evaluation(run.run.folder, evaluation(0.4))
        given = ScriptRun(script.file, str(tmp_path), None, None)
        made = cell(tmp_path / "runs", rows[1], seed, of)
        found += [run, dataclasses.replace(made, script=given)]
    return found


def calls(tmp_path):
    path = tmp_path / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_each_is_made_once_and_kept(cells, tmp_path):
    assert [each.seed for each in unmade(cells)] == [1, 2] and len(trained(cells)) == 2
    make(cells[1])
    assert calls(tmp_path) == ["None 1 3"] and [each.seed for each in unmade(cells)] == [2]
    found = read_result(cells[1])
    assert found.values == {"top1": 0.6, "cut": 0.25} and found.seconds >= 0
    (path,) = (tmp_path / "runs" / "scripts").iterdir()
    kept = json.loads(path.read_text())
    assert kept["found"]["more"] == [1] and kept["options"] == {"rate": 3} and kept["seed"] == 1
    path.write_text(path.read_text()[:40])  # a damaged file is no result
    assert read_result(cells[1]) is None and [each.seed for each in unmade(cells)] == [1, 2]


def test_the_page_shows_it_beside_runs(cells, tmp_path):
    (table,) = read_tables(cells)
    assert "not run, not run" in table_lines(table)[3] and not table.whole
    for each in unmade(cells):
        make(each)
    (table,) = read_tables(cells)
    assert table.whole and table.evaluation.data.name == "birds"
    assert table_lines(table)[3] == "| other | 65.0 ± 7.1% | 25.0 ± 0.0% | 60.0, 70.0 |"
    (one,) = [each for each in differences(table) if each.column.key == "top1"]
    assert one.by_seed == pytest.approx({1: 0.2, 2: 0.3})
    rows = list(csv.DictReader(io.StringIO(runs_csv(table))))
    assert [row["top1"] for row in rows] == ["0.4", "0.6", "0.4", "0.7"]
    file = cells[1].row.script.file
    assert rows[3]["command"] == f"./maap python {file} demo none --seeds 2 --rate 3"
    assert "The 2 runs and 2 trainings by scripts" in cost.time_spent(cells)
    run = next(each for each in cells if each.script is None).run
    state = run.state()
    state.stages[-1].status = "running"
    run.write_state(state)
    assert "The 1 runs and 2 trainings by scripts" in cost.time_spent(cells)


def test_without_any_run_there_is_no_page(cells):
    make(cells[1])
    with pytest.raises(MaapError, match="both: none of its runs is finished"):
        read_tables([each for each in cells if each.script])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('too few')", 'row "other", seed 1: .*other.py: ValueError: too few'),
        ("return 0.5", "study_row returned 0.5; return a dict with top1"),
        ("return {'top1': 50.0}", "top1 is 50.0; give a share from 0 to 1"),
        ("return {'top1': 'x'}", "top1 is 'x'; give a share"),
        ("return {'top1': float('nan')}", "top1 is nan; give a share"),
    ],
)
def test_a_script_that_fails_is_named_and_leaves_nothing(cells, tmp_path, body, said):
    (tmp_path / "other.py").write_text(f"def study_row(data, weights, seed, rate):\n    {body}\n")
    with pytest.raises(MaapError, match=said):
        make(cells[1])
    assert len(unmade(cells)) == 2


def test_what_is_no_script(tmp_path):
    with pytest.raises(MaapError, match="script nope.py: no such file here.*checkout of maap"):
        scripts.find_script(Script("nope.py"))
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(MaapError, match="empty.py: no function study_row"):
        scripts.loaded(tmp_path / "empty.py")
    (tmp_path / "wrong.py").write_text("1 / 0")
    with pytest.raises(MaapError, match="wrong.py: ZeroDivisionError"):
        scripts.loaded(tmp_path / "wrong.py")


def test_the_name_changes_with_all_that_the_result_depends_on(script, tmp_path):
    content = {"data": "a", "weights": "b"}

    def name(script=script, content=content, net="alexnet", seed=1):
        return scripts.result_name(script, content, net, "birds", seed)

    first = name()
    assert first.startswith("other-3-alexnet-birds-s1-") and name() == first
    names = [first, name(seed=2), name(Script(script.file, {"rate": 4})), name(net="a/vgg19")]
    names.append(name(content={"data": "c", "weights": "b"}))
    (tmp_path / "other.py").write_text(TEXT + "\n")
    names.append(name())
    assert len(set(names)) == len(names)
    (tmp_path / "other.py").write_text("STUDY_FILES = ['gone.py']\n" + "def study_row(): pass\n")
    with pytest.raises(MaapError, match="other.py: STUDY_FILES: gone.py: No such file"):
        name()


def test_a_study_s_cells_give_a_script_its_data_and_weights(
    mini_images, private_cache, tmp_path, script
):
    rows = [Row("run", {"variant": "laap"}), Row("other", script=script)]
    of = part(rows, ("alexnet", "vgg19"), name="both", paper=None)
    given = {"data": str(mini_images), "runs_dir": str(tmp_path), "batch": 2}
    found = plan.planned(Request([dataclasses.replace(of, settings=given)])).cells
    assert [(each.net, each.row.label) for each in found] == [
        ("alexnet", "run"), ("alexnet", "other"), ("vgg19", "run"),
    ]  # fmt: skip
    one = found[1]
    assert one.script.file == script.file and one.script.weights is None
    assert (tmp_path / one.script.data / "manifest.json").is_file()
    assert [step.cell.row.label for step in plan.steps(trained(found))] == ["run", "run"]
