"""Groups of nodes that are one layer of Caffe: Enhancement, as caffe.onnx itself writes it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .layers_of import Layers
from .reading import Model, Reading


@dataclass(frozen=True)
class Enhancement:
    """F' = F * (sigmoid(mean of F over the channels) + 1)."""

    mean: Reading
    sigmoid: Reading
    plus_one: Reading
    product: Reading

    @property
    def inner(self) -> list[Reading]:
        """The nodes before the last."""
        return [self.mean, self.sigmoid, self.plus_one]

    def add_to(self, layers: Layers) -> None:
        """Add the layer; the attention map is its second top."""
        features = layers.blobs[self.mean.node.input[0]]
        tops = [self.product.node.output[0], self.sigmoid.node.output[0]]
        layers.add("Enhancement", self.product.name, [features], tops)
        layers.blobs.update((top, top) for top in tops)


def _is_mean_over_channels(node: Reading) -> bool:
    axes = node.attributes.get("axes")
    if node.has(1) and node.is_constant(1):
        axes = node.constant(1, "axes").tolist()
    rank = len(node.shape())
    named = [axis % rank for axis in axes or []]
    return node.attributes.get("keepdims", 1) == 1 and rank == 4 and named == [1]


def _adds_one(node: Reading) -> int | None:
    """The input that is no constant, if the other is the number 1."""
    for index in (0, 1):
        if node.is_constant(index):
            values = node.constant(index, "constant")
            return (
                1 - index if values.size == 1 and values.reshape(-1)[0] == np.float32(1) else None
            )
    return None


def _match(node: Reading, makers: dict[str, Reading]) -> Enhancement | None:
    """The layer that ends with this product."""
    if node.node.op_type != "Mul":
        return None
    for index in (0, 1):
        plus = makers.get(node.node.input[index])
        if plus is None or plus.node.op_type != "Add":
            continue
        free = _adds_one(plus)
        sigmoid = makers.get(plus.node.input[free]) if free is not None else None
        if sigmoid is None or sigmoid.node.op_type != "Sigmoid":
            continue
        mean = makers.get(sigmoid.node.input[0])
        if mean is None or mean.node.op_type != "ReduceMean" or not _is_mean_over_channels(mean):
            continue
        if mean.node.input[0] == node.node.input[1 - index]:
            return Enhancement(mean, sigmoid, plus, node)
    return None


def enhancements(model: Model) -> list[Enhancement]:
    """The Enhancement layers of a model, where nothing else reads what is inside of one."""
    makers = {name: node for node in model.nodes for name in node.node.output}
    readers = Counter(name for node in model.nodes for name in node.node.input)
    readers.update(model.outputs)
    found = [match for node in model.nodes if (match := _match(node, makers))]

    def closed(layer: Enhancement) -> bool:
        hidden = [layer.mean.node.output[0], layer.plus_one.node.output[0]]
        return all(readers[name] == 1 for name in hidden)

    return [layer for layer in found if closed(layer)]
