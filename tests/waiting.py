"""Waiting for what happens in another process or thread, on however busy a machine."""

import subprocess
import time
from pathlib import Path
from typing import Callable, Optional

PATIENCE = 600  # seconds until a test that hangs is given up


def wait_until(
    happened: Callable[[], object], process: Optional["subprocess.Popen"] = None
) -> None:
    """Return as soon as ``happened()`` is true.

    Raises AssertionError when ``process`` ends before that, or after PATIENCE seconds.
    """
    until = time.monotonic() + PATIENCE
    while not happened():
        assert process is None or process.poll() is None, "the process ended too early"
        assert time.monotonic() < until, f"nothing happened for {PATIENCE} s"
        time.sleep(0.002)


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or nobody has asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:  # no file, or no process any more behind the open file
        return True
