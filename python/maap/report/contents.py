"""The contents of a run's report, read from the run's folder.

Only files in the run folder are read: config.yaml, state.json, evaluation.json, phase*/metrics.csv
and accuracy.csv, rewrite*/manifest.json and contact_sheet.jpg, samples/. What is not there yet is
left out.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from maap.config.check import read_yaml
from maap.config.fields import FIELDS, TrainConfig
from maap.errors import MaapError
from maap.measure.samples import InsideSample, Sample, read_inside, read_samples
from maap.nets.attention_source import AttentionSource
from maap.report import charts
from maap.report.html import Picture, setting
from maap.rewrite.regions import TITLES
from maap.runs.evaluation import (
    Evaluation,
    PhaseRegions,
    PhaseResult,
    RegionFigures,
    read_evaluation,
)
from maap.runs.files import read_columns, read_json
from maap.runs.state import RunState, Stage, read_state

POINTS = 600  # of a curve; longer ones are thinned out
MOST_CLASSES = 30  # for which the confusion matrix is shown whole
EXTREMES = 10  # classes at either end that are shown of more
DEEP = 0.55  # share of a row from which a cell of the confusion matrix is dark

_VARIANTS = {
    "baseline": "the plain network",
    "laap": "with low-level attention (Enhancement)",
    "haap": "with high-level attention (images rewritten by Elimination)",
    "maap": "with both attentions (Enhancement, and images rewritten by Elimination)",
}
_GROUPS = {
    "best": "Best: the region overlaps the true box the most",
    "worst": "Worst: the region overlaps it the least",
    "spread": "Evenly spaced test images, chosen without looking",
}
_ENDED = {"converged": "convergence", "max_iter": "the limit of iterations"}


# ---- rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccuracyRow:
    """Accuracy after a phase."""

    result: PhaseResult
    times_chance: float
    error: float  # standard error of top-1, in percentage points
    last: bool


@dataclass(frozen=True)
class TrainingRow:
    """How the training of a phase went."""

    stage: Stage
    ended: str  # what ended it


@dataclass(frozen=True)
class Guess:
    """What a test image was taken for after a phase."""

    phase: str
    name: str  # of the class
    right: bool


@dataclass(frozen=True)
class SampleShown:
    """A test image with its attention map and region."""

    sample: Sample
    picture: Picture
    guesses: list[Guess]


@dataclass(frozen=True)
class SampleGroup:
    title: str
    samples: list[SampleShown]


@dataclass(frozen=True)
class InsideShown:
    """What the net sees in a test image."""

    sample: InsideSample
    picture: Picture


@dataclass(frozen=True)
class Rewritten:
    """A rewriting of the training images: how many as which A*, how many kept whole."""

    stage: Stage
    records: int
    a_star: str
    fallbacks: int
    cut_by: str  # "" for the regions found
    sheet: Picture


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix."""

    count: int
    share: float  # of the row
    diagonal: bool

    @property
    def depth(self) -> str:
        """Opacity of its colour."""
        return f"{0.04 + 0.9 * self.share:.2f}"

    @property
    def deep(self) -> bool:
        return self.share > DEEP


@dataclass(frozen=True)
class ClassRow:
    name: str
    count: int
    top1: Optional[float]


@dataclass(frozen=True)
class Classes:
    """Accuracy by class after the last phase; of many classes the best and the worst."""

    title: str
    rows: list[ClassRow]
    total: int
    matrix: list[tuple[str, list[Cell]]]  # (true class, cells); empty for many classes


@dataclass(frozen=True)
class Setting:
    name: str
    value: str
    help: str
    source: str


# ---- the whole ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """All that the page of a run shows; see ``templates/report.html``."""

    name: str
    config: TrainConfig
    state: RunState
    evaluation: Optional[Evaluation]
    curves: list[Picture]
    samples: list[SampleGroup]
    inside: list[InsideShown]
    rewritten: list[Rewritten]
    settings: list[Setting]

    @property
    def summary(self) -> str:
        """Net, variant, data, start and seed in a line."""
        config = self.config
        variant = _VARIANTS[config.variant]
        if config.online:
            variant = variant.replace(
                "images rewritten by Elimination", "Elimination in the net, online"
            )
        if config.control:
            variant += " with a phase 2 on the original images"
        if config.regions != "found":
            variant += f", cut by {TITLES[config.regions]}"
        if not AttentionSource.of(config).usual:
            variant += f", regions from {AttentionSource.of(config).title}"
        data = self.evaluation.data.name if self.evaluation else config.data
        words = [Path(config.net).name, variant, f"on {data}"]
        if config.weights:
            words.append(f"from {Path(config.weights).name}")
        elif config.from_scratch:
            words.append("from random weights")
        return ", ".join([*words, f"seed {config.seed}"])

    @property
    def notes(self) -> list[str]:
        """What to keep in mind of the data and the settings, and where nothing was learnt."""
        data = self.evaluation.data.note if self.evaluation else None
        warnings = [stage.warning for stage in self.state.phases]
        return [note for note in (data, self.state.note, *warnings) if note]

    @property
    def accuracy(self) -> list[AccuracyRow]:
        if self.evaluation is None:
            return []
        chance, last = self.evaluation.chance, self.evaluation.last
        return [
            AccuracyRow(each, each.top1 / chance, _standard_error(each), each is last)
            for each in self.evaluation.phases
        ]

    @property
    def training(self) -> list[TrainingRow]:
        return [TrainingRow(stage, _ended(stage)) for stage in self.state.phases]

    @property
    def online(self) -> list[Stage]:
        """The phases with the Elimination layer in the net."""
        return [stage for stage in self.state.phases if stage.online is not None]

    @property
    def regions(self) -> list[PhaseRegions]:
        """The quality of regions, the first rewriting's first; empty without true boxes."""
        found = self.evaluation.regions if self.evaluation else []
        return found if found and found[0].n else []

    @property
    def references(self) -> list[tuple[str, RegionFigures]]:
        """What the regions are compared with."""
        first = self.regions[0]
        named = [
            ("the true box itself", first.true_box),
            ("the whole image", first.whole),
            ("a centred box of half the area", first.centred_half),
        ]
        return [(name, figures) for name, figures in named if figures is not None]

    @property
    def cropped(self) -> list[PhaseResult]:
        """The phases whose accuracy was measured on cut images, too."""
        phases = self.evaluation.phases if self.evaluation else []
        return [phase for phase in phases if phase.cropped is not None]

    @property
    def classes(self) -> Optional[Classes]:
        return None if self.evaluation is None else _classes(self.evaluation)


def gather(run_dir: Path) -> Report:
    """Reads a run folder. Raises MaapError when it is no run, or for a damaged file (names it)."""
    if not (run_dir / "config.yaml").is_file() or not (run_dir / "state.json").is_file():
        raise MaapError(f"{run_dir} is no run folder (config.yaml or state.json is missing)")
    config = TrainConfig(**read_yaml(run_dir / "config.yaml"))
    state = read_state(run_dir / "state.json")
    return Report(
        name=run_dir.resolve().name,
        config=config,
        state=state,
        evaluation=read_evaluation(run_dir),
        curves=_curves(run_dir, state),
        samples=_samples(run_dir / "samples"),
        inside=_inside(run_dir / "samples"),
        rewritten=_rewritten(run_dir, state),
        settings=_settings(config),
    )


def _standard_error(result: PhaseResult) -> float:
    """Of the share of so many images, in percentage points."""
    share = result.top1
    return 100 * math.sqrt(share * (1 - share) / max(1, result.count))


def _ended(stage: Stage) -> str:
    if stage.stopped is None:
        return stage.status
    how = _ENDED.get(stage.stopped, stage.status)
    return f"{how}, in run {stage.shared_from.run}" if stage.shared_from else how


def _curves(run_dir: Path, state: RunState) -> list[Picture]:
    """The curves of each phase: training loss, and accuracy where it was tested meanwhile."""
    shown = []
    for stage in state.phases:
        name = stage.title.capitalize()
        columns = read_columns(run_dir / stage.name / "metrics.csv", ("iteration", "loss"))
        if not len(columns.get("loss", ())):
            continue
        charts_of = [(f"{name}: training loss", _loss(columns), "loss")]
        tests = read_columns(run_dir / stage.name / "accuracy.csv", ("iteration", "top1"))
        if len(tests.get("top1", ())):
            line = charts.Series("top-1", tests["iteration"], 100 * tests["top1"])
            charts_of.append((f"{name}: accuracy on the test images", [line], "top-1 [%]"))
        shown += [Picture(charts.curve(*each), each[0], "svg+xml") for each in charts_of]
    return shown


def _loss(columns: dict[str, np.ndarray]) -> list[charts.Series]:
    """The loss of each iteration, faint, and its running mean."""
    iteration, loss = columns["iteration"], columns["loss"]
    wide = charts.window(len(loss))
    smooth = charts.thinned(*charts.smoothed(loss, int(iteration[0])), POINTS)
    mean = charts.Series(f"mean of {wide}", *smooth)
    if wide == 1:
        return [mean]
    each = charts.thinned(iteration, loss, POINTS)
    return [charts.Series("each iteration", *each, faint=True), mean]


def _samples(folder: Path) -> list[SampleGroup]:
    entries = read_samples(folder)
    groups = []
    for group, title in _GROUPS.items():
        shown = [
            SampleShown(each, Picture((folder / each.file).read_bytes(), each.path), _guesses(each))
            for each in entries
            if each.group == group and (folder / each.file).is_file()
        ]
        if shown:
            groups.append(SampleGroup(title, shown))
    return groups


def _guesses(sample: Sample) -> list[Guess]:
    return [
        Guess(phase.replace("phase", "phase "), guess, guess == sample.name)
        for phase, guess in sample.predicted.items()
    ]


def _inside(folder: Path) -> list[InsideShown]:
    return [
        InsideShown(each, Picture((folder / each.file).read_bytes(), each.path))
        for each in read_inside(folder)
        if (folder / each.file).is_file()
    ]


def _rewritten(run_dir: Path, state: RunState) -> list[Rewritten]:
    shown = []
    for stage in state.of_kind("rewrite"):
        sheet = run_dir / stage.name / "contact_sheet.jpg"
        path = run_dir / stage.name / "manifest.json"
        manifest = read_json(path)
        made = manifest.get("rewritten") if isinstance(manifest, dict) else {}
        if made is None or not sheet.is_file():
            continue
        picture = Picture(sheet.read_bytes(), f"contact sheet of {stage.name}")
        try:
            counts = made["records"], made["a_star"], made["fallbacks"]
            cut_by = TITLES[made["regions"]] if "regions" in made else ""
            if not all(isinstance(n, int) for n in (counts[0], counts[2])):
                raise TypeError
        except (KeyError, TypeError):
            raise MaapError(f"{path} is damaged; rewrite the images again") from None
        shown.append(Rewritten(stage, *counts, cut_by, picture))
    return shown


def _classes(evaluation: Evaluation) -> Classes:
    last, names = evaluation.last, evaluation.data.classes
    rows = [ClassRow(each.name, each.count, each.top1) for each in last.per_class if each.count]
    rows.sort(key=lambda row: -(row.top1 or 0.0))
    matrix: list[tuple[str, list[Cell]]] = []
    if len(names) > MOST_CLASSES:
        rows = rows[:EXTREMES] + rows[-EXTREMES:]
    else:
        for number, (name, counts) in enumerate(zip(names, last.confusion)):
            total = max(1, sum(counts))
            cells = [Cell(n, n / total, number == k) for k, n in enumerate(counts)]
            matrix.append((name, cells))
    return Classes(last.title, rows, len(names), matrix)


def _settings(config: TrainConfig) -> list[Setting]:
    """The settings that have a value, with what `TrainConfig` says of each."""
    shown = []
    for name, field in FIELDS.items():
        value, about = getattr(config, name), field.metadata
        if value is not None:
            text = f"{setting(value)} {about['unit']}".strip()
            shown.append(Setting(name, text, about["help"], about["source"]))
    return shown
