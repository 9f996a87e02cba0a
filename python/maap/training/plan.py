"""What a run is going to do, and how long that will take.

A `Plan` is made of the stages that are not done. Its unit of work is one image through one forward
and backward pass; how many units the other stages cost for an image is fixed here, and how long a
unit takes is measured while the run trains. So every time that it says comes from this machine's
speed; where nothing was measured yet, it says none.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from maap.config.fields import TrainConfig
from maap.runs.state import Stage
from maap.util.progress import Task
from maap.util.text import duration

# Units that an image costs. A forward pass is a third of forward and backward.
FORWARD = 1 / 3
REWRITE = 1.2 * FORWARD  # bench/rewrite.py
ONLINE = 1.2  # an iteration that rewrites its own batch (bench/online.py)
# What a stage costs besides its images, as measured for AlexNet on the demo set.
SET_UP = 100.0  # a phase's net, solver and first batches
LOOKING = 350.0  # evaluation's nets, and its pictures of what they see
REPORT = 10.0

# The first iterations are slower: buffers are made, plans are chosen.
WARMING = 2
MEASURED = (5, 3.0)  # what the first estimate needs: iterations, seconds


@dataclass(frozen=True)
class Counts:
    """What of the data set decides how much work a run is."""

    train: int  # images
    test: int
    boxes: bool  # whether test images have true boxes
    regions: bool = False  # whether a run that rewrites nothing has a net that finds regions


@dataclass(frozen=True)
class Step:
    """A stage that is to be done: its title, what it is in words, and its work in units.

    ``per`` is the units of an iteration (kind "train") or of an image.
    """

    name: str
    title: str
    what: str
    units: float
    per: float


def steps(config: TrainConfig, counts: Counts, stages: Sequence[Stage]) -> list[Step]:
    """The steps of those stages of a run that are not done; its settings are resolved."""
    phases = sum(stage.kind == "train" for stage in stages)
    made = []
    for stage in stages:
        if stage.done:
            continue
        if stage.kind == "train":
            made.append(_training(config, counts, stage))
        elif stage.kind == "rewrite":
            work = counts.train * REWRITE
            made.append(Step(stage.name, stage.title, f"{counts.train} images", work, REWRITE))
        elif stage.kind == "evaluation":
            made.append(_evaluation(config, counts, stage, phases))
        else:
            made.append(Step(stage.name, stage.title, "", REPORT, REPORT))
    return made


def speed_so_far(config: TrainConfig, stages: Sequence[Stage]) -> Optional[float]:
    """Units a second in the iterations that a run has done already; None: it has done none."""
    work, seconds = 0.0, 0.0
    for stage in stages:
        if stage.kind == "train" and stage.iteration and stage.shared_from is None:
            work += stage.iteration * _per_iteration(config, stage)
            seconds += stage.seconds
    return work / seconds if work and seconds else None


def _per_iteration(config: TrainConfig, stage: Stage) -> float:
    return config.images_per_iteration * (ONLINE if config.online and stage.number != 1 else 1.0)


def _training(config: TrainConfig, counts: Counts, stage: Stage) -> Step:
    first = stage.number == 1
    if first and config.phase1_from is not None:
        return Step(stage.name, stage.title, f"taken from {config.phase1_from}", 0.0, 1.0)
    total = (config.max_iter if first else config.phase2_iter) or 0
    left = max(total - (stage.iteration or 0), 0)
    per = _per_iteration(config, stage)
    work = SET_UP + left * per
    if config.test_interval:
        work += left // config.test_interval * counts.test * FORWARD
    most = "at most " if config.converge_fraction else ""
    more = "more " if stage.iteration else ""
    what = f"{most}{left} {more}iterations of {config.images_per_iteration} images"
    return Step(stage.name, stage.title, what, work, per)


def _evaluation(config: TrainConfig, counts: Counts, stage: Stage, phases: int) -> Step:
    """Each phase: whole images and, where there are boxes, cut to them; with a net that finds them
    the regions, and images cut to those."""
    finds = config.haap or (counts.boxes and counts.regions)
    passes = (1 + counts.boxes) * (2 if finds else 1)
    work = LOOKING + phases * passes * counts.test * FORWARD
    return Step(stage.name, stage.title, f"{counts.test} images", work, FORWARD)


class Plan:
    """The steps of a run, with the speed that was measured so far."""

    def __init__(self, todo: Sequence[Step], speed: Optional[float] = None) -> None:
        self.todo = list(todo)
        self.speed = speed  # units a second; None: not known yet
        self.said = False
        self._began: Optional[float] = None  # the present step
        self._warm: Optional[tuple[float, float]] = None  # (time, iterations) when it was warm

    def text(self) -> str:
        """One line: what the run is going to do."""
        parts = (f"{s.title} ({s.what})" if s.what else s.title for s in self.todo)
        return f"to do: {', '.join(parts)}"

    def begin(self, name: str) -> None:
        """The step of that name begins; those before it are done."""
        names = [step.name for step in self.todo]
        if name in names:
            del self.todo[: names.index(name)]
        self._began, self._warm = time.monotonic(), None

    def iterated(self, task: Task) -> Optional[str]:
        """An iteration of a training step is done. Measures the speed; the line to say when it is
        known for the first time, else None."""
        now, done = time.monotonic(), task.done - task.before
        if self._warm is None:
            if done >= WARMING:
                self._warm = (now, done)
            return None
        seconds, count = now - self._warm[0], done - self._warm[1]
        if not self.todo or seconds <= 0 or count < MEASURED[0] or seconds < MEASURED[1]:
            return None
        # At first the rate of the task still contains the slow iterations.
        rate = count / seconds if seconds < 30 else task.rate()
        self.speed = rate * self.todo[0].per
        if self.said:
            return None
        self.said = True
        return self._estimate(task, rate)

    def _estimate(self, task: Task, rate: float) -> str:
        first = ((task.total or task.done) - task.done) / rate
        times = [first, *(self._seconds(step) for step in self.todo[1:])]
        parts = (
            f"{step.title} {duration(seconds, tenths=False)}"
            for step, seconds in zip(self.todo, times)
        )
        whole = duration(sum(times), tenths=False)
        return f"at this speed {whole} to the end: {', '.join(parts)}"

    def _seconds(self, step: Step) -> float:
        return step.units / self.speed if self.speed else 0.0

    def rest(self, task: Task, left: float) -> Optional[float]:
        """Seconds to the end of the run, while a task of the present step has ``left`` seconds to
        do; None where the speed is unknown, or this is the last work. (`progress.Rest`.)"""
        if self.speed is None or not self.todo or self._began is None:
            return None
        present = left
        if not task.description.startswith(self.todo[0].title):  # one of several of the step
            spent = time.monotonic() - self._began
            present = max(left, self._seconds(self.todo[0]) - spent)
        whole = present + sum(map(self._seconds, self.todo[1:]))
        return whole if whole > left else None
