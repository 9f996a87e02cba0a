"""Layers that move a window over maps: Convolution, Deconvolution, Pooling, Im2col, SPP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from ..proto import caffe_pb2
from .layer import Layer, Result, Shape, axis_of, layer

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_BACK = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
Pair = tuple[int, int]


def per_axis(layer: Layer, given: Sequence[int], pair: Sequence[int], axes: int, default: int,
             what: str) -> Shape:  # fmt: skip
    """One number for each axis, from the fields X (one for all, or one for each) and X_h, X_w."""
    if any(pair):
        if axes != 2:
            raise ValueError(f"{layer.where}{what}_h and {what}_w are for two axes, not {axes}")
        return tuple(pair)
    numbers = tuple(given) or (default,)
    if len(numbers) not in (1, axes):
        raise ValueError(f"{layer.where}{what} has {len(numbers)} values for {axes} axes")
    return numbers * axes if len(numbers) == 1 else numbers


class _Windows(Layer):
    """What convolutions share: the fields of convolution_param, and several bottoms."""

    def build(self, shapes: Sequence[Shape]) -> None:
        param = self.param.convolution_param
        self.axis = axis_of(self, len(shapes[0]), param.axis)
        axes = len(shapes[0]) - self.axis - 1
        if axes not in _CONV:
            raise ValueError(f"{self.where}has windows of {axes} axes; 1, 2 and 3 are possible")
        self.kernel = per_axis(
            self, param.kernel_size, (param.kernel_h, param.kernel_w), axes, 0, "kernel"
        )
        self.stride = per_axis(
            self, param.stride, (param.stride_h, param.stride_w), axes, 1, "stride"
        )
        self.pad = per_axis(self, param.pad, (param.pad_h, param.pad_w), axes, 0, "pad")
        self.dilation = per_axis(self, param.dilation, (0, 0), axes, 1, "dilation")
        if min(self.kernel) < 1:
            raise ValueError(f"{self.where}kernel_size is missing")
        self.make_blobs(shapes[0][self.axis], param)

    def make_blobs(self, channels: int, param: Any) -> None:
        """weight: channels of the convolution's output x of its input / group x kernel."""
        group, outputs = param.group, param.num_output
        if not outputs or channels % group or outputs % group:
            raise ValueError(
                f"{self.where}num_output {outputs} and the {channels} channels of the bottom "
                f"must be multiples of group, {group}"
            )
        pair = (channels, outputs) if self.backwards else (outputs, channels)
        self.learn("weight", (pair[0], pair[1] // group, *self.kernel), param.weight_filler)
        if param.bias_term:
            self.learn("bias", (outputs,), param.bias_filler)

    backwards = False

    def forward(self, *bottoms: torch.Tensor) -> Result:
        bias = self.bias if "bias" in self.blobs else None
        tops = []
        for x in bottoms:
            batch = x.reshape(-1, *x.shape[self.axis :])
            y = self.windows(batch, bias)
            tops.append(y.reshape(*x.shape[: self.axis], *y.shape[1:]))
        return tuple(tops)

    def windows(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        raise NotImplementedError


@layer("Convolution")
class Convolution(_Windows):
    """weight: num_output x channels / group x kernel; bias: num_output. 1 to 3 spatial axes."""

    def windows(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        group = self.param.convolution_param.group
        conv = _CONV[len(self.kernel)]
        return conv(x, self.weight, bias, self.stride, self.pad, self.dilation, group)


@layer("Deconvolution")
class Deconvolution(_Windows):
    """The transposed convolution. weight: channels x num_output / group x kernel."""

    backwards = True

    def windows(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        group = self.param.convolution_param.group
        back = _BACK[len(self.kernel)]
        return back(x, self.weight, bias, self.stride, self.pad, 0, group, self.dilation)


@layer("Im2col")
class Im2col(_Windows):
    """The windows of a map as channels: N x (C kernel) x positions."""

    def make_blobs(self, channels: int, param: Any) -> None:
        pass

    def windows(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        columns = F.unfold(x, self.kernel, self.dilation, self.pad, self.stride)
        sizes = [
            (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for length, kernel, stride, pad, dilation in zip(
                x.shape[2:], self.kernel, self.stride, self.pad, self.dilation
            )
        ]
        return columns.reshape(*columns.shape[:2], *sizes)


@dataclass(frozen=True)
class Pool:
    """The windows of one axis."""

    kernel: int
    stride: int
    pad: int
    count: int

    @classmethod
    def of(cls, length: int, kernel: int, stride: int, pad: int, up: bool, padded: bool) -> Pool:
        """Caffe's number of windows: rounded up, or down; with padding the last window must begin
        inside the map or its first padding."""
        room = length + 2 * pad - kernel
        count = (room + stride - 1 if up else room) // stride + 1
        if padded and (count - 1) * stride >= length + pad:
            count -= 1
        return cls(kernel, stride, pad, count)

    def after(self, length: int) -> int:
        """How many values must follow the map's so that the last window is whole; may be < 0."""
        return (self.count - 1) * self.stride + self.kernel - length - self.pad

    def extents(self, length: int, like: torch.Tensor) -> torch.Tensor:
        """The values in each window, those of the map's own padding included, at least 1."""
        first = torch.arange(self.count, device=like.device) * self.stride - self.pad
        end = (first + self.kernel).clamp(max=length + self.pad)
        return (end - first).clamp(min=1).to(like.dtype)


_LEAST = -torch.finfo(torch.float32).max  # what a window outside the map gives


def pool(x: torch.Tensor, rows: Pool, columns: Pool, method: int, training: bool) -> Result:
    """Pools N x C x H x W; MAX gives the largest values and their places (row W + column, -1 in
    the padding)."""
    height, width = x.shape[2:]
    edges = (columns.pad, columns.after(width), rows.pad, rows.after(height))
    window = dict(kernel_size=(rows.kernel, columns.kernel), stride=(rows.stride, columns.stride))
    if method == caffe_pb2.PoolingParameter.MAX:
        padded = F.pad(x, edges, value=_LEAST)
        y, place = F.max_pool2d(padded, **window, return_indices=True)
        row = torch.div(place, padded.shape[3], rounding_mode="floor") - rows.pad
        column = place % padded.shape[3] - columns.pad
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return y, torch.where(inside, row * width + column, -torch.ones_like(row)).to(x.dtype)
    if method == caffe_pb2.PoolingParameter.AVE:
        sums = F.avg_pool2d(F.pad(x, edges), **window, divisor_override=1)
        return sums / (rows.extents(height, x)[:, None] * columns.extents(width, x))
    return _stochastic(F.pad(x, edges), window, (rows.count, columns.count), training)


def _stochastic(x: torch.Tensor, window: Any, size: Pair, training: bool) -> torch.Tensor:
    """A value of each window, drawn with a probability in proportion to it; not training, the
    mean of the values by that probability."""
    values = F.unfold(x, **window).reshape(*x.shape[:2], -1, size[0] * size[1])
    total = values.sum(2, keepdim=True)
    if not training:
        empty = total == 0
        shares = values / torch.where(empty, torch.ones_like(total), total)
        return (values * shares).sum(2).reshape(*x.shape[:2], *size)
    wanted = torch.rand_like(total) * total
    taken = (values.cumsum(2) <= wanted).sum(2, keepdim=True).clamp(max=values.shape[2] - 1)
    return values.gather(2, taken).reshape(*x.shape[:2], *size)


@layer("Pooling")
class Pooling(Layer):
    """MAX (a second top has the places), AVE or STOCHASTIC, with Caffe's rounding and divisor."""

    def forward(self, x: torch.Tensor) -> Result:
        param = self.param.pooling_param
        if param.global_pooling:
            kernel: Pair = tuple(x.shape[2:])
        else:
            kernel = (param.kernel_h or param.kernel_size, param.kernel_w or param.kernel_size)
        stride = (param.stride_h or param.stride, param.stride_w or param.stride)
        pad = (param.pad_h or param.pad, param.pad_w or param.pad)
        up = param.round_mode == caffe_pb2.PoolingParameter.CEIL
        axes = [
            Pool.of(*numbers, up, any(pad)) for numbers in zip(x.shape[2:], kernel, stride, pad)
        ]
        tops = pool(x, *axes, param.pool, self.training)
        return tops if torch.is_tensor(tops) else tops[: len(self.param.top)]


@layer("SPP")
class SPP(Layer):
    """Spatial pyramid pooling: level l pools each plane to 2^l x 2^l bins; all levels in a row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        param = self.param.spp_param
        levels = []
        for level in range(param.pyramid_height):
            bins = 1 << level
            axes = []
            for length in x.shape[2:]:
                kernel = -(-length // bins)
                pad = (kernel * bins - length + 1) // 2
                axes.append((length, kernel, kernel, pad))
            padded = any(axis[3] for axis in axes)
            tops = pool(x, *(Pool.of(*axis, True, padded) for axis in axes), param.pool,
                        self.training)  # fmt: skip
            levels.append((tops if torch.is_tensor(tops) else tops[0]).flatten(1))
        y = torch.cat(levels, 1)
        return y if len(levels) > 1 else y[:, :, None, None]
