"""Reads a prototxt: the layers of one phase, in today's form."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from .._caffe import dialect
from ..proto import caffe_pb2


def read_net(path: str | Path, phase: int, level: int = 0, stages: Iterable[str] = ()) -> Any:
    """The NetParameter in a text file, with the layers that Caffe takes in that state.

    Inputs that the net names itself (`input:`) become an Input layer; what was written for an older
    Caffe or another fork is converted. Raises OSError, and ValueError with the file's name for text
    that is no net.
    """
    path = Path(path)
    net = _parsed(path)
    _convert_inputs(net)
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


def _convert_inputs(net: Any) -> None:
    """`input:` with `input_shape` or `input_dim` becomes an Input layer, the net's first."""
    if not net.input:
        return
    first = caffe_pb2.LayerParameter(name="input", type="Input", top=net.input)
    if net.input_shape:
        first.input_param.shape.extend(net.input_shape)
    else:
        for start in range(0, len(net.input_dim), 4):
            first.input_param.shape.add(dim=net.input_dim[start : start + 4])
    others = list(net.layer)
    del net.layer[:]
    net.layer.extend([first, *others])
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)


def _parsed(path: Path) -> Any:
    """The NetParameter in a file. What the schema alone does not read (layers of before 2014,
    fields of other forks) goes through Caffe's own upgrade_net_proto_text."""
    net = caffe_pb2.NetParameter()
    try:
        text_format.Parse(path.read_text(encoding="utf-8-sig"), net)
        if not net.layers:
            return net
        reason = "it was written for a Caffe of before 2014"
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text ({error})") from None
    except text_format.ParseError as error:
        reason = str(error)
    return _upgraded(path, reason)


def _upgraded(path: Path, reason: str) -> Any:
    here = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    tool = shutil.which("upgrade_net_proto_text", path=here)
    if tool is None:
        raise ValueError(
            f"{path}: {reason}; upgrade_net_proto_text, which may help, is not on PATH"
        )
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "net.prototxt"
        done = subprocess.run([tool, str(path), str(new)], stderr=subprocess.PIPE)
        if done.returncode != 0 or not new.is_file():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [reason]
            raise ValueError(f"{path}: {lines[-1].split('] ')[-1]}")
        return text_format.Parse(new.read_text(encoding="utf-8"), caffe_pb2.NetParameter())
