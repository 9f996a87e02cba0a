"""What the stages of a run leave in its folder, and which of it is gone although it was done.

Stages are the dicts of ``state.json`` (training/prepare.py makes them): name, kind, number, status.
"""

from pathlib import Path
from typing import Any

Stage = dict[str, Any]


def results(stage: Stage) -> list[str]:
    """The files that later stages, and those who read a finished run, need of a stage; paths are
    relative to the run folder."""
    name, kind = stage["name"], stage["kind"]
    if kind == "train":
        return [f"{name}/final.caffemodel"]
    if kind == "rewrite":
        return [f"{name}/manifest.json", f"{name}/train.csv", f"{name}/train_lmdb/data.mdb"]
    return ["evaluation.json"] if kind == "evaluation" else ["report.html"]


def needs(stage: Stage, stages: list[Stage]) -> list[str]:
    """The names of the stages whose results a stage reads."""
    if stage["kind"] == "train":
        last = stage["number"] - 1
        return [f"phase{last}", f"rewrite{last}"] if last else []
    if stage["kind"] == "rewrite":
        return [f"phase{stage['number']}"]
    if stage["kind"] == "evaluation":
        return [other["name"] for other in stages if other["kind"] == "train"]
    return ["evaluation"]


def lost(folder: Path, stages: list[Stage]) -> dict[str, list[str]]:
    """The stages that are done and have to be done again: {name: its missing files}, in order.

    A result is missed by a later stage that is not done or lost itself, and, in the end, by
    people: evaluation.json and report.html. A rewritten data set that nothing will read any more
    may be removed.
    """
    missed = {"evaluation", "report"}
    found = {}
    for stage in reversed(stages):
        done = stage["status"] == "done"
        gone = [name for name in results(stage) if not (folder / name).is_file()]
        if done and gone and stage["name"] in missed:
            found[stage["name"]] = gone
            done = False
        if not done:
            missed.update(needs(stage, stages))
    return dict(reversed(list(found.items())))
