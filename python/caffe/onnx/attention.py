"""The MAAP layers, Enhancement and Elimination, of standard operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf import text_format

from ..proto import caffe_pb2
from . import otsu
from .convert import Conversion, converts

# What D is multiplied with, as (factor of A, summand), inside and outside of the region.
FACTORS = {
    "UNCORRELATED": ((0, 1), (0, 0)),
    "ENHANCE": ((1, 1), (0, 0)),
    "REDUCE": ((0, 1), (1, 0)),
    "ALLSOFT": ((1, 0), (1, 0)),
    "ALLSOFT_PLUS_ONE": ((1, 1), (1, 1)),
}


def _attention(c: Conversion, features: str) -> str:
    """A, the logistic of the mean over the channels."""
    return c.op("Sigmoid", c.reduce("Mean", features, [1]))


@converts("Enhancement")
def enhancement(c: Conversion) -> list[str]:
    """F' = (1 + A) F; A itself as a second top."""
    a = _attention(c, c.bottoms[0])
    enhanced = c.op("Mul", c.bottoms[0], c.shifted(a, 1))
    return [enhanced, a][: len(c.layer.top)]


def _upsampled(c: Conversion, x: str, axis: int, to: int) -> str:
    """An axis resampled linearly, with half-pixel centres and repeated edges. Not by Resize, whose
    rounding does not leave a flat map flat."""
    size = c.length(axis)
    place = np.clip((np.arange(to) + 0.5) * size / to - 0.5, 0, size - 1)
    first = np.floor(place).astype(np.int64)
    second = np.minimum(first + 1, size - 1)
    low, high = (c.op("Gather", x, c.integers(i, "taps"), axis=axis) for i in (first, second))
    weight = (place - first).reshape(-1, 1) if axis == 2 else place - first
    apart = c.op("Mul", c.op("Sub", high, low), c.constant(weight, "weights"))
    return c.op("Add", low, apart)


def _with_border(c: Conversion, x: str, axis: int, border: int) -> str:
    """An axis whose outermost places have the values of those further in."""
    if border == 0:
        return x
    size = c.length(axis)
    places = np.clip(np.arange(size), border, size - 1 - border).astype(np.int64)
    return c.op("Gather", x, c.integers(places, "inner"), axis=axis)


def _dropped(c: Conversion, a: str, statistics: str) -> str:
    """D without what is attended to."""
    threshold = c.unsqueeze(c.cut(statistics, [0], [1], [1]), [2, 3])
    kept = c.op("Where", c.op("Greater", a, threshold), c.constant(0, "zero"), c.constant(1, "one"))
    return c.op("Mul", kept, c.bottoms[1])


def _settings(c: Conversion) -> Any:
    """The EliminationParameter, from its field or from the text in python_param."""
    if c.layer.HasField("python_param"):
        text = c.layer.python_param.param_str
        return text_format.Parse(text, caffe_pb2.LayerParameter().elimination_param)
    return c.layer.elimination_param


def _inside(c: Conversion, edges: str, axis: int, length: int) -> str:
    """Whether a place of an axis lies in the region; edges: x1, y1, x2, y2 as (N, 1, 1, 4)."""
    places = c.constant(range(length), "places")
    if axis == 2:
        places = c.unsqueeze(places, [1])
    first, last = (
        c.op("Gather", edges, c.integers([number], "edge"), axis=3)
        for number in (3 - axis, 5 - axis)
    )
    return c.op("And", c.op("GreaterOrEqual", places, first), c.op("Less", places, last))


def _weighted(c: Conversion, a: str, region: str, a_star: str) -> str:
    """D times factors that depend on A, and on whether a pixel lies in the region."""
    within, beyond = (
        c.shifted(c.scaled(a, factor), summand) if factor else c.constant(summand, "summand")
        for factor, summand in FACTORS[a_star]
    )
    if FACTORS[a_star][0] == FACTORS[a_star][1]:
        return c.op("Mul", within, c.bottoms[1])
    edges = c.unsqueeze(region, [1, 2])
    rows = _inside(c, edges, 2, c.length(2, 1))
    inside = c.op("And", rows, _inside(c, edges, 3, c.length(3, 1)))
    return c.op("Mul", c.op("Where", inside, within, beyond), c.bottoms[1])


def _shares(c: Conversion, region: str, axis: int) -> str:
    """How much each pixel of an axis of D counts for each of D*, (N, 1, length, length): bilinear
    with half-pixel centres, inside the region."""
    length = c.length(axis, 1)
    first, last = (
        c.op("Cast", c.op("Gather", region, c.integers([i], "edge"), axis=1), to=otsu.DOUBLE)
        for i in (3 - axis, 5 - axis)
    )
    size = c.op("Sub", last, first)
    centres = otsu.doubles(c, [(y + 0.5) / length for y in range(length)])
    place = c.op("Sub", c.op("Mul", size, centres), otsu.doubles(c, 0.5))
    place = c.op("Max", place, otsu.doubles(c, 0))
    place = c.op("Add", c.op("Min", place, c.op("Sub", size, otsu.doubles(c, 1))), first)
    apart = c.op("Abs", c.op("Sub", c.unsqueeze(place, [2]), otsu.doubles(c, range(length))))
    share = c.op("Max", c.op("Sub", otsu.doubles(c, 1), apart), otsu.doubles(c, 0))
    return c.unsqueeze(c.cast(share, "float"), [1])


def _cropped(c: Conversion, region: str) -> str:
    """The region of D, resized to the whole of D."""
    rows, columns = _shares(c, region, 2), _shares(c, region, 3)
    wide = c.op("MatMul", rows, c.bottoms[1])
    return c.op("MatMul", wide, c.op("Transpose", columns, perm=[0, 1, 3, 2]))


@converts("Elimination")
def elimination(c: Conversion) -> list[str]:
    """D* = A* D, the region, A and the statistics: Otsu's threshold from a histogram, components by
    a Loop, crop and resize as two products of matrices."""
    p = _settings(c)
    a_star = p.AStar.Name(p.a_star)
    height, width = c.length(2, 1), c.length(3, 1)
    small = _attention(c, c.bottoms[0])
    small = _with_border(c, _with_border(c, small, 3, p.border), 2, p.border)
    a = _upsampled(c, _upsampled(c, small, 3, width), 2, height)
    if a_star.startswith("ALLSOFT") and len(c.layer.top) == 1:
        return [_weighted(c, a, "", a_star)]
    if c.graph.opset < 16:
        raise c.refuse("its region needs opset 16 or later")
    on_map = p.threshold_at == p.MAP
    plane = (c.length(2), c.length(3)) if on_map else (height, width)
    found = otsu.region(c, small if on_map else a, plane, (height, width), p)
    if a_star == "ROI":
        d_star = _cropped(c, found.box)
    elif a_star == "DROP":
        d_star = _dropped(c, a, found.statistics)
    else:
        d_star = _weighted(c, a, found.box, a_star)
    c.note("a map with a NaN or an infinity, which is an error in the engine, gives any region")
    return [d_star, found.box, a, found.statistics][: len(c.layer.top)]
