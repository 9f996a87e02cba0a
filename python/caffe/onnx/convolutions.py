"""Convolution, Deconvolution, their depthwise forms, and Im2col."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .convert import Conversion, Dims, converts

MOST_AXES = 3  # that ONNX Runtime convolves over


def _per_axis(values: Sequence[int], axes: int, default: int) -> list[int]:
    """A repeated field, one value for each spatial axis."""
    found = list(values) or [default]
    return found * axes if len(found) == 1 else found


def _setting(p: Any, name: str, axes: int, default: int) -> list[int]:
    """kernel_size, pad or stride: the _h and _w fields where set, else the repeated one."""
    short = "kernel" if name == "kernel_size" else name
    if p.HasField(f"{short}_h") or p.HasField(f"{short}_w"):
        return [getattr(p, f"{short}_h"), getattr(p, f"{short}_w")]
    return _per_axis(getattr(p, name), axes, default)


def _settings(c: Conversion, spatial: int) -> dict[str, Any]:
    """The attributes that Conv and ConvTranspose share."""
    p = c.layer.convolution_param
    return {
        "kernel_shape": _setting(p, "kernel_size", spatial, 0),
        "strides": _setting(p, "stride", spatial, 1),
        "pads": _setting(p, "pad", spatial, 0) * 2,
        "dilations": _per_axis(p.dilation, spatial, 1),
    }


def _merged(c: Conversion, bottom: int, axis: int) -> str:
    """A bottom whose axes before the channels are one."""
    x, dims = c.bottoms[bottom], c.bottom_dims(bottom)
    if axis == 1:
        return x
    return c.reshape(x, [_product(c, dims[:axis]), *dims[axis:]])


def _product(c: Conversion, dims: Dims) -> int | None:
    if None in dims:
        return None
    return int(np.prod([n for n in dims if n is not None], dtype=np.int64))


def _all_bottoms(c: Conversion, op: str, group: int) -> list[str]:
    """The layer's convolution of each bottom."""
    axis = c.axis(c.layer.convolution_param.axis)
    spatial = len(c.shape()) - axis - 1
    if not 1 <= spatial <= MOST_AXES:
        raise c.refuse(f"it has {spatial} spatial axes; ONNX Runtime has 1 to {MOST_AXES}")
    attributes = _settings(c, spatial)
    if op == "Col":
        return [_columns(c, attributes)]
    weights = [c.constant(c.weights[0], "weight")]
    weights += [c.constant(c.weights[1].reshape(-1), "bias")] if len(c.weights) > 1 else []
    tops = []
    for i in range(len(c.bottoms)):
        y = c.op(op, _merged(c, i, axis), *weights, group=group, **attributes)
        tops.append(y if axis == 1 else c.reshape(y, c.top_dims(i)))
    return tops


def _columns(c: Conversion, attributes: dict[str, Any]) -> str:
    """Im2col: a convolution whose filters each pick one place of the window."""
    kernel = attributes["kernel_shape"]
    channels, places = c.length(1), int(np.prod(kernel))
    picks = np.tile(np.eye(places, dtype=np.float32), (channels, 1))
    weight = c.constant(picks.reshape(channels * places, 1, *kernel), "places")
    return c.op("Conv", c.bottoms[0], weight, group=channels, **attributes)


@converts("Convolution", "DepthwiseConvolution")
def convolution(c: Conversion) -> list[str]:
    """A convolution of any group, stride, padding and dilation, over 1 to 3 axes."""
    return _all_bottoms(c, "Conv", c.layer.convolution_param.group)


@converts("ConvolutionDepthwise")
def depthwise(c: Conversion) -> list[str]:
    """A filter for each channel; num_output and group are not read."""
    return _all_bottoms(c, "Conv", c.length(1))


@converts("Deconvolution")
def deconvolution(c: Conversion) -> list[str]:
    """The transpose of a convolution."""
    return _all_bottoms(c, "ConvTranspose", c.layer.convolution_param.group)


@converts("Im2col")
def im2col(c: Conversion) -> list[str]:
    """The windows of an image as columns."""
    if c.axis(c.layer.convolution_param.axis) != 1:
        raise c.refuse("its axis is not 1")
    return _all_bottoms(c, "Col", 1)
