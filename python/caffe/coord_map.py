"""How the pixels of one top of a net correspond to those of another.

A coordinate map (axis, scale, shift) says that position x of a layer's input is position
scale * x + shift of its output, on the axes after ``axis`` (1: after the channels). The maps of
consecutive layers compose. A layer that works point by point has (None, 1, 0).

    score = crop(upscore, n.data)       # a Crop layer that aligns the two
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from .net_spec import Function, Top
from .net_spec import layers as L

PASS_THROUGH_LAYERS = [
    "AbsVal",
    "BNLL",
    "BatchNorm",
    "Bias",
    "Clip",
    "Dropout",
    "ELU",
    "Eltwise",
    "Enhancement",
    "Exp",
    "LRN",
    "Log",
    "MVN",
    "PReLU",
    "Power",
    "ReLU",
    "Scale",
    "Sigmoid",
    "Split",
    "Swish",
    "TanH",
    "Threshold",
]

CoordMap = tuple[Any, Any, Any]


class UndefinedMapException(Exception):
    """A layer of this type has no coordinate map."""


class AxisMismatchException(Exception):
    """Two maps have different axes."""


def _sizes(params: dict[str, Any], name: str, default: Any) -> np.ndarray:
    """A size for each spatial axis, or one for all: kernel_size, or kernel_h and kernel_w."""
    stem = name.removesuffix("_size")
    if f"{stem}_h" in params or f"{stem}_w" in params:
        return np.array([params.get(f"{stem}_h", default), params.get(f"{stem}_w", default)])
    value = params.get(name, default)
    if value is None:
        raise KeyError(name)
    return np.atleast_1d(np.array(value))


def conv_params(fn: Function) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """axis, stride, kernel size with its dilation, and padding of a layer with a sliding kernel.

    Raises KeyError if it has no kernel_size.
    """
    params = fn.params.get("convolution_param", fn.params.get("pooling_param", fn.params))
    kernel = _sizes(params, "kernel_size", None)
    dilation = _sizes(params, "dilation", 1)
    extent = (kernel - 1) * dilation + 1
    return params.get("axis", 1), _sizes(params, "stride", 1), extent, _sizes(params, "pad", 0)


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """axis and offset of a Crop layer."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.atleast_1d(np.array(params.get("offset", 0)))


def coord_map(fn: Function) -> CoordMap:
    """The coordinate map of a layer. Raises UndefinedMapException if there is none."""
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return None, 1, 0
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    raise UndefinedMapException(f"a layer of type {fn.type_name} has no coordinate map")


def compose(base_map: CoordMap, next_map: CoordMap) -> CoordMap:
    """base_map after next_map. Raises AxisMismatchException."""
    axis, scale, shift = base_map
    next_axis, next_scale, next_shift = next_map
    if axis is None:
        axis = next_axis
    elif next_axis is not None and axis != next_axis:
        raise AxisMismatchException(f"one map is about axes after {axis}, one after {next_axis}")
    return axis, scale * next_scale, scale * next_shift + shift


def inverse(coord_map: CoordMap) -> CoordMap:
    """From a layer's output to its input."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def _maps_from_ancestors(top: Top) -> dict[Top, CoordMap]:
    """The map from each ancestor to the top, nearest ancestors first."""
    maps: dict[Top, CoordMap] = {top: (None, 1, 0)}
    waiting = deque([top])
    while waiting:
        current = waiting.popleft()
        inputs = current.fn.inputs
        if current.fn.type_name == "Crop":
            inputs = inputs[:1]  # the second bottom only gives the size
        try:
            step = coord_map(current.fn) if inputs else None
        except UndefinedMapException:
            continue
        for below in inputs:
            if below not in maps:
                maps[below] = compose(maps[current], step)
                waiting.append(below)
    return maps


def coord_map_from_to(top_from: Top, top_to: Top) -> CoordMap:
    """The map from one top to another, through an ancestor of both.

    Raises RuntimeError if they are not connected.
    """
    above_from = _maps_from_ancestors(top_from)
    for ancestor, to_map in _maps_from_ancestors(top_to).items():
        if ancestor in above_from:
            return compose(to_map, inverse(above_from[ancestor]))
    raise RuntimeError("Could not compute map between tops; are they connected by spatial layers?")


def crop(top_from: Top, top_to: Top) -> Any:
    """A Crop layer that crops ``top_from`` to the part that corresponds to ``top_to``.

    Raises AssertionError if they have different scales, or if the crop would begin outside or
    between two pixels.
    """
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    shift = np.atleast_1d(shift)
    if not np.all(np.asarray(scale) == 1):
        raise AssertionError(f"scale mismatch on crop (a = {scale})")
    if not np.all(shift <= 0):
        raise AssertionError(f"cannot crop negative offset (b = {shift})")
    if not np.all(np.round(shift) == shift):
        raise AssertionError(f"cannot crop noninteger offset (b = {shift})")
    offset = [int(value) for value in -np.round(shift)]
    return L.Crop(
        top_from, top_to, crop_param=dict(axis=2 if axis is None else axis + 1, offset=offset)
    )
