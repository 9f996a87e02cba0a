"""Run Caffe in a child process, so that the user gets a sentence whatever Caffe does.

BVLC Caffe ends its process (glog's F line, SIGABRT) where the engine raises. So the command
line and ``maap.train`` do the work in a child: `call` starts it, passes signals on, and turns its
end into a result, a MaapError or Stopped. The child's file descriptor 2, which Caffe's log goes to,
is a log file; what maap itself has to say goes to the terminal.

Signals: Ctrl-C, SIGTERM or SIGHUP (not under nohup) asks the child to stop at the next safe point
(training takes a snapshot first); a second one ends it at once. The kernel kills the child when its
parent dies.

The parent imports nothing heavy, so that `maap` starts fast.
"""

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Optional

from maap.errors import MaapError, Stopped
from maap.host.workers import die_with_parent

# ---- the parent's side --------------------------------------------------------------------------

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def call(
    target: str,
    *args: Any,
    threads: Optional[int] = None,
    log: Optional[Path] = None,
    debug: bool = False,
) -> Any:
    """``target`` ("package.module:function") called with ``args`` (picklable) in a child process.

    ``threads`` is how many Caffe's arithmetic uses, ``log`` the file Caffe's log is appended to (a
    temporary one by default, removed when all went well). Returns what the function returns;
    raises MaapError for its errors, and Stopped.
    """
    threads = threads or len(os.sched_getaffinity(0))
    temporary = log is None
    if log is None:
        handle, name = tempfile.mkstemp(prefix="maap-", suffix=".log")
        os.close(handle)
        log = Path(name)
    process, connection = _start(threads, log)
    connection.send((target, args, debug))
    with _passing_signals_to(process):
        outcome, log_now = _listen(connection, log)
        code = process.wait()
    connection.close()
    if temporary and (outcome is None or outcome[0] not in ("bug", "caffe")) and code == 0:
        log.unlink(missing_ok=True)  # a clean-up of /tmp may have been faster
    if outcome is None and code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise Stopped("stopped at once, without a snapshot", code - 128)
    if outcome is None:
        raise MaapError(_how_it_ended(code, log_now))
    kind, value = outcome
    if kind == "result":
        return value
    if kind == "stopped":
        raise Stopped(*value)
    if kind == "caffe":
        raise MaapError(f"Caffe stopped: {value}{_hint(value)}\nlog: {log_now}")
    raise MaapError(value if kind == "error" else f"{value}\nlog: {log_now}")


def _start(threads: int, log: Path) -> tuple[subprocess.Popen, Connection]:
    ours, theirs = socket.socketpair()
    environment = dict(os.environ, **{name: str(threads) for name in _THREAD_SETTINGS})
    environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    code = "from maap.host.supervise import _child; _child()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(theirs.fileno()), str(os.getpid()), str(log)],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env=environment,
        start_new_session=True,  # so that a terminal's Ctrl-C reaches it once: through us
    )
    theirs.close()
    return process, Connection(ours.detach())


def _listen(connection: Connection, log: Path) -> tuple[Optional[tuple[str, Any]], Path]:
    """The child's outcome (None when it died without one) and the log it wrote last."""
    outcome = None
    try:
        while True:
            kind, value = connection.recv()
            if kind == "log":
                log = Path(value)
            else:
                outcome = (kind, value)
    except (EOFError, ConnectionResetError):
        return outcome, log


@contextmanager
def _passing_signals_to(process: subprocess.Popen) -> Iterator[None]:
    """Pass stop signals to the child, and suspend and continue with it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: Optional[FrameType]) -> None:
        _send(process, signal.SIGTERM if number == signal.SIGHUP else number)

    def suspend(number: int, frame: Optional[FrameType]) -> None:
        _send(process, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        _send(process, signal.SIGCONT)

    wanted = [n for n in _FORWARDED if n != signal.SIGHUP or not _hangups_ignored()]
    before: dict[int, Any] = {n: signal.signal(n, forward) for n in wanted}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hangups_ignored() -> bool:
    """Whether this process was started with nohup: the work continues when the terminal closes."""
    return signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def _send(process: subprocess.Popen, number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


# What Caffe's own words mean for a user.
_HINTS = (
    ("SerializeToOstream", "a file could not be written: is the disk full?"),
    ("Unknown layer type", "libmaap_layers.so is not loaded or the net is misspelt"),
    (
        "Cannot copy param",
        "the weights are of another net; rename that layer to train it from the start",
    ),
    ("out of memory", "use a smaller --batch"),
    ("bad_alloc", "the machine's memory is full: use a smaller --batch"),
    ("Failed to parse NetParameter", "the prototxt named above it is wrong"),
)


def fatal_message(log_text: str) -> Optional[str]:
    """What the last fatal line in Caffe's log says, without glog's prefix; None without one."""
    found = list(re.finditer(r"^F\d{4} [^\]\n]*\] (.*?)(?=^\*\*\*|\Z)", log_text, re.M | re.S))
    if found:
        return " ".join(found[-1].group(1).split())
    thrown = re.findall(r"^terminate called .*?'(.*?)'(?:\s+what\(\):\s+(.*))?", log_text, re.M)
    return " ".join(": ".join(part for part in thrown[-1] if part).split()) if thrown else None


def _hint(said: str) -> str:
    hints = [hint for words, hint in _HINTS if words in said]
    return f" ({hints[0]})" if hints else ""


def _how_it_ended(code: int, log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 65536))
        text = stream.read().decode("utf-8", "replace")
    if code == -signal.SIGKILL:
        return "the work was killed from outside; if the memory was full, use a smaller --batch"
    said = fatal_message(text) if code == -signal.SIGABRT else None
    if said:
        return f"Caffe stopped: {said}{_hint(said)}\nlog: {log}"
    how = signal.Signals(-code).name if code < 0 else f"status {code}"
    return f"the working process ended with {how}\nlog: {log}"


# ---- the child's side ---------------------------------------------------------------------------


class _Side:
    """The child's connection to its parent; a process has one."""

    connection: Optional[Connection] = None
    deferred = False  # a signal is noted, not raised
    wanted: Optional[int] = None
    log = ""  # the file that descriptor 2 is


def stop_wanted() -> Optional[int]:
    """The signal that asked this process to stop, or None."""
    return _Side.wanted


@contextmanager
def stopping_deferred() -> Iterator[None]:
    """Inside, a stop signal does not interrupt; the caller asks `stop_wanted` now and then."""
    before, _Side.deferred = _Side.deferred, True
    try:
        yield
    finally:
        _Side.deferred = before


@contextmanager
def caffe_log(path: Path) -> Iterator[None]:
    """Append what Caffe logs to a file. Does nothing in a process that `call` did not start."""
    if _Side.connection is None:
        yield
        return
    before, log_before = os.dup(2), _Side.log
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 2)
    os.close(handle)
    _tell_log(str(path))
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        _tell_log(log_before)


def _tell_log(path: str) -> None:
    """Let the parent know where to look should Caffe end the process."""
    _Side.log = path
    if _Side.connection is not None:
        _Side.connection.send(("log", path))


def _on_signal(number: int, frame: Optional[FrameType]) -> None:
    again, _Side.wanted = _Side.wanted is not None, number
    if again:
        os._exit(128 + number)
    if not _Side.deferred:
        raise KeyboardInterrupt


def _child() -> None:
    descriptor, parent, log = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    die_with_parent(parent)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    connection = Connection(descriptor)
    target, args, debug = connection.recv()
    _Side.connection, _Side.log = connection, log
    outcome = _outcome(target, args, debug)
    _Side.deferred = True
    try:
        connection.send(outcome)
        sys.stdout.flush()
    finally:
        # Without the interpreter's tear-down: Caffe's static destructors have nothing to save, and
        # a helper process may still be winding up.
        os._exit(0 if outcome[0] == "result" else 1)


def _outcome(target: str, args: list[Any], debug: bool) -> tuple[str, Any]:
    module, function = target.split(":")
    try:
        return "result", getattr(importlib.import_module(module), function)(*args)
    except MaapError as error:
        return "error", str(error) + ("\n" + traceback.format_exc() if debug else "")
    except Stopped as stopped:
        return "stopped", (str(stopped), _Side.wanted or stopped.signal_number)
    except KeyboardInterrupt:
        return "stopped", ("stopped", _Side.wanted or signal.SIGINT)
    except RuntimeError as error:
        if type(error).__name__ == "CaffeError":  # what the engine throws where BVLC Caffe aborts
            return "caffe", str(error) + ("\n" + traceback.format_exc() if debug else "")
        return _bug(error, debug)
    except (BrokenPipeError, MemoryError) as error:
        full = isinstance(error, MemoryError)
        memory = "the machine's memory is full: use a smaller --batch"
        return "error", memory if full else "the output was closed"
    except Exception as error:
        return _bug(error, debug)


def _bug(error: Exception, debug: bool) -> tuple[str, Any]:
    os.write(2, traceback.format_exc().encode())
    text = f"unexpected {type(error).__name__}: {error}"
    return "bug", text + ("\n" + traceback.format_exc() if debug else " (--debug shows more)")
