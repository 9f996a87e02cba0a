"""What all layers are made of: a class for each type, found by the type's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, TypeVar, Union

import torch
from torch import nn

from ..proto import caffe_pb2
from .fillers import fill

Shape = tuple[int, ...]
Result = Union[torch.Tensor, tuple[torch.Tensor, ...]]

_TYPES: dict[str, type[Layer]] = {}
# Types that the engine has and that are not here, and what to do instead.
NOT_HERE = {
    "AnnotatedData": "give its tops to the module",
    "AttentionCrop": "crop with torch.nn.functional.grid_sample, or train with the engine",
    "BoxAnnotatorOHEM": "choose hard examples in Python, or train with the engine",
    "DetectionEvaluate": "evaluate the detections of DetectionOutput with the engine",
    "LabelsequenceAccuracy": "compare the scores' labels in Python, or test with the engine",
    "MultiBoxLoss": "train with the engine; the deploy net, with DetectionOutput, is here",
    "ScaleRankLoss": "compute it of the scales' probabilities in Python, or train with the engine",
    "Python": "its code is Python for Caffe; write a torch.nn.Module in its place",
}


class UnknownTypeError(NotImplementedError):
    """The net has a layer of a type that caffe.torch has not."""


class Layer(nn.Module):
    """One layer. A derived class defines `forward`, and `build` if it has parameters.

    param: the layer's LayerParameter. blobs: the names of its parameters and statistics in the
    order of Caffe's blobs; each is a Parameter or a buffer of the module.
    """

    def __init__(self, param: Any) -> None:
        super().__init__()
        self.param = param
        self.blobs: list[str] = []

    def build(self, shapes: Sequence[Shape]) -> None:
        """Make the parameters, for bottoms of these shapes."""

    def forward(self, *bottoms: torch.Tensor) -> Result:
        """The layer's tops: a tensor, or a tuple of several."""
        raise NotImplementedError

    def top_shapes(self, shapes: Sequence[Shape]) -> list[Shape]:
        """The shapes of the tops; by default those that `forward` gives on tensors without data."""
        values = {name: value.to("meta") for name, value in self.state_dict().items()}
        bottoms = tuple(torch.empty(shape, device="meta") for shape in shapes)
        with torch.no_grad():
            tops = torch.func.functional_call(self, values, bottoms)
        return [tuple(top.shape) for top in ((tops,) if torch.is_tensor(tops) else tops)]

    def learn(self, name: str, shape: Sequence[int], filler: Any) -> None:
        """Add a parameter that starts from ``filler``, as the layer's next blob."""
        values = torch.empty(tuple(shape))
        try:
            fill(values, filler)
        except ValueError as error:
            raise ValueError(f"{self.where}{error}") from None
        self.register_parameter(name, nn.Parameter(values))
        self.blobs.append(name)

    def keep(self, name: str, values: torch.Tensor) -> None:
        """Add values that no solver changes, as the layer's next blob."""
        self.register_buffer(name, values)
        self.blobs.append(name)

    @property
    def where(self) -> str:
        """The beginning of the layer's error messages."""
        return f"layer {self.param.name} ({self.param.type}): "

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={tuple(getattr(self, name).shape)}" for name in self.blobs)


Class = TypeVar("Class", bound=type[Layer])


def layer(*names: str) -> Callable[[Class], Class]:
    """A decorator: the class is that of layers of these types."""

    def register(cls: Class) -> Class:
        _TYPES.update(dict.fromkeys(names, cls))
        return cls

    return register


def layer_types() -> list[str]:
    """The types of layers that there are here."""
    return sorted(_TYPES)


def make(param: Any) -> Layer:
    """The module of a layer, without parameters yet.

    Raises UnknownTypeError naming layer and type.
    """
    if param.type in NOT_HERE:
        raise UnknownTypeError(
            f"layer {param.name}: caffe.torch has no layers of type {param.type}: "
            f"{NOT_HERE[param.type]}"
        )
    if param.type not in _TYPES:
        raise UnknownTypeError(
            f"layer {param.name}: caffe.torch has no layers of type {param.type}; it has "
            f"{', '.join(layer_types())}"
        )
    return _TYPES[param.type](param)


def axis_of(layer: Layer, axes: int, axis: int) -> int:
    """The axis counted from 0; -1 is the last of ``axes``. Raises ValueError if there is none."""
    if not -axes <= axis < axes:
        raise ValueError(f"{layer.where}axis is {axis}, and the bottom has {axes} axes")
    return axis % axes


def product(numbers: Sequence[int]) -> int:
    result = 1
    for number in numbers:
        result *= number
    return result


def one(value: float = 1) -> Any:
    """A filler of one value."""
    return caffe_pb2.FillerParameter(type="constant", value=value)
