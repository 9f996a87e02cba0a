"""Layers that change the resolution: Interp, Upsample, Unpooling, PixelShuffle, Reorg."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .convert import Conversion, converts


def _sizes(c: Conversion, x: str, height: int, width: int) -> str:
    """A tensor of the lengths N, C, height, width, with the first two those of x."""
    front = c.op("Slice", c.op("Shape", x), c.integers([0], "starts"), c.integers([2], "ends"))
    return c.op("Concat", front, c.integers([height, width], "plane"), axis=0)


def _resize(c: Conversion, x: str, **attributes: object) -> str:
    """Resize to the plane of the top."""
    return c.op("Resize", x, "", "", _sizes(c, x, *_plane(c)), **attributes)


@converts("Interp")
def interp(c: Conversion) -> str:
    """Bilinear, corners aligned, of what pad_beg and pad_end (0 or negative) leave."""
    p, x = c.layer.interp_param, c.bottoms[0]
    if p.pad_beg or p.pad_end:
        ends = [c.length(axis) + p.pad_end for axis in (2, 3)]
        x = c.cut(x, [-p.pad_beg] * 2, ends, [2, 3])
    return _resize(c, x, mode="linear", coordinate_transformation_mode="align_corners")


@converts("Upsample")
def upsample(c: Conversion) -> str:
    """One bottom: repeats pixels. Two: puts each value where the pool's mask says, 0 elsewhere."""
    if len(c.bottoms) > 1:
        return _put_back(c, c.bottoms[1])
    if len(c.shape()) != 4:
        raise c.refuse("its bottom does not have 4 axes")
    return _resize(
        c, c.bottoms[0], mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )  # fmt: skip


def _put_back(c: Conversion, places: str) -> str:
    """The values at their places in the planes of the top, 0 elsewhere; -1 is no place. Of several
    values for one place the last stays."""
    batch, channels, *_ = c.top_dims()
    c.length(1)
    height, width = _plane(c)
    rows = None if batch is None else batch * channels
    data = c.reshape(c.bottoms[0], [rows, c.length(2) * c.length(3)])
    index = c.cast(c.reshape(places, [rows, c.length(2) * c.length(3)]), "int64")
    outside = c.integers(height * width, "outside")
    index = c.op("Where", c.op("Less", index, c.integers(0, "zero")), outside, index)
    count = c.op("Slice", c.op("Shape", data), c.integers([0], "starts"), c.integers([1], "ends"))
    shape = c.op("Concat", count, c.integers([height * width + 1], "places"), axis=0)
    planes = c.op("Expand", c.constant(0, "empty"), shape)
    filled = c.op("ScatterElements", planes, index, data, axis=1)
    inside = c.cut(filled, [0], [height * width], [1])
    return c.reshape(inside, [batch, channels, height, width])


def _plane(c: Conversion) -> tuple[int, int]:
    """Height and width of the top."""
    height, width = c.top_dims()[2:]
    if height is None or width is None:
        raise c.refuse("its plane follows the batch: export with a fixed batch")
    return height, width


@dataclass(frozen=True)
class Windows:
    """The windows of an Unpooling layer: their sizes and steps, by rows and by columns."""

    kernel: list[int]
    stride: list[int]


def _windows(c: Conversion) -> Windows:
    p = c.layer.unpooling_param
    kernel = [p.kernel_h, p.kernel_w] if p.HasField("kernel_h") else [p.kernel_size] * 2
    stride = [p.stride_h, p.stride_w] if p.HasField("stride_h") else [p.stride] * 2
    return Windows(kernel, stride)


@converts("Unpooling")
def unpooling(c: Conversion) -> str:
    """MAX: each value to one place, the pool's or the first of its window. AVE, TILE: into the
    whole window, which is a transposed convolution with ones."""
    p = c.layer.unpooling_param
    windows = _windows(c)
    height, width = _plane(c)
    rows, columns = c.length(2), c.length(3)
    if p.unpool != p.MAX:
        return _spread(c, windows)
    if len(c.bottoms) > 1:
        return _put_back(c, c.bottoms[1])
    y = np.minimum(np.arange(rows) * windows.stride[0], height - 1)
    x = np.minimum(np.arange(columns) * windows.stride[1], width - 1)
    first = c.constant(y[:, None] * width + x, "first_places")
    zeros = c.op("Sub", c.bottoms[0], c.bottoms[0])
    return _put_back(c, c.op("Add", zeros, first))


def _spread(c: Conversion, windows: Windows) -> str:
    """Every value in its whole window, cut or filled with 0 to the plane of the top."""
    p, (height, width), channels = c.layer.unpooling_param, _plane(c), c.length(1)
    x, sizes = c.bottoms[0], (c.length(2), c.length(3))
    made = [(n - 1) * s + k for n, s, k in zip(sizes, windows.stride, windows.kernel)]
    if p.unpool == p.AVE:
        inside = [
            np.minimum(np.arange(n) * s + k, end) - np.arange(n) * s
            for n, s, k, end in zip(sizes, windows.stride, windows.kernel, (height, width))
        ]
        x = c.op("Div", x, c.constant(np.maximum(np.outer(*inside), 1), "sizes"))
    ones = c.constant(np.ones((channels, 1, *windows.kernel)), "ones")
    y = c.op(
        "ConvTranspose", x, ones, group=channels, strides=windows.stride,
        kernel_shape=windows.kernel,
    )  # fmt: skip
    missing = [max(0, height - made[0]), max(0, width - made[1])]
    if any(missing):
        y = c.op("Pad", y, c.integers([0, 0, 0, 0, 0, 0, *missing], "pads"))
    return c.cut(y, [0, 0], [height, width], [2, 3])


@converts("Reorg")
def reorg(c: Conversion) -> str:
    """Darknet's: the places of C/s^2 maps of H s x W s, read block by block, as C maps of H x W,
    in the memory of N x C s^2 x H/s x W/s; or the other way round."""
    p = c.layer.reorg_param
    batch, channels, height, width = c.bottom_dims()
    c.length(1), c.length(2), c.length(3)
    s = p.stride
    parts = channels // (s * s)
    if not p.reverse:  # buffer[c, h, w] = x seen as [parts, h s, w s] at (c2, h s + o / s, ...)
        x = c.reshape(c.bottoms[0], [batch, parts, height, s, width, s])
        y = c.op("Transpose", x, perm=[0, 3, 5, 1, 2, 4])
    else:
        x = c.reshape(c.bottoms[0], [batch, s, s, parts, height, width])
        y = c.op("Transpose", x, perm=[0, 3, 4, 1, 5, 2])
    return c.reshape(y, c.top_dims())


@converts("PixelShuffle")
def pixel_shuffle(c: Conversion) -> str:
    """Channels to space: channel c r r + i r + j goes to row i and column j of each block."""
    named = c.layer.HasField("pixelshuffle_param")
    p = c.layer.pixelshuffle_param if named else c.layer.pixel_shuffle_param
    return c.op("DepthToSpace", c.bottoms[0], blocksize=p.upscale_factor, mode="CRD")
