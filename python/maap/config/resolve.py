"""Which numbers does a run have that nobody set? From the presets, then from the solver files."""

from typing import Optional, Protocol

from maap.config import presets
from maap.config.check import validate
from maap.config.fields import FIELDS, TrainConfig
from maap.config.presets import preset as preset_of
from maap.config.values import Settings, Value


class Solver(Protocol):
    """A SolverParameter; this package loads no protobuf."""

    def HasField(self, name: str) -> bool: ...  # noqa: N802  protobuf's name


_FROM_SOLVER = {
    "base_lr", "lr_policy", "gamma", "power", "stepsize", "stepvalue", "momentum", "weight_decay",
    "display", "snapshot", "max_iter", "clip_gradients", "iter_size",
}  # fmt: skip

# For solver files that are silent; Caffe's own default would be never.
_LAST_RESORT = dict(display=20, snapshot=1000, converge_window=1000, converge_fraction=0.0)


def start_of(config: TrainConfig) -> Optional[str]:
    """The weights that a run starts from: those given, or the net's own (`presets.start`) unless
    it is to start from scratch; None: random ones."""
    if config.weights is None and not config.from_scratch:
        return presets.start(config.net)
    return config.weights


def pick_preset(config: TrainConfig, kind: str) -> str:
    """The preset of a run; ``kind`` of its data set: demo and demo_hard are built in."""
    if config.preset != "auto":
        return config.preset
    weights, demo = start_of(config), kind in ("demo", "demo_hard")
    if weights and not (demo and weights == presets.start(config.net)):
        return "finetune"
    return kind if demo else "scratch"


def resolve(
    config: TrainConfig, kind: str, solver1: Solver, solver2: Solver, batch: int
) -> TrainConfig:
    """The settings with every number filled in.

    In order: what was set, the preset, the solver files (SolverParameter of phase 1 and 2), the
    train_val's ``batch``. A field the solver has no value for stays None.
    """
    preset = pick_preset(config, kind)
    weights = start_of(config)
    # A net that has weights to start from has its numbers for those.
    random = weights is None and presets.start(config.net) is not None
    numbers = preset_of("any" if random else config.net, preset)
    values = {name: getattr(config, name) for name in FIELDS}
    values.update(preset=preset, weights=weights)
    given = {name for name, value in values.items() if value is not None}
    for name, value in numbers.items():
        if name not in given:
            values[name] = value
    if values["from_scratch"] is None:
        values["from_scratch"] = weights is None
    if values["batch_norm"] is None:
        values["batch_norm"] = "train" if weights is None else "frozen"
    for name in sorted(_FROM_SOLVER):
        if values[name] is None:
            values[name] = _solver_value(solver1, name)
    later = {"phase2_iter": "max_iter", "phase2_lr": "base_lr"}
    for name, first in later.items():
        if values[name] is None:
            same = first in given or first in numbers
            values[name] = values[first] if same else _solver_value(solver2, first)
    for name, value in dict(_LAST_RESORT, batch=batch).items():
        if values[name] is None:
            values[name] = value
    return validate(TrainConfig(**values))


def _solver_value(solver: Solver, name: str) -> Value:
    value = getattr(solver, name)
    if isinstance(value, float):
        if not solver.HasField(name):
            return None
        return float(f"{value:.7g}")  # the float32 as it was written
    if isinstance(value, (int, str)):
        return value if solver.HasField(name) and value != 0 else None
    return list(value) or None


def solver_overrides(config: TrainConfig, phase: int) -> Settings:
    """The SolverParameter fields of a phase (1: original images, 2 and on: rewritten ones)."""
    values = {name: getattr(config, name) for name in _FROM_SOLVER - {"snapshot"}}
    if phase > 1:
        values.update(base_lr=config.phase2_lr, max_iter=config.phase2_iter)
    values["solver_mode"] = "CPU" if config.gpu is None else "GPU"
    if config.gpu is not None:
        values["device_id"] = config.gpu
    if config.math != "float":
        values["math_mode"] = config.math.upper()
    return values
