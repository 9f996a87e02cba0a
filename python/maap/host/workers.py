"""Helper processes that decode and encode images beside Caffe.

Why processes: stock pycaffe holds the interpreter lock during a whole forward or backward pass, so
a thread of the same process would wait just when it should prepare the next batch. Why
not `multiprocessing.Process`: its spawn and forkserver methods run the caller's `__main__` again
in the child, which breaks a notebook or a plain script without an `if __name__ == "__main__"`
guard. Here the child is a fresh interpreter that is told one function by its import path, and a
socket pair to talk over.

A worker never outlives its parent: the kernel is asked to kill it when the parent dies
(PR_SET_PDEATHSIG), and its socket reads end-of-file. It ignores Ctrl-C, which the parent handles.
"""

import contextlib
import ctypes
import importlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable

from maap.errors import MaapError

_PR_SET_PDEATHSIG = 1
_SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the thread that started it ends; `parent` is its
    process id."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


class SharedBlock:
    """Memory shared with workers: an anonymous file (memfd) that both sides map.

    The parent makes it with a size; a worker that was started with its `fd` in `shared` opens it
    by that number. It has no name in any file system, so nothing is left behind however the
    processes end.
    """

    def __init__(self, size: int, fd: int = -1):
        self.size = size
        self.fd = fd if fd >= 0 else os.memfd_create("maap")
        if fd < 0:
            os.ftruncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, size)

    def close(self) -> None:
        """Close the descriptor. The mapping itself ends with the last array that uses it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Worker:
    """One running worker: `send` and `receive` pass small picklable messages in order.

    Messages larger than a socket buffer (about 200 KB) block the sender until the other side
    reads; bulk data belongs in a SharedBlock.
    """

    def __init__(self, name: str, process: subprocess.Popen, connection: Connection):
        self.name = name
        self._process = process
        self._connection = connection

    def send(self, message: Any) -> None:
        """Raises MaapError when the worker is gone."""
        try:
            self._connection.send(message)
        except OSError:
            raise self._gone() from None

    def receive(self) -> Any:
        """Waits for the worker's next message. Raises MaapError when the worker is gone."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise self._gone() from None

    def poll(self, seconds: float = 0.0) -> bool:
        """True when `receive` would not wait."""
        return self._connection.poll(seconds)

    def close(self) -> None:
        """Ends the worker; waits for it."""
        self._connection.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _gone(self) -> MaapError:
        code = self._process.poll()
        how = "is gone" if code is None else f"ended with status {code}"
        return MaapError(
            f"helper process {self.name} {how}; if the machine ran out of memory, use a smaller "
            "batch or fewer workers"
        )


def start(target: str, args: tuple = (), name: str = "", shared: Sequence[int] = ()) -> Worker:
    """Starts `target` ("package.module:function") as function(connection, *args) in a process of
    its own.

    `args` must be picklable; `shared` lists descriptors (SharedBlock.fd) the worker keeps under
    the same numbers. Each worker computes with one thread: the cores belong to Caffe.
    """
    ours, theirs = socket.socketpair()
    environment = dict(os.environ, **{key: "1" for key in _SINGLE_THREADED})
    environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    command = [
        sys.executable,
        "-c",
        "from maap.host.workers import _child; _child()",
        str(theirs.fileno()),
    ]
    process = subprocess.Popen(
        command + [str(os.getpid())],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno(), *shared],
        env=environment,
    )
    theirs.close()
    worker = Worker(name or target, process, Connection(ours.detach()))
    worker.send((target, args))
    return worker


def serve(connection: Connection, handle: Callable[[Any], Any]) -> None:
    """A worker's main loop: answers each message with ("ok", handle(message)) or ("error", text).

    A MaapError's text is passed on as it is; anything else with its traceback, for it is a bug.
    Ends when the parent closes its side.
    """
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        try:
            answer = ("ok", handle(message))
        except MaapError as error:
            answer = ("error", str(error))
        except Exception:  # noqa: BLE001  the parent reports it
            answer = ("error", "a helper process failed:\n" + traceback.format_exc())
        connection.send(answer)


def answer(worker: Worker) -> Any:
    """The result of the oldest message sent to a worker that runs `serve`; its error as
    MaapError."""
    status, value = worker.receive()
    if status != "ok":
        raise MaapError(value)
    return value


def close_all(workers: list[Worker]) -> None:
    """Ends workers; all are told before any is waited for."""
    for worker in workers:
        worker._connection.close()
    for worker in workers:
        worker.close()


def _child() -> None:
    connection_fd, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(connection_fd)
    target, args = connection.recv()
    module, function = target.split(":")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the parent ended first
        getattr(importlib.import_module(module), function)(connection, *args)
