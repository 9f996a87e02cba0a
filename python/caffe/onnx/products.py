"""Layers that sum over axes: InnerProduct, Embed, Reduction; and ArgMax."""

from __future__ import annotations

import numpy as np

from .convert import Conversion, Dims, converts


def _joined(c: Conversion, dims: Dims) -> int | None:
    """The product of lengths; None if one of them is not fixed."""
    return None if None in dims else int(np.prod(dims, dtype=np.int64))


@converts("InnerProduct")
def inner_product(c: Conversion) -> str:
    """x times the weights, over all axes from ``axis`` on."""
    p = c.layer.inner_product_param
    dims, axis = c.bottom_dims(), c.axis(p.axis)
    weight = c.weights[0] if p.transpose else c.weights[0].T
    inner, outputs = weight.shape
    if None in dims[axis:]:
        raise c.refuse("an axis that it sums over follows the batch: export with a fixed batch")
    x = c.bottoms[0] if axis == 1 and len(dims) == 2 else _rows(c, dims[:axis], inner)
    bias = [c.constant(c.weights[1].reshape(-1), "bias")] if len(c.weights) > 1 else []
    stored = c.constant(c.weights[0], "weight")
    y = c.op("Gemm", x, stored, *bias, transB=int(not p.transpose))
    return y if axis == 1 else c.reshape(y, [*dims[:axis], outputs])


def _rows(c: Conversion, outer: Dims, inner: int) -> str:
    """The bottom as a matrix with rows of ``inner`` values."""
    if len(outer) == 1:
        return c.op("Flatten", c.bottoms[0], axis=1)
    return c.reshape(c.bottoms[0], [_joined(c, outer), inner])


@converts("Embed")
def embed(c: Conversion) -> str:
    """A learnt row for each index."""
    rows = c.op("Gather", c.constant(c.weights[0], "weight"), c.cast(c.bottoms[0], "int64"), axis=0)
    if len(c.weights) == 1:
        return rows
    return c.op("Add", rows, c.constant(c.weights[1].reshape(-1), "bias"))


@converts("Reduction")
def reduction(c: Conversion) -> str:
    """The sum, sum of absolute values, of squares, or the mean over the axes from ``axis`` on."""
    p = c.layer.reduction_param
    axes = list(range(c.axis(p.axis), len(c.shape())))
    x = c.bottoms[0]
    if p.operation == p.ASUM:
        x = c.op("Abs", x)
    elif p.operation == p.SUMSQ:
        x = c.op("Mul", x, x)
    how = "Mean" if p.operation == p.MEAN else "Sum"
    return c.scaled(c.reduce(how, x, axes, keep=False), p.coeff)


@converts("ArgMax")
def arg_max(c: Conversion) -> str:
    """Indices (or values) of the largest entries; of equal ones the last comes first, as in Caffe.

    ONNX takes the first of equal ones. So the axis is turned round first.
    """
    p = c.layer.argmax_param
    by_axis = p.HasField("axis")
    axis = c.axis(p.axis) if by_axis else 1
    x = c.bottoms[0] if by_axis else c.op("Flatten", c.bottoms[0], axis=1)
    if not by_axis and None in c.bottom_dims()[1:]:
        raise c.refuse("it needs the lengths of all axes: export with a fixed batch")
    length = c.length(axis) if by_axis else int(np.prod(c.shape()[1:]))
    turned = c.op(
        "Slice", x, c.integers([-1], "starts"), c.integers([-(2**31)], "ends"),
        c.integers([axis], "axes"), c.integers([-1], "steps"),
    )  # fmt: skip
    values, places = c.ops("TopK", turned, c.integers([p.top_k], "k"), outputs=2, axis=axis)
    indices = c.cast(c.op("Sub", c.integers(length - 1, "last"), places), "float")
    if by_axis:
        return values if p.out_max_val else indices
    if not p.out_max_val:
        return c.reshape(indices, c.top_dims())
    both = [c.unsqueeze(part, [1]) for part in (indices, values)]
    return c.reshape(c.op("Concat", *both, axis=1), c.top_dims())
