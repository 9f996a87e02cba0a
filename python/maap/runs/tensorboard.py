"""TensorBoard event files of a run (``maap train --tensorboard``), by the library tensorboardX.

    runs/NAME/tensorboard/phase1/   train/loss, train/learning_rate: every iteration;
                                    test/top1, test/top5: with test_interval, and at the end

The CSV files of a phase (metrics.py) are the source. Its event file is written again from them
whenever the phase starts or resumes, so that a run that was killed has every point once.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import numpy as np

from maap.errors import MaapError
from maap.runs.evaluation import Evaluation
from maap.runs.files import read_columns
from maap.util.files import cannot_write

FOLDER = "tensorboard"


def check_library() -> None:
    """Raises MaapError when tensorboardX cannot be imported."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise MaapError(
            f"--tensorboard needs the library tensorboardX ({error}); install it (pip install "
            "tensorboardX) or leave --tensorboard out"
        ) from None


class EventFiles:
    """The event file of one phase: what its CSV files hold already, then what is added."""

    def __init__(self, target: Path, phase: Path, done: Optional[int] = None) -> None:
        """``target`` is emptied and filled from the CSV files in the folder ``phase``, up to
        ``done`` iterations (None: all of them). Raises MaapError: no library, a full disk."""
        check_library()
        from tensorboardX import SummaryWriter

        try:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            self._writer = SummaryWriter(logdir=str(target), flush_secs=10)
        except OSError as error:
            raise cannot_write(target, error) from None
        metrics = read_columns(phase / "metrics.csv", ("iteration", "loss", "lr"))
        for step, loss, rate in _rows(metrics, ("iteration", "loss", "lr"), done, False):
            self.add(step, loss, rate)
        tests = read_columns(phase / "accuracy.csv", ("iteration", "top1", "top5"))
        for step, top1, top5 in _rows(tests, ("iteration", "top1", "top5"), done, True):
            self.tested(step, top1, top5)

    def add(self, iteration: int, loss: float, rate: float) -> None:
        """The training loss and learning rate of an iteration."""
        self._writer.add_scalar("train/loss", loss, iteration)
        self._writer.add_scalar("train/learning_rate", rate, iteration)

    def tested(self, iteration: int, top1: float, top5: float) -> None:
        """Accuracies (shares) on the test images after so many iterations."""
        self._writer.add_scalar("test/top1", top1, iteration)
        self._writer.add_scalar("test/top5", top5, iteration)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the CSV files hold the same
            self._writer.close()


def _rows(
    columns: dict[str, np.ndarray], names: tuple[str, str, str], done: Optional[int], last: bool
) -> Iterator[tuple[int, float, float]]:
    """(iteration, value, value) of the first ``done`` iterations; ``last``: and after them."""
    if not columns:
        return
    for step, first, second in zip(*(columns[name] for name in names)):
        if done is None or step < done or (last and step == done):
            yield int(step), float(first), float(second)


def write_run(folder: Path, evaluation: Evaluation) -> None:
    """The event files of a run that has been evaluated: each phase with its accuracy at the end."""
    for phase in evaluation.phases:
        events = EventFiles(folder / FOLDER / phase.phase, folder / phase.phase)
        events.tested(int(phase.iterations or 0), phase.top1, phase.top5)
        events.close()


__all__ = ["FOLDER", "EventFiles", "check_library", "write_run"]
