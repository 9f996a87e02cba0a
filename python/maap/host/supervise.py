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
import io
import os
import re
import signal
import socket
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
from maap.host import ranks
from maap.host.crew import Crew, End, signal_of
from maap.host.launched import Place, launched, need_ranks, stay_silent
from maap.host.workers import die_with_parent

# ---- the parent's side --------------------------------------------------------------------------

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def call(
    target: str,
    *args: Any,
    threads: Optional[int] = None,
    log: Optional[Path] = None,
    debug: bool = False,
    processes: int = 1,
) -> Any:
    """``target`` ("package.module:function") called with ``args`` (picklable) in a child process.

    ``threads`` is how many Caffe's arithmetic uses (default: the cores, divided by the ranks that
    have the same ones), ``log`` the file Caffe's log is appended to (a temporary one by default,
    removed when all went well). ``processes``: more than 1 starts that many processes, which all
    call the target and find each other by `ranks.here`; rank 0's result counts. A process that
    mpirun or srun started is a rank already. Returns what the function returns; raises MaapError
    for its errors, and Stopped.
    """
    need_ranks(processes)
    if launched() is not None:
        processes = 1
    temporary = log is None
    if log is None:
        handle, name = tempfile.mkstemp(prefix="maap-", suffix=".log")
        os.close(handle)
        log = Path(name)
    crew = Crew(processes, threads, log)
    with _passing_signals_to(crew):
        crew.start((target, args, debug))
        end = crew.listen()
    outcome = end.outcome
    if temporary and (outcome is None or outcome[0] not in ("bug", "caffe")) and end.code == 0:
        log.unlink(missing_ok=True)  # a clean-up of /tmp may have been faster
    if processes > 1 and crew.signals and (outcome is None or outcome[0] != "result"):
        end = _own_error(crew) or end
        outcome = end.outcome
        if outcome is None or outcome[0] not in _OWN:
            raise _stopped_together(crew)
    stopped_by = _stopped_by(end.code, crew)
    if outcome is None and stopped_by is not None:
        raise Stopped("stopped at once, without a snapshot", stopped_by)
    if outcome is None:
        raise MaapError(_how_it_ended(end, crew))
    kind, value = outcome
    if kind == "result":
        return value
    if kind == "stopped":
        raise Stopped(*value)
    if kind == "caffe":
        who = "" if value.startswith("rank ") else "Caffe stopped: "
        raise MaapError(f"{who}{value}{_hint(value)}\nlog: {end.member.log}")
    raise MaapError(value if kind == "error" else f"{value}\nlog: {end.member.log}")


_OWN = ("error", "bug")  # outcomes that are never the echo of another rank's end


def _own_error(crew: Crew) -> Optional[End]:
    """How a rank ended that failed by itself, while all were told to stop; None: none did."""
    found = (each for each in crew.members if each.outcome is not None and each.outcome[0] in _OWN)
    return next((End(each, 1) for each in found), None)


def _stopped_by(code: int, crew: Crew) -> Optional[int]:
    """The signal that a status is of: a second one, or one that was passed on before the child
    could take it; None: it is of none."""
    if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        return code - 128
    return -code if -code in crew.signals else None


def _stopped_together(crew: Crew) -> Stopped:
    """What a stop of several ranks has to say: rank 0's words, where it came to them."""
    outcomes = [each.outcome for each in crew.members]
    said = next((each[1] for each in outcomes if each is not None and each[0] == "stopped"), None)
    return Stopped(*said) if said else Stopped("stopped at once", crew.signals[0])


@contextmanager
def _passing_signals_to(crew: Crew) -> Iterator[None]:
    """Pass stop signals to the child or the ranks, and suspend and continue with them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: Optional[FrameType]) -> None:
        crew.send(signal.SIGTERM if number == signal.SIGHUP else number)

    def suspend(number: int, frame: Optional[FrameType]) -> None:
        crew.send(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        crew.send(signal.SIGCONT)

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


def _how_it_ended(end: End, crew: Crew) -> str:
    log, code = end.member.log, end.code
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 65536))
        text = stream.read().decode("utf-8", "replace")
    who = "the work"
    if crew.size > 1:
        who = f"rank {end.member.rank} of {crew.size}"
        number = signal_of(end.member.rank, crew.log.read_text("utf-8", "replace"))
        code = -(number or signal.SIGKILL)  # mpirun says nothing where it was ended first
    if code == -signal.SIGKILL:
        return f"{who} was killed from outside; if the memory was full, use a smaller --batch"
    said = fatal_message(text) if code == -signal.SIGABRT else None
    if said:
        return f"Caffe stopped: {said}{_hint(said)}\nlog: {log}"
    how = signal.Signals(-code).name if code < 0 else f"status {code}"
    who = "the working process" if crew.size == 1 else who
    return f"{who} ended with {how}\nlog: {log}"


# ---- the child's side ---------------------------------------------------------------------------


class _Side:
    """The child's connection to its parent; a process has one."""

    connection: Optional[Connection] = None
    deferred = False  # a signal is noted, not raised
    wanted: Optional[int] = None
    agreed = False  # all ranks stop, after the same iteration
    log = ""  # the file that descriptor 2 is


def stop_wanted() -> Optional[int]:
    """The signal that asked this process to stop, or None."""
    return _Side.wanted


def stopping_together() -> None:
    """All ranks know that they stop now. So one that has done its part waits for the others, where
    it would end them: rank 0 may still write a snapshot."""
    _Side.agreed = True


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
    """Append what Caffe logs to a file. Does nothing in a process that `call` did not start, nor in
    a rank other than the first."""
    if _Side.connection is None or not ranks.first():
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
    where, parent, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    place = launched()
    if where.isdigit():
        die_with_parent(parent)
        connection = Connection(int(where))
        if place is not None:
            sys.stdout = _PassedOn(sys.stdout.buffer, line_buffering=True)
    else:
        connection = _connected_rank(where, place)
    if place is not None and not place.first:
        stay_silent()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), 2)
    try:
        target, args, debug = connection.recv()
    except EOFError:  # a stop came before there was a job
        os._exit(1)
    if not where.isdigit():
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    _Side.connection, _Side.log = connection, log
    outcome = _outcome(target, args, debug)
    _Side.deferred = True
    status = 0 if outcome[0] == "result" or _stops_in_step(outcome) else 1
    try:
        connection.send(outcome)
        sys.stdout.flush()
        if ranks.here().size > 1:
            _leave(outcome)
            ranks.end(status)
    finally:
        # Without the interpreter's tear-down: Caffe's static destructors have nothing to save, and
        # a helper process may still be winding up.
        os._exit(status)


class _PassedOn(io.TextIOWrapper):
    """Standard output that mpirun passes on: it looks like a terminal, and may end in a file."""

    def isatty(self) -> bool:
        return False


def _connected_rank(address: str, place: Optional[Place]) -> Connection:
    """A rank's connection to the process that started mpirun, whose output it writes to."""
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(address)
    for number, given in enumerate(socket.recv_fds(connected, 1, 2)[1], 1):
        os.dup2(given, number)
        os.close(given)
    connection = Connection(connected.detach())
    connection.send((place.rank if place is not None else 0, os.getpid()))
    return connection


def _end_with(connection: Connection) -> None:
    """A rank ends at once when the process that started mpirun ends, or has had enough."""
    while True:
        try:
            connection.recv()
        except (EOFError, OSError):
            os._exit(1)


def _leave(outcome: tuple[str, Any]) -> None:
    """Tell the other ranks that this one is done or has failed."""
    if outcome[0] != "result" and not _stops_in_step(outcome):
        value = outcome[1][0] if outcome[0] == "stopped" else str(outcome[1]).split("\n")[0]
        ranks.here().abort(f"rank {ranks.here().rank}: {value}")
    ranks.leave()


def _stops_in_step(outcome: tuple[str, Any]) -> bool:
    """Whether this is a stop that all ranks have agreed on."""
    return outcome[0] == "stopped" and _Side.agreed


def _outcome(target: str, args: list[Any], debug: bool) -> tuple[str, Any]:
    module, function = target.split(":")
    try:
        ranks.join()
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
