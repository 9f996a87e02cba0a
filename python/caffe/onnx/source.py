"""The net to export, as the engine runs it.

The engine itself reads the prototxt and the weights and writes the net that it made of them: old
forms upgraded, layers of the phase TEST alone, a Split layer wherever a blob has several readers.
What it runs is what is exported.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .._caffe import CaffeError
from ..proto import caffe_pb2
from ..pycaffe import Net
from ..shapes import shape_text

Shape = tuple[int, ...]
RECURRENT = {"LSTM", "RNN"}
NO_INPUTS = {"ContinuationIndicator", "Parameter"}  # without bottoms, and yet no input


@dataclass
class Source:
    """A net in the phase TEST.

    layers: its layers, without their weights; weights: the learnt arrays of each, by its index.
    shapes: of each blob. free: which of its axes follow the size of the batch, in a net with a free
    one. batch_axis: the axis of the inputs that is free, None for a net of a fixed size.
    left_out: the indices of layers that are not exported.
    """

    name: str
    net: Net
    layers: list[Any]
    weights: list[list[np.ndarray]]
    shapes: dict[str, Shape]
    free: dict[str, set[int]] = field(default_factory=dict)
    batch_axis: int | None = None
    left_out: set[int] = field(default_factory=set)

    @property
    def all_inputs(self) -> list[str]:
        """The blobs that layers without bottoms make: those of Input and data layers."""
        return [top for layer in self.layers if self.is_input(layer) for top in layer.top]

    @property
    def inputs(self) -> list[str]:
        """The inputs of the model: all, but those that only left out layers read."""
        if not self.left_out:
            return self.all_inputs
        read = self._read()
        return [name for name in self.all_inputs if name in read]

    def _read(self) -> set[str]:
        """The blobs that layers which are not left out read."""
        kept = [la for i, la in enumerate(self.layers) if i not in self.left_out]
        return {bottom for layer in kept for bottom in layer.bottom}

    def leave_out(self, numbers: set[int]) -> None:
        """Leave layers out, by their indices, those that read what they make, and Splits that
        nobody reads then."""
        self.left_out, gone = set(numbers), set[str]()
        for index, layer in enumerate(self.layers):
            if index in self.left_out or gone & set(layer.bottom):
                self.left_out.add(index)
                gone |= set(layer.top)
        for index in reversed(range(len(self.layers))):
            layer = self.layers[index]
            if layer.type == "Split" and not self._read() & set(layer.top):
                self.left_out.add(index)

    def is_input(self, layer: Any) -> bool:
        """Whether a layer's tops are inputs of the model."""
        return not layer.bottom and layer.type not in NO_INPUTS

    @property
    def batch(self) -> int | None:
        """The batch that the prototxt has, where it is free."""
        for name in self.inputs:
            if self.batch_axis is not None and self.batch_axis < len(self.shapes[name]):
                return self.shapes[name][self.batch_axis]
        return None

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads, in the order of the layers."""
        if not self.left_out:
            return list(self.net.outputs)
        read, made = self._read(), []
        for index, layer in enumerate(self.layers):
            if index in self.left_out or layer.type == "Split" or self.is_input(layer):
                continue
            made += [top for top in layer.top if top not in read and top not in made]
        return made

    def parts(self) -> list[tuple[int, int]]:
        """First and last index of each series of layers between those that make inputs."""
        parts: list[tuple[int, int]] = []
        for index, layer in enumerate(self.layers):
            if self.is_input(layer) or index in self.left_out:
                continue
            if parts and parts[-1][1] == index - 1:
                parts[-1] = (parts[-1][0], index)
            else:
                parts.append((index, index))
        return parts

    def made_of_shapes(self, layer: Any) -> np.ndarray:
        """What a layer computes that looks at the shapes of its bottoms, not at their values."""
        index = next(i for i, other in enumerate(self.layers) if other is layer)
        self.net._forward(index, index)
        return np.array(self.net.blobs[layer.top[0]].data)

    def dims(self, blob: str) -> list[int | None]:
        """The lengths of a blob's axes; None for one that follows the batch."""
        free = self.free.get(blob, set())
        return [None if i in free else n for i, n in enumerate(self.shapes[blob])]


def _written(net: Net) -> Any:
    """The NetParameter that the engine writes for a net."""
    handle, path = tempfile.mkstemp(suffix=".caffemodel")
    os.close(handle)
    try:
        net.save(path)
        return caffe_pb2.NetParameter.FromString(Path(path).read_bytes())
    finally:
        Path(path).unlink()


def _without_blobs(layer: Any) -> Any:
    del layer.blobs[:]
    return layer


def _shapes(net: Net) -> dict[str, Shape]:
    return {name: tuple(blob.shape) for name, blob in net.blobs.items()}


def read(prototxt: str | os.PathLike[str], weights: str | os.PathLike[str] | None) -> Source:
    """Read a net, with random weights where none are given. Raises CaffeError as Net does."""
    more = {} if weights is None else {"weights": str(weights)}
    net = Net(str(prototxt), caffe_pb2.TEST, **more)
    written = _written(net)
    learnt = [[np.array(blob.data) for blob in layer.blobs] for layer in net.layers]
    layers = [_without_blobs(layer) for layer in written.layer]
    name = written.name or Path(prototxt).stem
    return Source(name, net, layers, learnt, _shapes(net))


def other_batch(source: Source) -> Fraction:
    """A factor to the smallest batch that keeps the inputs' proportions; to three times a batch
    that is the smallest already."""
    axis = source.batch_axis or 0
    shapes = [source.shapes[name] for name in source.all_inputs]
    common = math.gcd(*(shape[axis] for shape in shapes if axis < len(shape)))
    return Fraction(1, common) if common > 1 else Fraction(3)


def resize(source: Source, factor: Fraction | int) -> None:
    """Give the free axis of the net's inputs its first length times ``factor``."""
    for name in source.all_inputs:
        shape = list(source.shapes[name])
        if source.batch_axis is not None and source.batch_axis < len(shape):
            shape[source.batch_axis] = int(shape[source.batch_axis] * factor)
        source.net.blobs[name].reshape(*shape)
    source.net.reshape()


def free_batch(source: Source) -> None:
    """Make the batch free: find the axes that follow it, by another size of batch.

    The batch is the first axis of all inputs; the second where a recurrent layer's steps are the
    first. Raises ValueError if the net has no other size.
    """
    source.batch_axis = int(any(layer.type in RECURRENT for layer in source.layers))
    try:
        resize(source, 2)
        other = _shapes(source.net)
        resize(source, 1)
    except CaffeError as error:
        raise ValueError(f"the batch of this net cannot be dynamic: {error}") from None
    for name, shape in source.shapes.items():
        if len(other[name]) != len(shape):
            raise ValueError(
                f"the batch of this net cannot be dynamic: blob {name!r} has the shape "
                f"{shape_text(shape)}, with twice the batch {shape_text(other[name])}"
            )
        source.free[name] = {i for i, (a, b) in enumerate(zip(shape, other[name])) if a != b}


def fixed_batch(source: Source, size: int) -> None:
    """Set the first axis of all inputs, the second in a net with recurrent layers, to a size."""
    axis = int(any(layer.type in RECURRENT for layer in source.layers))
    try:
        for name in source.all_inputs:
            shape = list(source.shapes[name])
            if axis < len(shape):
                shape[axis] = size
            source.net.blobs[name].reshape(*shape)
        source.net.reshape()
    except CaffeError as error:
        raise ValueError(f"the net cannot have a batch of {size}: {error}") from None
    source.shapes = _shapes(source.net)
