"""Parts, cells and results of studies that nothing ran."""

import dataclasses

import made_up
from maap.config.fields import TrainConfig
from maap.runs.evaluation import CroppedAccuracy, Shares
from maap.runs.stages import results, stage_list
from maap.runs.state import RunState
from maap.study import plan
from maap.study.cells import Cell
from maap.study.definition import Part, Row
from maap.study.figures import PaperNote
from maap.study.reading import find_study
from maap.study.results import Result, Table

PAPER = PaperNote("He and Peng, PRCV 2018", "top-1 on CUB", "CUB-200-2011", "transcribed")

BEFORE = "before rewriting (phase 1: LAAP alone)"
CONTROL = "control: baseline, phase 2 on the original images"


def paper_part(number):
    """The part of the paper's table of that number."""
    (found,) = find_study(f"table{number}").parts
    return found


def rows(number):
    return list(paper_part(number).rows)


def part(rows, nets=("alexnet",), seeds=(1,), name="table3", paper=PAPER, **more):
    """A part; a row is its label, or a Row."""
    made = [row if isinstance(row, Row) else Row(row) for row in rows]
    return Part(name, f"Table {name[-1]}: made up", made, nets, seeds, paper=paper, **more)


def cell(runs, row, seed=1, of=None, phase1=None, net="alexnet", **settings):
    """A cell without a net behind it; rows of one seed share phase 1."""
    row = row if isinstance(row, Row) else Row(row)
    name = f"{net.rsplit('/')[-1]}-{row.label}-s{seed}"
    values = dict(variant="maap", max_iter=100, phase2_iter=50, batch=8, net=net, seed=seed)
    config = TrainConfig(name=name, runs_dir=str(runs), **dict(values, **settings))
    of = part([row]) if of is None else of
    return Cell(of, row, net, seed, config, config, phase1 or f"{net}{seed}")


def leave(cell, done, **stage1):
    """The folder of a run with the first ``done`` stages behind it."""
    run, stages = cell.run, stage_list(cell.config)
    names = plan._set_up_files(run, stages)
    for stage in stages[:done]:
        stage.status = "done"
        names += results(stage)
    stages[0] = dataclasses.replace(stages[0], **stage1)
    for name in names:
        (run.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (run.folder / name).write_text("x")
    run.write_state(RunState(stages=stages))
    run.write_config(cell.config)


def evaluation(top1, cut=None):
    """An evaluation of two phases; ``cut``: top-1 on images cut to the region found."""
    found = made_up.evaluation([0.2, top1])
    if cut is None:
        return found
    whole = Shares(top1, 0.9)
    cropped = CroppedAccuracy(n=400, whole=whole, true_box=whole, region=Shares(cut, 0.9))
    last = dataclasses.replace(found.phases[1], cropped=cropped)
    return dataclasses.replace(found, phases=[found.phases[0], last])


def result(runs, row, seed, top1, net="alexnet", cut=None, of=None, **more):
    """What a run found."""
    values = {"top1": top1} if cut is None else {"top1": top1, "cut": cut}
    made = cell(runs, row, seed, net=net, of=of, **more)
    return Result(made, values, evaluation(top1, cut), 0.9, 0.2, (7, 7), None)


def table(of, found, cells=None):
    """A table whose cells are those of the results, or more."""
    return Table(of, found, [each.cell for each in found] if cells is None else cells)
