"""An ONNX graph that grows node by node, for one opset version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .needs import onnx

OPSETS = range(13, 22)  # versions of the standard operators that can be asked for
DEFAULT_OPSET = 17
EQUAL_PARTS_ARE_COUNTED = 18  # from here on Split without sizes has to be told their number
AXES_ARE_INPUTS = 18  # from here on the axes of Reduce operators are an input, not an attribute


@dataclass
class Node:
    """An operator with the names of the tensors that it reads and makes."""

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@dataclass
class Graph:
    """Nodes and constants of a graph.

    taken: names that no tensor made here may get, those of the blobs.
    """

    opset: int = DEFAULT_OPSET
    taken: set[str] = field(default_factory=set)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def new_name(self, hint: str) -> str:
        """A name that is not taken yet, and is from now on."""
        name, number = hint, 1
        while name in self.taken:
            number += 1
            name = f"{hint}_{number}"
        self.taken.add(name)
        return name

    def constant(self, values: Any, hint: str, dtype: Any = np.float32) -> str:
        """A tensor of fixed values."""
        name = self.new_name(hint)
        self.constants[name] = np.array(values, dtype, order="C")
        return name

    def add(
        self, op: str, inputs: Sequence[str], hint: str, outputs: int = 1, **attributes: Any
    ) -> list[str]:
        """Add a node; returns the names of the tensors that it makes. An input "" is left out."""
        if op == "Split" and len(inputs) == 1 and self.opset >= EQUAL_PARTS_ARE_COUNTED:
            attributes["num_outputs"] = outputs
        made = [self.new_name(f"{hint}/{op}") for _ in range(outputs)]
        self.nodes.append(Node(op, made[0], list(inputs), made, attributes))
        return made

    def rename(self, names: dict[str, str]) -> None:
        """Give tensors other names, in all nodes."""
        for node in self.nodes:
            node.inputs = [names.get(name, name) for name in node.inputs]
            node.outputs = [names.get(name, name) for name in node.outputs]
            for key, value in node.attributes.items():
                if isinstance(value, onnx.GraphProto):
                    node.attributes[key] = _renamed(value, names)

    def made(self) -> set[str]:
        """The names of all tensors that nodes make."""
        return {name for node in self.nodes for name in node.outputs}

    def to_proto(self, name: str, inputs: Iterable[Any], outputs: Iterable[Any]) -> Any:
        """A GraphProto with these value infos as inputs and outputs."""
        nodes = [
            onnx.helper.make_node(
                node.op, node.inputs, node.outputs, name=node.name, **node.attributes
            )
            for node in self.nodes
        ]
        used = {tensor for node in self.nodes for tensor in node.inputs}
        for node in self.nodes:
            for value in node.attributes.values():
                if isinstance(value, onnx.GraphProto):
                    used |= {tensor for inner in value.node for tensor in inner.input}
        tensors = [
            onnx.numpy_helper.from_array(values, constant)
            for constant, values in self.constants.items()
            if constant in used
        ]
        return onnx.helper.make_graph(nodes, name, list(inputs), list(outputs), tensors)


def _renamed(body: Any, names: dict[str, str]) -> Any:
    """A subgraph that reads outer tensors by their new names."""
    changed = onnx.GraphProto()
    changed.CopyFrom(body)
    own = {name for node in body.node for name in node.output} | {x.name for x in body.input}
    for node in changed.node:
        for i, name in enumerate(node.input):
            if name not in own and name in names:
                node.input[i] = names[name]
    return changed


def value_info(name: str, shape: Sequence[Any], dtype: Any = np.float32) -> Any:
    """The type of a tensor; an axis is a number, the name of a free length, or None (unknown)."""
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, kind, list(shape))


def model_of(graph: Any, opset: int) -> Any:
    """The ModelProto of a GraphProto. The IR version is the oldest that has the opset."""
    version = onnx.helper.make_opsetid("", opset)
    model = onnx.helper.make_model(graph, opset_imports=[version], producer_name="maap-caffe")
    model.ir_version = onnx.helper.find_min_ir_version_for([version])
    return model
