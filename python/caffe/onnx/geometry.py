"""Layers that look at a map from other places: SpatialTransformer, Correlation."""

from __future__ import annotations

import numpy as np

from .convert import Conversion, converts

THETA = ["theta_1_1", "theta_1_2", "theta_1_3", "theta_2_1", "theta_2_2", "theta_2_3"]


def _theta(c: Conversion) -> str:
    """The two rows of each image's theta, (N, 2, 3): fixed elements and those of bottom 1."""
    p = c.layer.st_param
    fixed = [getattr(p, name) if p.HasField(name) else 0 for name in THETA]
    learnt = [i for i, name in enumerate(THETA) if not p.HasField(name)]
    if not learnt:
        raise c.refuse("all elements of theta are fixed")
    places = np.zeros((len(learnt), 6), np.float32)
    places[range(len(learnt)), learnt] = 1
    given = c.op("Reshape", c.bottoms[1], c.integers([-1, len(learnt)]))
    theta = c.op("MatMul", given, c.constant(places, "places"))
    return c.reshape(c.op("Add", theta, c.constant([fixed], "fixed")), [None, 2, 3])


@converts("SpatialTransformer")
def spatial_transformer(c: Conversion) -> str:
    """GridSample on theta times the grid.

    Caffe's place on an axis of length L is (p + 1) / 2 * L, GridSample's ((g + 1) L - 1) / 2, so
    that g = p + 1 / L. theta's first row is that of rows; GridSample takes columns first.
    """
    if c.graph.opset < 16:
        raise c.refuse("it needs opset 16 or later")
    _, _, height, width = c.shape()
    rows, columns = c.top_dims()[2:]
    c.length(2), c.length(3)
    s = 2 * np.arange(rows) / rows - 1
    t = 2 * np.arange(columns) / columns - 1
    grid = np.stack([np.repeat(s, columns), np.tile(t, rows), np.ones(rows * columns)])
    places = c.op("MatMul", _theta(c), c.constant(grid, "grid"))
    swapped = c.op("Gather", places, c.integers([1, 0], "columns_first"), axis=1)
    shifted = c.op("Add", swapped, c.constant([[1 / width], [1 / height]], "half_pixels"))
    places = c.reshape(c.op("Transpose", shifted, perm=[0, 2, 1]), [None, rows, columns, 2])
    mode = "linear" if c.graph.opset >= 20 else "bilinear"
    return c.op(
        "GridSample", c.bottoms[0], places, mode=mode, padding_mode="zeros", align_corners=0
    )


@converts("Correlation")
def correlation(c: Conversion) -> str:
    """For each displacement the mean over channels and window of a * b, or of |a - b|."""
    p = c.layer.correlation_param
    height, width = (c.length(axis) + 2 * p.pad for axis in (2, 3))
    most, reach = p.max_displacement, p.max_displacement // p.stride_2
    edge = c.integers([0, 0, p.pad, p.pad] * 2, "edge")
    first, second = (c.op("Pad", x, edge) for x in c.bottoms)
    first = c.cut(first, [most, most], [height - most, width - most], [2, 3])
    maps = []
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            y, x = most + dy * p.stride_2, most + dx * p.stride_2
            ends = [y + height - 2 * most, x + width - 2 * most]
            moved = c.cut(second, [y, x], ends, [2, 3])
            if p.correlation_type == p.MULTIPLY:
                both = c.op("Mul", first, moved)
            else:
                both = c.op("Abs", c.op("Sub", first, moved))
            maps.append(c.reduce("Mean", both, [1]))
    joined = c.op("Concat", *maps, axis=1)
    return c.op("AveragePool", joined, kernel_shape=[p.kernel_size] * 2, strides=[p.stride_1] * 2)
