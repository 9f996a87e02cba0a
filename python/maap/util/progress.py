"""Progress for work that takes a while: a bar on a terminal, plain lines anywhere else.

On a terminal rich draws the bar with rate and time left. Elsewhere (a log file, a pipe, a
container) a line is printed at the start, at the end and at least every ``interval`` seconds in
between, by a timer thread, so that silence always means that something hangs."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional, TextIO

from maap.util.text import duration

# A Caffe that computes holds the interpreter for seconds: the timer comes late, never 10 s late.
INTERVAL = 7.0


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
        self._update: Callable[[], None] = lambda: None

    def advance(self, n: float = 1, **shown: Any) -> None:
        """Count ``n`` more units as done; keyword values (loss=0.3) are shown beside the count."""
        self.done += n
        self.shown.update(shown)
        self._update()

    def already(self, n: float) -> None:
        """Count ``n`` units as done before this run: they do not enter the rate."""
        self.before += n
        self.advance(n)

    def rate(self) -> float:
        """Units a second since the start."""
        return (self.done - self.before) / max(time.monotonic() - self.started, 1e-9)

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
        rate = self.rate()
        text = f"{self.description}: {_number(self.done)}"
        if self.total:
            text += f"/{_number(self.total)} ({100.0 * self.done / self.total:.0f}%)"
        if self.done > self.before:
            text += f", {self.rate_text()}"
            if self.total and self.done < self.total:
                text += f", {duration((self.total - self.done) / rate, tenths=False)} left"
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
        rp.TimeRemainingColumn(),
        rp.TextColumn("{task.fields[shown]}"),
    ]
    with rp.Progress(*columns, console=Console(file=stream)) as bar:
        total = task.total if task.total else 1e18
        handle = bar.add_task(task.description, total=total, rate="", shown="")

        def update() -> None:
            bar.update(handle, completed=task.done, rate=task.rate_text(), shown=task.suffix())

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
