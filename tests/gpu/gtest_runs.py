"""Runs googletest's tests on a GPU, many in a process, each judged as if it had one of its own.

After a failed kernel a process cannot use the GPU any more, so all its later tests fail as well; a
crash or an endless loop ends it. Therefore only the first failure of a process counts. What failed
after it, or was not reached, runs again in another process.
"""

from __future__ import annotations

import concurrent.futures
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from subprocess import CompletedProcess

ENDED = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (\S+?),? ", re.M)
STARTED = re.compile(r"^\[ RUN +\] (\S+)$", re.M)

#: Starts the test program with arguments, a time limit in seconds and a folder to work in.
Start = Callable[[Sequence[str], float, str], "CompletedProcess[str]"]


@dataclass
class Outcome:
    """What became of each test, by name."""

    passed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)  # test and output
    not_run: list[str] = field(default_factory=list)  # for lack of time
    processes: int = 0

    def add(self, other: Outcome) -> None:
        for name in ("passed", "skipped", "failures", "not_run"):
            getattr(self, name).extend(getattr(other, name))
        self.processes += other.processes


def list_tests(text: str) -> list[str]:
    """The names in the output of --gtest_list_tests."""
    names, suite = [], ""
    for line in text.splitlines():
        word = line.split("#")[0].strip()
        if not line.startswith(" "):
            suite = word
        elif word:
            names.append(suite + word)
    return names


def run_in_one(start: Start, names: list[str], limit: float) -> tuple[Outcome, list[str]]:
    """Runs tests in one process; the tests that must run again come second."""
    with tempfile.TemporaryDirectory() as folder:
        done = start(["--gtest_filter=" + ":".join(names)], limit, folder)
    ended = {name: how for how, name in ENDED.findall(done.stdout)}
    outcome = Outcome(processes=1)
    outcome.passed = [n for n in names if ended.get(n) == "OK"]
    outcome.skipped = [n for n in names if ended.get(n) == "SKIPPED"]
    left = [n for n in names if ended.get(n) not in ("OK", "SKIPPED")]
    culprits = [n for n in STARTED.findall(done.stdout) if n in left] or left
    if culprits:
        first = culprits[0]
        text = output_of(first, done.stdout) + f"\nexit status {done.returncode}\n{done.stderr}"
        outcome.failures = [{"test": first, "output": text[-1500:]}]
        left.remove(first)
    return outcome, left


def output_of(test: str, text: str) -> str:
    """What a test printed."""
    after = text.partition(f"[ RUN      ] {test}\n")[2]
    return re.split(r"^\[ (?:RUN|     OK|-----)", after, maxsplit=1, flags=re.M)[0]


def run_share(start: Start, names: list[str], deadline: float, limit: float) -> Outcome:
    """Runs tests in as many processes, one after the other, as failures demand."""
    total = Outcome()
    while names:
        seconds = min(limit, deadline - time.monotonic())
        if seconds < 1:
            total.not_run.extend(names)
            break
        before = time.monotonic()
        outcome, names = run_in_one(start, names, seconds)
        if outcome.failures and time.monotonic() >= deadline and before + limit > deadline:
            # The time was over, which is not the test's fault.
            names = [failure["test"] for failure in outcome.failures] + names
            outcome.failures = []
        total.add(outcome)
    return total


def run_tests(
    start: Start, names: list[str], deadline: float, workers: int, limit: float = 90
) -> Outcome:
    """Runs tests in `workers` processes at a time, until the deadline (of time.monotonic).

    A process has `limit` seconds; a test in which it is still then has failed.
    """
    shares = [names[i::workers] for i in range(workers)]
    total = Outcome()
    with concurrent.futures.ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(run_share, start, s, deadline, limit) for s in shares if s]
        for future in futures:
            total.add(future.result())
    return total
