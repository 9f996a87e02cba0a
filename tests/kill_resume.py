#!/usr/bin/env python3
"""Kills a training at random moments and compares the result with an uninterrupted run.

    python3 tests/kill_resume.py                         the tests' small net, ten kills
    python3 tests/kill_resume.py --net alexnet --data demo --max-iter 20 --phase2-iter 10

Each kill is a SIGKILL: of the command and, through the kernel, of all it started, or of the working
process alone. Moments are drawn over the whole run, every stage at least once. After the last kill
the run is resumed to its end; the weights and curves of every phase, the rewritten data set and the
evaluation must equal the uninterrupted run's, byte for byte, and nothing half-written may be left.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Optional

REPO = Path(__file__).resolve().parents[1]
STARTING = "set-up"


class Moment(NamedTuple):
    """``after`` seconds into a stage."""

    stage: str
    after: float


class Trial:
    """The same training twice: once uninterrupted, once killed repeatedly."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self.random = random.Random(options.seed)
        self.name = ""  # of the run being killed
        self.data = options.data
        if self.data is None:
            import mini_data

            self.data = str(mini_data.make(work / "images"))
        self.environment = dict(os.environ, XDG_CACHE_HOME=str(work / "cache"))
        if options.data == "demo":
            self.environment.pop("XDG_CACHE_HOME")

    def command(self, name: str) -> list[str]:
        options = self.options
        words = ["train", options.net, "--data", self.data, "--name", name, "--resume"]
        words += ["--runs-dir", str(self.work / "runs"), "--seed", "5", "--threads", "1"]
        words += ["--max-iter", str(options.max_iter), "--phase2-iter", str(options.phase2_iter)]
        words += ["--snapshot", str(options.snapshot), "--batch", str(options.batch)]
        if options.data is None:
            words += ["--image-size", "64"]
        return [sys.executable, "-m", "maap", *words]

    def start(self, name: str) -> "subprocess.Popen[str]":
        with (self.work / f"{name}.out").open("a") as log:
            return subprocess.Popen(
                self.command(name),
                cwd=self.work,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                universal_newlines=True,
            )

    def folder(self, name: str) -> Path:
        return self.work / "runs" / name

    # ---- killing ----

    def moments(self, count: int) -> list[Moment]:
        """Random moments of the uninterrupted run, in order, in every stage if there are enough."""
        state = json.loads((self.folder("whole") / "state.json").read_text())
        spans = [(stage["name"], max(stage["seconds"], 0.2)) for stage in state["stages"]]
        spans = [(STARTING, 1.0)] + [span for span in spans if span[0] != "report"]
        names = [name for name, _ in spans]
        weights = [seconds for _, seconds in spans]
        drawn = names + self.random.choices(names, weights, k=max(0, count - len(names)))
        drawn = drawn if count >= len(names) else self.random.sample(names, count)
        longest = dict(spans)
        drawn.sort(key=names.index)
        return [Moment(name, self.random.uniform(0, 0.5 * longest[name])) for name in drawn]

    def kill_at(self, moment: Moment) -> Optional[str]:
        """Start or resume, and kill at that moment; None if the stage ended earlier."""
        process = self.start(self.name)
        begun = time.monotonic()
        while process.poll() is None:
            stage = self.running_stage()
            if moment.stage in (STARTING, stage):
                break
            if time.monotonic() - begun > 600:
                process.kill()
                raise SystemExit(f"{moment.stage} does not come; see {self.work}/{self.name}.out")
            time.sleep(0.01)
        time.sleep(moment.after)
        if process.poll() is not None:
            return None
        victim = self.random.choice(["all", "worker"])
        stage = self.running_stage() or STARTING
        self.kill(process, victim)
        process.wait()
        return f"{stage} ({victim})"

    def kill(self, process: "subprocess.Popen[str]", victim: str) -> None:
        if victim == "worker":
            try:
                os.kill(int((self.folder(self.name) / ".lock").read_text()), signal.SIGKILL)
                return
            except (OSError, ValueError):
                pass  # none yet
        os.killpg(process.pid, signal.SIGKILL)

    def running_stage(self) -> Optional[str]:
        try:
            state = json.loads((self.folder(self.name) / "state.json").read_text())
            done = [stage for stage in state["stages"] if stage["status"] == "running"]
            return done[0]["name"] if done else None
        except (OSError, ValueError):
            return None

    # ---- comparing ----

    def differences(self) -> list[str]:
        """The differences between the two runs, and files left half-written."""
        whole, killed = self.folder("whole"), self.folder(self.name)
        names = ["deploy.prototxt", "rewrite.prototxt"]
        for path in sorted(whole.glob("phase*")):
            names += [f"{path.name}/{name}" for name in ("final.caffemodel", "metrics.csv")]
            last = next((path / "snapshots").glob("*/*.solverstate"))
            names.append(str(last.relative_to(whole)))
        for path in sorted(whole.glob("rewrite[0-9]")):
            names += [f"{path.name}/{name}" for name in ("regions.csv", "train.csv")]
        wrong = [name for name in names if not _same(whole / name, killed / name)]
        for path in sorted(whole.glob("rewrite[0-9]")):
            if _records(path) != _records(killed / path.name):
                wrong.append(f"{path.name}/train_lmdb")
        if _evaluation(whole) != _evaluation(killed):
            wrong.append("evaluation.json")
        if not (killed / "report.html").is_file():
            wrong.append("report.html is missing")
        leftovers = [p for p in killed.rglob("*partial*") if not p.name.endswith(".lock")]
        return wrong + [f"left over: {path}" for path in leftovers]

    def run(self) -> int:
        """The exit status: 0 if everything is equal."""
        if self.start("whole").wait() != 0:
            print((self.work / "whole.out").read_text())
            return 1
        hits = wrong = 0
        while hits < self.options.kills and not wrong:
            self.name = f"killed{hits}"
            hits += self.kill_often(self.options.kills - hits)
            status = self.start(self.name).wait()
            found = self.differences() if status == 0 else [f"the last resume ended with {status}"]
            print(f"{hits} kills: {', '.join(found) if found else 'all bytes equal'}", flush=True)
            if status != 0:
                print((self.work / f"{self.name}.out").read_text())
            wrong += len(found)
        return 1 if wrong else 0

    def kill_often(self, count: int) -> int:
        """Kill a run at up to ``count`` moments; how many were before its end."""
        hits = 0
        for moment in self.moments(count):
            where = self.kill_at(moment)
            if where is not None:
                hits += 1
                print(f"killed in {where}", flush=True)
        return hits


def _same(left: Path, right: Path) -> bool:
    return left.is_file() and right.is_file() and left.read_bytes() == right.read_bytes()


def _records(folder: Path) -> Any:
    import lmdb

    if not (folder / "train_lmdb").is_dir():
        return None
    path = str(folder / "train_lmdb")
    with lmdb.open(path, readonly=True, lock=False) as opened, opened.begin() as transaction:
        return list(transaction.cursor())


def _evaluation(folder: Path) -> Any:
    """evaluation.json without measured times."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(each) for key, each in value.items() if key != "seconds"}
        return [timeless(each) for each in value] if isinstance(value, list) else value

    return timeless(json.loads((folder / "evaluation.json").read_text()))


def main(arguments: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--net", default=str(REPO / "tests" / "nets" / "tiny"))
    parser.add_argument("--data", help="as for maap train; default: a miniature set")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    parser.add_argument("--max-iter", type=int, default=60)
    parser.add_argument("--phase2-iter", type=int, default=40)
    parser.add_argument("--snapshot", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(REPO / "tests"))
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return Trial(options, Path(folder)).run()


if __name__ == "__main__":
    sys.exit(main())
