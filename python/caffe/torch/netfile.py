"""Reads a prototxt: the layers of one phase, in today's form."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import CaffeError, io
from .._caffe import dialect
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
        net = io.read_net(path)
    except CaffeError as error:
        raise ValueError(f"{path}: not a net ({error})") from None
    if not net.layer:
        raise ValueError(f"{path}: no layer in it; is it a solver, not a net?")
    state = caffe_pb2.NetState(phase=phase, level=level, stage=stages)
    state.stage.extend(net.state.stage)
    if net.state.HasField("level") and not level:
        state.level = net.state.level
    taken = [layer for layer in net.layer if is_included(layer, state)]
    if dialect():  # chosen by hand for all nets: caffe.set_dialect
        for layer in taken:
            _take_dialect(layer, dialect())
    del net.layer[:]
    net.layer.extend(taken)
    return net


def _take_dialect(layer: Any, name: str) -> None:
    """The dialect of a layer that has none of its own, and its defaults that are not BVLC's."""
    layer.dialect = layer.dialect or name
    clips = name in ("yolo9000", "brocolli_inisis", "cambricon")
    if layer.type == "PriorBox" and clips and not layer.prior_box_param.HasField("clip"):
        layer.prior_box_param.clip = True


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
