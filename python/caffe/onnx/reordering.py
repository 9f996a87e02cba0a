"""Layers that join, cut, repeat or reorder values and compute nothing."""

from __future__ import annotations

import numpy as np

from .convert import Conversion, converts

TO_THE_FIRST = -(2**31)  # the end of a slice that goes backwards


@converts("Concat")
def concat(c: Conversion) -> str:
    """Joins the bottoms along an axis."""
    p = c.layer.concat_param
    axis = p.concat_dim if p.HasField("concat_dim") else c.axis(p.axis)
    if len(c.bottoms) == 1:
        return c.bottoms[0]
    return c.op("Concat", *c.bottoms, axis=axis)


@converts("Slice")
def slice_(c: Conversion) -> list[str]:
    """Cuts the bottom along an axis."""
    p = c.layer.slice_param
    axis = p.slice_dim if p.HasField("slice_dim") else c.axis(p.axis)
    tops = len(c.layer.top)
    if tops == 1:
        return [c.bottoms[0]]
    length = c.length(axis)
    points = [0, *p.slice_point, length] if p.slice_point else []
    sizes = [b - a for a, b in zip(points, points[1:])] or [length // tops] * tops
    return c.ops("Split", c.bottoms[0], c.integers(sizes), outputs=tops, axis=axis)


@converts("Flatten", "Reshape")
def reshape(c: Conversion) -> str:
    """The same values in another shape."""
    if c.layer.type == "Flatten":
        p = c.layer.flatten_param
        if c.axis(p.axis) == 1 and c.axis(p.end_axis) == len(c.shape()) - 1:
            return c.op("Flatten", c.bottoms[0], axis=1)
    return c.reshape(c.bottoms[0], c.top_dims())


@converts("Crop")
def crop(c: Conversion) -> str:
    """The part of bottom 0 that has bottom 1's lengths from an axis on."""
    p = c.layer.crop_param
    axes = list(range(c.axis(p.axis), len(c.shape())))
    offsets = list(p.offset) or [0]
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets
    ends = [offset + c.length(axis, 1) for offset, axis in zip(offsets, axes)]
    return c.cut(c.bottoms[0], offsets, ends, axes)


@converts("Tile")
def tile(c: Conversion) -> str:
    """Repeats the blob along an axis."""
    p = c.layer.tile_param
    repeats = [1] * len(c.shape())
    repeats[c.axis(p.axis)] = p.tiles
    return c.op("Tile", c.bottoms[0], c.integers(repeats, "repeats"))


@converts("Permute")
def permute(c: Conversion) -> str:
    """Reorders the axes: those named, then the rest."""
    named = list(c.layer.permute_param.order)
    rest = [axis for axis in range(len(c.shape())) if axis not in named]
    return c.op("Transpose", c.bottoms[0], perm=named + rest)


@converts("Transpose")
def transpose(c: Conversion) -> str:
    """Reorders the axes; dim names every one."""
    return c.op("Transpose", c.bottoms[0], perm=list(c.layer.transpose_param.dim))


@converts("Reverse")
def reverse(c: Conversion) -> str:
    """The order along an axis turned round."""
    axis = c.axis(c.layer.reverse_param.axis)
    return c.op(
        "Slice", c.bottoms[0], c.integers([-1], "starts"), c.integers([TO_THE_FIRST], "ends"),
        c.integers([axis], "axes"), c.integers([-1], "steps"),
    )  # fmt: skip


@converts("ReverseTime")
def reverse_time(c: Conversion) -> str:
    """The first steps of each sequence turned round; the rest is 0, or as it was."""
    lengths = c.op("Reshape", c.cast(c.bottoms[1], "int64"), c.integers([-1]))
    turned = c.op("ReverseSequence", c.bottoms[0], lengths, time_axis=0, batch_axis=1)
    if c.layer.reverse_time_param.copy_remaining:
        return turned
    steps = c.integers([[t] for t in range(c.length(0))], "steps")
    inside = c.op("Less", steps, c.unsqueeze(lengths, [0]))
    inside = c.unsqueeze(inside, list(range(2, len(c.shape()))))
    return c.op("Where", inside, turned, c.constant(0, "zero"))


@converts("ContinuationIndicator")
def continuation_indicator(c: Conversion) -> str:
    """0 in the first step, then 1."""
    steps, items = c.source.shapes[c.layer.top[0]]
    values = [[float(t > 0)] * items for t in range(steps)]
    return c.op("Identity", c.constant(values, "cont"))


@converts("ShuffleChannel")
def shuffle_channel(c: Conversion) -> str:
    """The channels, as group x rest, transposed."""
    batch, channels, *plane = c.bottom_dims()
    group = c.layer.shuffle_channel_param.group
    if None in plane or channels is None:
        raise c.refuse("it needs the lengths of all axes but the first")
    grouped = c.reshape(c.bottoms[0], [batch, group, channels // group, *plane])
    order = [0, 2, 1, *range(3, 3 + len(plane))]
    return c.reshape(c.op("Transpose", grouped, perm=order), [batch, channels, *plane])


@converts("ChannelShuffle")
def channel_shuffle(c: Conversion) -> str:
    """Pattern 1: blocks of channels, as group x rest, transposed. Pattern 0: the values of an image
    from channels x places to places x channels, in the same shape."""
    p, (batch, *rest) = c.layer.channel_shuffle_param, c.bottom_dims()
    lengths = [c.length(axis) for axis in range(1, len(rest) + 1)]
    channels, places = lengths[0], int(np.prod(lengths[1:]))
    if p.shuffle_pattern == 0:
        turned = c.op(
            "Transpose", c.reshape(c.bottoms[0], [batch, channels, places]), perm=[0, 2, 1]
        )
        return c.reshape(turned, [batch, *rest])
    block = p.shuffle_channel_num
    grouped = [batch, p.group, channels // block // p.group, block * places]
    turned = c.op("Transpose", c.reshape(c.bottoms[0], grouped), perm=[0, 2, 1, 3])
    return c.reshape(turned, [batch, *rest])


@converts("BatchReindex")
def batch_reindex(c: Conversion) -> str:
    """The items of the batch that bottom 1 names."""
    return c.op("Gather", c.bottoms[0], c.cast(c.bottoms[1], "int64"), axis=0)


@converts("Filter")
def filter_(c: Conversion) -> list[str]:
    """The items of the batch whose selector is not 0."""
    selector = c.cast(c.op("Reshape", c.bottoms[-1], c.integers([-1])), "bool")
    return [c.op("Compress", x, selector, axis=0) for x in c.bottoms[:-1]]


@converts("Parameter")
def parameter(c: Conversion) -> str:
    """A learnt blob as the top."""
    return c.op("Identity", c.constant(c.weights[0], "blob"))
