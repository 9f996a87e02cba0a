"""Measuring one set of weights, and all phases of a run.

`evaluate_run` writes into the run's folder evaluation.json (`maap.runs.evaluation` says what is in
it), predictions.csv with a row per test image and phase, and samples/ (`samples.py`).
"""

import dataclasses
from pathlib import Path
from typing import Optional, Protocol

from maap.attention.inside import Inside, Source
from maap.config.fields import TrainConfig
from maap.data.feeder import Transform
from maap.data.store import Dataset, Split
from maap.data.views import View
from maap.errors import MaapError
from maap.host import ranks
from maap.measure.classify import Classifier, Prediction, class_scores, rate_scores
from maap.measure.regions import cropped_accuracy, measure_regions
from maap.measure.result import Measured
from maap.measure.samples import Samples
from maap.measure.tables import write_phase_predictions
from maap.runs.evaluation import (
    FORMAT,
    DataFacts,
    Evaluation,
    PhaseRegions,
    PhaseResult,
    Rewriting,
    write_evaluation,
)
from maap.runs.run import REWRITE, Run, finder_of
from maap.runs.state import RunState
from maap.util.progress import say


def measure_weights(
    deploy: Path,
    finder: Optional[Path],
    weights: Path,
    split: Split,
    transform: Transform,
    batch: int,
    *,
    crops: int = 1,
    gpu: Optional[int] = None,
    samples: Optional[Samples] = None,
    title: str = "",
) -> Measured:
    """Accuracy and, where there is a net that finds them, regions; both nets resolved, one loaded
    at a time. Raises MaapError as `measure_accuracy` and `measure_regions` do."""
    how = (weights, split, transform, batch)
    regions, found = None, None
    if finder is not None:
        named = f"regions {title}".rstrip()
        measured = measure_regions(finder, *how, gpu=gpu, samples=samples, title=named)
        regions, found = measured.quality, measured.boxes
    classifier = Classifier(deploy, weights, batch, gpu)
    named, view = f"accuracy {title}".rstrip(), View(crops)
    scores = class_scores(classifier, split, transform, view=view, title=named)
    rated = rate_scores(scores, split, crops)
    cropped = cropped_accuracy(
        classifier, split, transform, scores, found, crops=crops, title=title
    )
    accuracy = dataclasses.replace(rated.accuracy, cropped=cropped)
    return Measured(accuracy, rated.predictions, regions, found)


# ---- a run --------------------------------------------------------------------------------------


class TrainedRun(Protocol):
    """What `evaluate_run` needs of a run."""

    run: Run
    config: TrainConfig
    state: RunState
    data: Dataset
    test_transform: Transform

    def weights(self, phase: int) -> Path: ...


def evaluate_run(work: TrainedRun) -> Evaluation:
    """Evaluates every phase of a run and its regions; writes evaluation.json, predictions.csv and
    samples/ into the run's folder (of several ranks, the first does)."""
    folder, state = Path(work.run.folder), work.state
    split = work.data.split("test")
    how = (split, work.test_transform, int(work.config.batch or 1))
    finder = finder_of(folder)
    rewrite = finder if finder is not None and finder.name == REWRITE else None
    if not any(record.box is not None for record in split.records):
        finder = rewrite  # of a run that rewrites nothing there is nothing to compare
    samples = Samples(split)
    phases: list[PhaseResult] = []
    predictions: dict[str, list[Prediction]] = {}
    quality: list[PhaseRegions] = []
    wanted: Optional[Samples] = samples  # of the net that rewrote the images first
    for stage in state.phases:
        weights, title = work.weights(int(stage.number or 1)), f"after {stage.title}"
        nets = (folder / "deploy.prototxt", finder, weights)
        found = measure_weights(*nets, *how, gpu=work.config.gpu, samples=wanted, title=title)
        wanted = None
        times = dict(iterations=stage.iteration, seconds=stage.seconds)
        phases.append(PhaseResult(phase=stage.name, title=title, **times, **vars(found.accuracy)))
        predictions[stage.name] = found.predictions
        if found.regions is not None:
            quality.append(PhaseRegions(phase=stage.name, title=title, **vars(found.regions)))
    if ranks.first():
        samples.save(folder / "samples", predictions)
        _save_inside(samples, work, rewrite)
    evaluation = Evaluation(
        format=FORMAT,
        data=_facts(work.data),
        chance=1.0 / len(split.classes),
        phases=phases,
        regions=quality,
        rewrites=_rewritings(state, work.config),
        haap=_haap_mode(state),
        seconds=_times(state),
    )
    if ranks.first():
        write_phase_predictions(folder / "predictions.csv", predictions)
        write_evaluation(folder, evaluation)
    return evaluation


def _save_inside(samples: Samples, work: TrainedRun, rewrite: Optional[Path]) -> None:
    """Pictures of what phase 1's net sees; none for a net that has no maps to show."""
    folder = Path(work.run.folder)
    about = (work.test_transform, samples.split.size)
    source = Source(folder / "deploy.prototxt", work.weights(1), *about, rewrite=rewrite)
    try:
        inside = Inside(source, gpu=work.config.gpu)
    except MaapError as error:
        say(f"no pictures of the net's maps: {error}")
        return
    samples.save_inside(folder / "samples", inside)


def _facts(data: Dataset) -> DataFacts:
    counts = {name: data.manifest["splits"][name]["count"] for name in ("train", "test")}
    return DataFacts(data.name, data.kind, data.note, list(data.classes), list(data.size), **counts)


def _haap_mode(state: RunState) -> Optional[str]:
    if any(stage.online is not None for stage in state.stages):
        return "online"
    return "rewrite" if state.of_kind("rewrite") else None


def _rewritings(state: RunState, config: TrainConfig) -> list[Rewriting]:
    return [
        Rewriting(stage.name, config.a_star, stage.count, stage.fallbacks, stage.seconds)
        for stage in state.of_kind("rewrite")
    ]


def _times(state: RunState) -> dict[str, float]:
    """Seconds by stage, and of the data set, where they are not 0; and their sum."""
    times = {"data": float(state.data.seconds)}
    times.update({stage.name: float(stage.seconds) for stage in state.stages})
    times = {name: seconds for name, seconds in times.items() if seconds > 0}
    return {**times, "total": sum(times.values())}
