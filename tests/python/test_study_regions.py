"""The part of a study that measures regions: each choice once, kept with the run."""

import dataclasses
import os

import pytest
from maap.errors import MaapError
from maap.measure import command as measure_command
from maap.runs.evaluation import RegionFigures, RegionQuality, SizeQuality, write_evaluation
from maap.study import cost, plan
from maap.study.cells import Request
from maap.study.definition import Row
from maap.study.differences import findings
from maap.study.page import table_lines
from maap.study.regions import measure_all, unmeasured
from maap.study.results import read_tables
from study_fakes import cell, evaluation, leave, part


@pytest.fixture
def region_part(tmp_path):
    """Cells of a part that measures regions, of two runs that seem to be finished."""
    rows = [
        Row("paper's", against=["whole"]),
        Row("map", {"threshold_at": "map"}, against=["paper's"]),
        Row("whole", reference="whole"),
    ]
    of = part(rows, seeds=[1, 2], name="regions", paper=None, measure="regions")
    cells = []
    for seed in (1, 2):
        for row in rows:
            made = cell(tmp_path, Row("one"), seed, of, variant="laap")
            cells.append(dataclasses.replace(made, row=row, region=row.settings))
        leave(made, done=3)
        write_evaluation(made.run.folder, evaluation(0.5))
    return cells


def quality(iou):
    """Regions that fit large objects better than small ones."""
    found, other = RegionFigures(iou, 0.9, 0.3), RegionFigures(0.24, 1.0, 1.0)
    references = dict(whole=other, centred_half=other)
    sizes = [
        SizeQuality(start, end, 5, **vars(dataclasses.replace(found, mean_iou=value)), **references)
        for start, end, value in ((0.0, 0.1, 0.1), (0.1, 0.25, 0.3), (0.25, 1.0, 0.7))
    ]
    return RegionQuality(10, 0, 10, **vars(found), **references, by_size=sizes)


@pytest.fixture
def measured(monkeypatch):
    """What the evaluation is asked for, each time it is; a run's IoU grows with its seed."""
    asked = []

    def region_quality(request):
        asked.append(request)
        more = 0.1 if request.threshold_at == "map" else 0.0
        return quality(0.4 + more + 0.01 * (request.run == "alexnet-one-s2"))

    def region_qualities(requests):
        assert len({request.run for request in requests}) == 1  # one net at a time
        return [region_quality(request) for request in requests]

    monkeypatch.setattr(measure_command, "region_qualities", region_qualities, raising=False)
    return asked


def test_each_choice_is_measured_once_and_kept(region_part, measured):
    left = unmeasured(region_part)
    assert len(left) == 4  # the paper's choice and one more, of two runs
    measure_all(left[:1])
    assert len(unmeasured(region_part)) == 3
    measure_all(unmeasured(region_part))
    assert len(measured) == 4 and unmeasured(region_part) == []
    assert {request.phase for request in measured} == {1}
    weights = region_part[0].run.folder / "phase1" / "final.caffemodel"
    weights.write_text("others")
    os.utime(weights, ns=(1, 1))
    assert len(unmeasured(region_part)) == 2  # of these weights nothing is known


def test_rows_of_the_same_maps_are_measured_together(region_part, measured, capsys):
    measure_all(unmeasured(region_part))
    said = capsys.readouterr().out.splitlines()
    assert said == [
        'regions [1 of 4]: "paper\'s" and 1 more in the same maps, run alexnet-one-s1',
        'regions [3 of 4]: "paper\'s" and 1 more in the same maps, run alexnet-one-s2',
    ]


def test_the_page_of_regions(region_part, measured, tmp_path):
    measure_all(unmeasured(region_part))
    (table,) = read_tables(region_part)
    lines = table_lines(table)
    assert lines[0].startswith("|  | alexnet: mean IoU | alexnet: centre hit |")
    assert lines[2].startswith("| paper's | 0.405 ± 0.007 | 90.0 ± 0.0% |")
    assert "| 0.100 ± 0.000 | 0.300 ± 0.000 | 0.700 ± 0.000 |" in lines[2]
    assert "| 0.240 ± 0.000 | 0.240 ± 0.000 | 0.240 ± 0.000 |" in lines[4]
    assert lines[3].startswith("| map | 0.505 ± 0.007 |")
    assert lines[4].startswith("| whole | 0.240 ± 0.000 | 100.0 ± 0.0% |")
    (said,) = findings([table])
    assert said.startswith("Mean IoU with the true boxes:\n\n- ")
    assert '"map" is higher than "paper\'s" by 0.100 (95 % interval 0.100 to 0.100)' in said
    commands = {cell.row.label: cost.command(cell) for cell in region_part if cell.seed == 1}
    where = f"--phase 1 --runs-dir {tmp_path}"
    assert commands["paper's"].endswith(f" && maap evaluate alexnet-one-s1 {where}")
    assert commands["map"].endswith(f" && maap evaluate alexnet-one-s1 {where} --threshold-at map")


def test_regions_that_were_not_measured_are_not_shown(region_part, measured):
    with pytest.raises(MaapError, match="regions: none of its runs is finished"):
        read_tables(region_part)
    measure_all(unmeasured(region_part)[:1])
    (table,) = read_tables(region_part)
    assert "not run" in table_lines(table)[3] and "0.400, not run" in table_lines(table)[2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"padding": 99.0}, "setting padding: 99.0; give 0 to 10"),
        ({"threshold_fraction": 0.3}, "threshold_fraction is for threshold fraction"),
        ({"connectivity": 5}, "setting connectivity: 5 is none of 4, 8"),
        ({"attention": "cam", "attention_layer": "relu5"}, "--attention-layer relu5: the map of"),
        ({"attention_layer": "nope"}, "no layer 'nope'"),
        ({}, "regions: no test image of .* has a true box"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_training(
    mini_images, private_cache, tmp_path, settings, said
):
    of = part([Row("one", settings)], name="regions", paper=None, measure="regions")
    given = {"data": str(mini_images), "runs_dir": str(tmp_path), "variant": "laap"}
    with pytest.raises(MaapError, match=said) as error:
        plan.planned(Request([dataclasses.replace(of, settings=given)]))
    assert str(error.value).startswith("regions") and list(tmp_path.glob("*/state.json")) == []


def test_a_run_is_set_up_once_a_net_however_many_rows_there_are(
    mini_images, private_cache, tmp_path, monkeypatch
):
    """The rows' own nets are only resolved. One without true boxes ends the plan, behind them."""
    counted = []
    set_up = plan.set_up
    monkeypatch.setattr(plan, "set_up", lambda *words: counted.append(1) or set_up(*words))
    rows = [Row(str(n), {"padding": n / 10}) for n in range(5)]
    of = part(rows, seeds=[1, 2], name="regions", paper=None, measure="regions")
    given = {"data": str(mini_images), "runs_dir": str(tmp_path), "variant": "laap"}
    with pytest.raises(MaapError, match="has a true box"):
        plan.planned(Request([dataclasses.replace(of, settings=given)]))
    assert len(counted) == 1


def test_a_data_set_is_looked_up_once_for_all_cells(
    mini_images, private_cache, tmp_path, monkeypatch
):
    """Looking it up says its warnings."""
    asked = []
    data_for = plan.data_for
    monkeypatch.setattr(plan, "data_for", lambda config: asked.append(1) or data_for(config))
    rows = [Row("one", {"variant": "laap"}), Row("two", {"variant": "baseline"})]
    given = {"data": str(mini_images), "runs_dir": str(tmp_path)}
    of = dataclasses.replace(part(rows, seeds=[1, 2], name="x", paper=None), settings=given)
    assert len(plan.planned(Request([of, of])).cells) == 8 and len(asked) == 1
