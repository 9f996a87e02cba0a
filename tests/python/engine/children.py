"""Functions that run in a forked child of the test's process."""

import os
import pickle
import signal
import traceback
from typing import Any, Callable

LIMIT = 60  # seconds until a child counts as hanging

work: Callable[[], Any] = bool  # what do_work does; a pool can only be given functions of a module


def do_work(_: Any) -> Any:
    return work()


def start_child(function: Callable[[], Any]) -> Callable[[], Any]:
    """Forks a child that calls the function. The result waits for the child and returns what the
    function did; AssertionError if that raised something, or if the child hangs or dies."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LIMIT)
        try:
            os.close(reading)
            try:
                answer = (True, function())
            except BaseException:  # noqa: BLE001
                answer = (False, traceback.format_exc())
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writing)

    def result() -> Any:
        with os.fdopen(reading, "rb") as pipe:
            answer = pipe.read()
        status = os.waitpid(child, 0)[1]
        assert answer, f"the child ended with status {status} (14: it hung for {LIMIT} s)"
        succeeded, value = pickle.loads(answer)
        assert succeeded, value
        return value

    return result


def in_child(function: Callable[[], Any]) -> Any:
    """What the function returns in a forked child."""
    return start_child(function)()
