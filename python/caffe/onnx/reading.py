"""An ONNX model as a list of nodes with known shapes and constants, to make a Caffe net of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .needs import onnx

FOLDED = {
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Expand", "Floor", "Gather",
    "Identity", "Mul", "Range", "ReduceProd", "Reshape", "Shape", "Slice", "Squeeze", "Sub",
    "Transpose", "Unsqueeze",
}  # fmt: skip
LARGEST_CONSTANT = 2**28  # values of a constant that a node makes


class CannotRead(ValueError):
    """A model or node that does not become a layer."""


@dataclass
class Reading:
    """One node: its attributes, the shapes of its tensors, the constants among its inputs."""

    node: Any
    model: Model
    attributes: dict[str, Any]

    @property
    def name(self) -> str:
        """What to call its layer."""
        return self.node.name or self.node.output[0]

    def refuse(self, why: str) -> CannotRead:
        """The error to raise for a node that does not become a layer."""
        return CannotRead(f"node {self.name!r} of type {self.node.op_type}: {why}")

    def has(self, index: int) -> bool:
        """Whether an optional input is there."""
        return index < len(self.node.input) and self.node.input[index] != ""

    def constant(self, index: int, what: str) -> np.ndarray:
        """An input that must be known. Raises CannotRead if it is computed from the images."""
        found = self.model.constants.get(self.node.input[index])
        if found is None:
            raise self.refuse(f"its {what} (input {index}) is not a constant")
        return found

    def is_constant(self, index: int) -> bool:
        """Whether an input is known."""
        return self.node.input[index] in self.model.constants

    def shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of an input."""
        return self._known(self.node.input[index])

    def top_shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of an output."""
        return self._known(self.node.output[index])

    def _known(self, tensor: str) -> tuple[int, ...]:
        found = self.model.shape(tensor)
        if found is None:
            raise self.refuse(f"the shape of {tensor!r} is not known")
        return found

    def axis(self, default: int) -> int:
        """The attribute axis, counted from the front."""
        axis = self.attributes.get("axis", default)
        return axis + len(self.shape()) if axis < 0 else axis


@dataclass
class Model:
    """A model with a fixed batch.

    proto: the ModelProto, its batch fixed. nodes: those that depend on the inputs. constants: all
    tensors that do not. inputs: name and shape.
    """

    proto: Any
    opset: int
    inputs: dict[str, tuple[int, ...]]
    outputs: list[str]
    nodes: list[Reading] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """The shape of a tensor, None where it is not known."""
        if tensor in self.constants:
            return self.constants[tensor].shape
        return self.shapes.get(tensor)


def _lengths(info: Any) -> list[int | None]:
    return [
        d.dim_value if d.HasField("dim_value") else None for d in info.type.tensor_type.shape.dim
    ]


def _fix_batch(proto: Any, batch: int | None) -> dict[str, tuple[int, ...]]:
    """Give the inputs a batch: their own, else ``batch``, else 1. Returns their shapes.

    Raises CannotRead for another axis of unknown length, and for inputs that are not float32.
    """
    constants = {tensor.name for tensor in proto.graph.initializer}
    shapes = {}
    for info in proto.graph.input:
        if info.name in constants:
            continue
        if info.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise CannotRead(f"input {info.name!r} is not of float32")
        lengths = _lengths(info)
        if lengths and (lengths[0] is None or batch is not None):
            lengths[0] = batch or 1
        if not lengths or None in lengths:
            raise CannotRead(f"input {info.name!r}: only the batch may have a free length")
        for axis, length in enumerate(lengths):
            info.type.tensor_type.shape.dim[axis].dim_value = length
        shapes[info.name] = tuple(n for n in lengths if n is not None)
    return shapes


def _inferred(proto: Any) -> dict[str, tuple[int, ...]]:
    """The shapes that ONNX's own inference finds."""
    for info in [*proto.graph.output, *proto.graph.value_info]:
        info.type.tensor_type.ClearField("shape")  # of another batch, perhaps
    try:
        found = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise CannotRead(f"the model's shapes do not fit: {error}") from None
    infos = [*found.graph.value_info, *found.graph.output, *found.graph.input]
    known = {info.name: _lengths(info) for info in infos if info.type.tensor_type.HasField("shape")}
    return {name: tuple(n) for name, n in known.items() if None not in n}  # type: ignore[misc]


def _value(node: Any, inputs: Sequence[np.ndarray], opset: int) -> np.ndarray:
    """What a node computes from constants."""
    names = [name for name in node.input if name]
    infos = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in dict(zip(names, inputs)).items()
    ]
    graph = onnx.helper.make_graph(
        [node], "folded", infos, [onnx.ValueInfoProto(name=node.output[0])]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    from onnx.reference import ReferenceEvaluator

    try:
        (result,) = ReferenceEvaluator(model).run(None, dict(zip(names, inputs)))
        return np.asarray(result)
    except Exception as error:  # of whatever operator it is
        raise CannotRead(
            f"node {node.name!r} of type {node.op_type}: its value cannot be computed: {error}"
        ) from None


def _check_size(node: Any, inputs: Sequence[np.ndarray]) -> None:
    """Raises CannotRead for a constant node whose numbers, not their count, make it too large."""
    count = 0.0
    if node.op_type == "ConstantOfShape":
        count = float(np.prod(inputs[0], dtype=np.float64))
    elif node.op_type == "Expand":
        count = inputs[0].size * float(np.prod(inputs[1], dtype=np.float64))
    elif node.op_type == "Range" and inputs[2] != 0:
        start, limit, step = (float(value) for value in inputs)
        count = (limit - start) / step
    if not count <= LARGEST_CONSTANT:
        raise CannotRead(
            f"node {node.name!r} of type {node.op_type}: a constant of up to {count:g} values"
        )


def _array(tensor: Any) -> np.ndarray:
    """The values of an initializer."""
    try:
        return onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise CannotRead(f"the constant {tensor.name!r} is damaged: {error}") from None


def _fold(model: Model) -> None:
    """Sort the nodes: what is constant, and what becomes a layer."""
    for node in model.proto.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise CannotRead(
                f"node {node.name!r} of type {node.op_type}: of the domain {node.domain}"
            )
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Shape" and model.shape(node.input[0]) is not None:
            values = np.array(model.shape(node.input[0]), np.int64)
            model.constants[node.output[0]] = values[
                attributes.get("start") : attributes.get("end")
            ]
            continue
        known = [name in model.constants for name in node.input if name]
        if node.op_type in FOLDED and len(node.output) == 1 and all(known):
            arrays = [model.constants[name] for name in node.input if name]
            _check_size(node, arrays)
            model.constants[node.output[0]] = _value(node, arrays, model.opset)
            continue
        model.nodes.append(Reading(node, model, attributes))


def read(path: str | os.PathLike[str], batch: int | None = None) -> Model:
    """Read a model. Raises CannotRead for one that is damaged, or of which too little is known."""
    try:
        proto = onnx.load(str(path))
        onnx.checker.check_model(proto)
    except OSError:
        raise
    except Exception as error:
        raise CannotRead(f"{Path(path).name} is no valid ONNX model: {error}") from None
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 1)
    inputs = _fix_batch(proto, batch)
    outputs = [info.name for info in proto.graph.output]
    model = Model(proto, opset, inputs, outputs, shapes=_inferred(proto))
    for tensor in proto.graph.initializer:
        model.constants[tensor.name] = _array(tensor)
    _fold(model)
    return model
