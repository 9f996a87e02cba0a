"""From a net of the engine to an ONNX model."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from . import layer_families, source
from .convert import CONVERTERS, CannotSay, Conversion
from .graph import DEFAULT_OPSET, OPSETS, Graph, model_of, value_info
from .source import Source

_ = layer_families  # imported for the converters that it enters

FREE = "N"  # the name of a free batch
LARGEST = 2**31 - 2**20  # bytes of a protobuf message, less what the comparison adds
FOR_TRAINING = (
    "Loss", "LossOHEM", "Accuracy", "BoxAnnotatorOHEM", "DetectionEvaluate", "HDF5Output",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """An ONNX model with the net that it was made of.

    tensors: for each blob of the net the tensor that has its values; a blob that an automatic
    Split made has the tensor of its source. notes: what whoever uses the file must know.
    """

    model: Any
    source: Source
    tensors: dict[str, str]
    notes: tuple[str, ...] = ()


def _reason(kind: str) -> str:
    if kind == "Python":
        return "its code is Python, which a file cannot hold"
    if kind.endswith(FOR_TRAINING):
        return (
            "it is for training and testing; export the deploy net, which has no labels, or leave "
            "such layers out (--without-losses)"
        )
    return "caffe.onnx has no converter for this type"


def add_layer(
    graph: Graph, net: Source, index: int, tensors: dict[str, str], notes: list[str]
) -> None:
    """Add a layer's nodes, and enter the tensors of its tops."""
    layer = net.layers[index]
    if layer.type not in CONVERTERS:
        raise CannotSay(f"layer {layer.name!r} of type {layer.type}: {_reason(layer.type)}")
    bottoms = [tensors[name] for name in layer.bottom]
    conversion = Conversion(layer, net.weights[index], bottoms, graph, net, notes)
    made = CONVERTERS[layer.type](conversion)
    made = [made] if isinstance(made, str) else made
    if len(made) != len(layer.top):
        raise conversion.refuse(f"its {len(layer.top)} tops have no converter")
    tensors.update(zip(layer.top, made))


def _name_after_blobs(graph: Graph, net: Source, tensors: dict[str, str]) -> dict[str, str]:
    """Give each blob's tensor the name of the blob. Returns the names by blob.

    Two kinds of blobs have none of their own: those that an automatic Split made, and an input that
    a layer changes in place, whose name is the input's.
    """
    made, names = graph.made(), {}
    hidden = {top for layer in net.layers if layer.type == "Split" for top in layer.top}
    hidden = (hidden - set(net.outputs)) | set(net.inputs)
    named = {blob: tensor for blob, tensor in tensors.items() if blob not in hidden}
    for blob, tensor in named.items():
        if tensor in made and tensor not in names:
            names[tensor] = blob
    for blob, tensor in named.items():
        if names.get(tensor) != blob:
            copy = graph.add("Identity", [tensor], blob)[0]
            names[copy], tensors[blob] = blob, copy
    graph.rename(names)
    for node in graph.nodes:
        node.name = node.outputs[0] if node.name in names else node.name
    return {blob: names.get(tensor, tensor) for blob, tensor in tensors.items()}


def _axes(net: Source, blob: str) -> list[int | str | None]:
    """The lengths of a blob's axes for its type: the batch's name where an axis is the batch."""
    lengths: list[int | str | None] = list(net.dims(blob))
    for axis in net.free.get(blob, set()):
        lengths[axis] = FREE if net.shapes[blob][axis] == net.batch else None
    return lengths


def _counts_by_value(net: Source) -> set[str]:
    """The blobs whose shape depends on values: of DetectionOutput, Filter, and all behind them."""
    varying: set[str] = set()
    for layer in net.layers:
        if layer.type in ("DetectionOutput", "Filter", "Proposal") or varying & set(layer.bottom):
            varying |= set(layer.top)
    return varying


def _output_infos(net: Source, names: dict[str, str]) -> list[Any]:
    """The outputs' types. Raises ValueError if there are none."""
    varying, infos = _counts_by_value(net), []
    for blob in net.outputs:
        if blob in net.inputs and names[blob] == blob:
            continue  # an input that nobody reads
        lengths = _axes(net, blob)
        infos.append(value_info(names[blob], [None] * len(lengths) if blob in varying else lengths))
    if not infos:
        raise ValueError(
            "the net computes nothing, or layers of type Silence read all of it: nothing to export"
        )
    return infos


def convert(net: Source, opset: int = DEFAULT_OPSET) -> Exported:
    """The ONNX model of a net: inputs and outputs are the net's, each blob a tensor of its name.

    Raises CannotSay for a layer that cannot be exported, ValueError for an opset out of range.
    """
    if opset not in OPSETS:
        raise ValueError(f"opset {opset}: choose one of {OPSETS[0]} to {OPSETS[-1]}")
    graph = Graph(opset, taken=set(net.shapes))
    tensors: dict[str, str] = {name: name for name in net.inputs}
    notes: list[str] = []
    for index, layer in enumerate(net.layers):
        if not net.is_input(layer) and index not in net.left_out:
            add_layer(graph, net, index, tensors, notes)
    names = _name_after_blobs(graph, net, tensors)
    inputs = [value_info(name, _axes(net, name)) for name in net.inputs]
    outputs = _output_infos(net, names)
    proto = graph.to_proto(net.name or "net", inputs, outputs)
    if proto.ByteSize() >= LARGEST:
        raise ValueError("the weights are more than the 2 GB that an ONNX file holds")
    return Exported(model_of(proto, opset), net, names, tuple(notes))


def export(
    prototxt: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None,
    *,
    opset: int = DEFAULT_OPSET,
    batch: str | int | None = None,
    without_losses: bool = False,
) -> Exported:
    """Read a net and make its ONNX model.

    batch: "dynamic", a size, or None for the prototxt's. without_losses: leave out losses,
    accuracies and other layers of training, with the inputs that only they read. Raises CaffeError
    for files that the engine cannot read, CannotSay (a ValueError) for a layer that cannot be
    exported, ValueError for a batch that the net cannot have.
    """
    net = source.read(prototxt, weights)
    if without_losses:
        net.leave_out(
            {i for i, layer in enumerate(net.layers) if layer.type.endswith(FOR_TRAINING)}
        )
    if batch == "dynamic":
        source.free_batch(net)
    elif batch is not None:
        source.fixed_batch(net, int(batch))
    exported = convert(net, opset)
    layers = [net.layers[i] for i in sorted(net.left_out)]
    names = [f"{layer.name} ({layer.type})" for layer in layers if layer.type != "Split"]
    left_out = (f"left out: {', '.join(names)}",) if names else ()
    return replace(exported, notes=(*exported.notes, *left_out))
