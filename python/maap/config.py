"""Every setting of a training run, in one place.

`TrainConfig` is what the command line's options, a YAML file (``maap train --config FILE``) and
``maap.train(TrainConfig(...))`` all become. A field that is None takes its value from the preset
(`PRESETS`), and where that is silent from the net folder's solver and train_val files; what a run
used stands in full in its ``config.yaml``.

Each field carries its help, its unit and the source of its default:

    design      docs/design.md        paper   He & Peng, PRCV 2018
    solver      the net folder's solver prototxt, which says where its numbers come from
    demo        measured on the demo set (two CPU cores)
    ours        a choice of ours, with no outside source
"""

import dataclasses
import difflib
import os
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from maap.errors import MaapError

VARIANTS = ("baseline", "laap", "haap", "maap")
A_STARS = ("roi", "uncorrelated", "enhance", "reduce", "allsoft", "allsoft_plus_one")
HOSTS = ("fork", "bvlc")

# Settings that depend on what is trained on. "demo" is used for the built-in demo set, "finetune"
# when --weights is given, "scratch" for any other data. What a preset leaves out, the solver file
# says. Units as in TrainConfig.
PRESETS: dict[str, dict[str, Any]] = {
    "demo": dict(
        batch=16,
        base_lr=0.01,
        lr_policy="step",
        gamma=0.1,
        stepsize=240,
        momentum=0.9,
        weight_decay=0.0005,
        clip_gradients=5.0,  # a guard at this rate from random weights; not tried without
        max_iter=300,
        phase2_lr=0.001,  # at 0.01 phase 2 unlearns the original scale: top-1 0.31, not 0.56
        phase2_iter=100,
        snapshot=100,
        converge_window=50,
        converge_fraction=0.0,
    ),
    "finetune": dict(
        snapshot=1000,
        converge_window=2000,
        converge_fraction=0.01,
    ),
    "scratch": dict(
        batch=32,
        base_lr=0.01,
        stepsize=20000,
        max_iter=40000,
        phase2_iter=20000,
        snapshot=1000,
        converge_window=2000,
        converge_fraction=0.01,
    ),
}


def _setting(
    default: Any,
    help: str,
    source: str,
    unit: str = "",
    choices: tuple[str, ...] = (),
    group: str = "",
    may_change: bool = False,
) -> Any:
    """A dataclass field with what the command line and the documentation need to know of it."""
    about = dict(help=help, source=source, unit=unit, choices=choices, group=group)
    return field(default=default, metadata=dict(about, may_change=may_change))


@dataclass
class TrainConfig:
    """The settings of one run; see the module's text. `validate` says what cannot be."""

    # What is trained, on what
    net: str = _setting(
        "alexnet", "Net: a name under prototxt/, or a folder like prototxt/alexnet.", "design"
    )
    data: str = _setting(
        "demo",
        "Images: demo (built in), CUB_200_2011 (folder or .tgz), a folder train/CLASS/*.jpg "
        "[test/CLASS/*.jpg], or a data set folder that `maap data` made.",
        "design",
    )
    name: Optional[str] = _setting(
        None, "Name of the run, the folder in --runs-dir. Default: NET-VARIANT-DATA.", "ours"
    )
    runs_dir: str = _setting("runs", "Folder that holds the runs.", "design", may_change=True)
    weights: Optional[str] = _setting(
        None, "Start from this .caffemodel (layers are matched by name).", "paper"
    )
    from_scratch: Optional[bool] = _setting(
        None,
        "MSRA fillers and one learning rate for all layers. Default: when no --weights are given.",
        "He et al. 2015, arXiv 1502.01852",
    )
    input_scale: Optional[float] = _setting(
        None,
        "Multiplies the mean-subtracted pixels. Default: the net's own, 0.017 from scratch.",
        "design",
    )
    image_size: int = _setting(
        256, "Images are stored at this width and height.", "published AlexNet", unit="pixels"
    )

    # The method
    variant: str = _setting(
        "maap",
        "baseline; laap: + Enhancement; haap: + rewritten images; maap: both.",
        "paper, table 1",
        choices=VARIANTS,
        group="method",
    )
    a_star: str = _setting(
        "roi",
        "How the attention changes an image when it is rewritten.",
        "design",
        choices=A_STARS,
        group="method",
    )
    threshold_at: str = _setting(
        "input",
        "Take Otsu's threshold after (input) or before (map) the map is upsampled.",
        "design",
        choices=("input", "map"),
        group="method",
    )
    rounds: int = _setting(
        1, "How often images are rewritten and trained on again.", "paper, algorithm 1", "rounds",
        group="method",
    )  # fmt: skip

    # The solver (Caffe's own terms)
    preset: str = _setting(
        "auto",
        "Set of defaults: demo, finetune (with --weights) or scratch; auto picks one.",
        "ours",
        choices=("auto",) + tuple(PRESETS),
        group="solver",
    )
    seed: int = _setting(1, "Random seed: order, crops, initial weights, dropout.", "ours",
                         group="solver")  # fmt: skip
    batch: Optional[int] = _setting(
        None, "Images in one iteration.", "net; demo", "images", group="solver"
    )
    max_iter: Optional[int] = _setting(
        None, "Longest phase 1.", "solver; demo", "iterations", group="solver"
    )
    phase2_iter: Optional[int] = _setting(
        None, "Longest phase after a rewriting.", "solver; demo", "iterations", group="solver"
    )
    base_lr: Optional[float] = _setting(
        None, "Learning rate at the start of phase 1.", "solver; demo", group="solver"
    )
    phase2_lr: Optional[float] = _setting(
        None, "Learning rate at the start of later phases.", "solver; demo", group="solver"
    )
    lr_policy: Optional[str] = _setting(
        None,
        "How the rate falls.",
        "solver; demo",
        choices=("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"),
        group="solver",
    )
    gamma: Optional[float] = _setting(None, "Factor of lr_policy.", "solver; demo", group="solver")
    power: Optional[float] = _setting(
        None, "Exponent of lr_policy inv and poly.", "solver; demo", group="solver"
    )
    stepsize: Optional[int] = _setting(
        None, "Distance of the rate's steps.", "solver; demo", "iterations", group="solver"
    )
    stepvalue: Optional[list[int]] = _setting(
        None, "Where multistep lowers the rate, as 100,200.", "solver", "iterations", group="solver"
    )
    momentum: Optional[float] = _setting(None, "Momentum.", "solver; demo", group="solver")
    weight_decay: Optional[float] = _setting(None, "Weight decay.", "solver; demo", group="solver")
    clip_gradients: Optional[float] = _setting(
        None, "Scale the gradient down to this L2 norm when it is larger.", "solver", group="solver"
    )
    iter_size: Optional[int] = _setting(
        None, "Batches whose gradients are added before a step.", "solver", "batches",
        group="solver",
    )  # fmt: skip
    converge_window: Optional[int] = _setting(
        None,
        "A phase ends early when the mean training loss of this many iterations ...",
        "design; ours",
        "iterations",
        group="solver",
    )
    converge_fraction: Optional[float] = _setting(
        None,
        "... is less than this share below the mean of as many before; 0 never ends early.",
        "design; ours",
        group="solver",
    )

    # Reports and safety
    display: Optional[int] = _setting(
        None, "Caffe's log has a line every so many.", "solver", "iterations", group="output",
        may_change=True,
    )  # fmt: skip
    snapshot: Optional[int] = _setting(
        None, "Save a state to resume from every so many.", "solver; ours", "iterations",
        group="output", may_change=True,
    )  # fmt: skip
    test_interval: int = _setting(
        0, "Also test on the test images every so many, 0: at the end.", "ours", "iterations",
        group="output",
    )  # fmt: skip

    # The machine
    host: str = _setting(
        os.environ.get("MAAP_HOST") or "fork", "Which Caffe runs it (./maap --host sets it).",
        "design", choices=HOSTS, group="machine",
    )  # fmt: skip
    gpu: Optional[int] = _setting(
        None, "GPU number. Default: the CPU.", "Caffe", group="machine", may_change=True
    )
    threads: Optional[int] = _setting(
        None, "CPU threads. Default: all cores. Same count, same bytes.", "ours", "threads",
        group="machine", may_change=True,
    )  # fmt: skip
    resume: bool = _setting(
        False, "Go on with a run that was stopped or killed.", "design", group="machine",
        may_change=True,
    )  # fmt: skip

    @property
    def laap(self) -> bool:
        """Whether the nets have the Enhancement layer."""
        return self.variant in ("laap", "maap")

    @property
    def haap(self) -> bool:
        """Whether training images are rewritten."""
        return self.variant in ("haap", "maap")


FIELDS: dict[str, Any] = {f.name: f for f in dataclasses.fields(TrainConfig)}


def field_type(name: str) -> tuple[type, bool]:
    """(int, float, str or bool; whether it is a list) of a field, without its Optional."""
    kind = typing.get_type_hints(TrainConfig)[name]
    args = [arg for arg in typing.get_args(kind) if arg is not type(None)]
    if typing.get_origin(kind) is typing.Union:
        kind, args = args[0], list(typing.get_args(args[0]))
    return (args[0], True) if typing.get_origin(kind) is list else (kind, False)


def nearest(name: str, known: Iterable[str]) -> str:
    """ "did you mean X?", or what there is to choose from."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if names else "there is none"


def _converted(name: str, value: Any) -> Any:
    """`value` as the field's type, or MaapError. Whole floats pass as int, ints as float."""
    kind, is_list = field_type(name)
    if is_list:
        values = value if isinstance(value, (list, tuple)) else str(value).split(",")
        return [_scalar(name, int, each) for each in values]
    return _scalar(name, kind, value)


def _scalar(name: str, kind: type, value: Any) -> Any:
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    wrong = MaapError(f"setting {name}: {value!r} is not {words[kind.__name__]}")
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise wrong
    if kind is str:
        return str(value)
    try:
        number = float(value)
        if kind is float:
            return number
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise wrong


def check_settings(given: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """The settings with their values converted; None is dropped (it means: the default).

    Raises MaapError for an unknown name, a wrong type or a value that is no choice, `where`
    (a file) named.
    """
    settings = {}
    for name, raw in given.items():
        if name not in FIELDS:
            raise MaapError(f"{where}no setting is called {name!r}; {nearest(str(name), FIELDS)}")
        if raw is None:
            continue
        try:
            value = _converted(name, raw)
        except MaapError as error:
            raise MaapError(f"{where}{error}") from None
        choices = FIELDS[name].metadata["choices"]
        settings[name] = value.lower().replace("-", "_") if choices else value
        if choices and settings[name] not in choices:
            raise MaapError(f"{where}setting {name}: {value!r}; {nearest(value, choices)}")
    return settings


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file, checked. Raises MaapError naming the file."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MaapError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise MaapError(f"{path}: not a YAML file ({text})") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise MaapError(f"{path}: holds no settings; write lines such as `max_iter: 500`")
    return check_settings(content, where=f"{path}: ")


def to_yaml(config: TrainConfig) -> str:
    """The settings as YAML in the order of the class; what `read_yaml` reads back."""
    import yaml

    values = {name: getattr(config, name) for name in FIELDS if name != "resume"}
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=False)


_LEAST = {
    "batch": 1, "max_iter": 1, "phase2_iter": 1, "rounds": 1, "snapshot": 1, "display": 1,
    "converge_window": 1, "image_size": 8, "threads": 1, "iter_size": 1, "seed": 0, "gpu": 0,
    "test_interval": 0, "converge_fraction": 0, "momentum": 0, "weight_decay": 0, "base_lr": 0,
    "phase2_lr": 0, "stepsize": 1,
}  # fmt: skip


def validate(config: TrainConfig) -> TrainConfig:
    """A checked copy. Raises MaapError for the first setting that cannot be, the fix named."""
    given = {name: getattr(config, name) for name in FIELDS}
    config = dataclasses.replace(config, **check_settings(given))
    for name, least in _LEAST.items():
        value = getattr(config, name)
        if value is not None and not value >= least:
            raise MaapError(f"setting {name}: {value} is too small; give at least {least}")
    if config.seed >= 2**31:
        raise MaapError(f"setting seed: {config.seed} is too large; give less than 2147483648")
    if config.name is not None:
        _check_name(config.name)
    if config.input_scale is not None and not config.input_scale > 0:
        raise MaapError(f"setting input_scale: {config.input_scale}; give a number above 0")
    if config.lr_policy == "multistep" and not config.stepvalue:
        raise MaapError("lr_policy multistep needs stepvalue, such as --stepvalue 100,200")
    return config


def _check_name(name: str) -> None:
    if not name or "/" in name or name.startswith((".", "-")) or "\0" in name:
        raise MaapError(f"run name {name!r}: use letters, digits, - and _ (it names a folder)")


# ---- the numbers of a run ----------------------------------------------------------------------

_FROM_SOLVER = {
    "base_lr", "lr_policy", "gamma", "power", "stepsize", "stepvalue", "momentum", "weight_decay",
    "display", "snapshot", "max_iter", "clip_gradients", "iter_size",
}  # fmt: skip

# For solver files that are silent; Caffe's own default would be never.
_LAST_RESORT = dict(display=20, snapshot=1000, converge_window=1000, converge_fraction=0.0)


def pick_preset(config: TrainConfig, demo: bool) -> str:
    """The preset of a run; `demo` says that the data is the built-in demo set."""
    if config.preset != "auto":
        return config.preset
    if config.weights:
        return "finetune"
    return "demo" if demo else "scratch"


def resolve(config: TrainConfig, demo: bool, solver1: Any, solver2: Any, batch: int) -> TrainConfig:
    """The settings with every number filled in.

    In order: what was set, the preset, the solver files (SolverParameter of phase 1 and 2), the
    train_val's ``batch``. A field the solver has no value for stays None.
    """
    preset = pick_preset(config, demo)
    values = {name: getattr(config, name) for name in FIELDS}
    values["preset"] = preset
    given = {name for name, value in values.items() if value is not None}
    for name, value in PRESETS[preset].items():
        if name not in given:
            values[name] = value
    if values["from_scratch"] is None:
        values["from_scratch"] = config.weights is None
    for name in sorted(_FROM_SOLVER):
        if values[name] is None:
            values[name] = _solver_value(solver1, name)
    later = {"phase2_iter": "max_iter", "phase2_lr": "base_lr"}
    for name, first in later.items():
        if values[name] is None:
            same = first in given or first in PRESETS[preset]
            values[name] = values[first] if same else _solver_value(solver2, first)
    for name, value in dict(_LAST_RESORT, batch=batch).items():
        if values[name] is None:
            values[name] = value
    return validate(TrainConfig(**values))


def _solver_value(solver: Any, name: str) -> Any:
    value = getattr(solver, name)
    if isinstance(value, float):
        if not solver.HasField(name):
            return None
        return float(f"{value:.7g}")  # the float32 as it was written
    if isinstance(value, (int, str)):
        return value if solver.HasField(name) and value != 0 else None
    return list(value) or None


def solver_overrides(config: TrainConfig, phase: int) -> dict[str, Any]:
    """The SolverParameter fields of a phase (1: original images, 2 and on: rewritten ones)."""
    values = {name: getattr(config, name) for name in _FROM_SOLVER - {"snapshot"}}
    if phase > 1:
        values.update(base_lr=config.phase2_lr, max_iter=config.phase2_iter)
    values["solver_mode"] = "CPU" if config.gpu is None else "GPU"
    if config.gpu is not None:
        values["device_id"] = config.gpu
    return values


def contradictions(stored: TrainConfig, given: Mapping[str, Any]) -> list[str]:
    """Which of the settings given on a resume differ from the run's, as readable lines."""
    lines = []
    for name, value in check_settings(given).items():
        about = FIELDS[name].metadata
        same = value == getattr(stored, name) or (name, value) == ("preset", "auto")
        if not about["may_change"] and not same and name != "name":
            option = name.replace("_", "-")
            lines.append(f"--{option} is {value}, the run has {getattr(stored, name)}")
    return lines
