"""The work of a training, in the child process: the stages of the paper's Algorithm 1.

    phase 1     train the net on the original images (with Enhancement: laap, maap)
    rewrite N   every training image becomes what the net attends to in it (haap, maap)
    phase N+1   train on, from the weights before, on the rewritten images; --rounds repeats
                (--haap online: one phase 2, whose net changes each batch itself; nets/online.py)
    evaluation  accuracy on the original test images, how well the regions sit
    report      report.html

A run is a list of stages in ``state.json``. A stage that is done is not done again; one that was
interrupted continues from its own files.
"""

import dataclasses
import gc
import shutil
import time
from pathlib import Path
from typing import Optional

from maap.config import check as settings
from maap.config.fields import FIELDS, TrainConfig
from maap.config.resolve import start_of
from maap.config.values import Settings
from maap.data.feeder import Feeder
from maap.data.find import check_data_name, data_for
from maap.data.store import Split
from maap.errors import MaapError
from maap.host import loader, ranks
from maap.host.supervise import Stopped, caffe_log
from maap.measure.classify import measure_accuracy
from maap.measure.evaluation import evaluate_run
from maap.nets.attention_source import check_layer
from maap.nets.folder import find_net
from maap.nets.prototxt import read_net
from maap.report.page import write_report
from maap.rewrite.regions import Regions
from maap.rewrite.rewrite import rewrite
from maap.runs import feed, tensorboard
from maap.runs.evaluation import Evaluation, need_evaluation
from maap.runs.run import REWRITE, Run, finder_of, resume_command
from maap.runs.stages import FINAL, REPORT, lost
from maap.runs.state import Stage
from maap.training.phase import PhaseSettings, run_phase, seed_of
from maap.training.plan import Counts, Plan, speed_so_far, steps
from maap.training.prepare import set_up
from maap.training.sharing import check_donor, take_phase1
from maap.training.train import RunResult
from maap.training.watch import about_accuracy, top1_of_guessing, window_of
from maap.util.files import file_sha256, given_path, remove_empty
from maap.util.progress import Task, followed_by, say
from maap.weights import published


def work(config: TrainConfig, given: Settings) -> RunResult:
    """Set the run up, or find how far it came, and do its stages. Called by `train` in a child; of
    several ranks, in each: rank 0 sets the run up and writes its files."""
    config, given = ranks.shared((config, given))
    size = ranks.here().size
    if size > 1:  # not all launchers say before how many there are
        config, given = dataclasses.replace(config, ranks=size), dict(given, ranks=size)
    if not ranks.first():
        config = ranks.shared(config)  # rank 0 has set the run up
        return Work(Run(Path(config.runs_dir) / str(config.name)), config).all_stages()
    run = Run(Path(config.runs_dir).resolve() / str(config.name))
    made = [each for each in (run.folder, *run.folder.parents) if not each.exists()]
    if not run.exists:  # a misspelt name should leave no folder behind
        _check_names(config)
    run.lock()
    try:
        with caffe_log(run.folder / "log"):
            run.clean()
            config = _resumed(run, given) if run.exists else _new(run, config)
            config = dataclasses.replace(config, name=run.name, runs_dir=str(run.folder.parent))
            config = ranks.shared(config)
            return Work(run, config).all_stages()
    except (Stopped, KeyboardInterrupt) as stopped:
        text = str(stopped) or "stopped"
        raise Stopped(f"{text}; continue with: {resume_command(run)}") from None
    except MaapError as error:
        if run.folder in made and _is_for_nothing(run, str(error)):
            shutil.rmtree(run.folder, ignore_errors=True)
            remove_empty(made[1:])
        raise
    finally:
        run.unlock()


def _is_for_nothing(run: Run, error: str) -> bool:
    """Whether a folder that was just made can be removed after an error, so that the name is free:
    nothing was trained, and the error names no file in it."""
    if str(run.folder) in error or "prototxt" in error:
        return False
    curves = (path.read_text(encoding="utf-8") for path in run.folder.glob("*/metrics.csv"))
    return all(text.count("\n") <= 1 for text in curves)


def _check_names(config: TrainConfig) -> None:
    """Raises MaapError when a run, net, file or library that the settings name does not exist."""
    check_donor(config)
    if config.tensorboard:
        tensorboard.check_library()
    files = find_net(config.net)
    files.train_val(config.laap, config.dropout_after)
    files.solver(config.laap, 1), files.deploy(config.laap)
    if config.attention_layer is not None:
        check_layer(read_net(files.deploy(config.laap)), config.attention_layer)
    check_data_name(config.data)
    weights = start_of(config)
    if weights is not None:
        published.check_word(weights, config.net)


def _new(run: Run, config: TrainConfig) -> TrainConfig:
    say(f"run {run.name}: {run.folder}")
    _fetch_weights(config)
    started = time.monotonic()
    config, dataset = data_for(config)
    return set_up(run, config, dataset, time.monotonic() - started)


def _fetch_weights(config: TrainConfig) -> None:
    """Published weights into the cache, before the data: what cannot be fetched ends the run."""
    weights = start_of(config)
    if weights is None or given_path(weights).is_file():
        return
    if published.named(weights, config.net).path.is_file():
        return  # it is checked when it is used
    try:
        published.find_weights(weights, config.net)
    except MaapError as error:
        if config.weights is not None:
            raise
        net = Path(config.net).name
        raise MaapError(
            f"{error}; or train {net} from random weights: maap train {net} --from-scratch"
        ) from None


def _resumed(run: Run, given: Settings) -> TrainConfig:
    stored = run.config()
    wrong = settings.contradictions(stored, given)
    if wrong:
        raise MaapError(
            f"run {run.name} was started with other settings: {'; '.join(wrong)}; leave these out, "
            "or start a new run with another --name"
        )
    say(f"run {run.name}: resuming in {run.folder}")
    changed = {n: given[n] for n in given if FIELDS[n].metadata["may_change"] and n != "runs_dir"}
    return dataclasses.replace(stored, **dict(changed, resume=False))


class Work:
    """Does the stages of one run that are not done yet."""

    def __init__(self, run: Run, config: TrainConfig) -> None:
        if config.tensorboard:
            tensorboard.check_library()
        self.run, self.config = run, config
        self.state = run.state()
        self.data = feed.open_data(self.state)
        self.caffe = loader.load(config.host)
        loader.set_device(self.caffe, config.gpu)
        if config.gpu is None and loader.has_gpu():
            say("computing on the CPU; on a machine with a GPU, --gpu 0 computes there")
        self.plan = Plan(())
        self.test_transform = feed.transform(run, self.state, "TEST")

    @property
    def batch(self) -> int:
        """Images a batch."""
        return int(self.config.batch or 1)

    def all_stages(self) -> RunResult:
        """Do what is not done; the result of the whole run."""
        kinds = {
            "train": self.train,
            "rewrite": self.rewrite,
            "evaluation": self.evaluate,
            "report": self.report,
        }
        self._note_lost()
        self.state = ranks.shared(self.state)
        self.plan = self._planned()
        for stage in self.state.waiting:
            started = time.monotonic()
            stage.status = "running"
            self._write_state()
            self.plan.begin(stage.name)
            with followed_by(self.plan.rest):
                kinds[stage.kind](stage)
            if stage.kind != "train":  # a training phase adds up its own seconds
                stage.seconds += time.monotonic() - started
            stage.status = "done"
            self._write_state()
            ranks.here().barrier()  # its files are there
            gc.collect()  # a solver holds three times the weights
        return self.result()

    def _write_state(self) -> None:
        if ranks.first():
            self.run.write_state(self.state)

    def _planned(self) -> Plan:
        """The plan of what is to be done; says it."""
        train, test = (int(self.data.manifest["splits"][n]["count"]) for n in ("train", "test"))
        boxes = any(record.box is not None for record in self.data.split("test").records)
        finds = finder_of(self.run.folder) is not None
        stages = self.state.stages
        plan = Plan(
            steps(self.config, Counts(train, test, boxes, finds), stages),
            speed_so_far(self.config, stages),
        )
        if plan.todo:
            say(plan.text())
        if self.config.ranks > 1 and any(stage.kind == "train" for stage in self.state.waiting):
            count, images = self.config.ranks, self.config.images_per_iteration
            say(
                f"{count} ranks x {images // count} images = {images} images an iteration; the "
                "learning rate and the number of iterations are left as they are"
            )
        return plan

    def _iterated(self, task: Task) -> None:
        """After each iteration of a phase: how long the run will take, when that is known."""
        estimate = self.plan.iterated(task)
        if estimate is not None:
            say(estimate)

    def _note_lost(self) -> None:
        """Mark the stages as pending whose results somebody has removed."""
        if not ranks.first():
            return  # rank 0 tells
        gone = lost(self.run.folder, self.state.stages)
        for stage in self.state.stages:
            if stage.name in gone:
                say(f"{', '.join(gone[stage.name])}: missing, so {stage.name} is done again")
                stage.status = "pending"
                if stage.kind == "rewrite":  # or what is left of it would pass for a whole one
                    shutil.rmtree(self.run.folder / stage.name, ignore_errors=True)

    def weights(self, phase: int) -> Path:
        """The weights at the end of a phase."""
        return self.run.folder / f"phase{phase}" / FINAL

    # ---- one method a kind of stage, which notes in the stage what it found ----

    def train(self, stage: Stage) -> None:
        """A training phase: on the original images first, then on the rewritten ones."""
        if stage.number == 1 and self.config.phase1_from is not None:
            if ranks.first():
                take_phase1(self.run, self.config, self.state)
            source = self.config.phase1_from
            say(f"phase 1: taken from run {source}, {stage.iteration} iterations")
            return

        def snapshot_taken(iteration: int, seconds: float) -> None:
            stage.seconds += seconds
            stage.iteration = iteration
            self._write_state()

        changed = stage.trained_by(self.config.ranks)
        if changed is not None:
            say(changed)
        self._write_state()
        folder = self.run.folder / stage.name
        with loader.math_mode(self.caffe, self.config.math):
            end = run_phase(folder, self.phase_settings(stage), self.caffe, snapshot_taken)
        stage.iteration, stage.stopped, stage.loss = end.iteration, end.stopped, end.loss
        stage.weights, stage.online = end.weights, end.online

    def phase_settings(self, stage: Stage) -> PhaseSettings:
        """What `run_phase` needs for a training stage."""
        config, number, batch = self.config, int(stage.number or 1), self.batch
        original = number == 1 or config.online or config.control
        folder = self.data.folder if original else self.run.folder / f"rewrite{number - 1}"
        images = Split.open(folder, "train")
        how = feed.transform(self.run, self.state, "TRAIN")
        seed = seed_of(config.seed, stage.name, "images")
        rank, size = ranks.here().rank, ranks.here().size
        events = self.run.folder / tensorboard.FOLDER / stage.name
        return PhaseSettings(
            name=stage.name,
            title=stage.title,
            seed=config.seed,
            max_iter=_known(config.max_iter if number == 1 else config.phase2_iter, "max_iter"),
            snapshot=config.snapshot or 0,
            window=config.converge_window or 1,
            fraction=config.converge_fraction or 0.0,
            feed=lambda start: Feeder(images, how, batch, seed, start, rank=rank, ranks=size),
            iter_size=config.iter_size or 1,
            start_from=self._start_from(number),
            test_interval=config.test_interval,
            test=self._accuracy,
            events=events if config.tensorboard else None,
            iterated=self._iterated,
            watch_after=self._watch_after(number),
            classes=len(self.data.classes),
            guessed=top1_of_guessing(len(self.data.classes), self._tested),
            warn=lambda text: self._warn(stage, text),
            warned=stage.warning is not None,
        )

    @property
    def _tested(self) -> int:
        return int(self.data.manifest["splits"]["test"]["count"])

    def _watch_after(self, number: int) -> int:
        """The iterations after which phase ``number`` should have learnt something."""
        trained = number > 1 or self.config.weights is not None
        return window_of(len(self.data.classes), self.config.images_per_iteration, trained)

    def _warn(self, stage: Stage, text: str) -> None:
        """Note, in the log and for the report, that a phase learns nothing."""
        say(f"warning: {text}")
        stage.warning = text
        self._write_state()

    def _start_from(self, number: int) -> Optional[Path]:
        if number > 1:
            return self.weights(number - 1)
        noted = self.state.weights
        if noted is None:
            return None
        path = Path(noted.path)
        if not path.is_file() or file_sha256(path) != noted.sha256:
            raise MaapError(f"{path}: not the weights the run began with; put them back")
        return path

    def _accuracy(self, weights: Path) -> tuple[float, float]:
        net, images = self.run.folder / "deploy.prototxt", self.data.split("test")
        how = (images, self.test_transform, self.batch)
        with loader.math_mode(self.caffe, "float"):
            found = measure_accuracy(net, weights, *how, gpu=self.config.gpu).accuracy
        return found.top1, found.top5

    def rewrite(self, stage: Stage) -> None:
        """Every training image as the newest net attends to it."""
        mode = loader.math_mode(self.caffe, self.config.math)
        with caffe_log(self.run.folder / f"{stage.name}.log"), mode:
            made = rewrite(
                self.data.split("train"),
                self.run.folder / stage.name,
                self.run.folder / REWRITE,
                self.weights(int(stage.number or 1)),
                self.config.a_star,
                self.test_transform,
                self.batch,
                regions=Regions.of(self.config),
                gpu=self.config.gpu,
            )
        stage.count, stage.fallbacks = made.count, made.fallbacks

    def evaluate(self, stage: Stage) -> None:
        """The original test images through every phase's net, and the regions of each."""
        with caffe_log(self.run.folder / "evaluation.log"):
            found = evaluate_run(self)
        self._compare_with_guessing(found)
        if self.config.tensorboard and ranks.first():
            tensorboard.write_run(self.run.folder, found)

    def _compare_with_guessing(self, found: Evaluation) -> None:
        """Warns of the last phase where its accuracy is that of guessing."""
        last, classes = self.state.phases[-1], len(found.data.classes)
        long = sum(s.iteration or 0 for s in self.state.phases) >= self._watch_after(1)
        guessed = found.last.top1 <= top1_of_guessing(classes, found.data.test)
        if long and guessed and all(stage.warning is None for stage in self.state.phases):
            option = "--base-lr" if last.number == 1 else "--base-lr and --phase2-lr"
            self._warn(last, f"{last.title}: {about_accuracy(found.last.top1, classes, option)}")

    def report(self, stage: Stage) -> None:
        """report.html from what lies in the run folder."""
        if ranks.first():
            write_report(self.run.folder)

    def result(self) -> RunResult:
        """What the finished run found."""
        advice = f"remove it and measure again: {resume_command(self.run)}"
        evaluation = need_evaluation(self.run.folder, advice)
        return RunResult(
            name=self.run.name,
            folder=self.run.folder,
            top1=evaluation.last.top1,
            top5=evaluation.last.top5,
            evaluation=evaluation,
            report=self.run.folder / REPORT,
        )


def _known(value: Optional[int], name: str) -> int:
    if value is None:
        raise MaapError(f"neither the settings nor the solver file say {name}; give one")
    return value
