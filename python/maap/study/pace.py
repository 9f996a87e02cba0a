"""How long the runs of a study will take: by the iterations they have, and the speed of those that
were done before them."""

import time
from collections.abc import Sequence
from typing import Optional

from maap.config.fields import TrainConfig
from maap.runs.stages import stage_list
from maap.study.cells import Step
from maap.util.text import duration


def images(config: TrainConfig, phase1_from: Optional[str]) -> int:
    """The training images that a run with these resolved settings goes through in all its phases;
    in none of phase 1 where that comes from another run."""
    count = 0
    for stage in stage_list(config):
        if stage.kind == "train" and stage.number == 1:
            count += 0 if phase1_from is not None else config.max_iter or 0
        elif stage.kind == "train":
            count += config.phase2_iter or 0
    return count * config.images_per_iteration


class Pace:
    """Measures whole runs, net by net."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = list(steps)
        self._measured: dict[str, tuple[float, int]] = {}  # net: (seconds, images)
        self._began = 0.0

    def begin(self) -> None:
        """The next run starts."""
        self._began = time.monotonic()

    def end(self, whole: bool) -> None:
        """The first of `steps` is done. ``whole``: it was started now, and not resumed."""
        step = self.steps.pop(0)
        count = images(step.cell.resolved, step.phase1_from)
        if whole and count:
            seconds, before = self._measured.get(step.cell.net, (0.0, 0))
            self._measured[step.cell.net] = (
                seconds + time.monotonic() - self._began,
                before + count,
            )

    def left(self) -> str:
        """The time for all steps that are left, in words; "" while no run was measured. Runs of
        nets that were not measured are named by their number."""
        seconds, unknown = 0.0, 0
        for step in self.steps:
            measured = self._measured.get(step.cell.net)
            if measured is None:
                unknown += 1
            else:
                work = images(step.cell.resolved, step.phase1_from)
                seconds += measured[0] / measured[1] * work
        if unknown == len(self.steps):
            return ""
        more = f", and {unknown} runs of nets that were not timed yet" if unknown else ""
        return f"; about {duration(seconds, tenths=False)} to the end{more}"
