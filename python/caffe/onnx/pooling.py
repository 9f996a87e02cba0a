"""Pooling and SPP, with Caffe's rules for sizes and for windows at the edge.

A window may reach beyond the image at its end (sizes are rounded up), and Caffe's mean divides by
the part of the window that lies inside the padded image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .convert import Conversion, converts


@dataclass(frozen=True)
class Window:
    """The windows along one axis: size of the image, of the window, step, padding, their number."""

    size: int
    kernel: int
    stride: int
    pad: int
    count: int

    @property
    def end_pad(self) -> int:
        """Padding at the end that the last window needs."""
        return max(0, (self.count - 1) * self.stride + self.kernel - self.size - self.pad)

    def divisors(self) -> np.ndarray:
        """The part of each window that lies inside the padded image."""
        starts = np.arange(self.count) * self.stride - self.pad
        return np.minimum(starts + self.kernel, self.size + self.pad) - starts


def _windows(c: Conversion, p: Any, count: list[int]) -> list[Window]:
    """The windows of a Pooling layer, by rows and by columns."""
    height, width = c.length(2), c.length(3)
    if p.global_pooling:
        return [Window(height, height, 1, 0, 1), Window(width, width, 1, 0, 1)]
    kernel = [p.kernel_h, p.kernel_w] if p.HasField("kernel_h") else [p.kernel_size] * 2
    stride = [p.stride_h, p.stride_w] if p.HasField("stride_h") else [p.stride] * 2
    pad = [p.pad_h, p.pad_w] if p.HasField("pad_h") else [p.pad] * 2
    return [Window(*each) for each in zip((height, width), kernel, stride, pad, count)]


def _check(c: Conversion, windows: list[Window]) -> None:
    for w in windows:
        if w.end_pad >= w.kernel:
            raise c.refuse("its last window lies outside the image")


def _attributes(windows: list[Window]) -> dict[str, Any]:
    return {
        "kernel_shape": [w.kernel for w in windows],
        "strides": [w.stride for w in windows],
        "pads": [w.pad for w in windows] + [w.end_pad for w in windows],
    }


def maximum(c: Conversion, x: str, windows: list[Window]) -> str:
    """The maximum of each window."""
    return c.op("MaxPool", x, **_attributes(windows))


def mean(c: Conversion, x: str, windows: list[Window]) -> str:
    """The mean of each window as Caffe divides."""
    y = c.op("AveragePool", x, count_include_pad=1, **_attributes(windows))
    whole = [w.kernel for w in windows]
    rows, columns = (w.divisors() for w in windows)
    if (rows == whole[0]).all() and (columns == whole[1]).all():
        return y
    factors = np.outer(whole[0] / rows, whole[1] / columns)
    return c.op("Mul", y, c.constant(factors[None, None], "divisors"))


def _with_mask(c: Conversion, windows: list[Window]) -> list[str]:
    """The maxima and their places, counted inside the plane of the channel."""
    y, places = c.ops("MaxPool", c.bottoms[0], outputs=2, **_attributes(windows))
    plane = c.integers(c.length(2) * c.length(3), "plane")
    return [y, c.cast(c.op("Mod", places, plane), "float")]


@converts("Pooling")
def pooling(c: Conversion) -> list[str]:
    """MAX, also with the places as a second top, or AVE."""
    p = c.layer.pooling_param
    if len(c.shape()) != 4:
        raise c.refuse("its bottom does not have 4 axes")
    count = [c.source.shapes[c.layer.top[0]][axis] for axis in (2, 3)]
    windows = _windows(c, p, count)
    _check(c, windows)
    if p.pool == p.MAX:
        if len(c.layer.top) > 1:
            return _with_mask(c, windows)
        return [maximum(c, c.bottoms[0], windows)]
    if p.pool == p.AVE:
        return [mean(c, c.bottoms[0], windows)]
    raise c.refuse("STOCHASTIC pooling has no operator")


def _bins(size: int, number: int) -> Window:
    """A pyramid's windows along one axis: ``number`` bins that cover it."""
    kernel = math.ceil(size / number)
    pad = (kernel * number - size + 1) // 2
    count = math.ceil((size + 2 * pad - kernel) / kernel) + 1
    if pad and (count - 1) * kernel >= size + pad:
        count -= 1
    return Window(size, kernel, kernel, pad, count)


@converts("SPP")
def pyramid(c: Conversion) -> str:
    """Pools of 1, 4, 16 ... bins, each flattened, behind each other."""
    p = c.layer.spp_param
    if p.pool not in (p.MAX, p.AVE):
        raise c.refuse("STOCHASTIC pooling has no operator")
    pool = maximum if p.pool == p.MAX else mean
    height, width = c.length(2), c.length(3)
    levels = []
    for level in range(p.pyramid_height):
        windows = [_bins(height, 2**level), _bins(width, 2**level)]
        _check(c, windows)
        levels.append(c.op("Flatten", pool(c, c.bottoms[0], windows), axis=1))
    return levels[0] if len(levels) == 1 else c.op("Concat", *levels, axis=1)
