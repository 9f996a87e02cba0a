"""The region of an attention map, as kernels/region.hpp defines it, of standard operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .convert import Conversion
from .graph import Graph, value_info
from .needs import onnx

BINS = 256
DOUBLE = 11  # TensorProto.DOUBLE
MOST_PIXELS = 2**24  # that a float counts


@dataclass(frozen=True)
class Region:
    """box: (N, 4), x1, y1, x2, y2 in pixels of the input. statistics: (N, 5)."""

    box: str
    statistics: str


@dataclass(frozen=True)
class Threshold:
    """Of each image, all (N, 1) doubles: the threshold, the map's least and greatest value."""

    threshold: str
    low: str
    high: str


def doubles(c: Conversion, values: Any) -> str:
    """A tensor of doubles."""
    return c.graph.constant(values, f"{c.layer.name}/double", np.float64)


def _zeros(c: Conversion, like: str, width: int) -> str:
    """Zeros (N, width) as doubles; like: (N, 1)."""
    return c.op("Mul", c.op("Sub", like, like), doubles(c, np.ones((1, width))))


def _threshold(c: Conversion, values: str, pixels: int, settings: Any) -> Threshold:
    """The threshold of values (N, P): Otsu's, the mean, or a share of the range."""
    low, high = (c.reduce(how, values, [1]) for how in ("Min", "Max"))
    if settings.threshold == settings.MEAN:
        return Threshold(c.reduce("Mean", values, [1]), low, high)
    if settings.threshold == settings.FRACTION:
        part = c.op("Mul", c.op("Sub", high, low), doubles(c, settings.fraction))
        return Threshold(c.op("Add", low, part), low, high)
    return Threshold(_otsu(c, values, pixels, low, high), low, high)


def _otsu(c: Conversion, values: str, pixels: int, low: str, high: str) -> str:
    """Otsu's threshold on values (N, P): the centre of the bin that separates the means best."""
    span = c.op("Sub", high, low)
    span = c.op("Where", c.op("Greater", span, doubles(c, 0)), span, doubles(c, 1))
    per_bin = c.op("Div", doubles(c, BINS), span)
    place = c.op("Floor", c.op("Mul", c.op("Sub", values, low), per_bin))
    bins = c.cast(c.op("Min", place, doubles(c, BINS - 1)), "int64")
    ones = c.op("Add", c.op("Sub", values, values), doubles(c, 1))
    counts = c.op("ScatterElements", _zeros(c, low, BINS), bins, ones, axis=1, reduction="add")
    step = c.op("Div", span, doubles(c, BINS))
    centres = c.op("Add", c.op("Mul", step, doubles(c, [np.arange(BINS) + 0.5])), low)
    best = _best_bin(c, counts, c.op("Mul", counts, centres), pixels)
    return c.op("GatherElements", centres, best, axis=1)


def _best_bin(c: Conversion, counts: str, sums: str, pixels: int) -> str:
    """The first bin (N, 1) with the largest variance between what is up to it and behind it."""
    axis, last = c.integers(1, "axis"), BINS - 1

    def but(x: str, start: int, end: int) -> str:
        return c.cut(x, [start], [end], [1])

    weight = but(c.op("CumSum", counts, axis), 0, last)
    up_to = but(c.op("CumSum", sums, axis), 0, last)
    behind = but(c.op("CumSum", sums, axis, reverse=1), 1, BINS)
    rest = c.op("Max", c.op("Sub", doubles(c, pixels), weight), doubles(c, 1))
    apart = c.op("Sub", c.op("Div", up_to, weight), c.op("Div", behind, rest))
    variance = c.op("Mul", c.op("Mul", weight, rest), c.op("Mul", apart, apart))
    return c.op("ArgMax", variance, axis=1, keepdims=1)


def _components(c: Conversion, foreground: str, plane: tuple[int, int], corners: bool) -> str:
    """A number for each pixel (N, 1, h, w), equal in a component: the larger, the earlier its first
    pixel; 0 in the background. Maxima of 3 x 3, or without corners of 3 x 1 and 1 x 3, spread until
    nothing changes."""
    height, width = plane
    numbers = np.arange(height * width, 0, -1).reshape(1, 1, height, width)
    start = c.op("Mul", foreground, c.constant(numbers, "numbers"))
    body, name = Graph(c.graph.opset, c.graph.taken), f"{c.layer.name}/spread"
    step, going, labels = (body.new_name(f"{name}/{what}") for what in ("step", "go", "labels"))
    windows = [(3, 3)] if corners else [(3, 1), (1, 3)]
    near = []
    for rows, columns in windows:
        pads = [rows // 2, columns // 2] * 2
        window = {"kernel_shape": [rows, columns], "pads": pads, "strides": [1, 1]}
        near += body.add("MaxPool", [labels], name, **window)
    (largest,) = body.add("Max", near, name)
    (spread,) = body.add("Mul", [largest, foreground], name)
    (change,) = body.add("Sub", [spread, labels], name)
    (most,) = body.add("ReduceMax", [change], name, keepdims=0)
    (changed,) = body.add("Cast", [most], name, to=9)
    shape = [None] * 4
    infos = [value_info(step, [], np.int64), value_info(going, [], bool), value_info(labels, shape)]
    results = [value_info(changed, [], bool), value_info(spread, shape)]
    loop: Any = body.to_proto(name, infos, results)
    assert isinstance(loop, onnx.GraphProto)
    yes = c.graph.constant(True, f"{c.layer.name}/yes", bool)
    return c.op("Loop", "", yes, start, body=loop)


def _largest(c: Conversion, labels: str, pixels: int, like: str) -> tuple[str, str]:
    """The number of each image's largest component, and its pixels: (N, 1) int64 and double."""
    flat = c.cast(c.reshape(labels, [None, pixels]), "int64")
    ones = c.op("Add", c.op("Mul", c.op("Cast", flat, to=DOUBLE), doubles(c, 0)), doubles(c, 1))
    areas = c.op(
        "ScatterElements", _zeros(c, like, pixels + 1), flat, ones, axis=1, reduction="add"
    )
    areas = c.cut(areas, [1], [pixels + 1], [1])  # without the background
    best = c.op("ArgMax", areas, axis=1, keepdims=1, select_last_index=1)
    return c.op("Add", best, c.integers(1, "one")), c.reduce("Max", areas, [1])


def _strongest(c: Conversion, labels: str, pixels: int, values: str) -> tuple[str, str]:
    """The number of the component at each image's first greatest value, and its pixels."""
    flat = c.cast(c.reshape(labels, [None, pixels]), "int64")
    label = c.op("GatherElements", flat, c.op("ArgMax", values, axis=1, keepdims=1), axis=1)
    one = c.op("Cast", c.op("Equal", flat, label), to=DOUBLE)
    none = c.op("Equal", label, c.integers(0, "background"))
    area = c.reduce("Sum", one, [1])
    return label, c.op("Where", none, c.op("Sub", area, area), area)


def _ends(c: Conversion, mask: str, axis: int) -> tuple[str, str]:
    """The first place of an axis with a 1, and the one behind the last: (N, 1) int64."""
    flat = c.reduce("Max", mask, [1, 5 - axis], keep=False)
    first = c.op("ArgMax", flat, axis=1, keepdims=1)
    last = c.op("ArgMax", flat, axis=1, keepdims=1, select_last_index=1)
    return first, c.op("Add", last, c.integers(1, "one"))


def _outward(c: Conversion, ends: Sequence[str], size: int, to: int) -> list[str]:
    """Two ends of an axis in pixels of the input, rounded outward."""
    if size == to:
        return list(ends)
    scaled = [c.op("Mul", end, c.integers(to, "to")) for end in ends]
    scaled[1] = c.op("Add", scaled[1], c.integers(size - 1, "up"))
    return [c.op("Div", end, c.integers(size, "size")) for end in scaled]


def _padded(c: Conversion, ends: Sequence[str], size: int, padding: float, some: str) -> list[str]:
    """Two ends of an axis, further apart by ``padding`` times their distance on either side."""
    if padding == 0:
        return list(ends)
    length = c.cast(c.op("Sub", ends[1], ends[0]), "float")
    more = c.cast(c.op("Ceil", c.scaled(length, padding)), "int64")
    more = c.op("Mul", more, c.cast(some, "int64"))  # not where the map is flat
    first = c.op("Max", c.op("Sub", ends[0], more), c.integers(0, "edge"))
    return [first, c.op("Min", c.op("Add", ends[1], more), c.integers(size, "edge"))]


def region(
    c: Conversion, a: str, plane: tuple[int, int], target: tuple[int, int], settings: Any
) -> Region:
    """The box of a component above the threshold in maps a (N, 1, h, w).

    plane: h, w. target: height and width of the input, which the box is scaled to. settings: an
    EliminationParameter.
    """
    pixels = plane[0] * plane[1]
    if pixels > MOST_PIXELS:
        raise c.refuse(f"a map of more than {MOST_PIXELS} pixels")
    values = c.op("Cast", c.reshape(a, [None, pixels]), to=DOUBLE)
    found = _threshold(c, values, pixels, settings)
    above = c.op("Greater", values, found.threshold)
    above = c.op("And", above, c.op("Greater", found.high, found.low))
    foreground = c.reshape(c.cast(above, "float"), [None, 1, *plane])
    labels = _components(c, foreground, plane, settings.connectivity == 8)
    if settings.component == settings.STRONGEST:
        label, area = _strongest(c, labels, pixels, values)
    else:
        label, area = _largest(c, labels, pixels, found.low)
    some = c.op("Greater", area, doubles(c, 0))
    one = c.op("Equal", labels, c.unsqueeze(c.cast(label, "float"), [2, 3]))
    mask = c.cast(one, "float")
    edges = []
    for axis in (3, 2):
        ends = _ends(c, mask, axis)
        whole = (c.integers(0, "whole"), c.integers(plane[axis - 2], "whole"))
        ends = tuple(c.op("Where", some, end, all_) for end, all_ in zip(ends, whole))
        outward = _outward(c, ends, plane[axis - 2], target[axis - 2])
        edges.append(_padded(c, outward, target[axis - 2], settings.padding, some))
    (x1, x2), (y1, y2) = edges
    box = c.cast(c.op("Concat", x1, y1, x2, y2, axis=1), "float")
    threshold = c.op("Where", some, found.threshold, found.low)
    area = c.op("Where", some, area, doubles(c, pixels))
    nothing = c.op("Sub", doubles(c, 1), c.op("Cast", some, to=DOUBLE))
    columns = [threshold, found.low, found.high, area, nothing]
    return Region(box, c.cast(c.op("Concat", *columns, axis=1), "float"))
