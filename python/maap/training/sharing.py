"""One phase 1 for several runs: a run takes it from another run that has already trained it.

Two runs may share phase 1 only when everything that its bytes depend on is equal
(`phase1_settings`); what ``--resume`` may change too (GPU, threads, how often a snapshot is taken)
does not count. The weights are a hard link, or a copy where the disk has no hard links, and the
stage in ``state.json`` says where they come from (`SharedFrom`).
"""

import hashlib
import json
from pathlib import Path

from maap import __version__
from maap.config.fields import TrainConfig
from maap.errors import MaapError
from maap.nets.prototxt import read_solver, to_text
from maap.runs.run import Run, find_run, resume_command
from maap.runs.stages import FINAL
from maap.runs.state import RunState, SharedFrom, Stage
from maap.util.files import file_sha256, put_file
from maap.util.json_record import Json
from maap.util.text import plain

_CURVES = ("metrics.csv", "timing.csv", "accuracy.csv", "log")
_FREE = ("display", "solver_mode", "device_id")  # SolverParameter fields that change no weight


def phase1_settings(run: Run, config: TrainConfig, state: RunState) -> dict[str, Json]:
    """What the weights after phase 1 of a run that is set up depend on, by name; JSON-able.

    Raises MaapError when phase1/net.prototxt or solver.prototxt is missing.
    """
    how = state.input["TRAIN"].to_json()
    if how["mean_file"]:
        how["mean_file"] = file_sha256(run.folder / how["mean_file"])
    return {
        "version": __version__,
        "host": config.host,
        "seed": config.seed,
        "batch": config.batch,
        "max_iter": config.max_iter,
        "converge_window": config.converge_window if config.converge_fraction else None,
        "converge_fraction": config.converge_fraction,
        "weights": state.weights and state.weights.sha256,
        "data": state.data.manifest,
        "input": how,
        "net": _net_hash(run.folder / "phase1" / "net.prototxt"),
        "solver": solver_text(run.folder / "phase1" / "solver.prototxt"),
        **_several(config, state.stages[0]),
    }


def _several(config: TrainConfig, phase1: Stage) -> dict[str, Json]:
    """How many ranks trained phase 1, or are to; nothing where it is one."""
    if phase1.shared_from is None and phase1.iteration is None:
        return {} if config.ranks == 1 else {"ranks": [[0, config.ranks]]}
    return {} if phase1.ranks is None else {"ranks": phase1.ranks}


def _net_hash(path: Path) -> str:
    if not path.is_file():
        raise MaapError(f"{path}: missing; remove the run's folder and train it again")
    return file_sha256(path)


def solver_text(path: Path) -> str:
    """A solver.prototxt without what changes no weight (display, the device)."""
    solver = read_solver(path)
    for name in _FREE:
        solver.ClearField(name)
    return to_text(solver)


def settings_hash(settings: dict[str, Json]) -> str:
    """Twelve hexadecimal digits that change with any of the settings."""
    text = json.dumps(settings, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:12]


def check_donor(config: TrainConfig) -> None:
    """Raises MaapError when the run that ``config.phase1_from`` names has no phase 1 to give."""
    if config.phase1_from is not None:
        _finished_phase1(find_run(Path(config.runs_dir), config.phase1_from))


def check_phase1(run: Run, config: TrainConfig, state: RunState) -> None:
    """Raises MaapError as `take_phase1` does, before the run has its config.yaml."""
    if config.phase1_from is not None:
        _agreed(run, config, state)


def take_phase1(run: Run, config: TrainConfig, state: RunState) -> None:
    """Phase 1 from the run that ``config.phase1_from`` names; noted in the state's first stage.

    Raises MaapError: no such run, its phase 1 not done or its weights gone, or settings that
    differ (names them). Killed at any moment, it can be called again.
    """
    donor, given, ours = _agreed(run, config, state)
    source, target = donor.folder / "phase1", run.folder / "phase1"
    for name in _CURVES:
        if (source / name).is_file():
            put_file(source / name, target / name, link=False)
    put_file(source / FINAL, target / FINAL)
    stage = state.stages[0]
    stage.iteration, stage.stopped, stage.loss = given.iteration, given.stopped, given.loss
    stage.weights, stage.seconds = given.weights, given.seconds
    stage.warning, stage.ranks = given.warning, given.ranks
    first = given.shared_from.trained_in if given.shared_from else donor.name
    sha256 = file_sha256(target / FINAL)
    stage.shared_from = SharedFrom(donor.name, first, settings_hash(ours), sha256)


def _agreed(run: Run, config: TrainConfig, state: RunState) -> tuple[Run, Stage, dict[str, Json]]:
    """(the run that gives, its phase 1, the settings of both for it)."""
    donor = find_run(run.folder.parent, str(config.phase1_from))
    given = _finished_phase1(donor)
    ours = phase1_settings(run, config, state)
    theirs = phase1_settings(donor, donor.config(), donor.state())
    wrong = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if wrong:
        words = "; ".join(_difference(name, ours.get(name), theirs.get(name)) for name in wrong)
        raise MaapError(
            f"run {run.name} cannot take phase 1 from {donor.name}, which was trained otherwise: "
            f"{words}; leave --phase1-from out"
        )
    return donor, given, ours


def _difference(name: str, ours: Json, theirs: Json) -> str:
    short = all(isinstance(value, (int, float, type(None))) for value in (ours, theirs))
    if short or name == "host":
        return f"{name} is {plain(ours)}, there {plain(theirs)}"
    return f"{name} differs"


def _finished_phase1(donor: Run) -> Stage:
    stage = donor.state().stages[0]
    if not stage.done:
        raise MaapError(
            f"run {donor.name} has not finished its phase 1; resume it first: "
            f"{resume_command(donor)}"
        )
    path = donor.folder / "phase1" / FINAL
    if not path.is_file():
        raise MaapError(
            f"run {donor.name}: phase1/{FINAL} is missing, so its phase 1 cannot be shared; "
            f"repair it with: {resume_command(donor)}"
        )
    return stage


__all__ = [
    "check_donor",
    "check_phase1",
    "phase1_settings",
    "settings_hash",
    "solver_text",
    "take_phase1",
]
