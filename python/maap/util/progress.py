"""Progress for work that takes a while: a bar on a terminal, plain lines anywhere else.

On a terminal rich draws the bar with rate and time left. Elsewhere (a log file, a pipe, a
container) a line is printed at the start, at the end and at least every ``interval`` seconds in
between, by a timer thread, so that silence always means that something hangs."""

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Optional, TextIO

from maap.util.text import duration

# A Caffe that computes holds the interpreter for seconds: the timer comes late, never 10 s late.
INTERVAL = 7.0
# The speed is that of the last minute: a machine may slow down, and may recover.
RECENT = 60.0
_MARK_EVERY = 1.0


def say(text: str, stream: Optional[TextIO] = None) -> None:
    """Print one line for the user at once (stdout unless ``stream`` is given). What the stream's
    encoding lacks (bytes of a file name that are not UTF-8, say) becomes an escape."""
    stream = stream or sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=stream, flush=True)


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.1f}"


#: Given a task and the seconds that it will still take, the seconds to the end of all work that is
#: planned; None: unknown, or not longer. The tasks that are made inside `followed_by` ask it.
Rest = Callable[["Task", float], Optional[float]]
_rest: ContextVar[Optional[Rest]] = ContextVar("rest", default=None)


@contextmanager
def followed_by(rest: Rest) -> Iterator[None]:
    """Inside the ``with`` block, tasks say how long the work that comes after them will take."""
    token = _rest.set(rest)
    try:
        yield
    finally:
        _rest.reset(token)


class Task:
    """A running piece of work; what ``track`` yields.

    ``done`` and ``total`` are in the caller's unit (images, iterations, bytes / 1e6 ...).
    """

    def __init__(self, description: str, total: Optional[float]) -> None:
        self.description = description
        self.total = total
        self.done = 0.0
        self.before = 0.0  # of done, what an earlier run had done
        self.shown: dict[str, Any] = {}
        self.started = time.monotonic()
        self.rest = _rest.get()
        self._marks: deque[tuple[float, float]] = deque()  # (time, done), a second apart or more
        self._update: Callable[[], None] = lambda: None

    def advance(self, n: float = 1, **shown: Any) -> None:
        """Count ``n`` more units as done, or fewer; keyword values (loss=0.3) are shown beside the
        count."""
        self.done += n
        self.shown.update(shown)
        now = time.monotonic()
        if n < 0 and self.done <= self.before:  # the work starts again
            self.before, self.started = self.done, now
            self._marks = deque()  # not cleared: another thread may be reading it
        if not self._marks or now - self._marks[-1][0] >= _MARK_EVERY:
            self._marks.append((now, self.done))
            while len(self._marks) > 1 and now - self._marks[1][0] >= RECENT:
                self._marks.popleft()
        self._update()

    def already(self, n: float) -> None:
        """Count ``n`` units as done before this run: they do not enter the rate."""
        self.before += n
        self.advance(n)

    def rate(self) -> float:
        """Units a second: over about the last minute while the work is under way, up to now, so
        that a standstill shows; over the whole time when it is done."""
        now, began, at_first, marks = time.monotonic(), self.started, self.before, self._marks
        if marks and not self._is_complete() and now - marks[0][0] >= RECENT:
            began, at_first = marks[0]
        return (self.done - at_first) / max(now - began, 1e-9)

    def _is_complete(self) -> bool:
        return self.total is not None and self.done >= self.total

    def left(self) -> Optional[float]:
        """Seconds that the rest of this work will take; None where that is unknown, or is 0."""
        if not self.total or self._is_complete() or self.done <= self.before:
            return None
        rate = self.rate()
        return (self.total - self.done) / rate if rate > 0 else None

    def left_text(self) -> str:
        """The time left in words, with that of the work that follows; "" where it is unknown."""
        left = self.left()
        if left is None:
            return ""
        text = f"{duration(left, tenths=False)} left"
        whole = self.rest(self, left) if self.rest is not None else None
        return text if whole is None else f"{text}, {duration(whole, tenths=False)} to the end"

    def rate_text(self) -> str:
        """The rate in three digits or, from 1000 on, a whole number: 0.482/s, 26.8/s, 1043/s."""
        rate = self.rate()
        return f"{rate:.0f}/s" if rate >= 999.5 else f"{rate:.3g}/s"

    def suffix(self) -> str:
        """The values given to ``advance`` as text."""
        return "  ".join(f"{key} {_value(value)}" for key, value in self.shown.items())

    def line(self) -> str:
        """One plain line: count, share, rate, time left, shown values."""
        elapsed = max(time.monotonic() - self.started, 1e-9)
        text = f"{self.description}: {_number(self.done)}"
        if self.total:
            text += f"/{_number(self.total)} ({100.0 * self.done / self.total:.0f}%)"
        if self.done > self.before:
            text += f", {self.rate_text()}"
            left = self.left_text()
            text += f", {left}" if left else ""
        else:
            text += f", {duration(elapsed, tenths=False)}"
        return f"{text}  {self.suffix()}" if self.shown else text


@contextmanager
def track(
    description: str,
    total: Optional[float] = None,
    stream: Optional[TextIO] = None,
    interval: float = INTERVAL,
) -> Iterator[Task]:
    """Show the progress of the work done inside the ``with`` block.

    ``total`` is the number of units expected (None when unknown). ``interval`` is the longest
    silence in seconds when the output is not a terminal. An exception passes through; the last line
    then says how far the work came."""
    stream = stream or sys.stdout
    task = Task(description, total)
    if stream.isatty():
        with _bar(task, stream):
            yield task
    else:
        with _lines(task, stream, interval):
            yield task


@contextmanager
def _bar(task: Task, stream: TextIO) -> Iterator[None]:
    from rich import progress as rp
    from rich.console import Console

    columns = [
        rp.TextColumn("{task.description}"),
        rp.BarColumn(),
        rp.TextColumn("{task.completed:.0f}" + ("/{task.total:.0f}" if task.total else "")),
        rp.TextColumn("{task.fields[rate]}"),
        rp.TextColumn("{task.fields[left]}"),
        rp.TextColumn("{task.fields[shown]}"),
    ]
    with rp.Progress(*columns, console=Console(file=stream)) as bar:
        total = task.total if task.total else 1e18
        handle = bar.add_task(task.description, total=total, rate="", left="", shown="")

        def update() -> None:
            texts = dict(rate=task.rate_text(), left=task.left_text(), shown=task.suffix())
            bar.update(handle, completed=task.done, **texts)

        task._update = update
        yield


@contextmanager
def _lines(task: Task, stream: TextIO, interval: float) -> Iterator[None]:
    finished = threading.Event()
    unit = f" ({_number(task.total)})" if task.total else ""
    say(f"{task.description}{unit} ...", stream)

    def ticker() -> None:
        while not finished.wait(interval):
            say(task.line(), stream)

    thread = threading.Thread(target=ticker, name="progress", daemon=True)
    thread.start()
    ended = "stopped"
    try:
        yield
        ended = "done"
    finally:
        finished.set()
        thread.join()
        took = duration(time.monotonic() - task.started, tenths=False)
        say(f"{task.line()}, {ended} after {took}", stream)
