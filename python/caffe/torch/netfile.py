"""Reads a prototxt: the layers of one phase, in today's form."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import CaffeError, _caffe
from ..proto import caffe_pb2


def read_net(path: str | Path, phase: int, level: int = 0, stages: Iterable[str] = ()) -> Any:
    """The NetParameter in a text file, with the layers that Caffe takes in that state.

    Inputs that the net names itself (`input:`) become an Input layer; what was written for an older
    Caffe or another fork is converted. Raises OSError, and ValueError with the file's name for text
    that is no net.
    """
    with open(path, "rb"):
        pass  # an OSError names the file
    try:
        net = caffe_pb2.NetParameter.FromString(_caffe.read_net(os.fspath(path), True))
    except CaffeError as error:
        raise ValueError(f"{path}: not a net ({error})") from None
    if not net.layer:
        raise ValueError(f"{path}: no layer in it; is it a solver, not a net?")
    state = caffe_pb2.NetState(phase=phase, level=level, stage=stages)
    state.stage.extend(net.state.stage)
    if net.state.HasField("level") and not level:
        state.level = net.state.level
    taken = [layer for layer in net.layer if is_included(layer, state)]
    del net.layer[:]
    net.layer.extend(taken)
    return net


def is_included(layer: Any, state: Any) -> bool:
    """Whether Caffe takes the layer in that NetState: one include rule holds, or no exclude rule.

    Raises ValueError for a layer with rules of both kinds."""
    if layer.include and layer.exclude:
        raise ValueError(f"layer {layer.name}: has include and exclude rules: give it one kind")
    if layer.include:
        return any(_holds(rule, state) for rule in layer.include)
    return not any(_holds(rule, state) for rule in layer.exclude)


def _holds(rule: Any, state: Any) -> bool:
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)
