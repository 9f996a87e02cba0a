"""How long the runs of a study will take, from iterations timed here and now.

For every net (with and without Enhancement) that is still to be trained: two training iterations,
one forward pass of the rewrite net and one of the deploy net, each after one to warm up. Start-up,
snapshots and reports are not in it, and a phase that converges ends earlier. An iteration of N
ranks is taken to be N times that of one, which has the same cores; on GPUs, where each has its own,
as long. What their sums take is not in it.
"""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maap.attention.class_net import open_finder
from maap.config.fields import TrainConfig
from maap.data.feeder import Feeder
from maap.data.find import data_for
from maap.data.store import Dataset
from maap.host import loader
from maap.host.types import CaffeBlob
from maap.images.a_star import find_a_star
from maap.measure.classify import Classifier
from maap.runs.run import finder_of
from maap.runs.snapshots import weight_bytes, working_in
from maap.runs.stages import stage_list
from maap.study.cells import Cell, Planned, Step, trained
from maap.study.plan import set_up_aside
from maap.study.regions import unmeasured
from maap.study.scripts import unmade
from maap.training.work import Work
from maap.util.clock import best_seconds
from maap.util.progress import say
from maap.util.text import duration

TIMED = 2  # times, after one that does not count


@dataclass(frozen=True)
class Costs:
    """Seconds: of a training iteration, of one image rewritten, of one image classified; bytes of
    the weights."""

    iteration: float
    rewrite_image: float
    test_image: float
    weight_bytes: int


@dataclass(frozen=True)
class Sizes:
    """Images of the two splits; bytes of one image in grey levels; whether test images have true
    boxes, so that an evaluation also classifies them cut to boxes."""

    train: int
    test: int
    image_bytes: int
    boxed: bool = False


Part = tuple[str, float, float]  # what is done; its seconds; the bytes it leaves


def plan_lines(planned: Planned, steps: list[Step]) -> list[str]:
    """What would run and how long, as lines for people. Called in the child."""
    cells = planned.cells
    names = {cell.config.name for cell in trained(cells)}
    runs_dir = cells[0].config.runs_dir
    lines = [f"{len(names)} runs in {runs_dir}, {len(names) - len(steps)} of them finished"]
    lines += [f"left out: {each}" for each in planned.left_out]
    left = len(unmeasured(cells))
    more = f"; {left} measurements of regions, each about as long as an evaluation" if left else ""
    scripts = len(unmade(cells))
    more += f"; {scripts} trainings by scripts, whose time is not estimated" if scripts else ""
    if not steps:
        return [*lines, f"nothing is left to run{more}"]
    kinds = list(dict.fromkeys(_kind(step.cell) for step in steps))
    timed = {kind: _timed(kind, steps) for kind in kinds}
    seconds = space = 0.0
    for step in steps:
        parts = parts_of(step, *timed[_kind(step.cell)])
        lines.append(f"  {step.cell.config.name}: {_words(parts)}")
        seconds += sum(part[1] for part in parts)
        space += sum(part[2] for part in parts)
    lines += [_timing_line(kind, timed[kind][0], steps) for kind in timed]
    if any(step.cell.resolved.ranks > 1 for step in steps):
        lines.append(
            "an iteration of N ranks is counted as N of one (with GPUs, as one); the time of their "
            "sums is not estimated"
        )
    together = f"together about {duration(seconds)} and {space / 1e9:.1f} GB in {runs_dir}"
    lines.append(together + more)
    return lines


def parts_of(step: Step, costs: Costs, sizes: Sizes) -> list[Part]:
    """What is left of a run: the stages, their estimated seconds and bytes."""
    config, run = step.cell.resolved, step.cell.run
    stages = run.state().stages if run.exists else stage_list(config)
    donor = run.config().phase1_from if run.exists else step.phase1_from
    phases = sum(stage.kind == "train" for stage in stages)
    parts: list[Part] = []
    for stage in stages:
        if stage.done:
            continue
        if stage.kind == "train" and stage.number == 1 and donor:
            parts.append((f"phase 1 from {donor}", 0.0, 0.0))
        elif stage.kind == "train":
            left = _iterations(config, int(stage.number or 1)) - (stage.iteration or 0)
            parts.append(_training(stage.title, left * _turns(config), left, costs))
        elif stage.kind == "rewrite":
            parts.append(_rewriting(config, costs, sizes))
        elif stage.kind == "evaluation":
            finds = config.haap or (sizes.boxed and costs.rewrite_image > 0)
            passes = 1 + (sizes.boxed * 2 if finds else sizes.boxed)  # regions, true boxes
            each = passes * costs.test_image + (costs.rewrite_image if finds else 0.0)
            parts.append(("evaluation", phases * sizes.test * each, 0.0))
    return parts


def _iterations(config: TrainConfig, number: int) -> int:
    return int((config.max_iter if number == 1 else config.phase2_iter) or 0)


def _turns(config: TrainConfig) -> int:
    """Iterations of one rank that take as long as one of all ranks."""
    return config.ranks if config.gpu is None else 1


def _training(title: str, turns: int, iterations: int, costs: Costs) -> Part:
    kept = 2 * costs.weight_bytes  # the weights and the solver's history
    return f"{title}, {iterations} iterations", turns * costs.iteration, kept


def _rewriting(config: TrainConfig, costs: Costs, sizes: Sizes) -> Part:
    each = sizes.image_bytes * (
        1 if find_a_star(config.a_star).crops else 4
    )  # the others are float
    title = f"rewriting of {sizes.train} images"
    return title, sizes.train * costs.rewrite_image, each * sizes.train


def _words(parts: list[Part]) -> str:
    return "; ".join(f"{what} ({duration(s)})" if s else what for what, s, _ in parts)


# ---- timing -------------------------------------------------------------------------------------


def _kind(cell: Cell) -> tuple[str, bool]:
    return cell.net, cell.config.laap


def _timing_line(kind: tuple[str, bool], costs: Costs, steps: list[Step]) -> str:
    batch = next(step.cell.resolved.batch for step in steps if _kind(step.cell) == kind)
    name = Path(kind[0]).name + (" with LAAP" if kind[1] else "")
    text = f"timed just now: {name}, {costs.iteration:.3g} s an iteration of {batch} images"
    if costs.rewrite_image:
        text += f", {1e3 * costs.rewrite_image:.3g} ms an image rewritten"
    return text


def _timed(kind: tuple[str, bool], steps: list[Step]) -> tuple[Costs, Sizes]:
    """The costs of a net, timed with a run of it that rewrites, when there is one."""
    cells = [step.cell for step in steps if _kind(step.cell) == kind]
    cell = next((cell for cell in cells if cell.config.haap), cells[0])
    say(f"timing {Path(cell.net).name}{' with LAAP' if kind[1] else ''}")
    config, dataset = data_for(cell.config)
    costs = measure(config, dataset)
    gc.collect()
    counts = [dataset.manifest["splits"][name]["count"] for name in ("train", "test")]
    height, width = dataset.size
    boxed = any(record.box is not None for record in dataset.split("test").records)
    return costs, Sizes(*counts, 3 * height * width, boxed)


def measure(config: TrainConfig, dataset: Dataset) -> Costs:
    """The costs of one net's work, with real images of the data set."""
    with set_up_aside(config, dataset) as (run, resolved):
        weights = run.folder / "timing.caffemodel"
        iteration, size = _training_step(Work(run, resolved), weights)
        batch = int(resolved.batch or 1)
        classifier = Classifier(run.folder / "deploy.prototxt", weights, batch, resolved.gpu)
        test = best_seconds(classifier.net.forward, TIMED) / batch
        rewrite = 0.0
        net = finder_of(run.folder)
        if net is not None:
            finder = open_finder(net, weights, batch, resolved.gpu)
            images = np.random.RandomState(0).randn(batch, 3, *finder.size).astype(np.float32)
            rewrite = best_seconds(lambda: finder.find(images), TIMED) / batch
        return Costs(iteration, rewrite, test, size)


def _training_step(work: Work, weights: Path) -> tuple[float, int]:
    """Seconds of an iteration and bytes of the weights, which are saved to a file."""
    with working_in(work.run.folder / "phase1"):
        solver = work.caffe.get_solver("solver.prototxt")
    loader.keep_only(solver.net)
    settings = work.phase_settings(work.state.stages[0])
    feeder, blobs = settings.feed(0), solver.net.blobs
    solver.net.before_forward(lambda layer: layer or _fill(blobs, feeder))
    try:
        seconds = best_seconds(lambda: solver.step(1), TIMED)
    finally:
        feeder.close()
    solver.net.save(str(weights))
    return seconds, weight_bytes(solver.net)


def _fill(blobs: Mapping[str, CaffeBlob], feeder: Feeder) -> None:
    _, label = feeder.next(blobs["data"].data)
    blobs["label"].data[...] = label
