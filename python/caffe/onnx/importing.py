"""An ONNX classifier as a prototxt and a caffemodel.

python -m caffe.onnx --to-caffe MODEL.onnx OUT.prototxt OUT.caffemodel
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format

from ..proto import caffe_pb2
from ..pycaffe import Net
from . import sums_of
from .differences import Difference, relative, session
from .examples import Arrays
from .layers_of import READERS, Layers
from .needs import onnx
from .patterns import enhancements
from .reading import CannotRead, Model, read

_ = sums_of  # imported for the readers that it enters


@dataclass(frozen=True)
class Imported:
    """A net made of a model. param: its NetParameter, without weights; blobs: by tensor."""

    model: Model
    param: Any
    weights: dict[str, list[np.ndarray]]
    blobs: dict[str, str]


def convert(model: Model, name: str) -> Imported:
    """The layers of a model. Raises CannotRead for a node that does not become one."""
    layers = Layers()
    for tensor, shape in model.inputs.items():
        layer = layers.add("Input", tensor, [], [tensor])
        layer.input_param.shape.add().dim.extend(shape)
        layers.blobs[tensor] = tensor
    groups = {id(layer.product): layer for layer in enhancements(model)}
    inner = {id(node) for layer in groups.values() for node in layer.inner}
    for node in model.nodes:
        if id(node) in inner:
            continue
        if id(node) in groups:
            groups[id(node)].add_to(layers)
            continue
        if node.node.op_type not in READERS:
            raise node.refuse("caffe.onnx has no layer for this operator")
        READERS[node.node.op_type](node, layers)
    if len(layers.blobs) == len(model.inputs):
        raise CannotRead("the model computes nothing from its inputs")
    param = caffe_pb2.NetParameter(name=name, layer=layers.layers)
    return Imported(model, param, layers.weights, layers.blobs)


def write(imported: Imported, prototxt: Path, caffemodel: Path) -> Net:
    """Write both files. Returns the net. Raises CaffeError for a net that the engine refuses."""
    prototxt.write_text(text_format.MessageToString(imported.param))
    net = Net(str(prototxt), caffe_pb2.TEST)
    for name, arrays in imported.weights.items():
        for blob, array in zip(net.params[name], arrays):
            blob.data[...] = array.reshape(blob.data.shape)
    net.save(str(caffemodel))
    return net


def compare(imported: Imported, net: Net, seeds: int = 2) -> list[Difference]:
    """Run the model in ONNX Runtime and the net on random inputs; the blobs' differences."""
    proto = onnx.ModelProto()
    proto.CopyFrom(imported.model.proto)
    wanted = {t: b for t, b in imported.blobs.items() if t not in imported.model.inputs}
    have = {info.name for info in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=t) for t in wanted if t not in have)
    runner = session(proto.SerializeToString())
    worst: dict[str, Difference] = {}
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        inputs: Arrays = {
            name: random.standard_normal(shape).astype(np.float32)
            for name, shape in imported.model.inputs.items()
        }
        net.forward(**inputs)
        theirs = dict(zip(wanted, runner.run(list(wanted), inputs)))
        for tensor, blob in wanted.items():
            ours = np.array(net.blobs[blob].data)
            share = relative(theirs[tensor], ours)
            if tensor not in worst or share > worst[tensor].relative:
                worst[tensor] = Difference(tensor, ours.shape, share)
    return list(worst.values())


def to_caffe(
    model: str | os.PathLike[str],
    prototxt: str | os.PathLike[str],
    caffemodel: str | os.PathLike[str],
    batch: int | None = None,
) -> list[Difference]:
    """Write a model's net and weights, and compare them with ONNX Runtime.

    batch: of the net; else the model's, or 1 if that is free. Returns the largest difference of
    each tensor. Raises CannotRead (a ValueError) for a model or node that does not become layers;
    after any error there are no files.
    """
    imported = convert(read(model, batch), Path(model).stem)
    try:
        net = write(imported, Path(prototxt), Path(caffemodel))
        return compare(imported, net)
    except BaseException:  # files that nobody compared would be taken for a net that is right
        for path in (prototxt, caffemodel):
            Path(path).unlink(missing_ok=True)
        raise
