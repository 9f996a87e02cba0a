"""Top-5 is shown where it can be wrong: with more than five classes."""

import dataclasses
import json

import pytest
from maap.measure import tables
from maap.measure.result import Measured
from maap.report import compare
from maap.report import page as report
from maap.runs.evaluation import ClassAccuracy, shown_shares, write_evaluation
from made_up import evaluation
from test_compare import make_run
from test_report import Page, run_folder  # noqa: F401  a fixture


@pytest.mark.parametrize(
    "classes, said", [(2, "top-1 50.0%"), (5, "top-1 50.0%"), (6, "top-1 50.0%, top-5 90.0%")]
)
def test_the_shares_as_text(classes, said):
    assert shown_shares(0.5, 0.9, classes) == said


def of_classes(count):
    found = evaluation([0.5, 0.6])
    names = [f"class {n}" for n in range(count)]
    return dataclasses.replace(found, data=dataclasses.replace(found.data, classes=names))


@pytest.mark.parametrize("classes, shown", [(5, "-"), (6, "90.0%")])
def test_in_a_comparison(tmp_path, classes, shown):
    run = make_run(tmp_path, "a")
    write_evaluation(run.folder, of_classes(classes))
    table = compare.results([compare.story(run)])
    assert dict(zip(table.head, table.rows[0]))["top-5"].replace("\N{EN DASH}", "-") == shown


@pytest.mark.parametrize("classes", [3, 6])
def test_in_a_report(run_folder, classes):  # noqa: F811  the fixture
    path = run_folder / "evaluation.json"
    found = json.loads(path.read_text())
    names = found["data"]["classes"] = [f"class {n}" for n in range(classes)]
    for phase in found["phases"]:
        phase["per_class"] = [{"class": name, "count": 1, "top1": 1.0} for name in names]
        phase["confusion"] = [[int(a == b) for a in names] for b in names]
        phase["top5"] = 0.91
    path.write_text(json.dumps(found))
    report.write_report(run_folder)
    source = (run_folder / "report.html").read_text()
    Page(source)
    assert ("top-5" in source) == ("91.0" in source) == ("83.3" in source) == (classes == 6)


@pytest.mark.parametrize("classes", [5, 6])
def test_in_the_lines_of_an_evaluation(classes):
    names = [f"class {n}" for n in range(classes)]
    phase = evaluation([0.5]).last
    rated = dataclasses.replace(
        phase,
        per_class=[ClassAccuracy(name, 1, 0.5) for name in names],
        confusion=[[0] * classes] * classes,
    )
    split = type("Split", (), dict(classes=names))
    first = tables.lines(Measured(rated, [], None, None), split)[0]
    top5 = ", top-5 90.0%" if classes == 6 else ""
    assert first == f"top-1 50.0%{top5} (centre crop; chance {1 / classes:.1%})"
