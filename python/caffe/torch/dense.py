"""Layers of products and sums with what is learnt: InnerProduct, Embed, Scale, Bias, Parameter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .layer import Layer, Shape, axis_of, layer, one, product


@layer("InnerProduct")
class InnerProduct(Layer):
    """y = x weight' + bias over all axes from ``axis`` on.

    weight: num_output x inputs, or inputs x num_output with ``transpose``; bias: num_output."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.inner_product_param
        inputs = product(shapes[0][axis_of(self, len(shapes[0]), param.axis) :])
        shape = (inputs, param.num_output) if param.transpose else (param.num_output, inputs)
        self.learn("weight", shape, param.weight_filler)
        if param.bias_term:
            self.learn("bias", (param.num_output,), param.bias_filler)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.inner_product_param
        flat = x.flatten(axis_of(self, x.dim(), param.axis))
        weight = self.weight.t() if param.transpose else self.weight
        return F.linear(flat, weight, self.bias if param.bias_term else None)


@layer("Embed")
class Embed(Layer):
    """Row x of weight (input_dim x num_output), plus bias; the bottom has whole numbers."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.embed_param
        self.learn("weight", (param.input_dim, param.num_output), param.weight_filler)
        if param.bias_term:
            self.learn("bias", (param.num_output,), param.bias_filler)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.embedding(x.long(), self.weight)
        return y + self.bias if self.param.embed_param.bias_term else y


def _spread(factor: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    """``factor`` shaped so that it lies on the axes of x from ``axis`` on."""
    return factor.reshape(tuple(factor.shape) + (1,) * (x.dim() - axis - factor.dim()))


def _covered(layer: Layer, shape: Shape, axis: int, axes: int) -> Shape:
    """The part of a shape that learnt factors cover: ``axes`` axes from ``axis`` on, -1: all."""
    begin = axis_of(layer, len(shape), axis)
    return shape[begin:] if axes == -1 else shape[begin : begin + axes]


@layer("Scale")
class Scale(Layer):
    """y = weight x + bias, both on the axes from ``axis`` on; weight may be a second bottom."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.scale_param
        shape = shapes[1] if len(shapes) > 1 else _covered(self, shapes[0], param.axis,
                                                           param.num_axes)  # fmt: skip
        if len(shapes) == 1:
            self.learn("weight", shape, param.filler if param.HasField("filler") else one())
        if param.bias_term:
            self.learn("bias", shape, param.bias_filler)

    def forward(self, x: torch.Tensor, factor: torch.Tensor | None = None) -> torch.Tensor:
        param = self.param.scale_param
        factor = self.weight if factor is None else factor
        axis = axis_of(self, x.dim(), param.axis) if factor.dim() else 0
        y = x * _spread(factor, x, axis)
        return y + _spread(self.bias, x, axis) if param.bias_term else y


@layer("Bias")
class Bias(Layer):
    """y = x + bias, which lies on the axes from ``axis`` on and may be a second bottom."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.bias_param
        if len(shapes) == 1:
            shape = _covered(self, shapes[0], param.axis, param.num_axes)
            self.learn("bias", shape, param.filler)

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        bias = self.bias if bias is None else bias
        axis = axis_of(self, x.dim(), self.param.bias_param.axis) if bias.dim() else 0
        return x + _spread(bias, x, axis)


@layer("Parameter")
class Parameter(Layer):
    """The top is what is learnt: weight, of parameter_param's shape."""

    def build(self, shapes: Sequence[Shape]) -> None:
        self.learn("weight", tuple(self.param.parameter_param.shape.dim), one(0))

    def forward(self) -> torch.Tensor:
        return self.weight * 1
