"""The stages of a run: which there are, what they leave, and what of it somebody has removed."""

from collections.abc import Sequence
from pathlib import Path

from maap.config.fields import TrainConfig
from maap.runs.evaluation import EVALUATION
from maap.runs.state import Stage

FINAL = "final.caffemodel"  # the weights at the end of a phase, in its folder
REPORT = "report.html"


def stage_list(config: TrainConfig) -> list[Stage]:
    """The stages of a run in order (paper, Algorithm 1), all pending."""
    rounds = config.rounds if config.control or (config.haap and not config.online) else 0
    stages = [Stage("phase1", "train", 1, "phase 1")]
    if config.online:
        stages.append(Stage("phase2", "train", 2, "phase 2, online"))
    for number in range(1, rounds + 1):
        if not config.control:
            stages.append(Stage(f"rewrite{number}", "rewrite", number, "rewriting"))
        later = number + 1
        title = f"phase {later}" + (", original images" if config.control else "")
        stages.append(Stage(f"phase{later}", "train", later, title))
    stages.append(Stage("evaluation", "evaluation", title="evaluation"))
    stages.append(Stage("report", "report", title="report"))
    return stages


def phase_folders(run_folder: Path) -> list[Path]:
    """The folders phase1, phase2, ... phase10 ... that are there, in the order of their numbers."""
    numbered = [path for path in run_folder.glob("phase*") if path.name[len("phase") :].isdigit()]
    return sorted(numbered, key=phase_number)


def phase_number(folder: Path) -> int:
    """The number of a phase, from its folder's name."""
    return int(folder.name[len("phase") :])


def final_weights(run_folder: Path) -> list[Path]:
    """The weights at the end of each phase that has finished, in the order of the phases."""
    found = [folder / FINAL for folder in phase_folders(run_folder)]
    return [path for path in found if path.is_file()]


def results(stage: Stage) -> list[str]:
    """The files that later stages, and those who read a finished run, need of a stage; paths are
    relative to the run folder."""
    if stage.kind == "train":
        return [f"{stage.name}/{FINAL}"]
    if stage.kind == "rewrite":
        names = ("manifest.json", "train.csv", "train_lmdb/data.mdb")
        return [f"{stage.name}/{name}" for name in names]
    return [EVALUATION] if stage.kind == "evaluation" else [REPORT]


def needs(stage: Stage, stages: Sequence[Stage]) -> list[str]:
    """The names of the stages whose results a stage reads."""
    number = stage.number or 0
    if stage.kind == "train":
        return [f"phase{number - 1}", f"rewrite{number - 1}"] if number > 1 else []
    if stage.kind == "rewrite":
        return [f"phase{number}"]
    if stage.kind == "evaluation":
        return [other.name for other in stages if other.kind == "train"]
    return ["evaluation"]


def lost(folder: Path, stages: Sequence[Stage]) -> dict[str, list[str]]:
    """The stages that are done and have to be done again: {name: its missing files}, in order.

    A result is missed by a later stage that is not done or lost itself, and, in the end, by
    people: evaluation.json and report.html. A rewritten data set that nothing will read any more
    may be removed.
    """
    missed = {"evaluation", "report"}
    found = {}
    for stage in reversed(stages):
        done = stage.done
        gone = [name for name in results(stage) if not (folder / name).is_file()]
        if done and gone and stage.name in missed:
            found[stage.name] = gone
            done = False
        if not done:
            missed.update(needs(stage, stages))
    return dict(reversed(list(found.items())))
