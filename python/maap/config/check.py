"""Is a setting one that can be? Checking the settings of a run, and reading and writing them.

`resolve` fills in the numbers that nobody set.
"""

import dataclasses
import math
import os
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from maap.config.fields import FIELDS, TrainConfig, option_name
from maap.config.values import Settings, Value
from maap.errors import MaapError
from maap.images.a_star import find_a_star
from maap.images.region_options import RegionOptions
from maap.util.files import cannot_read
from maap.util.text import nearest, plain


def field_type(name: str) -> tuple[type, bool]:
    """(int, float, str or bool; whether it is a list) of a field, without its Optional."""
    kind = typing.get_type_hints(TrainConfig)[name]
    args = [arg for arg in typing.get_args(kind) if arg is not type(None)]
    if typing.get_origin(kind) is typing.Union:
        kind, args = args[0], list(typing.get_args(args[0]))
    return (args[0], True) if typing.get_origin(kind) is list else (kind, False)


def _converted(name: str, value: object) -> Value:
    """`value` as the field's type, or MaapError. Whole floats pass as int, ints as float."""
    kind, is_list = field_type(name)
    if is_list:
        values = value if isinstance(value, (list, tuple)) else str(value).split(",")
        return [_scalar(name, int, each) for each in values]
    return _scalar(name, kind, value)


def _scalar(name: str, kind: type, value: object) -> Union[bool, int, float, str]:
    words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
    wrong = MaapError(f"setting {name}: {value!r} is not {words[kind.__name__]}")
    if kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
        raise wrong
    if kind is str:
        if not isinstance(value, (str, int, float, os.PathLike)):
            raise wrong
        if str(value) == "":
            raise MaapError(f"setting {name} is empty; give a value or leave it out")
        return str(value)
    try:
        number = float(value)
        if kind is float and math.isfinite(number):
            return number
        if number.is_integer():
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise wrong


def check_settings(given: Mapping[str, object], where: str = "") -> Settings:
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
        choices = FIELDS[name].metadata["choices"]
        try:
            value = _converted(name, plain(raw) if plain(raw) in choices else raw)
        except MaapError as error:
            raise MaapError(f"{where}{error}") from None
        settings[name] = value.lower().replace("-", "_") if choices else value
        if choices and settings[name] not in choices:
            raise MaapError(f"{where}setting {name}: {value!r}; {nearest(value, choices)}")
    return settings


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping; YAML's own loaders drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and keys.count(key.value) > 1:
                line = key.start_mark.line + 1
                raise MaapError(f"line {line}: {key.value!r} stands twice; leave one of them out")
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> object:
    """What a YAML file holds. Raises MaapError naming the file: it cannot be read, is no YAML, or
    has a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  a SafeLoader
    except OSError as error:
        raise cannot_read(path, error, ".yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise MaapError(f"{path}: not a YAML file ({text})") from None
    except MaapError as error:
        raise MaapError(f"{path}: {error}") from None


def read_yaml(path: Path) -> Settings:
    """The settings in a YAML file, checked. Raises MaapError naming the file."""
    content = load_yaml(Path(path))
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise MaapError(f"{path}: holds no settings; write lines such as `max_iter: 500`")
    return check_settings(content, where=f"{path}: ")


def to_yaml(config: TrainConfig) -> str:
    """The settings as YAML in the order of the class; what `read_yaml` reads back."""
    values = {name: getattr(config, name) for name in FIELDS if name != "resume"}
    return yaml.safe_dump(values, sort_keys=False, default_flow_style=False)


_LONGEST_NAME = 200  # bytes; file systems allow 255, and some files add to it

_LEAST = {
    "batch": 1, "max_iter": 1, "phase2_iter": 1, "rounds": 1, "snapshot": 1, "display": 1,
    "converge_window": 1, "image_size": 8, "crop_size": 8, "threads": 1, "iter_size": 1, "seed": 0,
    "gpu": 0, "test_interval": 0, "converge_fraction": 0, "momentum": 0, "weight_decay": 0,
    "base_lr": 0, "phase2_lr": 0, "stepsize": 1, "ranks": 1,
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
        check_name(config.name)
    if config.input_scale is not None and not config.input_scale > 0:
        raise MaapError(f"setting input_scale: {config.input_scale}; give a number above 0")
    if config.math != "float" and config.host != "fork":
        raise MaapError(
            f"--math {config.math}: BVLC Caffe computes in float; leave it out, or start with "
            "./maap --host fork"
        )
    RegionOptions.of(config).check()
    _check_method(config)
    _check_batch_norm(config)
    if config.lr_policy == "multistep" and not config.stepvalue:
        raise MaapError("lr_policy multistep needs stepvalue, such as --stepvalue 100,200")
    return config


def _check_method(config: TrainConfig) -> None:
    """Raises MaapError for settings of the method that exclude each other."""
    if config.haap_mode == "online" and not config.haap:
        raise MaapError(
            f"--haap online is for haap and maap, not for {config.variant}: leave it out"
        )
    if config.online and config.rounds > 1:
        raise MaapError(
            f"setting rounds: {config.rounds}; --haap online finds the region at every iteration, "
            "so there are no rounds: leave it out"
        )
    check_attention(config.attention, config.attention_layer)
    if config.online and config.attention != "mean":
        raise MaapError(
            f"--attention {config.attention} takes a pass of its own through the net, which --haap "
            "online has no place for: leave one of the two out"
        )
    if config.control and config.haap:
        raise MaapError(
            f"--control is for baseline and laap, not for {config.variant}, whose phase 2 has "
            "rewritten images: leave it out"
        )
    if config.regions != "found":
        _check_regions(config)
    if config.dropout_after and config.variant != "baseline":
        raise MaapError(
            f"dropout_after is for the baseline, not for {config.variant}: give --variant baseline"
        )


def _check_regions(config: TrainConfig) -> None:
    """Raises MaapError where other boxes than the regions found would change nothing."""
    given = f"--regions {config.regions}"
    if not config.haap:
        raise MaapError(
            f"{given} is for haap and maap, not for {config.variant}, whose images are not "
            "rewritten: leave it out"
        )
    if config.online:
        raise MaapError(
            f"{given}: --haap online finds the regions inside the net; leave one of the two out"
        )
    if not find_a_star(config.a_star).uses_region:
        raise MaapError(
            f"{given}: with --a-star {config.a_star} an image does not depend on the region; leave "
            "one of the two out"
        )


def check_attention(attention: str, layer: Optional[str]) -> None:
    """Raises MaapError for a source of attention that takes no layer, and a layer for it."""
    if attention == "cam" and layer is not None:
        raise MaapError(
            f"--attention-layer {layer}: the map of --attention cam is the one that the classifier "
            "averages: leave the layer out, or give --attention grad_cam"
        )


def _check_batch_norm(config: TrainConfig) -> None:
    if config.batch_norm == "frozen" and config.weights is None:
        raise MaapError("batch_norm frozen needs --weights, whose statistics it keeps; give train")
    if config.batch_norm_fraction is not None and not 0 <= config.batch_norm_fraction < 1:
        raise MaapError(
            f"setting batch_norm_fraction: {config.batch_norm_fraction}; give 0 to less than 1"
        )


def check_name(name: str) -> None:
    if not name or "/" in name or name.startswith((".", "-")) or not name.isprintable():
        raise MaapError(f"run name {name!r}: use letters, digits, - and _ (it names a folder)")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise MaapError(
            f"run name {name[:40]}...: too long; give a --name of {_LONGEST_NAME} bytes"
        )


def contradictions(stored: TrainConfig, given: Mapping[str, object]) -> list[str]:
    """Which of the settings given on a resume differ from the run's, as readable lines."""
    lines = []
    for name, value in check_settings(given).items():
        about = FIELDS[name].metadata
        same = value == getattr(stored, name) or (name, value) == ("preset", "auto")
        if not about["may_change"] and not same and name != "name":
            lines.append(
                f"{option_name(name)} is {plain(value)}, the run has {plain(getattr(stored, name))}"
            )
    return lines
