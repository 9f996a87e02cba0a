"""One training phase: a Caffe solver that this module feeds, and that can stop and resume at any
iteration without a difference in the result.

What an iteration computes depends on (settings, seed, phase, iteration) and the weights and history
before it, and on nothing else: the feeder gives iteration i's images, Caffe's random generator
(dropout) gets a new seed before every iteration, the solver's history and step are in the
snapshot. So a run that was killed and resumed ends with the bytes of an uninterrupted one.

Several ranks (host/ranks.py) train one net: the solver adds up their gradients, every rank runs
this module, all in step, and rank 0 alone writes the files. What is decided on the way (the end, a
stop, a snapshot, a test) depends on what all know: the mean loss, and what rank 0 tells the others.

A phase's folder:

    net.prototxt, solver.prototxt   what Caffe is given
    log                             what Caffe says (usable with Caffe's log parsers)
    metrics.csv, timing.csv         see metrics.py
    accuracy.csv                    with test_interval: iteration,top1,top5
    snapshots/N/                    see runs/snapshots.py
    final.caffemodel                the weights at the end
"""

import hashlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Union

import numpy as np

from maap.data.feeder import Feeder
from maap.errors import MaapError
from maap.host import loader, ranks
from maap.host.supervise import (
    Stopped,
    caffe_log,
    stop_wanted,
    stopping_deferred,
    stopping_together,
)
from maap.host.types import Caffe, CaffeNet
from maap.nets.online import STATS
from maap.runs.metrics import Followed, Metrics, has_converged
from maap.runs.snapshots import Snapshot, Snapshots, restore, working_in
from maap.runs.stages import FINAL
from maap.runs.state import OnlineCounts
from maap.runs.tensorboard import EventFiles
from maap.training.watch import IMAGES, Watch, about_accuracy
from maap.util.files import put_file, write_atomically
from maap.util.progress import Task, say, track


@dataclass(frozen=True)
class PhaseSettings:
    """What a phase needs to know beside its prototxts.

    ``feed(start)`` opens a feeder whose ``next()`` gives (data, label) of batch ``start`` and on;
    ``test(weights)`` returns (top-1, top-5) shares. Iteration counts and window as in TrainConfig.
    ``events`` is the folder of TensorBoard's event file; None: there is none. ``iterated`` is told
    of the phase's progress after each iteration. ``watch_after`` is the number of iterations after
    which the net should have learnt something, ``guessed`` the top-1 that guessing does not exceed
    on the test images; ``warn`` is told, once, that nothing is learnt (watch.py), unless
    ``warned``.
    """

    name: str
    title: str
    seed: int
    max_iter: int
    snapshot: int
    window: int
    fraction: float
    feed: Callable[[int], Feeder]
    iter_size: int = 1
    start_from: Optional[Path] = None
    test_interval: int = 0
    test: Optional[Callable[[Path], tuple[float, float]]] = None
    events: Optional[Path] = None
    iterated: Callable[[Task], None] = lambda task: None
    watch_after: int = 200
    classes: int = 0
    guessed: float = 0.0
    warn: Callable[[str], None] = lambda text: None
    warned: bool = False


@dataclass(frozen=True)
class PhaseEnd:
    """How a phase ended.

    ``stopped`` is "converged" or "max_iter", ``loss`` the mean training loss of the last window,
    ``weights`` the name of the file in the phase's folder, ``online`` what the Elimination layer
    did (None: the net has none).
    """

    iteration: int
    stopped: str
    loss: float
    weights: str
    online: Optional[OnlineCounts]


def seed_of(*parts: Union[str, int]) -> int:
    """A seed for Caffe, 0 to 2^31 - 1, from anything that prints the same every time."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "big") >> 1


def dropout_seed(seed: int, phase: str, iteration: int, rank: int = 0) -> int:
    """The seed of what layers draw in an iteration: another for each rank, and rank 0's is that of
    a training by one."""
    return seed_of(seed, phase, iteration, *([rank] if rank else []))


def run_phase(
    folder: Path,
    settings: PhaseSettings,
    caffe: Caffe,
    on_snapshot: Callable[[int, float], None],
) -> PhaseEnd:
    """Train until converged or ``max_iter``, from the newest snapshot when there is one.

    ``on_snapshot(iteration, seconds)`` is called after each snapshot with the seconds since the
    last call. Raises MaapError (disk full, loss not finite) and Stopped; the snapshots stay.
    """
    with caffe_log(folder / "log"), stopping_deferred():
        phase = _Phase(folder, settings, caffe, on_snapshot)
        try:
            return phase.train()
        finally:
            phase.close()


class _Phase:
    """The running state of `run_phase`."""

    def __init__(
        self,
        folder: Path,
        settings: PhaseSettings,
        caffe: Caffe,
        report: Callable[[int, float], None],
    ) -> None:
        self.folder, self.settings, self.caffe = folder, settings, caffe
        self.report = report
        self.group, self.first = ranks.here(), ranks.first()
        self.metrics: Union[Metrics, Followed]
        self.events: Optional[EventFiles] = None
        self.snapshots = Snapshots(folder / "snapshots")
        if self.first:
            self.snapshots.clean()
        self.clock = time.monotonic()
        say(f"{settings.title}: setting up the net")
        with working_in(folder):
            self.solver = caffe.get_solver("solver.prototxt")
        self._start()
        self.losses = _Losses(self.solver.net)
        self.stopping = False  # what the ranks agreed on after the last iteration
        self.watch = Watch(folder, self.solver.net, settings.watch_after, self._rate_option())
        self.warned, self.images = settings.warned or not self.first, np.empty(0)
        loader.keep_only(self.solver.net, self.losses.blobs())
        self.size = settings.iter_size * self.solver.net.blobs["data"].shape[0] * self.group.size
        self.feeder = settings.feed(self.solver.iter * settings.iter_size)
        self.solver.net.before_forward(self._fill)
        self.solver.net.after_forward(self.losses.add)

    def _start(self) -> None:
        """Weights, history and curves as they were at the newest snapshot, or at the beginning."""
        latest = ranks.shared(self.snapshots.latest() if self.first else None)
        if latest is not None:
            restore(self.solver, latest)
            say(f"{self.settings.title}: resuming after iteration {latest.iteration}")
        elif self.settings.start_from is not None:
            if not self.settings.start_from.is_file():
                raise MaapError(
                    f"{self.settings.start_from}: missing; this phase starts from these weights"
                )
            self.solver.net.copy_from(str(self.settings.start_from))
        if self.group.size > 1:  # from rank 0's weights, which random ones of the others are not
            self.solver.train_together(self.group)
        counts = STATS in self.solver.net.blobs
        curve: Union[Metrics, Followed] = Followed([], 0)
        if self.first:
            curve = Metrics(self.folder, self.solver.iter, counts)
        known = ranks.shared((curve.losses, curve.fallbacks))
        self.metrics = curve if self.first else Followed(*known)
        if self.settings.events is not None and self.first:
            self.events = EventFiles(self.settings.events, self.folder, self.solver.iter)

    def close(self) -> None:
        self.feeder.close()
        self.metrics.close()
        if self.events is not None:
            self.events.close()

    # ---- the loop ----

    def train(self) -> PhaseEnd:
        settings, solver = self.settings, self.solver
        with track(f"{settings.title}, iterations", total=settings.max_iter) as progress:
            progress.already(solver.iter)
            while self._ended() is None:
                if self.stopping or (self.group.size == 1 and stop_wanted() is not None):
                    self._stop()
                if self._due(settings.test_interval):
                    self._test()
                self._iterate()
                self._look()
                progress.advance(1, loss=self._mean_loss(20))
                settings.iterated(progress)
                if self._due(settings.snapshot):
                    self._snapshot()
            final = self._finish()
        done, online = int(solver.iter), None
        if STATS in solver.net.blobs:
            online = OnlineCounts(images=done * self.size, fallbacks=self.metrics.fallbacks)
        loss = self._mean_loss(settings.window)
        return PhaseEnd(done, str(self._ended()), loss, final.name, online)

    def _ended(self) -> Optional[str]:
        if has_converged(self.metrics.losses, self.settings.window, self.settings.fraction):
            return "converged"
        return "max_iter" if self.solver.iter >= self.settings.max_iter else None

    def _due(self, interval: int) -> bool:
        return interval > 0 and self.solver.iter > 0 and self.solver.iter % interval == 0

    def _iterate(self) -> None:
        started, solver = time.monotonic(), self.solver
        rate = float(solver.lr)
        name, rank = self.settings.name, self.group.rank
        self.caffe.set_random_seed(dropout_seed(self.settings.seed, name, solver.iter, rank))
        self._step()
        loss, fallbacks = self._agree(*self.losses.take())
        if not math.isfinite(loss):
            raise MaapError(
                f"{self.settings.title}: the training loss became {loss} at iteration "
                f"{solver.iter - 1} (learning rate {rate:g}); start a new run with a smaller "
                f"{self._rate_option()} (a tenth), and with random weights use --from-scratch"
            )
        self.metrics.add(loss, rate, time.monotonic() - started, fallbacks)
        if self.events is not None:
            self.events.add(int(solver.iter) - 1, loss, rate)

    def _agree(self, loss: float, fallbacks: Optional[int]) -> tuple[float, Optional[int]]:
        """The mean loss over the ranks and the flat maps of all; and whether one was told to
        stop, so that all stop after the same iteration."""
        if self.group.size == 1:
            return loss, fallbacks
        mine = [loss, fallbacks or 0, stop_wanted() is not None]
        values = np.array(mine, np.float64)
        self.group.sum(values)
        self.stopping = values[2] > 0
        return values[0] / self.group.size, None if fallbacks is None else int(values[1])

    def _step(self) -> None:
        try:
            self.solver.step(1)
        except RuntimeError as error:
            if STATS not in self.solver.net.blobs or "in the batch" not in str(error):
                raise
            raise MaapError(
                f"{self.settings.title}, iteration {self.solver.iter}: an attention map is not "
                f"finite ({error}); the weights have diverged, start a new run with a smaller "
                f"{self._rate_option()} (a tenth)"
            ) from None

    def _rate_option(self) -> str:
        return "--base-lr" if self.settings.name == "phase1" else "--phase2-lr"

    def _look(self) -> None:
        """After an iteration: whether the training is dead, where that can be told."""
        if len(self.images) and not self.warned:
            net = self.solver.net
            found = self.watch.look(self.metrics.losses, self.caffe, net, self.images)
            self._warn(found)
        self.images = np.empty(0)

    def _warn(self, found: Optional[str]) -> None:
        if found is not None and not self.warned:
            self.warned = True
            self.settings.warn(
                f"{self.settings.title}, after {self.solver.iter} iterations: {found}"
            )

    def _looks(self) -> bool:
        """Whether the iteration that Caffe is in is followed by a look: at the end of each window,
        and of a phase that is shorter than one."""
        done, settings = self.solver.iter + 1, self.settings
        short = done == settings.max_iter < settings.watch_after
        return not self.warned and (short or self.watch.due(done))

    def _fill(self, layer: int) -> None:
        """Caffe is about to run a layer; before the first, give the net its batch."""
        if layer == 0:
            self.losses.read()
            blobs = self.solver.net.blobs
            data = blobs["data"].data
            _, label = self.feeder.next(data)
            blobs["label"].data[...] = label
            if self._looks():
                self.images = data[:IMAGES].copy()

    def _mean_loss(self, count: int) -> float:
        last = self.metrics.losses[-count:]
        return sum(last) / len(last) if last else math.nan

    # ---- snapshots, tests, the end ----

    def _snapshot(self) -> Snapshot:
        self.metrics.sync()
        taken = self.snapshots.here(int(self.solver.iter))
        if not ranks.shared(self.first and self.snapshots.has(taken.iteration)):
            if self.first:
                self.snapshots.save(self.solver)
            else:
                self.solver.snapshot()  # writes nothing: rank 0 needs what the others know
        now = time.monotonic()
        self.report(taken.iteration, now - self.clock)
        self.clock = now
        return taken

    def _stop(self) -> None:
        stopping_together()
        if self.solver.iter > 0:
            self._snapshot()
        raise Stopped(f"stopped at iteration {self.solver.iter} of {self.settings.name}")

    def _test(self) -> None:
        """Accuracy on the test images, once an iteration (a resumed phase may pass it again)."""
        path = self.folder / "accuracy.csv"
        rows = ["iteration,top1,top5"]
        if self.first and path.is_file():
            rows = path.read_text().splitlines()
        rows = ranks.shared(rows)
        if self.settings.test is None or rows[-1].startswith(f"{self.solver.iter},"):
            return
        kept = [row for row in rows[1:] if int(row.split(",")[0]) < self.solver.iter]
        taken = self._snapshot()
        self.group.barrier()  # rank 0 has written it, all read it
        top1, top5 = self.settings.test(taken.weights)
        say(f"{self.settings.title}, iteration {self.solver.iter}: test top-1 {top1:.1%}")
        if self.solver.iter >= self.settings.watch_after and top1 <= self.settings.guessed:
            classes = self.settings.classes
            self._warn(about_accuracy(top1, classes, self._rate_option()))
        rows = [rows[0], *kept, f"{self.solver.iter},{top1:.6g},{top5:.6g}"]
        if self.first:
            write_atomically(path, "\n".join(rows) + "\n")
        if self.events is not None:
            self.events.tested(int(self.solver.iter), top1, top5)

    def _finish(self) -> Path:
        """The last snapshot's weights under their own name; older snapshots are removed."""
        taken = self._snapshot()
        final = self.folder / FINAL
        if self.first:
            put_file(taken.weights, final)
            self.snapshots.drop(1)
        self.group.barrier()  # the others read it next
        return final


class _Losses:
    """Adds up the net's loss over the forward passes of one iteration (iter_size of them), and
    counts the images whose attention map was flat, where the net has an Elimination layer.

    A forward pass's values are read when the iteration is over, or the next pass begins: on a GPU
    the backward pass is then already under way, where reading them at once would wait before it.
    """

    def __init__(self, net: CaffeNet) -> None:
        self._blobs = net.blobs
        self._weights = {name: w for name, w in net.blob_loss_weights.items() if w}
        self._last = len(net.layers) - 1
        self._total, self._count, self._fallbacks = 0.0, 0, 0
        self._unread = False
        if not self._weights:
            raise MaapError("the training net has no loss layer; give train_val.prototxt one")

    def blobs(self) -> list[str]:
        """The blobs that are read."""
        return [*self._weights, *([STATS] if STATS in self._blobs else [])]

    def add(self, layer: int) -> None:
        """Caffe has run a layer; after the last there is a loss to read."""
        self._unread = self._unread or layer == self._last

    def read(self) -> None:
        """Adds the loss of the last forward pass, unless it has been."""
        if not self._unread:
            return
        parts = (w * float(self._blobs[n].data.sum()) for n, w in self._weights.items())
        self._total += sum(parts)
        self._count += 1
        if STATS in self._blobs:
            self._fallbacks += int(self._blobs[STATS].data[:, 4].sum())
        self._unread = False

    def take(self) -> tuple[float, Optional[int]]:
        """The mean loss since the last call, and the flat maps (None without Elimination)."""
        self.read()
        mean = self._total / max(1, self._count)
        fallbacks = self._fallbacks if STATS in self._blobs else None
        self._total, self._count, self._fallbacks = 0.0, 0, 0
        return mean, fallbacks
