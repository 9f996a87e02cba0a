"""Processes that take turns, so that a disturbance of the machine affects all of them alike.

A `Worker` starts this benchmark's own program in the interpreter of one of the programs that are
compared, writes commands to it as lines and reads answers as JSON; `answer` is the other end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import machine

RUN = str(machine.ROOT / "tools/engine/run")
ENGINE = [RUN, "python3"]


def interpreter(program: str, torch: str | None = None) -> list[str]:
    """The words that start Python for a program: "bvlc", "torch", or anything of the engine's.

    ``torch`` is a Python that has PyTorch; None: that of tools/engine/torch, with PyTorch's own way
    of waiting, as its users have it.
    """
    if program == "bvlc":
        return [*machine.bvlc(), "python3"]
    if program == "torch":
        own_waiting = ["env", "-u", "OMP_WAIT_POLICY", "-u", "GOMP_SPINCOUNT"]
        return [torch] if torch else ["env", "MAAP_TORCH=1", RUN, *own_waiting, "python3"]
    return ENGINE


def has_bvlc() -> bool:
    """Whether the BVLC host is there."""
    make_root = str(machine.ROOT / "tools/host/make_root")
    return subprocess.run([make_root, "--path"], stdout=subprocess.DEVNULL).returncode == 0


def has_torch() -> bool:
    """Whether tools/engine/torch has installed PyTorch."""
    install = str(machine.ROOT / "tools/engine/torch")
    return subprocess.run([install, "--path"], stdout=subprocess.DEVNULL).returncode == 0


class Worker:
    """A process of one program.

    ``environment``: further variables; the value None takes one away.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        threads: int,
        environment: Mapping[str, str | None] | None = None,
    ) -> None:
        self.name = name
        counts = {key: str(threads) for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        usual = {"OMP_WAIT_POLICY": "passive", "GLOG_minloglevel": "2"}
        wanted = {**os.environ, **usual, **counts, **(environment or {})}
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in wanted.items() if value is not None},
        )

    def ask(self, *words: object) -> Any:
        """The answer to a command. Exits when the process has ended."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"{self.name}: the process ended; its error message is above")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def answer(commands: Mapping[str, Callable[..., Any]]) -> None:
    """In a worker: answers commands, with their words as arguments, until the input ends."""
    for line in sys.stdin:
        command, *words = line.split()
        print(json.dumps(commands[command](*words)), flush=True)
