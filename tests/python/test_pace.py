"""How long a table will take, on a clock that the test sets."""

import dataclasses

import pytest
from maap.config.fields import TrainConfig
from maap.study import pace
from maap.study.cells import Cell, Step
from maap.study.definition import Part, Row

CONFIG = TrainConfig(variant="maap", max_iter=100, phase2_iter=50, batch=8, iter_size=1)


def step(net="alexnet", phase1_from=None, **settings):
    config = dataclasses.replace(CONFIG, net=net, **settings)
    row = Row("row")
    return Step(Cell(Part("table3", "", [row]), row, net, 1, config, config, "hash"), phase1_from)


@pytest.mark.parametrize(
    ("settings", "phase1_from", "count"),
    [
        ({}, None, 150 * 8),
        ({}, "other", 50 * 8),
        (dict(rounds=3), None, 250 * 8),
        (dict(variant="laap"), None, 100 * 8),
        (dict(variant="laap"), "other", 0),
        (dict(haap_mode="online", iter_size=2), None, 150 * 16),
        (dict(variant="baseline", control=True), None, 150 * 8),
    ],
)
def test_images_of_a_run(settings, phase1_from, count):
    made = step(**settings)
    assert pace.images(made.cell.resolved, phase1_from) == count


def test_the_time_to_the_end_comes_from_the_runs_before(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock[0])
    runs = [step(), step(phase1_from="a"), step(phase1_from="a"), step("vgg19"), step("vgg19")]
    table = pace.Pace(runs)

    def do(seconds, whole=True):
        table.begin()
        clock[0] += seconds
        table.end(whole)

    assert table.left() == ""
    do(300)  # 1,200 images
    # Two runs of 400 images each.
    assert (
        table.left() == "; about 3 min 20 s to the end, and 2 runs of nets that were not timed yet"
    )
    do(20, whole=False)  # most of it was done before
    assert table.left().startswith("; about 1 min 40 s")
    do(100)
    assert table.left() == ""  # nothing is known of the other net
    do(3600)
    assert table.left() == "; about 1 h 00 min to the end"
    do(3600)
    assert table.left() == ""


def test_a_slower_machine_shows(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: clock[0])
    table = pace.Pace([step(), step(), step()])
    for seconds, left in ((60, "2 min 00 s"), (180, "2 min 00 s")):
        table.begin()
        clock[0] += seconds
        table.end(True)
        assert left in table.left()
