"""What ``maap train`` does: the paper's Algorithm 1.

    phase 1     train the net on the original images (with Enhancement: laap, maap)
    rewrite N   every training image becomes what the net attends to in it (haap, maap)
    phase N+1   train on, from the weights before, on the rewritten images; --rounds repeats
                (--haap online: one phase 2, whose net changes each batch itself; online.py)
    evaluation  accuracy on the original test images, how well the regions sit
    report      report.html

`train` may be called from a program or a notebook: the work happens in a child process
(supervise.py), and errors arrive as MaapError. A run is a list of stages in ``state.json``; a stage
that is done is never done again, one that was interrupted goes on where its own files say.
"""

import dataclasses
import gc
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from maap.config import check as settings
from maap.config.fields import FIELDS, TrainConfig
from maap.errors import MaapError
from maap.runs.run import Run, default_name, find_run, free_name, run_at, unfinished


@dataclass(frozen=True)
class RunResult:
    """A finished run. Shares are 0 to 1; ``evaluation`` is the content of evaluation.json."""

    name: str
    folder: Path
    top1: float
    top5: float
    evaluation: dict[str, Any]
    report: Path


# ---- from outside -------------------------------------------------------------------------------


def train(
    config: TrainConfig, given: Optional[Mapping[str, Any]] = None, debug: bool = False
) -> RunResult:
    """Train as ``config`` says, or go on with a run (``resume=True``).

    ``given``: which settings were set by hand (default: those that are not TrainConfig's defaults);
    on a resume they must not contradict the run's. Raises MaapError, and supervise.Stopped after
    Ctrl-C, with a snapshot taken.
    """
    from maap.host.supervise import call

    config = settings.validate(config)
    if given is None:
        given = {
            n: getattr(config, n) for n, f in FIELDS.items() if getattr(config, n) != f.default
        }
    config = _with_donor_named(config)
    run = locate(config, given)
    threads = given.get("threads")
    if threads is None and run.exists:
        threads = run.config().threads
    config = dataclasses.replace(config, name=run.name)
    return call("maap.training.train:work", config, dict(given), threads=threads, debug=debug)


def _with_donor_named(config: TrainConfig) -> TrainConfig:
    """``phase1_from`` as a name in runs_dir, or as a path that holds in any folder."""
    donor = run_at(Path(config.runs_dir), config.phase1_from or "")
    if donor is None:
        return config  # the child says what is wrong
    beside = donor.folder.parent.resolve() == Path(config.runs_dir).resolve()
    named = donor.name if beside else str(donor.folder.resolve())
    return dataclasses.replace(config, phase1_from=named)


def locate(config: TrainConfig, given: Mapping[str, Any]) -> Run:
    """The run folder to work in. Raises MaapError when a name is taken, or is no run to resume."""
    from maap.util.progress import say

    runs_dir = Path(config.runs_dir)
    if config.name is not None:
        run = Run(runs_dir / config.name)
        if run.exists and not config.resume:
            raise MaapError(
                f"run {run.name} exists in {runs_dir}; go on with it (--resume) or give another "
                "--name"
            )
        if not run.exists and config.resume and "net" not in given:
            return find_run(runs_dir, config.name)
        return run
    base = default_name(config)
    waiting = unfinished(runs_dir, base)
    if config.resume:
        if waiting:
            return waiting[0]
        return Run(runs_dir / base)
    if waiting:
        say(f"(run {waiting[0].name} is not finished: maap train --resume {waiting[0].name})")
    return Run(runs_dir / free_name(runs_dir, base))


# ---- in the child -------------------------------------------------------------------------------


def work(config: TrainConfig, given: Mapping[str, Any]) -> RunResult:
    """Set the run up, or find how far it came, and do its stages. Called by `train` in a child."""
    from maap.host.supervise import Stopped, caffe_log

    run = Run(Path(config.runs_dir).resolve() / str(config.name))
    if not run.exists:  # a misspelt name should leave no folder behind
        _check_names(config)
    run.lock()
    with caffe_log(run.folder / "log"):
        run.clean()
        try:
            config = _resumed(run, given) if run.exists else _new(run, config)
            return Work(run, config).all_stages()
        except (Stopped, KeyboardInterrupt) as stopped:
            text = str(stopped) or "stopped"
            raise Stopped(f"{text}; go on with: maap train --resume {run.name}") from None
        finally:
            run.unlock()


def _check_names(config: TrainConfig) -> None:
    from maap.data.find import check_data_name
    from maap.nets.folder import find_net
    from maap.weights import published

    if config.phase1_from is not None:
        find_run(Path(config.runs_dir), config.phase1_from)
    if config.tensorboard:
        from maap.runs.tensorboard import check_library

        check_library()
    files = find_net(config.net)
    files.train_val(config.laap, config.dropout_after)
    files.solver(config.laap, 1), files.deploy(config.laap)
    check_data_name(config.data)
    if config.weights is not None:
        published.check_word(config.weights, config.net)


def _new(run: Run, config: TrainConfig) -> TrainConfig:
    from maap.data.find import data_for
    from maap.training.prepare import set_up
    from maap.util.progress import say

    say(f"run {run.name}: {run.folder}")
    started = time.monotonic()
    config, dataset = data_for(config)
    return set_up(run, config, dataset, time.monotonic() - started)


def _resumed(run: Run, given: Mapping[str, Any]) -> TrainConfig:
    from maap.util.progress import say

    stored = run.config()
    wrong = settings.contradictions(stored, given)
    if wrong:
        raise MaapError(
            f"run {run.name} was begun with other settings: {'; '.join(wrong)}; leave these out, "
            "or start a new run with another --name"
        )
    say(f"run {run.name}: resuming in {run.folder}")
    changed = {n: given[n] for n in given if FIELDS[n].metadata["may_change"] and n != "runs_dir"}
    return dataclasses.replace(stored, **dict(changed, resume=False))


class Work:
    """The stages of one run, from where it stands."""

    def __init__(self, run: Run, config: TrainConfig) -> None:
        from maap.host import loader
        from maap.runs import feed
        from maap.runs.tensorboard import check_library

        if config.tensorboard:
            check_library()
        self.run, self.config = run, config
        self.state = run.state()
        self.data = feed.open_data(self.state)
        self.caffe = loader.load(config.host)
        loader.set_device(self.caffe, config.gpu)
        self.test_transform = feed.transform(run, self.state, "TEST")

    def all_stages(self) -> RunResult:
        """Do what is not done; the result of the whole run."""
        kinds: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "train": self.train,
            "rewrite": self.rewrite,
            "evaluation": self.evaluate,
            "report": self.report,
        }
        self._note_lost()
        for stage in self.state["stages"]:
            if stage["status"] == "done":
                continue
            started = time.monotonic()
            stage["status"] = "running"
            self.run.write_state(self.state)
            found = kinds[stage["kind"]](stage)
            if "iteration" not in found:  # a training phase adds up its own seconds
                stage["seconds"] += time.monotonic() - started
            stage.update(found, status="done")
            self.run.write_state(self.state)
            gc.collect()  # a solver holds three times the weights
        return self.result()

    def _note_lost(self) -> None:
        """Have those stages done again whose results somebody has removed."""
        from maap.runs.stages import lost
        from maap.util.progress import say

        gone = lost(self.run.folder, self.state["stages"])
        for stage in self.state["stages"]:
            if stage["name"] in gone:
                say(f"{', '.join(gone[stage['name']])}: gone, so {stage['name']} is done again")
                stage["status"] = "pending"
                if stage["kind"] == "rewrite":  # or what is left of it would pass for a whole one
                    shutil.rmtree(self.run.folder / stage["name"], ignore_errors=True)

    def stages(self, kind: str) -> Any:
        """The stages of a kind, in order."""
        return [stage for stage in self.state["stages"] if stage["kind"] == kind]

    def weights(self, phase: int) -> Path:
        """The weights at the end of a phase."""
        return self.run.folder / f"phase{phase}" / "final.caffemodel"

    # ---- one method a kind of stage ----

    def train(self, stage: dict[str, Any]) -> dict[str, Any]:
        """A training phase: on the original images first, then on the rewritten ones."""
        from maap.training import phase as phases

        if stage["number"] == 1 and self.config.phase1_from is not None:
            return self._shared_phase1()

        def snapshot_taken(iteration: int, seconds: float) -> None:
            stage["seconds"] += seconds
            stage["iteration"] = iteration
            self.run.write_state(self.state)

        folder = self.run.folder / stage["name"]
        settings = self.phase_settings(stage)
        return phases.run_phase(folder, settings, self.caffe, snapshot_taken)

    def _shared_phase1(self) -> dict[str, Any]:
        from maap.training.sharing import take_phase1
        from maap.util.progress import say

        found = take_phase1(self.run, self.config, self.state)
        say(f"phase 1: taken from run {self.config.phase1_from}, {found['iteration']} iterations")
        return found

    def phase_settings(self, stage: dict[str, Any]) -> Any:
        """What `phases.run_phase` needs for a training stage."""
        from maap.data.feeder import Feeder
        from maap.data.store import Split
        from maap.runs import feed
        from maap.training import phase as phases

        config, number = self.config, stage["number"]
        original = number == 1 or config.online
        folder = self.data.folder if original else self.run.folder / f"rewrite{number - 1}"
        images = Split.open(folder, "train")
        how = feed.transform(self.run, self.state, "TRAIN")
        seed = phases.seed_of(config.seed, stage["name"], "images")
        return phases.PhaseSettings(
            name=stage["name"],
            title=stage["title"],
            seed=config.seed,
            max_iter=_known(config.max_iter if number == 1 else config.phase2_iter, "max_iter"),
            snapshot=config.snapshot or 0,
            window=config.converge_window or 1,
            fraction=config.converge_fraction or 0.0,
            feed=lambda start: Feeder(images, how, int(config.batch or 1), seed, start),
            iter_size=config.iter_size or 1,
            start_from=self._start_from(number),
            test_interval=config.test_interval,
            test=self._accuracy,
            events=self.run.folder / "tensorboard" / stage["name"] if config.tensorboard else None,
        )

    def _start_from(self, number: int) -> Optional[Path]:
        from maap.util.files import file_sha256

        if number > 1:
            return self.weights(number - 1)
        noted = self.state["weights"]
        if noted is None:
            return None
        path = Path(noted["path"])
        if not path.is_file() or file_sha256(path) != noted["sha256"]:
            raise MaapError(f"{path}: not the weights the run began with; put them back")
        return path

    def _accuracy(self, weights: Path) -> tuple[float, float]:
        from maap.measure.classify import evaluate

        net, images = self.run.folder / "deploy.prototxt", self.data.split("test")
        batch, gpu = int(self.config.batch or 1), self.config.gpu
        found = evaluate(net, weights, images, self.test_transform, batch, gpu=gpu)
        return found["top1"], found["top5"]

    def rewrite(self, stage: dict[str, Any]) -> dict[str, Any]:
        """Every training image as the newest net attends to it."""
        from maap.host.supervise import caffe_log
        from maap.rewrite.rewrite import rewrite

        with caffe_log(self.run.folder / f"{stage['name']}.log"):
            made = rewrite(
                self.data.split("train"),
                self.run.folder / stage["name"],
                self.run.folder / "rewrite.prototxt",
                self.weights(stage["number"]),
                self.config.a_star,
                self.test_transform,
                int(self.config.batch or 1),
                gpu=self.config.gpu,
            )
        return dict(count=made.count, fallbacks=made.fallbacks)

    def evaluate(self, stage: dict[str, Any]) -> dict[str, Any]:
        """The original test images through every phase's net, and the regions of the last one."""
        from maap.host.supervise import caffe_log
        from maap.measure.evaluation import evaluate_run

        with caffe_log(self.run.folder / "evaluation.log"):
            found = evaluate_run(self)
        if self.config.tensorboard:
            from maap.runs.tensorboard import write_run

            write_run(self.run.folder, found)
        return {}

    def report(self, stage: dict[str, Any]) -> dict[str, Any]:
        """report.html from what lies in the run folder."""
        from maap.report.page import write_report

        write_report(self.run.folder)
        return {}

    def result(self) -> RunResult:
        """What the finished run found."""
        path = self.run.folder / "evaluation.json"
        try:
            evaluation = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise MaapError(
                f"{path}: damaged; remove it and measure again: maap train --resume {self.run.name}"
            ) from None
        last = evaluation["phases"][-1]
        return RunResult(
            name=self.run.name,
            folder=self.run.folder,
            top1=last["top1"],
            top5=last["top5"],
            evaluation=evaluation,
            report=self.run.folder / "report.html",
        )


def _known(value: Optional[int], name: str) -> int:
    if value is None:
        raise MaapError(f"neither the settings nor the solver file say {name}; give one")
    return value
