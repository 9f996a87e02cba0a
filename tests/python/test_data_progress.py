"""Progress: a bar or lines, never silence, never both."""

import io
import time

import pytest
from maap.util import progress
from waiting import wait_until


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_at_start_end_and_in_between():
    stream = io.StringIO()
    with progress.track("work", 10, stream=stream, interval=0.05) as bar:
        bar.advance(4, loss=0.25)
        # The work itself is silent for long. A line may come before it has begun.
        wait_until(lambda: stream.getvalue().count("4/10 (40%)") >= 3)
        bar.advance(6)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "work (10) ..."
    between = [line for line in lines if "4/10 (40%)" in line]
    assert "left" in between[-1] and "loss 0.25" in between[-1]
    assert "10/10 (100%)" in lines[-1] and "done" in lines[-1]


def test_a_rate_is_a_plain_number(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    task = progress.Task("work", None)
    task.started = 90.0
    said = []
    for done in (4.82, 268, 9994, 9996, 123_456):
        task.done = done
        said.append(task.rate_text())
    assert said == ["0.482/s", "26.8/s", "999/s", "1000/s", "12346/s"]


class Clock:
    """A clock that the test sets, in place of time.monotonic."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)

    def work(self, task, seconds, count, every=1.0):
        """Advances by ``count`` units in each ``every`` seconds."""
        end = self.now + seconds
        while self.now < end:
            self.now += every
            task.advance(count)


def test_the_time_left_follows_a_machine_that_becomes_slower(monkeypatch):
    clock = Clock(monkeypatch)
    task = progress.Task("work", 1000)
    assert task.left() is None and "left" not in task.line()
    clock.work(task, 40, 10)
    assert task.left() == pytest.approx(60)
    clock.work(task, 120, 1)
    # A rate since the start would promise 480 / 3.25 = 148 s.
    assert task.left() == pytest.approx(480, rel=0.05)
    clock.now += 600  # it stands still
    assert task.left() > 3600
    clock.work(task, 480, 1)
    assert task.left() is None and task.line().startswith("work: 1000/1000 (100%), 0.806/s")


def test_units_of_an_earlier_run_do_not_enter_the_time_left(monkeypatch):
    clock = Clock(monkeypatch)
    task = progress.Task("work", 1000)
    task.already(900)
    assert task.left() is None
    clock.work(task, 10, 1)
    assert task.left() == pytest.approx(90)


def test_work_that_starts_again_has_a_new_rate(monkeypatch):
    clock = Clock(monkeypatch)
    task = progress.Task("download", 1000)
    task.already(500)
    clock.work(task, 90, 2)
    task.advance(-task.done)  # another file: the next mirror begins at 0
    assert task.left() is None
    clock.work(task, 10, 4)
    assert task.left() == pytest.approx(960 / 4)


def test_work_that_follows_is_named(monkeypatch):
    clock = Clock(monkeypatch)
    with progress.followed_by(lambda task, left: left + 100):
        task = progress.Task("phase 1", 20)
    clock.work(task, 10, 1)
    assert task.line() == "phase 1: 10/20 (50%), 1/s, 10 s left, 1 min 50 s to the end"
    with progress.followed_by(lambda task, left: None):
        last = progress.Task("report", 20)
    last.advance()
    clock.now += 1
    assert last.line().endswith("left")
    assert progress.Task("other", 1).rest is None


def test_a_bar_shows_the_same_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    later = progress.followed_by(lambda task, left: 3723.0)
    with later, progress.track("work", 3, stream=stream) as bar:
        bar.advance()
        time.sleep(0.01)
        bar.advance()
    assert "1 h 02 min to the end" in stream.getvalue()


def test_an_exception_passes_and_the_last_line_says_how_far():
    stream = io.StringIO()
    with pytest.raises(ValueError), progress.track("work", 3, stream=stream) as bar:
        bar.advance()
        raise ValueError
    assert "1/3 (33%)" in stream.getvalue() and "stopped" in stream.getvalue()


def test_terminal_gets_a_bar_and_no_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress.track("work", 3, stream=stream) as bar:
        bar.advance(3, loss=1.5)
    text = stream.getvalue()
    assert "\x1b[" in text and "3/3" in text and "loss 1.5" in text
    assert "done after" not in text and "..." not in text


def test_unknown_total():
    for stream in (io.StringIO(), Terminal()):
        with progress.track("work", stream=stream) as bar:
            bar.advance(7)
        assert "7" in stream.getvalue()
