"""From a node of an ONNX model to layers: the table of readers, one for each operator.

A reader is a function of one Reading and the Layers that it adds to. Whatever it does not
understand in full it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..proto import caffe_pb2
from .reading import Reading

READERS: dict[str, Callable[[Reading, Layers], None]] = {}
FLOAT_MAX = float(np.finfo(np.float32).max)


def reads(*ops: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Enter a function into the table for these operators."""

    def enter(function: Callable[..., None]) -> Callable[..., None]:
        for op in ops:
            READERS[op] = function
        return function

    return enter


@dataclass
class Layers:
    """The layers so far.

    blobs: for each tensor the blob that holds it. weights: learnt arrays by layer.
    """

    layers: list[Any] = field(default_factory=list)
    weights: dict[str, list[np.ndarray]] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)

    def _new_name(self, wanted: str) -> str:
        taken, name, number = {layer.name for layer in self.layers}, wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        return name

    def add(
        self, kind: str, name: str, bottoms: Sequence[str], tops: Sequence[str],
        weights: Sequence[np.ndarray] = (),
    ) -> Any:  # fmt: skip
        """Add a layer of blobs. Returns its LayerParameter, to set the rest in."""
        name = self._new_name(name)
        layer = caffe_pb2.LayerParameter(name=name, type=kind, bottom=bottoms, top=tops)
        self.layers.append(layer)
        if weights:
            self.weights[name] = [np.asarray(w, np.float32) for w in weights]
        return layer

    def of(self, node: Reading, kind: str, inputs: Sequence[int] = (0,), weights: Any = ()) -> Any:
        """The layer that a node becomes: of its inputs of these numbers, to its first output."""
        bottoms = [self.blob(node, index) for index in inputs]
        self.blobs[node.node.output[0]] = node.node.output[0]
        return self.add(kind, node.name, bottoms, [node.node.output[0]], weights)

    def blob(self, node: Reading, index: int) -> str:
        """The blob of a node's input. Raises CannotRead for a constant one."""
        tensor = node.node.input[index]
        if tensor not in self.blobs:
            raise node.refuse(f"its input {tensor!r} is a constant, where a layer needs a blob")
        return self.blobs[tensor]


def _simple(kind: str, op: str) -> None:
    @reads(op)
    def read(node: Reading, layers: Layers) -> None:
        layers.of(node, kind)


for _op, _kind in {
    "Abs": "AbsVal", "Exp": "Exp", "Log": "Log", "Relu": "ReLU", "Sigmoid": "Sigmoid",
    "Softplus": "BNLL", "Tanh": "TanH",
}.items():  # fmt: skip
    _simple(_kind, _op)


@reads("Identity")
def identity(node: Reading, layers: Layers) -> None:
    """No layer: another name for the same blob."""
    layers.blobs[node.node.output[0]] = layers.blob(node, 0)


@reads("Dropout")
def dropout(node: Reading, layers: Layers) -> None:
    """Dropout, which does nothing in testing."""
    if len(node.node.output) > 1 and node.node.output[1]:
        raise node.refuse("its second output, the mask, has no layer")
    ratio = node.attributes.get("ratio", 0.5)
    if node.has(1):
        ratio = float(node.constant(1, "ratio"))
    if node.has(2) and bool(node.constant(2, "training_mode")):
        raise node.refuse("it drops values in testing, too")
    layers.of(node, "Dropout").dropout_param.dropout_ratio = ratio


@reads("LeakyRelu")
def leaky_relu(node: Reading, layers: Layers) -> None:
    """ReLU with a slope."""
    layers.of(node, "ReLU").relu_param.negative_slope = node.attributes.get("alpha", 0.01)


@reads("Elu")
def elu(node: Reading, layers: Layers) -> None:
    """ELU."""
    layers.of(node, "ELU").elu_param.alpha = node.attributes.get("alpha", 1.0)


@reads("PRelu")
def prelu(node: Reading, layers: Layers) -> None:
    """PReLU with a slope for each channel, or one for all."""
    slope = node.constant(1, "slope")
    channels = node.shape()[1]
    by_channel = slope.shape[:1] == (channels,) and len(slope.shape) == len(node.shape()) - 1
    if slope.size != 1 and not (by_channel and slope.size == channels):
        raise node.refuse(f"a slope of the shape {slope.shape} is not one for each channel")
    layer = layers.of(
        node, "PReLU", weights=[slope.reshape(-1) if slope.size > 1 else slope.reshape(())]
    )
    layer.prelu_param.channel_shared = slope.size == 1


@reads("Clip")
def clip(node: Reading, layers: Layers) -> None:
    """Clip; ReLU where only min 0 is given."""
    least, most = node.attributes.get("min"), node.attributes.get("max")
    if node.has(1):
        least = float(node.constant(1, "min"))
    if node.has(2):
        most = float(node.constant(2, "max"))
    layer = layers.of(node, "Clip")
    layer.clip_param.min = -FLOAT_MAX if least is None else least
    layer.clip_param.max = FLOAT_MAX if most is None else most


@reads("Softmax", "LogSoftmax")
def softmax(node: Reading, layers: Layers) -> None:
    """Softmax, with a Log behind it for LogSoftmax."""
    rank = len(node.shape())
    axis = node.axis(-1 if node.model.opset >= 13 else 1)
    if node.model.opset < 13 and np.prod(node.shape()[axis + 1 :]) != 1:
        raise node.refuse("before opset 13 it sums over all axes from axis on")
    if not 0 <= axis < rank:
        raise node.refuse(f"it has no axis {axis}")
    if node.node.op_type == "Softmax":
        layers.of(node, "Softmax").softmax_param.axis = axis
        return
    top = node.node.output[0]
    inner = layers.add(
        "Softmax", f"{node.name}/softmax", [layers.blob(node, 0)], [f"{top}/softmax"]
    )
    inner.softmax_param.axis = axis
    layers.add("Log", node.name, [f"{top}/softmax"], [top])
    layers.blobs[top] = top


@reads("LRN")
def lrn(node: Reading, layers: Layers) -> None:
    """LRN across channels."""
    size = node.attributes["size"]
    if size < 1 or size % 2 == 0:
        raise node.refuse(f"a size of {size}: Caffe's is odd, and above 0")
    p = layers.of(node, "LRN").lrn_param
    p.local_size, p.k = size, node.attributes.get("bias", 1.0)
    p.alpha, p.beta = node.attributes.get("alpha", 1e-4), node.attributes.get("beta", 0.75)


@reads("BatchNormalization")
def batch_normalization(node: Reading, layers: Layers) -> None:
    """BatchNorm, and Scale in place behind it."""
    scale, bias, mean, variance = (
        node.constant(i + 1, what) for i, what in enumerate(("scale", "bias", "mean", "variance"))
    )
    if node.attributes.get("training_mode", 0) or not node.attributes.get("spatial", 1):
        raise node.refuse("it does not use one stored mean and variance for each channel")
    if any(node.node.output[1:]):
        raise node.refuse("its further outputs have no layer")
    layer = layers.of(node, "BatchNorm", weights=[mean, variance, np.ones(1)])
    layer.batch_norm_param.eps = node.attributes.get("epsilon", 1e-5)
    top = node.node.output[0]
    layers.add(
        "Scale", f"{node.name}/scale", [top], [top], [scale, bias]
    ).scale_param.bias_term = True


@reads("Concat")
def concat(node: Reading, layers: Layers) -> None:
    """Concat."""
    inputs = range(len(node.node.input))
    layers.of(node, "Concat", inputs).concat_param.axis = node.axis(0)


@reads("Split")
def split(node: Reading, layers: Layers) -> None:
    """Slice."""
    outputs = list(node.node.output)
    axis = node.axis(0)
    lengths = [node.top_shape(i)[axis] for i in range(len(outputs))]
    points = np.cumsum(lengths)[:-1]
    layer = layers.add("Slice", node.name, [layers.blob(node, 0)], outputs)
    layer.slice_param.axis = axis
    layer.slice_param.slice_point.extend(int(point) for point in points)
    layers.blobs.update((name, name) for name in outputs)


@reads("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def reshape(node: Reading, layers: Layers) -> None:
    """Flatten or Reshape; the batch stays free where it stays the first axis."""
    before, after = node.shape(), node.top_shape()
    if before[:1] == after[:1] and len(after) == 2 and len(before) > 2:
        layers.of(node, "Flatten")
        return
    dims = list(after)
    if before[:1] == after[:1]:
        dims[0] = 0  # as the bottom's
    layers.of(node, "Reshape").reshape_param.shape.dim.extend(dims)


@reads("Transpose")
def transpose(node: Reading, layers: Layers) -> None:
    """Permute."""
    order = node.attributes.get("perm", list(range(len(node.shape())))[::-1])
    layers.of(node, "Permute").permute_param.order.extend(order)
