"""From layers to nodes: the table of converters and what a converter sees of its layer.

A converter is a function of one Conversion. It adds nodes and returns the tensors of the layer's
tops, one name or a list. The modules named in ``layer_families`` hold them, one per family.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .graph import AXES_ARE_INPUTS, Graph
from .source import Source

Dims = list["int | None"]
CONVERTERS: dict[str, Callable[[Conversion], str | list[str]]] = {}


class CannotSay(ValueError):
    """A layer that ONNX's operators do not express, or that this converter does not."""


def converts(*types: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table for these layer types."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for kind in types:
            CONVERTERS[kind] = function
        return function

    return enter


@dataclass
class Conversion:
    """One layer on its way into a graph.

    layer: its LayerParameter. weights: its learnt arrays. bottoms: the tensors that it reads.
    notes: what whoever uses the file must know, of all layers.
    """

    layer: Any
    weights: list[np.ndarray]
    bottoms: list[str]
    graph: Graph
    source: Source
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that whoever uses the file must know."""
        self.notes.append(f"layer {self.layer.name!r} of type {self.layer.type}: {text}")

    def refuse(self, why: str) -> CannotSay:
        """The error to raise for a layer that cannot be exported."""
        return CannotSay(f"layer {self.layer.name!r} of type {self.layer.type}: {why}")

    # Shapes

    def bottom_dims(self, index: int = 0) -> Dims:
        """The lengths of a bottom's axes; None for one that follows the batch."""
        return self.source.dims(self.layer.bottom[index])

    def top_dims(self, index: int = 0) -> Dims:
        """The lengths of a top's axes; None for one that follows the batch."""
        return self.source.dims(self.layer.top[index])

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of a bottom, at the batch that the net has."""
        return self.source.shapes[self.layer.bottom[index]]

    def axis(self, axis: int, index: int = 0) -> int:
        """An axis of a bottom, counted from the front."""
        return axis % len(self.shape(index)) if axis < 0 else axis

    def length(self, axis: int, index: int = 0) -> int:
        """The length of a bottom's axis, which must not follow the batch."""
        found = self.bottom_dims(index)[axis]
        if found is None:
            raise self.refuse(
                f"axis {axis} of bottom {self.layer.bottom[index]!r} follows the batch, but the "
                "layer needs its length: export with a fixed batch"
            )
        return found

    # Nodes

    def op(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        return self.graph.add(op, inputs, self.layer.name, **attributes)[0]

    def ops(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs; returns their names."""
        return self.graph.add(op, inputs, self.layer.name, outputs, **attributes)

    def constant(self, values: Any, what: str = "constant") -> str:
        """A tensor of floats."""
        return self.graph.constant(values, f"{self.layer.name}/{what}")

    def integers(self, values: Any, what: str = "sizes") -> str:
        """A tensor of int64: axes, sizes, indices."""
        return self.graph.constant(values, f"{self.layer.name}/{what}", np.int64)

    def reduce(self, how: str, x: str, axes: list[int], keep: bool = True) -> str:
        """ReduceMean, ReduceSum ... over axes, for any opset."""
        by_input = self.graph.opset >= AXES_ARE_INPUTS or how == "Sum"
        if by_input:
            return self.op(f"Reduce{how}", x, self.integers(axes, "axes"), keepdims=int(keep))
        return self.op(f"Reduce{how}", x, axes=axes, keepdims=int(keep))

    def reshape(self, x: str, dims: Dims) -> str:
        """Reshape to dims; at most one of them may be None, which takes what is left."""
        if sum(n is None for n in dims) > 1:
            raise self.refuse("several axes of its top follow the batch: export with a fixed batch")
        return self.op("Reshape", x, self.integers([-1 if n is None else n for n in dims]))

    def unsqueeze(self, x: str, axes: list[int]) -> str:
        """New axes of length 1 at these places of the result."""
        return self.op("Unsqueeze", x, self.integers(axes, "axes")) if axes else x

    def cast(self, x: str, kind: str) -> str:
        """Convert to "float", "int64" or "bool"."""
        return self.op("Cast", x, to={"float": 1, "int64": 7, "bool": 9}[kind])

    def cut(self, x: str, starts: list[int], ends: list[int], axes: list[int]) -> str:
        """Part of a tensor, from starts to ends (not included) along axes."""
        return self.op(
            "Slice", x, self.integers(starts, "starts"), self.integers(ends, "ends"),
            self.integers(axes, "axes"),
        )  # fmt: skip

    def scaled(self, x: str, factor: float) -> str:
        """x times a number; x itself for 1."""
        return x if factor == 1 else self.op("Mul", x, self.constant(factor, "factor"))

    def shifted(self, x: str, summand: float) -> str:
        """x plus a number; x itself for 0."""
        return x if summand == 0 else self.op("Add", x, self.constant(summand, "shift"))
