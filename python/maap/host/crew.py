"""The processes that do a command's work, seen from the one that started them: one child, or the
ranks that ``mpirun`` starts on this machine.

Each process has a connection to this one. A child inherits it; a rank, whose parent is mpirun,
connects to a socket in a folder of ours, is sent our standard output and error by it, and ends when
it closes. So what a rank says, and that it died, is seen at once, whatever mpirun does.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn, Optional

from maap.errors import MaapError, Stopped
from maap.host.launched import launched, mpirun, threads_each

Outcome = tuple[str, Any]  # (kind, value), see supervise._outcome
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_OPEN_TO_CHANGE = "CAFFE_DEFAULT_THREADS"  # the settings above are no choice of the user's
_GOOD = ("result", "stopped")
# Seconds that ranks have to end in: after each has said what it found, and after one failed.
ENDING, ENDING_FAILED = 20.0, 2.0
_CODE = "from maap.host.supervise import _child; _child()"


@dataclass
class Member:
    """One of the processes. ``log``: the file that its Caffe logs to now."""

    rank: int
    pid: int
    connection: Connection
    log: Path
    outcome: Optional[Outcome] = None


@dataclass(frozen=True)
class End:
    """How the work ended. ``member``: whose outcome it is; without an outcome, who died."""

    member: Member
    code: int

    @property
    def outcome(self) -> Optional[Outcome]:
        return self.member.outcome


class Crew:
    """``size`` processes that do the same work; ``log``: the file that Caffe's log goes to first;
    ``threads``: of each, None: nobody chose.

    `start`, then `listen` until the end. `send` passes a signal on.
    """

    def __init__(self, size: int, threads: Optional[int], log: Path) -> None:
        self.size, self.threads, self.log = size, threads, log
        self.members: list[Member] = []
        self.signals: list[int] = []  # passed on so far
        self._started: Optional[subprocess.Popen] = None  # mpirun, or the one child

    def start(self, job: tuple) -> None:
        """Start the processes and give each the job: (target, args, debug). Raises MaapError where
        mpirun does not start them, and Stopped."""
        if self.size == 1:
            self.members = [self._child()]
        else:
            self.members = self._ranks()
        if self.signals:  # of the time before there was somebody to pass them on to
            self._stop_at_once(self.members)
        for member in self.members:
            member.connection.send(job)

    @property
    def _process(self) -> subprocess.Popen:
        assert self._started is not None
        return self._started

    def _stop_at_once(self, members: list[Member]) -> NoReturn:
        """End processes that have no job yet; raises Stopped."""
        if self.size == 1:
            self._process.kill()
        self._end_all(members, 0.0)
        raise Stopped("stopped at once, without a snapshot", self.signals[0])

    def _environment(self, base: Mapping[str, str]) -> dict[str, str]:
        threads = self.threads or threads_each(self.size)
        own = {name: str(threads) for name in THREAD_SETTINGS}
        if self.threads is None and launched() is not None:
            # The launcher may have given each rank cores of its own. The engine sees who shares
            # them (caffe/parallel/mpi.cpp), and divides them.
            own[_OPEN_TO_CHANGE] = "1"
        path = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
        kept = {name: value for name, value in base.items() if name != _OPEN_TO_CHANGE}
        return {**kept, **own, "PYTHONPATH": path}

    def _child(self) -> Member:
        ours, theirs = socket.socketpair()
        self._started = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(theirs.fileno()), str(os.getpid()), str(self.log)],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=self._environment(os.environ),
            start_new_session=True,  # so that a terminal's Ctrl-C reaches it once: through us
        )
        theirs.close()
        return Member(0, self._process.pid, Connection(ours.detach()), self.log)

    # ---- ranks ----

    def _ranks(self) -> list[Member]:
        with tempfile.TemporaryDirectory(prefix="maap-ranks-") as folder:
            address = str(Path(folder) / "s")
            with socket.socket(socket.AF_UNIX) as listener, self.log.open("ab") as log:
                listener.bind(address)
                listener.listen(self.size)
                child = [sys.executable, "-c", _CODE, address, str(os.getpid()), str(self.log)]
                command, environment = mpirun(self.size, child)
                self._started = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment(environment),
                    start_new_session=True,
                )
                listener.settimeout(0.2)
                return self._connected(listener)

    def _connected(self, listener: socket.socket) -> list[Member]:
        """All ranks, by their number, once each has connected."""
        members: list[Member] = []
        while len(members) < self.size:
            if self.signals:
                self._stop_at_once(members)
            if self._process.poll() is not None:
                self._end_all(members, 0.0)
                raise MaapError(
                    f"mpirun could not start {self.size} ranks ({_last_lines(self.log)})\n"
                    f"log: {self.log}"
                )
            try:
                connected, _ = listener.accept()
            except socket.timeout:  # noqa: UP041  another class in Python 3.9
                continue
            connected.settimeout(None)
            socket.send_fds(connected, [b"1"], [1, 2])
            connection = Connection(connected.detach())
            try:
                rank, pid = connection.recv()
            except EOFError:  # it died; mpirun ends, too
                continue
            members.append(Member(rank, pid, connection, self.log))
        return sorted(members, key=lambda member: member.rank)

    # ---- while they work ----

    def send(self, number: int) -> None:
        """Pass a signal on to all that still work. Before there is a process, it is noted."""
        if number not in (signal.SIGSTOP, signal.SIGCONT):
            self.signals.append(number)
        if self._started is None:
            return
        if self.size == 1:
            if self._process.poll() is None:
                self._process.send_signal(number)
            return
        for member in self.members:
            if not member.connection.closed and self._process.poll() is None:
                _kill(member.pid, number)

    def listen(self) -> End:
        """Waits until all have ended, or one has failed: then the others are ended too."""
        failed: Optional[Member] = None
        open_ones = {member.connection: member for member in self.members}
        while open_ones and failed is None:
            for connection in wait(list(open_ones)):
                member = open_ones[connection]
                if not self._heard(member):
                    del open_ones[connection]
                    if member.outcome is None or member.outcome[0] not in _GOOD:
                        failed = failed or member
        code = self._end_all(self.members, ENDING_FAILED if failed else ENDING)
        return End(failed or self.members[0], code)

    def _heard(self, member: Member) -> bool:
        """Takes what a process says. Returns whether it may say more."""
        try:
            kind, value = member.connection.recv()
        except (EOFError, ConnectionResetError):
            return False
        if kind == "log":
            member.log = Path(value)
            return True
        member.outcome = (kind, value)
        return self.size == 1  # a rank that is done says nothing more

    def _end_all(self, members: list[Member], patience: float) -> int:
        """Waits for the processes to end, and after ``patience`` seconds ends ranks that do not.
        The status of the one child, or of mpirun."""
        if self.size == 1:
            code = self._process.wait()
            for member in members:
                member.connection.close()
            return code
        until = time.monotonic() + patience
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        for member in members:
            member.connection.close()  # a rank that still works ends by it
            if self._process.poll() is None:
                _kill(member.pid, signal.SIGCONT)  # one that was suspended ends as well
        self._stop_mpirun()
        return self._process.wait()

    def _stop_mpirun(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
                try:
                    self._process.wait(timeout=10.0)
                except subprocess.TimeoutExpired:
                    continue


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _last_lines(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip(" -=")]
    return " ".join(" ".join(lines[-4:]).split()) or "it said nothing"


def signal_of(rank: int, log_text: str) -> Optional[int]:
    """The signal that ended a rank, as mpirun (Open MPI) says it; None: it says nothing."""
    found = re.search(rf"process rank {rank} .*?exited on\s+signal (\d+)", log_text, re.S)
    return int(found.group(1)) if found else None
