"""Progress: a bar or lines, never silence, never both."""

import io

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
        # The work itself is silent for long.
        wait_until(lambda: stream.getvalue().count("\n") >= 4)
        bar.advance(6)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "work (10) ..." and len(lines) >= 5
    assert "4/10 (40%)" in lines[1] and "left" in lines[1] and "loss 0.25" in lines[1]
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
